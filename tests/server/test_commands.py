"""The command line: what it prints, where, and with which exit code."""

from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest

from claude_max_mcp.results import AskResult, Health
from tests.server.program import Server, left_behind, run, serving


@pytest.fixture(scope="module")
async def offline(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server]:
    """A running offline server, for the commands."""
    async with serving(tmp_path_factory.mktemp("server"), "--offline") as server:
        yield server


NOWHERE = {"CLAUDE_MAX_URL": "http://127.0.0.1:1/mcp"}
COMMANDS: dict[str, tuple[list[str], dict[str, str]]] = {
    "ask": (["ask", "hello [bold]there[/]"], {}),
    "ask in one go": (["ask", "hello", "--no-stream", "--model", "opus"], {}),
    "ask as json": (["ask", "hello", "--json"], {}),
    "ask nothing": (["ask", "  "], {}),
    "ask offline": (["ask", "hello", "--offline"], NOWHERE),
    "ask nobody": (["ask", "hello"], NOWHERE),
    "status": (["status"], {}),
    "status as json": (["status", "--json"], {}),
    "status of nobody": (["status"], NOWHERE),
    "serve everyone": (["serve", "--offline", "--port", "0"], {"CLAUDE_MAX_HOST": "0.0.0.0"}),
    "serve everyone at ::": (["serve", "--offline", "--port", "0", "--host", "::"], {}),
    "serve on port many": (["serve", "--offline"], {"CLAUDE_MAX_PORT": "many"}),
    "serve for nobody's money": (["serve", "--offline"], {"CLAUDE_MAX_BILLING": "nobody"}),
}

Said = dict[str, tuple[int, str, str]]


@pytest.fixture(scope="module")
async def said(offline: Server, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What each of `COMMANDS` says; they run side by side, as a start of Python takes seconds."""
    outcomes: Said = {}
    enough = anyio.CapacityLimiter(3)

    async def run_one(name: str, arguments: list[str], environment: dict[str, str]) -> None:
        home = tmp_path_factory.mktemp("command")
        async with enough:
            outcomes[name] = await run(home, *arguments, **{"CLAUDE_MAX_PORT": offline.port, **environment})
        assert left_behind(home) == []

    async with anyio.create_task_group() as tasks:
        for name, (arguments, environment) in COMMANDS.items():
            tasks.start_soon(run_one, name, arguments, environment)
    return outcomes


@pytest.mark.parametrize("command", ["serve everyone", "serve everyone at ::"])
async def test_other_machines_are_not_let_in_without_a_token(said: Said, command: str) -> None:
    code, out, err = said[command]
    assert (code, out) == (1, "")
    assert "CLAUDE_MAX_TOKEN" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("command", "name"),
    [("serve on port many", "CLAUDE_MAX_PORT"), ("serve for nobody's money", "CLAUDE_MAX_BILLING")],
)
async def test_a_setting_that_cannot_be_is_named(said: Said, command: str, name: str) -> None:
    code, out, err = said[command]
    assert (code, out) == (2, "")
    assert err.startswith(f"{name}: ") and "Traceback" not in err


ANSWER = "This is the stand-in, not Claude. You said: "


async def test_ask_prints_the_answer_of_the_running_server(said: Said) -> None:
    assert said["ask"] == (0, f"{ANSWER}hello [bold]there[/]\n", "")


async def test_ask_prints_the_answer_in_one_go_when_told_to(said: Said) -> None:
    assert said["ask in one go"] == (0, f"{ANSWER}hello\n", "")


async def test_ask_as_json_prints_the_whole_result_and_nothing_else(said: Said) -> None:
    code, out, err = said["ask as json"]
    result = AskResult.model_validate_json(out)
    assert (code, err, result.success, result.response) == (0, "", True, f"{ANSWER}hello")


async def test_a_failed_ask_says_why_and_exits_with_1(said: Said) -> None:
    code, out, err = said["ask nothing"]
    assert (code, out) == (1, "")
    assert "The prompt is empty" in err and "Traceback" not in err


async def test_ask_offline_needs_no_server(said: Said) -> None:
    assert said["ask offline"] == (0, f"{ANSWER}hello\n", "")


@pytest.mark.parametrize("command", ["ask nobody", "status of nobody"])
async def test_without_a_server_a_command_says_that_it_is_not_running(said: Said, command: str) -> None:
    code, out, err = said[command]
    assert (code, out) == (6, "")
    sentence = " ".join(err.split())
    assert "not running at http://127.0.0.1:1/mcp" in sentence and "claude-max serve" in sentence
    assert "Traceback" not in err


async def test_status_as_json_is_the_servers_health(said: Said) -> None:
    code, out, err = said["status as json"]
    assert (code, err) == (0, "")
    assert Health.model_validate_json(out).status == "healthy"


async def test_status_tells_a_person_the_same(said: Said) -> None:
    code, out, _ = said["status"]
    assert code == 0
    assert out.startswith("healthy: Service ready") and "subscription" in out


async def test_a_token_is_needed_where_there_is_one_and_is_shown_nowhere(tmp_path: Path) -> None:
    token = "a-token-that-nobody-guesses"
    async with serving(tmp_path / "server", "--offline", CLAUDE_MAX_TOKEN=token) as server:
        without = await run(tmp_path, "status", CLAUDE_MAX_PORT=server.port)
        with_it = await run(tmp_path, "status", CLAUDE_MAX_PORT=server.port, CLAUDE_MAX_TOKEN=token)
        command_line = await anyio.Path(f"/proc/{server.process.pid}/cmdline").read_text()
    assert without[0] == 6 and "token" in without[2].lower() and "Traceback" not in without[2]
    assert with_it[0] == 0
    assert all(token not in text for text in (server.first_line, command_line, *with_it[1:]))
