"""What a client needs in order to use the server, in the client's own format.

In: where the server is, and whether it asks for a token. Out: texts to copy, each with where it belongs. The token is
only named, by a variable or a question, unless it is to be shown.
"""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Client = Literal["claude-code", "vscode", "cursor", "claude-desktop"]

NAME = "claude-max"
"""What the server is called in the client."""

VARIABLE = "CLAUDE_MAX_TOKEN"
"""The variable that clients take the token from."""

QUESTION = "claude-max-token"


@dataclass(frozen=True)
class Server:
    """What is to be reached.

    Attributes:
        url: where MCP is.
        locked: whether callers must show a token.
        token: the token, if it is to be in the text; None names it only.
        token_file: where the token lies, if it lies in a file.
        command: starts this program, for clients that start their servers themselves.
    """

    url: str
    locked: bool
    token: str | None
    token_file: Path | None
    command: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """A text to copy.

    Attributes:
        place: what it is and where it belongs, for a person.
        text: a command, or JSON.
        also: what else is to be done, or will happen; empty if nothing.
    """

    place: str
    text: str
    also: str = ""

    @property
    def where(self) -> str:
        """All that a person who copies it must know."""
        return f"{self.place} {self.also}".rstrip()


def find_program() -> tuple[str, ...]:
    """How to start this program from anywhere."""
    script = Path(sys.executable).with_name("claude-max")
    return (str(script),) if script.is_file() else (sys.executable, "-m", "claude_max_mcp")


def make_recipes(client: Client, server: Server) -> list[Recipe]:
    """What to do so that `client` uses the server; one of several ways is enough."""
    match client:
        case "claude-code":
            return _make_claude_code(server)
        case "vscode":
            return [_make_vscode(server)]
        case "cursor":
            return [_make_cursor(server)]
        case "claude-desktop":
            return [_make_claude_desktop(server)]


def _make_claude_code(server: Server) -> list[Recipe]:
    headers = _make_headers(server, f"${{{VARIABLE}}}")
    shown = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    command = ["claude", "mcp", "add", "--transport", "http", "--scope", "user", NAME, server.url, *shown]
    entry = {"type": "http", "url": server.url, **_keep_if_any("headers", headers)}
    return [
        Recipe("Run this once.", shlex.join(command), _advise_variable(server)),
        Recipe("Or put this into .mcp.json of a project.", _as_json({"mcpServers": {NAME: entry}})),
    ]


def _make_vscode(server: Server) -> Recipe:
    headers = _make_headers(server, f"${{input:{QUESTION}}}")
    asks = server.locked and server.token is None
    question = {"type": "promptString", "id": QUESTION, "description": "Token of claude-max", "password": True}
    entry = {"type": "http", "url": server.url, **_keep_if_any("headers", headers)}
    text = _as_json({**_keep_if_any("inputs", [question] if asks else []), "servers": {NAME: entry}})
    also = "VS Code asks for the token once." if asks else ""
    return Recipe("Put this into .vscode/mcp.json of a project.", text, also)


def _make_cursor(server: Server) -> Recipe:
    entry = {"url": server.url, **_keep_if_any("headers", _make_headers(server, f"${{env:{VARIABLE}}}"))}
    return Recipe(
        "Put this into ~/.cursor/mcp.json.", _as_json({"mcpServers": {NAME: entry}}), _advise_variable(server)
    )


def _make_claude_desktop(server: Server) -> Recipe:
    program, *arguments = server.command
    entry = {"command": program, "args": [*arguments, "serve", "--transport", "stdio"]}
    place = "Put this into claude_desktop_config.json (Settings, Developer, Edit Config)."
    also = (
        "Claude Desktop takes no local address: it starts a server of its own, which needs no token and uses the "
        "login of `claude-max login`."
    )
    return Recipe(place, _as_json({"mcpServers": {NAME: entry}}), also)


def _make_headers(server: Server, reference: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token or reference}"} if server.locked else {}


def _advise_variable(server: Server) -> str:
    """That the variable must be set where the client starts, if the text names it."""
    if not server.locked or server.token is not None:
        return ""
    value = f': export {VARIABLE}="$(cat {shlex.quote(str(server.token_file))})"' if server.token_file else "."
    return f"Set {VARIABLE} where the client starts{value}"


def _keep_if_any(name: str, value: Any) -> dict[str, Any]:
    return {name: value} if value else {}


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2)
