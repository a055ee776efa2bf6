"""Two servers behind nginx, in turn and without affinity: a conversation goes on at either, as each is only a cache.

The configuration of nginx is the one in `deploy/`. Each server has a login of its own here, which nobody would have
in earnest: by it the stand-in tells whose CLI asked.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart

from benchmarks.bench.proxy import CONFIGURATION, MISSING, in_front_of, installed
from claude_max_mcp.background import beside
from claude_max_mcp.front.door import MAX_BODY
from claude_max_mcp.front.listener import bind
from claude_max_mcp.standin import Recorded, Reply, StandIn, Text, ToolUse
from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider
from pydantic_ai_claude_max._client import LONGEST
from tests.house import MODERN, asked
from tests.server.program import Server, serving

pytestmark = pytest.mark.skipif(installed() is None, reason=MISSING)

NAMES = ("left", "right")

OTHER_SPEECH = "default    same_server;"
"""The line of the configuration that keeps the older protocol with one server."""


@dataclass
class Pair:
    """Two servers, and nginx in front of them."""

    standin: StandIn
    servers: dict[str, Server]
    root: str
    """The address of nginx, without a path."""

    @property
    def url(self) -> str:
        return f"{self.root}/mcp"

    @property
    def roots(self) -> list[str]:
        """The servers' own addresses."""
        return [server.url for server in self.servers.values()]

    @property
    def turns(self) -> list[str]:
        """Which server each request came from that reached upstream."""
        return [by(request) for request in self.standin.requests]

    async def kill(self, name: str) -> None:
        self.servers[name].process.kill()
        await self.servers[name].ended()


def by(request: Recorded) -> str:
    return request.headers["authorization"].rpartition("-")[2]


def other(name: str) -> str:
    return next(one for one in NAMES if one != name)


@asynccontextmanager
async def paired(home: Path) -> AsyncGenerator[Pair]:
    """Two serving processes with one folder for sessions; neither has another's home."""
    async with AsyncExitStack() as stack:
        standin = await stack.enter_async_context(StandIn.running())
        servers: dict[str, Server] = {}
        for name in NAMES:
            settings = {
                "CLAUDE_MAX_UPSTREAM_URL": standin.url,
                "CLAUDE_MAX_STATE_DIR": str(home / "state"),
                "CLAUDE_CODE_OAUTH_TOKEN": f"sk-ant-oat01-{name}",
            }
            servers[name] = await stack.enter_async_context(serving(home / name, **settings))
        roots = [server.url for server in servers.values()]
        root = await stack.enter_async_context(in_front_of(*roots))
        yield Pair(standin, servers, root)


@pytest.fixture(scope="module")
async def shared_pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Pair]:
    async with paired(tmp_path_factory.mktemp("replicas")) as pair:
        yield pair


@pytest.fixture
def pair(shared_pair: Pair) -> Pair:
    """Two servers that all tests share."""
    shared_pair.standin.reset()
    return shared_pair


@pytest.fixture
async def own_pair(tmp_path: Path) -> AsyncGenerator[Pair]:
    """Two servers of the test's own, one of which it may kill."""
    async with paired(tmp_path) as pair:
        yield pair


@pytest.fixture
async def provider(pair: Pair) -> AsyncGenerator[ClaudeMaxProvider]:
    async with ClaudeMaxProvider(base_url=pair.url) as provider:
        yield provider


def count_up(calls: int) -> Callable[[Recorded], Reply]:
    """The model calls `step` so often, each time with the number of results it has, and then says them all."""

    def answer(request: Recorded) -> Reply:
        contents: list[Any] = [message["content"] for message in request.messages if message["role"] == "user"]
        blocks: list[dict[str, Any]] = [
            block for content in contents if not isinstance(content, str) for block in content
        ]
        results: list[str] = [block["content"][0]["text"] for block in blocks if block["type"] == "tool_result"]
        if len(results) < calls:
            return Reply(content=(ToolUse("step", {"number": len(results)}),))
        return Reply(content=(Text(" ".join(results)),))

    return answer


def step(number: int) -> str:
    """Make a step."""
    return f"made-{number}"


async def test_a_tool_loop_alternates_between_the_servers_and_ends_right(
    pair: Pair, provider: ClaudeMaxProvider
) -> None:
    pair.standin.script(count_up(5))
    with anyio.fail_after(60):
        result = await Agent(ClaudeMaxModel("sonnet", provider=provider), tools=[step]).run("go")
    assert result.output == "made-0 made-1 made-2 made-3 made-4"
    assert len(pair.turns) == result.usage.requests == 6
    assert all(now == other(before) for before, now in zip(pair.turns, pair.turns[1:], strict=False)), pair.turns


async def test_tool_loops_in_parallel_end_right_whoever_gets_which_request(
    pair: Pair, provider: ClaudeMaxProvider
) -> None:
    pair.standin.script(count_up(3))
    agent = Agent(ClaudeMaxModel("sonnet", provider=provider), tools=[step])
    outputs: list[str] = []

    async def run(number: int) -> None:
        outputs.append((await agent.run(f"go {number}")).output)

    with anyio.fail_after(120):
        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(run, number)
    assert outputs == ["made-0 made-1 made-2"] * 6
    assert set(pair.turns) == set(NAMES)


def past(turns: int, words: int) -> list[ModelMessage]:
    """A conversation of so many turns, each answer of so many words."""
    history: list[ModelMessage] = []
    for number in range(turns):
        history.append(ModelRequest(parts=[UserPromptPart(f"question {number}")]))
        history.append(ModelResponse(parts=[TextPart(f"answer {number} " + "word " * words)]))
    return history


async def test_a_long_history_goes_on_at_either_server(pair: Pair, provider: ClaudeMaxProvider) -> None:
    history = past(turns=60, words=5000)
    agent = Agent(ClaudeMaxModel("sonnet", provider=provider))
    with anyio.fail_after(60):
        first = await agent.run("one", message_history=history)
        second = await agent.run("two", message_history=first.all_messages())
    assert second.output.endswith("two")
    assert set(pair.turns) == set(NAMES)
    messages = pair.standin.requests[-1].messages
    assert len(messages) == 2 * 60 + 3
    assert len(pair.standin.requests[-1].raw) > 1_400_000, "more than nginx lets in by itself"


async def test_the_first_piece_comes_through_before_the_answer_is_finished(
    pair: Pair, provider: ClaudeMaxProvider
) -> None:
    gate = anyio.Event()
    pair.standin.enqueue(Reply(content=(Text("first second"),), hold=gate, hold_after=1))
    pieces: list[str] = []
    with anyio.fail_after(60):
        async with Agent(ClaudeMaxModel("sonnet", provider=provider)).run_stream("count") as stream:
            async for piece in stream.stream_text(delta=True, debounce_by=None):
                pieces.append(piece)
                gate.set()
    assert pieces == ["first ", "second"]


async def test_who_cancels_through_nginx_closes_the_request_upstream(pair: Pair, provider: ClaudeMaxProvider) -> None:
    pair.standin.enqueue(Reply(hold=anyio.Event()))
    agent = Agent(ClaudeMaxModel("sonnet", provider=provider))
    with anyio.fail_after(10):  # later, the server itself would notice, as it writes every 15 s
        async with beside(partial(agent.run, "hello")):
            request = await pair.standin.wait_for_request()
        await request.closed_early.wait()


async def test_who_hangs_up_on_nginx_closes_the_request_upstream(pair: Pair) -> None:
    pair.standin.enqueue(Reply(hold=anyio.Event()))
    with anyio.fail_after(60):
        async with httpx2.AsyncClient(base_url=pair.root, timeout=30) as http:
            async with beside(partial(http.post, "/claude", json={"prompt": "hello"})):
                request = await pair.standin.wait_for_request()
            await request.closed_early.wait()


async def test_a_session_id_goes_on_at_the_other_server(pair: Pair) -> None:
    with anyio.fail_after(60):
        async with Client(pair.url, mode=MODERN) as client:
            await client.list_tools()  # else the client asks for them behind its first call
            first = asked(await client.call_tool("ask_claude", {"prompt": "one"}))
            again = {"prompt": "two", "session_id": first.session_id}
            second = asked(await client.call_tool("ask_claude", again))
    assert second.success and second.session_id == first.session_id
    assert pair.turns in (["left", "right"], ["right", "left"])
    said = [message["content"][0]["text"] for message in pair.standin.requests[-1].messages]
    assert (said[0], said[-1], len(said)) == ("one", "two", 3)


async def test_a_run_goes_on_when_the_server_that_holds_it_is_killed(own_pair: Pair) -> None:
    own_pair.standin.script(count_up(4))
    killed: list[str] = []

    async def step(number: int) -> str:
        """Make a step."""
        if number == 1:
            killed.append(own_pair.turns[-1])
            await own_pair.kill(killed[0])
        return f"made-{number}"

    with anyio.fail_after(60):
        async with ClaudeMaxProvider(base_url=own_pair.url) as provider:
            result = await Agent(ClaudeMaxModel("sonnet", provider=provider), tools=[step]).run("go")
    assert result.output == "made-0 made-1 made-2 made-3"
    (lost,), turns = killed, own_pair.turns
    if turns[2] == lost:
        del turns[2]  # a CLI whose input is closed may ask once more before the kernel kills it
    assert turns == [other(lost), lost, other(lost), other(lost), other(lost)]


async def test_a_request_that_a_server_died_with_is_not_made_again_at_the_other(own_pair: Pair) -> None:
    own_pair.standin.script(lambda _: Reply(hold=anyio.Event()))

    async def kill_who_has_it() -> None:
        request = await own_pair.standin.wait_for_request()
        own_pair.standin.script(lambda request: Reply(content=(Text(request.last_text),)))
        await own_pair.kill(by(request))

    async with httpx2.AsyncClient(base_url=own_pair.root, timeout=30) as http:
        async with beside(kill_who_has_it):
            answer = await http.post("/claude", json={"prompt": "hello"})
        later = await http.post("/claude", json={"prompt": "another"})
    assert answer.status_code == 502 and "may have been made" in answer.json()["error"]["message"]
    assert later.status_code == 200
    assert [request.last_text for request in own_pair.standin.requests] == ["hello", "another"]
    assert set(own_pair.turns) == set(NAMES)


async def test_where_no_server_is_the_proxy_says_so() -> None:
    nobody = bind("127.0.0.1", 0)
    root = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    nobody.close()
    async with in_front_of(root, root) as proxy, httpx2.AsyncClient(base_url=proxy, timeout=30) as http:
        answer = await http.post("/claude", json={"prompt": "hello"})
    assert (answer.status_code, answer.json()["success"]) == (502, False)


async def test_a_session_of_the_older_protocol_stays_with_one_server(pair: Pair) -> None:
    with anyio.fail_after(60):
        async with Client(pair.url, mode="legacy") as client:
            for number in range(3):
                assert asked(await client.call_tool("ask_claude", {"prompt": f"{number}"})).success
    assert len(pair.turns) == 3 and len(set(pair.turns)) == 1


async def test_in_turn_such_a_session_would_be_lost(pair: Pair) -> None:
    """Why the configuration treats it so."""
    configuration = CONFIGURATION.read_text(encoding="utf-8")
    assert OTHER_SPEECH in configuration
    in_turn = configuration.replace(OTHER_SPEECH, OTHER_SPEECH.replace("same_server", "any_server"))
    async with in_front_of(*pair.roots, configuration=in_turn) as root:
        with anyio.fail_after(60):
            async with Client(f"{root}/mcp", mode="legacy") as client:
                with pytest.raises(MCPError, match="Session not found"):
                    for _ in range(3):
                        await client.call_tool("ask_claude", {"prompt": "hello"})


async def test_the_door_sees_the_host_that_the_caller_used(pair: Pair) -> None:
    async with httpx2.AsyncClient(base_url=pair.root, timeout=30) as http:
        refused = await http.get("/health", headers={"host": "rebound.example"})
        foreign = await http.get("/health", headers={"origin": "https://rebound.example"})
        assert (await http.get("/health")).status_code == 200
    assert (refused.status_code, refused.json()["error"]["code"]) == (421, "wrong_host")
    assert (foreign.status_code, foreign.json()["error"]["code"]) == (403, "foreign_origin")


def test_the_configuration_gives_a_request_the_room_and_the_time_that_the_server_gives() -> None:
    configuration = CONFIGURATION.read_text(encoding="utf-8")
    assert f"client_max_body_size {MAX_BODY // 2**20}m;" in configuration
    (seconds,) = (line.split()[1] for line in configuration.splitlines() if "proxy_read_timeout" in line)
    assert int(seconds.rstrip("s;")) > LONGEST
