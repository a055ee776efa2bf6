"""The model inside whatever Pydantic AI can wrap around one, and the other ways of running it."""

import asyncio
from collections.abc import Callable

import anyio
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic_ai import Agent, InstrumentationSettings
from pydantic_ai.direct import model_request_sync
from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.messages import FinalResultEvent, FunctionToolCallEvent, ModelRequest, PartDeltaEvent
from pydantic_ai.models import Model
from pydantic_ai.models.concurrency import ConcurrencyLimitedModel
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.instrumented import InstrumentedModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.usage import UsageLimits

from claude_max_mcp import standin as api
from claude_max_mcp.standin import Reply, StandIn, Text, ToolUse
from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider

from .behaviours import behaviour


def with_a_tool(model: Model) -> Agent[None, str]:
    agent = Agent(model)

    @agent.tool_plain
    def step() -> str:
        """Make a step."""
        return "made"

    assert step is not None
    return agent


CALL = Reply(content=(ToolUse("step", {}, "toolu_1"),))
DONE = Reply(content=(Text("All done."),))


def limited(model: Model) -> Model:
    return ConcurrencyLimitedModel(model, 2)


def with_a_fallback(model: Model) -> Model:
    return FallbackModel(model, TestModel())


@pytest.mark.parametrize("wrap", [WrapperModel, InstrumentedModel, limited, with_a_fallback])
async def test_a_wrapped_model_does_all_that_the_model_does(
    upstream: StandIn, model: ClaudeMaxModel, wrap: Callable[[Model], Model]
) -> None:
    agent = with_a_tool(wrap(model))
    upstream.enqueue(CALL, DONE)
    assert (await agent.run("go")).output == "All done."
    assert len({request.headers["x-claude-code-session-id"] for request in upstream.requests}) == 1
    upstream.enqueue(DONE)
    async with agent.run_stream("again") as stream:
        assert await stream.get_output() == "All done."


async def test_a_fallback_takes_over_in_the_middle_of_a_run(upstream: StandIn, model: ClaudeMaxModel) -> None:
    agent = with_a_tool(FallbackModel(model, TestModel(custom_output_text="from elsewhere")))
    upstream.enqueue(CALL)
    upstream.script(lambda _: api.usage_limit())
    assert (await agent.run("go")).output == "from elsewhere"


async def test_no_more_run_at_once_than_the_limit_says(upstream: StandIn, model: ClaudeMaxModel) -> None:
    gate = anyio.Event()
    upstream.script(lambda _: Reply(content=(Text("ok"),), hold=gate))
    agent = Agent(ConcurrencyLimitedModel(model, 1))
    with anyio.fail_after(60):
        runs = asyncio.gather(agent.run("one"), agent.run("two"))
        await upstream.wait_for_request(1)
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert len(upstream.requests) == 1
        gate.set()
        await runs
    assert len(upstream.requests) == 2


async def test_events_of_a_run_come_as_they_happen(upstream: StandIn, model: ClaudeMaxModel) -> None:
    upstream.enqueue(CALL, DONE)
    kinds: list[type[object]] = []
    async with with_a_tool(model).run_stream_events("go") as events:
        kinds = [type(event) async for event in events]
    assert kinds.index(FunctionToolCallEvent) < kinds.index(FinalResultEvent) < len(kinds) - 1
    assert PartDeltaEvent in kinds


async def test_a_run_can_be_gone_through_step_by_step(upstream: StandIn, model: ClaudeMaxModel) -> None:
    upstream.enqueue(CALL, DONE)
    async with with_a_tool(model).iter("go") as run:
        nodes = [type(node).__name__ async for node in run]
    assert nodes.count("ModelRequestNode") == 2
    assert run.result and run.result.output == "All done."


@behaviour(36)
async def test_one_request_can_be_made_directly_and_without_an_event_loop(
    upstream: StandIn, model: ClaudeMaxModel, provider: ClaudeMaxProvider
) -> None:
    async def leave() -> None:
        async with provider:  # an engine that nobody entered would stay until the loop is closed
            pass

    def ask() -> str | None:
        with asyncio.Runner() as runner:
            asyncio.set_event_loop(runner.get_loop())
            response = model_request_sync(model, [ModelRequest.user_text_prompt("hello")])
            runner.run(leave())
            return response.text

    assert (await anyio.to_thread.run_sync(ask) or "").endswith("hello")


async def test_a_limit_of_requests_holds(upstream: StandIn, model: ClaudeMaxModel) -> None:
    upstream.script(lambda _: Reply(content=(ToolUse("step", {}),)))
    with pytest.raises(UsageLimitExceeded):
        await with_a_tool(model).run("go", usage_limits=UsageLimits(request_limit=2))
    assert len(upstream.requests) == 2


async def test_a_limit_of_tokens_holds(upstream: StandIn, model: ClaudeMaxModel) -> None:
    upstream.enqueue(CALL)
    with pytest.raises(UsageLimitExceeded):
        await with_a_tool(model).run("go", usage_limits=UsageLimits(output_tokens_limit=5))


async def test_the_spans_of_a_run_tell_who_was_asked_and_what_was_used(
    upstream: StandIn, model: ClaudeMaxModel
) -> None:
    exporter = InMemorySpanExporter()
    tracing = TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(exporter))
    agent = with_a_tool(model)
    agent.instrument = InstrumentationSettings(tracer_provider=tracing)
    upstream.enqueue(CALL, DONE)
    await agent.run("go")
    chats = [dict(span.attributes or {}) for span in exporter.get_finished_spans() if span.name.startswith("chat")]
    assert len(chats) == 2
    for chat in chats:
        assert chat["gen_ai.operation.name"] == "chat"
        assert chat["gen_ai.provider.name"] == "claude-max"
        assert (chat["gen_ai.request.model"], chat["gen_ai.response.model"]) == ("sonnet", "claude-sonnet-5-5")
        assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (19, 7)
        assert chat["server.address"] in ("127.0.0.1", "embedded")
    assert "sk-ant" not in str([span.to_json() for span in exporter.get_finished_spans()])
