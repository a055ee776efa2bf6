"""An offline stand-in for the Anthropic Messages API, on loopback: scripted answers, and a record of each request.

It knows what the real `claude` CLI sends when `ANTHROPIC_BASE_URL` points here, and how the API answers and fails. It
does not know this server; tests, benchmarks, `claude-max demo` and `--offline` use it, the serving path never does.
"""

from claude_max_mcp.standin.api import Recorded, StandIn
from claude_max_mcp.standin.canned import make_canned_reply
from claude_max_mcp.standin.failures import (
    Failure,
    account_blocked,
    authentication_failed,
    credit_too_low,
    invalid_request,
    model_not_found,
    overloaded,
    prompt_too_long,
    request_too_large,
    server_error,
    throttled,
    usage_limit,
)
from claude_max_mcp.standin.replies import RECORDED_USAGE, RedactedThinking, Reply, Text, Thinking, ToolUse, echo

__all__ = [
    "RECORDED_USAGE",
    "Failure",
    "Recorded",
    "RedactedThinking",
    "Reply",
    "StandIn",
    "Text",
    "Thinking",
    "ToolUse",
    "account_blocked",
    "authentication_failed",
    "credit_too_low",
    "echo",
    "invalid_request",
    "make_canned_reply",
    "model_not_found",
    "overloaded",
    "prompt_too_long",
    "request_too_large",
    "server_error",
    "throttled",
    "usage_limit",
]
