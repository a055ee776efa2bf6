"""Progress messages: at most 20 a second for each call, nothing lost, order kept, the last one before the result.

In: stream events, as fast as they come. Out: messages, where deltas of one block that come close together are
joined. The first delta of a block goes out at once, so that joining costs no time to the first text. In silence a
heartbeat goes out, for clients that give up a call of which they hear nothing for a minute. A message of the kind
`text` is for people: a program that has to tell the text of the answer from a notice asks for `events`.
"""

import json
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias, cast

import anyio

from claude_max_mcp.events import RetryNotice
from claude_max_mcp.messages import Json

Report: TypeAlias = Callable[[float, float | None, str | None], Awaitable[None]]

MOST_PER_SECOND = 20
"""Messages that a call may send within any one second."""

DELTA_INTERVAL = 1 / 15
"""Seconds between two deltas; what is left of the 20 serves the events between blocks."""

HEARTBEAT = 15.0
"""Seconds of silence after which a heartbeat goes out: progress without a message, or as events the API's `ping`."""

JOINED = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
"""Deltas that can be joined, and the field that holds their text."""


class Progress:
    """Takes events by `add`; a task of `reporting` sends them on."""

    def __init__(self, report: Report, stream: Literal["text", "events"]) -> None:
        self._report = report
        self._render: Callable[[Mapping[str, Any]], str | None] = as_json if stream == "events" else as_text
        self._is_for_people = stream == "text"
        self._heartbeat = as_json({"type": "ping"}) if stream == "events" else None
        self._pending: deque[Mapping[str, Any]] = deque()
        self._changed = anyio.Event()
        self._finished = False
        self._sent: deque[float] = deque(maxlen=MOST_PER_SECOND)
        self._last_delta = -DELTA_INTERVAL
        self._last_message = anyio.current_time()
        self._count = 0

    def __repr__(self) -> str:
        return f"<Progress sent={self._count} pending={len(self._pending)}{' finished' if self._finished else ''}>"

    def add(self, event: Mapping[str, Any]) -> None:
        """Take an event. It may be joined to the one before it."""
        if self._is_for_people and as_text(event) is None:
            return
        if self._pending and (joined := _join(self._pending[-1], event)) is not None:
            self._pending[-1] = joined
            return
        self._pending.append(event)
        self._wake()

    def finish(self) -> None:
        """No more events will come."""
        self._finished = True
        self._wake()

    async def send_all(self) -> None:
        """Send everything, until `finish` was called and nothing is left."""
        while True:
            if self._finished and not self._pending:
                return
            if (wait := self._find_due_time() - anyio.current_time()) > 0:
                with anyio.move_on_after(wait):
                    await self._changed.wait()
            elif self._pending:
                await self._send(self._pending.popleft())
            else:
                await self._tell(self._heartbeat)

    def _find_due_time(self) -> float:
        """When the oldest pending event may go, or else a heartbeat: a delta that may still grow waits its interval."""
        if not self._pending:
            return self._last_message + HEARTBEAT
        growing = len(self._pending) == 1 and not self._finished and self._pending[0]["type"] == "content_block_delta"
        due = self._last_delta + DELTA_INTERVAL if growing else 0.0
        return max(due, self._sent[0] + 1.0) if len(self._sent) == MOST_PER_SECOND else due

    async def _send(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "content_block_delta":
            self._last_delta = anyio.current_time()
        await self._tell(self._render(event))

    async def _tell(self, message: str | None) -> None:
        self._last_message = anyio.current_time()
        self._sent.append(self._last_message)
        self._count += 1
        await self._report(self._count, None, message)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


@asynccontextmanager
async def reporting(report: Report, stream: Literal["text", "events"]) -> AsyncGenerator[Progress]:
    """A `Progress` for the length of a block; leaving it waits until all of it has been sent."""
    progress = Progress(report, stream)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(progress.send_all)
        yield progress
        progress.finish()


def as_json(event: Mapping[str, Any]) -> str:
    """An event as it is, for programs."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def as_text(event: Mapping[str, Any]) -> str | None:
    """What an event says to a person; None if nothing: the text that it adds, or that the CLI tries again."""
    match event:
        case {"type": "content_block_delta", "delta": {"text": str(text)}}:
            return text
        case {"type": "retry"}:
            return f"[{describe_retry(cast('RetryNotice', event))}]\n"
        case _:
            return None


def describe_retry(retry: RetryNotice) -> str:
    """Why there is nothing yet, and when the CLI tries again."""
    seconds = retry["delay_ms"] / 1000
    return f"{retry['error']}: trying again in {seconds:.1f} s, {retry['attempt']} of {retry['max_retries']}"


def _join(first: Mapping[str, Any], second: Mapping[str, Any]) -> Json | None:
    """Two deltas as one, or None if they are not two deltas of one kind and block."""
    if first["type"] != "content_block_delta" or second["type"] != "content_block_delta":
        return None
    kind = first["delta"]["type"]
    if kind not in JOINED or second["delta"]["type"] != kind or first["index"] != second["index"]:
        return None
    name = JOINED[kind]
    return {**second, "delta": {**second["delta"], name: first["delta"][name] + second["delta"][name]}}
