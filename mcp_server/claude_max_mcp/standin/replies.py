"""What the stand-in answers with: scripted messages, and the stream events they become.

In: content blocks and how fast to send them. Out: the Messages API's stream events, or its JSON message.
Nothing here does I/O or waits; `api` plays the events.
"""

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio

from claude_max_mcp.messages import Json

RECORDED_USAGE: Json = {
    "input_tokens": 11,
    "output_tokens": 7,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 5,
}
"""The usage that a reply reports unless it is given another: four different numbers, none of them zero."""


@dataclass(frozen=True)
class Text:
    """A text block, sent word by word."""

    text: str

    def start(self) -> Json:
        return {"type": "text", "text": ""}

    def make_deltas(self) -> Iterator[Json]:
        for piece in re.findall(r"\s*\S+\s*", self.text) or [self.text]:
            yield {"type": "text_delta", "text": piece}

    def as_block(self) -> Json:
        return {"type": "text", "text": self.text}


@dataclass(frozen=True)
class Thinking:
    """A thinking block with the signature that proves it."""

    thinking: str
    signature: str = "c2lnbmF0dXJl"

    def start(self) -> Json:
        return {"type": "thinking", "thinking": "", "signature": ""}

    def make_deltas(self) -> Iterator[Json]:
        yield {"type": "thinking_delta", "thinking": self.thinking}
        yield {"type": "signature_delta", "signature": self.signature}

    def as_block(self) -> Json:
        return {"type": "thinking", "thinking": self.thinking, "signature": self.signature}


@dataclass(frozen=True)
class RedactedThinking:
    """A thinking block that came encrypted."""

    data: str = "cmVkYWN0ZWQ="

    def start(self) -> Json:
        return self.as_block()

    def make_deltas(self) -> Iterator[Json]:
        yield from ()

    def as_block(self) -> Json:
        return {"type": "redacted_thinking", "data": self.data}


@dataclass(frozen=True)
class ToolUse:
    """A call of one of the caller's tools."""

    name: str
    input: Mapping[str, Any] = field(default_factory=dict[str, Any])
    id: str = field(default_factory=lambda: f"toolu_{uuid.uuid4().hex[:22]}")

    def start(self) -> Json:
        return {"type": "tool_use", "id": self.id, "name": self.name, "input": {}}

    def make_deltas(self) -> Iterator[Json]:
        yield {"type": "input_json_delta", "partial_json": json.dumps(self.input)}

    def as_block(self) -> Json:
        return {"type": "tool_use", "id": self.id, "name": self.name, "input": dict(self.input)}


Block: TypeAlias = Text | Thinking | RedactedThinking | ToolUse


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One scripted message.

    Waits, all before anything else of their kind is sent: `first_after` seconds before the response's headers,
    `pace` seconds before every delta, and `hold` (until set) after `hold_after` deltas. After `cut_after` deltas,
    and after a `hold` at the same place, the connection is cut; `garbage` replaces the event stream with bytes that
    are not one.
    """

    content: Sequence[Block] = (Text("ok"),)
    stop_reason: str | None = None
    model: str | None = None
    usage: Json = field(default_factory=lambda: dict(RECORDED_USAGE))
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    first_after: float = 0.0
    pace: float = 0.0
    hold: anyio.Event | None = None
    hold_after: int = 0
    cut_after: int | None = None
    garbage: bytes | None = None

    def make_message(self, model: str) -> Json:
        """The whole message, as a request without `stream` gets it."""
        return {
            "id": f"msg_{uuid.uuid4().hex[:24]}",
            "type": "message",
            "role": "assistant",
            "model": self.model or model,
            "content": [block.as_block() for block in self.content],
            "stop_reason": self._stop_reason(),
            "stop_sequence": None,
            "usage": self.usage,
        }

    def make_events(self, model: str) -> Iterator[Json]:
        """The message as stream events, in the order of the Messages API."""
        opening: Json = {"content": [], "stop_reason": None, "usage": {**self.usage, "output_tokens": 1}}
        yield {"type": "message_start", "message": {**self.make_message(model), **opening}}
        for index, block in enumerate(self.content):
            yield {"type": "content_block_start", "index": index, "content_block": block.start()}
            for delta in block.make_deltas():
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": self._stop_reason(), "stop_sequence": None},
            "usage": {"output_tokens": self.usage["output_tokens"]},
        }
        yield {"type": "message_stop"}

    def _stop_reason(self) -> str:
        if self.stop_reason is not None:
            return self.stop_reason
        return "tool_use" if any(isinstance(block, ToolUse) for block in self.content) else "end_turn"


def echo(body: Json) -> Reply:
    """Answer with what the last user message said: the reply when nothing is scripted."""
    content = next(m["content"] for m in reversed(body["messages"]) if m["role"] == "user")
    blocks: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    said = " ".join(block["text"] for block in blocks if block.get("type") == "text")
    return Reply(content=(Text(f"This is the stand-in, not Claude. You said: {said[:2000]}"),))
