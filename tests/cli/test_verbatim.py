"""What a prompt means to the CLI: nothing, as long as it is marked as composed by the client."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.bare import Bare, ask, conversation, initialize, user
from tests.samples import PNG

Json = dict[str, Any]
OPENING: Json = {
    "type": "control_request",
    "request_id": "1",
    "request": {"subtype": "initialize", "hooks": None, "skills": [], "systemPrompt": []},
}


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """A file that no prompt may open."""
    path = tmp_path / "note.txt"
    path.write_text("a note that nobody asked for")
    return path


async def test_client_composed_keeps_slash_at_bang_and_dash_from_meaning_anything(bare: Bare, note: Path) -> None:
    prompts = ["/help", "/clear", f"@{note}", f"look at @{note}", "!ls", "-v", "  two blanks before and after  "]
    async with bare.running() as worker:
        await initialize(worker)
        for prompt in prompts:
            await ask(worker, prompt)
    assert [conversation(request)[-1] for request in bare.upstream.requests] == [user(prompt) for prompt in prompts]


async def test_text_pictures_and_documents_arrive_natively_and_in_order(bare: Bare) -> None:
    blocks: list[Json] = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "text", "text": "/help"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a document"}},
    ]
    async with bare.running() as worker:
        await initialize(worker)
        await ask(worker, blocks)
    assert bare.arrived == [user(*blocks)]


def typed(prompt: str) -> Json:
    """A user message without the mark."""
    return {"type": "user", "message": {"role": "user", "content": prompt}, "parent_tool_use_id": None}


async def test_without_it_a_file_named_in_the_prompt_is_sent_along_although_there_are_no_tools(
    bare: Bare, note: Path
) -> None:
    await bare.piped(OPENING, typed(f"@{note}"))
    assert bare.bodies[0]["tools"] == []
    assert b"a note that nobody asked for" in bare.upstream.requests[0].raw


async def test_without_it_a_command_never_reaches_claude(bare: Bare) -> None:
    await bare.piped(OPENING, typed("/help"))
    assert bare.bodies == []
