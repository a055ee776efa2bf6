"""`claude-max connect CLIENT --write`: settings are put where the client reads them, and nothing is lost."""

import json
import stat
from pathlib import Path
from typing import Any

import anyio
import pytest

from claude_max_mcp.claude.launch import find_cli
from claude_max_mcp.errors import RequestError
from claude_max_mcp.front.connect import Recipe
from claude_max_mcp.terminal.install import merge_settings, write
from tests.house import PATH, serving
from tests.server.program import run

TOKEN = "a-token-that-nobody-guesses"
THERE = {
    "inputs": [{"id": "other"}, {"id": "claude-max-token", "description": "old"}],
    "servers": {"other": {"url": "http://other"}, "claude-max": {"url": "http://old"}},
    "theirs": [1, "ü"],
}


async def put(home: Path, client: str, *options: str, **environment: str) -> tuple[str, dict[str, Any]]:
    """What `connect --write` says, and what is in the file then."""
    files = {
        "vscode": ".vscode/mcp.json",
        "cursor": ".cursor/mcp.json",
        "claude-desktop": ".config/Claude/claude_desktop_config.json",
    }
    code, out, err = await run(home, "connect", client, "--write", *options, **environment)
    assert (code, err) == (0, "")
    return out, json.loads((home / files[client]).read_text())


async def test_in_a_file_everything_else_stays_and_what_was_there_is_kept_beside_it(tmp_path: Path) -> None:
    file = tmp_path / ".vscode" / "mcp.json"
    file.parent.mkdir()
    file.write_text(json.dumps(THERE))
    file.chmod(0o640)
    said, written = await put(tmp_path, "vscode", CLAUDE_MAX_TOKEN=TOKEN)
    assert list(written["servers"]) == ["other", "claude-max"]
    assert written["servers"]["other"] == {"url": "http://other"} and written["theirs"] == [1, "ü"]
    assert written["servers"]["claude-max"]["url"] == "http://127.0.0.1:47291/mcp"
    assert [question["id"] for question in written["inputs"]] == ["other", "claude-max-token"]
    assert written["inputs"][1]["description"] == "Token of claude-max"
    assert json.loads((file.parent / "mcp.json.backup").read_text()) == THERE
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert str(file) in said and "mcp.json.backup" in said and "asks for the token once" in said
    assert TOKEN not in said + file.read_text()
    assert (await put(tmp_path, "vscode", CLAUDE_MAX_TOKEN=TOKEN))[0].startswith(f"{file} has these settings already")
    assert sorted(path.name for path in file.parent.iterdir()) == ["mcp.json", "mcp.json.backup"]


async def test_a_file_that_is_not_there_is_made_and_only_the_owner_reads_a_shown_token(tmp_path: Path) -> None:
    said, written = await put(tmp_path, "cursor", "--show-token", CLAUDE_MAX_TOKEN=TOKEN)
    assert written["mcpServers"]["claude-max"]["headers"] == {"Authorization": f"Bearer {TOKEN}"}
    assert stat.S_IMODE((tmp_path / ".cursor" / "mcp.json").stat().st_mode) == 0o600
    assert TOKEN not in said and "backup" not in said and "commit it nowhere" in said


async def test_claude_desktop_is_told_in_the_folder_of_its_system(tmp_path: Path) -> None:
    said, written = await put(tmp_path, "claude-desktop")
    assert written["mcpServers"]["claude-max"]["args"][-3:] == ["serve", "--transport", "stdio"]
    assert "a server of its own" in said


async def test_without_write_nothing_is_written(tmp_path: Path) -> None:
    code, _, err = await run(tmp_path, "connect", "cursor")
    assert code == 0 and "--write" in err
    assert not (tmp_path / ".cursor").exists()


def recipe(**wanted: Any) -> Recipe:
    return Recipe("-", json.dumps(wanted))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"servers": {}, // mine\n}', "no plain JSON"),
        (b"[]", "no JSON object"),
        (b'{"servers": []}', "'servers' is of another kind"),
        (b"\xff", "no text"),
    ],
)
def test_a_file_that_cannot_be_merged_is_left_alone(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "mcp.json"
    file.write_bytes(content)
    with pytest.raises(RequestError, match=reason):
        write(file, recipe(servers={"claude-max": {}}), secret=False)
    assert file.read_bytes() == content and list(tmp_path.iterdir()) == [file]


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("")
    with pytest.raises(RequestError, match="cannot be written"):
        write(tmp_path / "occupied" / "mcp.json", recipe(servers={}), secret=False)


def test_a_link_stays_one_and_every_backup_is_kept(tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles.json"
    kept.write_text("{}")
    link = tmp_path / "mcp.json"
    link.symlink_to(kept)
    for number in range(3):
        write(link, recipe(servers={"claude-max": {"url": str(number)}}), secret=False)
    assert link.is_symlink() and json.loads(kept.read_text())["servers"]["claude-max"]["url"] == "2"
    backups = [json.loads((tmp_path / f"dotfiles.json.backup{n}").read_text()) for n in ("", "1", "2")]
    assert [backup.get("servers", {}).get("claude-max") for backup in backups] == [None, {"url": "0"}, {"url": "1"}]


def test_what_is_merged_changes_nothing_that_was_given() -> None:
    there: dict[str, Any] = {"servers": {"other": {}}}
    assert merge_settings(there, {"servers": {"claude-max": {}}}) == {"servers": {"other": {}, "claude-max": {}}}
    assert there == {"servers": {"other": {}}}


@pytest.mark.parametrize("on_path", [True, False], ids=["the one on the path", "the bundled one"])
async def test_claude_code_is_told_by_its_own_command_and_connects(tmp_path: Path, on_path: bool) -> None:
    (tmp_path / "bin").mkdir()
    if on_path:
        (tmp_path / "bin" / "claude").symlink_to(find_cli())
    path = f"{tmp_path}/bin:{PATH}"
    async with serving(warm=0, token=TOKEN) as house:
        for url in ("http://127.0.0.1:9/mcp", house.url):  # the second one replaces the first
            code, out, err = await run(
                tmp_path,
                *("connect", "claude-code", "--write"),
                **{"PATH": path, "CLAUDE_MAX_URL": url, "CLAUDE_MAX_TOKEN": TOKEN},
            )
            assert (code, err) == (0, "") and "Set CLAUDE_MAX_TOKEN" in out
            assert (str(tmp_path / "bin") in out) is on_path
        listed = await claude_mcp_list(tmp_path)
    assert f"claude-max: {house.url}" in listed and "Connected" in listed
    assert TOKEN not in listed + (tmp_path / ".claude.json").read_text()


async def claude_mcp_list(home: Path) -> str:
    quiet = {"DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    environment = {"PATH": PATH, "HOME": str(home), "CLAUDE_MAX_TOKEN": TOKEN, **quiet}
    with anyio.fail_after(60):
        done = await anyio.run_process([find_cli(), "mcp", "list"], env=environment, cwd=home)
    return done.stdout.decode()


async def test_a_claude_that_refuses_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    refusing = tmp_path / "bin" / "claude"
    refusing.write_text("#!/bin/sh\necho 'policy: no servers' >&2\nexit 1\n")
    refusing.chmod(0o755)
    code, out, err = await run(tmp_path, "connect", "claude-code", "--write", PATH=f"{tmp_path}/bin:{PATH}")
    assert (code, out) == (6, "") and "`claude mcp add` failed: policy: no servers" in " ".join(err.split())
