"""The same model by two routes, on one stand-in."""

from collections.abc import AsyncGenerator
from typing import TypeAlias

import pytest

from claude_max_mcp.settings import Settings
from claude_max_mcp.standin import StandIn
from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider
from tests.house import House, cli_environment

Route: TypeAlias = str


@pytest.fixture(scope="session", params=["http", "embedded"])
async def provider(
    request: pytest.FixtureRequest, shared_house: House, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[ClaudeMaxProvider]:
    if request.param == "http":
        made = ClaudeMaxProvider(base_url=shared_house.url)
    else:
        home = tmp_path_factory.mktemp("embedded")
        environment = cli_environment(shared_house.standin.url, home)
        made = ClaudeMaxProvider.embedded(Settings(state_dir=home), environment=environment)
    async with made:
        yield made


@pytest.fixture
def upstream(house: House) -> StandIn:
    """The stand-in, as if it were new."""
    return house.standin


@pytest.fixture
def model(provider: ClaudeMaxProvider, upstream: StandIn) -> ClaudeMaxModel:
    return ClaudeMaxModel("sonnet", provider=provider)
