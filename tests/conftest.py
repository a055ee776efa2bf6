"""What every test shares: one event loop for the session, and an environment that is nobody's."""

import os
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.configuration import set_hypothesis_home_dir

from claude_max_mcp.standin import StandIn
from tests.house import House, serving

for _name in [name for name in os.environ if name.startswith(("ANTHROPIC", "CLAUDE", "WORKSPACE_ROOT"))]:
    del os.environ[_name]  # an inherited login or setting would change, or pay for, what is tested
# Each HTTP client would load the machine's certificate authorities, for 25 ms; all that is called here is plain HTTP.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)

# Properties: the same few examples in every run, or with `--hypothesis-profile=thorough` many, and new ones each time.
# No deadline and no complaint of slowness: a busy machine breaks no property.
set_hypothesis_home_dir(Path(__file__).parents[1] / ".pytest_cache" / "hypothesis")
_phases = set(Phase) - {Phase.explain}  # it takes minutes
_any_speed = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow], phases=_phases)
settings.register_profile("default", _any_speed, derandomize=True, max_examples=50)
settings.register_profile("thorough", _any_speed, derandomize=False, max_examples=500, print_blob=True)
# For `make mutants`, which only asks whether there is a failure: few examples, and none is made smaller.
_found = {Phase.explicit, Phase.generate}
settings.register_profile("mutants", _any_speed, derandomize=True, max_examples=20, phases=_found)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Refuse, for `make mutants`, a name by which pytest finds no test: mutmut would take that error for a kill."""
    if "\\x" in item.name and item.config.getoption("--hypothesis-profile") == "mutants":
        raise pytest.UsageError(f"{item.name}: give this case an id without a backslash")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
async def shared_house() -> AsyncGenerator[House]:
    async with serving(login=None) as house:
        yield house


@pytest.fixture
def house(shared_house: House) -> Iterator[House]:
    """A server with default settings and the real CLI, on a stand-in that nothing is scripted for."""
    shared_house.standin.reset()
    yield shared_house


@pytest.fixture
def standin(house: House) -> StandIn:
    """The stand-in behind `house`."""
    return house.standin


@pytest.fixture
async def own_standin() -> AsyncGenerator[StandIn]:
    """A stand-in of the test's own, for a server of its own."""
    async with StandIn.running() as standin:
        yield standin
