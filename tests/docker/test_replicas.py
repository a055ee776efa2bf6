"""Two servers behind nginx, as `deploy/compose.replicas.yml` starts them."""

import re
import shutil
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.docker.stack import BUILD_SECONDS, LOGIN, ROOT, Stack
from tests.house import MODERN, asked

BESIDE = """\
services:
  claude-api:
    environment:
      CLAUDE_MAX_UPSTREAM_URL: http://upstream:8080
  upstream:
    image: ${CLAUDE_MAX_IMAGE}
    init: true
    command: [python, /upstream.py]
    healthcheck:
      test: [CMD, python, -ISBc, "import socket; socket.create_connection(('127.0.0.1', 8080), 2)"]
      interval: 1s
    volumes:
      - {type: bind, source: ../upstream.py, target: /upstream.py, read_only: true}
"""


@dataclass(frozen=True)
class Replicas:
    """The replicas, and the commands that are typed for them."""

    stack: Stack

    async def run(self, *command: str, within: float = 60.0) -> str:
        name = f"{self.stack.name}-replicas"
        names = {"COMPOSE_PROJECT_NAME": name, "CLAUDE_MAX_IMAGE": self.stack.name, "CLAUDE_MAX_PROXY_IMAGE": name}
        files = "deploy/compose.replicas.yml:deploy/compose.test.yml"
        changed = {"COMPOSE_FILE": files, "CLAUDE_MAX_PORT": "0", **names}
        return await self.stack.run("docker", "compose", *command, within=within, **changed)


@pytest.fixture
async def replicas(stack: Stack) -> AsyncGenerator[Replicas]:
    shutil.copytree(ROOT / "deploy", stack.folder / "deploy")
    (stack.folder / "deploy" / "login").write_text(LOGIN)
    (stack.folder / "deploy" / "compose.test.yml").write_text(BESIDE)
    replicas = Replicas(stack)
    try:
        await replicas.run("build", "proxy", within=BUILD_SECONDS)
        await replicas.run("up", "-d", "--wait", "--no-build")
        yield replicas
    finally:
        with anyio.CancelScope(shield=True):
            await replicas.run("down", "-v", "--timeout", "5", "--rmi", "local")
            await stack.attempt("docker", "rmi", f"{stack.name}-replicas")


async def test_two_servers_take_turns_and_share_what_must_be_shared(replicas: Replicas) -> None:
    token = (await replicas.run("exec", "-T", "claude-api", "cat", "token")).strip()
    root = "http://" + (await replicas.run("port", "proxy", "47291")).strip()
    headers = {"Authorization": f"Bearer {token}"}
    with anyio.fail_after(60):
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            Client(streamable_http_client(f"{root}/mcp", http_client=http), mode=MODERN) as client,
        ):
            await client.list_tools()  # else the client asks for them behind its first call
            first = asked(await client.call_tool("ask_claude", {"prompt": "one"}))
            again = {"prompt": "two", "session_id": first.session_id}
            second = asked(await client.call_tool("ask_claude", again))
    assert second.success and second.session_id == first.session_id
    assert second.billed_to == "subscription"
    log = await replicas.run("logs", "--no-log-prefix", "proxy")
    assert len(set(re.findall(r"POST /mcp 200 to=(\S+)", log))) == 2, log
