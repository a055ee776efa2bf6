"""A turn makes one answer of whatever the CLI says, in whatever order: it settles once, and passes on no more."""

from dataclasses import dataclass, replace
from typing import Any

import anyio
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from claude_max_mcp.claude.protocol import (
    AssistantMessage,
    Other,
    Output,
    RateLimitEvent,
    RateLimitInfo,
    Result,
    StreamEvent,
    System,
)
from claude_max_mcp.engine.fold import Fold
from claude_max_mcp.engine.turn import Turn, TurnResult
from claude_max_mcp.errors import ClaudeMaxError, ServiceError, UpstreamError
from claude_max_mcp.standin import Reply, Text, ToolUse
from tests.properties.runs import CALLER_TOOLS, Run, runs
from tests.properties.values import Json
from tests.virtual import in_virtual_asyncio_time

LOST = ServiceError("cli_failed", "The process has ended.")

ASIDES = st.sampled_from(
    [
        RateLimitEvent(type="rate_limit_event", rate_limit_info=RateLimitInfo(status="allowed")),
        AssistantMessage(type="assistant"),
        System(type="system", subtype="status"),
        Other(type="keep_alive"),
    ]
)
"""What the CLI says beside the events of a message."""

RETRY = System(
    type="system",
    subtype="api_retry",
    attempt=1,
    max_retries=2,
    retry_delay_ms=560.4,
    error_status=529,
    error="overloaded",
)
NOTICE = {"type": "retry", "attempt": 1, "max_retries": 2, "delay_ms": 560, "error": "overloaded", "status": 529}

TOOLS = st.just(frozenset(CALLER_TOOLS)) | st.sets(st.sampled_from(CALLER_TOOLS)).map(frozenset)
"""The caller's tools; a call of any other ends the process."""


@dataclass(frozen=True)
class Case:
    """A run, what the CLI says of it, and when somebody begins to follow."""

    run: Run
    tools: frozenset[str]
    said: list[Output]
    followed_at: int


@st.composite
def cases(draw: st.DrawFn, *, retries: int = 0, cut: bool = False) -> Case:
    """The events of a run in their order, with anything else in between, and perhaps not to the end.

    Args:
        draw: Hypothesis's.
        retries: at most so many notices that the CLI asks again, at any place.
        cut: whether the last of it may be missing.
    """
    run = draw(runs())
    said: list[Output] = [StreamEvent(type="stream_event", event=event) for event in run.events]
    others = [*draw(st.lists(ASIDES, max_size=4)), *[RETRY] * draw(st.integers(0, retries))]
    for other in others:
        said.insert(draw(st.integers(0, len(said))), other)
    if cut:
        del said[draw(st.integers(0, len(said))) :]
    return Case(run, draw(TOOLS), said, draw(st.integers(0, len(said))))


class Listener:
    """A turn, what it passed on, and how much of that when it stopped the process."""

    def __init__(self, case: Case) -> None:
        self.passed: list[Any] = []
        self.stopped: list[int] = []
        self.turn = Turn(
            caller_tools=case.tools,
            cli_tools=case.run.kind.cli_tools,
            structured=case.run.kind.structured,
            stop=lambda: self.stopped.append(len(self.passed)),
        )
        for message in case.said[: case.followed_at]:
            self.turn.hear(message)
        self.turn.follow(self.passed.append)
        for message in case.said[case.followed_at :]:
            self.turn.hear(message)

    async def find_outcome(self) -> TurnResult | Exception | None:
        """What the turn has come to; None while it is open."""
        with anyio.move_on_after(1):
            try:
                return await self.turn.wait()
            except Exception as error:
                return error
        return None

    @property
    def message(self) -> Json:
        """The message that the events make which were passed on."""
        fold = Fold()
        for passed in self.passed:
            if passed["type"] != "retry":
                fold.add(passed)
        return fold.message


RESULTS = st.builds(
    Result,
    type=st.just("result"),
    is_error=st.booleans(),
    result=st.sampled_from(["", "Prompt is too long", "Stream ended"]),
    terminal_reason=st.none() | st.just("prompt_too_long"),
    api_error_status=st.none() | st.sampled_from([400, 401, 403, 404, 413, 429, 500, 529]),
)
"""Ends of runs that have no output of their own."""


def end_of(run: Run, *, failed: bool = False) -> Result:
    return Result(type="result", is_error=failed, structured_output=run.output if run.concludes else None)


def says_it_all(case: Case) -> bool:
    """Whether the message ends the run by itself, or the CLI would go on by itself if it were not stopped."""
    called = {block["name"] for block in case.run.message["content"] if block["type"] == "tool_use"}
    return bool(called) and case.run.message["stop_reason"] == "tool_use" and called <= case.tools


@given(case=cases(), failed=st.booleans())
@in_virtual_asyncio_time
async def test_a_whole_run_gives_its_message(case: Case, failed: bool) -> None:
    listener = Listener(case)
    listener.turn.hear(end_of(case.run, failed=failed and not case.run.concludes))
    outcome = await listener.find_outcome()
    assert isinstance(outcome, TurnResult)
    assert {**outcome.message, "usage": None} == {**case.run.message, "usage": None}
    assert outcome.text == "".join(block["text"] for block in outcome.message["content"] if block["type"] == "text")


@given(case=cases())
@in_virtual_asyncio_time
async def test_what_was_passed_on_makes_the_message(case: Case) -> None:
    listener = Listener(case)
    listener.turn.hear(end_of(case.run))
    outcome = await listener.find_outcome()
    assert isinstance(outcome, TurnResult)
    assert listener.message == outcome.message


@given(case=cases())
@in_virtual_asyncio_time
async def test_an_answer_is_there_before_the_end_of_the_run_if_the_cli_waits_or_was_stopped(case: Case) -> None:
    listener = Listener(case)
    outcome = await listener.find_outcome()
    reason = case.run.messages[-1].whole["stop_reason"]
    event(f"stopped {bool(listener.stopped)}, waits {says_it_all(case)}")
    assert isinstance(outcome, TurnResult) == (bool(listener.stopped) or says_it_all(case))
    if isinstance(outcome, TurnResult):
        assert outcome.settled == (not listener.stopped)
    if reason in ("max_tokens", "refusal", "pause_turn", "stop_sequence"):
        assert len(listener.stopped) == 1, "the CLI would send a prompt of its own"


@given(case=cases(retries=1), more=cases(retries=1))
@in_virtual_asyncio_time
async def test_after_the_process_was_stopped_only_the_rest_of_its_message_is_passed_on(case: Case, more: Case) -> None:
    listener = Listener(replace(case, followed_at=0))
    assume(listener.stopped)
    for message in more.said:
        listener.turn.hear(message)
    kinds = [passed["type"] for passed in listener.passed if passed["type"] not in ("ping", "retry")]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("message_start") == kinds.count("message_stop") == len(listener.stopped) == 1
    assert "content_block_delta" not in kinds[listener.stopped[0] :]


@given(case=cases(retries=2, cut=True), result=RESULTS | st.none(), more=cases(retries=2))
@in_virtual_asyncio_time
async def test_a_turn_settles_once_at_its_end_and_hears_no_more(case: Case, result: Result | None, more: Case) -> None:
    listener = Listener(case)
    if result is None:
        listener.turn.lose(LOST)
    else:
        listener.turn.hear(result)
    outcome, passed = await listener.find_outcome(), list(listener.passed)
    assert outcome is not None
    for message in [*more.said, end_of(more.run)]:
        listener.turn.hear(message)
    listener.turn.lose(ServiceError("cli_failed", "another one"))
    assert await listener.find_outcome() is outcome
    assert listener.passed == passed
    event(type(outcome).__name__)
    assert isinstance(outcome, TurnResult | ClaudeMaxError)
    if isinstance(outcome, TurnResult):
        assert outcome.message == listener.message


@given(case=cases(cut=True))
@in_virtual_asyncio_time
async def test_where_the_process_ends_too_early_its_end_is_the_error(case: Case) -> None:
    listener = Listener(case)
    open_before = await listener.find_outcome() is None
    listener.turn.lose(LOST)
    outcome = await listener.find_outcome()
    if open_before and not listener.stopped:
        assert outcome is LOST
    else:
        assert isinstance(outcome, TurnResult)


@pytest.mark.parametrize(
    ("reply", "is_whole"),
    [(Reply(content=(Text("cut"),), stop_reason="max_tokens"), True), (Reply(content=(ToolUse("look"),)), False)],
    ids=["stopped", "not stopped"],
)
@in_virtual_asyncio_time
async def test_a_message_that_lacks_only_its_last_event_is_whole_if_the_process_was_stopped_for_it(
    reply: Reply, is_whole: bool
) -> None:
    passed: list[Any] = []
    turn = Turn(caller_tools=frozenset({"look"}), stop=lambda: None)
    turn.follow(passed.append)
    *events, last = reply.make_events("claude-sonnet-5-5")
    for said in events:
        turn.hear(StreamEvent(type="stream_event", event=said))
    turn.lose(LOST)
    if is_whole:
        assert (await turn.wait()).text == "cut"
        assert passed == [*events, last]
    else:
        with pytest.raises(ServiceError) as raised:
            await turn.wait()
        assert raised.value is LOST and passed == events


@given(case=cases(cut=True))
@in_virtual_asyncio_time
async def test_a_retry_is_told_unless_a_part_of_the_message_was(case: Case) -> None:
    listener = Listener(replace(case, said=[], followed_at=0))
    partly = False
    for message in case.said:
        before = len(listener.passed)
        listener.turn.hear(message)
        if isinstance(message, StreamEvent) and message.event["type"] != "ping":
            is_between = message.event["type"] in ("message_start", "message_delta", "message_stop")
            partly = not is_between and (partly or len(listener.passed) > before)
    assume(await listener.find_outcome() is None)
    event(f"partly {partly}")
    listener.turn.hear(RETRY)
    outcome = await listener.find_outcome()
    if partly:
        assert isinstance(outcome, UpstreamError) and outcome.code == "overloaded"
    else:
        assert outcome is None and listener.passed[-1] == NOTICE
