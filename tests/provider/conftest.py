"""What the provider's tests share: a server that does what they say, and no environment of the machine."""

from collections.abc import Generator

import pytest
from pydantic_ai import Agent

from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider

from .scripted_server import ScriptedServer, running


@pytest.fixture
def anyio_backend() -> str:
    """The client's connections are asyncio tasks."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing set on this machine decides a test."""
    for name in ("CLAUDE_MAX_URL", "CLAUDE_MAX_TOKEN", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def running_server() -> Generator[ScriptedServer]:
    """A scripted server on a free port."""
    with running(ScriptedServer()) as scripted:
        yield scripted


@pytest.fixture
def server(running_server: ScriptedServer) -> ScriptedServer:
    """The scripted server, as if it were new."""
    running_server.reset()
    return running_server


@pytest.fixture
def nowhere() -> str:
    """An address where nobody listens."""
    with running(ScriptedServer()) as scripted:
        return scripted.url


@pytest.fixture
def agent(server: ScriptedServer) -> Agent:
    """An agent that asks the scripted server."""
    return Agent(ClaudeMaxModel(provider=ClaudeMaxProvider(server.url)))
