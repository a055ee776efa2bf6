"""The same model on one stand-in, by the routes that the behaviour calls for: see `behaviours`."""

from collections.abc import AsyncGenerator

import pytest

from claude_max_mcp.settings import Settings
from claude_max_mcp.standin import StandIn
from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider
from tests.house import House, cli_environment

from .behaviours import routes


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test the routes of the behaviours that it shows."""
    if "provider" in metafunc.fixturenames:
        shown = {number for mark in metafunc.definition.iter_markers("behaviour") for number in mark.args}
        metafunc.parametrize("provider", routes(shown), indirect=True)


@pytest.fixture(scope="session")
async def http_provider(shared_house: House) -> AsyncGenerator[ClaudeMaxProvider]:
    async with ClaudeMaxProvider(base_url=shared_house.url) as provider:
        yield provider


@pytest.fixture(scope="session")
async def embedded_provider(
    shared_house: House, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[ClaudeMaxProvider]:
    home = tmp_path_factory.mktemp("embedded")
    environment = cli_environment(shared_house.standin.url, home)
    async with ClaudeMaxProvider.embedded(Settings(state_dir=home), environment=environment) as provider:
        yield provider


@pytest.fixture
def provider(request: pytest.FixtureRequest) -> ClaudeMaxProvider:
    """The provider of the route that the test goes by."""
    return request.getfixturevalue(f"{request.param}_provider")


@pytest.fixture
def upstream(house: House) -> StandIn:
    """The stand-in, as if it were new."""
    return house.standin


@pytest.fixture
def model(provider: ClaudeMaxProvider, upstream: StandIn) -> ClaudeMaxModel:
    return ClaudeMaxModel("sonnet", provider=provider)
