"""Structured output, as the Messages API gives it: the JSON as text.

In: the stream events of a run in which the CLI lets Claude call its tool `StructuredOutput` until the input fits the
schema. Out: the events of one message: thinking and calls of the caller's tools as they come, then, once the CLI has
accepted the output, its JSON as one text block. What Claude says beside it is left out: it is no part of the output.
"""

import json
from typing import Any

from claude_max_mcp.protocol import Json

TOOL = "StructuredOutput"
"""The CLI's tool for it."""


class StructuredEvents:
    """Translates the events of one run; a run may hold several messages, the caller sees one."""

    def __init__(self) -> None:
        self._started = False
        self._count = 0  # blocks that the caller has been shown
        self._shown: dict[int, int] = {}  # index upstream: index shown
        self._called = False  # the current message calls one of the caller's tools
        self._spent: Json = {}  # by the messages before the current one
        self._usage: Json = {}
        self._closing: Json = {}

    def translate(self, event: Json) -> list[Json]:
        """What the caller is shown of an event."""
        match event["type"]:
            case "message_start":
                self._shown, self._called, self._closing = {}, False, {}
                self._spent = self._usage
                self._spend(event["message"].get("usage", {}))
                started, self._started = self._started, True
                return [] if started else [event]
            case "content_block_start":
                return self._begin(event)
            case "content_block_delta" | "content_block_stop":
                index = self._shown.get(event["index"])
                return [] if index is None else [{**event, "index": index}]
            case "message_delta":
                self._spend(event.get("usage", {}))
                self._closing = {**event, "usage": self._usage}
                return [self._closing] if self._ends(event) else []
            case "message_stop":
                return [event] if self._ends(self._closing) else []
            case _:
                return [event]

    def conclude(self, output: Any) -> list[Json]:
        """The end of the message, once the output is known to fit."""
        index, text = self._count, json.dumps(output, ensure_ascii=False)
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        return [
            {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}},
            {"type": "content_block_stop", "index": index},
            {"type": "message_delta", "delta": delta, "usage": self._usage},
            {"type": "message_stop"},
        ]

    def _begin(self, event: Json) -> list[Json]:
        block = event["content_block"]
        if block["type"] == "text" or block.get("name") == TOOL:
            return []
        self._called = self._called or block["type"] == "tool_use"
        self._shown[event["index"]] = self._count
        self._count += 1
        return [{**event, "index": self._shown[event["index"]]}]

    def _ends(self, closing: Json) -> bool:
        """Whether the message ends here for the caller: it calls a tool, or Claude stopped short."""
        reason = closing.get("delta", {}).get("stop_reason")
        return self._called if reason == "tool_use" else reason not in (None, "end_turn")

    def _spend(self, usage: Json) -> None:
        """Take in the usage of the current message, on top of that of the messages before it."""
        for name, value in usage.items():
            earlier = self._spent.get(name)
            if isinstance(value, int) and isinstance(earlier, int):
                self._usage = {**self._usage, name: value + earlier}
            else:
                self._usage = {**self._usage, name: value}
