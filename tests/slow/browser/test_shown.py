"""What the page shows of a running server, and that it goes on looking."""

import time

import anyio
import anyio.abc
import pytest
from playwright.async_api import Browser, Page, Request, expect

from claude_max_mcp import standin as api
from claude_max_mcp.standin import Reply, StandIn, Text
from tests.house import House, serving
from tests.slow.browser.visits import visiting


async def test_it_shows_how_the_service_is_and_who_pays(browser: Browser, house: House) -> None:
    async with visiting(browser, house) as visit:
        await expect(visit.page).to_have_title("Healthy · claude-max")
        await expect(visit.page.locator("#state")).to_contain_text("Service ready")
        await expect(visit.section("Login and payer")).to_contain_text("your subscription")
        await expect(visit.page.get_by_text("version 0.")).to_be_visible()
        assert {request.url.removeprefix(house.root) for request in visit.requests} >= {"/", "/health", "/requests"}


async def test_a_login_is_configured_until_an_answer_proves_it(browser: Browser) -> None:
    async with serving(warm=0) as house, visiting(browser, house) as visit:
        login = visit.section("Login and payer")
        await expect(login).to_contain_text("not proven yet")
        await house.ask(prompt="hello")
        await expect(login).to_contain_text("proven (CLAUDE_CODE_OAUTH_TOKEN): a request was answered at")


async def test_usage_windows_are_bars_with_the_time_at_which_they_open_anew(browser: Browser) -> None:
    async with serving(warm=0) as house, visiting(browser, house) as visit:
        usage = visit.section("Usage of the subscription")
        await expect(usage).to_contain_text("none has come yet")
        await house.ask(prompt="hello")
        bar = usage.get_by_role("meter", name="5 hours")
        await expect(bar).to_have_attribute("aria-valuenow", "12")
        await expect(bar).to_have_attribute(
            "aria-valuetext", "12 % used, " + await usage.locator("p").first.inner_text()
        )
        await expect(usage).to_contain_text("in 1 h 0 min")
        whole, filled = [await part.bounding_box() for part in (bar, bar.locator("div"))]
        assert whole and filled and filled["width"] / whole["width"] == pytest.approx(0.12, abs=0.01)


async def test_what_runs_and_waits_is_shown_while_it_does(browser: Browser, own_standin: StandIn) -> None:
    gate = anyio.Event()
    own_standin.script(lambda _: Reply(hold=gate))
    async with serving(own_standin, warm=0, concurrency=1) as house, visiting(browser, house) as visit:
        running, waiting = [visit.section("Now").locator("dd").nth(index) for index in range(2)]
        await expect(running).to_have_text("0")
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(lambda: house.ask(prompt="hello"))
            await expect(running).to_have_text("1")
            await expect(waiting).to_have_text("2")
            gate.set()
        await expect(running).to_have_text("0")


async def test_the_latest_requests_are_there_in_numbers_and_never_in_words(
    browser: Browser, own_standin: StandIn
) -> None:
    own_standin.enqueue(Reply(content=(Text("a secret answer"),)), api.usage_limit())
    async with serving(own_standin, warm=0) as house, visiting(browser, house) as visit:
        await expect(visit.page.get_by_text("Nothing has been asked since")).to_be_visible()
        answered = await house.ask(prompt="a secret question", model="opus")
        assert not (await house.ask(prompt="another secret question")).success
        rows = visit.page.get_by_role("table", name="Latest requests").get_by_role("row")
        await expect(rows).to_have_count(3)
        failed, first = [await rows.nth(index).get_by_role("cell").all_inner_texts() for index in (1, 2)]
        assert failed[1:4] == ["sonnet", "usage_limit", "\u2013"]
        assert first[1:3] == [answered.model, "answered"] and first[5:] == ["19", "7"]
        latency, tokens = [
            visit.page.get_by_role("img", name=name) for name in ("2 requests, 1 failed", "19 tokens in")
        ]
        assert [await latency.locator(f".{kind}").count() for kind in ("part", "whole", "failed")] == [1, 1, 1]
        assert [await tokens.locator(f".{kind}").count() for kind in ("part", "whole")] == [1, 1]
        assert "secret" not in await visit.page.content()


async def test_a_limit_that_is_reached_is_a_degraded_service_that_says_when_it_ends(
    browser: Browser, own_standin: StandIn
) -> None:
    own_standin.script(lambda _: api.usage_limit(resets_in=1800))
    async with serving(own_standin, warm=0) as house:
        await house.ask(prompt="hello")
        async with visiting(browser, house) as visit:
            await expect(visit.page.locator("#status")).to_contain_text("Degraded")
            await expect(visit.page.locator("#message")).to_contain_text("usage limit is reached")
            await expect(visit.section("Usage of the subscription")).to_contain_text("a limit was reached; it resets")
            await expect(visit.section("Login and payer")).to_contain_text("usage_limit")


async def test_a_server_without_a_cli_is_unhealthy_and_one_that_is_gone_unreachable(browser: Browser) -> None:
    async with anyio.create_task_group() as tasks:
        stopping, stopped = anyio.Event(), anyio.Event()

        async def serve(*, task_status: anyio.abc.TaskStatus[House]) -> None:
            async with serving(cli_path="/nonexistent/claude") as house:
                task_status.started(house)
                await stopping.wait()
            stopped.set()

        async with visiting(browser, await tasks.start(serve)) as visit:
            await expect(visit.page).to_have_title("Unhealthy · claude-max")
            await expect(visit.page.locator("#message")).to_contain_text("/nonexistent/claude")
            stopping.set()
            await expect(visit.page).to_have_title("Unreachable · claude-max")
            await expect(visit.page.locator("#message")).to_contain_text("claude-max serve")
            assert all("Failed to load resource" in line for line in visit.complaints), "503, then no connection"
            visit.complaints.clear()
        await stopped.wait()


async def test_it_looks_only_while_somebody_looks_at_it(browser: Browser, house: House) -> None:
    async with visiting(browser, house) as visit:
        await expect(visit.page).to_have_title("Healthy · claude-max")
        await visit.page.clock.install(time=time.time())
        await hide(visit.page, True)
        before = looks(visit.requests)
        await visit.page.clock.run_for(60_000)
        assert looks(visit.requests) <= before + 1, "at most the one that was under way"
        await hide(visit.page, False)
        async with visit.page.expect_response("**/requests"):
            await visit.page.clock.run_for(10_000)


def looks(requests: list[Request]) -> int:
    return sum(request.url.endswith("/health") for request in requests)


async def hide(page: Page, hidden: bool) -> None:
    """Let the page believe that its tab is in the background, or no more."""
    await page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', { configurable: true, value: hidden });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )
