"""Every error of upstream, through the real CLI, becomes the typed error that the README lists."""

import json

import anyio
import pytest
from mcp import Client

from claude_max_mcp import standin as api
from claude_max_mcp.messages import Json
from claude_max_mcp.standin import Failure, RedactedThinking, Reply, Text, Thinking
from tests.conversations import nothing_more_was_answered, only
from tests.house import MODERN, House, serving


@pytest.mark.parametrize(
    ("failure", "code", "status", "retryable", "advice"),
    [
        (api.authentication_failed(), "auth_expired", 401, False, "claude-max login"),
        (api.account_blocked(), "account_blocked", 403, False, "administrator"),
        (api.credit_too_low(), "api_key_billing", 402, False, "API key"),
        (api.usage_limit(), "usage_limit", 429, True, "resets"),
        (api.throttled(), "throttled", 429, True, "not your usage limit"),
        (api.overloaded(), "overloaded", 529, True, "Try again"),
        (api.server_error(), "overloaded", 500, True, "Try again"),
        (api.prompt_too_long(), "prompt_too_long", 400, False, "Shorten"),
        (api.request_too_large(), "request_too_large", 413, False, "smaller images"),
        (api.model_not_found(), "model_not_found", 404, False, "sonnet, opus or haiku"),
        (api.invalid_request(), "invalid_request", 400, False, "non-empty content"),
    ],
    ids=lambda value: value.message[:24] if isinstance(value, Failure) else "",
)
async def test_an_error_of_upstream_is_typed(
    house: House, failure: Failure, code: str, status: int, retryable: bool, advice: str
) -> None:
    house.standin.script(lambda request: failure)
    with anyio.fail_after(60):
        result = await house.ask(prompt="hello")
    assert not result.success and result.message is None
    assert result.error
    assert (result.error.code, result.error.status, result.error.retryable) == (code, status, retryable)
    assert advice in result.error.message
    assert (result.error.upstream_request_id, result.error.request_id) == ("req_standin", "req_standin")


async def ask_over_mcp(house: House) -> Json:
    async with Client(house.url, mode=MODERN) as client:
        result = await client.call_tool("ask_claude", {"prompt": "hello"})
    return result.structured_content["error"]


async def ask_over_http(house: House) -> Json:
    async with house.http() as http:
        return (await http.post("/claude", json={"prompt": "hello"})).json()["error"]


async def ask_over_the_messages_api(house: House) -> Json:
    message = {"role": "user", "content": "hello"}
    async with house.http() as http:
        asked = {"model": "sonnet", "max_tokens": 9, "messages": [message]}
        return (await http.post("/v1/messages", json=asked)).json()["error"]


async def test_what_happened_and_what_to_do_come_apart_and_together_on_every_front() -> None:
    async with serving(warm=0, messages_api=True) as house:
        house.standin.script(lambda _: api.model_not_found())
        with anyio.fail_after(30):
            errors = [await ask(house) for ask in (ask_over_mcp, ask_over_http, ask_over_the_messages_api)]
    for error in errors:
        assert error["problem"].startswith("There is no such model, or this account may not use it. (The CLI said: ")
        assert error["advice"] == "Try sonnet, opus or haiku."
        assert error["message"] == f"{error['problem']} {error['advice']}"
        assert error["upstream_request_id"] == error["request_id"] == "req_standin"


async def test_a_usage_limit_says_when_it_resets(house: House) -> None:
    house.standin.enqueue(api.usage_limit(resets_in=1800))
    result = await house.ask(prompt="hello")
    assert result.error and result.error.retry_after
    assert 1700 < result.error.retry_after <= 1800
    assert result.error.resets_at is not None


async def test_a_login_problem_says_authentication_and_how_to_log_in(house: House) -> None:
    house.standin.script(lambda request: api.authentication_failed())
    result = await house.ask(prompt="hello")
    assert result.error
    assert "authentication" in result.error.message.lower()
    assert "setup-token" in result.error.message


async def test_an_overloaded_upstream_is_reported_after_few_retries_each_shown(house: House) -> None:
    house.standin.script(lambda request: api.overloaded())
    with anyio.fail_after(60):
        shown, _ = await house.listen(prompt="hello")
    assert len(house.standin.requests) == 3
    assert [text[:12] for text in shown] == ["[overloaded:", "[overloaded:"]


async def test_an_upstream_that_recovers_is_answered_as_if_nothing_had_been(house: House) -> None:
    house.standin.enqueue(api.overloaded(), Reply(content=(Text("here I am"),)))
    result = await house.ask(prompt="hello")
    assert result.success and result.response == "here I am"


async def test_timeout_wins_over_retries_and_over_a_silent_upstream(house: House) -> None:
    house.standin.script(lambda request: Reply(hold=anyio.Event()))
    with anyio.fail_after(60):
        result = await house.ask(prompt="hello", timeout=0.5)
    assert result.error and (result.error.code, result.error.status) == ("timeout", 504)
    assert "0.5 s" in result.error.message


@pytest.mark.parametrize(
    "reply",
    [
        Reply(garbage=b"<html>not an event stream</html>"),
        Reply(content=(Text("one two three"),), cut_after=0),
        Reply(content=(Text("one two three four"),), cut_after=2),
    ],
    ids=["garbage", "cut before the first word", "cut after two words"],
)
async def test_a_broken_answer_is_an_error_and_never_a_success(house: House, reply: Reply) -> None:
    house.standin.script(lambda request: reply)
    with anyio.fail_after(60):
        result = await house.ask(prompt="hello")
    assert result.error and (result.error.code, result.error.retryable) == ("overloaded", True)
    assert not result.success


async def test_a_stream_cut_before_its_first_word_is_tried_again_unnoticed(house: House) -> None:
    house.standin.enqueue(Reply(cut_after=0), Reply(content=(Text("whole"),)))
    heard, result = await house.listen(prompt="hello", stream="events")
    assert result.response == "whole"
    kinds = [json.loads(message)["type"] for message in heard]
    assert [kind for kind in kinds if kind != "retry"] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_an_empty_answer_is_an_error_that_still_carries_the_message(house: House) -> None:
    only(house, Reply(content=()))
    result = await house.ask(prompt="hello")
    assert result.error and result.error.code == "empty_answer"
    assert result.message and result.message["content"] == []
    await nothing_more_was_answered(house)


@pytest.mark.parametrize("block", [Thinking("Hm."), RedactedThinking()], ids=["thinking", "redacted thinking"])
async def test_an_answer_of_thinking_alone_is_handed_over_as_it_is(
    house: House, block: Thinking | RedactedThinking
) -> None:
    only(house, Reply(content=(block,)))
    result = await house.ask(prompt="hello")
    assert result.message and result.message["content"] == [block.as_block()]
    await nothing_more_was_answered(house)


@pytest.mark.parametrize("stop_reason", ["max_tokens", "refusal"])
async def test_one_request_is_one_message_where_the_cli_would_go_on_by_itself(house: House, stop_reason: str) -> None:
    only(house, Reply(content=(Text("I can"),), stop_reason=stop_reason))
    result = await house.ask(prompt="hello")
    assert result.success and result.response == "I can"
    assert result.stop_reason == stop_reason
    await nothing_more_was_answered(house)


async def test_the_next_request_after_a_failure_is_answered(house: House) -> None:
    house.standin.enqueue(api.credit_too_low(), api.credit_too_low())
    assert (await house.ask(prompt="hello")).error
    house.standin.reset()
    assert (await house.ask(prompt="hello")).success


async def test_no_credential_is_ever_in_an_error(house: House) -> None:
    house.standin.script(lambda request: api.invalid_request("bad header: Bearer sk-ant-oat01-invented"))
    result = await house.ask(prompt="hello")
    assert result.error and "sk-ant-oat01" not in result.model_dump_json()
