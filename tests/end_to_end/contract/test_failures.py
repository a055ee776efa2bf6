"""What goes wrong on the way, and how a caller ends it: exceptions, time limits, cancellation."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest
from pydantic_ai import Agent
from pydantic_ai.direct import model_request_stream
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelOverloadedError,
    ModelRequestTimeout,
    ModelTimeoutError,
)
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.settings import ModelSettings

from claude_max_mcp import standin as api
from claude_max_mcp.standin import Failure, Reply, StandIn, Text
from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider

from .behaviours import behaviour


@behaviour(30)
@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (api.credit_too_low(), 402),
        (api.account_blocked(), 403),
        (api.throttled(), 429),
        (api.request_too_large(), 413),
        (api.invalid_request(), 400),
    ],
    ids=["credit", "blocked", "throttled", "too large", "invalid"],
)
async def test_a_status_is_kept_with_its_body(
    upstream: StandIn, model: ClaudeMaxModel, failure: Failure, status: int
) -> None:
    upstream.script(lambda _: failure)
    with pytest.raises(ModelHTTPError) as raised:
        await Agent(model).run("hello")
    assert raised.value.status_code == status
    assert isinstance(raised.value.body, dict) and raised.value.body["error"]["code"]  # pyright: ignore[reportUnknownMemberType]


@behaviour(31)
async def test_an_answer_that_breaks_off_is_an_error_inside_the_stream(
    upstream: StandIn, model: ClaudeMaxModel
) -> None:
    heard = anyio.Event()
    upstream.script(lambda _: Reply(content=(Text("one two three four"),), hold=heard, hold_after=2, cut_after=2))
    with pytest.raises(ModelOverloadedError) as raised:
        async with Agent(model).run_stream("count") as stream:
            async for _ in stream.stream_text(debounce_by=None):
                heard.set()
    assert raised.value.in_stream


@behaviour(32, 33)
async def test_what_is_no_server_of_ours_is_an_error_that_a_fallback_takes(upstream: StandIn) -> None:
    """Nobody listens at the one address; at the other something else does."""
    for url in ("http://127.0.0.1:9/mcp", f"{upstream.url}/mcp"):
        there = ClaudeMaxModel("sonnet", provider=ClaudeMaxProvider(base_url=url))
        with pytest.raises(ModelAPIError):
            await Agent(there).run("hello")
        fallback = FallbackModel(there, TestModel(custom_output_text="from elsewhere"))
        assert (await Agent(fallback).run("hello")).output == "from elsewhere"


@behaviour(32)
async def test_a_server_that_is_not_there_is_a_connection_error() -> None:
    nowhere = ClaudeMaxModel("sonnet", provider=ClaudeMaxProvider(base_url="http://127.0.0.1:9/mcp"))
    with pytest.raises(ModelConnectionError):
        await Agent(nowhere).run("hello")


@behaviour(34)
@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ("timeout", ModelTimeoutError),
        ("request_timeout", ModelRequestTimeout),
        ("first_event_timeout", ModelRequestTimeout),
    ],
)
async def test_a_time_limit_ends_the_request_upstream_too(
    upstream: StandIn, model: ClaudeMaxModel, setting: str, error: type[Exception]
) -> None:
    upstream.script(lambda _: Reply(hold=anyio.Event()))
    settings = ModelSettings(**{setting: 0.8})  # pyright: ignore[reportArgumentType]
    with anyio.fail_after(60), pytest.raises(error):
        async with Agent(model).run_stream("hello", model_settings=settings) as stream:
            await stream.get_output()
    with anyio.fail_after(60):
        for request in upstream.requests:  # none where a busy machine got no further in this time
            await request.closed_early.wait()


async def by_cancelling_the_stream(model: ClaudeMaxModel) -> None:
    async with model_request_stream(model, [ModelRequest.user_text_prompt("hello")]) as stream:
        async for _ in stream:
            await stream.cancel()
            await stream.cancel()  # as often as one likes
            break
    assert stream.get().state == "interrupted"


async def by_leaving_the_loop(model: ClaudeMaxModel) -> None:
    async with Agent(model).run_stream("hello") as stream:
        async for _ in stream.stream_text(delta=True, debounce_by=None):
            break


async def by_cancelling_the_task(model: ClaudeMaxModel) -> None:
    started = asyncio.Event()

    async def read() -> None:
        async with Agent(model).run_stream("hello") as stream:
            async for _ in stream.stream_text(delta=True, debounce_by=None):
                started.set()

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@behaviour(35)
@pytest.mark.parametrize("end", [by_cancelling_the_stream, by_leaving_the_loop, by_cancelling_the_task])
async def test_every_way_of_ending_an_answer_reaches_upstream(
    upstream: StandIn, model: ClaudeMaxModel, end: Callable[[ClaudeMaxModel], Awaitable[None]]
) -> None:
    upstream.script(lambda _: Reply(content=(Text("one two three"),), hold=anyio.Event(), hold_after=1))
    with anyio.fail_after(60):
        await end(model)
        await upstream.requests[0].closed_early.wait()
    upstream.reset()
    assert (await Agent(model).run("still there?")).output.endswith("still there?")
