"""The caller's own tools, as the CLI sees them: an MCP server inside this process.

In: tool definitions of the Messages API, and what the CLI asks of the server. Out: the declaration for `initialize`,
and answers. A call is never executed here: it is parked until the caller comes back with the result of that very
`tool_use`, which the CLI names with every call.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from claude_max_mcp.messages import Json, TextBlock, ToolResultBlock

logger = logging.getLogger(__name__)

SERVER = "caller"
"""The name of the MCP server; the model sees the caller's tool names without it."""

PROTOCOL = "2025-11-25"
"""The version of MCP that the CLI's client speaks."""

LONGEST_RESULT = 500_000
"""Characters of a result that the CLI passes on whole, when it is asked to; by itself it stops at some 50,000."""

_HANDSHAKE: Json = {
    "protocolVersion": PROTOCOL,
    "capabilities": {"tools": {}},
    "serverInfo": {"name": SERVER, "version": "1"},
}


@dataclass(frozen=True)
class _ParkedCall:
    request_id: str
    """The CLI's request that waits for an answer."""
    message_id: object
    """The MCP message in it."""


class CallerTools:
    """The tools of one conversation, and its calls that wait for their results.

    Args:
        definitions: tools as the Messages API takes them.
    """

    def __init__(self, definitions: Sequence[Json] = ()) -> None:
        self.definitions = definitions
        self._parked: dict[str, _ParkedCall] = {}  # by the id of the tool_use
        self._early: dict[str, Json] = {}  # results that came before their call: the CLI may call one after the other

    def __repr__(self) -> str:
        return f"<CallerTools {sorted(self.names)} parked={sorted(self._parked)}>"

    @property
    def names(self) -> frozenset[str]:
        """The names of the tools."""
        return frozenset(tool["name"] for tool in self.definitions)

    def answer(self, request_id: str, message: Json) -> Json | None:
        """The answer to an MCP message that came in the CLI's request of that id; None parks a call.

        Raises:
            LookupError: a call that does not name its `tool_use`.
        """
        match message:
            case {"method": "tools/call", "params": {"_meta": {"claudecode/toolUseId": str(tool_use)}}}:
                return self._take_call(request_id, tool_use, message)
            case {"method": "tools/call"}:
                raise LookupError("tools/call")
            case _:
                return _envelop(message.get("id"), self._answer_handshake(message))

    def _take_call(self, request_id: str, tool_use: str, message: Json) -> Json | None:
        if (result := self._early.pop(tool_use, None)) is not None:
            return _envelop(message.get("id"), result)
        self._parked[tool_use] = _ParkedCall(request_id, message.get("id"))
        logger.debug("parked %s", tool_use)
        return None

    def accept_results(self, results: dict[str, Json]) -> dict[str, Json]:
        """Take what the caller's tools returned, as MCP results by the id of their `tool_use`.

        Returns:
            The answers to those of the CLI's requests that wait already, by the id of the request.
        """
        answers: dict[str, Json] = {}
        for tool_use, result in results.items():
            if (call := self._parked.pop(tool_use, None)) is None:
                self._early[tool_use] = result
            else:
                answers[call.request_id] = _envelop(call.message_id, result)
        return answers

    def _answer_handshake(self, message: Json) -> Json:
        match message.get("method"):
            case "initialize":
                return _HANDSHAKE
            case "tools/list":
                return _list_tools(self.definitions)
            case _:
                return {}


def make_manifest(definitions: Sequence[Json]) -> Json:
    """What `initialize` can declare of the server, so that the CLI need not ask: its handshake and its tools."""
    return {"initializeResult": _HANDSHAKE, "toolsListResult": _list_tools(definitions)}


def _envelop(message_id: object, result: Json) -> Json:
    return {"mcp_response": {"jsonrpc": "2.0", "id": message_id, "result": result}}


def _list_tools(definitions: Sequence[Json]) -> Json:
    return {"tools": [_as_mcp_tool(tool) for tool in definitions]}


def _as_mcp_tool(tool: Json) -> Json:
    return {
        "name": tool["name"],
        "description": tool.get("description") or "",
        "inputSchema": tool["input_schema"],
        "_meta": {"anthropic/maxResultSizeChars": LONGEST_RESULT},
    }


def can_carry(result: ToolResultBlock) -> bool:
    """Whether a `tool_result` block can be handed to a parked call and reach the model as it is."""
    blocks = [_as_mcp_block(block) for block in _list_content(result)]
    size = sum(len(block.get("text", "")) for block in blocks if block is not None)
    return None not in blocks and size < LONGEST_RESULT


def as_mcp_result(result: ToolResultBlock) -> Json:
    """A `tool_result` block, one that `can_carry` has let pass, as the result of an MCP call."""
    content = [_as_mcp_block(block) for block in _list_content(result)]
    return {"content": content, "isError": bool(result.get("is_error"))}


def _list_content(result: ToolResultBlock) -> Sequence[Mapping[str, object]]:
    content = result.get("content") or ()
    return [TextBlock(type="text", text=content)] if isinstance(content, str) else content


def _as_mcp_block(block: Mapping[str, object]) -> Json | None:
    """A block as MCP has it; None for what the CLI would not pass on as it is."""
    match block:
        case {"type": "text", "text": text}:
            return {"type": "text", "text": text}
        case {"type": "image", "source": {"type": "base64", "data": str(data), "media_type": str(media_type)}}:
            return {"type": "image", "data": data, "mimeType": media_type}
        case _:
            return None
