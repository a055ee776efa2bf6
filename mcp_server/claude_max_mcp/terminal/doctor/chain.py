"""A look at the whole chain from the CLI to the port, for people whose server does not do what it should.

In: the settings. Out: findings, each one line with its cure. Nothing is asked of Claude, nothing is changed, and no
finding holds a secret. What belongs to the machine is looked at in `machine`, the running server in `server`.
"""

import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from claude_max_mcp.claude.launch import TESTED_VERSION, Launch, find_cli, make_blank_launch
from claude_max_mcp.claude.login import Login, look_up
from claude_max_mcp.engine.workspace import open_workspace
from claude_max_mcp.errors import ClaudeMaxError
from claude_max_mcp.settings import Settings, find_stray_api_keys, is_inside_claude_code, make_cli_environment
from claude_max_mcp.terminal.doctor.findings import Finding, as_problem
from claude_max_mcp.terminal.doctor.machine import check_clock, check_memory, find_key_files, read_available_mb
from claude_max_mcp.terminal.doctor.server import check_server

LOG_IN = "Run `claude-max login`."


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything, in the order in which a request needs it."""
    return [finding async for finding in _look_along(settings)]


async def _look_along(settings: Settings) -> AsyncIterator[Finding]:
    reached = await check_server(settings)
    alone = not any(finding.kind == "server_answers" for finding in reached)
    try:
        cli = find_cli(settings.cli_path)
    except ClaudeMaxError as error:
        yield as_problem(error)
    else:
        with tempfile.TemporaryDirectory(prefix="claude-max-") as scratch:
            launch = make_blank_launch(settings, make_cli_environment(settings), cli, Path(scratch))
            for finding in await _check_cli(settings, launch, alone=alone):
                yield finding
            yield _check_workspace(settings, launch)
        yield check_clock(cli)
    room = check_memory(settings.warm + 2 * settings.concurrency, read_available_mb())
    for finding in (*_check_surroundings(settings), *([room] if room else []), *reached):
        yield finding


async def _check_cli(settings: Settings, launch: Launch, *, alone: bool) -> list[Finding]:
    unreadable = _check_login_file(launch)
    login = await look_up(replace(launch, login_file=None) if unreadable else launch)
    if login.cli_version is None:
        cure = "Reinstall claude-agent-sdk, or unset CLAUDE_MAX_CLI_PATH."
        return [Finding("problem", f"{launch.cli} does not run", cure)]
    logged_in = unreadable or _check_login(login, alone=alone)
    return [_check_version(login.cli_version), logged_in, *_check_payer(settings, login)]


def _check_login_file(launch: Launch) -> Finding | None:
    try:
        with launch.preparing():
            return None
    except ClaudeMaxError as error:
        return as_problem(error)


def _check_version(version: str) -> Finding:
    if version == TESTED_VERSION:
        return Finding("ok", f"the claude CLI is {version}, the version that was tested")
    return Finding(
        "warning",
        f"the claude CLI is {version}, and {TESTED_VERSION} was tested",
        "Unset CLAUDE_MAX_CLI_PATH, or reinstall this package with its pinned claude-agent-sdk.",
    )


def _check_login(login: Login, *, alone: bool) -> Finding:
    """Whether this user's CLI is logged in; `alone`, no server runs that would have a login of its own."""
    if login.configured is None:
        return Finding("warning", "the CLI does not say whether it is logged in", LOG_IN)
    if not login.configured and not alone:
        return Finding(
            "warning", "the CLI of this user is not logged in; the running server has a login of its own", LOG_IN
        )
    if not login.configured:
        return Finding("problem", "the CLI is not logged in", LOG_IN)
    return Finding("ok", f"a login is configured ({login.method}), not proven: only an answer of Claude proves it")


def _check_payer(settings: Settings, login: Login) -> list[Finding]:
    match login.billed_to, settings.billing:
        case None, _:
            return []
        case "subscription", _:
            return [Finding("ok", "the subscription would pay")]
        case _, "any":
            cure = "Unset CLAUDE_MAX_BILLING to allow nothing but the subscription."
            return [Finding("warning", "the API account would pay, as CLAUDE_MAX_BILLING=any allows", cure)]
        case _:
            return [
                Finding(
                    "problem", "the API account would pay, so every request is refused", f"Remove its key. {LOG_IN}"
                )
            ]


def _check_workspace(settings: Settings, launch: Launch) -> Finding:
    workspace = open_workspace(settings, launch)
    if workspace is None:
        return Finding("ok", "no folder is opened to Claude (CLAUDE_MAX_WORKSPACE_ROOT opens one for reading)")
    cure = "Let CLAUDE_MAX_WORKSPACE_ROOT name a folder that Claude may read."
    if (fault := workspace.find_fault()) is not None:
        return Finding("problem", f"the workspace cannot be opened: {fault}", cure)
    if not os.access(root := settings.workspace_root or "", os.R_OK | os.X_OK):
        return Finding("problem", f"the workspace {root} cannot be read by this user", cure)
    return Finding("ok", f"Claude may read what is below {root}, and nothing else")


def _check_surroundings(settings: Settings) -> list[Finding]:
    """What is set around here that makes other programs bill the API account, and this one only if it may."""
    reaches = "the server's too" if settings.billing == "any" else "but the server's, which never gets it"
    found = [
        Finding(
            "warning",
            f"{name} is set here: any claude CLI started here bills the API account, {reaches}",
            f"unset {name}",
        )
        for name in find_stray_api_keys()
    ]
    found += [
        Finding(
            "warning",
            f"{file} sets {name}: what loads that file bills the API account",
            f"Remove that line from {file}.",
        )
        for file, name in find_key_files(Path.cwd())
    ]
    if is_inside_claude_code():
        found.append(Finding("ok", "inside Claude Code: harmless here, as the CLI gets none of its variables"))
    return found
