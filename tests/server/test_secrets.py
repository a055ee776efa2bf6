"""No secret is anywhere but where it belongs: the door's token at the door, the login with the CLI."""

import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2
import pytest
from anyio.abc import Process

from claude_max_mcp.background import beside
from claude_max_mcp.standin import Reply, StandIn, authentication_failed
from tests.samples import MODERN_BODY, MODERN_CALL
from tests.server.processes import children
from tests.server.program import PROGRAM, Server, surroundings
from tests.waiting import until

TOKEN = "the-token-of-the-door"
LOGIN = "sk-ant-oat01-the-login"
KEY = "sk-ant-api03-a-stray-key"
SECRETS = (TOKEN, LOGIN, KEY)

ALL_CORES = 'ulimit -c unlimited; exec "$0" "$@"'
"""A shell that lets what it becomes leave cores, as some systems do by themselves."""


@dataclass
class Watched:
    """A server whose every word is kept."""

    process: Process
    said: bytes = b""

    async def listen(self) -> None:
        assert self.process.stderr
        async for chunk in self.process.stderr:
            self.said += chunk

    async def begun(self) -> Server:
        await until(lambda: b"\n" in self.said)
        return Server(self.process, self.said.decode().partition("\n")[0])


@asynccontextmanager
async def watched(home: Path, standin: StandIn, **environment: str) -> AsyncGenerator[Watched]:
    """A server with a token, a login and a key in its environment, which may leave cores."""
    secret = {"CLAUDE_MAX_TOKEN": TOKEN, "CLAUDE_CODE_OAUTH_TOKEN": LOGIN, "ANTHROPIC_API_KEY": KEY}
    complete = surroundings(home, CLAUDE_MAX_UPSTREAM_URL=standin.url, **{**secret, **environment})
    command = ["sh", "-c", ALL_CORES, *PROGRAM, "serve", "--port", "0"]
    process = await anyio.open_process(command, env=complete, cwd=home, stdout=None)
    server = Watched(process)
    try:
        async with beside(server.listen):
            yield server
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


async def everything_said(url: str) -> list[str]:
    """Every kind of answer, good and bad, with its headers."""
    right = {"authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(base_url=url, timeout=30) as http:
        replies = [
            await http.get("/health"),
            await http.get("/", headers={"authorization": f"Bearer {TOKEN[:-1]}"}),
            await http.post("/claude", json={"prompt": "hello"}),
            *[await http.get(path, headers=right) for path in ("/", "/health", "/health?probe=1", "/metrics", "/x")],
            *[await http.post("/claude", json=body, headers=right) for body in ({"prompt": "hello"}, {"token": TOKEN})],
            await http.post("/claude", content=b"{", headers={**MODERN_CALL, **right}),
            await http.post("/mcp", content=MODERN_BODY % '"prompt":"hello"', headers={**MODERN_CALL, **right}),
            await http.post("/mcp", content=MODERN_BODY % '"nonsense":1', headers={**MODERN_CALL, **right}),
        ]
    assert {200, 400, 401, 404} <= {reply.status_code for reply in replies}
    return [f"{reply.headers} {reply.text}" for reply in replies]


@dataclass(frozen=True)
class Seen:
    """What a process shows to others on the machine."""

    command: str
    environment: str
    cores: list[str]

    @classmethod
    def of(cls, pid: int) -> "Seen":
        folder = Path(f"/proc/{pid}")
        limits = (folder / "limits").read_text().splitlines()
        (cores,) = [line.split()[4:6] for line in limits if line.startswith("Max core file size")]
        return cls((folder / "cmdline").read_text(), (folder / "environ").read_text(), cores)


async def seen_of_the_cli(server: Server) -> list[Seen]:
    """What its CLI processes show, once it has one at least; one that ends meanwhile shows nothing."""
    seen: list[Seen] = []

    def look() -> list[Seen]:
        for pid in children(server.process.pid):
            with suppress(FileNotFoundError, ProcessLookupError):
                seen.append(Seen.of(pid))
        return seen

    await until(look)
    return seen


def cores(folder: Path) -> list[Path]:
    return list(folder.glob("core*"))


@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_no_answer_no_log_and_no_process_shows_a_secret(
    tmp_path: Path, own_standin: StandIn, log_format: str
) -> None:
    own_standin.script(lambda request: Reply() if len(own_standin.requests) % 2 else authentication_failed())
    async with watched(tmp_path, own_standin, CLAUDE_MAX_LOG_FORMAT=log_format, CLAUDE_MAX_WARM="1") as running:
        server = await running.begun()
        answers = await everything_said(server.url)
        own, cli = Seen.of(server.process.pid), await seen_of_the_cli(server)
        server.process.terminate()
        assert await server.ended() == 0
    shown = [*answers, running.said.decode(), own.command, *(one.command for one in cli)]
    assert [text for text in shown for secret in SECRETS if secret in text] == []
    assert all(LOGIN in one.environment for one in cli), "the CLI has the login, and nothing else of these"
    assert not any(secret in one.environment for one in cli for secret in (TOKEN, KEY))
    assert [one.cores for one in (own, *cli)] == [["0", "0"]] * (len(cli) + 1)


async def test_a_login_in_a_file_is_not_even_in_the_clis_environment(tmp_path: Path, own_standin: StandIn) -> None:
    (tmp_path / "login").write_text(LOGIN)
    (tmp_path / "token").write_text(TOKEN)
    files = {"CLAUDE_MAX_TOKEN_FILE": "token", "CLAUDE_CODE_OAUTH_TOKEN_FILE": "login"}
    named = {name: str(tmp_path / file) for name, file in files.items()}
    nothing = {"CLAUDE_MAX_TOKEN": "", "CLAUDE_CODE_OAUTH_TOKEN": ""}
    async with watched(tmp_path, own_standin, **named, **nothing, CLAUDE_MAX_WARM="1") as running:
        server = await running.begun()
        await everything_said(server.url)
        seen = [Seen.of(server.process.pid), *await seen_of_the_cli(server)]
    assert own_standin.requests[0].headers["authorization"] == f"Bearer {LOGIN}"
    assert not any(secret in one.environment for one in seen for secret in (TOKEN, LOGIN))


async def test_a_server_that_dies_leaves_no_core(tmp_path: Path, own_standin: StandIn) -> None:
    async with watched(tmp_path, own_standin) as running:
        server = await running.begun()
        server.process.send_signal(signal.SIGABRT)
        assert await server.ended() == -signal.SIGABRT
    assert cores(tmp_path) == []


async def test_a_token_that_the_server_made_is_told_by_its_place_alone(tmp_path: Path, own_standin: StandIn) -> None:
    file = tmp_path / "token"
    async with watched(tmp_path, own_standin, CLAUDE_MAX_TOKEN="", CLAUDE_MAX_TOKEN_FILE=str(file)) as running:
        await until(lambda: str(file) in running.said.decode())
    assert f"made a token for callers, in {file};" in running.said.decode()
    assert file.read_text().strip() not in running.said.decode()
