"""The caller's own tools, as the CLI sees them: an MCP server inside this process.

In: tool definitions of the Messages API, and what the CLI asks of the server. Out: the declaration for `initialize`,
and answers. A call is never executed here: it is parked until the caller comes back with the result of that very
`tool_use`, which the CLI names with every call.
"""

from dataclasses import dataclass, field

from claude_max_mcp.messages import Json

SERVER = "caller"
"""The name of the MCP server; the model sees the caller's tool names without it."""

PROTOCOL = "2025-11-25"
"""The version of MCP that the CLI's client speaks."""

LONGEST_RESULT = 500_000
"""Characters of a result that the CLI passes on whole, when it is asked to; by itself it stops at some 50,000."""


@dataclass
class CallerTools:
    """The tools of one conversation."""

    definitions: list[Json]
    _parked: dict[str, str] = field(default_factory=dict[str, str])  # id of the tool_use: id of the CLI's request
    _results: dict[str, Json] = field(default_factory=dict[str, Json])

    @property
    def names(self) -> set[str]:
        """The names of the tools."""
        return {tool["name"] for tool in self.definitions}

    def declaration(self) -> Json:
        """The fields of `initialize` that declare the tools, the handshake included."""
        if not self.definitions:
            return {}
        manifest = {"initializeResult": _HANDSHAKE, "toolsListResult": self._list()}
        return {"sdkMcpServers": [SERVER], "sdkMcpServerManifests": {SERVER: manifest}}

    def hear(self, request_id: str, message: Json) -> Json | None:
        """Answer what the CLI asks of the server; None parks a call."""
        match message.get("method"):
            case "initialize":
                return _HANDSHAKE
            case "tools/list":
                return self._list()
            case "tools/call":
                tool_use = message["params"]["_meta"]["claudecode/toolUseId"]
                if (result := self._results.pop(tool_use, None)) is None:
                    self._parked[tool_use] = request_id
                return result
            case _:
                return {}

    def give(self, results: dict[str, Json]) -> dict[str, Json]:
        """Take the caller's results; those of parked calls come back by the id of the CLI's request."""
        self._results.update(results)
        ready = {tool_use: request_id for tool_use, request_id in self._parked.items() if tool_use in self._results}
        for tool_use in ready:
            del self._parked[tool_use]
        return {request_id: self._results.pop(tool_use) for tool_use, request_id in ready.items()}

    def _list(self) -> Json:
        return {"tools": [_as_mcp(tool) for tool in self.definitions]}


_HANDSHAKE: Json = {
    "protocolVersion": PROTOCOL,
    "capabilities": {"tools": {}},
    "serverInfo": {"name": SERVER, "version": "1"},
}


def _as_mcp(tool: Json) -> Json:
    return {
        "name": tool["name"],
        "description": tool.get("description") or "",
        "inputSchema": tool["input_schema"],
        "_meta": {"anthropic/maxResultSizeChars": LONGEST_RESULT},
    }


def carries(result: Json) -> bool:
    """Whether a `tool_result` block can be handed to a parked call and reach the model as it is."""
    content = result.get("content") or ""
    if isinstance(content, str):
        return len(content) < LONGEST_RESULT
    texts = [block for block in content if block.get("type") == "text"]
    images = [block for block in content if block.get("type") == "image" and block["source"].get("type") == "base64"]
    size = sum(len(block["text"]) for block in texts)
    return len(texts) + len(images) == len(content) and size < LONGEST_RESULT


def as_mcp_result(result: Json) -> Json:
    """A `tool_result` block as the result of an MCP call."""
    content = result.get("content") or ""
    blocks: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return {"content": [_as_mcp_block(block) for block in blocks], "isError": bool(result.get("is_error"))}


def _as_mcp_block(block: Json) -> Json:
    if block["type"] == "text":
        return {"type": "text", "text": block["text"]}
    return {"type": "image", "data": block["source"]["data"], "mimeType": block["source"]["media_type"]}
