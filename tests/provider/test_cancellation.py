"""A caller who leaves: the call on the server is cancelled, whichever way the caller goes."""

import asyncio
import contextlib

import anyio
import pytest
from anyio import to_thread
from pydantic_ai import Agent
from pydantic_ai.settings import ModelSettings

from .scripted_server import Asked, Json, ScriptedServer, begin


@pytest.mark.parametrize("entered", [True, False], ids=["entered", "not entered"])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_cancelling_a_run_cancels_the_call_on_the_server(
    agent: Agent, server: ScriptedServer, entered: bool, streamed: bool
) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def tell(call: Asked) -> Json:
        loop.call_soon_threadsafe(asked.set)
        return await begin(call)

    server.script = tell
    settings = ModelSettings() if streamed else ModelSettings(max_tokens=100)

    with anyio.fail_after(60):
        async with agent if entered else contextlib.nullcontext():
            task = asyncio.create_task(agent.run("Hi", model_settings=settings))
            await asked.wait()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert await to_thread.run_sync(server.cancelled.wait, 5)


async def test_a_cancelled_scope_cancels_the_call_on_the_server(agent: Agent, server: ScriptedServer) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def tell(call: Asked) -> Json:
        loop.call_soon_threadsafe(asked.set)
        return await begin(call)

    server.script = tell
    with anyio.fail_after(60):
        async with agent:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(agent.run, "Hi")
                await asked.wait()
                tasks.cancel_scope.cancel()
            assert await to_thread.run_sync(server.cancelled.wait, 5)


async def test_leaving_a_stream_cancels_the_call_on_the_server(agent: Agent, server: ScriptedServer) -> None:
    server.script = begin
    with anyio.fail_after(60):
        async with agent.run_stream("Hi") as result:
            async for _ in result.stream_text(debounce_by=None):
                break
        assert await to_thread.run_sync(server.cancelled.wait, 5)
