"""The model and the provider: what an agent gets, what the server is asked, and which error says what."""

import asyncio
import contextlib
import gc
import json

import anyio
import pytest
from anyio import to_thread
from dirty_equals import IsPartialDict
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelOverloadedError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelServerError,
    ModelTimeoutError,
    ModelUnavailableError,
    UnsupportedSettingWarning,
    UserError,
)
from pydantic_ai.models.anthropic import AnthropicModelSettings
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import UsageLimits

from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider, RetiredModelWarning, answered_by

from .scripted_server import Asked, Json, ScriptedServer, events, failure, greet, message, success


@pytest.fixture
def agent(server: ScriptedServer) -> Agent:
    """An agent that asks the scripted server."""
    return Agent(ClaudeMaxModel(provider=ClaudeMaxProvider(server.url)))


async def begun(asked: Asked) -> Json:
    """Start an answer and never end it."""
    await asked.emit(*events(message())[:3])
    await anyio.sleep_forever()
    raise NotImplementedError


async def test_an_answer_has_its_text_its_usage_and_who_gave_it(agent: Agent) -> None:
    result = await agent.run("Hi")

    assert result.output == "Hello"
    assert (result.usage.input_tokens, result.usage.output_tokens) == (11, 5)
    assert answered_by(result) == "claude-sonnet-5-5"
    assert (result.response.provider_name, result.response.finish_reason) == ("claude-max", "stop")


async def test_a_stream_brings_the_text_piece_by_piece(agent: Agent) -> None:
    async with agent.run_stream("Hi") as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

    assert pieces == list("Hello")
    assert answered_by(result) == "claude-sonnet-5-5"


async def test_a_request_of_few_tokens_is_not_streamed_and_reads_the_same(agent: Agent, server: ScriptedServer) -> None:
    result = await agent.run("Hi", model_settings=ModelSettings(max_tokens=100))

    assert (result.output, server.calls[0]["max_tokens"]) == ("Hello", 100)


async def test_the_server_is_asked_what_the_agent_was_told(server: ScriptedServer) -> None:
    class City(BaseModel):
        name: str

    agent = Agent(ClaudeMaxModel("opus", provider=ClaudeMaxProvider(server.url)), instructions="Be brief.")

    @agent.tool_plain
    def weather(city: str) -> str:
        raise NotImplementedError

    async def paris(asked: Asked) -> Json:
        whole = message(json.dumps({"name": "Paris"}))
        await asked.emit(*events(whole))
        return success(whole)

    server.script = paris
    result = await agent.run("Which city?", output_type=City, model_settings=ModelSettings(timeout=30))

    assert result.output == City(name="Paris")
    call = server.calls[0]
    assert (call["model"], call["timeout"], call["stream"]) == ("opus", 30, "events")
    assert call["system"][0]["text"] == "Be brief."
    assert [tool["name"] for tool in call["tools"]] == ["weather"]
    assert call["output_config"]["format"]["type"] == "json_schema"
    assert call["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Which city?"}]}]


async def test_settings_that_the_cli_cannot_honour_never_reach_the_wire(agent: Agent, server: ScriptedServer) -> None:
    settings = ModelSettings(temperature=0.1, top_p=0.5, top_k=3, service_tier="default", seed=1)
    await agent.run("Hi", model_settings=settings)
    assert server.calls[0].keys() == {"messages", "model", "max_tokens", "stream"}


@pytest.mark.parametrize(
    "settings",
    [
        ModelSettings(stop_sequences=["x"]),
        ModelSettings(extra_body={"speed": "fast"}),
        ModelSettings(extra_headers={"x": "y"}),
    ],
    ids=lambda settings: next(iter(settings)),
)
async def test_a_promise_that_cannot_be_kept_is_warned_about(
    agent: Agent, server: ScriptedServer, settings: ModelSettings
) -> None:
    with pytest.warns(UnsupportedSettingWarning, match=next(iter(settings))):
        await agent.run("Hi", model_settings=settings)
    assert server.calls[0].keys() == {"messages", "model", "max_tokens", "stream"}


async def test_a_field_that_the_tool_does_not_take_is_refused_by_name(agent: Agent, server: ScriptedServer) -> None:
    settings = AnthropicModelSettings(anthropic_context_management={"edits": []})
    with pytest.raises(ModelRequestRejectedError, match="context_management"):
        await agent.run("Hi", model_settings=settings)
    assert server.calls == []


ERRORS: list[tuple[str, int, type[ModelAPIError]]] = [
    ("not_authenticated", 401, ModelAuthenticationError),
    ("auth_expired", 401, ModelAuthenticationError),
    ("account_blocked", 403, ModelAuthenticationError),
    ("billing_guard", 403, ModelAuthenticationError),
    ("api_key_billing", 402, ModelQuotaExceededError),
    ("usage_limit", 429, ModelRateLimitError),
    ("throttled", 429, ModelRateLimitError),
    ("overloaded", 529, ModelOverloadedError),
    ("busy", 503, ModelUnavailableError),
    ("prompt_too_long", 400, ModelContextWindowExceededError),
    ("request_too_large", 413, ModelHTTPError),
    ("model_not_found", 404, ModelNotFoundError),
    ("invalid_request", 400, ModelRequestRejectedError),
    ("unsupported", 400, ModelRequestRejectedError),
    ("cli_missing", 503, ModelUnavailableError),
    ("cli_failed", 502, ModelServerError),
    ("internal", 500, ModelServerError),
]


@pytest.mark.parametrize(("code", "status", "error"), ERRORS, ids=[code for code, _, _ in ERRORS])
async def test_each_error_of_the_server_is_the_error_of_pydantic_ai_that_says_the_same(
    agent: Agent, server: ScriptedServer, code: str, status: int, error: type[ModelAPIError]
) -> None:
    async def fail(asked: Asked) -> Json:
        await asked.emit({"type": "retry", "attempt": 1, "max_retries": 3, "delay_ms": 1, "error": "x", "status": 529})
        return failure(code, "Do this next.", status=status, retry_after=17, request_id="req_1")

    server.script = fail
    with pytest.raises(error, match=r"Do this next\.") as caught:
        await agent.run("Hi")
    assert isinstance(caught.value, ModelHTTPError)
    assert (caught.value.status_code, caught.value.retry_after) == (status, 17)
    assert caught.value.body == IsPartialDict(error=IsPartialDict(code=code, retry_after=17))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("overloaded", ModelOverloadedError),
        ("usage_limit", ModelRateLimitError),
        ("prompt_too_long", ModelContextWindowExceededError),
        ("auth_expired", ModelAuthenticationError),
        ("internal", ModelServerError),
        ("timeout", ModelTimeoutError),
    ],
)
async def test_an_error_in_the_middle_of_an_answer_keeps_its_meaning(
    agent: Agent, server: ScriptedServer, code: str, error: type[ModelAPIError]
) -> None:
    async def fail(asked: Asked) -> Json:
        await asked.emit(*events(message())[:3])
        return failure(code, "It broke off.")

    server.script = fail
    with pytest.raises(error):
        await agent.run("Hi")


async def test_a_timeout_of_the_server_is_a_timeout(agent: Agent, server: ScriptedServer) -> None:
    async def slow(asked: Asked) -> Json:
        return failure("timeout", "Nothing for 150 s.", status=504)

    server.script = slow
    with pytest.raises(ModelTimeoutError):
        await agent.run("Hi")


async def test_a_server_that_does_not_answer_in_time_is_told_to_stop(agent: Agent, server: ScriptedServer) -> None:
    server.script = begun
    with anyio.fail_after(10), pytest.raises(ModelTimeoutError):
        await agent.run("Hi", model_settings=ModelSettings(timeout=0.1))
    assert await to_thread.run_sync(server.cancelled.wait, 5)


async def test_an_empty_answer_is_asked_for_again_by_pydantic_ai(agent: Agent, server: ScriptedServer) -> None:
    async def empty_once(asked: Asked) -> Json:
        if len(server.calls) > 1:
            return await greet(asked)
        whole = message("")
        await asked.emit(*events(whole))
        return {**failure("empty_answer", "Claude said nothing."), "message": whole}

    server.script = empty_once
    assert (await agent.run("Hi")).output == "Hello"
    assert len(server.calls) == 2


async def test_an_absent_server_says_how_to_start_it_and_lets_another_model_answer(nowhere: str) -> None:
    absent = ClaudeMaxModel(provider=ClaudeMaxProvider(nowhere))
    with pytest.raises(ModelConnectionError, match=r"not running.*claude-max serve"):
        await Agent(absent).run("Hi")
    assert (await Agent(FallbackModel(absent, TestModel(custom_output_text="Hi"))).run("Hi")).output == "Hi"


async def test_a_missing_login_says_how_to_log_in(agent: Agent, server: ScriptedServer) -> None:
    async def logged_out(asked: Asked) -> Json:
        return failure("not_authenticated", "Nobody is signed in.", status=401)

    server.script = logged_out
    with pytest.raises(ModelAuthenticationError, match=r"authentication.*claude-max login"):
        await agent.run("Hi")


async def test_a_wrong_token_is_an_authentication_error_that_names_the_variable(server: ScriptedServer) -> None:
    server.token = "right"
    agent = Agent(ClaudeMaxModel(provider=ClaudeMaxProvider(server.url, token="wrong")))
    with pytest.raises(ModelAuthenticationError, match="CLAUDE_MAX_TOKEN"):
        await agent.run("Hi")


@pytest.mark.parametrize("entered", [True, False], ids=["entered", "not entered"])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_cancelling_a_run_cancels_the_call_on_the_server(
    agent: Agent, server: ScriptedServer, entered: bool, streamed: bool
) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def tell(call: Asked) -> Json:
        loop.call_soon_threadsafe(asked.set)
        return await begun(call)

    server.script = tell
    settings = ModelSettings() if streamed else ModelSettings(max_tokens=100)

    with anyio.fail_after(10):
        async with agent if entered else contextlib.nullcontext():
            task = asyncio.create_task(agent.run("Hi", model_settings=settings))
            await asked.wait()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert await to_thread.run_sync(server.cancelled.wait, 5)


async def test_a_cancelled_scope_cancels_the_call_on_the_server(agent: Agent, server: ScriptedServer) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def tell(call: Asked) -> Json:
        loop.call_soon_threadsafe(asked.set)
        return await begun(call)

    server.script = tell
    with anyio.fail_after(10):
        async with agent:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(agent.run, "Hi")
                await asked.wait()
                tasks.cancel_scope.cancel()
            assert await to_thread.run_sync(server.cancelled.wait, 5)


async def test_leaving_a_stream_cancels_the_call_on_the_server(agent: Agent, server: ScriptedServer) -> None:
    server.script = begun
    with anyio.fail_after(10):
        async with agent.run_stream("Hi") as result:
            async for _ in result.stream_text(debounce_by=None):
                break
        assert await to_thread.run_sync(server.cancelled.wait, 5)


async def test_an_entered_agent_keeps_one_session(agent: Agent, server: ScriptedServer) -> None:
    async with agent:
        await agent.run("one")
        before = server.connections
        await agent.run("two")
        assert server.connections - before == 1


def test_synchronous_runs_on_new_event_loops_leave_nothing_behind(agent: Agent) -> None:
    for _ in range(3):
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        assert [agent.run_sync("Hi").output for _ in range(2)] == ["Hello", "Hello"]
        assert not asyncio.all_tasks(loop)
        loop.close()
    asyncio.set_event_loop(None)
    gc.collect()  # what was left open says so now, and warnings are errors


def test_entering_on_one_event_loop_does_not_touch_another(agent: Agent) -> None:
    async def entered() -> str:
        async with agent:
            return (await agent.run("Hi")).output

    assert [asyncio.run(entered()) for _ in range(2)] == ["Hello", "Hello"]
    gc.collect()


@pytest.mark.parametrize(
    ("name", "wire"),
    [("sonnet", "sonnet"), ("max-subscription", "sonnet"), ("haiku", "haiku"), ("claude-opus-4-8", "claude-opus-4-8")],
)
def test_a_name_goes_to_the_server_as_the_cli_knows_it(name: str, wire: str) -> None:
    model = ClaudeMaxModel(name)
    assert (model.model_name, model.model_id) == (wire, f"claude-max:{wire}")


@pytest.mark.parametrize(
    ("name", "successor"),
    [
        ("claude-opus-4", "opus"),
        ("claude-sonnet-4", "sonnet"),
        ("claude-3-7-sonnet", "sonnet"),
        ("claude-3-5-haiku", "haiku"),
    ],
)
def test_a_retired_name_says_who_answers(name: str, successor: str) -> None:
    with pytest.warns(RetiredModelWarning, match=f"{name}.*{successor}"):
        assert ClaudeMaxModel(name).model_name == successor


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"gpt-5.*max-subscription.*sonnet"):
        ClaudeMaxModel("gpt-5")


def test_a_profile_knows_the_model_behind_the_short_name_and_what_this_route_lacks() -> None:
    profile = ClaudeMaxModel("sonnet").profile
    assert profile.get("supports_json_schema_output") and profile.get("context_window")
    assert profile.get("anthropic_supports_message_batches") is False
    assert profile.get("supported_native_tools") == frozenset()
    assert ClaudeMaxModel("sonnet", profile={"context_window": 1}).context_window == 1
    assert ClaudeMaxModel("sonnet", profile=lambda known: {**known, "context_window": 2}).context_window == 2


async def test_thinking_that_cannot_be_turned_off_is_asked_for_sparingly(agent: Agent, server: ScriptedServer) -> None:
    await agent.run("Hi", model_settings=ModelSettings(thinking=False))
    assert server.calls[0].get("thinking") != {"type": "disabled"}
    assert server.calls[0]["output_config"] == {"effort": "low"}


def test_no_secret_is_shown() -> None:
    model = ClaudeMaxModel(provider=ClaudeMaxProvider(token="secret"))
    assert "secret" not in repr(model) + repr(model.provider) + repr(vars(model))


async def test_tokens_are_not_counted_ahead(agent: Agent) -> None:
    with pytest.raises(NotImplementedError, match="count tokens"):
        await agent.run("Hi", usage_limits=UsageLimits(input_tokens_limit=9, count_tokens_before_request=True))
