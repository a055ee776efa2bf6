"""Requests at the door, the application behind it, and what both get to hear."""

import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
from starlette.types import Message, Receive, Scope, Send

from claude_max_mcp.front.door import Door
from tests.properties.values import Json


@dataclass
class Caller:
    """One request, and what comes back."""

    method: str = "POST"
    path: str = "/claude"
    query: str = ""
    headers: list[tuple[str, str]] = field(default_factory=lambda: [("host", "localhost")])
    sent: list[Message] = field(default_factory=list[Message])

    @property
    def scope(self) -> Scope:
        headers = [(name.encode(), value.encode("latin-1")) for name, value in self.headers]
        query = self.query.encode()
        return {
            "type": "http", "method": self.method, "path": self.path, "query_string": query, "headers": headers
        }  # fmt: skip

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None

    @property
    def error(self) -> Json:
        return json.loads(self.sent[1]["body"])["error"]


class Behind:
    """What is behind the door: it reads the body, notes what it got and what comes after it, and answers."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []
        self.after: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.bodies.append(body)
        self.after.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})


def make_body(*chunks: bytes, every: float = 0.0) -> Callable[[], Awaitable[Message]]:
    """A `receive` that gives a body in chunks, each after some seconds; then the caller is gone."""
    left = deque(chunks)

    async def receive() -> Message:
        if not left:
            return {"type": "http.disconnect"}
        await anyio.sleep(every)
        return {"type": "http.request", "body": left.popleft(), "more_body": bool(left)}

    return receive


async def knock(caller: Caller, receive: Receive, token: str | None = None, seconds: float = 30.0) -> Behind:
    behind = Behind()
    door = Door(behind, token=token, hosts=["Own.example"], origins=["https://app.example"], body_seconds=seconds)
    await door(caller.scope, receive, caller.send)
    assert len(behind.scopes) == (caller.status == 200)
    return behind


def request_with(*headers: tuple[str, str], path: str = "/claude") -> Caller:
    """A request that lacks nothing, but for what its headers say instead."""
    usual = {"host": "localhost", "content-type": "application/json"}
    named = {name for name, _ in headers}
    return Caller(path=path, headers=[*(h for h in usual.items() if h[0] not in named), *headers])
