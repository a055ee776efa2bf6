"""How long a connection to the server lasts: for a run, for a block, for an event loop."""

import asyncio
import gc

from pydantic_ai import Agent, ModelRetry

from .scripted_server import ScriptedServer


async def test_the_requests_of_one_run_share_one_connection(agent: Agent, server: ScriptedServer) -> None:
    refusals = iter([True, True, False])

    @agent.output_validator
    def not_before_the_third(text: str) -> str:
        if next(refusals):
            raise ModelRetry("Once more.")
        return text

    await agent.run("Hi", retries=3)
    assert len(server.calls) == 3
    assert server.connections == 1 + 3, "the tools are listed once"
    await Agent(agent.model).run("Hi")
    assert server.connections == 4 + 2, "another run has another connection"


async def test_an_entered_agent_keeps_one_connection(agent: Agent, server: ScriptedServer) -> None:
    async with agent:
        await agent.run("one")
        before = server.connections
        await agent.run("two")
        assert server.connections - before == 1


def test_synchronous_runs_on_new_event_loops_leave_nothing_behind(agent: Agent) -> None:
    for _ in range(3):
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        assert [agent.run_sync("Hi").output for _ in range(2)] == ["Hello", "Hello"]
        assert not asyncio.all_tasks(loop)
        loop.close()
    asyncio.set_event_loop(None)
    gc.collect()  # what was left open says so now, and warnings are errors


def test_entering_on_one_event_loop_does_not_touch_another(agent: Agent) -> None:
    async def entered() -> str:
        async with agent:
            return (await agent.run("Hi")).output

    assert [asyncio.run(entered()) for _ in range(2)] == ["Hello", "Hello"]
    gc.collect()
