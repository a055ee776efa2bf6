"""The door alone, in front of an application that says what it gets: who comes in, and what the others are told."""

import json
from collections import deque
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Message

from claude_max_mcp.front.door import MAX_BODY, MAX_HEAD, MAX_HEADERS, is_anonymous
from tests.properties.knocking import Caller, knock, make_body, request_with
from tests.properties.values import Json
from tests.virtual import in_virtual_asyncio_time

TOKEN = "the token"
NAMES = ("127.0.0.1", "localhost", "::1", "own.example")

Labelled = list[tuple[str, bool]]
"""Values of a header, each with whether it is in order."""

HOSTS: Labelled = [
    *((host, True) for host in ("localhost", "LOCALHOST:80", "[::1]:80", "127.0.0.1:", "own.example", "Own.Example:1")),
    *((host, False) for host in ("evil.example", "localhost.", "[::1]x", "localhost:80:80", "own.example@evil", "")),
]
ORIGINS: Labelled = [
    *((origin, True) for origin in ("http://localhost:3000", "https://[::1]", "https://app.example")),
    *((origin, False) for origin in ("https://app.example:1", "null", "ftp://localhost", "http://evil", "localhost")),
]
AUTHORIZATIONS: Labelled = [
    *((value, True) for value in ("Bearer the token", "bearer the token", "BEARER  the token ")),
    *((value, False) for value in ("Bearer wrong", "the token", "Basic the token", "Bearer", "Bearer the tokén")),
]
KEYS: Labelled = [("the token", True), ("wrong", False)]
TYPES: Labelled = [
    *((value, True) for value in ("application/json", "Application/JSON ; charset=utf-8")),
    *((value, False) for value in ("text/plain", "", "application/json-seq")),
]
LENGTHS: Labelled = [("0", True), ("2", True), (str(MAX_BODY), True), (str(MAX_BODY + 1), False), ("many", True)]


@dataclass(frozen=True)
class Case:
    """A request made of headers that are in order or not."""

    method: str
    path: str
    query: str
    accept: str
    token: str | None
    hosts: Labelled
    origins: Labelled
    authorizations: Labelled
    keys: Labelled
    types: Labelled
    lengths: Labelled

    @property
    def caller(self) -> Caller:
        named = {
            "host": self.hosts,
            "origin": self.origins,
            "authorization": self.authorizations,
            "x-api-key": self.keys,
            "content-type": self.types,
            "content-length": self.lengths,
            "accept": [(self.accept, True)],
        }
        return Caller(
            self.method, self.path, self.query, [(name, v) for name, values in named.items() for v, _ in values]
        )

    @property
    def anonymous(self) -> bool:
        """Whether it needs no token, as it asks for what is open to all."""
        page = self.path == "/" and "text/html" in self.accept
        is_open = self.method == "GET" and (self.path == "/health" or page)
        return self.token is not None and is_open and not self.query and not self.authorizations

    @property
    def status(self) -> int:
        """What the answer must be: the first thing that is wrong."""
        shown = [*self.authorizations, *(self.keys if self.path.startswith("/v1/") else [])]
        is_admitted = bool(shown) and all(ok for _, ok in shown)
        if not self.hosts or not all(ok for _, ok in self.hosts):
            return 421
        if not all(ok for _, ok in self.origins):
            return 403
        if self.token and not self.anonymous and not is_admitted:
            return 401
        if self.method == "POST" and not (self.types and self.types[0][1]):
            return 415
        return 200 if all(ok for _, ok in self.lengths) else 413


def some_of(values: Labelled, most: int, least: int = 0) -> st.SearchStrategy[Labelled]:
    """Mostly values that are in order."""
    good = st.sampled_from([value for value in values if value[1]])
    return st.lists(good | good | st.sampled_from(values), min_size=least, max_size=most)


CASES = st.builds(
    Case,
    method=st.sampled_from(["GET", "POST", "OPTIONS"]),
    path=st.sampled_from(["/", "/health", "/v1/messages", "/v1", "/claude"]),
    query=st.sampled_from(["", "", "key=the+token"]),
    accept=st.sampled_from(["text/html,*/*", "application/json"]),
    token=st.sampled_from([None, TOKEN]),
    hosts=some_of(HOSTS, 2, 1) | st.just([]),
    origins=some_of(ORIGINS, 2),
    authorizations=some_of(AUTHORIZATIONS, 2),
    keys=some_of(KEYS, 1),
    types=some_of(TYPES, 1),
    lengths=some_of(LENGTHS, 1),
)


@given(case=CASES)
@in_virtual_asyncio_time
async def test_who_comes_in_is_decided_by_the_first_thing_that_is_wrong(case: Case) -> None:
    caller = case.caller
    behind = await knock(caller, make_body(b"{}"), case.token)
    assert caller.status == case.status
    if case.status == 200:
        assert behind.bodies == [b"{}"]
        assert is_anonymous(behind.scopes[0]) == case.anonymous
    else:
        assert (caller.error["status"], bool(caller.error["message"])) == (case.status, True)


@pytest.mark.parametrize(
    ("header", "path", "token", "values", "status"),
    [
        ("host", "/claude", None, HOSTS, 421),
        ("origin", "/claude", None, ORIGINS, 403),
        ("authorization", "/claude", TOKEN, AUTHORIZATIONS, 401),
        ("x-api-key", "/v1/messages", TOKEN, KEYS, 401),
        ("x-api-key", "/claude", TOKEN, [(value, False) for value, _ in KEYS], 401),
        ("content-type", "/claude", None, TYPES, 415),
        ("content-length", "/claude", None, LENGTHS, 413),
    ],
)
@in_virtual_asyncio_time
async def test_each_header_alone_lets_in_or_keeps_out(
    header: str, path: str, token: str | None, values: Labelled, status: int
) -> None:
    for value, is_in_order in values:
        caller = request_with((header, value), path=path)
        await knock(caller, make_body(b"{}"), token)
        assert caller.status == (200 if is_in_order else status), value


ADMITTED = ("authorization", "Bearer the token")


@pytest.mark.parametrize(
    ("headers", "status", "code", "kind", "part"),
    [
        ([("host", "evil.example")], 421, "wrong_host", "invalid_request_error", "Host"),
        ([("origin", "null")], 403, "foreign_origin", "permission_error", "Origin"),
        ([], 401, "unauthorized", "authentication_error", "Authorization"),
        ([ADMITTED, ("content-type", "")], 415, "wrong_content_type", "invalid_request_error", "Content-Type"),
        ([ADMITTED, ("content-length", "9" * 9)], 413, "request_too_large", "request_too_large", "Content-Length"),
        ([("a", "")] * MAX_HEADERS, 431, "request_too_large", "invalid_request_error", "head"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@in_virtual_asyncio_time
async def test_a_refusal_is_a_typed_error_that_names_the_part_of_the_request(
    headers: list[tuple[str, str]], status: int, code: str, kind: str, part: str
) -> None:
    caller = request_with(*headers)
    await knock(caller, make_body(b"{}"), TOKEN)
    answer: Json = json.loads(caller.sent[1]["body"])
    message = answer["error"].pop("message")
    assert answer == {"type": "error", "success": False, "error": {"type": kind, "code": code, "status": status}}
    assert message.startswith(f"The request's {part} is not accepted. ")


@pytest.mark.parametrize(
    ("method", "path", "query", "header", "is_open"),
    [
        ("GET", "/health", "", ("accept", "*/*"), True),
        ("GET", "/", "", ("accept", "text/html"), True),
        ("GET", "/", "", ("a", "text/html"), False),
        ("GET", "/claude", "", ("accept", "text/html"), False),
        ("OPTIONS", "/health", "", ("accept", "text/html"), False),
        ("GET", "/health", "key=the+token", ("accept", "*/*"), False),
        ("GET", "/health", "", ("authorization", "Bearer wrong"), False),
    ],
)
@in_virtual_asyncio_time
async def test_without_the_token_two_things_are_open_and_are_told_so(
    method: str, path: str, query: str, header: tuple[str, str], is_open: bool
) -> None:
    caller = Caller(method, path, query, [("host", "localhost"), header])
    behind = await knock(caller, make_body(), TOKEN)
    assert caller.status == (200 if is_open else 401)
    assert [is_anonymous(scope) for scope in behind.scopes] == [True] * is_open


def is_named(host: str) -> bool:
    """Whether a `Host` is one of the names, in brackets or not, with a port or without."""
    host = host.lower()
    before, colon, port = host.rpartition(":")
    name = before if colon and all(digit in "0123456789" for digit in port) else host
    if name.startswith("[") and name.endswith("]"):
        return name[1:-1] in NAMES
    return host in NAMES or (name in NAMES and ":" not in name)


PIECES = st.sampled_from([*NAMES, ":", ":80", "[", "]", "[::1]", ".", "@", " ", "evil", "٣"])


@given(host=st.lists(PIECES, max_size=4).map("".join) | st.text("localhst:[]1", max_size=12))
@example(host="[localhost]:80")
@example(host="::1:80")
@in_virtual_asyncio_time
async def test_a_host_is_one_of_the_names_with_or_without_a_port(host: str) -> None:
    caller = Caller("GET", headers=[("host", host.encode("utf-8").decode("latin-1"))])
    await knock(caller, make_body())
    assert (caller.status == 200) == is_named(host)


@given(fields=st.integers(MAX_HEADERS - 2, MAX_HEADERS + 2), more=st.integers(-2, 2))
@in_virtual_asyncio_time
async def test_a_head_has_a_bound_in_fields_and_in_bytes(fields: int, more: int) -> None:
    headers = [("host", "localhost"), *((f"a{at:03}", "") for at in range(fields - 1))]
    size = sum(len(name) + len(value) for name, value in headers)
    headers[-1] = (headers[-1][0], "x" * (MAX_HEAD + more - size))
    caller = Caller("GET", headers=headers)
    await knock(caller, make_body())
    assert caller.status == (200 if fields <= MAX_HEADERS and more <= 0 else 431)


JSON = [("host", "localhost"), ("content-type", "application/json"), ("transfer-encoding", "chunked")]


@given(chunks=st.lists(st.binary(max_size=5), min_size=1, max_size=8))
@in_virtual_asyncio_time
async def test_a_body_comes_through_as_it_was_sent(chunks: list[bytes]) -> None:
    behind = await knock(Caller(headers=JSON), make_body(*chunks))
    assert behind.bodies == [b"".join(chunks)]
    assert behind.after == [{"type": "http.disconnect"}], "what follows is heard, too"


@in_virtual_asyncio_time
async def test_a_body_ends_where_no_more_is_announced() -> None:
    left = deque[Message]([{"type": "http.request", "body": b"{}"}, {"type": "http.disconnect"}])

    async def receive() -> Message:
        return left.popleft()

    behind = await knock(Caller(headers=JSON), receive)
    assert (behind.bodies, behind.after) == ([b"{}"], [{"type": "http.disconnect"}])


@given(
    sizes=st.sampled_from([[MAX_BODY], [MAX_BODY, 0], [1, MAX_BODY - 1], [MAX_BODY + 1], [MAX_BODY, 1], [1, MAX_BODY]])
)
@in_virtual_asyncio_time
async def test_a_body_has_a_bound(sizes: list[int]) -> None:
    caller = Caller(headers=JSON)
    await knock(caller, make_body(*(bytes(size) for size in sizes)))
    assert caller.status == (200 if sum(sizes) <= MAX_BODY else 413)
    assert caller.status == 200 or caller.error["message"].startswith("The request's body is not accepted. ")


@in_virtual_asyncio_time
async def test_of_a_body_that_is_too_large_no_more_is_read() -> None:
    receive = make_body(bytes(MAX_BODY), b"x", b"not read")
    await knock(Caller(headers=JSON), receive)
    assert await receive() == {"type": "http.request", "body": b"not read", "more_body": False}


@in_virtual_asyncio_time
async def test_who_is_gone_before_the_body_is_whole_is_answered_nothing() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    caller = Caller(headers=JSON)
    await knock(caller, receive)
    assert caller.sent == []


@given(
    count=st.integers(1, 5),
    every=st.sampled_from([0.5, 2.0, 3.0, 9.0]),
    announced=st.sampled_from([("transfer-encoding", "chunked"), ("content-length", "5")]),
)
@in_virtual_asyncio_time
async def test_a_body_has_a_time_in_which_it_must_be_there(
    count: int, every: float, announced: tuple[str, str]
) -> None:
    caller = request_with(announced)
    await knock(caller, make_body(*[b"x"] * count, every=every), seconds=7.0)
    if count * every < 7:
        assert caller.status == 200
    else:
        headers: Any = dict(caller.sent[0]["headers"])
        assert (caller.status, caller.error["code"], headers[b"connection"]) == (408, "timeout", b"close")
        assert caller.error["message"].startswith("The request's body is not accepted. ")
        assert "7 s" in caller.error["message"]


@in_virtual_asyncio_time
async def test_who_lacks_the_token_is_told_which_kind_is_asked_for() -> None:
    caller = Caller("GET")
    await knock(caller, make_body(), TOKEN)
    headers: Any = dict(caller.sent[0]["headers"])
    assert (caller.status, caller.error["code"], headers[b"www-authenticate"]) == (401, "unauthorized", b"Bearer")
