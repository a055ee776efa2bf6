"""Settings of a client, put where the client reads them.

In: what `connect` made. Out: a changed file beside a copy of the earlier one, or Claude Code's own command run.
Everything else in a file stays; a file that is no plain JSON is left alone.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import cast

from claude_max_mcp.claude.launch import find_cli
from claude_max_mcp.errors import InvalidRequest, RequestError, ServiceError
from claude_max_mcp.front.connect import NAME, Client, Recipe
from claude_max_mcp.messages import Json
from claude_max_mcp.settings import Settings, make_cli_environment

SECONDS = 60.0
"""How long Claude Code's own command may take."""


def place(client: Client, recipe: Recipe, settings: Settings, *, secret: bool) -> str:
    """Give a client its settings; what was done and what is left to do, for a person.

    Args:
        client: whose settings they are.
        recipe: the first of its recipes.
        settings: name the CLI to run for Claude Code, if there is none on the path.
        secret: whether the token itself is in the recipe, so that only the owner may read the file.

    Raises:
        RequestError: the file cannot be read or written, or holds what cannot be merged.
        ServiceError: the CLI is missing or refuses.
    """
    if (file := find_settings_file(client)) is not None:
        done = write(file, recipe, secret=secret)
    else:
        environment = make_cli_environment(settings)
        on_path = shutil.which("claude", path=environment.get("PATH"))
        done = tell_claude_code(Path(on_path) if on_path else find_cli(settings.cli_path), recipe, environment)
    warning = "The token is in it: show it to nobody, and commit it nowhere." if secret else ""
    return " ".join(filter(None, (done, recipe.also, warning)))


def find_settings_file(client: Client) -> Path | None:
    """Where a client reads its settings; None for Claude Code, which keeps its file itself."""
    match client:
        case "claude-code":
            return None
        case "vscode":
            return Path.cwd() / ".vscode" / "mcp.json"
        case "cursor":
            return Path.home() / ".cursor" / "mcp.json"
        case "claude-desktop":
            return _find_desktop_folder() / "claude_desktop_config.json"


def _find_desktop_folder() -> Path:
    folders = {"darwin": "Library/Application Support/Claude", "win32": "AppData/Roaming/Claude"}
    return Path.home() / folders.get(sys.platform, ".config/Claude")


def write(file: Path, recipe: Recipe, *, secret: bool) -> str:
    """Merge a recipe's JSON into a file; what was done, for a person.

    Raises:
        RequestError: the file cannot be read or written, or holds what cannot be merged.
    """
    file = file.resolve()  # a link to where somebody keeps their settings stays one
    try:
        there = _parse_file(file)
        wanted = merge_settings(there or {}, json.loads(recipe.text))
        if wanted == there:
            return f"{file} has these settings already."
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = "" if there is None else f" What was there is in {_back_up(file)}."
        _replace(file, json.dumps(wanted, indent=2, ensure_ascii=False) + "\n", secret=secret)
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be written ({error.strerror}). Put the settings there by hand.") from None
    return f"Written to {file}.{kept}"


def merge_settings(there: Json, wanted: Json) -> Json:
    """`there` with what is wanted put in: servers by name, questions by id.

    Raises:
        RequestError: something else stands where these belong.
    """
    result = dict(there)
    for key, value in wanted.items():
        earlier = there.get(key, type(value)())
        if type(earlier) is not type(value):
            raise _refuse_merge(f"its {key!r} is of another kind")
        result[key] = earlier | value if key != "inputs" else _merge_questions(earlier, value)
    return result


def _merge_questions(there: list[Json], wanted: list[Json]) -> list[Json]:
    ids = {question["id"] for question in wanted}
    return [*(question for question in there if question.get("id") not in ids), *wanted]


def _parse_file(file: Path) -> Json | None:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise _refuse_merge(f"{file} is no text") from None
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        raise _refuse_merge(f"{file} is no plain JSON (a comment, or a comma too many)") from None
    if not isinstance(value, dict):
        raise _refuse_merge(f"{file} holds no JSON object")
    return cast("Json", value)


def _refuse_merge(why: str) -> RequestError:
    return InvalidRequest(f"Nothing was written: {why}. Leave --write out, and put what is printed there by hand.")


def _back_up(file: Path) -> Path:
    names = (file.with_name(f"{file.name}.backup{number or ''}") for number in count())
    free = next(name for name in names if not name.exists())
    shutil.copy2(file, free)
    return free


def _replace(file: Path, text: str, *, secret: bool) -> None:
    """Write whole or not at all."""
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if secret else 0o666), "w") as stream:
            stream.write(text)
        if file.exists() and not secret:
            shutil.copymode(file, new)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)


def tell_claude_code(cli: Path, recipe: Recipe, environment: Mapping[str, str]) -> str:
    """Run the command of a recipe for Claude Code; what it said. A server of our name is replaced.

    Raises:
        ServiceError: `cli_failed`, with what the CLI said.
    """
    _, *add = shlex.split(recipe.text)
    done = _run(cli, add, environment)
    if done.returncode and "already exists" in done.stderr + done.stdout:
        _run(cli, ["mcp", "remove", "--scope", "user", NAME], environment)
        done = _run(cli, add, environment)
    if done.returncode:
        raise ServiceError("cli_failed", f"`claude mcp add` failed: {(done.stderr or done.stdout).strip()}")
    return f"{cli} has added {NAME} for all projects of yours. `claude mcp list` shows it."


def _run(cli: Path, arguments: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [cli, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(
            "cli_failed", f"{cli} could not be run ({error}). Run the printed command yourself."
        ) from None
