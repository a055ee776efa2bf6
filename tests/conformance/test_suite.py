"""The official conformance suite, twice: the product as it is, and its HTTP with the fixtures that the suite wants.

`make conformance` prints the tables.
"""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest

from claude_max_mcp.front.http import application
from claude_max_mcp.front.listener import bind, listening
from tests.conformance.fixtures import fixture_server
from tests.conformance.node import SUITE, needs_node, run
from tests.house import House, serving

EXPECTED_FAILURES = Path(__file__).with_name("expected-failures.yml")

SCORED = {"2025-11-25": 30, "2026-07-28": 37}
"""How many scenarios each revision of the protocol requires of a server."""

pytestmark = needs_node


@dataclass(frozen=True)
class Table:
    """What the suite says at its end."""

    code: int
    text: str
    scenarios: dict[str, bool]
    """Those that are scored, and whether each passed."""

    @property
    def passed(self) -> int:
        return sum(self.scenarios.values())


async def table(url: str, revision: str, home: Path, *options: str) -> Table:
    code, said, complaints = await run(
        SUITE,
        "server",
        "--url",
        url,
        "--requirements",
        revision,
        "--output-dir",
        str(home / "results"),
        *options,
        home=home,
    )
    summary = said.partition("=== SUMMARY ===")[2]
    requirements = (SUITE.parents[1] / "requirements" / f"{revision}.yaml").read_text()
    unscored = set(re.findall(r"^  - scenario: (\S+)", requirements, re.MULTILINE))
    lines = re.findall(r"^([✓✗]) ([\w-]+): \d+ passed", summary, re.MULTILINE)
    return Table(
        code, summary or said + complaints, {name: mark == "✓" for mark, name in lines if name not in unscored}
    )


@pytest.fixture(scope="module")
async def fixtures_url() -> AsyncGenerator[str]:
    """Our door, our listener, the SDK's sessions as we use them, and the suite's fixtures behind them."""
    listener = bind("127.0.0.1", 0)
    async with (
        serving(warm=0) as house,
        application(house.service, mcp=fixture_server()) as app,
        listening(app, listener),
    ):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"


@pytest.mark.parametrize("revision", SCORED)
async def test_with_its_fixtures_the_suite_passes_whole(fixtures_url: str, revision: str, tmp_path: Path) -> None:
    result = await table(fixtures_url, revision, tmp_path)
    print(f"HTTP with fixtures, {revision}: {result.passed} of {len(result.scenarios)} scenarios\n{result.text}")  # noqa: T201
    assert [name for name, passed in result.scenarios.items() if not passed] == []
    assert (result.code, len(result.scenarios)) == (0, SCORED[revision])


@pytest.mark.parametrize("revision", SCORED)
async def test_the_product_fails_nothing_but_what_is_written_down(house: House, revision: str, tmp_path: Path) -> None:
    result = await table(house.url, revision, tmp_path, "--expected-failures", str(EXPECTED_FAILURES))
    print(f"product, {revision}: {result.passed} of {len(result.scenarios)} scenarios\n{result.text}")  # noqa: T201
    assert (result.code, len(result.scenarios)) == (0, SCORED[revision]), result.text


def test_every_expected_failure_has_its_reason() -> None:
    lines = [line for line in EXPECTED_FAILURES.read_text().splitlines() if line.lstrip().startswith("- ")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"  - [\w:-]+ # \S.{4,}", line)] == []
