"""Pydantic AI agents ask Claude: agent, provider, MCP over HTTP, server, real CLI; only the model is a stand-in."""

import asyncio
from collections.abc import Iterator
from datetime import datetime

import anyio
import pytest
from anyio import to_thread
from dirty_equals import IsDatetime
from pydantic_ai import Agent, BinaryContent
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelOverloadedError,
    ModelRateLimitError,
)
from pydantic_ai.messages import TextPart, ThinkingPart
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.test import TestModel

from claude_max_mcp import standin as api
from claude_max_mcp.standin import Failure, Reply, Text, Thinking
from pydantic_ai_claude_max import ClaudeMax, ClaudeMaxModel, ClaudeMaxProvider, answered_by, disable, enable
from tests.house import House
from tests.samples import PNG


@pytest.fixture
def model(house: House) -> ClaudeMaxModel:
    return ClaudeMaxModel("sonnet", provider=ClaudeMaxProvider(base_url=house.url))


@pytest.fixture
def seed_names(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CLAUDE_MAX_URL", house.url)
    enable()
    yield
    disable()


async def test_an_agent_gets_the_answer_with_its_true_usage_and_model(house: House, model: ClaudeMaxModel) -> None:
    house.standin.enqueue(Reply(content=(Text("Paris."),)))
    result = await Agent(model, instructions="Be terse.").run("What is the capital of France?")
    assert result.output == "Paris."
    assert (result.usage.input_tokens, result.usage.output_tokens) == (11 + 3 + 5, 7)
    assert (result.usage.cache_write_tokens, result.usage.cache_read_tokens) == (3, 5)
    assert result.response.model_name == answered_by(result) == "claude-sonnet-5-5"
    assert result.timestamp == IsDatetime() and isinstance(result.timestamp, datetime)
    assert result.timestamp.tzinfo is not None
    (request,) = house.standin.requests
    assert request.last_text == "What is the capital of France?"
    assert request.body["system"][-1]["text"] == "Be terse."


@pytest.mark.usefixtures("seed_names")
@pytest.mark.parametrize(
    ("name", "answering"), [("max-subscription", "claude-sonnet-5-5"), ("claude-3-5-haiku", "claude-haiku-5-5")]
)
@pytest.mark.filterwarnings("ignore:.*retired")
async def test_the_names_of_the_seed_work_after_enable(name: str, answering: str) -> None:
    result = await Agent(f"custom:{name}").run("hello")
    assert answered_by(result) == answering


async def test_the_capability_resolves_the_name_without_any_patch(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_MAX_URL", house.url)
    result = await Agent("custom:max-subscription", capabilities=[ClaudeMax()]).run("hello")
    assert result.output.endswith("hello")


async def test_a_streamed_answer_arrives_in_pieces_and_is_whole(house: House, model: ClaudeMaxModel) -> None:
    text = "one two three four five six seven eight nine ten"
    house.standin.enqueue(Reply(content=(Text(text),), pace=0.05))
    async with Agent(model).run_stream("count") as stream:
        pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]
        usage = stream.usage
    assert "".join(pieces) == text
    assert len(pieces) > 2
    assert usage.output_tokens == 7


async def test_the_first_piece_comes_before_the_answer_is_finished(house: House, model: ClaudeMaxModel) -> None:
    gate = anyio.Event()
    house.standin.enqueue(Reply(content=(Text("first second"),), hold=gate, hold_after=1))
    with anyio.fail_after(60):
        async with Agent(model).run_stream("count") as stream:
            async for piece in stream.stream_text(delta=True, debounce_by=None):
                assert piece in ("first ", "second")
                gate.set()


async def test_agents_run_in_parallel(house: House) -> None:
    gate = anyio.Event()
    house.standin.script(lambda request: Reply(content=(Text(request.last_text),), hold=gate))

    async def open_the_gate_once_all_are_running() -> None:
        await house.standin.wait_for_request(3)
        gate.set()

    with anyio.fail_after(60):
        async with ClaudeMaxProvider(base_url=house.url) as provider:
            agents = [Agent(ClaudeMaxModel("haiku", provider=provider)) for _ in range(3)]
            runs = [agent.run(f"task {number}") for number, agent in enumerate(agents)]
            results, _ = await asyncio.gather(asyncio.gather(*runs), open_the_gate_once_all_are_running())
    assert [result.output for result in results] == ["task 0", "task 1", "task 2"]


async def test_an_agent_block_keeps_one_connection_open_and_closes_it(house: House, model: ClaudeMaxModel) -> None:
    agent = Agent(model)
    async with agent:
        for number in range(3):
            assert (await agent.run(f"{number}")).output.endswith(f"{number}")
    assert (await agent.run("after the block")).output.endswith("after the block")


async def test_run_sync_works_again_and_again_each_time_on_a_new_loop(house: House, model: ClaudeMaxModel) -> None:
    agent = Agent(model)

    def run_twice(number: int) -> str:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            return agent.run_sync(f"{number}").output + agent.run_sync(f", {number}").output
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    for number in range(2):
        assert (await to_thread.run_sync(run_twice, number)).endswith(f", {number}")


async def test_thinking_parts_come_back_with_their_signature(house: House, model: ClaudeMaxModel) -> None:
    house.standin.enqueue(Reply(content=(Thinking("Hm.", "c2ln"), Text("Yes."))))
    result = await Agent(model, model_settings={"thinking": "high"}).run("hello")
    thinking, text = result.response.parts
    assert isinstance(thinking, ThinkingPart) and (thinking.content, thinking.signature) == ("Hm.", "c2ln")
    assert isinstance(text, TextPart) and text.content == "Yes."
    body = house.standin.requests[0].body
    assert body["thinking"]["type"] == "adaptive" and body["output_config"]["effort"] == "high"


@pytest.mark.parametrize("name", ["sonnet", "opus", "haiku"])
async def test_thinking_that_cannot_be_turned_off_is_kept_low(house: House, name: str) -> None:
    model = ClaudeMaxModel(name, provider=ClaudeMaxProvider(base_url=house.url))
    result = await Agent(model, model_settings={"thinking": False}).run("hello")
    assert result.output.endswith("hello")


async def test_an_image_reaches_claude_natively(house: House, model: ClaudeMaxModel) -> None:
    image = BinaryContent.from_data_uri(f"data:image/png;base64,{PNG}")
    await Agent(model).run(["What is this?", image])
    text, picture = house.standin.requests[0].last_blocks
    assert text == {"type": "text", "text": "What is this?"}
    assert picture["source"] == {"type": "base64", "media_type": "image/png", "data": PNG}


async def test_settings_that_can_be_carried_are_and_others_never_reach_the_wire(
    house: House, model: ClaudeMaxModel
) -> None:
    agent = Agent(model, model_settings={"max_tokens": 321, "temperature": 0.3, "top_p": 0.9, "seed": 7})
    await agent.run("hello")
    body = house.standin.requests[0].body
    assert body["max_tokens"] == 321
    assert not body.keys() & {"temperature", "top_p", "seed"}


@pytest.mark.parametrize(
    ("failure", "error", "status"),
    [
        (api.usage_limit(), ModelRateLimitError, 429),
        (api.overloaded(), ModelOverloadedError, 529),
        (api.authentication_failed(), ModelAuthenticationError, 401),
        (api.prompt_too_long(), ModelContextWindowExceededError, 400),
        (api.model_not_found(), ModelNotFoundError, 404),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(getattr(value, "message", value))[:20],
)
async def test_an_error_becomes_pydantic_ais_own(
    house: House, model: ClaudeMaxModel, failure: Failure, error: type[ModelHTTPError], status: int
) -> None:
    house.standin.script(lambda _: failure)
    with pytest.raises(error) as raised:
        await Agent(model).run("hello")
    assert raised.value.status_code == status


async def test_a_usage_limit_carries_the_time_to_wait(house: House, model: ClaudeMaxModel) -> None:
    house.standin.script(lambda _: api.usage_limit(resets_in=1200))
    with pytest.raises(ModelRateLimitError) as raised:
        await Agent(model).run("hello")
    assert raised.value.retry_after and 1100 < raised.value.retry_after <= 1200


async def test_a_login_problem_says_authentication_as_the_seed_expects(house: House, model: ClaudeMaxModel) -> None:
    house.standin.script(lambda _: api.authentication_failed())
    with pytest.raises(ModelAPIError) as raised:
        await Agent(model).run("hello")
    assert "authentication" in str(raised.value).lower()
    assert "claude-max login" in str(raised.value)


async def test_a_server_that_is_not_there_says_not_running_as_the_seed_expects() -> None:
    provider = ClaudeMaxProvider(base_url="http://127.0.0.1:9/mcp")
    with pytest.raises(ModelConnectionError, match=r"not running.*claude-max serve"):
        await Agent(ClaudeMaxModel("sonnet", provider=provider)).run("hello")


async def test_a_fallback_model_takes_over_when_the_limit_is_reached(house: House, model: ClaudeMaxModel) -> None:
    house.standin.script(lambda _: api.usage_limit())
    agent = Agent(FallbackModel(model, TestModel(custom_output_text="from elsewhere")))
    assert (await agent.run("hello")).output == "from elsewhere"


async def test_cancelling_an_agent_closes_the_request_upstream(house: House, model: ClaudeMaxModel) -> None:
    house.standin.script(lambda _: Reply(content=(Text("one two"),), hold=anyio.Event(), hold_after=1))
    with anyio.fail_after(60):
        run = asyncio.create_task(Agent(model).run("hello"))
        request = await house.standin.wait_for_request()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await request.closed_early.wait()


async def test_leaving_a_stream_early_closes_the_request_upstream(house: House, model: ClaudeMaxModel) -> None:
    house.standin.script(lambda _: Reply(content=(Text("one two"),), hold=anyio.Event(), hold_after=1))
    with anyio.fail_after(60):
        async with Agent(model).run_stream("hello") as stream:
            async for _ in stream.stream_text(delta=True, debounce_by=None):
                break
            await stream.cancel()
        await house.standin.requests[0].closed_early.wait()
