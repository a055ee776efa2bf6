"""The CLI's own tools, where a process gets some: which, within what, and who is asked before."""

from dataclasses import replace
from typing import Any

from claude_max_mcp.claude.protocol import HOOKS
from claude_max_mcp.engine.workspace import Workspace
from claude_max_mcp.standin import Reply, ToolUse
from tests.cli.bare import Bare, ask, initialize

Json = dict[str, Any]


async def read(bare: Bare, name: str, refusal: str | None = None) -> tuple[Json, list[str]]:
    """Let Claude read a file with the workspace's launch: the result upstream, and the calls we were asked about."""
    asked: list[str] = []

    def refuse(tool: str, arguments: Json) -> str | None:
        asked.append(f"{tool} {arguments['file_path']}")
        return refusal

    bare.upstream.reset()
    bare.upstream.enqueue(Reply(content=(ToolUse("Read", {"file_path": name}, "toolu_1"),)))
    async with bare.launched(Workspace(bare.folder).launch(bare.launch())) as worker:
        worker.refusal = refuse
        await initialize(worker, hooks=HOOKS)
        await ask(worker)
    (block,) = bare.arrived[-1]["content"]
    return block, asked


async def test_it_has_the_tools_that_it_was_started_with_and_asks_before_each_call(own_bare: Bare) -> None:
    note = own_bare.folder / "note.txt"
    note.write_text("a note")
    block, asked = await read(own_bare, str(note))
    assert block == {"type": "tool_result", "tool_use_id": "toolu_1", "content": "1\ta note"}
    assert asked == [f"Read {note}"]
    assert [tool["name"] for tool in own_bare.bodies[0]["tools"]] == ["Glob", "Grep", "Read"]


async def test_a_refusal_reaches_claude_in_our_words(own_bare: Bare) -> None:
    note = own_bare.folder / "note.txt"
    note.write_text("a note")
    block, _ = await read(own_bare, str(note), refusal="not this one")
    assert block["is_error"] is True and "not this one" in block["content"]


async def test_by_itself_it_reads_nothing_outside_its_folder_and_nothing_that_is_disallowed(own_bare: Bare) -> None:
    outside, secret = own_bare.home / "outside.txt", own_bare.folder / ".env"
    for path in (outside, secret):
        path.write_text("a secret")
        block, _ = await read(own_bare, str(path))
        assert block["is_error"] is True and "a secret" not in str(block)


async def test_settings_and_instructions_of_its_home_and_folder_are_not_obeyed(own_bare: Bare) -> None:
    config = own_bare.home / ".claude"
    config.mkdir()
    (config / "settings.json").write_text('{"model": "opus", "env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}}')
    for folder in (config, own_bare.folder):
        (folder / "CLAUDE.md").write_text("an instruction that nobody gave")
    async with own_bare.launched(replace(own_bare.launch(), homes=None)) as worker:
        await initialize(worker)
        await ask(worker)
    (request,) = own_bare.upstream.requests
    assert request.body["model"] == "claude-sonnet-5-5"
    assert b"an instruction that nobody gave" not in request.raw
