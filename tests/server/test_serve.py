"""The real process: how it starts, how it stops, and that it leaves nothing behind."""

import json
import os
import re
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import Process
from mcp import Client, StdioServerParameters

from claude_max_mcp.background import beside
from claude_max_mcp.results import Health
from claude_max_mcp.standin import Reply, StandIn
from tests.conversations import as_blocks, reply_of
from tests.house import MODERN, asked
from tests.samples import Json, user
from tests.server.processes import children
from tests.server.program import PROGRAM, Server, left_behind, run, serving, surroundings
from tests.waiting import until


def upstream(standin: StandIn) -> dict[str, str]:
    return {"CLAUDE_MAX_UPSTREAM_URL": standin.url, "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-invented"}


def started(pids: set[int]) -> set[int]:
    """Those of the processes that are still alive; one that nobody has waited for yet is not."""
    return {pid for pid in pids if _state(pid) not in ("gone", "Z")}


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


async def cli_processes(server: Server) -> set[int]:
    """The CLI processes of a server, once it has one at least."""
    await until(lambda: children(server.process.pid))
    return children(server.process.pid)


async def test_the_first_line_says_where_it_serves_and_that_it_is_offline(tmp_path: Path) -> None:
    async with serving(tmp_path, "--offline") as offline, httpx2.AsyncClient() as http:
        health = Health.model_validate((await http.get(f"{offline.url}/health")).json())
    assert re.match(r"claude-max serves MCP at http://127\.0\.0\.1:\d+/mcp, health at \S+/health ", offline.first_line)
    assert "the offline stand-in answers, not Claude" in offline.first_line
    assert health.status == "healthy"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order_and_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    async with serving(tmp_path, "--offline", CLAUDE_MAX_WARM="1") as server:
        pids = await cli_processes(server)
        server.process.send_signal(number)
        assert await server.ended() == 0
        assert started(pids) == set()
    assert left_behind(tmp_path) == []


async def test_a_signal_in_the_midst_of_a_request_ends_both(tmp_path: Path, own_standin: StandIn) -> None:
    own_standin.script(lambda request: Reply(hold=anyio.Event()))
    statuses: list[int | str] = []

    async def ask(url: str) -> None:
        try:
            async with httpx2.AsyncClient(timeout=30) as http:
                statuses.append((await http.post(f"{url}/claude", json={"prompt": "hello"})).status_code)
        except httpx2.TransportError as error:
            statuses.append(type(error).__name__)

    async with serving(tmp_path, **upstream(own_standin)) as server, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, server.url)
        with anyio.fail_after(60):
            request = await own_standin.wait_for_request()
        pids = await cli_processes(server)
        server.process.terminate()
        assert await server.ended() == 0
        assert started(pids) == set()
        with anyio.fail_after(60):
            await request.closed_early.wait()
    assert len(statuses) == 1 and statuses != [200]
    assert left_behind(tmp_path) == []


async def test_a_server_that_is_killed_leaves_no_process(tmp_path: Path, own_standin: StandIn) -> None:
    own_standin.script(lambda request: Reply(hold=anyio.Event()))
    async with serving(tmp_path, **upstream(own_standin)) as server, httpx2.AsyncClient(timeout=30) as http:

        async def ask() -> None:
            with pytest.raises(httpx2.TransportError):
                await http.post(f"{server.url}/claude", json={"prompt": "hello"})

        async with beside(ask):
            with anyio.fail_after(60):
                await own_standin.wait_for_request()
            pids = await cli_processes(server)
            os.kill(server.process.pid, signal.SIGKILL)
            assert await server.ended() == -signal.SIGKILL
            await until(lambda: not started(pids))


def has_files(folder: Path, count: int) -> bool:
    return len(list(folder.glob("*"))) >= count


async def test_a_conversation_goes_on_with_the_same_prefix_though_its_server_was_killed(
    tmp_path: Path, own_standin: StandIn
) -> None:
    messages: list[Json] = []
    points = tmp_path / ".local/state/claude-max/transcripts/points"
    for turn in range(3):
        messages.append(user(f"message {turn}"))
        async with serving(tmp_path, **upstream(own_standin)) as server, Client(f"{server.url}/mcp") as client:
            answer = asked(await client.call_tool("ask_claude", {"messages": messages, "stream": "events"}))
            messages.append(reply_of(answer))
            await until(partial(has_files, points, turn + 1))
            os.kill(server.process.pid, signal.SIGKILL)
            await server.ended()
    before, after = (as_blocks(request.body["messages"]) for request in own_standin.requests[1:])
    assert after[: len(before)] == before


async def test_a_home_that_cannot_be_written_to_will_do(tmp_path: Path, own_standin: StandIn) -> None:
    home = tmp_path / "home"
    home.touch()  # a file: nothing can be made in it, by root neither
    own = {"HOME": str(home), **upstream(own_standin)}
    async with serving(tmp_path, **own) as server, httpx2.AsyncClient(timeout=30) as http:
        reply = await http.post(f"{server.url}/claude", json={"prompt": "hello"})
        health = Health.model_validate((await http.get(f"{server.url}/health")).json())
    assert reply.json()["success"]
    assert health.status == "healthy" and health.storage_problem is not None


async def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, out, err = await run(tmp_path, "serve", "--offline", "--port", port)
    assert (code, out) == (6, "")
    said = " ".join(err.split())
    assert said.startswith(f"Port {port} on 127.0.0.1 cannot be used (Address already in use).")
    assert "--port" in said and "Traceback" not in said


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_over_stdio_it_is_the_same_server(tmp_path: Path, mode: str) -> None:
    arguments = [*PROGRAM[1:], "serve", "--transport", "stdio", "--offline"]
    parameters = StdioServerParameters(command=PROGRAM[0], args=arguments, env=surroundings(tmp_path), cwd=tmp_path)
    heard: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    with anyio.fail_after(60):
        async with Client(parameters, mode=mode) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            call = partial(client.call_tool, "ask_claude", {"prompt": "hello"}, progress_callback=on_progress)
            result = asked(await call())
            health = Health.model_validate((await client.call_tool("health", {})).structured_content)
    assert tools == ["ask_claude", "health"]
    assert result.response.endswith("You said: hello")
    assert "".join(heard) == result.response
    assert health.auth.state == "proven"
    assert left_behind(tmp_path) == []


OPENING = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "by hand", "version": "1"}}


@asynccontextmanager
async def stdio(home: Path) -> AsyncGenerator[Process]:
    """A server over stdio that has answered `initialize`, and nothing but that."""
    command = [*PROGRAM, "serve", "--transport", "stdio", "--offline"]
    async with await anyio.open_process(command, env=surroundings(home, CLAUDE_MAX_WARM="1"), cwd=home) as process:
        assert process.stdin and process.stdout
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": OPENING}
        await process.stdin.send(json.dumps(message).encode() + b"\n")
        said = b""
        with anyio.fail_after(60):
            while not said.endswith(b"\n"):
                said += await process.stdout.receive()
        (line,) = said.splitlines()
        assert json.loads(line)["id"] == 0, "nothing but protocol on standard output"
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def test_over_stdio_it_ends_with_its_client_and_leaves_nothing(tmp_path: Path) -> None:
    async with stdio(tmp_path) as process:
        assert process.stdin and process.stdout
        pids = await cli_processes(Server(process, ""))
        await process.stdin.aclose()
        with anyio.fail_after(60):
            assert [chunk async for chunk in process.stdout] == []
            assert await process.wait() == 0
        assert started(pids) == set()
    assert left_behind(tmp_path) == []


async def test_over_stdio_a_signal_ends_it_although_its_client_stays(tmp_path: Path) -> None:
    async with stdio(tmp_path) as process:
        pids = await cli_processes(Server(process, ""))
        process.terminate()
        with anyio.fail_after(60):
            assert await process.wait() == 0
        assert started(pids) == set()
    assert left_behind(tmp_path) == []
