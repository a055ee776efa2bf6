"""The server's engine inside this process, reached over MCP in memory.

In: the server's settings. Out: a `Route`. The only module that imports the server; it is itself imported
by `ClaudeMaxProvider.embedded()` alone.
"""

import functools
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from mcp import Client

from ._connection import PROTOCOL, Route

try:
    from claude_max_mcp.front.mcp import make_mcp_server
    from claude_max_mcp.service.service import Service
    from claude_max_mcp.settings import Settings, make_cli_environment
except ModuleNotFoundError as error:
    raise ImportError(
        "`embedded()` runs the server's engine in this process, and its package is not installed: "
        "`pip install 'pydantic-ai-claude-max[embedded]'`. Or reach a running server with `ClaudeMaxProvider()`."
    ) from error

ADDRESS: Final = "claude-max://embedded"
"""Its name in messages and telemetry."""


def make_embedded_route(settings: Settings | None, environment: Mapping[str, str] | None) -> Route:
    """The route to an engine of its own, which runs while the route is used."""
    settings = settings or Settings()
    inherited = make_cli_environment(settings) if environment is None else environment
    return Route(ADDRESS, functools.partial(_running_engine, settings, inherited), lasting=True)


@asynccontextmanager
async def _running_engine(settings: Settings, environment: Mapping[str, str]) -> AsyncGenerator[Client]:
    async with (
        Service.running(settings, environment) as service,
        Client(make_mcp_server(service), mode=PROTOCOL) as client,
    ):
        yield client
