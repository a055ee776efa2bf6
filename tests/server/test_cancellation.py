"""A caller who is gone costs nothing: upstream's connection closes, and no process is left."""

import os
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from statistics import median
from time import monotonic
from typing import Any, TypeAlias

import anyio
import pytest
from mcp import Client, MCPError

from claude_max_mcp.background import beside
from claude_max_mcp.results import AskResult
from claude_max_mcp.standin import Recorded, Reply, StandIn, Text
from tests.house import MODERN, House, serving
from tests.samples import MODERN_CALL
from tests.server.processes import children
from tests.waiting import until

UPSTREAM_CLOSES_WITHIN = 0.25
"""Seconds, as the median of ten, for which upstream may still be at work for a caller who is gone."""

CALL: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {
        "name": "ask_claude",
        "arguments": {"prompt": "hello"},
        "_meta": {
            "progressToken": 1,
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    },
}


def hang(standin: StandIn, *, after_words: int = 1) -> None:
    """Let every answer stop after some words, for ever."""
    standin.script(lambda _: Reply(content=(Text("one two three four"),), hold=anyio.Event(), hold_after=after_words))


async def closed(request: Recorded) -> float:
    """When upstream saw the connection close."""
    with anyio.fail_after(60):
        await request.closed_early.wait()
    assert request.closed_at is not None
    return request.closed_at


async def no_process_is_leased(house: House) -> None:
    await until(lambda: not house.service.report().pool.leased)


async def cancelled_midway(house: House, client: Client) -> Recorded:
    async with beside(partial(client.call_tool, "ask_claude", {"prompt": "hello"})):
        await house.standin.wait_for_request()
    return house.standin.requests[-1]


async def cancel_the_call(house: House) -> Recorded:
    """Cancel the task that waits for the call: the client sends what its protocol has for that."""
    async with Client(house.url, mode=MODERN) as client:
        return await cancelled_midway(house, client)


async def cancel_by_notification(house: House) -> Recorded:
    """The same in the older protocol, where a notification cancels."""
    async with Client(house.url, mode="legacy") as client:
        return await cancelled_midway(house, client)


async def hung_up(house: House, post: Callable[[], Coroutine[Any, Any, object]]) -> Recorded:
    async with beside(post):
        await house.standin.wait_for_request()
    return house.standin.requests[-1]


async def close_the_connection(house: House) -> Recorded:
    """Drop the TCP connection in the middle of the answer."""
    async with house.http() as http:
        return await hung_up(house, partial(http.post, "/mcp", headers=MODERN_CALL, json=CALL))


async def close_the_connection_of_the_older_protocol(house: House) -> Recorded:
    """The same where the SDK itself does not notice."""
    headers = {"accept": "application/json, text/event-stream"}
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    async with house.http() as http:
        reply = await http.post(
            "/mcp", headers=headers, json={"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}
        )
        headers |= {"mcp-session-id": reply.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
        await http.post("/mcp", headers=headers, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        params: dict[str, Any] = {"name": "ask_claude", "arguments": {"prompt": "hello"}, "_meta": {"progressToken": 1}}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        return await hung_up(house, partial(http.post, "/mcp", headers=headers, json=call))


async def leave_the_client(house: House) -> Recorded:
    """Leave the client's own block while a call runs."""

    async def call(client: Client) -> None:
        with pytest.raises(MCPError):
            await client.call_tool("ask_claude", {"prompt": "hello"})

    async with anyio.create_task_group() as tasks, Client(house.url, mode=MODERN) as client:
        tasks.start_soon(call, client)
        await house.standin.wait_for_request()
    return house.standin.requests[-1]


async def hang_up_on_plain_http(house: House) -> Recorded:
    """Drop the connection of `POST /claude`."""
    async with house.http() as http:
        return await hung_up(house, partial(http.post, "/claude", json={"prompt": "hello"}))


Way: TypeAlias = Callable[[House], Awaitable[Recorded]]

WAYS: list[Way] = [
    cancel_the_call,
    cancel_by_notification,
    close_the_connection,
    close_the_connection_of_the_older_protocol,
    leave_the_client,
    hang_up_on_plain_http,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_caller_who_goes_away_ends_the_request_upstream(house: House, way: Way) -> None:
    hang(house.standin)
    with anyio.fail_after(60):
        request = await way(house)
        await closed(request)
    await no_process_is_leased(house)


async def test_timeout_ends_the_request_upstream(house: House) -> None:
    hang(house.standin)
    with anyio.fail_after(60):
        result = await house.ask(prompt="hello", timeout=3)
        await closed(house.standin.requests[0])
    assert result.error and result.error.code == "timeout"
    await no_process_is_leased(house)


async def test_upstream_closes_within_a_quarter_of_a_second_of_the_cancellation(house: House) -> None:
    """The one time that is promised, so the one that is measured: as a median, with the delay of the loop in it."""
    hang(house.standin)
    delays: list[float] = []
    async with Client(house.url, mode=MODERN) as client:
        for count in range(1, 11):
            with anyio.fail_after(60):
                call = partial(client.call_tool, "ask_claude", {"prompt": "hello"})
                async with beside(call):
                    request = await house.standin.wait_for_request(count)
                    cancelled_at = monotonic()
                delays.append(await closed(request) - cancelled_at)
    assert median(delays) <= UPSTREAM_CLOSES_WITHIN, delays


async def test_a_stopping_server_tells_its_callers_and_leaves_no_process(own_standin: StandIn) -> None:
    hang(own_standin)
    before = children(os.getpid())
    results: list[AskResult] = []
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            async with serving(own_standin, warm=1) as house:

                async def call() -> None:
                    results.append(await house.ask(prompt="hello"))

                tasks.start_soon(call)
                request = await own_standin.wait_for_request()
            await closed(request)
    assert [result.error.code for result in results if result.error] == ["cancelled"]
    assert children(os.getpid()) - before == set()


async def test_a_cancelled_request_never_delays_the_next_one(house: House) -> None:
    hang(house.standin)
    await cancel_the_call(house)
    house.standin.reset()
    with anyio.fail_after(60):
        assert (await house.ask(prompt="hello")).success
