"""Settings for clients: taken by the real ones where there is one, and in their documented form where there is none."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from claude_max_mcp.claude.launch import find_cli
from claude_max_mcp.front.connect import Client as Name
from claude_max_mcp.front.connect import Recipe, Server, make_recipes
from tests.house import MODERN, PATH, House, serving
from tests.server.program import run, surroundings

TOKEN = "a-token-that-nobody-guesses"
URL = "http://127.0.0.1:47291/mcp"


def printed(client: Name, *, locked: bool = True, token: str | None = None, file: Path | None = None) -> list[Recipe]:
    return make_recipes(client, Server(URL, locked, token, file, ("/opt/claude-max",)))


def settings(client: Name, **server: Any) -> dict[str, Any]:
    """The JSON among the recipes."""
    return json.loads(printed(client, **server)[-1].text)


def test_vs_code_asks_for_the_token_and_keeps_it() -> None:
    assert settings("vscode") == {
        "inputs": [
            {"type": "promptString", "id": "claude-max-token", "description": "Token of claude-max", "password": True}
        ],
        "servers": {
            "claude-max": {
                "type": "http",
                "url": URL,
                "headers": {"Authorization": "Bearer ${input:claude-max-token}"},
            }
        },
    }


def test_cursor_takes_the_token_from_its_environment() -> None:
    headers = {"Authorization": "Bearer ${env:CLAUDE_MAX_TOKEN}"}
    assert settings("cursor") == {"mcpServers": {"claude-max": {"url": URL, "headers": headers}}}
    assert "Set CLAUDE_MAX_TOKEN" in printed("cursor")[0].where


def test_claude_desktop_starts_a_server_of_its_own_by_its_full_path() -> None:
    entry = {"command": "/opt/claude-max", "args": ["serve", "--transport", "stdio"]}
    assert settings("claude-desktop") == {"mcpServers": {"claude-max": entry}}
    assert "needs no token" in printed("claude-desktop")[0].where


@pytest.mark.parametrize("client", ["claude-code", "vscode", "cursor"])
def test_a_server_without_a_token_needs_no_header(client: Name) -> None:
    said = "".join(recipe.where + recipe.text for recipe in printed(client, locked=False))
    assert URL in said
    assert not re.search("authorization|token|header|input", said, re.IGNORECASE)


@pytest.mark.parametrize("client", ["claude-code", "vscode", "cursor"])
def test_a_token_that_is_to_be_shown_is_in_the_settings_and_no_reference_is(client: Name) -> None:
    for recipe in printed(client, token=TOKEN):
        assert f"Bearer {TOKEN}" in recipe.text
        assert "${" not in recipe.text and "inputs" not in recipe.text and "CLAUDE_MAX_TOKEN" not in recipe.where


def test_where_the_token_lies_in_a_file_it_is_said_how_to_set_it_from_there() -> None:
    where = printed("cursor", file=Path("/home/me/my token"))[0].where
    command = where.partition("export ")[2]
    assert shlex.split(command) == ["CLAUDE_MAX_TOKEN=$(cat '/home/me/my token')"]


async def test_the_command_prints_settings_alone_on_standard_output_and_no_token(tmp_path: Path) -> None:
    code, out, err = await run(tmp_path, "connect", "vscode", CLAUDE_MAX_TOKEN=TOKEN, CLAUDE_MAX_PORT="4711")
    assert code == 0 and ".vscode/mcp.json" in err
    assert json.loads(out)["servers"]["claude-max"]["url"] == "http://127.0.0.1:4711/mcp"
    assert TOKEN not in out + err
    _, shown, _ = await run(tmp_path, "connect", "vscode", "--show-token", CLAUDE_MAX_TOKEN=TOKEN)
    assert TOKEN in shown


async def test_a_client_that_is_not_known_is_told_which_are(tmp_path: Path) -> None:
    code, _, err = await run(tmp_path, "connect", "emacs")
    assert code == 2 and "claude-desktop" in err and "Traceback" not in err


async def test_what_claude_desktop_would_start_is_the_server(tmp_path: Path) -> None:
    _, out, _ = await run(tmp_path, "connect", "claude-desktop")
    entry = json.loads(out)["mcpServers"]["claude-max"]
    assert Path(entry["command"]).is_absolute()
    parameters = StdioServerParameters(
        command=entry["command"], args=entry["args"], env=surroundings(tmp_path), cwd=tmp_path
    )
    with anyio.fail_after(60):
        async with Client(parameters, mode=MODERN) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["ask_claude", "health"]


async def shell(home: Path, command: str, **environment: str) -> str:
    """What a command of a person with an empty home says, where `claude` is the real CLI."""
    (home / "bin").mkdir(parents=True, exist_ok=True)
    if not (home / "bin" / "claude").exists():
        (home / "bin" / "claude").symlink_to(find_cli())
    quiet = {"DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    complete = {"PATH": f"{home}/bin:{PATH}", "HOME": str(home), **quiet, **environment}
    with anyio.fail_after(60):
        done = await anyio.run_process(["sh", "-c", command], env=complete, cwd=home)
    return done.stdout.decode()


async def connected(home: Path, house: House, *, token: str | None, known: str) -> list[str]:
    """What the CLI says of the server, added in both printed ways; `known` is its variable for the token."""
    server = Server(house.url, locked=True, token=token, token_file=None, command=("claude-max",))
    command, project = make_recipes("claude-code", server)
    entry = json.loads(project.text)["mcpServers"]["claude-max"]
    said: list[str] = []
    for way, add in enumerate(
        [command.text, shlex.join(["claude", "mcp", "add-json", "claude-max", json.dumps(entry)])]
    ):
        await shell(home / str(way), add)
        said.append(await shell(home / str(way), "claude mcp get claude-max", CLAUDE_MAX_TOKEN=known))
    return said


async def test_claude_code_takes_the_settings_and_connects(tmp_path: Path) -> None:
    async with serving(warm=0, token=TOKEN) as house:
        for said in await connected(tmp_path / "named", house, token=None, known=TOKEN):
            assert "Connected" in said and TOKEN not in said
        for said in await connected(tmp_path / "shown", house, token=TOKEN, known=""):
            assert "Connected" in said


async def test_claude_code_without_the_token_is_not_let_in_and_says_so(tmp_path: Path) -> None:
    async with serving(warm=0, token=TOKEN) as house:
        for said in await connected(tmp_path, house, token=None, known="wrong"):
            assert "Failed to connect" in said
            assert "401" in said
