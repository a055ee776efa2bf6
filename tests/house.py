"""A whole server for tests: the real CLI, the stand-in upstream, MCP and HTTP on loopback."""

import json
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp_types import CallToolResult

from claude_max_mcp.front.http import served
from claude_max_mcp.front.listener import bind
from claude_max_mcp.service.service import Service
from claude_max_mcp.settings import Settings
from claude_max_mcp.standin import StandIn
from claude_max_mcp.wire import AskResult

MODERN = "2026-07-28"

PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class House:
    """A running server and what is around it."""

    service: Service
    standin: StandIn
    root: str
    """The server's address, without a path."""

    @property
    def scratch(self) -> Path:
        """Where the server keeps its files while it runs."""
        return self.service.scratch

    @property
    def pids(self) -> set[int]:
        """The CLI processes."""
        return self.service.pids

    @property
    def url(self) -> str:
        """Where MCP is."""
        return f"{self.root}/mcp"

    async def ask(self, **arguments: Any) -> AskResult:
        """Ask over MCP; the result as a caller gets it."""
        async with Client(self.url, mode=MODERN) as client:
            return asked(await client.call_tool("ask_claude", arguments))

    async def listen(self, **arguments: Any) -> tuple[list[str], AskResult]:
        """Ask over MCP; the progress messages and the result."""
        heard: list[str] = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            assert progress == len(heard) + 1 and total is None
            heard.append(message or "")

        async with Client(self.url, mode=MODERN) as client:
            result = await client.call_tool("ask_claude", arguments, progress_callback=on_progress)
        return heard, asked(result)

    def http(self) -> httpx2.AsyncClient:
        """A plain HTTP client of this server."""
        return httpx2.AsyncClient(base_url=self.root, timeout=30, verify=False)


def asked(result: CallToolResult) -> AskResult:
    """The typed result of a call of `ask_claude`."""
    answer = AskResult.model_validate(result.structured_content)
    assert result.is_error is (answer.error is not None)
    return answer


def cli_environment(upstream: str, home: Path, **extra: str) -> dict[str, str]:
    """A complete environment for the CLI, with an invented login."""
    return {
        "PATH": PATH,
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "ANTHROPIC_BASE_URL": upstream,
        "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-invented",
        **extra,
    }


def store_login(home: Path, token: str, plan: str = "max") -> None:
    """Leave an invented login where the CLI's own dialogue would leave one."""
    login = {"accessToken": token, "refreshToken": "sk-ant-ort01-invented", "expiresAt": 4102444800000}
    kept = {"claudeAiOauth": {**login, "scopes": ["user:inference", "user:profile"], "subscriptionType": plan}}
    (home / ".claude").mkdir()
    (home / ".claude" / ".credentials.json").write_text(json.dumps(kept))


@asynccontextmanager
async def serving(
    standin: StandIn | None = None, *, environment: Mapping[str, str] | None = None, **settings: Any
) -> AsyncGenerator[House]:
    """A server of its own for the length of a block, with the settings given."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        standin = standin or await stack.enter_async_context(StandIn.running())
        inherited = cli_environment(standin.url, home) if environment is None else environment
        chosen = Settings(**settings).model_copy(
            update={} if "state_dir" in settings else {"state_dir": home / "state"}
        )
        service = await stack.enter_async_context(Service.running(chosen, inherited))
        listener = bind("127.0.0.1", 0)
        await stack.enter_async_context(served(service, listener))
        yield House(service, standin, f"http://127.0.0.1:{listener.getsockname()[1]}")
