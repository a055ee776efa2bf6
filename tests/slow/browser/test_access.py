"""The page is usable by everybody: in the dark, on a small screen, by keyboard, and for those who hear it.

The names and roles are those of the browser's own accessibility tree, which is what a screen reader gets.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, cast

import pytest
from playwright.async_api import Browser, expect

from claude_max_mcp import standin as api
from tests.house import House, serving
from tests.slow.browser.visits import Visit, visiting

MUST_HAVE_A_NAME = {"button", "textbox", "combobox", "meter", "image", "table", "region", "link", "DisclosureTriangle"}

CONTRASTS = """() => {
  const parse = colour => colour.match(/[\\d.]+/g).map(Number);
  const linear = part => part <= 10.31 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = element => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, style = getComputedStyle(element);
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest(":disabled, script, style")) continue;
    const front = parse(element instanceof SVGElement ? style.fill : style.color);
    const [light, dark] = [luminance(front), luminance(behind(element))].sort((a, b) => b - a);
    found.push([(light + 0.05) / (dark + 0.05), walker.currentNode.data.trim()]);
  }
  return found;
}"""

BEYOND = """() => [...document.querySelectorAll("body *")]
  .filter(one => one.checkVisibility() && !one.closest(".skip, thead, option"))
  .filter(one => { const box = one.getBoundingClientRect(); return box.right > innerWidth + 0.5 || box.left < -0.5; })
  .map(one => one.outerHTML)"""

FOCUSED = """() => {
  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
  const name = one.id || one.className || one.textContent;
  return [name, style.outlineStyle, parseFloat(style.outlineWidth), box.width * box.height > 0];
}"""


@pytest.fixture(scope="module")
async def busy(shared_house: House) -> AsyncGenerator[House]:
    """A server on which something was asked, also in vain; needs the other one only to be closed before it."""
    async with serving(warm=0) as house:
        await house.ask(prompt="hello", model="haiku")
        house.standin.script(lambda _: api.model_not_found())
        await house.ask(prompt="hello")
        house.standin.reset()
        yield house


@pytest.fixture(scope="module")
async def locked(shared_house: House) -> AsyncGenerator[House]:
    async with serving(warm=0, token="a token") as house:
        yield house


@asynccontextmanager
async def everything(browser: Browser, house: House, **options: Any) -> AsyncGenerator[Visit]:
    """A visit with all of the page to be seen: an answer, requests, every client's settings."""
    async with visiting(browser, house, **options) as visit:
        await visit.ask("hello")
        await expect(visit.progress).to_contain_text("Answered")
        await expect(visit.page.locator("details")).to_have_count(4)
        await visit.page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
        yield visit


async def tree(visit: Visit) -> list[tuple[str, str]]:
    """Roles and names of what a screen reader can come to."""
    session = await visit.page.context.new_cdp_session(visit.page)
    said = await session.send("Accessibility.getFullAXTree")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    seen = [node for node in cast("list[dict[str, Any]]", said["nodes"]) if not node["ignored"]]
    return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in seen]


async def test_everything_has_a_role_and_a_name(browser: Browser, busy: House) -> None:
    async with everything(browser, busy) as visit:
        nodes = await tree(visit)
        roles = [role for role, _ in nodes]
        assert [role for role, name in nodes if role in MUST_HAVE_A_NAME and not name.strip()] == []
        assert (roles.count("main"), roles.count("banner")) == (1, 1)
        assert {"button", "textbox", "combobox", "meter", "image", "table", "columnheader", "status"} <= set(roles)
        levels = [
            int(name[1])
            for name in await visit.script("[...document.querySelectorAll('h1,h2,h3')].map(h => h.tagName)")
        ]
        assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in pairwise(levels))
        ids = await visit.script("[...document.querySelectorAll('[id]')].map(one => one.id)")
        assert len(ids) == len(set(ids))
        references = await visit.script(
            "[...document.querySelectorAll('*')].flatMap(one => ['for', 'aria-labelledby', 'aria-describedby']"
            ".flatMap(name => (one.getAttribute(name) ?? '').split(' '))).filter(Boolean)"
        )
        assert set(references) <= set(ids)


async def test_on_a_small_screen_the_table_still_is_one(browser: Browser, busy: House) -> None:
    async with everything(browser, busy, width=360) as visit:
        roles = [role for role, _ in await tree(visit)]
        assert roles.count("columnheader") == 7 and roles.count("cell") % 7 == 0 and roles.count("cell") >= 21


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_stands_out_from_what_is_behind_it(browser: Browser, busy: House, scheme: str) -> None:
    async with everything(browser, busy, color_scheme=scheme) as visit:
        found = await visit.script(CONTRASTS)
        assert len(found) > 80
        assert [text for contrast, text in found if contrast < 4.5] == []
        paper = await visit.script("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (max(paper) < 60) if scheme == "dark" else (min(paper) > 230)


@pytest.mark.parametrize("width", [360, 320, 700])
async def test_nothing_is_wider_than_the_screen(browser: Browser, busy: House, width: int) -> None:
    async with everything(browser, busy, width=width) as visit:
        assert await visit.script("document.documentElement.scrollWidth") <= width
        assert await visit.script(BEYOND) == []


async def test_the_locked_page_fits_and_is_named_too(browser: Browser, locked: House) -> None:
    async with visiting(browser, locked, width=360, color_scheme="dark") as visit:
        await expect(visit.page.get_by_role("button", name="Unlock")).to_be_visible()
        assert await visit.script(BEYOND) == []
        assert [text for contrast, text in await visit.script(CONTRASTS) if contrast < 4.5] == []
        assert [role for role, name in await tree(visit) if role in MUST_HAVE_A_NAME and not name.strip()] == []


async def test_the_keyboard_comes_to_everything_and_it_is_seen_where_it_is(browser: Browser, busy: House) -> None:
    async with everything(browser, busy) as visit:
        await visit.script("document.querySelector('.skip').focus()")
        wanted = await visit.script(
            "[...document.querySelectorAll('a, button, input, select, textarea, summary, [tabindex]')]"
            ".filter(one => one.checkVisibility() && !one.disabled).length"
        )
        came: list[list[Any]] = []
        for _ in range(wanted - 1):
            await visit.page.keyboard.press("Tab")
            came.append(await visit.script(FOCUSED))
        assert len({name for name, *_ in came} & {"question", "model", "send", "answer", "scroll"}) == 5
        assert all(style == "solid" and width >= 2 and visible for _, style, width, visible in came), came
        await visit.page.keyboard.press("Tab")
        assert await visit.script("document.activeElement === document.body"), "it leads out again"


async def test_the_pages_own_policy_lets_nothing_else_in(browser: Browser, house: House) -> None:
    async with visiting(browser, house) as visit:
        await expect(visit.page).to_have_title("Healthy · claude-max")
        tried = await visit.script("""() => {
          const script = document.createElement("script"), tried = [];
          try {
            script.text = "document.title = 'taken'";
            document.body.append(script);
          } catch { tried.push("script"); }
          try { document.body.innerHTML += "<p>"; } catch { tried.push("markup"); }
          return fetch("http://127.0.0.2:9/").catch(() => { tried.push("fetch"); }).then(() => tried);
        }""")
        assert tried == ["script", "markup", "fetch"]
        await expect(visit.page).to_have_title("Healthy · claude-max")
        assert visit.complaints and all(
            "Content Security Policy" in line or "Trusted" in line for line in visit.complaints
        )
        visit.complaints.clear()
        visit.requests[:] = [request for request in visit.requests if "127.0.0.2" not in request.url]
