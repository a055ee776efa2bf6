"""Help, completion and the version: quick, and true."""

import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import anyio
import pytest

from claude_max_mcp.terminal.exit_codes import MEANINGS
from claude_max_mcp.terminal.help_texts import ASK, STATUS
from tests.house import PATH, House
from tests.samples import PIXEL
from tests.server.program import run, surroundings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


async def shell(home: Path, command: str, **environment: str) -> tuple[int, str]:
    """What a command says in a shell that finds `claude-max`."""
    complete = surroundings(home, **environment) | {"PATH": f"{BIN}:{PATH}"}
    with anyio.fail_after(60):
        done = await anyio.run_process(["bash", "-c", command], env=complete, cwd=home, check=False)
    return done.returncode, done.stdout.decode()


async def test_the_version_is_the_packages(tmp_path: Path) -> None:
    assert await run(tmp_path, "--version") == (0, f"claude-max {version('claude-max-mcp')}\n", "")


async def test_help_and_completion_import_nothing_that_takes_long(tmp_path: Path) -> None:
    look = (
        "import sys, claude_max_mcp.terminal.commands; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = await anyio.run_process([sys.executable, "-c", look], env=surroundings(tmp_path), cwd=tmp_path)
    assert "typer" in done.stdout.decode()
    assert not any(f"'{name}'" in done.stdout.decode() for name in ("mcp", "pydantic", "starlette", "httpx2"))


@pytest.mark.parametrize("command", ["serve", "ask", "status", "doctor", "connect", "login", "demo"])
async def test_every_command_has_examples(tmp_path: Path, command: str) -> None:
    code, out, _ = await run(tmp_path, command, "--help")
    assert code == 0 and f"claude-max {command}" in out.partition("Examples:")[2]


async def test_bash_completes_commands_clients_and_models(tmp_path: Path) -> None:
    command = """
        eval "$(claude-max --show-completion)"
        for words in "c" "connect c" "connect claude-code --w" "ask --model s"; do
            COMP_WORDS=(claude-max $words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _claude_max_completion claude-max; echo "${COMPREPLY[@]}"
        done"""
    code, out = await shell(tmp_path, command)
    assert (code, out.split("\n")[:4]) == (0, ["connect", "claude-code cursor claude-desktop", "--write", "sonnet"])


async def test_completion_can_be_installed(tmp_path: Path) -> None:
    code, _ = await shell(tmp_path, "claude-max --install-completion; exit $?")
    assert code == 0 and any("_claude_max_completion" in text for text in texts(tmp_path))


def texts(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.rglob("*") if path.is_file()]


def examples(text: str) -> list[str]:
    lines = text.partition("Examples:\n")[2].split("\n\n")[0].splitlines()
    return [line.strip() for line in lines]


async def test_the_examples_run_as_they_are(house: House, tmp_path: Path) -> None:
    shutil.copy(PIXEL, tmp_path / "plot.png")
    (tmp_path / "question.txt").write_text("Why is the sky blue?\n")
    found = {"CLAUDE_MAX_URL": house.url}
    change = "git init -q . && git add question.txt && echo changed >> question.txt"
    assert (await shell(tmp_path, change))[0] == 0
    session = (await house.ask(prompt="earlier")).session_id
    for example in [*examples(ASK), *examples(STATUS)]:
        code, _ = await shell(tmp_path, f"set -o pipefail; {example.replace('ID', str(session))}", **found)
        assert code == 0, example
    assert "+changed" in str(house.standin.requests[2].last_blocks)
    answered = (tmp_path / "answer.txt").read_text()
    assert answered == "This is the stand-in, not Claude. You said: Why is the sky blue?\nchanged\n"


@pytest.mark.parametrize("example", [*examples(ASK), *examples(STATUS)])
def test_the_readme_has_the_examples(example: str) -> None:
    assert f"\n{example}" in README


def test_the_readme_has_every_exit_code() -> None:
    for code, meaning in MEANINGS.items():
        assert f"| {code} | {meaning} |" in README
