"""One browser for all tests; each visit has a profile of its own."""

from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser

from tests.slow.browser.visits import CHROMIUM, running


@pytest.fixture(scope="session")
async def browser() -> AsyncGenerator[Browser]:
    if CHROMIUM is None:
        pytest.skip("There is no Chromium here (`apt-get install chromium`), so the page is not tested.")
    async with running(CHROMIUM) as browser:
        yield browser
