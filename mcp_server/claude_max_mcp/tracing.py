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


def is_traced() -> bool:
    """Whether a tracer is configured, by this process or by `opentelemetry-instrument`."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@contextmanager
def continuing_trace(carrier: Mapping[str, str]) -> Generator[None]:
    """Run the block inside the trace in `carrier`; a malformed one is ignored."""
    token = context.attach(propagate.extract(carrier))
    try:
        yield
    finally:
        context.detach(token)


def find_trace_id() -> str | None:
    """The id of the current trace, in hexadecimal."""
    current = trace.get_current_span().get_span_context()
    return trace.format_trace_id(current.trace_id) if current.is_valid else None


def make_process_environment() -> dict[str, str]:
    """The environment of a process that can be given a trace later; empty where no tracer is configured."""
    return dict(SENDS_ON) if is_traced() else {}


def trace_environment() -> dict[str, str]:
    """The environment that puts a process into the current trace; empty where there is none."""
    current = trace.get_current_span().get_span_context()
    if not (is_traced() and current.is_valid):
        return {}
    ids = f"{trace.format_trace_id(current.trace_id)}-{trace.format_span_id(current.span_id)}"
    return {"TRACEPARENT": f"00-{ids}-{int(current.trace_flags):02x}"}


def trace_controls() -> list[Json]:
    """The control request that puts a running process into the current trace, for what it sends from then on."""
    return (
        [{"subtype": "apply_flag_settings", "settings": {"env": environment}}]
        if (environment := trace_environment())
        else []
    )
