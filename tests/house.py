"""A whole server for tests: the real CLI, the stand-in upstream, MCP and HTTP on loopback."""

import json
import os
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp_types import CallToolResult

from claude_max_mcp.claude.launch import TESTED_VERSION
from claude_max_mcp.claude.login import Login
from claude_max_mcp.front.http import served
from claude_max_mcp.front.listener import bind
from claude_max_mcp.results import AskResult
from claude_max_mcp.service.service import Service
from claude_max_mcp.settings import Settings
from claude_max_mcp.standin import StandIn

MODERN = "2026-07-28"

PATH = "/usr/local/bin:/usr/bin:/bin"

MEASURED = {name: value for name, value in os.environ.items() if name == "COVERAGE_PROCESS_CONFIG"}
"""What a Python that a test starts needs in its environment to be measured too; empty but for `make coverage`."""

LOGIN = Login(TESTED_VERSION, configured=True, method="oauth_token", billed_to="subscription")
"""What the CLI says in `cli_environment`; `shared_house` asks it, and `test_health` shows that it is so."""
ABOUT_THE_CLI = {"cli_path", "login_file"}
"""Settings with which the CLI, or its login, is another."""


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

    async def say(self, request: str) -> bytes:
        """What the server sends in answer to just these characters, until it closes or a JSON body ends."""
        received = b""
        async with await anyio.connect_tcp("127.0.0.1", int(self.root.rpartition(":")[2])) as stream:
            await stream.send(request.encode())
            with anyio.fail_after(60), suppress(anyio.EndOfStream):
                while b"\r\n\r\n" not in received or not received.endswith(b"}"):
                    received += await stream.receive()
        return received


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


def store_login(home: Path, token: str, plan: str | None = "max") -> None:
    """Leave an invented login where the CLI's own dialogue would leave one; without a plan, one without."""
    login = {"accessToken": token, "refreshToken": "sk-ant-ort01-invented", "expiresAt": 4102444800000}
    kept = {"claudeAiOauth": {**login, "scopes": ["user:inference", "user:profile"], "subscriptionType": plan}}
    (home / ".claude").mkdir()
    (home / ".claude" / ".credentials.json").write_text(json.dumps(kept))


@asynccontextmanager
async def serving(
    standin: StandIn | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    login: Login | None = LOGIN,
    **settings: Any,
) -> AsyncGenerator[House]:
    """A server of its own for the length of a block, with the settings given.

    Args:
        standin: what answers for Claude; without it, one of its own.
        environment: what the CLI inherits; without it, one with an invented login.
        login: what the CLI would say of that login, which then is not asked. It always is in an environment, or with
            settings, of the caller's own.
        settings: see `Settings`.
    """
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        standin = standin or await stack.enter_async_context(StandIn.running())
        inherited = cli_environment(standin.url, home) if environment is None else environment
        chosen = Settings(**settings).model_copy(
            update={} if "state_dir" in settings else {"state_dir": home / "state"}
        )
        known = login if environment is None and settings.keys().isdisjoint(ABOUT_THE_CLI) else None
        service = await stack.enter_async_context(Service.running(chosen, inherited, login=known))
        listener = bind("127.0.0.1", 0)
        await stack.enter_async_context(served(service, listener))
        yield House(service, standin, f"http://127.0.0.1:{listener.getsockname()[1]}")
