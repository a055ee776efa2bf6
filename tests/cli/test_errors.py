"""How the CLI says that a run failed: the fields, and the words, that `failures` classifies by."""

from dataclasses import dataclass

import anyio
import pytest

from claude_max_mcp import standin as api
from claude_max_mcp.claude.protocol import System
from claude_max_mcp.standin import Failure, Reply, Text
from tests.cli.bare import DEADLINE, UNCHANGED, Bare, Run, ask, events_until, heard, initialize

ONCE = {"CLAUDE_CODE_MAX_RETRIES": "1"}
"""One retry shows as much as two, in half the time."""


@dataclass(frozen=True)
class Said:
    """What the CLI said of one failure."""

    terminal_reason: str | None
    status: int | None
    api_error: str | None
    error: str | None
    """The `error` of its message."""
    text: str
    """How the text begins."""


def said(run: Run, text: str) -> Said:
    """The fields of a run, with as much of its text as `text` is long."""
    result, message = run.result, run.said
    assert result.is_error
    error = message.error if message else None
    begun = result.result[: len(text)]
    return Said(result.terminal_reason, result.api_error_status, result.api_error, error, begun)


ROWS: dict[str, tuple[Failure, bool, Said]] = {
    "authentication": (
        api.authentication_failed(),
        True,
        Said("api_error", 401, None, "authentication_failed", "Failed to authenticate. API Error: 401 OAuth token has"),
    ),
    "blocked": (
        api.account_blocked(),
        False,
        Said("api_error", 403, None, "oauth_org_not_allowed", "Your organization has disabled Claude subscription"),
    ),
    "credit": (
        api.credit_too_low(),
        False,
        Said("api_error", 400, None, "billing_error", "Credit balance is too low"),
    ),
    "limit": (
        api.usage_limit(),
        False,
        Said("api_error", 429, "usage_limit_reached", "rate_limit", "You've hit your 5-hour limit · resets "),
    ),
    "throttled": (
        api.throttled(),
        True,
        Said("api_error", 429, None, "rate_limit", "API Error: Server is temporarily limiting requests (not your"),
    ),
    "overloaded": (
        api.overloaded(),
        True,
        Said("api_error", 529, None, "server_error", "API Error: 529 Overloaded."),
    ),
    "server": (
        api.server_error(),
        True,
        Said("api_error", 500, None, "server_error", "API Error: 500 Internal server error."),
    ),
    "too long": (
        api.prompt_too_long(),
        False,
        Said("prompt_too_long", 400, None, "invalid_request", "Prompt is too long"),
    ),
    "too large": (
        api.request_too_large(),
        False,
        Said("image_error", 413, None, "invalid_request", "Request too large (max 32MB)."),
    ),
    "no such model": (
        api.model_not_found(),
        False,
        Said("api_error", 404, None, "model_not_found", "There's an issue with the selected model ("),
    ),
    "invalid": (
        api.invalid_request(),
        False,
        Said("api_error", 400, None, "unknown", "API Error: 400 messages.0: all messages must have non-empty"),
    ),
}
"""What upstream answers, whether the CLI tries again, and what it says in the end."""


@pytest.mark.parametrize(("failure", "retried", "expected"), ROWS.values(), ids=ROWS.keys())
async def test_an_error_of_upstream_is_told_in_these_fields(
    bare: Bare, failure: Failure, retried: bool, expected: Said
) -> None:
    bare.upstream.script(lambda _: failure)
    async with bare.running(changed=ONCE) as worker:
        await initialize(worker)
        run = await ask(worker)
    assert said(run, expected.text) == expected
    assert bool(run.retries) is retried
    assert run.said and run.said.request_id == "req_standin"


BROKEN = [
    (Reply(garbage=b"<html>"), None, "unknown", "API Error: Stream ended without receiving any events"),
    (Reply(cut_after=0), "connection_failed", "server_error", "API Error: Connection to the API was lost"),
]


@pytest.mark.parametrize(("reply", "api_error", "error", "text"), BROKEN, ids=["no event stream", "cut off"])
async def test_a_broken_answer_is_told_without_a_status(
    bare: Bare, reply: Reply, api_error: str | None, error: str, text: str
) -> None:
    bare.upstream.script(lambda _: reply)
    async with bare.running(changed=ONCE) as worker:
        await initialize(worker)
        run = await ask(worker)
    assert said(run, text) == Said("api_error", None, api_error, error, text)


async def test_a_message_that_broke_off_is_begun_anew_and_ends_with_a_stop_that_upstream_never_sent(bare: Bare) -> None:
    """The reason why a `message_stop` without a stop reason completes no message."""
    heard_of_it = anyio.Event()
    broken = Reply(content=(Text("one two three"),), hold=heard_of_it, hold_after=2, cut_after=2)
    bare.upstream.enqueue(broken, Reply(content=(Text("whole"),)))
    async with bare.running(changed=ONCE) as worker:
        await initialize(worker)
        worker.say("hello")
        await events_until(worker, "content_block_delta")
        heard_of_it.set()
        run = await heard(worker)
    kinds = [event["type"] for event in run.events if event["type"].startswith("message_")]
    assert kinds == ["message_stop", "message_start", "message_delta", "message_stop"]
    assert run.result.result == "whole"


async def test_without_a_login_it_says_so_without_a_status_and_without_a_request(bare: Bare) -> None:
    async with bare.running(changed={"CLAUDE_CODE_OAUTH_TOKEN": None}) as worker:
        known = await initialize(worker)
        run = await ask(worker)
    assert known.account.token_source == "none"
    text = "Not logged in"
    assert said(run, text) == Said("api_error", None, None, "authentication_failed", text)
    assert bare.upstream.requests == []


async def test_a_usage_limit_comes_with_its_reset_and_its_window(bare: Bare) -> None:
    bare.upstream.script(lambda _: api.usage_limit(window="seven_day"))
    async with bare.running() as worker:
        await initialize(worker)
        run = await ask(worker)
    assert run.limits is not None, "no rate_limit_event"
    assert (run.limits.status, run.limits.rate_limit_type) == ("rejected", "seven_day")
    assert run.limits.resets_at is not None


async def test_being_throttled_names_no_reset(bare: Bare) -> None:
    bare.upstream.script(lambda _: api.throttled())
    async with bare.running(changed={"CLAUDE_CODE_MAX_RETRIES": "0"}) as worker:
        await initialize(worker)
        run = await ask(worker)
    assert run.limits is None or run.limits.resets_at is None


async def test_a_retry_is_told_before_it_is_waited_for(bare: Bare) -> None:
    bare.upstream.enqueue(api.overloaded())
    async with bare.running(changed=ONCE) as worker:
        await initialize(worker)
        run = await ask(worker)
    (retry,) = run.retries
    assert (retry.attempt, retry.max_retries, retry.error_status, retry.error) == (1, 1, 529, "overloaded")
    assert 0 < retry.retry_delay_ms < 1000 * DEADLINE
    assert not run.result.is_error


async def test_it_would_try_ten_times_by_itself(bare: Bare) -> None:
    """The reason for a limit of our own: ten times take three minutes."""
    bare.upstream.script(lambda _: api.overloaded())
    async with bare.running(changed={"CLAUDE_CODE_MAX_RETRIES": None}) as worker:
        await initialize(worker)
        worker.say("hello")
        async for message in worker.messages():
            if isinstance(message, System) and message.subtype == "api_retry":
                assert message.max_retries == 10
                return
    raise AssertionError("it did not try again")


async def test_beyond_the_models_window_it_refuses_by_itself_and_summarises_only_where_it_may(bare: Bare) -> None:
    usage = {**api.RECORDED_USAGE, "input_tokens": 990_000}
    for changed in (UNCHANGED, {"DISABLE_COMPACT": None, "DISABLE_AUTO_COMPACT": None}):
        bare.upstream.reset()
        bare.upstream.enqueue(Reply(usage=usage))
        async with bare.running(changed=changed) as worker:
            await initialize(worker)
            await ask(worker)
            run = await ask(worker, "and now?")
        if not changed:
            assert (run.result.result, run.result.api_error_status) == ("Prompt is too long", None)
            assert len(bare.upstream.requests) == 1
    assert len(bare.upstream.requests) > 2, "the variables that forbid it would no longer be needed"
