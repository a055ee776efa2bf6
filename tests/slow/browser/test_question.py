"""The box to ask a question: the answer comes as it is written, and whoever stops it stops it upstream too."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
import pytest
from playwright.async_api import Browser, expect

from claude_max_mcp import standin as api
from claude_max_mcp.standin import Reply, Text
from tests.house import House
from tests.slow.browser.visits import Visit, visiting


async def test_text_is_there_before_the_answer_is_whole(browser: Browser, house: House) -> None:
    gate = anyio.Event()
    house.standin.enqueue(Reply(content=(Text("one two three four"),), hold=gate, hold_after=2))
    async with visiting(browser, house) as visit:
        await visit.ask("Count to four.")
        await expect(visit.answer).to_have_text("one two ")
        await expect(visit.answer).to_have_attribute("aria-busy", "true")
        gate.set()
        await expect(visit.answer).to_have_text("one two three four")
        await expect(visit.answer).to_have_attribute("aria-busy", "false")
        await expect(visit.progress).to_contain_text("Answered · claude-sonnet-5-5 · 19 tokens in, 7 out")
        await expect(visit.progress).to_contain_text(house.service.journal.entries[-1].request_id)
    assert house.standin.requests[0].last_text == "Count to four."


async def test_the_keyboard_is_enough_to_ask_and_to_stop(browser: Browser, house: House) -> None:
    house.standin.script(lambda _: Reply(content=(Text("one two three"),), hold=anyio.Event(), hold_after=2))
    async with visiting(browser, house) as visit:
        keys = visit.page.keyboard
        await expect(visit.page.get_by_role("button", name="Ask", exact=True)).to_be_visible()
        await keys.press("Tab")
        await expect(visit.page.get_by_role("link", name="Skip to the question")).to_be_focused()
        for key in ("Enter", "H", "i", "Tab", "o", "Tab"):  # the question, its text, the model, opus, Ask
            await keys.press(key)
        await expect(visit.page.get_by_role("button", name="Ask", exact=True)).to_be_focused()
        await keys.press("Enter")
        await expect(visit.answer).to_have_text("one two ")
        await expect(visit.page.get_by_role("button", name="Stop")).to_be_focused()
        await keys.press("Enter")
        await expect(visit.progress).to_have_text("Stopped. What had come by then is above.")
        await expect(visit.page.get_by_label("Question")).to_be_focused()
        await expect(visit.answer).to_have_text("one two ")
        (upstream,) = house.standin.requests
        with anyio.fail_after(60):
            await upstream.closed_early.wait()
    assert (upstream.last_text, upstream.body["model"]) == ("Hi", "claude-opus-5-5")


async def press_escape(visit: Visit) -> None:
    await visit.page.keyboard.press("Escape")


async def click_on_stop(visit: Visit) -> None:
    await visit.page.get_by_role("button", name="Stop").click()


async def close_the_tab(visit: Visit) -> None:
    await visit.page.close()


Way: TypeAlias = Callable[[Visit], Awaitable[None]]
WAYS: list[Way] = [press_escape, click_on_stop, close_the_tab]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_whoever_stops_it_stops_it_upstream_too(browser: Browser, house: House, way: Way) -> None:
    house.standin.script(lambda _: Reply(hold=anyio.Event()))
    async with visiting(browser, house) as visit:
        await visit.ask("hello")
        with anyio.fail_after(60):
            upstream = await house.standin.wait_for_request()
            await way(visit)
            await upstream.closed_early.wait()


async def test_after_a_failure_it_says_what_to_do_and_the_next_question_is_answered(
    browser: Browser, house: House
) -> None:
    house.standin.script(lambda _: api.model_not_found())
    async with visiting(browser, house) as visit:
        await visit.ask("hello")
        await expect(visit.progress).to_contain_text("model_not_found: ")
        await expect(visit.answer).to_be_hidden()
        house.standin.reset()
        await visit.page.get_by_label("Question").press("Control+Enter")
        await expect(visit.answer).to_contain_text("You said: hello")


async def test_markup_in_an_answer_is_text(browser: Browser, house: House) -> None:
    bad = "<img src=http://evil.example/x onerror=alert(1)><script>document.title='taken'</script> & `code`"
    house.standin.enqueue(Reply(content=(Text(bad),)))
    async with visiting(browser, house) as visit:
        await visit.ask("hello")
        await expect(visit.progress).to_contain_text("Answered")
        assert await visit.answer.inner_text() == bad
        assert await visit.answer.locator("*").count() == 0
