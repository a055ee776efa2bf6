"""What comes back: parts, usage, reasons, and what becomes of an answer that is none."""

from collections.abc import Callable
from datetime import timedelta

import anyio
import pytest
from pydantic_ai import Agent
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.exceptions import ContentFilterError, OutputTokenLimitExceeded
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from claude_max_mcp.standin import Recorded, RedactedThinking, Reply, StandIn, Text, Thinking, ToolUse
from pydantic_ai_claude_max import ClaudeMaxModel

from .behaviours import behaviour

WEATHER = ToolDefinition(name="weather", parameters_json_schema={"type": "object", "properties": {}})


async def respond(model: ClaudeMaxModel, *, streamed: bool) -> ModelResponse:
    """One response, by either way of asking."""
    messages = [ModelRequest.user_text_prompt("hello")]
    parameters = ModelRequestParameters(function_tools=[WEATHER])
    if not streamed:
        return await model_request(model, messages, model_request_parameters=parameters)
    async with model_request_stream(model, messages, model_request_parameters=parameters) as stream:
        async for _ in stream:
            pass
        return stream.get()


WAYS = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@behaviour(1, 15, 18)
@WAYS
async def test_the_parts_are_the_same_whether_streamed_or_not(
    upstream: StandIn, model: ClaudeMaxModel, streamed: bool
) -> None:
    said = (Thinking("Hm.", "c2ln"), RedactedThinking("cmVk"), Text("I look."), ToolUse("weather", {"a": 1}, "toolu_1"))
    upstream.enqueue(Reply(content=said))
    response = await respond(model, streamed=streamed)
    thinking, redacted, text, call = response.parts
    assert isinstance(thinking, ThinkingPart) and (thinking.content, thinking.signature) == ("Hm.", "c2ln")
    assert isinstance(redacted, ThinkingPart) and (redacted.id, redacted.signature) == ("redacted_thinking", "cmVk")
    assert isinstance(text, TextPart) and text.content == "I look."
    assert isinstance(call, ToolCallPart) and call.args_as_dict() == {"a": 1}
    assert (call.tool_name, call.tool_call_id) == ("weather", "toolu_1")


@behaviour(24)
@WAYS
async def test_usage_counts_what_was_read_from_and_written_to_the_cache(
    upstream: StandIn, model: ClaudeMaxModel, streamed: bool
) -> None:
    response = await respond(model, streamed=streamed)
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens) == (11 + 3 + 5, 7)
    assert (usage.cache_write_tokens, usage.cache_read_tokens) == (3, 5)
    assert usage.cost is None, "the subscription has no price for one request"


@behaviour(24)
async def test_usage_grows_while_the_answer_is_streamed(upstream: StandIn, model: ClaudeMaxModel) -> None:
    upstream.enqueue(Reply(content=(Text("one two three"),)))
    async with Agent(model).run_stream("count") as stream:
        seen = [stream.usage.output_tokens async for _ in stream.stream_text(delta=True, debounce_by=None)]
    assert seen == sorted(seen) and stream.usage.output_tokens == 7
    assert stream.usage.input_tokens == 19


@behaviour(25, 28)
@pytest.mark.parametrize(
    ("raw", "reason"),
    [("end_turn", "stop"), ("max_tokens", "length"), ("stop_sequence", "stop"), ("refusal", "content_filter")],
)
@WAYS
async def test_the_finish_reason_is_mapped_and_kept_as_it_came(
    upstream: StandIn, model: ClaudeMaxModel, raw: str, reason: str, streamed: bool
) -> None:
    upstream.enqueue(Reply(content=(Text("As far as it goes"),), stop_reason=raw))
    response = await respond(model, streamed=streamed)
    assert response.finish_reason == reason
    assert response.provider_details and response.provider_details["finish_reason"] == raw
    assert response.text == "As far as it goes"


@behaviour(25)
async def test_a_call_of_a_tool_is_a_reason_of_its_own(upstream: StandIn, model: ClaudeMaxModel) -> None:
    upstream.enqueue(Reply(content=(ToolUse("weather", {}),)))
    assert (await respond(model, streamed=False)).finish_reason == "tool_call"


@behaviour(26)
@WAYS
async def test_a_response_says_who_gave_it_where_and_when(
    upstream: StandIn, model: ClaudeMaxModel, streamed: bool
) -> None:
    response = await respond(model, streamed=streamed)
    assert response.provider_response_id and response.provider_response_id.startswith("msg_")
    assert response.provider_url == model.base_url
    assert response.provider_name == model.system == "claude-max"
    assert response.model_name == "claude-sonnet-5-5"
    assert response.timestamp.utcoffset() == timedelta(0)


@behaviour(27)
async def test_a_refusal_without_a_word_is_a_typed_error(upstream: StandIn, model: ClaudeMaxModel) -> None:
    upstream.script(lambda _: Reply(content=(), stop_reason="refusal"))
    with pytest.raises(ContentFilterError):
        await Agent(model).run("hello")


@behaviour(28)
async def test_an_answer_that_is_cut_off_before_it_began_is_a_typed_error(
    upstream: StandIn, model: ClaudeMaxModel
) -> None:
    upstream.script(lambda _: Reply(content=(), stop_reason="max_tokens"))
    with pytest.raises(OutputTokenLimitExceeded):
        await Agent(model, model_settings={"max_tokens": 5}).run("hello")


def asked_again(first: Reply) -> Callable[[Recorded], Reply]:
    """The first answer; `Here.` to who asks for text; and none where the CLI goes on by itself before it is ended."""
    answers = iter([first])

    def answer(request: Recorded) -> Reply:
        if "Please return text" in str(request.messages):
            return Reply(content=(Text("Here."),))
        return next(answers, Reply(hold=anyio.Event()))

    return answer


@behaviour(29)
@pytest.mark.parametrize("content", [(), (Thinking("Hm."),)], ids=["nothing", "thinking alone"])
async def test_an_empty_answer_is_asked_for_again(
    upstream: StandIn, model: ClaudeMaxModel, content: tuple[Thinking, ...]
) -> None:
    upstream.script(asked_again(Reply(content=content)))
    with anyio.fail_after(60):
        result = await Agent(model).run("hello")
    assert result.output == "Here."
    assert result.usage.requests == 2
