"""What the facts share: one stand-in, one answer to a bare hello, and the CLI's version beside each failure."""

import subprocess
from collections.abc import AsyncGenerator, Generator
from functools import cache
from pathlib import Path

import anyio
import pytest

from claude_max_mcp.claude.launch import find_cli
from claude_max_mcp.standin import StandIn
from tests.cli.bare import Bare, Hello, said_hello


@cache
def version() -> str:
    """What the CLI calls itself."""
    return subprocess.run([find_cli(), "--version"], env={}, capture_output=True, text=True).stdout.strip()


def pytest_report_header() -> str:
    return f"claude CLI: {version()}, {find_cli()}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections.append(("claude CLI", f"{version()} no longer does what this test's name says."))
    return report


@pytest.fixture(scope="session")
async def shared_bare(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Bare]:
    async with StandIn.running() as upstream:
        yield Bare(upstream, tmp_path_factory.mktemp("bare"))


@pytest.fixture
def bare(shared_bare: Bare) -> Bare:
    """A way to start processes, on a stand-in that nothing is scripted for."""
    shared_bare.upstream.reset()
    return shared_bare


@pytest.fixture
async def own_bare(own_standin: StandIn, tmp_path: Path) -> Bare:
    """The same with a home and a stand-in of the test's own."""
    return Bare(own_standin, tmp_path)


@pytest.fixture(scope="session")
async def hello(tmp_path_factory: pytest.TempPathFactory) -> Hello:
    """A blank process that was initialized with nothing, and asked `hello`: all that was said and sent."""
    async with StandIn.running() as upstream:
        with anyio.fail_after(60):
            return await said_hello(Bare(upstream, tmp_path_factory.mktemp("hello")))
