"""Where a request belongs in the caller's OpenTelemetry trace, and how the CLI is told.

In: what a caller sent along (`traceparent`, as W3C writes it). Out: the trace that is current in a block, and what
makes the CLI send it on to Anthropic as that header; without a tracer configured, the CLI is told nothing. HTTP, MCP
and what a span holds it does not know.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from opentelemetry import context, propagate, trace

from claude_max_mcp.messages import Json

SENDS_ON = {
    "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
    "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1",
    "CLAUDE_CODE_PROPAGATE_TRACEPARENT": "1",
}
"""What a process needs from its start in order to send a `traceparent`. No exporter is named: it reports to nobody."""


def traced() -> bool:
    """Whether a tracer is configured, by this process or by `opentelemetry-instrument`."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@contextmanager
def continued(carrier: Mapping[str, str]) -> Generator[None]:
    """Let what happens in the block belong to the trace that `carrier` names; one that is malformed names none."""
    token = context.attach(propagate.extract(carrier))
    try:
        yield
    finally:
        context.detach(token)


def trace_id() -> str | None:
    """The id of the current trace, in hexadecimal."""
    current = trace.get_current_span().get_span_context()
    return trace.format_trace_id(current.trace_id) if current.is_valid else None


def spawned() -> dict[str, str]:
    """The environment of a process that is to be told of traces."""
    return dict(SENDS_ON) if traced() else {}


def told() -> dict[str, str]:
    """The environment that tells a process of the current trace."""
    current = trace.get_current_span().get_span_context()
    if not (traced() and current.is_valid):
        return {}
    ids = f"{trace.format_trace_id(current.trace_id)}-{trace.format_span_id(current.span_id)}"
    return {"TRACEPARENT": f"00-{ids}-{int(current.trace_flags):02x}"}


def telling() -> list[Json]:
    """The control request that tells a running process of the current trace, for what it sends from then on."""
    return [{"subtype": "apply_flag_settings", "settings": {"env": environment}}] if (environment := told()) else []
