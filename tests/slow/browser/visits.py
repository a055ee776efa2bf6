"""A visit to the page: a tab of a real browser, and what it asked for and complained about.

Each visit ends with two checks: the browser asked nobody but the server, and its console has no error.
"""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, Locator, Page, Request, async_playwright, expect

from tests.house import PATH, House

CHROMIUM = shutil.which("chromium")

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""It may run as root, and goes online for nobody but the page."""

expect.set_options(timeout=20_000)


@dataclass
class Visit:
    """A tab with the page in it."""

    page: Page
    requests: list[Request] = field(default_factory=list[Request])
    """All that the browser asked for."""
    complaints: list[str] = field(default_factory=list[str])
    """Errors in its console; a test that provokes some takes them out."""

    @property
    def answer(self) -> Locator:
        return self.page.get_by_label("Answer", exact=True)

    @property
    def progress(self) -> Locator:
        """What is said of the question."""
        return self.page.locator("#progress")

    def section(self, heading: str) -> Locator:
        """The part of the page below a heading."""
        return self.page.get_by_role("region", name=heading, exact=True)

    async def ask(self, question: str) -> None:
        """Ask as somebody does who has a mouse."""
        await self.page.get_by_label("Question").fill(question)
        await self.page.get_by_role("button", name="Ask", exact=True).click()

    async def script(self, code: str) -> Any:
        """What a piece of JavaScript says; the page's own policy does not bind it."""
        return await self.page.evaluate(code)


@asynccontextmanager
async def running(chromium: str) -> AsyncGenerator[Browser]:
    """The browser, without a window and with an environment of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=QUIET, env={"PATH": PATH, "HOME": "/nonexistent", "LANG": "C.UTF-8"}
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def visiting(browser: Browser, house: House, *, width: int = 1100, **context: Any) -> AsyncGenerator[Visit]:
    """A visit to a server's page, with a new profile."""
    tab = await browser.new_context(viewport={"width": width, "height": 800}, **context)
    visit = Visit(await tab.new_page())
    tab.on("request", lambda request: visit.requests.append(request))
    visit.page.on("console", lambda line: visit.complaints.append(line.text) if line.type == "error" else None)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    await visit.page.goto(house.root)
    yield visit
    await tab.close()
    assert [request.url for request in visit.requests if not request.url.startswith((f"{house.root}/", "data:"))] == []
    assert visit.complaints == []
