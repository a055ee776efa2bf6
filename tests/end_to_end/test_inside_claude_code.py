"""The seed's problem: programs that a shell of Claude Code starts lose the subscription, and bill the API account.

Such a shell has an API key and another address in its environment, and whatever Claude Code tells its children. The
key and the address lead to a second stand-in here, which must never hear of anything.
"""

import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest

from claude_max_mcp.claude.launch import find_cli
from claude_max_mcp.standin import StandIn
from tests.house import PATH, store_login
from tests.server.program import serving

SUBSCRIPTION = "sk-ant-oat01-invented"
KEY = "sk-ant-api03-invented"

AGENT = """
import pydantic_ai_claude_max
from pydantic_ai import Agent

pydantic_ai_claude_max.enable()
result = Agent("custom:max-subscription", output_type=str).run_sync("hello")
print(result.output)
"""

EMBEDDED = """
from pydantic_ai import Agent
from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider

agent = Agent(ClaudeMaxModel("sonnet", provider=ClaudeMaxProvider.embedded()))
print(agent.run_sync("hello").output)
"""

ANSWER = "This is the stand-in, not Claude. You said: hello\n"


@pytest.fixture
async def decoy() -> AsyncGenerator[StandIn]:
    """Where the API key would be billed."""
    async with StandIn.running() as standin:
        yield standin


def shell(home: Path, decoy: StandIn) -> dict[str, str]:
    """What a shell has that Claude Code opened, on a machine with an API key."""
    return {
        "PATH": PATH,
        "HOME": str(home),
        "PYDANTIC_AI_NO_BANNER": "1",
        "CLAUDECODE": "1",
        "CLAUDE_CODE_ENTRYPOINT": "cli",
        "CLAUDE_CODE_SESSION_ID": "5d1c3f9e-0000-4000-8000-000000000000",
        "CLAUDE_CODE_SSE_PORT": "9",
        "CLAUDE_CODE_CHILD_SESSION": "1",
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "CLAUDE_EFFORT": "low",
        "GIT_EDITOR": "true",
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_AUTH_TOKEN": KEY,
        "ANTHROPIC_BASE_URL": decoy.url,
        "ANTHROPIC_MODEL": "claude-opus-4-1",
        "ANTHROPIC_CUSTOM_HEADERS": f"x-api-key: {KEY}",
        "ANTHROPIC_SMALL_FAST_MODEL": "claude-opus-4-1",
    }


def log_in(home: Path, way: str) -> dict[str, str]:
    """The person's login: by a variable, or as the CLI's own dialogue leaves it."""
    if way == "token":
        return {"CLAUDE_CODE_OAUTH_TOKEN": SUBSCRIPTION}
    store_login(home, SUBSCRIPTION)
    return {}


@pytest.fixture(params=["token", "dialogue"])
def environment(request: pytest.FixtureRequest, tmp_path: Path, decoy: StandIn, own_standin: StandIn) -> dict[str, str]:
    login = log_in(tmp_path, request.param)
    return {**shell(tmp_path, decoy), **login, "CLAUDE_MAX_UPSTREAM_URL": own_standin.url, "CLAUDE_MAX_WARM": "1"}


async def python(program: str, home: Path, environment: dict[str, str]) -> str:
    with anyio.fail_after(60):
        done = await anyio.run_process([sys.executable, "-c", program], env=environment, cwd=home)
    return done.stdout.decode()


def the_subscription_paid(upstream: StandIn, decoy: StandIn) -> None:
    assert upstream.requests
    for request in (*upstream.requests, *upstream.others):
        assert request.headers["authorization"] == f"Bearer {SUBSCRIPTION}"
        assert KEY not in str(request.headers) + request.raw.decode()
    assert upstream.requests[0].body["model"].startswith("claude-sonnet"), "not the one that the shell names"
    assert decoy.requests == decoy.others == []


async def test_a_server_and_an_agent_bill_the_subscription(
    tmp_path: Path, own_standin: StandIn, decoy: StandIn, environment: dict[str, str]
) -> None:
    async with serving(tmp_path, **environment) as server:
        reached = {**environment, "CLAUDE_MAX_URL": f"{server.url}/mcp"}
        assert await python(AGENT, tmp_path, reached) == ANSWER
    the_subscription_paid(own_standin, decoy)


async def test_a_program_with_the_engine_in_it_bills_the_subscription(
    tmp_path: Path, own_standin: StandIn, decoy: StandIn, environment: dict[str, str]
) -> None:
    assert await python(EMBEDDED, tmp_path, environment) == ANSWER
    the_subscription_paid(own_standin, decoy)


async def test_the_cli_by_itself_would_bill_the_key(tmp_path: Path, decoy: StandIn) -> None:
    """Otherwise the tests above would show nothing."""
    environment = shell(tmp_path, decoy) | log_in(tmp_path, "dialogue")
    del environment["CLAUDE_CODE_USE_BEDROCK"]
    quiet = {"DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    with anyio.fail_after(60):
        await anyio.run_process(
            [str(find_cli()), "-p", "hello"], env={**environment, **quiet}, cwd=tmp_path, input=b"", check=False
        )
    assert any(KEY in request.headers.get("x-api-key", "") for request in decoy.requests)
