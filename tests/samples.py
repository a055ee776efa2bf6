"""What many tests say: blocks, messages, a tool, a call of MCP. Data and its builders; nothing here runs."""

from base64 import b64encode
from pathlib import Path
from typing import Any

Json = dict[str, Any]

PIXEL = Path(__file__).with_name("pixel.png")
PNG = b64encode(PIXEL.read_bytes()).decode()
IMAGE: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
PDF: Json = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": b64encode(b"%PDF-1.4\n%%EOF").decode()},
}

WEATHER: Json = {
    "name": "get_weather",
    "description": "Tell the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
LOOK_UP: Json = {
    "name": "look_up",
    "description": "Look it up.",
    "input_schema": {"type": "object", "properties": {}},
}
CITY_SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

MODERN_CALL = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "ask_claude",
}
"""The headers of a call of `ask_claude`."""
MODERN_BODY = (
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask_claude","arguments":{%s},'
    '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    '"io.modelcontextprotocol/clientCapabilities":{}}}}'
)
"""Its body, but for the arguments."""


def user(*content: Json | str) -> Json:
    return {"role": "user", "content": [{"type": "text", "text": c} if isinstance(c, str) else c for c in content]}


def assistant(*content: Json | str) -> Json:
    return {**user(*content), "role": "assistant"}


def use(name: str, identifier: str, **arguments: Any) -> Json:
    return {"type": "tool_use", "id": identifier, "name": name, "input": arguments}


def returned(identifier: str, content: Any = "sunny", **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": identifier, "content": content, **more}
