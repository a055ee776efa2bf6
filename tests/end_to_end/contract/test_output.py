"""Structured output in Pydantic AI's four modes: what Claude is told, and what the caller gets."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, NativeOutput, PromptedOutput, TextOutput, ToolOutput
from pydantic_ai.exceptions import ModelServerError, UnexpectedModelBehavior, UserError
from pydantic_ai.profiles import ModelProfile

from claude_max_mcp.standin import Recorded, Reply, StandIn, Text, ToolUse
from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider

from .behaviours import behaviour
from .blocks import Json, offered, system


class Stop(BaseModel):
    city: str
    by: Literal["train", "plane"]


class Trip(BaseModel):
    stops: list[Stop]
    note: str | None = None


class Refusal(BaseModel):
    reason: str


def by_train(text: str) -> Trip:
    return Trip(stops=[Stop(city=text, by="train")])


TRIP: Json = {"stops": [{"city": "Oslo", "by": "train"}], "note": None}
MODES: dict[str, Any] = {
    "auto": Trip,
    "tool": ToolOutput(Trip),
    "native": NativeOutput(Trip),
    "prompted": PromptedOutput(Trip),
    "text": TextOutput(by_train),
}


def planned(request: Recorded) -> Reply:
    """The trip, in whatever way it is asked for."""
    tools = [tool["name"] for tool in request.body["tools"]]
    if "StructuredOutput" in tools:
        return Reply(content=(Text("Here you are."), ToolUse("StructuredOutput", TRIP)))
    if "final_result" in tools:
        return Reply(content=(ToolUse("final_result", TRIP),))
    as_json = "json" in system(request).lower()
    return Reply(content=(Text(Trip.model_validate(TRIP).model_dump_json() if as_json else "Oslo"),))


@behaviour(6)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_nested_type_comes_back_in_one_step(
    upstream: StandIn, model: ClaudeMaxModel, mode: str, streamed: bool
) -> None:
    upstream.script(planned)
    agent: Agent[None, Trip] = Agent(model, output_type=MODES[mode])
    if streamed:
        async with agent.run_stream("Plan a trip.") as stream:
            output = await stream.get_output()
    else:
        output = (await agent.run("Plan a trip.")).output
    assert output == Trip.model_validate(TRIP)
    assert len(upstream.requests) == 1


@behaviour(6)
@pytest.mark.parametrize("mode", ["auto", "tool", "native", "prompted"])
async def test_a_tool_may_be_called_first(upstream: StandIn, model: ClaudeMaxModel, mode: str) -> None:
    agent: Agent[None, Trip] = Agent(model, output_type=MODES[mode])

    @agent.tool_plain
    def weather() -> str:
        """Tell the weather."""
        return "sunny"

    assert weather is not None
    upstream.enqueue(Reply(content=(ToolUse("weather", {}, "toolu_1"),)))
    upstream.script(planned)
    result = await agent.run("Plan a trip.")
    assert result.output == Trip.model_validate(TRIP) and result.usage.tool_calls == 1
    assert len(upstream.requests) == 2


@behaviour(7)
async def test_beside_a_type_text_is_allowed_where_the_caller_says_so(upstream: StandIn, model: ClaudeMaxModel) -> None:
    agent: Agent[None, str | Trip] = Agent(model, output_type=[str, Trip])
    upstream.enqueue(Reply(content=(Text("I would rather not."),)), Reply(content=(ToolUse("final_result", TRIP),)))
    assert (await agent.run("Plan a trip.")).output == "I would rather not."
    assert (await agent.run("Please.")).output == Trip.model_validate(TRIP)


@behaviour(6)
async def test_one_of_several_types_is_chosen_by_its_tool(upstream: StandIn, model: ClaudeMaxModel) -> None:
    outputs = [ToolOutput(Trip, name="trip"), ToolOutput(Refusal, name="refusal")]
    agent: Agent[None, Trip | Refusal] = Agent(model, output_type=outputs)
    upstream.enqueue(Reply(content=(ToolUse("refusal", {"reason": "It rains."}),)))
    assert (await agent.run("Plan a trip.")).output == Refusal(reason="It rains.")
    assert set(offered(upstream)) == {"trip", "refusal"}


@behaviour(8)
async def test_a_native_schema_is_strict_and_enforced_before_it_is_handed_over(
    upstream: StandIn, model: ClaudeMaxModel
) -> None:
    upstream.enqueue(Reply(content=(ToolUse("StructuredOutput", {"stops": "none"}),)))
    upstream.script(planned)
    result = await Agent(model, output_type=NativeOutput(Trip)).run("Plan a trip.")
    assert result.output == Trip.model_validate(TRIP)
    (tool,) = upstream.requests[0].body["tools"]
    assert tool["input_schema"]["additionalProperties"] is False
    assert tool["input_schema"]["required"] == ["stops"] or "stops" in tool["input_schema"]["required"]


@behaviour(8)
async def test_text_that_only_looks_like_the_output_is_none(upstream: StandIn, model: ClaudeMaxModel) -> None:
    upstream.script(lambda _: Reply(content=(Text(Trip.model_validate(TRIP).model_dump_json()),)))
    with pytest.raises(ModelServerError, match="no output that fits the schema"):
        await Agent(model, output_type=NativeOutput(Trip)).run("Plan a trip.")


@behaviour(9)
async def test_prompted_output_shows_claude_the_schema_by_the_callers_template(
    upstream: StandIn, model: ClaudeMaxModel
) -> None:
    upstream.script(planned)
    output = PromptedOutput(Trip, template="Answer as JSON like this: {schema}")
    await Agent(model, output_type=output, instructions="Be kind.").run("Plan a trip.")
    told = system(upstream.requests[0])
    assert "Be kind." in told and "Answer as JSON like this:" in told and '"stops"' in told
    assert offered(upstream) == []


@behaviour(10)
async def test_a_mode_that_the_model_does_not_have_is_refused_before_any_request(
    upstream: StandIn, provider: ClaudeMaxProvider
) -> None:
    plain = ClaudeMaxModel("sonnet", provider=provider, profile=ModelProfile(supports_json_schema_output=False))
    with pytest.raises(UserError):
        await Agent(plain, output_type=NativeOutput(Trip)).run("Plan a trip.")
    assert upstream.requests == []


@behaviour(4)
@pytest.mark.parametrize("mode", ["tool", "native", "prompted"])
async def test_an_output_that_the_caller_rejects_is_asked_for_again(
    upstream: StandIn, model: ClaudeMaxModel, mode: str
) -> None:
    agent: Agent[None, Trip] = Agent(model, output_type=MODES[mode], retries=1)
    refusals = iter([True, False])

    @agent.output_validator
    def not_at_first(trip: Trip) -> Trip:
        if next(refusals):
            raise ModelRetry("Somewhere else, please.")
        return trip

    assert not_at_first is not None
    upstream.script(planned)
    assert (await agent.run("Plan a trip.")).output == Trip.model_validate(TRIP)
    assert len(upstream.requests) == 2
    assert "Somewhere else, please." in str(upstream.requests[1].messages)


@behaviour(27)
async def test_a_refusal_where_an_output_was_asked_for_is_no_output(upstream: StandIn, model: ClaudeMaxModel) -> None:
    upstream.script(lambda _: Reply(content=(Text("I cannot."),), stop_reason="refusal"))
    with pytest.raises(UnexpectedModelBehavior):
        await Agent(model, output_type=NativeOutput(Trip), retries=0).run("Plan a trip.")
