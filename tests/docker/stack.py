"""The service as `docker compose up -d` gives it, beside a stand-in for Anthropic.

In: this repository. Out: a folder as a user has it, with a `.env`, and the commands that are typed there. Names, port
and volume are the run's own, so that a container of whoever runs the tests is never touched.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from claude_max_mcp.results import AskResult
from tests.house import MODERN, asked

ROOT = Path(__file__).parents[2]

NEEDED = ("Dockerfile", ".dockerignore", "docker-compose.yml", "LICENSE", "README.md", "pyproject.toml")
"""The files that the image and the service are made from, besides folders and the lock."""

LOGIN = "sk-ant-oat01-invented-for-the-container"
STRAY_KEY = "sk-ant-api03-of-some-other-program"

SETTINGS = f"""\
CLAUDE_CODE_OAUTH_TOKEN={LOGIN}
ANTHROPIC_API_KEY={STRAY_KEY}
CLAUDE_MAX_UPSTREAM_URL=http://upstream:8080
CLAUDE_MAX_PORT=0
"""

SERVER = "pid=$(grep -lE '^Name:.claude-max' /proc/[0-9]*/status | cut -d/ -f3 | head -n 1)"
"""Shell that finds the server's process in the container; the first process there is `init`."""

COMMAND_SECONDS = 60.0
BUILD_SECONDS = 240.0


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Stack:
    """A folder with the compose file, and the service that it describes."""

    folder: Path
    name: str
    """Of the project and of the image."""

    @property
    def container(self) -> str:
        return f"{self.name}-api"

    @property
    def volume(self) -> str:
        return f"{self.name}_claude_auth"

    @cached_property
    def environment(self) -> dict[str, str]:
        """What the commands get: the engine's own variables, and the names of this run."""
        passed = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "XDG_RUNTIME_DIR")
        files = "docker-compose.yml:compose.test.yml"
        ours = {"COMPOSE_PROJECT_NAME": self.name, "COMPOSE_FILE": files, "HEALTH_INTERVAL": "1s"}
        return {name: os.environ[name] for name in passed if name in os.environ} | ours

    async def attempt(self, *command: str, within: float = COMMAND_SECONDS, **changed: str) -> Done:
        """Run a command in the folder, to whatever end."""
        with anyio.fail_after(within):
            done = await anyio.run_process(
                command, check=False, cwd=self.folder, env=self.environment | changed, stdin=subprocess.DEVNULL
            )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    async def run(self, *command: str, within: float = COMMAND_SECONDS, **changed: str) -> str:
        """Run a command in the folder; it must succeed. What it printed."""
        done = await self.attempt(*command, within=within, **changed)
        assert done.code == 0, f"{' '.join(command)}: {done.out[-4000:]}{done.err[-4000:]}"
        return done.out

    async def inside(self, *command: str) -> str:
        """What a command prints that runs in the container."""
        return await self.run("docker", "exec", self.container, *command)

    async def up(self) -> None:
        """Start what is not running, and wait until it is healthy."""
        await self.run("docker", "compose", "up", "-d", "--wait")

    async def inspect(self) -> dict[str, Any]:
        """What the engine knows of the container."""
        (known,) = json.loads(await self.run("docker", "inspect", self.container))
        return known

    async def root(self) -> str:
        """The server's address on this machine; a restart may change it."""
        return "http://" + (await self.run("docker", "compose", "port", "claude-api", "47291")).strip()

    async def token(self) -> str:
        """The door's token, as the README says how to read it."""
        return (await self.inside("cat", "token")).strip()

    @asynccontextmanager
    async def http(self, token: str | None = None) -> AsyncGenerator[httpx2.AsyncClient]:
        """A plain HTTP client on this machine."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx2.AsyncClient(base_url=await self.root(), headers=headers, timeout=30) as client:
            yield client

    async def ask(self, **arguments: Any) -> AskResult:
        """Ask over MCP, from this machine, with the token."""
        with anyio.fail_after(60):
            async with self.http(await self.token()) as http:
                url = f"{await self.root()}/mcp"
                async with Client(streamable_http_client(url, http_client=http), mode=MODERN) as client:
                    return asked(await client.call_tool("ask_claude", arguments))

    async def becomes(self, health: str, since: float) -> None:
        """Wait until the engine has said, since that time, that the container's health is this."""
        seen = ("--since", f"{since:.6f}", "--filter", f"container={self.container}", "--format", "{{.Status}}")
        said = ""
        with anyio.fail_after(60):
            async with await anyio.open_process(["docker", "events", *seen], env=self.environment) as events:
                assert events.stdout
                try:
                    while f"health_status: {health}\n" not in said:
                        said += (await events.stdout.receive()).decode()
                finally:
                    events.kill()


def engine_complaint() -> str | None:
    """Why there is no engine to test with, or None."""
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=20)
        except (OSError, subprocess.SubprocessError) as error:
            return f"`make test-docker` needs a Docker engine with compose; `{' '.join(command)}` says: {error}"
    return None


@asynccontextmanager
async def running(folder: Path, settings: Mapping[str, str] | None = None) -> AsyncGenerator[Stack]:
    """Build the image and bring the service up; at the end nothing is left of either.

    Args:
        folder: an empty folder.
        settings: more lines of its `.env`.
    """
    stack = Stack(folder, f"claude-max-test-{os.getpid()}-{time.monotonic_ns() % 10**6}")
    _furnish(folder, settings or {})
    try:
        await stack.run("docker", "compose", "build", within=BUILD_SECONDS)
        yield stack
    finally:
        with anyio.CancelScope(shield=True):
            await stack.run("docker", "compose", "down", "-v", "--timeout", "5", "--rmi", "all")


def _furnish(folder: Path, settings: Mapping[str, str]) -> None:
    for name in (*NEEDED, "requirements-server.lock"):
        shutil.copy(ROOT / name, folder)
    for name in ("docker", "mcp_server"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests" / "docker" / "compose.yml", folder / "compose.test.yml")
    shutil.copy(ROOT / "tests" / "docker" / "upstream.py", folder)
    more = "".join(f"{name}={value}\n" for name, value in settings.items())
    (folder / ".env").write_text(SETTINGS + more)
    folder.chmod(0o755)  # it is the workspace too, for a user who is not its owner
