"""What somebody may try who can reach the port, and what must be seen then. Real server, real sockets, real CLI.

| tried                                           | seen                                      | test                   |
|-------------------------------------------------|-------------------------------------------|------------------------|
| a form or plain text of a foreign page          | 403, 415; nothing upstream                | here; `test_door`      |
| DNS rebinding (`Host`), a foreign `Origin`      | 421, 403 on every route                   | here; `test_door`      |
| no token, short, long, Unicode, twice           | 401 with `WWW-Authenticate`, nothing told | here; `test_door`      |
| another spelling of a path, absolute targets    | 401 without the token, 404 with it        | here                   |
| the page, which is open to strangers            | the same for all; its policy lets none in | `test_page`            |
| two lengths, a length that is none              | 400, or one request and not two           | here                   |
| a large or endless head                         | 431, 400 or a closed connection           | here; `test_patience`  |
| a large body                                    | 413                                       | `test_door`            |
| JSON as deep as it may be, and deeper           | a typed error                             | here; `test_http`      |
| a head or a body that does not come             | closed; 408                               | `test_patience`        |
| an answer that is not read                      | closed                                    | `test_patience`        |
| 200 idle connections; more than there may be    | others are served                         | `test_patience`        |
| a flood of requests                             | other callers have their turn             | here; `test_admission` |
| a request id that is in use                     | each gets its own answer                  | here                   |
| a session of somebody else                      | unknown, and not to be guessed            | here; `test_sessions`  |
| another's history, with a word changed          | nothing of what is kept is used           | `test_transcripts`     |
| what is kept on disk, by another user, changed  | closed to others; not used once damaged   | `test_transcripts`     |
| `/`, `@`, `-`, `!` in a prompt                  | plain text                                | `test_verbatim`        |
| a hostile workspace, links out of it            | read, never obeyed; refused               | `test_workspace`       |
| the environment, by Read, an error, a log, `ps` | not there                                 | `test_secrets`         |
"""

import json
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any
from uuid import UUID

import anyio
import httpx2
import pytest
from anyio.lowlevel import checkpoint
from mcp import Client

from claude_max_mcp.front.door import MAX_HEAD, MAX_HEADERS
from claude_max_mcp.standin import Reply, StandIn, Text
from tests.house import House, asked, serving
from tests.samples import MODERN_BODY, MODERN_CALL

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
    received = await locked.say(request_)
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
    "//",
    "/;",
    "*",
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_spelling_of_a_path_leads_around_the_door(locked: House, method: str, target: str) -> None:
    without = await locked.say(http(f"{method} {target}", "Accept: text/html", JSON, body=ASK))
    with_it = await locked.say(http(f"{method} {target}", JSON, KEY, body=ASK))
    assert without.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 400 "))
    assert with_it.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 307 ", b"HTTP/1.1 400 "))
    assert locked.standin.requests == []


async def test_a_second_request_hidden_in_the_body_of_a_first_is_not_one(locked: House) -> None:
    """Chunked wins over a length, as everybody in between reads it, or the request is refused."""
    hidden = http("POST /claude", JSON, KEY, body=ASK)
    chunk = f"{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n"
    received = await locked.say(
        http("POST /claude", JSON, KEY, "Content-Length: 4", "Transfer-Encoding: chunked") + chunk
    )
    assert received.count(b"HTTP/1.1 ") == 1 and received.startswith(b"HTTP/1.1 400 ")
    assert locked.standin.requests == []


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
                with anyio.fail_after(60):
                    while (await house.service.health()).queued != waiting or not own_standin.requests:
                        await checkpoint()

        async with anyio.create_task_group() as tasks:
            await ask_in_turn(["flood 1", "flood 2", "flood 3", "flood 4"], [0, 1, 2, 3])
            tasks.start_soon(ask, "other")
            with anyio.fail_after(60):
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
        with anyio.fail_after(60):
            await house.standin.wait_for_request(2)
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
        with anyio.fail_after(60):
            await house.standin.wait_for_request(2)
        both.set()
    assert sorted(answers) == [(1, "to mine"), (1, "to yours")]


async def test_an_id_to_go_on_with_cannot_be_guessed(house: House) -> None:
    ids = [(await house.ask(prompt="hello")).session_id for _ in range(2)]
    assert [UUID(str(one)).version for one in ids] == [4, 4]
    assert len(set(ids)) == 2
