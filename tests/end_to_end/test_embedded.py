"""The engine inside the caller's own process: no server, no port, and nothing left behind."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelAuthenticationError

from claude_max_mcp import standin as api
from claude_max_mcp.settings import Settings
from claude_max_mcp.standin import Reply, StandIn, Text
from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider
from tests.house import MEASURED, PATH, cli_environment
from tests.server.processes import children, working_in

PROGRAM = """
import asyncio, sys
from pydantic_ai import Agent
from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider

agent = Agent(ClaudeMaxModel("sonnet", provider=ClaudeMaxProvider.embedded()))
if sys.argv[1] == "run_sync":
    print(agent.run_sync("one").output)
    print(agent.run_sync("two").output)
else:
    print(asyncio.run(agent.run("one")).output)
    print(asyncio.run(agent.run("two")).output)
"""


@pytest.fixture
async def model(own_standin: StandIn, tmp_path: Path) -> AsyncGenerator[ClaudeMaxModel]:
    environment = cli_environment(own_standin.url, tmp_path)
    provider = ClaudeMaxProvider.embedded(Settings(warm=1), environment=environment)
    async with provider:
        yield ClaudeMaxModel("sonnet", provider=provider)


async def test_an_agent_needs_no_server(own_standin: StandIn, model: ClaudeMaxModel) -> None:
    own_standin.enqueue(Reply(content=(Text("Paris."),)))
    result = await Agent(model).run("The capital of France?")
    assert result.output == "Paris."
    assert (result.usage.input_tokens, result.usage.output_tokens) == (19, 7)
    assert "embedded" in model.base_url


async def test_pieces_arrive_while_the_answer_is_written(own_standin: StandIn, model: ClaudeMaxModel) -> None:
    gate = anyio.Event()
    own_standin.enqueue(Reply(content=(Text("first second"),), hold=gate, hold_after=1))
    with anyio.fail_after(60):
        async with Agent(model).run_stream("count") as stream:
            pieces: list[str] = []
            async for piece in stream.stream_text(delta=True, debounce_by=None):
                pieces.append(piece)
                gate.set()
    assert pieces == ["first ", "second"]


async def test_the_next_message_goes_to_the_process_that_holds_the_conversation(
    own_standin: StandIn, model: ClaudeMaxModel
) -> None:
    first = await Agent(model).run("one")
    await Agent(model).run("two", message_history=first.all_messages())
    sessions = {request.headers["x-claude-code-session-id"] for request in own_standin.requests}
    assert len(own_standin.requests) == 2 and len(sessions) == 1


async def test_cancelling_a_run_closes_the_request_upstream(own_standin: StandIn, model: ClaudeMaxModel) -> None:
    own_standin.script(lambda _: Reply(content=(Text("one two"),), hold=anyio.Event(), hold_after=1))
    with anyio.fail_after(60):
        run = asyncio.create_task(Agent(model).run("hello"))
        request = await own_standin.wait_for_request()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await request.closed_early.wait()


async def test_errors_are_those_of_a_server(own_standin: StandIn, model: ClaudeMaxModel) -> None:
    own_standin.script(lambda _: api.authentication_failed())
    with pytest.raises(ModelAuthenticationError, match="claude-max login"):
        await Agent(model).run("hello")


async def test_leaving_the_provider_ends_every_process(own_standin: StandIn, tmp_path: Path) -> None:
    before = children(os.getpid())
    environment = cli_environment(own_standin.url, tmp_path)
    async with ClaudeMaxProvider.embedded(Settings(warm=1), environment=environment) as provider:
        await Agent(ClaudeMaxModel("sonnet", provider=provider)).run("hello")
        assert children(os.getpid()) > before
    assert children(os.getpid()) <= before


@pytest.mark.parametrize("way", ["run_sync", "asyncio.run"])
async def test_a_program_that_enters_nothing_leaves_nothing_behind(
    own_standin: StandIn, tmp_path: Path, way: str
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**is_inside_claude_code(own_standin, tmp_path), "TMPDIR": str(scratch)}
    with anyio.fail_after(60):
        ended = await anyio.run_process([sys.executable, "-W", "error", "-c", PROGRAM, way], env=environment)
    assert ended.stdout.decode().splitlines() == [
        "This is the stand-in, not Claude. You said: one",
        "This is the stand-in, not Claude. You said: two",
    ]
    assert ended.stderr == b""
    assert list(scratch.iterdir()) == []
    assert working_in(scratch) == set()


def is_inside_claude_code(standin: StandIn, home: Path) -> dict[str, str]:
    """The environment of a program that a shell of Claude Code started, with an API key in it."""
    return {
        **MEASURED,
        "PATH": PATH,
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-invented",
        "CLAUDE_MAX_UPSTREAM_URL": standin.url,
        "CLAUDE_MAX_WARM": "1",
        "PYDANTIC_AI_NO_BANNER": "1",
        "CLAUDECODE": "1",
        "CLAUDE_CODE_ENTRYPOINT": "cli",
        "CLAUDE_CODE_SESSION_ID": "9b1c",
        "ANTHROPIC_API_KEY": "sk-ant-api03-invented",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
        "ANTHROPIC_MODEL": "claude-opus-4-1",
    }


def test_without_the_servers_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "claude_max_mcp.service.service", None)
    monkeypatch.delitem(sys.modules, "pydantic_ai_claude_max._embedded", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'pydantic-ai-claude-max\[embedded\]'"):
        ClaudeMaxProvider.embedded()
