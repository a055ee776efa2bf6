"""One OpenTelemetry span for each request, with the GenAI attributes. Never a prompt, an answer or an error's text.

In: a request as it begins, its `Entry` as it ends. Out: a span for the tracer that is configured, or nothing.
"""

from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from claude_max_mcp.models import to_cli_model, to_full_id
from claude_max_mcp.results import AskResult
from claude_max_mcp.service.journal import Entry


@contextmanager
def request_span(model: str) -> Generator[Span]:
    """The span of a request for `model`, current in the block."""
    asked = to_full_id(to_cli_model(model))
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": asked}
    with trace.get_tracer("claude_max_mcp").start_as_current_span(
        f"chat {asked}",
        kind=SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,  # its text may quote the request
        set_status_on_exception=False,
    ) as span:
        yield span


def describe_outcome(span: Span, entry: Entry, result: AskResult) -> None:
    """Write into its span what became of a request."""
    span.set_attribute("claude_max.request_id", entry.request_id)
    span.set_attribute("claude_max.outcome", entry.outcome)
    if result.error is not None:
        span.set_attribute("error.type", entry.outcome)
        span.set_status(StatusCode.ERROR)
    if entry.first_text_ms is not None:
        span.set_attribute("gen_ai.response.time_to_first_chunk", entry.first_text_ms / 1000)
    if result.model is not None:
        span.set_attribute("gen_ai.response.model", result.model)
    if result.stop_reason is not None:
        span.set_attribute("gen_ai.response.finish_reasons", [result.stop_reason])
    if result.usage is not None:
        span.set_attribute("gen_ai.usage.input_tokens", entry.input_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", entry.output_tokens)
        for part in ("cache_creation", "cache_read"):
            span.set_attribute(f"gen_ai.usage.{part}.input_tokens", result.usage.get(f"{part}_input_tokens") or 0)
