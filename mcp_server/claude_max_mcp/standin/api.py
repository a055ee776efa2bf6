"""The stand-in's server: it records each request whole and plays the scripted answer.

In: HTTP on a loopback port of its own. Out: what `script` says, else an echo. A connection that the client closes
early is recorded with the time, which is how the tests see that a cancellation reached upstream.
"""

import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from claude_max_mcp.front.listener import bind, listening
from claude_max_mcp.messages import Json
from claude_max_mcp.standin.failures import Failure
from claude_max_mcp.standin.replies import Reply, echo

Answer: TypeAlias = Reply | Failure


@dataclass(eq=False)
class Recorded:
    """One request as it reached upstream."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    at: float = field(default_factory=time.monotonic)
    closed_early: anyio.Event = field(default_factory=anyio.Event)
    """Set when the client went away before the answer was whole."""
    closed_at: float | None = None
    answered: anyio.Event = field(default_factory=anyio.Event)
    """Set when the whole answer has been sent."""

    @property
    def body(self) -> Json:
        """The request's JSON."""
        return json.loads(self.raw)

    @property
    def messages(self) -> list[Json]:
        """The conversation, without the system message that the CLI puts into it."""
        return [message for message in self.body["messages"] if message["role"] != "system"]

    @property
    def last_blocks(self) -> list[Json]:
        """The content blocks of the last message, as the caller wrote them: no `cache_control`."""
        content = self.messages[-1]["content"]
        blocks: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        return [{k: v for k, v in block.items() if k != "cache_control"} for block in blocks]

    @property
    def last_text(self) -> str:
        """The text of the last message's only block."""
        (block,) = self.last_blocks
        return block["text"]


class StandIn:
    """A running stand-in. `async with StandIn.running() as standin:` gives one on a port of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Recorded] = []
        """The `POST /v1/messages` requests, in the order of their arrival."""
        self.others: list[Recorded] = []
        """Every other request."""
        self._queue: deque[Answer] = deque()
        self._script: Callable[[Recorded], Answer] = lambda request: echo(request.body)
        self._arrival = anyio.Event()
        self._window_resets_at = int(time.time()) + 3600

    @classmethod
    @asynccontextmanager
    async def running(cls, port: int = 0) -> AsyncGenerator["StandIn"]:
        """Serve on loopback for the length of a block; port 0 takes a free one."""
        listener = bind("127.0.0.1", port)
        standin = cls(f"http://127.0.0.1:{listener.getsockname()[1]}")
        async with listening(standin, listener, grace=1, log_level="critical"):
            yield standin

    def reset(self) -> None:
        """Forget every request and every script."""
        self.requests.clear()
        self.others.clear()
        self._queue.clear()
        self._script = lambda request: echo(request.body)

    def enqueue(self, *answers: Answer) -> None:
        """Answer the next requests with these, one each."""
        self._queue.extend(answers)

    def script(self, answer: Callable[[Recorded], Answer]) -> None:
        """Answer every request that nothing is queued for with `answer(request)`."""
        self._script = answer

    async def wait_for_request(self, count: int = 1) -> Recorded:
        """Wait until `count` requests have arrived in all; the last of these is returned."""
        while len(self.requests) < count:
            await self._arrival.wait()
        return self.requests[count - 1]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        request = Request(scope, receive)
        record = Recorded(request.method, request.url.path, dict(request.headers), await request.body())
        if (record.method, record.path) != ("POST", "/v1/messages"):
            self.others.append(record)
            await _send_json(send, 404, {"type": "error", "error": {"type": "not_found_error", "message": "-"}})
            return
        self.requests.append(record)
        self._arrival.set()
        self._arrival = anyio.Event()
        answer = self._queue.popleft() if self._queue else self._script(record)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_watch, record, receive, tasks.cancel_scope)
            await self._play(answer, record, send)
            record.answered.set()
            tasks.cancel_scope.cancel()

    async def _play(self, answer: Answer, record: Recorded, send: Send) -> None:
        if isinstance(answer, Failure):
            await _send_json(send, answer.status, answer.make_body(), answer.headers)
            return
        await anyio.sleep(answer.first_after)
        model = record.body["model"]
        if not record.body.get("stream"):
            await _send_json(send, 200, answer.make_message(model), answer.headers)
            return
        await _start(send, 200, "text/event-stream", {**self._make_headers(), **answer.headers})
        if answer.garbage is not None:
            await _write(send, answer.garbage, more=False)
            return
        sent = 0
        for event in answer.make_events(model):
            if event["type"] == "content_block_delta":
                if answer.hold is not None and sent == answer.hold_after:
                    await answer.hold.wait()
                if sent == answer.cut_after:
                    return  # uvicorn closes a connection whose response was left unfinished
                if answer.pace:
                    await anyio.sleep(answer.pace)
                sent += 1
            await _write(send, f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode(), more=True)
        await _write(send, b"", more=False)

    def _make_headers(self) -> dict[str, str]:
        """The headers of an answer that the subscription pays, with room left in the five-hour window."""
        reset = str(self._window_resets_at)
        return {
            "request-id": "req_standin",
            "anthropic-ratelimit-unified-status": "allowed",
            "anthropic-ratelimit-unified-5h-utilization": "0.12",
            "anthropic-ratelimit-unified-5h-reset": reset,
            "anthropic-ratelimit-unified-reset": reset,
            "anthropic-ratelimit-unified-representative-claim": "five_hour",
        }


async def _watch(record: Recorded, receive: Receive, answering: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    if not record.answered.is_set():
        record.closed_at = time.monotonic()
        record.closed_early.set()
        answering.cancel()


async def _send_json(send: Send, status: int, body: Json, headers: Any = None) -> None:
    await _start(send, status, "application/json", {"request-id": "req_standin", **(headers or {})})
    await _write(send, json.dumps(body).encode(), more=False)


async def _start(send: Send, status: int, content_type: str, headers: dict[str, str]) -> None:
    fields = [(k.encode(), v.encode()) for k, v in {"content-type": content_type, **headers}.items()]
    await send({"type": "http.response.start", "status": status, "headers": fields})


async def _write(send: Send, body: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
