"""Signing in is the CLI's own dialogue, in the caller's terminal, in an environment without an API key."""

from pathlib import Path

import pytest

from claude_max_mcp.claude.launch import find_cli
from tests.server.program import run
from tests.server.terminal import in_a_terminal

INSIDE_CLAUDE_CODE = {
    "CLAUDECODE": "1",
    "CLAUDE_CODE_ENTRYPOINT": "cli",
    "ANTHROPIC_API_KEY": "sk-ant-api03-invented",
    "ANTHROPIC_AUTH_TOKEN": "sk-ant-api03-invented",
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
    "CLAUDE_MAX_TOKEN": "a-token-that-nobody-guesses",
}


@pytest.mark.parametrize(
    ("arguments", "command", "dialogue"),
    [
        (["login"], ["auth", "login"], "Paste code here"),
        (["login", "--token"], ["setup-token"], "https://"),
    ],
    ids=["login", "token"],
)
async def test_login_is_the_clis_dialogue_and_gets_nothing_but_what_is_allowed(
    tmp_path: Path, arguments: list[str], command: list[str], dialogue: str
) -> None:
    async with in_a_terminal(tmp_path, *arguments, **INSIDE_CLAUDE_CODE) as terminal:
        shown = await terminal.shows(dialogue)
        assert "/oauth/authorize" in shown, "it waits for the person, with the address to go to"
        assert terminal.facts("cmdline") == [str(find_cli()), *command]
        names = {variable.partition("=")[0] for variable in terminal.facts("environ")}
    assert names == {"PATH", "HOME", "LANG", "TMPDIR", "TERM"}


async def test_without_a_cli_login_says_so(tmp_path: Path) -> None:
    code, _, err = await run(tmp_path, "login", CLAUDE_MAX_CLI_PATH=str(tmp_path / "nowhere"))
    assert code == 6 and str(tmp_path / "nowhere") in err.replace("\n", "") and "Traceback" not in err
