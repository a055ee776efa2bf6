"""What upstream received."""

from typing import Any

from claude_max_mcp.standin import Recorded, StandIn

Json = dict[str, Any]


def blocks(request: Recorded, at: int = -1) -> list[Json]:
    """The content of one message as upstream got it, without the CLI's cache breakpoints."""
    content = request.messages[at]["content"]
    whole: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [{key: value for key, value in block.items() if key != "cache_control"} for block in whole]


def system(request: Recorded) -> str:
    """The caller's system prompt; the CLI puts two blocks before it."""
    return "\n".join(block["text"] for block in request.body["system"][2:])


def offered(upstream: StandIn, at: int = -1) -> list[str]:
    """The names of the tools in a request."""
    return [tool["name"] for tool in upstream.requests[at].body["tools"]]
