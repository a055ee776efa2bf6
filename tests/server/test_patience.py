"""Peers that do not get on: they are given up after a while, and hold up nobody meanwhile. Part of `test_attacks`."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream

from claude_max_mcp.background import beside
from claude_max_mcp.front.http import application
from claude_max_mcp.front.listener import Connection, bind, listening
from claude_max_mcp.standin import Reply
from tests.house import House

JSON = "Content-Type: application/json"


class Hasty(Connection):
    """A connection that is given up soon, as one of few."""

    patience = 0.3
    unread = 0.3
    most = 5


@asynccontextmanager
async def hasty(house: House, *, body_seconds: float = 30.0) -> AsyncGenerator[House]:
    """The same service behind a door that waits for nobody."""
    listener = bind("127.0.0.1", 0)
    async with application(house.service, body_seconds=body_seconds) as app, listening(app, listener, connection=Hasty):
        yield House(house.service, house.standin, f"http://127.0.0.1:{listener.getsockname()[1]}")


@asynccontextmanager
async def connection(house: House) -> AsyncGenerator[SocketStream]:
    async with await anyio.connect_tcp("127.0.0.1", int(house.root.rpartition(":")[2])) as stream:
        yield stream


async def all_of(stream: SocketStream) -> bytes:
    """What the server sends until it closes, which it must."""
    received = b""
    with anyio.fail_after(60), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            received += await stream.receive()
    return received


BEGUN = f"POST /claude HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: 100\r\n\r\n".encode()
REFUSED_EARLY = b"POST /claude HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 100\r\n\r\n"
ANSWERED = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    ("begun", "starts"),
    [(b"", b""), (b"G", b""), (b"GET / HTTP/1.1\r\nHost: loc", b""), (BEGUN, b""), (REFUSED_EARLY, b"HTTP/1.1 421 ")],
    ids=["nothing", "a letter", "half a head", "no body", "no body after a refusal"],
)
async def test_who_does_not_get_on_is_given_up_also_drop_by_drop(house: House, begun: bytes, starts: bytes) -> None:
    async with hasty(house) as server, connection(server) as stream, anyio.create_task_group() as tasks:

        async def drip() -> None:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await stream.send(begun)
                while begun:
                    await anyio.sleep(0.05)  # a slow peer is what is tested
                    await stream.send(b"x")

        tasks.start_soon(drip)
        received = await all_of(stream)
        assert received.startswith(starts) and bool(received) is bool(starts)
        tasks.cancel_scope.cancel()
    assert house.standin.requests == []


async def test_a_kept_connection_may_begin_another_request_but_must_end_it(house: House) -> None:
    async with hasty(house) as server, connection(server) as stream:
        for _ in range(2):
            await stream.send(ANSWERED)
            with anyio.fail_after(60):
                assert (await stream.receive()).startswith(b"HTTP/1.1 200 ")
        await stream.send(ANSWERED[:20])
        assert not (await all_of(stream)).startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_comes_too_slowly_is_told_so(house: House) -> None:
    async with hasty(house, body_seconds=0.1) as server, connection(server) as stream:
        await stream.send(BEGUN + b'{"prompt":')
        received = await all_of(stream)
    assert received.startswith(b"HTTP/1.1 408 ") and b'"code":"timeout"' in received
    assert house.standin.requests == []


async def test_a_long_answer_is_not_given_up(house: House) -> None:
    """The peer has sent its request; now it is the server that takes its time, longer than the peer might."""
    gate = anyio.Event()
    house.standin.enqueue(Reply(hold=gate))
    statuses: list[int] = []

    async def ask(client: httpx2.AsyncClient) -> None:
        statuses.append((await client.post("/claude", json={"prompt": "hello"})).status_code)

    async with hasty(house) as server, server.http() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, client)
        async with connection(server) as other:
            assert await all_of(other) == b"", "this one was given up meanwhile"
        gate.set()
    assert statuses == [200]


async def test_who_does_not_read_an_answer_is_given_up() -> None:
    gone = anyio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()

        await send({"type": "http.response.start", "status": 200, "headers": []})
        async with beside(watch):
            while not gone.is_set():
                await send({"type": "http.response.body", "body": b"x" * 2**20, "more_body": True})

    listener = bind("127.0.0.1", 0)
    async with (
        listening(endless, listener, connection=Hasty),
        await anyio.connect_tcp(*listener.getsockname()) as stream,
    ):
        await stream.send(ANSWERED)
        with anyio.fail_after(60):
            await gone.wait()


async def test_more_connections_than_there_may_be_end_idle_ones(house: House) -> None:
    async with hasty(house) as server, AsyncExitStack() as stack:
        for _ in range(Hasty.most * 3):
            await stack.enter_async_context(connection(server))
        async with server.http() as client:
            assert (await client.get("/health")).status_code == 200


async def test_two_hundred_idle_connections_disturb_nobody(house: House) -> None:
    async with AsyncExitStack() as stack:
        for number in range(200):
            stream = await stack.enter_async_context(connection(house))
            if number % 2:
                await stream.send(BEGUN)
        with anyio.fail_after(60):
            assert (await house.ask(prompt="hello")).success


async def test_a_head_that_does_not_end_is_closed(house: House) -> None:
    async with connection(house) as stream:
        with anyio.fail_after(60), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
            while True:
                await stream.send(b"X: " + b"y" * 65536)
