"""Which requests come in at all: every check on every route, over real HTTP."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx2
import pytest

from claude_max_mcp.front.door import MAX_BODY
from claude_max_mcp.standin import usage_limit
from tests.house import House, serving
from tests.samples import MODERN_BODY, MODERN_CALL

ROUTES = [("GET", "/"), ("GET", "/health"), ("POST", "/claude"), ("POST", "/mcp"), ("GET", "/nowhere")]
"""Asked by a program: a browser gets a page at `/` (`test_page`), and what is here of nothing else."""
BROWSER = [("accept", "text/html")]
TOKEN = "a token that nobody guesses"
ASK = {"prompt": "hello"}
MCP_ASK = MODERN_BODY % '"prompt":"hello"'


@pytest.fixture(scope="module")
async def locked() -> AsyncGenerator[House]:
    """A server with a token, a further name and a further origin."""
    async with serving(
        warm=0,
        token=TOKEN,
        allowed_hosts="claude.example, other.example:8443",
        allowed_origins="https://app.example,http://app.example:3000",
    ) as house:
        yield house


Headers = list[tuple[str, str | bytes]]


async def knock(house: House, method: str, path: str, headers: Headers) -> httpx2.Response:
    """A request that is in order but for `headers`; POST bodies are JSON that asks nothing of Claude."""
    (reply,) = await knock_at([(method, path)], house, headers)
    return reply


async def knock_at(routes: list[tuple[str, str]], house: House, headers: Headers) -> list[httpx2.Response]:
    """The same at several routes."""
    async with house.http() as http:
        return [await _send(http, method, path, headers) for method, path in routes]


async def _send(http: httpx2.AsyncClient, method: str, path: str, headers: Headers) -> httpx2.Response:
    given = {name.lower() for name, _ in headers}
    if method == "POST" and "content-type" not in given:
        headers = [*headers, ("content-type", "application/json")]
    sent: Any = [(name, value if isinstance(value, bytes) else value.encode("latin-1")) for name, value in headers]
    sent = [(name.encode(), value) for name, value in sent]
    return await http.request(method, path, headers=sent, content=b"{}" if method == "POST" else b"")


def code(reply: httpx2.Response) -> str:
    error = reply.json()["error"]
    assert error["status"] == reply.status_code
    assert reply.json()["success"] is False
    return error["code"]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:47291",
        "127.0.0.1.evil.example",
        "localhost.evil",
        "localhost:47291@evil",
        "evil@localhost",
        "localhost:80:80",
        "localhost:port",
        "[::1]evil",
        "[::1].evil.example:80",
        "127.0.0.2",
        "0.0.0.0",
        "localhost.",
        "localhost evil",
        "",
    ],
)
async def test_a_request_for_another_host_is_misdirected(house: House, host: str) -> None:
    for reply in await knock_at(ROUTES, house, [("host", host)]):
        assert (reply.status_code, code(reply)) == (421, "wrong_host")


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:1", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:47291", "localhost:"]
)
async def test_this_machine_is_known_by_all_its_names(house: House, host: str) -> None:
    assert (await knock(house, "GET", "/health", [("host", host)])).status_code == 200


async def test_two_hosts_are_one_too_many(house: House) -> None:
    received = await house.say("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    assert received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 421 ")), "refused by the server below, or by the door"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example:47291",
        "http://localhost:47291@evil.example",
        "http://evil.example@localhost",
        "http://localhost:80/evil",
        "chrome-extension://localhost",
        "file://",
        "localhost",
        "http://",
        "https://app.example",
    ],
)
async def test_a_foreign_web_page_is_refused(house: House, origin: str) -> None:
    for reply in await knock_at(ROUTES, house, [("origin", origin)]):
        assert (reply.status_code, code(reply)) == (403, "foreign_origin")


@pytest.mark.parametrize(
    "origin", ["http://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "http://[::1]:5173"]
)
async def test_a_page_of_this_machine_may_call(house: House, origin: str) -> None:
    assert (await knock(house, "GET", "/health", [("origin", origin)])).status_code == 200


async def test_two_origins_are_one_too_many(house: House) -> None:
    reply = await knock(house, "GET", "/", [("origin", "http://localhost"), ("origin", "https://evil.example")])
    assert reply.status_code == 403


@pytest.mark.parametrize("path", ["/claude", "/mcp"])
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "application/jsonp",
        "application/json, text/plain",
        "",
    ],
)
async def test_a_body_that_a_page_can_send_unasked_is_refused(house: House, path: str, content_type: str) -> None:
    reply = await knock(house, "POST", path, [("content-type", content_type)])
    assert (reply.status_code, code(reply)) == (415, "wrong_content_type")
    assert house.standin.requests == []


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
async def test_json_is_taken_however_it_is_spelt(house: House, content_type: str) -> None:
    async with house.http() as http:
        reply = await http.post("/claude", content=b'{"prompt": "hello"}', headers={"content-type": content_type})
    assert reply.status_code == 200


RIGHT = f"Bearer {TOKEN}"
WRONG_KEYS: dict[str, Headers] = {
    "none": [],
    "another": [("authorization", "Bearer wrong")],
    "only the scheme": [("authorization", "Bearer")],
    "no scheme": [("authorization", TOKEN)],
    "another scheme": [("authorization", f"Basic {TOKEN}")],
    "one letter more": [("authorization", f"{RIGHT}x")],
    "one letter less": [("authorization", RIGHT[:-1])],
    "in capitals": [("authorization", f"Bearer {TOKEN.upper()}")],
    "very long": [("authorization", f"Bearer {'x' * 30_000}")],
    "unicode": [("authorization", "Bearer café".encode())],
    "not even unicode": [("authorization", b"Bearer \xff\xfe")],
    "twice in one header": [("authorization", f"{RIGHT}, {RIGHT}")],
    "in the second header": [("authorization", "Bearer wrong"), ("authorization", RIGHT)],
    "in the first of two headers": [("authorization", RIGHT), ("authorization", "Bearer wrong")],
    "in another header": [("x-api-key", TOKEN)],
    "in a cookie": [("cookie", f"token={TOKEN}")],
}


@pytest.mark.parametrize("headers", WRONG_KEYS.values(), ids=WRONG_KEYS.keys())
async def test_without_the_right_token_nothing_is_told(locked: House, headers: Headers) -> None:
    shows_nothing = all(name != "authorization" for name, _ in headers)
    routes = [route for route in ROUTES if not (shows_nothing and route == ("GET", "/health"))]
    as_browser = await knock_at(ROUTES[2:], locked, [*headers, *BROWSER])
    for reply in [*await knock_at(routes, locked, headers), *as_browser]:
        assert (reply.status_code, code(reply)) == (401, "unauthorized")
        assert reply.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in reply.text


KEYS: dict[str, tuple[int, Headers]] = {
    "the token": (404, [("x-api-key", TOKEN)]),
    "the token by both names": (404, [("x-api-key", TOKEN), ("authorization", RIGHT)]),
    "another": (401, [("x-api-key", "wrong")]),
    "nothing": (401, [("x-api-key", "")]),
    "one letter more": (401, [("x-api-key", f"{TOKEN}x")]),
    "with a scheme": (401, [("x-api-key", RIGHT)]),
    "not even unicode": (401, [("x-api-key", b"\xff\xfe")]),
    "in the second header": (401, [("x-api-key", "wrong"), ("x-api-key", TOKEN)]),
    "beside a wrong bearer": (401, [("x-api-key", TOKEN), ("authorization", "Bearer wrong")]),
    "wrong beside the right bearer": (401, [("x-api-key", "sk-ant-api03-invented"), ("authorization", RIGHT)]),
}


@pytest.mark.parametrize(("status", "headers"), KEYS.values(), ids=KEYS.keys())
async def test_below_v1_the_token_may_also_be_an_api_key(locked: House, status: int, headers: Headers) -> None:
    """Nothing is there in this server, which only those learn who show the token."""
    for reply in await knock_at([("POST", "/v1/messages"), ("GET", "/v1/models")], locked, headers):
        error = reply.json()["error"]
        assert (reply.status_code, error["status"]) == (status, status)
        assert error["type"] == {401: "authentication_error", 404: "not_found_error"}[status]
        assert TOKEN not in reply.text and "sk-ant" not in reply.text


@pytest.mark.parametrize("path", ["/v1", "//v1/messages", "/V1/messages", "/mcp/v1/", "/health?/v1/", "/claude"])
async def test_an_api_key_opens_nothing_else(locked: House, path: str) -> None:
    assert (await knock(locked, "POST", path, [("x-api-key", TOKEN)])).status_code == 401


@pytest.mark.parametrize("query", ["x-api-key", "api_key", "token"])
async def test_a_key_in_the_address_opens_nothing(locked: House, query: str) -> None:
    address = f"/v1/messages?{query}=a+token+that+nobody+guesses"
    assert (await knock(locked, "POST", address, [])).status_code == 401


ALIVE = {"status", "claude_cli", "workspace_root", "purpose", "message"}


async def test_a_stranger_learns_whether_the_server_is_alive_and_nothing_else(locked: House) -> None:
    locked.standin.enqueue(usage_limit())
    async with locked.http() as http:
        await http.post("/claude", json=ASK, headers={"authorization": RIGHT})
    told = (await knock(locked, "GET", "/health", [])).json()
    assert told.keys() == ALIVE
    assert told["status"] == "degraded" and "limit" not in told["message"]


@pytest.mark.parametrize("address", ["/health?probe=1", "/health?", "//health", "/health/", "/HEALTH"])
async def test_a_stranger_gets_no_more_by_another_spelling(locked: House, address: str) -> None:
    locked.standin.reset()
    reply = await knock(locked, "GET", address, [])
    assert reply.status_code == 401 or reply.json().keys() == ALIVE
    assert locked.standin.requests == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_right_token_opens(locked: House, scheme: str) -> None:
    replies = await knock_at(ROUTES, locked, [("authorization", f"{scheme} {TOKEN}")])
    assert [reply.status_code for reply in replies] == [200, 200, 400, 400, 404]


async def test_the_right_token_opens_what_asks_claude(locked: House) -> None:
    key = {"authorization": f"Bearer {TOKEN}"}
    async with locked.http() as http:
        plain = await http.post("/claude", json=ASK, headers=key)
        mcp = await http.post("/mcp", content=MCP_ASK, headers={**MODERN_CALL, **key})
    assert plain.json()["success"] is True
    assert mcp.json()["result"]["structuredContent"]["success"] is True


async def test_a_token_in_the_address_opens_nothing(locked: House) -> None:
    assert (await knock(locked, "GET", "/health?token=a+token+that+nobody+guesses", [])).status_code == 401


async def test_the_door_says_what_is_wrong_before_it_asks_for_the_token(locked: House) -> None:
    """A foreign page learns nothing of whether there is a token."""
    assert (await knock(locked, "GET", "/", [("origin", "https://evil.example")])).status_code == 403
    assert (await knock(locked, "GET", "/", [("host", "evil.example")])).status_code == 421


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("claude.example", 200),
        ("Claude.Example:443", 200),
        ("other.example:8443", 200),
        ("other.example", 421),
        ("other.example:1", 421),
        ("sub.claude.example", 421),
        ("localhost", 200),
    ],
)
async def test_further_hosts_may_be_allowed(locked: House, host: str, status: int) -> None:
    headers: Headers = [("host", host), ("authorization", f"Bearer {TOKEN}")]
    assert (await knock(locked, "GET", "/health", headers)).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://app.example", 200),
        ("http://app.example:3000", 200),
        ("http://app.example", 403),
        ("https://app.example:3000", 403),
        ("https://app.example.evil", 403),
        ("http://localhost:5173", 200),
    ],
)
async def test_further_origins_may_be_allowed(locked: House, origin: str, status: int) -> None:
    headers: Headers = [("origin", origin), ("authorization", f"Bearer {TOKEN}")]
    assert (await knock(locked, "GET", "/health", headers)).status_code == status


@pytest.mark.parametrize("path", ["/claude", "/mcp"])
async def test_a_body_that_announces_to_be_too_large_is_refused_unread(house: House, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    received = await house.say(f"{head}Content-Length: {MAX_BODY + 1}\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"request_too_large"' in received


async def _chunks(count: int) -> AsyncIterator[bytes]:
    yield b'{"prompt": "'
    for _ in range(count):
        yield b"x" * (1024 * 1024)
    yield b'"}'


@pytest.mark.parametrize("path", ["/claude", "/mcp"])
async def test_a_body_that_turns_out_too_large_is_refused(house: House, path: str) -> None:
    async with house.http() as http:
        reply = await http.post(path, content=_chunks(33), headers=MODERN_CALL)
    assert (reply.status_code, code(reply)) == (413, "request_too_large")
    assert house.standin.requests == []


async def test_a_body_that_comes_in_chunks_is_taken(house: House) -> None:
    async with house.http() as http:
        reply = await http.post("/claude", content=_chunks(1), headers={"content-type": "application/json"})
    assert reply.json()["success"] is True
    assert len(house.standin.requests[0].last_text) == 1024 * 1024


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://evil.example"])
async def test_no_page_is_ever_let_in_by_a_cors_header(house: House, origin: str) -> None:
    preflight: Headers = [("access-control-request-method", "POST"), ("access-control-request-headers", "x")]
    asked = [("OPTIONS", path) for path in ("/", "/health", "/claude", "/mcp")]
    replies = await knock_at([*ROUTES, *asked], house, [("origin", origin), *preflight])
    for reply in replies:
        assert [name for name in reply.headers if name.startswith("access-control")] == []
    assert all(reply.status_code >= 400 for reply in replies[len(ROUTES) :])
