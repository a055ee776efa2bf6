"""Agents with tools, structured output and history, through the real CLI."""

from itertools import pairwise
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.messages import ModelMessagesTypeAdapter, ToolCallPart

from claude_max_mcp.standin import Reply, Text, Thinking, ToolUse
from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider
from tests.house import House


@pytest.fixture
def model(house: House) -> ClaudeMaxModel:
    return ClaudeMaxModel("sonnet", provider=ClaudeMaxProvider(base_url=house.url))


class City(BaseModel):
    name: str
    country: str


async def test_an_agent_calls_its_tools_and_the_process_goes_on(house: House, model: ClaudeMaxModel) -> None:
    agent = Agent(model)
    asked: list[str] = []

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Tell the weather."""
        asked.append(city)
        return f"sunny in {city}"

    assert get_weather is not None
    house.standin.enqueue(
        Reply(
            content=(
                Thinking("hm", "c2ln"),
                ToolUse("get_weather", {"city": "Paris"}, "toolu_1"),
                ToolUse("get_weather", {"city": "Rome"}, "toolu_2"),
            )
        ),
        Reply(content=(ToolUse("get_weather", {"city": "Oslo"}, "toolu_3"),)),
        Reply(content=(Text("Sunny everywhere."),)),
    )
    result = await agent.run("weather?")
    assert result.output == "Sunny everywhere."
    assert sorted(asked) == ["Oslo", "Paris", "Rome"]
    assert len(house.standin.requests) == 3
    assert len({request.headers["x-claude-code-session-id"] for request in house.standin.requests}) == 1
    assert result.usage.requests == 3 and result.usage.tool_calls == 3


async def test_consecutive_requests_of_a_run_extend_one_prefix(house: House, model: ClaudeMaxModel) -> None:
    agent = Agent(model, instructions="Be terse.")

    @agent.tool_plain
    def step() -> str:
        """Take a step."""
        return "done"

    assert step is not None
    calls = [Reply(content=(ToolUse("step", {}, f"toolu_{n}"),)) for n in range(3)]
    house.standin.enqueue(*calls, Reply(content=(Text("finished"),)))
    await agent.run("go")
    bodies = [request.body for request in house.standin.requests]
    assert len(bodies) == 4
    for earlier, later in pairwise(bodies):
        for name in ("system", "tools", "model"):
            assert later[name] == earlier[name]
        before = [_said(message) for message in earlier["messages"]]
        assert [_said(message) for message in later["messages"]][: len(before)] == before


def _said(message: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    content: Any = message["content"]
    blocks: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return message["role"], [{k: v for k, v in block.items() if k != "cache_control"} for block in blocks]


async def test_a_retry_of_a_tool_reaches_claude_as_an_error(house: House, model: ClaudeMaxModel) -> None:
    agent = Agent(model)

    @agent.tool_plain
    def find(name: str) -> str:
        """Find something."""
        if name == "wrong":
            raise ModelRetry("there is no such thing")
        return "found"

    assert find is not None
    house.standin.enqueue(
        Reply(content=(ToolUse("find", {"name": "wrong"}, "toolu_1"),)),
        Reply(content=(ToolUse("find", {"name": "right"}, "toolu_2"),)),
        Reply(content=(Text("done"),)),
    )
    assert (await agent.run("find it")).output == "done"
    (result,) = house.standin.requests[1].last_blocks
    assert result["is_error"] is True and "no such thing" in str(result["content"])


@pytest.mark.parametrize("mode", ["auto", "tool", "native", "prompted"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_structured_output_in_every_mode(
    house: House, model: ClaudeMaxModel, mode: Literal["auto", "tool", "native", "prompted"], streamed: bool
) -> None:
    wanted = {"auto": City, "tool": ToolOutput(City), "native": NativeOutput(City), "prompted": PromptedOutput(City)}
    oslo = {"name": "Oslo", "country": "Norway"}

    def answer(request: object) -> Reply:
        offered = [tool["name"] for tool in house.standin.requests[-1].body["tools"]]
        if "StructuredOutput" in offered:
            return Reply(content=(Text("here"), ToolUse("StructuredOutput", oslo)))
        if offered:
            return Reply(content=(ToolUse(offered[0], oslo),))
        return Reply(content=(Text('{"name": "Oslo", "country": "Norway"}'),))

    house.standin.script(answer)
    agent = Agent(model, output_type=wanted[mode])
    if streamed:
        async with agent.run_stream("where?") as stream:
            output = await stream.get_output()
    else:
        output = (await agent.run("where?")).output
    assert output == City(name="Oslo", country="Norway")


async def test_a_chat_goes_on_with_history_even_after_a_round_trip_as_json(house: House, model: ClaudeMaxModel) -> None:
    agent = Agent(model)
    house.standin.enqueue(Reply(content=(Thinking("hm", "c2ln"), Text("Hello Ada."))))
    first = await agent.run("I am Ada.")
    history = ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(first.all_messages()))
    second = await agent.run("Who am I?", message_history=history)
    assert second.output.endswith("Who am I?")
    assert [message["role"] for message in house.standin.requests[1].messages] == ["user", "assistant", "user"]
    assert house.standin.requests[1].messages[1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "text", "text": "Hello Ada."},
    ]
    sessions = {request.headers["x-claude-code-session-id"] for request in house.standin.requests}
    assert len(sessions) == 1, "the very same process went on"


async def test_a_streamed_run_with_tools(house: House, model: ClaudeMaxModel) -> None:
    agent = Agent(model)

    @agent.tool_plain
    def now() -> str:
        """Tell the time."""
        return "noon"

    assert now is not None
    house.standin.enqueue(Reply(content=(ToolUse("now", {}, "toolu_1"),)), Reply(content=(Text("It is noon."),)))
    async with agent.run_stream("what time is it?") as stream:
        assert await stream.get_output() == "It is noon."
    called = [part for message in stream.all_messages() for part in message.parts if isinstance(part, ToolCallPart)]
    assert [part.tool_name for part in called] == ["now"]
