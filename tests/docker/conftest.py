"""One service for all tests; each finds it up and healthy."""

from collections.abc import AsyncGenerator

import pytest

from tests.docker.stack import Stack, engine_complaint, running


@pytest.fixture(scope="session")
async def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    if complaint := engine_complaint():
        pytest.exit(complaint, returncode=1)
    async with running(tmp_path_factory.mktemp("service")) as stack:
        yield stack


@pytest.fixture
async def stack(shared_stack: Stack) -> Stack:
    """The service, up and healthy, whatever an earlier test did to it."""
    await shared_stack.up()
    return shared_stack
