"""Spans where a tracer is configured: one for each request, in the caller's trace, told to the CLI, and no content."""

import json
from collections.abc import AsyncGenerator, Generator
from functools import partial
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from claude_max_mcp import standin as api
from claude_max_mcp.background import beside
from claude_max_mcp.standin import Reply, StandIn, Text, ToolUse
from claude_max_mcp.tracing import continuing_trace, find_trace_id, trace_controls
from tests.house import House, serving

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"

QUESTION = {"role": "user", "content": "The weather?"}
WEATHER: dict[str, Any] = {"name": "weather", "description": "-", "input_schema": {"type": "object", "properties": {}}}


@pytest.fixture(scope="module")
def exporter() -> Generator[InMemorySpanExporter]:
    """A tracer for the tests of this module; the public function would set it once for the whole session."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "_TRACER_PROVIDER", provider)
        yield exporter
    provider.shutdown()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    exporter.clear()
    return exporter


@pytest.fixture
async def traced(spans: InMemorySpanExporter, own_standin: StandIn) -> AsyncGenerator[House]:
    """A server that was started with a tracer."""
    async with serving(own_standin, warm=0) as house:
        yield house


def chats(spans: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name.startswith("chat ")]


def traceparent(span: ReadableSpan) -> str:
    """As W3C writes it."""
    assert span.context
    trace_id, span_id = trace.format_trace_id(span.context.trace_id), trace.format_span_id(span.context.span_id)
    return f"00-{trace_id}-{span_id}-{span.context.trace_flags:02x}"


async def test_a_request_is_one_span_with_what_it_took_and_no_word_of_it(
    traced: House, spans: InMemorySpanExporter
) -> None:
    traced.standin.enqueue(Reply(content=(Text("swordfish, she said"),)))
    result = await traced.ask(prompt="the password is swordfish", system="never say swordfish", model="opus")
    (span,) = chats(spans)
    assert (span.name, span.kind, span.status.status_code) == (
        "chat claude-opus-5-5",
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    assert result.usage and span.attributes
    attributes = dict(span.attributes)
    assert 0 < float(str(attributes.pop("gen_ai.response.time_to_first_chunk"))) < 60
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-opus-5-5",
        "gen_ai.response.model": "claude-opus-5-5",
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.usage.input_tokens": traced.service.journal.entries[-1].input_tokens,
        "gen_ai.usage.output_tokens": result.usage["output_tokens"],
        "gen_ai.usage.cache_creation.input_tokens": result.usage["cache_creation_input_tokens"],
        "gen_ai.usage.cache_read.input_tokens": result.usage["cache_read_input_tokens"],
        "claude_max.request_id": result.request_id,
        "claude_max.outcome": "answered",
    }
    assert not [found for found in spans.get_finished_spans() if "swordfish" in found.to_json()]


async def test_a_failure_is_named_by_its_code_and_not_quoted(traced: House, spans: InMemorySpanExporter) -> None:
    traced.standin.script(lambda _: api.invalid_request("swordfish is no argument"))
    await traced.ask(prompt="hello")
    (span,) = chats(spans)
    assert span.attributes and span.attributes["error.type"] == "invalid_request"
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert not span.events and "swordfish" not in span.to_json()


@pytest.mark.parametrize("sent", [PARENT, f"00-{TRACE}-b7ad6b7169203331-00"], ids=["sampled", "unsampled"])
async def test_over_http_the_callers_trace_goes_on_into_the_cli(
    traced: House, spans: InMemorySpanExporter, sent: str
) -> None:
    async with traced.http() as http:
        reply = await http.post("/claude", json={"prompt": "hello"}, headers={"traceparent": sent})
    assert reply.status_code == 200
    reached = traced.standin.requests[0].headers["traceparent"]
    assert reached.startswith(f"00-{TRACE}-") and reached[-2:] == sent[-2:]
    if sent == PARENT:
        (span,) = chats(spans)
        assert span.parent and trace.format_span_id(span.parent.span_id) == "b7ad6b7169203331"
        assert reached == traceparent(span)


@pytest.mark.parametrize("sent", ["00-zz-zz-01", f"00-{'0' * 32}-{'0' * 16}-01", "swordfish"])
async def test_what_is_no_trace_begins_one_of_its_own(traced: House, spans: InMemorySpanExporter, sent: str) -> None:
    async with traced.http() as http:
        await http.post("/claude", json={"prompt": "hello"}, headers={"traceparent": sent})
    (span,) = chats(spans)
    assert span.parent is None
    assert traced.standin.requests[0].headers["traceparent"] == traceparent(span)


async def test_over_mcp_the_trace_of_a_client_goes_on_into_the_cli(traced: House, spans: InMemorySpanExporter) -> None:
    with trace.get_tracer("a program").start_as_current_span("its work") as work:
        await traced.ask(prompt="hello")
    (span,) = chats(spans)
    assert span.context and span.context.trace_id == work.get_span_context().trace_id
    assert traced.standin.requests[0].headers["traceparent"] == traceparent(span)


@pytest.mark.parametrize("where", ["_meta", "header"])
async def test_any_mcp_client_can_send_its_traceparent(traced: House, spans: InMemorySpanExporter, where: str) -> None:
    params: dict[str, Any] = {"name": "ask_claude", "arguments": {"prompt": "hello"}}
    headers = {"accept": "application/json, text/event-stream"}
    if where == "_meta":
        params["_meta"] = {"traceparent": PARENT}
    else:
        headers["traceparent"] = PARENT
    opening = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}
    async with traced.http() as http:
        first = await http.post("/mcp", json=rpc("initialize", opening), headers=headers)
        headers["mcp-session-id"] = first.headers["mcp-session-id"]
        headers["mcp-protocol-version"] = "2025-11-25"
        done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await http.post("/mcp", json=done, headers=headers)
        reply = await http.post("/mcp", json=rpc("tools/call", params), headers=headers)
    assert reply.status_code == 200 and "stand-in" in reply.text
    (span,) = chats(spans)
    assert traceparent(span)[3:35] == TRACE
    assert traced.standin.requests[0].headers["traceparent"] == traceparent(span)


def rpc(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


async def test_each_request_of_a_conversation_tells_its_own_trace(traced: House, spans: InMemorySpanExporter) -> None:
    first = await traced.ask(prompt="hello", model="opus", max_tokens=999)
    await traced.ask(prompt="and on", session_id=first.session_id, max_tokens=999)
    sent = [request.headers["traceparent"] for request in traced.standin.requests]
    assert sent == [traceparent(span) for span in chats(spans)] and len(set(sent)) == 2
    assert {(r.body["model"], r.body["max_tokens"]) for r in traced.standin.requests} == {("claude-opus-5-5", 999)}


async def with_result(house: House, call: list[dict[str, Any]]) -> None:
    result = [{"type": "tool_result", "tool_use_id": call[0]["id"], "content": "rain"}]
    messages = [QUESTION, {"role": "assistant", "content": call}, {"role": "user", "content": result}]
    done = await house.ask(messages=messages, tools=[WEATHER], stream="events")
    assert done.success, done.error


async def test_a_tools_result_that_begins_a_process_tells_its_own_trace(
    traced: House, spans: InMemorySpanExporter
) -> None:
    await with_result(traced, [{"type": "tool_use", "id": "toolu_9", "name": "weather", "input": {}}])
    (span,) = chats(spans)
    assert traced.standin.requests[0].headers["traceparent"] == traceparent(span)


async def test_a_tools_result_that_a_process_waited_for_stays_in_the_trace_of_its_call(
    traced: House, spans: InMemorySpanExporter
) -> None:
    traced.standin.enqueue(Reply(content=(ToolUse("weather"),)))
    first = await traced.ask(messages=[QUESTION], tools=[WEATHER], stream="events")
    assert first.message
    await with_result(traced, first.message["content"])
    called, answered = chats(spans)
    assert traceparent(called) != traceparent(answered)
    assert [request.headers["traceparent"] for request in traced.standin.requests] == [traceparent(called)] * 2


async def test_a_request_whose_caller_goes_away_has_its_span(traced: House, spans: InMemorySpanExporter) -> None:
    traced.standin.script(lambda _: Reply(content=(Text("one two"),), hold=anyio.Event()))
    with anyio.fail_after(60):
        async with beside(partial(traced.ask, prompt="hello")):
            upstream = await traced.standin.wait_for_request()
        await upstream.closed_early.wait()
        while not chats(spans):
            await anyio.lowlevel.checkpoint()
    (span,) = chats(spans)
    assert span.attributes and span.attributes["claude_max.outcome"] == "cancelled"


async def test_without_a_tracer_nothing_is_sent_on(own_standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    async with serving(own_standin, warm=0) as house, house.http() as http:
        await http.post("/claude", json={"prompt": "hello"}, headers={"traceparent": PARENT})
    assert "traceparent" not in own_standin.requests[0].headers
    with continuing_trace({"traceparent": PARENT}):
        assert (find_trace_id(), trace_controls()) == (TRACE, []), (
            "the logs name the trace, the CLI is not troubled with it"
        )


async def test_a_cli_that_is_told_of_traces_reports_to_nobody(traced: House) -> None:
    await traced.ask(prompt="hello")
    assert traced.standin.others == []
    assert "traceparent" not in json.dumps(traced.standin.requests[0].body)
    assert traced.standin.requests[0].headers["traceparent"]
