"""A conversation resumed from a transcript that we wrote: natively, and further by itself where it was interrupted."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from claude_max_mcp.claude import transcript as transcripts
from claude_max_mcp.claude.caller_tools import SERVER
from claude_max_mcp.messages import Message
from claude_max_mcp.standin import ToolUse
from tests.cli.bare import SONNET, UNCHANGED, Bare, Changed, ask, assistant, heard, initialize, user
from tests.samples import PNG, WEATHER

Json = dict[str, Any]


def write_transcript(messages: list[Json], model: str, folder: Path) -> Path:
    """A transcript of messages that are blocks already."""
    return transcripts.write_lines(transcripts.make_lines(cast("list[Message]", messages), model), folder)


THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "c2lnbmF0dXJl"}
CALL = ToolUse("get_weather", {"city": "Paris"}, "toolu_1").as_block()
RETURNED = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
EARLIER = [
    user("look", IMAGE),
    assistant(THOUGHT, "Let me see.", CALL),
    user(RETURNED),
    assistant({"type": "redacted_thinking", "data": "cmVk"}, "Sunny."),
]
INTERRUPTED = [user("weather?"), assistant(THOUGHT, CALL), user(RETURNED)]

GOES_ON = {"CLAUDE_CODE_RESUME_INTERRUPTED_TURN": "1", "CLAUDE_CODE_RESUME_PROMPT": "Continue."}
DECLARED = ("--mcp-config", json.dumps({"mcpServers": {SERVER: {"type": "sdk", "name": SERVER}}}))


async def test_upstream_gets_the_very_blocks_and_the_system_prompt_of_initialize(bare: Bare, tmp_path: Path) -> None:
    transcript = write_transcript(EARLIER, SONNET, tmp_path)
    async with bare.running("--resume", str(transcript), "--fork-session") as worker:
        await initialize(worker, WEATHER, systemPrompt=["Be terse."])
        await ask(worker, "and now?")
    assert bare.arrived == [*EARLIER, user("and now?")]
    assert len(bare.bodies) == 1
    assert (bare.bodies[0]["system"][-1]["text"], bare.bodies[0]["tools"]) == ("Be terse.", [WEATHER])


async def test_a_transcript_is_taken_up_from_wherever_it_lies_and_left_as_it_was(bare: Bare, tmp_path: Path) -> None:
    transcript = write_transcript([user("a"), assistant("b")], SONNET, tmp_path)
    before = transcript.read_bytes()
    async with bare.running("--resume", str(transcript), "--fork-session") as worker:
        await initialize(worker)
        await ask(worker, "c")
    assert bare.arrived == [user("a"), assistant("b"), user("c")]
    assert transcript.read_bytes() == before


async def test_the_thinking_of_another_model_would_be_left_out(bare: Bare, tmp_path: Path) -> None:
    """The reason why `make_lines` says that the model that goes on has thought it all."""
    transcript = write_transcript([user("a"), assistant(THOUGHT, "b")], "claude-opus-4-5", tmp_path)
    async with bare.running("--resume", str(transcript), "--fork-session") as worker:
        await initialize(worker)
        await ask(worker, "c")
    assert bare.arrived == [user("a"), assistant("b"), user("c")]


async def go_on(bare: Bare, folder: Path, changed: Changed = UNCHANGED) -> list[Json]:
    """Resume history that ends with a tool result, say nothing, and read: the last message upstream."""
    transcript = write_transcript(INTERRUPTED, SONNET, folder)
    resumed = ("--resume", str(transcript), "--fork-session", *DECLARED)
    async with bare.running(*resumed, changed={**GOES_ON, **changed}) as worker:
        await initialize(worker, WEATHER)
        await heard(worker)
    if not bare.bodies:
        return []
    assert bare.bodies[0]["tools"] == [WEATHER]
    *earlier, last = bare.arrived
    assert earlier == INTERRUPTED[:-1]
    return last["content"]


async def test_an_interrupted_turn_goes_on_by_itself_with_the_resume_prompt_as_one_text_block(
    bare: Bare, tmp_path: Path
) -> None:
    assert await go_on(bare, tmp_path) == [RETURNED, {"type": "text", "text": "Continue."}]
    assert len(bare.bodies) == 1


async def test_without_a_resume_prompt_it_uses_words_of_its_own(bare: Bare, tmp_path: Path) -> None:
    last = await go_on(bare, tmp_path, {"CLAUDE_CODE_RESUME_PROMPT": None})
    assert last == [RETURNED, {"type": "text", "text": "Continue from where you left off."}]


async def test_a_resume_prompt_is_not_verbatim_a_file_that_it_names_is_sent_along(bare: Bare, tmp_path: Path) -> None:
    """The reason why only a constant may be put there."""
    note = tmp_path / "note.txt"
    note.write_text("a note that nobody asked for")
    last = await go_on(bare, tmp_path, {"CLAUDE_CODE_RESUME_PROMPT": f"@{note}"})
    assert "a note that nobody asked for" in str(last)


async def test_a_resume_prompt_is_not_verbatim_a_command_in_it_never_reaches_claude(bare: Bare, tmp_path: Path) -> None:
    assert await go_on(bare, tmp_path, {"CLAUDE_CODE_RESUME_PROMPT": "/help"}) == []


async def test_a_resume_prompt_is_not_verbatim_blanks_around_it_are_lost(bare: Bare, tmp_path: Path) -> None:
    last = await go_on(bare, tmp_path, {"CLAUDE_CODE_RESUME_PROMPT": "  Go on. \n"})
    assert last[-1] == {"type": "text", "text": "Go on."}


async def test_it_goes_on_even_before_initialize_with_the_system_prompt_of_its_file(bare: Bare, tmp_path: Path) -> None:
    """The reason why all that such a process is to know is given where it is started."""
    transcript = write_transcript(INTERRUPTED, SONNET, tmp_path)
    system = tmp_path / "system.txt"
    system.write_text("Be terse.")
    arguments = ("--resume", str(transcript), "--fork-session", "--system-prompt-file", str(system))
    async with bare.running(*arguments, changed=GOES_ON) as worker:
        await heard(worker)
    assert bare.bodies[0]["system"][-1]["text"] == "Be terse."


async def test_without_the_variable_it_waits_and_an_answer_that_claude_never_gave_is_put_in(
    bare: Bare, tmp_path: Path
) -> None:
    transcript = write_transcript(INTERRUPTED, SONNET, tmp_path)
    async with bare.running("--resume", str(transcript), "--fork-session") as worker:
        await initialize(worker, WEATHER)
        await ask(worker, "and now?")
    (request,) = bare.bodies
    assert request["tools"] == [WEATHER]
    assert bare.arrived == [*INTERRUPTED, assistant("No response requested."), user("and now?")]


@pytest.mark.parametrize("messages", [EARLIER, INTERRUPTED], ids=["at rest", "interrupted"])
async def test_a_transcript_that_cannot_be_found_ends_the_process(
    bare: Bare, tmp_path: Path, messages: list[Json]
) -> None:
    transcript = write_transcript(messages, SONNET, tmp_path)
    transcript.unlink()
    async with bare.running("--resume", str(transcript), "--fork-session", changed=GOES_ON) as worker:
        async for _ in worker.messages():
            pass
    assert bare.bodies == []
