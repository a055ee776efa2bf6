"""How the running server answers, as its clients meet it: the port, its name for itself, the token.

In: the settings. Out: findings. It asks for the index and for `health`, which spend nothing.
"""

import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2

from claude_max_mcp.errors import ClaudeMaxError
from claude_max_mcp.front.listener import bind
from claude_max_mcp.front.tokens import with_token
from claude_max_mcp.settings import Settings
from claude_max_mcp.terminal.doctor.findings import Finding, ok, problem, warning

DEADLINE = 5.0
"""Seconds that the server gets for an answer."""

SHORTEST = 16
"""Characters below which a token can be guessed by trying."""


ANSWERS = "the server answers at"
"""How the finding begins that a server of ours runs and lets us in."""


async def reach(settings: Settings) -> list[Finding]:
    """Look at the token, then knock with it."""
    token, found = _token(settings)
    return [*found, *await _knock(settings, token)]


def _token(settings: Settings) -> tuple[str | None, list[Finding]]:
    file = settings.token_file if settings.token is None else None
    if file is not None and not file.exists():
        return None, [warning(f"the token file {file} is not there", "`claude-max serve` makes it.")]
    try:
        token = with_token(settings).token
    except ClaudeMaxError as error:
        what, _, cure = error.message.partition(". ")
        return None, [problem(what, cure or f"Put a token into {file}, or remove it.")]
    if token is None:
        return None, [_without_token(settings)]
    return token.get_secret_value(), _kept(file, token.get_secret_value())


def _without_token(settings: Settings) -> Finding:
    if settings.loopback:
        return ok(f"no token is set, and none is needed on {settings.host}")
    cure = "Set CLAUDE_MAX_TOKEN or CLAUDE_MAX_TOKEN_FILE, or listen on 127.0.0.1."
    return problem(f"no token is set, and {settings.host} lets other machines in: the server will not start", cure)


def _kept(file: Path | None, token: str) -> list[Finding]:
    found = [ok(f"a token is set ({file or 'CLAUDE_MAX_TOKEN'})")]
    if len(token) < SHORTEST:
        cure = "Let CLAUDE_MAX_TOKEN_FILE name a file that is not there, and the server makes a good one."
        found = [warning(f"the token has fewer than {SHORTEST} characters, so it can be guessed", cure)]
    if file is not None and stat.S_IMODE(file.stat().st_mode) & 0o077:
        found.append(warning(f"others on this machine can read the token file {file}", f"chmod 600 {file}"))
    return found


async def _knock(settings: Settings, token: str | None) -> list[Finding]:
    url = settings.url or f"http://127.0.0.1:{settings.port}/mcp"
    shown = _without_user(url)
    try:
        index = await _get(url, "/", token)
    except httpx2.InvalidURL:
        return [problem(f"{shown} is no address", "Set CLAUDE_MAX_URL to one such as http://127.0.0.1:47291/mcp.")]
    except httpx2.ConnectError:
        return [_nobody(settings, shown)]
    except httpx2.HTTPError:
        return [_stranger(shown)]
    if (refusal := _refusal(index, shown, token)) is not None:
        return [refusal]
    found = [ok(f"{ANSWERS} {shown}")]
    if token is not None and (await _get(url, "/", None)).status_code == 200:
        found.append(warning("the server asks nobody for the token", "Start it again, with the token set."))
    return [*found, _condition((await _get(url, "/health", token)).json())]


async def _get(url: str, path: str, token: str | None) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(headers=headers, timeout=DEADLINE, trust_env=False) as http:
        return await http.get(str(httpx2.URL(url).copy_with(path=path, query=None)))


def _refusal(reply: httpx2.Response, url: str, token: str | None) -> Finding | None:
    """Why the server, or whatever it is, does not show us its index; None if it does."""
    match reply.status_code, _said(reply):
        case 200, {"name": "claude-max"}:
            return None
        case 401, {"error": {"code": "unauthorized"}}:
            has = "another token than the one set here" if token else "a token, and none is set here"
            return problem(f"the server at {url} wants {has}", "Set CLAUDE_MAX_TOKEN or CLAUDE_MAX_TOKEN_FILE to its.")
        case 421, {"error": {"code": "wrong_host"}}:
            name = urlsplit(url).hostname
            return problem(
                f"the server at {url} does not know itself as {name}", f"Start it with CLAUDE_MAX_ALLOWED_HOSTS={name}."
            )
        case _:
            return _stranger(url)


def _said(reply: httpx2.Response) -> Any:
    try:
        return reply.json()
    except ValueError:
        return None


def _condition(health: dict[str, Any]) -> Finding:
    if health["status"] == "healthy":
        login = "its login is proven" if health["auth"]["proven"] else "its login is configured, not proven"
        return ok(f"the server is healthy, and {login}")
    return (problem if health["status"] == "unhealthy" else warning)(
        f"the server is {health['status']}", health["message"]
    )


def _stranger(url: str) -> Finding:
    cure = "Choose another port with --port or CLAUDE_MAX_PORT, or set CLAUDE_MAX_URL to where the server is."
    return problem(f"something else answers at {url}", cure)


def _nobody(settings: Settings, url: str) -> Finding:
    if settings.url is not None:
        return problem(f"nothing answers at {url}", "Start `claude-max serve` there, or correct CLAUDE_MAX_URL.")
    try:
        bind(settings.host, settings.port).close()
    except OSError as error:
        cure = "Choose another with CLAUDE_MAX_HOST and CLAUDE_MAX_PORT."
        reason = os.strerror(error.errno or 0)
        return problem(f"port {settings.port} on {settings.host} cannot be used ({reason})", cure)
    return warning(f"no server runs yet; port {settings.port} is free", "Start it with `claude-max serve`.")


def _without_user(url: str) -> str:
    """The address without a name and password that somebody put into it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
