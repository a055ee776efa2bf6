"""Where the CLI goes on by itself after an answer: why `turn` ends the process, and why some variables are set."""

import pytest

from claude_max_mcp.claude.caller_tools import CallerTools
from claude_max_mcp.standin import Reply, Text, Thinking, ToolUse
from tests.cli.bare import Bare, Changed, ask, heard, initialize
from tests.samples import WEATHER

SAYS = (Text("I can"),)


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (Reply(content=SAYS, stop_reason="max_tokens"), "Output token limit hit."),
        (Reply(content=SAYS, stop_reason="model_context_window_exceeded"), "Output token limit hit."),
        (Reply(content=()), "no visible output"),
        (Reply(content=(Thinking("hm"),)), "no visible output"),
        (Reply(content=(ToolUse("invented"),)), "No such tool available: invented"),
    ],
    ids=["max_tokens", "the window is full", "nothing said", "only thinking", "a tool that nobody offered"],
)
async def test_it_sends_a_prompt_of_its_own_after(bare: Bare, reply: Reply, word: str) -> None:
    bare.upstream.enqueue(reply)
    async with bare.running() as worker:
        await initialize(worker, WEATHER)
        await ask(worker)
    assert len(bare.upstream.requests) == 2
    assert word in str(bare.arrived[-1]["content"])


@pytest.mark.parametrize("reason", ["stop_sequence", "pause_turn"])
async def test_it_leaves_it_at_that_after(bare: Bare, reason: str) -> None:
    bare.upstream.enqueue(Reply(content=SAYS, stop_reason=reason))
    async with bare.running() as worker:
        await initialize(worker)
        run = await ask(worker)
    assert len(bare.upstream.requests) == 1
    assert not run.result.is_error


async def test_a_refusal_is_an_error_in_its_words_and_a_stop_reason_in_the_events(bare: Bare) -> None:
    bare.upstream.enqueue(Reply(content=SAYS, stop_reason="refusal"))
    async with bare.running() as worker:
        await initialize(worker)
        run = await ask(worker)
    assert run.result.is_error and "safeguards flagged" in run.result.result
    assert [e["delta"]["stop_reason"] for e in run.events if e["type"] == "message_delta"] == ["refusal"]
    assert len(bare.upstream.requests) == 1


async def test_it_would_comment_on_a_refusal_to_claude(bare: Bare) -> None:
    bare.upstream.enqueue(Reply(content=SAYS, stop_reason="refusal"))
    async with bare.running(changed={"CLAUDE_CODE_DISABLE_REFUSAL_RETRY": None}) as worker:
        await initialize(worker)
        await ask(worker)
    assert len(bare.upstream.requests) == 2
    assert "stopped by a safety classifier" in str(bare.arrived[-1]["content"])


@pytest.mark.parametrize(("changed", "streams"), [("1", [True]), (None, [True, False])], ids=["as set", "by itself"])
async def test_it_would_ask_again_without_streaming_after_an_answer_that_is_no_event_stream(
    bare: Bare, changed: str | None, streams: list[bool]
) -> None:
    bare.upstream.enqueue(Reply(garbage=b"<html>"))
    async with bare.running(changed={"CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": changed}) as worker:
        await initialize(worker)
        await ask(worker)
    assert [body.get("stream", False) for body in bare.bodies] == streams


async def test_it_would_ask_for_thinking_that_is_reworded_for_a_terminal(bare: Bare) -> None:
    async with bare.running(changed={"CLAUDE_CODE_THINKING_DISPLAY_UPDATES": None}) as worker:
        await initialize(worker)
        await ask(worker)
    assert bare.bodies[0]["thinking"] == {"type": "adaptive", "display": "updates"}


async def loop_in_silence(bare: Bare, changed: Changed) -> list[str]:
    """A loop of ten calls in which Claude says nothing: what the CLI has put between them."""
    bare.upstream.enqueue(*(Reply(content=(ToolUse("get_weather", {}, f"toolu_{at}"),)) for at in range(10)))
    async with bare.running(changed=changed) as worker:
        worker.tools = CallerTools([WEATHER])
        await initialize(worker)
        worker.say("go on")
        worker.give({f"toolu_{at}": {"content": [{"type": "text", "text": "sunny"}]} for at in range(10)})
        await heard(worker)
    messages = bare.bodies[-1]["messages"]
    return [str(message["content"]) for message in messages[2:] if message["role"] == "system"]


async def test_after_some_silent_calls_it_would_tell_claude_to_speak_up(bare: Bare) -> None:
    assert await loop_in_silence(bare, {}) == []
    bare.upstream.reset()
    said, *_ = await loop_in_silence(bare, {"CLAUDE_CODE_SILENT_TURN_REMINDER": None})
    assert "hasn't heard from you in a while" in said
