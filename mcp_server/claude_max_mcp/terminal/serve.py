"""Run the service until a signal ends it.

In: settings, and whether the stand-in answers instead of Claude. Out: MCP over HTTP or stdio. It owns the process:
signals, the order in which things stop.
"""

import os
import resource
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Literal, cast

import anyio
from mcp.server.stdio import stdio_server

from claude_max_mcp.background import beside
from claude_max_mcp.errors import InvalidRequest, ServiceError
from claude_max_mcp.front.http import served
from claude_max_mcp.front.listener import bind
from claude_max_mcp.front.mcp import make_mcp_server
from claude_max_mcp.front.tokens import load_token
from claude_max_mcp.service.logs import log_request
from claude_max_mcp.service.service import Service
from claude_max_mcp.settings import Settings, make_cli_environment
from claude_max_mcp.terminal.stdio import claimed_stdin, read_lines

GRACE = 2.0
"""Seconds that running requests get to finish when the server stops."""

OFFLINE_LOGIN = "offline"
"""The login of a CLI that talks to the stand-in; it is nobody's."""


def check_bind(settings: Settings) -> None:
    """Refuse to be reachable from other machines without a token.

    Raises:
        RequestError: `invalid_request`, what to set.
    """
    if not settings.loopback and settings.token is None:
        raise InvalidRequest(
            f"Listening on {settings.host} lets other machines in, so a token is needed. "
            "Set CLAUDE_MAX_TOKEN or CLAUDE_MAX_TOKEN_FILE, or listen on 127.0.0.1."
        )


def leave_no_core() -> None:
    """Let neither this process nor a CLI write its memory, with the token and the login in it, to a file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


async def serve(settings: Settings, transport: Literal["http", "stdio"], *, offline: bool) -> None:
    """Serve until SIGINT or SIGTERM, or until the peer closes stdio.

    Raises:
        RequestError: the address needs a token.
        ServiceError: the port is in use.
    """
    leave_no_core()
    async with upstream(settings, offline=offline) as (settings, environment):
        if transport == "stdio":
            await _serve_stdio(settings, environment)
        else:
            await _serve_http(settings, environment, offline=offline)


@asynccontextmanager
async def upstream(settings: Settings, *, offline: bool) -> AsyncGenerator[tuple[Settings, Mapping[str, str]]]:
    """Settings and the CLI's environment: as they are, or with a stand-in and a home of its own."""
    if not offline:
        yield settings, make_cli_environment(settings)
        return
    from claude_max_mcp.standin import StandIn, make_canned_reply  # the serving path never needs it

    with tempfile.TemporaryDirectory(prefix="claude-max-offline-") as home:
        async with StandIn.running() as standin:
            standin.script(make_canned_reply)
            own = {"upstream_url": standin.url, "billing": "subscription", "login_file": None}
            settings = settings.model_copy(update={**own, "state_dir": Path(home, "state")})
            inherited = {k: v for k, v in make_cli_environment(settings).items() if not k.startswith("CLAUDE_")}
            yield settings, {**inherited, "HOME": home, "CLAUDE_CODE_OAUTH_TOKEN": OFFLINE_LOGIN}


async def _serve_http(settings: Settings, environment: Mapping[str, str], *, offline: bool) -> None:
    new = settings.token_file if settings.token is None and not _is_there(settings.token_file) else None
    settings = load_token(settings, make=True)
    check_bind(settings)
    try:
        listener = bind(settings.host, settings.port)
    except OSError as error:
        raise ServiceError(
            "busy",
            f"Port {settings.port} on {settings.host} cannot be used ({os.strerror(error.errno or 0)}). "
            "Stop what listens there, or choose another with --port or CLAUDE_MAX_PORT.",
        ) from None
    url = f"http://{_write_host(settings.host)}:{listener.getsockname()[1]}"
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with Service.running(settings, environment) as service, served(service, listener, grace=GRACE):
            service.journal.listen(log_request)
            answering = "the offline stand-in answers, not Claude" if offline else (await service.health()).message
            _say(f"claude-max serves MCP at {url}/mcp, health at {url}/health ({answering})")
            if new is not None:
                _say(f"made a token for callers, in {new}; `claude-max connect` prints their settings")
            async for _ in signals:
                break
            _say("stopping: running requests have a moment to finish")


async def _serve_stdio(settings: Settings, environment: Mapping[str, str]) -> None:
    async with Service.running(settings, environment) as service:
        service.journal.listen(log_request)
        server = make_mcp_server(service)
        with anyio.CancelScope() as scope, claimed_stdin() as stdin:
            async with beside(partial(_cancel_on_signal, scope)):
                # The SDK only iterates over its input, which it declares as a file.
                spoken = cast("anyio.AsyncFile[str]", read_lines(stdin))
                async with stdio_server(spoken) as (incoming, outgoing):
                    await server.run(incoming, outgoing, server.create_initialization_options())


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


def _is_there(file: Path | None) -> bool:
    return file is not None and file.exists()


def _write_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
