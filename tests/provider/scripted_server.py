"""A server that speaks the wire contract of claude-max over real HTTP and does what a test tells it.

It runs in a thread of its own, so that synchronous programs and several event loops can talk to it.
"""

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import anyio
import uvicorn
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)
from starlette.types import ASGIApp, Receive, Scope, Send

Json: TypeAlias = dict[str, Any]
Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]


TOOLS = [
    Tool(
        name="ask_claude",
        input_schema={"type": "object"},
        output_schema={"type": "object", "required": ["success"]},
    ),
    Tool(name="health", input_schema={"type": "object"}),
]
HEALTHY = {"status": "healthy", "claude_cli": "available", "purpose": "testing"}


class Asked:
    """One call of `ask_claude`."""

    def __init__(self, arguments: Json, context: Context) -> None:
        self.arguments = arguments
        self._context = context
        self._count = 0

    async def emit(self, *events: Mapping[str, Any] | str) -> None:
        """Send progress messages: stream events, or text."""
        for event in events:
            self._count += 1
            message = event if isinstance(event, str) else json.dumps(event)
            await self._context.session.report_progress(self._count, message=message)


Script: TypeAlias = Callable[[Asked], Awaitable[Json]]


def message(text: str = "Hello", **fields: Any) -> Json:
    """A message of the Messages API."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 5},
        **fields,
    }


def events(whole: Json) -> list[Json]:
    """The stream events of a message with at most one text block."""
    start: Json = {**whole, "content": [], "stop_reason": None}
    text = [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": part}}
            for part in "".join(block["text"] for block in whole["content"])
        ),
        {"type": "content_block_stop", "index": 0},
    ]
    end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    return [
        {"type": "message_start", "message": start},
        *(text if whole["content"] else ()),
        {"type": "message_delta", "delta": end, "usage": whole["usage"]},
        {"type": "message_stop"},
    ]


def success(whole: Json) -> Json:
    """The result of a call that brought `whole`."""
    text = "".join(block["text"] for block in whole["content"])
    return {
        "success": True,
        "response": text,
        "model": whole["model"],
        "message": whole,
        "billed_to": "subscription",
    }


def failure(code: str, text: str = "It failed; try again.", **fields: Any) -> Json:
    """The result of a call that failed."""
    return {"success": False, "response": "", "error": {"code": code, "message": text, **fields}}


async def greet(asked: Asked) -> Json:
    """Answer "Hello", one letter an event."""
    whole = message()
    if asked.arguments.get("stream") == "events":
        await asked.emit(*events(whole))
    else:
        await asked.emit(*"Hello")
    return success(whole)


async def begin(asked: Asked) -> Json:
    """Start an answer and never end it."""
    await asked.emit(*events(message())[:3])
    await anyio.sleep_forever()
    raise NotImplementedError


class ScriptedServer:
    """Answers every call by `script`; remembers what it was asked and which calls were cancelled."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.stop: Callable[[], None]
        self.reset()

    def reset(self) -> None:
        """Forget what was asked, and greet again."""
        self.script: Script = greet
        self.token: str | None = None
        self.cutting = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.calls: list[Json] = []
        self.connections = 0
        self.cancelled = threading.Event()

    async def _ask(self, asked: Asked) -> CallToolResult:
        self.calls.append(asked.arguments)
        self.loop = asyncio.get_running_loop()
        try:
            result = await self.script(asked)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        text = TextContent(text=result["response"] or result["error"]["message"])
        return CallToolResult(content=[text], structured_content=result, is_error=not result["success"])

    def release(self, gate: asyncio.Event) -> None:
        """Set an event that a script waits for, from another thread."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(gate.set)

    def application(self) -> ASGIApp:
        """The ASGI application: the two tools behind the door."""

        async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
            return ListToolsResult(tools=TOOLS)

        async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
            arguments = params.arguments or {}
            if params.name == "ask_claude":
                return await self._ask(Asked(arguments, context))
            return CallToolResult(content=[], structured_content={**HEALTHY, "probed": arguments["probe"]})

        server = Server("scripted", on_list_tools=list_tools, on_call_tool=call_tool)
        return self._door(server.streamable_http_app(host="127.0.0.1"))

    def _door(self, inner: ASGIApp) -> ASGIApp:
        async def admit(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                self.connections += 1
                headers = dict(scope["headers"])
                if self.token and headers.get(b"authorization") != f"Bearer {self.token}".encode():
                    is_json = [(b"content-type", b"application/json")]
                    await send({"type": "http.response.start", "status": 401, "headers": is_json})
                    await send({"type": "http.response.body", "body": b'{"jsonrpc": "2.0", "id": null}'})
                    return
                if self.cutting:
                    promised = [(b"content-type", b"application/json"), (b"content-length", b"100")]
                    await send({"type": "http.response.start", "status": 200, "headers": promised})
                    await send({"type": "http.response.body", "body": b"{"})
                    return
            await inner(scope, receive, send)

        return admit


@contextmanager
def running(server: ScriptedServer, *, port: int = 0) -> Generator[ScriptedServer]:
    """Serve `server` until the block is left or `server.stop` is called."""
    # The protocol is named, or asyncio would not switch Nagle's algorithm off: 40 ms for every answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    server.port = listener.getsockname()[1]
    server.url = f"http://127.0.0.1:{server.port}/mcp"
    config = uvicorn.Config(server.application(), log_config=None, ws="none", timeout_graceful_shutdown=1)
    runner = uvicorn.Server(config)
    thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]})
    thread.start()

    def stop() -> None:
        runner.should_exit = True
        thread.join()
        listener.close()

    server.stop = stop
    try:
        yield server
    finally:
        stop()
