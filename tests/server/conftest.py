"""What several modules of these tests share."""

from collections.abc import AsyncGenerator

import pytest

from tests.house import House, serving

from .messages_api import TOKEN


@pytest.fixture(scope="session")
async def messages_house(shared_house: House) -> AsyncGenerator[House]:
    """A server that speaks the Messages API, opened after the other one, as it is closed before."""
    async with serving(warm=1, token=TOKEN, messages_api=True) as house:
        yield house
