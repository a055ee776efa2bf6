"""A Messages API message, put together from its stream events.

In: stream events in order. Out: the whole message, the same that a request without streaming gets. It checks
nothing and knows nothing of where the events come from.
"""

import json

from claude_max_mcp.messages import Json

APPENDED = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
"""Deltas that extend a string, and the field of the block that they extend."""


class MessageBuilder:
    """Collects one message. `complete` turns true at its `message_stop`, and only after a stop reason."""

    def __init__(self) -> None:
        self.message: Json = {}
        self.complete = False
        self._partial_json: dict[int, str] = {}

    @property
    def text(self) -> str:
        """The text blocks, joined."""
        return "".join(block["text"] for block in self._blocks if block.get("type") == "text")

    @property
    def stop_reason(self) -> str | None:
        """Why it ended; None while it has not."""
        return self.message.get("stop_reason")

    @property
    def _blocks(self) -> list[Json]:
        return self.message.get("content", [])

    def add(self, event: Json) -> None:
        """Take in the next event."""
        match event["type"]:
            case "message_start":
                self.message = {**event["message"], "content": []}
            case "content_block_start":
                self._blocks.append(dict(event["content_block"]))
            case "content_block_delta":
                self._extend(event["index"], event["delta"])
            case "content_block_stop":
                self._close(event["index"])
            case "message_delta":
                self.message.update(event["delta"])
                self.message["usage"] = {**self.message.get("usage", {}), **event.get("usage", {})}
            case "message_stop":
                self.complete = self.stop_reason is not None
            case _:
                pass  # `ping`, and whatever a later API adds without changing the message

    def _extend(self, index: int, delta: Json) -> None:
        block = self._blocks[index]
        kind = delta["type"]
        if kind in APPENDED:
            name = APPENDED[kind]
            block[name] = block.get(name, "") + delta[name]
        elif kind == "input_json_delta":
            self._partial_json[index] = self._partial_json.get(index, "") + delta["partial_json"]
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]

    def _close(self, index: int) -> None:
        if partial := self._partial_json.pop(index, ""):
            self._blocks[index]["input"] = json.loads(partial)
