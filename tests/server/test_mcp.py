"""The two tools over MCP, in every version of the protocol."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest
from dirty_equals import IsPartialDict
from jsonschema.validators import Draft202012Validator
from mcp import Client
from mcp_types import CallToolResult

from claude_max_mcp import standin as api
from claude_max_mcp.engine.fold import Fold
from claude_max_mcp.front.mcp import ASK_CLAUDE, HEALTH
from claude_max_mcp.front.progress import MOST_PER_SECOND
from claude_max_mcp.results import AskResult, Health
from claude_max_mcp.standin import Failure, Reply, Text, Thinking
from tests.house import MODERN, House, asked

Json = dict[str, Any]

HANDSHAKE = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
MODES = ["legacy", MODERN]


@dataclass
class Session:
    """A client that speaks JSON-RPC over HTTP by hand, in one version of the protocol."""

    http: httpx2.AsyncClient
    version: str
    headers: dict[str, str] = field(default_factory=lambda: {"accept": "application/json, text/event-stream"})
    opening: Json = field(default_factory=dict[str, Any])
    notified: list[Json] = field(default_factory=list[Json])

    async def open(self) -> None:
        client = {"name": "by hand", "version": "1"}
        params = {"protocolVersion": self.version, "capabilities": {}, "clientInfo": client}
        self.opening = await self.call("initialize", params)
        if self.version >= "2025-06-18":  # earlier ones know no such header
            self.headers["mcp-protocol-version"] = self.version
        reply = await self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert reply.status_code == 202

    async def call(self, method: str, params: Json) -> Json:
        if self.version == MODERN:
            meta: Json = {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {},
            }
            params = {**params, "_meta": {**params.get("_meta", {}), **meta}}
            self.headers |= {"mcp-protocol-version": MODERN, "mcp-method": method}
            self.headers |= {"mcp-name": params["name"]} if "name" in params else {}
        reply = await self._post({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
        assert reply.status_code == 200
        self.headers |= {name: reply.headers[name] for name in ("mcp-session-id",) if name in reply.headers}
        *self.notified, answer = _messages(reply)
        assert answer["id"] == 7
        return answer["result"]

    async def close(self) -> None:
        if "mcp-session-id" in self.headers:
            assert (await self.http.delete("/mcp", headers=self.headers)).status_code == 200

    async def _post(self, message: Json) -> httpx2.Response:
        return await self.http.post("/mcp", json=message, headers=self.headers)


def _messages(reply: httpx2.Response) -> list[Json]:
    if reply.headers["content-type"].startswith("application/json"):
        return [reply.json()]
    return [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]


@asynccontextmanager
async def session(house: House, version: str) -> AsyncGenerator[Session]:
    async with house.http() as http:
        by_hand = Session(http, version)
        if version != MODERN:
            await by_hand.open()
        yield by_hand
        await by_hand.close()


@pytest.mark.parametrize("version", HANDSHAKE)
async def test_a_handshake_settles_on_the_version_that_was_asked_for(house: House, version: str) -> None:
    async with session(house, version) as by_hand:
        assert by_hand.opening["protocolVersion"] == version
        assert by_hand.opening["serverInfo"] == IsPartialDict({"name": "claude-max", "title": "Claude Max"})
        assert "ask_claude" in by_hand.opening["instructions"]


@pytest.mark.parametrize("version", [*HANDSHAKE, MODERN])
async def test_every_version_of_the_protocol_asks_and_listens(house: House, version: str) -> None:
    house.standin.enqueue(Reply(content=(Text("Paris it is."),)))
    async with session(house, version) as by_hand:
        listed = await by_hand.call("tools/list", {})
        call = {"name": "ask_claude", "arguments": {"prompt": "hello"}, "_meta": {"progressToken": "p"}}
        result = await by_hand.call("tools/call", call)
        progress = [message["params"] for message in by_hand.notified]
        health = await by_hand.call("tools/call", {"name": "health", "arguments": {}})
    assert [tool["name"] for tool in listed["tools"]] == ["ask_claude", "health"]
    assert result["content"] == [{"type": "text", "text": "Paris it is."}]
    assert result["isError"] is False
    assert AskResult.model_validate(result["structuredContent"]).response == "Paris it is."
    assert "".join(params["message"] for params in progress) == "Paris it is."
    assert {params["progressToken"] for params in progress} == {"p"}
    assert Health.model_validate(health["structuredContent"]).status == "healthy"


@pytest.mark.parametrize("version", ["1999-01-01", "2099-01-01", "nonsense"])
async def test_a_handshake_for_an_unknown_version_is_offered_the_newest_that_has_one(
    house: House, version: str
) -> None:
    async with house.http() as http:
        by_hand = Session(http, version)
        params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        assert (await by_hand.call("initialize", params))["protocolVersion"] == HANDSHAKE[-1]
        await by_hand.close()


@pytest.mark.parametrize("mode", MODES)
async def test_there_are_exactly_two_tools_and_all_is_said_about_them(house: House, mode: str) -> None:
    async with Client(house.url, mode=mode) as client:
        ask, health = (await client.list_tools()).tools
    assert (ask.name, health.name) == ("ask_claude", "health")
    assert ask.annotations and health.annotations
    hints = (ask.annotations.read_only_hint, ask.annotations.destructive_hint, ask.annotations.open_world_hint)
    assert hints == (False, False, True)
    assert (health.annotations.read_only_hint, health.annotations.idempotent_hint) == (True, True)
    for tool in (ask, health):
        assert tool.title and tool.description and tool.output_schema and tool.icons
        Draft202012Validator.check_schema(tool.input_schema)
        Draft202012Validator.check_schema(tool.output_schema)
        assert tool.input_schema["type"] == tool.output_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        assert all(facts.get("description") for facts in tool.input_schema["properties"].values())
    assert ask.input_schema["properties"].keys() == {
        *("prompt", "messages", "system", "model", "tools", "tool_choice", "thinking", "output_config"),
        *("output_schema", "max_tokens", "session_id", "workspace", "timeout", "stream"),
    }


async def conforms(house: House, tool: str, arguments: Json) -> CallToolResult:
    """The result of a call, whose structured content is as the tool's schema promises."""
    async with Client(house.url, mode=MODERN) as client:
        schemas = {listed.name: listed.output_schema for listed in (await client.list_tools()).tools}
        result = await client.call_tool(tool, arguments)
    Draft202012Validator(schemas[tool] or {}).validate(result.structured_content)  # pyright: ignore[reportUnknownMemberType]
    return result


@pytest.mark.parametrize(
    "answer",
    [
        Reply(content=(Thinking("hm"), Text("a"), Text("b"))),
        Reply(content=()),
        api.usage_limit(),
        api.invalid_request(),
    ],
    ids=["an answer", "an empty answer", "a usage limit", "a refused request"],
)
async def test_a_result_of_ask_claude_is_what_its_schema_promises(house: House, answer: Reply | Failure) -> None:
    house.standin.script(lambda request: answer)
    result = await conforms(house, "ask_claude", {"prompt": "hello"})
    assert asked(result).success is not result.is_error


REFUSED: list[Json] = [{}, {"prompt": ""}, {"prompt": "a", "session_id": "s"}, {"prompt": "a", "x": 1}]


@pytest.mark.parametrize("arguments", REFUSED)
async def test_a_refusal_of_ask_claude_is_what_its_schema_promises(house: House, arguments: Json) -> None:
    assert (await conforms(house, "ask_claude", arguments)).is_error


async def test_a_result_of_health_is_what_its_schema_promises(house: House) -> None:
    await house.ask(prompt="so that there is something to tell")
    result = await conforms(house, "health", {})
    assert not result.is_error


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("nonesuch", {}, "`ask_claude` and `health`"),
        ("ask_claude", {"prompt": "a", "temperature": 1}, "temperature"),
        ("ask_claude", {}, "`prompt` or `messages`"),
        ("health", {"verbose": True}, "verbose"),
        ("health", {"probe": "yes"}, "probe"),
    ],
)
async def test_a_wrong_name_is_a_typed_error_that_says_which(
    house: House, mode: str, tool: str, arguments: Json, says: str
) -> None:
    async with Client(house.url, mode=mode) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    error: Json = result.structured_content["error"]
    assert (error["code"], error["status"]) == ("invalid_request", 400)
    assert says in error["message"]
    assert result.content[0] == text_block(error["message"])
    assert house.standin.requests == []


def text_block(text: str) -> Any:
    """A text block with this text."""
    from mcp_types import TextContent

    return TextContent(type="text", text=text)


@dataclass
class Heard:
    """The progress of one call, and whether any came after its result."""

    numbers: list[float] = field(default_factory=list[float])
    messages: list[str] = field(default_factory=list[str])
    over: bool = False

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        assert not self.over, "progress after the result"
        self.numbers.append(progress)
        self.messages.append(message or "")


async def listen(house: House, mode: str, **arguments: Any) -> tuple[Heard, AskResult]:
    heard = Heard()
    async with Client(house.url, mode=mode) as client:
        result = await client.call_tool("ask_claude", arguments, progress_callback=heard)
        heard.over = True
        await client.call_tool("health", {})  # whatever else was under way has come by now
    return heard, asked(result)


LONG = " ".join(f"word{number}" for number in range(150))


@pytest.mark.parametrize("mode", MODES)
async def test_the_text_comes_as_progress_before_the_result(house: House, mode: str) -> None:
    house.standin.enqueue(Reply(content=(Thinking("not told"), Text(LONG)), pace=0.002))
    heard, result = await listen(house, mode, prompt="hello")
    assert "".join(heard.messages) == result.response == LONG
    assert len(heard.messages) > 1
    assert heard.numbers == list(range(1, len(heard.numbers) + 1))


@pytest.mark.parametrize("mode", MODES)
async def test_the_events_that_come_as_progress_make_up_the_message(house: House, mode: str) -> None:
    house.standin.enqueue(Reply(content=(Thinking("hm", "c2ln"), Text(LONG)), pace=0.002))
    heard, result = await listen(house, mode, prompt="hello", stream="events")
    builder = Fold()
    for message in heard.messages:
        builder.add(json.loads(message))
    assert builder.complete
    assert builder.message == result.message
    assert heard.numbers == list(range(1, len(heard.numbers) + 1))


async def test_more_than_a_second_can_carry_is_still_whole_before_the_result(house: House) -> None:
    blocks = [Text(f"block {number} ") for number in range(MOST_PER_SECOND)]
    house.standin.enqueue(Reply(content=blocks))
    heard, result = await listen(house, MODERN, prompt="hello", stream="events")
    starts = [message for message in heard.messages if "content_block_start" in message]
    assert len(starts) == len(blocks)
    assert result.response == "".join(block.text for block in blocks)


async def test_without_a_progress_token_nothing_but_the_result_comes(house: House) -> None:
    async with session(house, "2025-11-25") as by_hand:
        await by_hand.call("tools/call", {"name": "ask_claude", "arguments": {"prompt": "hello"}})
        assert by_hand.notified == []


@pytest.mark.parametrize("token", [0, ""])
async def test_a_progress_token_may_be_the_least_there_is(house: House, token: int | str) -> None:
    """Some clients count their requests from 0 and take the number as the token."""
    async with session(house, MODERN) as by_hand:
        call = {"name": "ask_claude", "arguments": {"prompt": "hello"}, "_meta": {"progressToken": token}}
        await by_hand.call("tools/call", call)
        assert {message["params"]["progressToken"] for message in by_hand.notified} == {token}


@pytest.mark.parametrize("mode", MODES)
async def test_eight_calls_at_once_on_one_client_each_get_their_own(house: House, mode: str) -> None:
    results: dict[int, AskResult] = {}
    heard = {number: Heard() for number in range(8)}

    async def ask(client: Client, number: int) -> None:
        call = partial(client.call_tool, "ask_claude", {"prompt": f"number {number}."})
        results[number] = asked(await call(progress_callback=heard[number]))
        heard[number].over = True

    async with Client(house.url, mode=mode) as client, anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(ask, client, number)
    for number, result in results.items():
        assert result.response.endswith(f"number {number}.")
        assert "".join(heard[number].messages) == result.response
    assert len(results) == 8


@pytest.mark.parametrize("mode", MODES)
async def test_health_answers_while_calls_are_running(house: House, mode: str) -> None:
    hold = anyio.Event()
    house.standin.script(lambda request: Reply(hold=hold))
    with anyio.fail_after(60):
        async with Client(house.url, mode=mode) as client, anyio.create_task_group() as tasks:
            for number in range(2):
                tasks.start_soon(client.call_tool, "ask_claude", {"prompt": f"{number}"})
            await house.standin.wait_for_request(2)
            result = await client.call_tool("health", {})
            assert Health.model_validate(result.structured_content).in_flight == 2
            hold.set()


def test_no_argument_is_to_be_repeated_in_a_header_so_no_schema_is_looked_through_for_one() -> None:
    """Where one is, `get_tool_input_schema` must give the schema."""
    assert "x-mcp-header" not in f"{ASK_CLAUDE.input_schema} {HEALTH.input_schema}"
