"""A server that asks for a token: the page is open to everybody, and empty for all but those who have it."""

from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.house import House, serving
from tests.slow.browser.visits import Visit, visiting

TOKEN = "a token that nobody guesses"

STORED = "[sessionStorage.length, localStorage.length, document.cookie, location.href]"


@pytest.fixture(scope="module")
async def locked(shared_house: House) -> AsyncGenerator[House]:
    """It needs the other one only to be opened after it, as it is closed before."""
    async with serving(warm=0, token=TOKEN) as house:
        await house.service.health(probe=True)
        yield house


def box(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Token")


async def unlock(visit: Visit, token: str) -> None:
    await box(visit.page).fill(token)
    await visit.page.keyboard.press("Enter")


async def test_a_stranger_sees_that_the_server_is_alive_and_is_asked_for_the_token(
    browser: Browser, locked: House
) -> None:
    async with visiting(browser, locked) as visit:
        await expect(box(visit.page)).to_be_focused()
        await expect(visit.page).to_have_title("Healthy · claude-max")
        await expect(visit.section("Login and payer")).to_be_hidden()
        assert [await visit.page.locator(f"#{part}").inner_text() for part in ("facts", "windows", "rows")] == [""] * 3
        asked = {request.url.removeprefix(locked.root) for request in visit.requests}
        assert asked <= {"/", "/health"} | {url for url in asked if url.startswith("data:")}


@pytest.mark.parametrize(
    ("token", "says"), [("wrong", "does not take this token"), ("café ✓", "only plain letters")], ids=["wrong", "none"]
)
async def test_a_wrong_token_is_said_to_be_wrong_and_is_not_kept(
    browser: Browser, locked: House, token: str, says: str
) -> None:
    async with visiting(browser, locked) as visit:
        await unlock(visit, token)
        await expect(visit.page.get_by_role("alert")).to_contain_text(says)
        await expect(visit.section("Ask")).to_be_hidden()
        assert await visit.script(STORED) == [0, 0, "", f"{locked.root}/"]
        assert all("401" in line for line in visit.complaints)
        visit.complaints.clear()


async def test_the_right_token_opens_the_page_and_stays_in_this_tab(browser: Browser, locked: House) -> None:
    async with visiting(browser, locked) as visit:
        await unlock(visit, TOKEN)
        await expect(visit.page.get_by_label("Question")).to_be_focused()
        await visit.ask("hello")
        await expect(visit.answer).to_contain_text("You said: hello")
        await visit.page.reload()
        await expect(visit.section("Ask")).to_be_visible()
        assert await visit.script(STORED) == [1, 0, "", f"{locked.root}/"]
        other = await visit.page.context.new_page()
        await other.goto(locked.root)
        await expect(box(other)).to_be_focused()
        sent = [await request.header_value("authorization") for request in visit.requests if "/mcp" in request.url]
        assert sent == [f"Bearer {TOKEN}"]
        assert TOKEN not in await visit.page.content()


async def test_a_token_that_is_forgotten_locks_the_page_and_leaves_nothing_in_it(
    browser: Browser, locked: House
) -> None:
    async with visiting(browser, locked) as visit:
        await unlock(visit, TOKEN)
        await visit.ask("a secret question")
        await expect(visit.answer).to_contain_text("secret")
        await visit.page.get_by_role("button", name="Forget the token").click()
        await expect(box(visit.page)).to_be_focused()
        await expect(visit.section("Ask")).to_be_hidden()
        left = await visit.script("[document.body.textContent.replace(document.scripts[0].textContent, '')]")
        assert "secret" not in left[0] and "claude-sonnet" not in left[0] and "subscription:" not in left[0]
        assert await visit.page.locator("textarea, input").evaluate_all("all => all.map(one => one.value)") == ["", ""]
        assert await visit.script(STORED) == [0, 0, "", f"{locked.root}/"]


async def test_every_client_has_settings_to_copy_that_name_the_token_and_do_not_hold_it(
    browser: Browser, locked: House
) -> None:
    async with visiting(browser, locked, permissions=["clipboard-read", "clipboard-write"]) as visit:
        await unlock(visit, TOKEN)
        clients = visit.section("Connect a client")
        for name in ("Claude Code", "VS Code", "Cursor", "Claude Desktop"):
            await clients.get_by_text(name, exact=True).click()
            await clients.get_by_role("button", name=f"Copy the settings for {name}").first.click()
            await expect(clients.get_by_role("status")).to_contain_text(f"Copied the settings for {name}.")
            copied = await visit.script("navigator.clipboard.readText()")
            assert copied == await clients.get_by_role("region", name=f"Settings for {name}").first.inner_text()
            assert TOKEN not in copied and ("CLAUDE" in copied or "input:" in copied or name == "Claude Desktop")
            assert f"{locked.root}/mcp" in copied or name == "Claude Desktop"
