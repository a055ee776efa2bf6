"""Signing in is the CLI's own dialogue, in the caller's terminal, in an environment without an API key."""

import os
import pty
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from claude_max_mcp.launch import find_cli
from tests.server.program import PROGRAM, run, surroundings

INSIDE_CLAUDE_CODE = {
    "CLAUDECODE": "1",
    "CLAUDE_CODE_ENTRYPOINT": "cli",
    "ANTHROPIC_API_KEY": "sk-ant-api03-invented",
    "ANTHROPIC_AUTH_TOKEN": "sk-ant-api03-invented",
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
    "CLAUDE_MAX_TOKEN": "a-token-that-nobody-guesses",
    "TERM": "xterm-256color",
}


@dataclass
class Terminal:
    """A process in a terminal of its own."""

    process: Process
    screen: int

    async def shows(self, text: str) -> str:
        """All that is on the screen once `text` is: the CLI places words by control sequences, not by spaces."""
        seen = b""
        with anyio.fail_after(20):
            while text not in seen.decode(errors="replace"):
                await anyio.wait_readable(self.screen)
                seen += os.read(self.screen, 65536)
        return seen.decode(errors="replace")

    def facts(self, name: str) -> list[str]:
        """`cmdline` or `environ` of the process, part by part."""
        return Path(f"/proc/{self.process.pid}/{name}").read_text().rstrip("\0").split("\0")


@asynccontextmanager
async def in_a_terminal(home: Path, *arguments: str) -> AsyncGenerator[Terminal]:
    screen, keyboard = pty.openpty()
    environment = surroundings(home, **INSIDE_CLAUDE_CODE)
    try:
        process = await anyio.open_process(
            [*PROGRAM, *arguments],
            stdin=keyboard,
            stdout=keyboard,
            stderr=keyboard,
            env=environment,
            cwd=home,
            start_new_session=True,
        )
    finally:
        os.close(keyboard)
    try:
        yield Terminal(process, screen)
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()
        os.close(screen)


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
    async with in_a_terminal(tmp_path, *arguments) as terminal:
        shown = await terminal.shows(dialogue)
        assert "/oauth/authorize" in shown, "it waits for the person, with the address to go to"
        assert terminal.facts("cmdline") == [str(find_cli()), *command]
        names = {variable.partition("=")[0] for variable in terminal.facts("environ")}
    assert names == {"PATH", "HOME", "LANG", "TMPDIR", "TERM"}


async def test_without_a_cli_login_says_so(tmp_path: Path) -> None:
    code, _, err = await run(tmp_path, "login", CLAUDE_MAX_CLI_PATH=str(tmp_path / "nowhere"))
    assert code == 1 and str(tmp_path / "nowhere") in err.replace("\n", "") and "Traceback" not in err
