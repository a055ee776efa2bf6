"""One answer: when it is whole, and what the end of its run makes of it."""

from typing import Any

import anyio
import pytest

from claude_max_mcp.claude.protocol import AssistantMessage, RateLimitEvent, RateLimitInfo, Result, StreamEvent
from claude_max_mcp.engine.fold import STRUCTURED_OUTPUT
from claude_max_mcp.engine.turn import Turn
from claude_max_mcp.errors import ClaudeMaxError
from claude_max_mcp.standin import Reply, Text, ToolUse
from tests.virtual import in_virtual_time


class Run:
    """A turn, how often it ended the process, and what it passed on."""

    def __init__(self, *, structured: bool = False) -> None:
        self.stops = 0
        self.passed: list[Any] = []
        cli_tools = frozenset({STRUCTURED_OUTPUT} if structured else ())
        self.turn = Turn(caller_tools=frozenset({"look"}), cli_tools=cli_tools, structured=structured, stop=self._stop)
        self.turn.follow(self.passed.append)

    def _stop(self) -> None:
        self.stops += 1

    def say(self, reply: Reply) -> None:
        for event in reply.make_events("claude-sonnet-5-5"):
            self.turn.hear(StreamEvent(type="stream_event", event=event))

    async def find_error(self) -> ClaudeMaxError:
        with pytest.raises(ClaudeMaxError) as raised:
            await self.turn.wait()
        return raised.value


def end(**fields: Any) -> Result:
    return Result(type="result", **fields)


@pytest.mark.parametrize("failed", [False, True])
@in_virtual_time
async def test_an_answer_without_a_call_is_whole_at_the_end_of_its_run(failed: bool) -> None:
    run = Run()
    run.say(Reply(content=(Text("Paris."),)))
    with anyio.move_on_after(1):
        await run.turn.wait()
        pytest.fail("the run goes on")
    run.turn.hear(end(is_error=failed))
    outcome = await run.turn.wait()
    assert (outcome.text, outcome.settled, run.stops) == ("Paris.", not failed, 0)


@in_virtual_time
async def test_a_call_of_the_callers_only_tool_is_an_answer_that_waits_for_its_result() -> None:
    run = Run()
    run.say(Reply(content=(ToolUse("look"),)))
    outcome = await run.turn.wait()
    assert (outcome.settled, run.stops) == (True, 0)


@pytest.mark.parametrize("content", [(ToolUse("unknown"),), (ToolUse("look"), ToolUse("unknown")), ()], ids=len)
@in_virtual_time
async def test_where_the_cli_would_go_on_by_itself_its_process_is_ended(content: tuple[ToolUse, ...]) -> None:
    run = Run()
    run.say(Reply(content=content))
    outcome = await run.turn.wait()
    assert (outcome.settled, run.stops) == (False, 1)
    assert [block["name"] for block in outcome.message["content"]] == [call.name for call in content]


@in_virtual_time
async def test_an_end_that_has_no_reason_yet_stops_nothing() -> None:
    run = Run()
    *events, end_of_message, last = Reply(content=(Text("Paris."),)).make_events("claude-sonnet-5-5")
    no_reason = {"stop_reason": None, "stop_sequence": None}
    for event in [*events, {**end_of_message, "delta": no_reason}, end_of_message, last]:
        run.turn.hear(StreamEvent(type="stream_event", event={**event}))
    run.turn.hear(end())
    assert ((await run.turn.wait()).settled, run.stops) == (True, 0)


@in_virtual_time
async def test_output_that_fits_the_schema_is_the_answer() -> None:
    run = Run(structured=True)
    run.say(Reply(content=(ToolUse(STRUCTURED_OUTPUT, {"city": "Zürich"}),)))
    run.turn.hear(end(structured_output={"city": "Zürich"}))
    outcome = await run.turn.wait()
    assert (outcome.structured_output, outcome.text) == ({"city": "Zürich"}, '{"city": "Zürich"}')
    (said,) = [event["delta"] for event in run.passed if event["type"] == "message_delta"]
    assert said == {"stop_reason": "end_turn", "stop_sequence": None}
    (begun,) = [event["content_block"] for event in run.passed if event["type"] == "content_block_start"]
    assert begun == {"type": "text", "text": ""}


@pytest.mark.parametrize(
    ("structured", "result", "code"),
    [
        (True, end(), "empty_answer"),
        (True, end(is_error=True, api_error_status=401), "auth_expired"),
        (False, end(), "cli_failed"),
        (False, end(is_error=True, api_error_status=404), "model_not_found"),
    ],
)
@in_virtual_time
async def test_a_run_that_ends_without_a_message_is_an_error(structured: bool, result: Result, code: str) -> None:
    run = Run(structured=structured)
    run.turn.hear(result)
    assert (await run.find_error()).code == code


@in_virtual_time
async def test_an_error_has_all_that_the_cli_has_said_of_it() -> None:
    run = Run()
    limits = RateLimitInfo(status="rejected", resets_at=1_700)
    run.turn.hear(RateLimitEvent(type="rate_limit_event", rate_limit_info=limits))
    run.turn.hear(AssistantMessage(type="assistant", error="rate_limit", request_id="req_1"))
    run.turn.hear(end(is_error=True, api_error_status=429, result="You've hit your limit"))
    error = await run.find_error()
    assert (error.code, error.resets_at, error.retry_after) == ("usage_limit", 1_700, 0.0)
    assert error.upstream_request_id == "req_1" and "You've hit your limit" in error.problem


@in_virtual_time
async def test_who_would_pay_is_read_from_the_clis_own_account_of_the_error() -> None:
    run = Run()
    run.turn.hear(AssistantMessage(type="assistant", error="billing_error"))
    run.turn.hear(end(is_error=True, api_error_status=400))
    assert (await run.find_error()).code == "api_key_billing"
