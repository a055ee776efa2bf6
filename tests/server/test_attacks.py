"""What somebody may try who can reach the port, and what must be seen then. Real server, real sockets, real CLI.

| tried                                           | seen                                      | test                   |
|-------------------------------------------------|-------------------------------------------|------------------------|
| a form or plain text of a foreign page          | 403, 415; nothing upstream                | here; `test_door`      |
| DNS rebinding (`Host`), a foreign `Origin`      | 421, 403 on every route                   | here; `test_door`      |
| no token, short, long, Unicode, twice           | 401 with `WWW-Authenticate`, nothing told | here; `test_door`      |
| another spelling of a path, absolute targets    | 401 without the token, 404 with it        | here                   |
| two lengths, a length that is none              | 400, or one request and not two           | here                   |
| a large or endless head                         | 431, 400 or a closed connection           | here                   |
| a large body                                    | 413                                       | `test_door`            |
| JSON as deep as it may be, and deeper           | a typed error                             | here; `test_http`      |
| a head or a body that does not come             | closed; 408                               | here                   |
| an answer that is not read                      | closed                                    | here                   |
| 200 idle connections; more than there may be    | others are served                         | here                   |
| a flood of requests                             | other callers have their turn             | here; `test_admission` |
| a request id that is in use                     | each gets its own answer                  | here                   |
| a session of somebody else                      | unknown, and not to be guessed            | here; `test_sessions`  |
| `/`, `@`, `-`, `!` in a prompt                  | plain text                                | `test_verbatim`        |
| a hostile workspace, links out of it            | read, never obeyed; refused               | `test_workspace`       |
| the environment, by Read, an error, a log, `ps` | not there                                 | `test_secrets`         |
"""

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any
from uuid import UUID

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream
from anyio.lowlevel import checkpoint
from mcp import Client

from claude_max_mcp.beside import beside
from claude_max_mcp.door import MAX_HEAD, MAX_HEADERS
from claude_max_mcp.http import application
from claude_max_mcp.listener import Connection, bind, listening
from claude_max_mcp.standin import Reply, StandIn, Text
from tests.house import House, asked, serving
from tests.server.test_door import raw
from tests.server.test_verbatim import MODERN_BODY, MODERN_CALL

TOKEN = "a token that nobody guesses"
KEY = f"Authorization: Bearer {TOKEN}"


@pytest.fixture(scope="module")
async def shared_locked_house(shared_house: House) -> AsyncGenerator[House]:
    """It needs the other one only to be opened after it, as it is closed before."""
    async with serving(warm=0, token=TOKEN) as house:
        yield house


@pytest.fixture
def locked(shared_locked_house: House) -> House:
    shared_locked_house.standin.reset()
    return shared_locked_house


def http(line: str, *headers: str, host: str = "localhost", body: str = "") -> str:
    """A request as it is sent, by somebody who closes afterwards."""
    head = [f"{line} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    return "\r\n".join([*head, f"Content-Length: {len(body)}" if body else "X: y", "", body])


ASK = '{"prompt": "hello"}'
JSON = "Content-Type: application/json"
FORM = "Content-Type: application/x-www-form-urlencoded"
ABROAD = "Origin: https://evil.example"

REFUSED: dict[str, tuple[int, str]] = {
    "a form of a foreign page": (403, http("POST /claude", ABROAD, FORM, body="prompt=hello")),
    "a form that hides where it is from": (403, http("POST /claude", "Origin: null", FORM, KEY, body="prompt=hello")),
    "a form without an origin": (415, http("POST /claude", FORM, KEY, body="prompt=hello")),
    "plain text that is JSON": (415, http("POST /claude", "Content-Type: text/plain", KEY, body=ASK)),
    "JSON of nothing said": (415, http("POST /claude", KEY, body=ASK)),
    "a preflight": (403, http("OPTIONS /claude", ABROAD, "Access-Control-Request-Method: POST")),
    "a rebound name": (421, http("POST /claude", JSON, KEY, host="evil.example:47291", body=ASK)),
    "no name": (421, http("POST /claude", JSON, KEY, host="", body=ASK)),
    "no token": (401, http("POST /claude", JSON, body=ASK)),
    "half a token": (401, http("POST /claude", JSON, KEY[:-9], body=ASK)),
    "a long token": (401, http("POST /claude", JSON, f"{KEY}{'x' * 9999}", body=ASK)),
    "a token in the address": (401, http("POST /claude?token=a+token+that+nobody+guesses", JSON, body=ASK)),
    "many fields": (431, http("GET /health", *(f"X-{n}: y" for n in range(MAX_HEADERS)))),
    "long fields": (431, http("GET /health", *(f"X-{n}: {'y' * 8000}" for n in range(9)))),
    "no number of bytes": (400, http("POST /claude", JSON, KEY, "Content-Length: -1")),
    "a huge number of bytes": (400, http("POST /claude", JSON, KEY, f"Content-Length: {'9' * 5000}")),
    "two lengths": (400, http("POST /claude", JSON, KEY, "Content-Length: 1", body=ASK)),
}


def test_the_long_fields_are_too_long() -> None:
    assert len(REFUSED["long fields"][1]) > MAX_HEAD


@pytest.mark.parametrize(("status", "request_"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_must_not_come_in_is_refused(locked: House, status: int, request_: str) -> None:
    received = await raw(locked, request_)
    assert received.startswith(f"HTTP/1.1 {status} ".encode())
    assert TOKEN.encode() not in received and b"access-control" not in received.lower()
    assert (b"www-authenticate: Bearer" in received) is (status == 401)
    assert locked.standin.requests == []


TARGETS = [
    "//mcp",
    "//health",
    "/mcp/../health",
    "/health/../mcp",
    "/health/../claude",
    "/%2e%2e/health",
    "/health/%2e%2e/mcp",
    "/health%2f..%2fmcp",
    "/health;/mcp",
    "/health%00",
    "/health/",
    "/./health",
    "/MCP",
    "http://localhost/claude",
    "http://evil.example/health",
    "*",
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_spelling_of_a_path_leads_around_the_door(locked: House, method: str, target: str) -> None:
    without = await raw(locked, http(f"{method} {target}", JSON, body=ASK))
    with_it = await raw(locked, http(f"{method} {target}", JSON, KEY, body=ASK))
    assert without.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 400 "))
    assert with_it.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 307 ", b"HTTP/1.1 400 "))
    assert locked.standin.requests == []


async def test_a_second_request_hidden_in_the_body_of_a_first_is_not_one(locked: House) -> None:
    """Chunked wins over a length, as everybody in between reads it, or the request is refused."""
    hidden = http("POST /claude", JSON, KEY, body=ASK)
    chunk = f"{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n"
    received = await raw(
        locked, http("POST /claude", JSON, KEY, "Content-Length: 4", "Transfer-Encoding: chunked") + chunk
    )
    assert received.count(b"HTTP/1.1 ") == 1 and received.startswith(b"HTTP/1.1 400 ")
    assert locked.standin.requests == []


async def test_a_head_that_does_not_end_is_closed(locked: House) -> None:
    async with connection(locked) as stream:
        with anyio.fail_after(10), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
            while True:
                await stream.send(b"X: " + b"y" * 65536)


@pytest.mark.parametrize("depth", [100, 300, 900, 940, 960, 980, 990, 5000, 1_000_000])
async def test_json_as_deep_as_it_may_be_and_deeper_is_answered(house: House, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    tools = '"prompt":"x","tools":[{"name":"t","input_schema":{"type":"object","x":%s}}]'
    bodies = [deep, MODERN_BODY % f'"prompt":"x","messages":{deep}', MODERN_BODY % (tools % deep)]
    async with house.http() as client:
        replies = [await client.post("/mcp", content=body, headers=MODERN_CALL) for body in bodies]
        plain = await client.post("/claude", content=f'{{"prompt":{deep}}}', headers=MODERN_CALL)
    assert (plain.status_code, plain.json()["error"]["code"]) == (400, "invalid_request")
    for reply in replies:
        assert reply.status_code in (200, 400)
        assert {"error", "result"} & reply.json().keys()
        assert "Traceback" not in reply.text and "RecursionError" not in reply.text
    assert (await house.ask(prompt="and on it goes")).success


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
    with anyio.fail_after(10), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
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
            with anyio.fail_after(10):
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
        with anyio.fail_after(10):
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
        with anyio.fail_after(10):
            assert (await house.ask(prompt="hello")).success


async def test_a_flood_of_one_caller_does_not_hold_up_another(own_standin: StandIn) -> None:
    gate, order = anyio.Event(), list[str]()
    own_standin.script(lambda _: Reply(hold=gate))
    async with serving(own_standin, warm=0, concurrency=1, queue=3) as house, house.http() as client:

        async def ask(name: str) -> None:
            headers = {"user-agent": name[0]}
            reply = await client.post("/claude", json={"prompt": name}, headers=headers)
            order.append(name if reply.status_code == 200 else f"{name} {reply.json()['error']['code']}")

        async def ask_in_turn(names: list[str], queued: list[int]) -> None:
            for name, waiting in zip(names, queued, strict=True):
                tasks.start_soon(ask, name)
                with anyio.fail_after(20):
                    while (await house.service.health()).queued != waiting or not own_standin.requests:
                        await checkpoint()

        async with anyio.create_task_group() as tasks:
            await ask_in_turn(["flood 1", "flood 2", "flood 3", "flood 4"], [0, 1, 2, 3])
            tasks.start_soon(ask, "other")
            with anyio.fail_after(20):
                while "flood 4 busy" not in order:
                    await checkpoint()
            gate.set()
    assert [request.last_text for request in own_standin.requests] == ["flood 1", "flood 2", "other", "flood 3"]


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_two_who_use_the_same_request_id_each_get_their_own_answer(house: House, mode: str) -> None:
    """Both clients number from the start, so their calls have the same ids."""
    both = anyio.Event()
    house.standin.script(lambda request: Reply(content=(Text(f"to {request.last_text}"),), hold=both))
    answers: dict[str, str] = {}

    async def ask(client: Any, prompt: str) -> None:
        answers[prompt] = asked(await client.call_tool("ask_claude", {"prompt": prompt})).response

    async with (
        Client(house.url, mode=mode) as one,
        Client(house.url, mode=mode) as other,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(ask, one, "mine")
        tasks.start_soon(ask, other, "yours")
        with anyio.fail_after(20):
            await house.standin.arrived(2)
        both.set()
    assert answers == {"mine": "to mine", "yours": "to yours"}


async def test_one_who_repeats_a_request_id_at_once_gets_both_answers(house: House) -> None:
    both = anyio.Event()
    house.standin.script(lambda request: Reply(content=(Text(f"to {request.last_text}"),), hold=both))
    answers: list[tuple[int, str]] = []

    async def ask(client: httpx2.AsyncClient, prompt: str) -> None:
        reply = await client.post("/mcp", content=MODERN_BODY % f'"prompt":"{prompt}"', headers=MODERN_CALL)
        said = json.loads(reply.text.rpartition("data: ")[2]) if "event:" in reply.text else reply.json()
        answers.append((said["id"], said["result"]["structuredContent"]["response"]))

    async with house.http() as client, anyio.create_task_group() as tasks:
        for prompt in ("mine", "yours"):
            tasks.start_soon(partial(ask, client, prompt))
        with anyio.fail_after(20):
            await house.standin.arrived(2)
        both.set()
    assert sorted(answers) == [(1, "to mine"), (1, "to yours")]


async def test_an_id_to_go_on_with_cannot_be_guessed(house: House) -> None:
    ids = [(await house.ask(prompt="hello")).session_id for _ in range(2)]
    assert [UUID(str(one)).version for one in ids] == [4, 4]
    assert len(set(ids)) == 2
