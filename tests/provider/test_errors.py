"""Errors: which one of Pydantic AI's says what the server, or the way to it, has reported."""

import anyio
import pytest
from anyio import to_thread
from dirty_equals import IsPartialDict
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
)
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.settings import ModelSettings

from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider

from .scripted_server import Asked, Json, ScriptedServer, begin, events, failure, greet, message

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
    server.script = begin
    with anyio.fail_after(60), pytest.raises(ModelTimeoutError):
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


async def test_a_heartbeat_does_not_begin_an_answer_that_never_comes(agent: Agent, server: ScriptedServer) -> None:
    async def fail(asked: Asked) -> Json:
        await asked.emit({"type": "ping"})
        return failure("usage_limit", "Wait.", status=429, retry_after=17)

    server.script = fail
    with pytest.raises(ModelRateLimitError) as caught:
        async with agent.run_stream("Hi"):
            pass
    assert isinstance(caught.value, ModelHTTPError)
    assert (caught.value.status_code, caught.value.retry_after) == (429, 17)
