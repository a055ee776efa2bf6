"""The Messages API at `/v1/messages`: what Anthropic's own SDK gets from the real server and the real CLI."""

import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import anyio
import pytest
from anthropic import AsyncAnthropic, beta_async_tool
from pydantic import BaseModel
from starlette.applications import Starlette

from claude_max_mcp import standin as api
from claude_max_mcp.background import beside
from claude_max_mcp.front.listener import bind, listening
from claude_max_mcp.front.messages_api import make_messages_routes
from claude_max_mcp.front.request import Disconnects
from claude_max_mcp.standin import Failure, RedactedThinking, Reply, StandIn, Text, Thinking, ToolUse
from tests.conversations import sent, session
from tests.house import PATH, House, serving
from tests.samples import IMAGE, PDF, WEATHER, Json, returned, user

from .messages_api import ASK, HELLO, TOKEN, claude, create, house, post, type_of

__all__ = ["claude", "house"]  # fixtures

CONTENT = (
    Thinking("hm", "c2ln"),
    RedactedThinking("eA=="),
    Text("Paris it is."),
    ToolUse("get_weather", {"city": "Paris"}),
)


def told(message: Json) -> Json:
    """A message without the id that upstream invents for each."""
    return {name: value for name, value in message.items() if name != "id"}


async def test_the_answer_is_the_message_that_claude_gave(house: House) -> None:
    reply = Reply(content=CONTENT)
    house.standin.enqueue(reply)
    answer = await post(house, {**ASK, "tools": [WEATHER]})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert told(answer.json()) == told(reply.make_message("claude-sonnet-5-5"))


async def test_a_stream_is_the_events_that_claude_sent(house: House) -> None:
    reply = Reply(content=CONTENT)
    house.standin.enqueue(reply)
    answer = await post(house, {**ASK, "tools": [WEATHER], "stream": True})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    frames = [frame.split("\n") for frame in answer.text.removesuffix("\n\n").split("\n\n")]
    events = [json.loads(data.removeprefix("data: ")) for _, data in frames]
    assert [name for name, _ in frames] == [f"event: {event['type']}" for event in events]
    expected = list(reply.make_events("claude-sonnet-5-5"))
    for start in (events[0], expected[0]):
        del start["message"]["id"]
    assert events == expected


async def test_the_sdk_creates_a_message_and_names_the_request_as_the_server_does(
    house: House, claude: AsyncAnthropic
) -> None:
    house.standin.enqueue(Reply(content=(Text("Paris."),)))
    message = await claude.messages.create(
        model="claude-opus-5-5", max_tokens=500, system="Be terse.", messages=HELLO, output_config={"effort": "low"}
    )
    assert [block.to_dict() for block in message.content] == [{"type": "text", "text": "Paris."}]
    assert (message.model, message.stop_reason) == ("claude-opus-5-5", "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (11, 7)
    assert message._request_id == house.service.journal.entries[-1].request_id  # pyright: ignore[reportPrivateUsage]
    body = house.standin.requests[0].body
    assert (body["model"], body["max_tokens"], body["system"][-1]["text"]) == ("claude-opus-5-5", 500, "Be terse.")
    assert body["output_config"]["effort"] == "low"


async def test_the_sdk_streams_text_and_gathers_the_message(house: House, claude: AsyncAnthropic) -> None:
    house.standin.enqueue(Reply(content=(Text("one two three"),)))
    async with claude.messages.stream(**ASK) as stream:
        assert [text async for text in stream.text_stream] == ["one ", "two ", "three"]
        message = await stream.get_final_message()
    assert (message.content[0].to_dict()["text"], message.stop_reason) == ("one two three", "end_turn")
    assert (message.usage.cache_read_input_tokens, message.usage.output_tokens) == (5, 7)
    assert stream.request_id == house.service.journal.entries[-1].request_id


async def test_a_first_piece_comes_before_the_answer_is_whole(house: House, claude: AsyncAnthropic) -> None:
    gate = anyio.Event()
    house.standin.enqueue(Reply(content=(Text("one two"),), hold=gate, hold_after=1))
    with anyio.fail_after(60):
        async with claude.messages.stream(**ASK) as stream:
            assert await anext(aiter(stream.text_stream)) == "one "
            gate.set()
            assert await stream.get_final_text() == "one two"


@beta_async_tool
async def get_weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: Where.
    """
    return f"It rains in {city}."


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_the_sdks_own_tool_loop_goes_on_with_the_process_that_waits_for_it(
    house: House, claude: AsyncAnthropic, stream: bool
) -> None:
    house.standin.enqueue(
        Reply(content=(Thinking("hm", "c2ln"), ToolUse("get_weather", {"city": "Oslo"}, "toolu_1"))),
        Reply(content=(ToolUse("get_weather", {"city": "Bergen"}, "toolu_2"),)),
        Reply(content=(Text("It rains."),)),
    )
    runner: Any = claude.beta.messages.tool_runner(**ASK, tools=[get_weather], stream=stream)
    message = await runner.until_done()
    assert message.content[0].text == "It rains."
    assert [tool["name"] for tool in house.standin.requests[0].body["tools"]] == ["get_weather"]
    assert sent(house)[-1]["content"] == [returned("toolu_2", [{"type": "text", "text": "It rains in Bergen."}])]
    assert {session(house, at) for at in range(3)} == {session(house)}, "one process for all three"


async def test_the_next_turn_goes_on_with_the_same_process_and_its_thinking(
    house: House, claude: AsyncAnthropic
) -> None:
    house.standin.enqueue(Reply(content=(Thinking("hm", "c2ln"), Text("4"))))
    first = await create(claude, thinking={"type": "adaptive"})
    again: Any = [*HELLO, {"role": "assistant", "content": first.content}, {"role": "user", "content": "and 3+3?"}]
    await create(claude, messages=again, thinking={"type": "adaptive"})
    assert first.content[0].to_dict() == {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    assert sent(house)[1]["content"][0] == first.content[0].to_dict()
    assert session(house, 0) == session(house, 1)


async def test_images_and_documents_arrive_as_they_are(house: House, claude: AsyncAnthropic) -> None:
    shown: Any = [user("look", IMAGE, PDF)]
    await create(claude, messages=shown)
    assert sent(house) == shown


class City(BaseModel):
    city: str


@pytest.mark.parametrize("streamed", [False, True])
async def test_structured_output_is_parsed_by_the_sdk(house: House, claude: AsyncAnthropic, streamed: bool) -> None:
    house.standin.enqueue(Reply(content=(ToolUse("StructuredOutput", {"city": "Oslo"}),)))
    if streamed:
        async with claude.messages.stream(**ASK, output_format=City) as stream:
            message = await stream.get_final_message()
    else:
        message = await claude.messages.parse(**ASK, output_format=City)
    assert message.parsed_output == City(city="Oslo")


async def test_structured_output_may_have_its_earlier_name(house: House) -> None:
    house.standin.enqueue(Reply(content=(ToolUse("StructuredOutput", {"city": "Oslo"}),)))
    wanted = {"type": "json_schema", "schema": City.model_json_schema()}
    answer = await post(house, {**ASK, "output_format": wanted})
    assert answer.json()["content"] == [{"type": "text", "text": '{"city": "Oslo"}'}]


FAILURES = [
    (api.authentication_failed(), anthropic.AuthenticationError, 401, "authentication_error"),
    (api.credit_too_low(), anthropic.PaymentRequiredError, 402, "billing_error"),
    (api.account_blocked(), anthropic.PermissionDeniedError, 403, "permission_error"),
    (api.model_not_found(), anthropic.NotFoundError, 404, "not_found_error"),
    (api.request_too_large(), anthropic.ContentTooLargeError, 413, "request_too_large"),
    (api.prompt_too_long(), anthropic.BadRequestError, 400, "invalid_request_error"),
    (api.invalid_request(), anthropic.BadRequestError, 400, "invalid_request_error"),
    (api.usage_limit(), anthropic.RateLimitError, 429, "rate_limit_error"),
    (api.throttled(), anthropic.RateLimitError, 429, "rate_limit_error"),
    (api.overloaded(), anthropic.OverloadedError, 529, "overloaded_error"),
    (api.server_error(), anthropic.InternalServerError, 500, "api_error"),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("failure", "error", "status", "kind"), FAILURES, ids=lambda value: getattr(value, "message", "")
)
async def test_each_error_has_its_status_and_its_class_in_the_sdk(
    house: House, claude: AsyncAnthropic, failure: Failure, error: type[Any], status: int, kind: str, stream: bool
) -> None:
    house.standin.script(lambda _: failure)
    with anyio.fail_after(60), pytest.raises(error) as raised:
        await create(claude, stream=stream)
    assert type(raised.value) is error
    assert (raised.value.status_code, type_of(raised.value)) == (status, kind)
    assert raised.value.request_id == house.service.journal.entries[-1].request_id
    assert raised.value.body["request_id"] == raised.value.request_id


async def test_a_usage_limit_says_when_to_come_back_and_is_not_asked_again(house: House) -> None:
    house.standin.script(lambda _: api.usage_limit(resets_in=1800))
    async with AsyncAnthropic(base_url=house.root, api_key=TOKEN, max_retries=2) as patient:
        with pytest.raises(anthropic.RateLimitError) as raised:
            await create(patient)
    assert 1700 < int(raised.value.response.headers["retry-after"]) <= 1800
    assert [name for name in raised.value.response.headers if name.startswith("anthropic-")] == []
    assert len(house.standin.requests) == 1


async def test_an_answer_that_breaks_off_is_an_error_inside_the_stream(house: House, claude: AsyncAnthropic) -> None:
    heard = anyio.Event()
    house.standin.enqueue(Reply(content=(Text("one two three four"),), hold=heard, hold_after=2, cut_after=2))
    with anyio.fail_after(60), pytest.raises(anthropic.APIStatusError) as raised:
        async with claude.messages.stream(**ASK) as stream:
            async for _ in stream.text_stream:
                heard.set()
    assert (raised.value.status_code, type_of(raised.value)) == (200, "overloaded_error")


async def test_an_empty_answer_is_an_empty_message_as_from_the_api(house: House, claude: AsyncAnthropic) -> None:
    house.standin.script(lambda _: Reply(content=()))
    message = await create(claude)
    async with claude.messages.stream(**ASK) as stream:
        streamed = await stream.get_final_message()
    assert (message.content, message.stop_reason) == (streamed.content, streamed.stop_reason) == ([], "end_turn")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_what_the_sdk_waits_for_is_what_the_answer_may_take(house: House, stream: bool) -> None:
    """A stream may go on beyond it: there it is a silence."""
    house.standin.script(lambda _: Reply(first_after=1.0))
    answer = await post(house, {**ASK, "stream": stream}, **{"x-stainless-timeout": "0.3"})
    if stream:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["error"]["type"]) == (504, "timeout_error")


@pytest.mark.parametrize("waits", ["NOT_GIVEN", "None", "nan", "inf", "-1", "0", "99999"])
async def test_a_time_that_is_none_is_the_servers_own(house: House, waits: str) -> None:
    assert (await post(house, ASK, **{"x-stainless-timeout": waits})).status_code == 200


async def _until(wanted: str, lines: AsyncIterator[str]) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line == wanted:
            return


async def test_silence_is_filled_with_pings(house: House) -> None:
    gate = anyio.Event()
    house.standin.script(lambda _: Reply(content=(Text("one two"),), hold=gate, hold_after=1))
    app = Disconnects(Starlette(routes=make_messages_routes(house.service, quiet=0.05)))
    listener = bind("127.0.0.1", 0)
    root = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with listening(app, listener), AsyncAnthropic(base_url=root, api_key="any", max_retries=0) as claude:
        with anyio.fail_after(60):
            async with claude.messages.with_streaming_response.create(**ASK, stream=True) as response:
                lines = aiter(response.iter_lines())
                assert [line async for line in _until("event: content_block_delta", lines)]
                assert [line async for line in _until("event: ping", lines)]
                gate.set()
                assert "event: message_stop" in [line async for line in lines]
            async with claude.messages.stream(**ASK) as stream:
                assert await stream.get_final_text() == "one two", "the SDK does not mind"


async def closing_the_stream(claude: AsyncAnthropic) -> None:
    async with claude.messages.stream(**ASK) as stream:
        assert await anext(aiter(stream.text_stream)) == "one "


async def _hang_up(standin: StandIn, asking: Callable[[], Coroutine[Any, Any, object]]) -> None:
    async with beside(asking):
        await standin.wait_for_request()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "before the first event"])
async def test_hanging_up_ends_the_request_upstream(house: House, claude: AsyncAnthropic, stream: bool) -> None:
    house.standin.script(lambda _: Reply(hold=anyio.Event()))
    with anyio.fail_after(60):
        await _hang_up(house.standin, partial(create, claude, stream=stream))
        await house.standin.requests[0].closed_early.wait()


async def test_closing_a_stream_ends_the_request_upstream(house: House, claude: AsyncAnthropic) -> None:
    house.standin.script(lambda _: Reply(content=(Text("one two"),), hold=anyio.Event(), hold_after=1))
    with anyio.fail_after(60):
        await closing_the_stream(claude)
        await house.standin.requests[0].closed_early.wait()
        house.standin.reset()
        assert (await create(claude)).stop_reason == "end_turn"


@pytest.mark.parametrize("way", ["api_key", "auth_token"])
async def test_the_token_opens_by_either_name_and_another_does_not(house: House, way: str) -> None:
    async with AsyncAnthropic(base_url=house.root, max_retries=0, **{way: TOKEN}) as claude:  # pyright: ignore[reportArgumentType]
        assert (await create(claude)).stop_reason == "end_turn"
    async with AsyncAnthropic(base_url=house.root, max_retries=0, **{way: "wrong"}) as stranger:  # pyright: ignore[reportArgumentType]
        with pytest.raises(anthropic.AuthenticationError, match="CLAUDE_MAX_TOKEN") as raised:
            await create(stranger)
    assert raised.value.type == "authentication_error"
    assert len(house.standin.requests) == 1


async def test_a_server_without_a_token_takes_any_key(house: House) -> None:
    async with (
        serving(house.standin, warm=0, messages_api=True) as unlocked,
        AsyncAnthropic(base_url=unlocked.root, api_key="whatever", max_retries=0) as claude,
    ):
        assert (await create(claude)).stop_reason == "end_turn"


async def test_the_documents_example_runs_with_the_servers_address_and_token(house: House, tmp_path: Path) -> None:
    document = (Path(__file__).parents[2] / "docs" / "messages-api.md").read_text(encoding="utf-8")
    example = document.partition("```python\n")[2].partition("```")[0]
    for said, meant in (("http://127.0.0.1:47291", house.root), ("the token, or anything without one", TOKEN)):
        assert said in example
        example = example.replace(said, meant)
    environment = {"PATH": PATH, "HOME": str(tmp_path)}
    with anyio.fail_after(60):
        done = await anyio.run_process([sys.executable, "-c", example], env=environment)
    assert done.stdout.decode().strip().endswith("hello")
