"""How the running server answers, as its clients meet it: the port, its name for itself, the token.

In: the settings. Out: findings. It asks for the index and for `health`, which spend nothing.
"""

import os
import stat
from pathlib import Path

import httpx2
from pydantic import BaseModel

from claude_max_mcp.errors import ClaudeMaxError
from claude_max_mcp.front.listener import bind
from claude_max_mcp.front.tokens import load_token
from claude_max_mcp.results import Status
from claude_max_mcp.settings import Settings
from claude_max_mcp.terminal.doctor.findings import Finding, as_problem
from claude_max_mcp.terminal.reachability import NotRunning, find_obstacle, hide_user, locate

DEADLINE = 5.0
"""Seconds that the server gets for an answer."""

SHORTEST = 16
"""Characters below which a token can be guessed by trying."""


class _ReportedLogin(BaseModel):
    proven: bool


class _Report(BaseModel):
    """What is needed of a server's `health`; the server may be of another version than this program."""

    status: Status
    message: str
    auth: _ReportedLogin


async def check_server(settings: Settings) -> list[Finding]:
    """Look at the token, then ask the server with it."""
    token, found = _check_token(settings)
    return [*found, *await _ask_server(settings, token)]


def _check_token(settings: Settings) -> tuple[str | None, list[Finding]]:
    file = settings.token_file if settings.token is None else None
    if file is not None and not file.exists():
        return None, [Finding("warning", f"the token file {file} is not there", "`claude-max serve` makes it.")]
    try:
        token = load_token(settings).token
    except ClaudeMaxError as error:
        return None, [as_problem(error)]
    if token is None:
        return None, [_explain_no_token(settings)]
    return token.get_secret_value(), _check_secrecy(file, token.get_secret_value())


def _explain_no_token(settings: Settings) -> Finding:
    if settings.loopback:
        return Finding("ok", f"no token is set, and none is needed on {settings.host}")
    return Finding(
        "problem",
        f"no token is set, and {settings.host} lets other machines in: the server will not start",
        "Set CLAUDE_MAX_TOKEN or CLAUDE_MAX_TOKEN_FILE, or listen on 127.0.0.1.",
    )


def _check_secrecy(file: Path | None, token: str) -> list[Finding]:
    found = [Finding("ok", f"a token is set ({file or 'CLAUDE_MAX_TOKEN'})")]
    if len(token) < SHORTEST:
        cure = "Let CLAUDE_MAX_TOKEN_FILE name a file that is not there, and the server makes a good one."
        found = [Finding("warning", f"the token has fewer than {SHORTEST} characters, so it can be guessed", cure)]
    if file is not None and stat.S_IMODE(file.stat().st_mode) & 0o077:
        found.append(Finding("warning", f"others on this machine can read the token file {file}", f"chmod 600 {file}"))
    return found


async def _ask_server(settings: Settings, token: str | None) -> list[Finding]:
    url = settings.url or f"http://127.0.0.1:{settings.port}/mcp"
    async with _open_http(token) as http:
        obstacle = await find_obstacle(http, url)
        if isinstance(obstacle, NotRunning):
            return [_explain_absence(settings, hide_user(url))]
        if obstacle is not None:
            return [as_problem(obstacle)]
        report = _Report.model_validate_json((await http.get(locate(url, "/health"))).content)
    found = [Finding("ok", f"the server answers at {hide_user(url)}", kind="server_answers")]
    if token is not None and await _is_open_to_all(url):
        found.append(Finding("warning", "the server asks nobody for the token", "Start it again, with the token set."))
    return [*found, _describe_report(report)]


def _open_http(token: str | None) -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx2.AsyncClient(headers=headers, timeout=DEADLINE, trust_env=False)


async def _is_open_to_all(url: str) -> bool:
    async with _open_http(None) as http:
        return (await http.get(locate(url, "/"))).status_code == 200


def _describe_report(report: _Report) -> Finding:
    if report.status == "healthy":
        login = "its login is proven" if report.auth.proven else "its login is configured, not proven"
        return Finding("ok", f"the server is healthy, and {login}")
    level = "problem" if report.status == "unhealthy" else "warning"
    return Finding(level, f"the server is {report.status}", report.message)


def _explain_absence(settings: Settings, shown: str) -> Finding:
    """Why nothing answers: no server runs yet, or it could not start, as the port is taken in another way."""
    if settings.url is not None:
        return Finding(
            "problem", f"nothing answers at {shown}", "Start `claude-max serve` there, or correct CLAUDE_MAX_URL."
        )
    port = f"port {settings.port}"
    try:
        bind(settings.host, settings.port).close()
    except OSError as error:
        return Finding(
            "problem",
            f"{port} on {settings.host} cannot be used ({os.strerror(error.errno or 0)})",
            "Choose another with CLAUDE_MAX_HOST and CLAUDE_MAX_PORT.",
        )
    return Finding("warning", f"no server runs yet; {port} is free", "Start it with `claude-max serve`.", "no_server")
