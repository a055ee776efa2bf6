"""The caller's tools: calls, results in their order and kind, choices, and runs that stop in between."""

from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    BinaryContent,
    DeferredToolRequests,
    DeferredToolResults,
    ModelRetry,
    RunContext,
    ToolDenied,
    ToolReturn,
)
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, ToolFailed, UserError
from pydantic_ai.messages import ModelMessagesTypeAdapter
from pydantic_ai.settings import ToolOrOutput

from claude_max_mcp.standin import Reply, StandIn, Text, ToolUse
from pydantic_ai_claude_max import ClaudeMaxModel
from tests.samples import PNG

from .behaviours import behaviour
from .blocks import Json, blocks, offered

DONE = Reply(content=(Text("Done."),))


def results(upstream: StandIn, at: int = -1) -> list[Json]:
    return [block for block in blocks(upstream.requests[at]) if block["type"] == "tool_result"]


def said(result: Json) -> str:
    content: str | list[Json] = result["content"]
    return content if isinstance(content, str) else "".join(str(block["text"]) for block in content)


@pytest.fixture
def agent(model: ClaudeMaxModel) -> Agent[None, str]:
    agent = Agent(model, retries=2)

    @agent.tool_plain
    def double(number: int) -> int:
        """Twice a number."""
        if number < 0:
            raise ModelRetry("Only from zero on.")
        if number > 100:
            raise ToolFailed("The machine is broken.")
        return number * 2

    assert double is not None
    return agent


@behaviour(2, 3)
async def test_parallel_calls_keep_their_ids_and_their_order(upstream: StandIn, agent: Agent[None, str]) -> None:
    calls = [ToolUse("double", {"number": number}, f"toolu_{number}") for number in (3, 1, 2)]
    upstream.enqueue(Reply(content=calls), DONE)
    assert (await agent.run("go")).output == "Done."
    got = {result["tool_use_id"]: said(result) for result in results(upstream)}
    assert got == {"toolu_3": "6", "toolu_1": "2", "toolu_2": "4"}
    assert len(upstream.requests) == 2


@behaviour(2)
async def test_a_loop_of_several_steps_stays_in_one_process(upstream: StandIn, agent: Agent[None, str]) -> None:
    steps = [Reply(content=(Text(f"step {n}"), ToolUse("double", {"number": n}, f"toolu_{n}"))) for n in range(5)]
    upstream.enqueue(*steps, DONE)
    result = await agent.run("go")
    assert (result.output, result.usage.tool_calls, result.usage.requests) == ("Done.", 5, 6)
    assert len({request.headers["x-claude-code-session-id"] for request in upstream.requests}) == 1


@behaviour(3, 22)
async def test_what_a_tool_adds_beside_its_result_comes_after_the_results(
    upstream: StandIn, model: ClaudeMaxModel
) -> None:
    agent = Agent(model)

    @agent.tool_plain
    def look() -> ToolReturn[str]:
        """Take a picture."""
        picture = BinaryContent.from_data_uri(f"data:image/png;base64,{PNG}")
        return ToolReturn("taken", content=["Here it is:", picture])

    assert look is not None
    upstream.enqueue(Reply(content=(ToolUse("look", {}, "toolu_1"),)), DONE)
    assert (await agent.run("go")).output == "Done."
    got = blocks(upstream.requests[-1])
    assert got[0]["type"] == "tool_result" and said(got[0]) == "taken"
    assert got[1] == {"type": "text", "text": "Here it is:"}
    assert got[2]["source"]["data"] == PNG


@behaviour(22)
async def test_an_image_that_a_tool_returns_is_one_upstream(upstream: StandIn, model: ClaudeMaxModel) -> None:
    agent = Agent(model)

    @agent.tool_plain
    def look() -> BinaryContent:
        """Take a picture."""
        return BinaryContent.from_data_uri(f"data:image/png;base64,{PNG}")

    assert look is not None
    upstream.enqueue(Reply(content=(ToolUse("look", {}, "toolu_1"),)), DONE)
    await agent.run("go")
    images = [block for block in _all(blocks(upstream.requests[-1])) if block.get("type") == "image"]
    assert [image["source"]["data"] for image in images] == [PNG]


def _all(found: Any) -> list[Json]:
    if isinstance(found, list):
        return [inner for item in found for inner in _all(item)]  # pyright: ignore[reportUnknownVariableType]
    return [found, *_all(list(found.values()))] if isinstance(found, dict) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


@behaviour(22)
async def test_a_sound_that_a_tool_returns_becomes_a_note_and_no_failure(
    upstream: StandIn, model: ClaudeMaxModel
) -> None:
    agent = Agent(model)

    @agent.tool_plain
    def listen() -> BinaryContent:
        """Record a sound."""
        return BinaryContent(b"RIFF", media_type="audio/wav")

    assert listen is not None
    upstream.enqueue(Reply(content=(ToolUse("listen", {}, "toolu_1"),)), DONE)
    assert (await agent.run("go")).output == "Done."
    assert "audio" in str(blocks(upstream.requests[-1]))


@behaviour(4, 5)
@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"number": -1}, "Only from zero on."), ({"number": "many"}, "valid integer"), ({"number": 101}, "broken")],
    ids=["ModelRetry", "bad arguments", "ToolFailed"],
)
async def test_what_went_wrong_reaches_the_model_as_an_error_of_the_tool(
    upstream: StandIn, agent: Agent[None, str], arguments: Json, text: str
) -> None:
    upstream.enqueue(Reply(content=(ToolUse("double", arguments, "toolu_1"),)), DONE)
    assert (await agent.run("go")).output == "Done."
    (result,) = results(upstream)
    assert result["is_error"] is True and text in said(result)


@behaviour(5)
async def test_a_call_that_a_person_denied_is_told_and_one_approved_is_run(
    upstream: StandIn, model: ClaudeMaxModel
) -> None:
    agent = Agent(model, output_type=[str, DeferredToolRequests])
    deleted: list[str] = []

    @agent.tool
    def delete(ctx: RunContext[object], name: str) -> str:
        """Delete a file."""
        if not ctx.tool_call_approved:
            raise ApprovalRequired()
        deleted.append(name)
        return "deleted"

    assert delete is not None
    calls = [ToolUse("delete", {"name": name}, f"toolu_{name}") for name in ("a", "b")]
    upstream.enqueue(Reply(content=calls), DONE)
    paused = await agent.run("go")
    assert isinstance(paused.output, DeferredToolRequests)
    answers = DeferredToolResults(approvals={"toolu_a": True, "toolu_b": ToolDenied("Not that one.")})
    done = await agent.run(message_history=paused.all_messages(), deferred_tool_results=answers)
    assert done.output == "Done." and deleted == ["a"]
    got = {result["tool_use_id"]: result for result in results(upstream)}
    assert said(got["toolu_a"]) == "deleted" and "Not that one." in said(got["toolu_b"])


@behaviour(39)
async def test_a_result_that_comes_from_elsewhere_may_come_after_a_round_trip_as_json(
    upstream: StandIn, model: ClaudeMaxModel
) -> None:
    agent = Agent(model, output_type=[str, DeferredToolRequests])

    @agent.tool_plain
    def order(item: str) -> str:
        """Order something."""
        raise CallDeferred()

    assert order is not None
    upstream.enqueue(Reply(content=(ToolUse("order", {"item": "tea"}, "toolu_1"),)), DONE)
    paused = await agent.run("go")
    history = ModelMessagesTypeAdapter.validate_json(paused.all_messages_json())
    answers = DeferredToolResults(calls={"toolu_1": "ordered"})
    done = await agent.run(message_history=history, deferred_tool_results=answers)
    assert done.output == "Done."
    assert said(results(upstream)[0]) == "ordered"


class Place(BaseModel):
    city: str


@behaviour(11)
@pytest.mark.parametrize("choice", ["required", ["double"]])
async def test_a_call_cannot_be_forced_and_nothing_is_sent(
    upstream: StandIn, agent: Agent[None, str], choice: Any
) -> None:
    with pytest.raises(UserError, match="tool_choice"):
        await agent.run("go", model_settings={"tool_choice": choice})
    assert upstream.requests == []


@behaviour(12)
@pytest.mark.parametrize(("choice", "names"), [("auto", ["double"]), ("none", [])])
async def test_tools_are_offered_as_chosen(
    upstream: StandIn, agent: Agent[None, str], choice: Any, names: list[str]
) -> None:
    await agent.run("go", model_settings={"tool_choice": choice})
    assert offered(upstream) == names


@behaviour(12)
async def test_only_the_chosen_tools_are_offered_beside_the_output(upstream: StandIn, model: ClaudeMaxModel) -> None:
    agent = Agent(model, output_type=[str, Place])

    @agent.tool_plain
    def one() -> str:
        """One."""
        return "1"

    @agent.tool_plain
    def two() -> str:
        """Two."""
        return "2"

    assert one is not None and two is not None
    choice = ToolOrOutput(function_tools=["one"])
    assert (await agent.run("go", model_settings={"tool_choice": choice})).output.startswith("This is")  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    assert "one" in offered(upstream) and "two" not in offered(upstream)
