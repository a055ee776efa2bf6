"""Several messages of one run, as the one message that the caller asked for.

In: the stream events of a run in which the CLI runs tools of its own between messages: `StructuredOutput`, which Claude
calls until its input fits the schema, and those that read the workspace. Out: the events of one message: thinking, text
and calls of the caller's tools as they come, the usage of all, and no trace of the CLI's own tools. With a schema the
message's text is the JSON, once the CLI has accepted it; what Claude says beside it is no part of the output.
"""

import json
from typing import Any

from claude_max_mcp.messages import Json

STRUCTURED_OUTPUT = "StructuredOutput"
"""The CLI's tool for output that fits a schema."""


class MergedEvents:
    """Translates the events of one run.

    Args:
        own: the names of the tools that the CLI runs itself.
        structured: whether the answer is to fit a schema.
    """

    def __init__(self, own: frozenset[str], *, structured: bool) -> None:
        self._own = own
        self._structured = structured
        self._started = False
        self._count = 0  # blocks that the caller has been shown
        self._before = 0  # the same, before the current message
        self._shown: dict[int, int] = {}  # index upstream: index shown
        self._called = False  # the current message calls one of the caller's tools
        self._spent: Json = {}  # by the messages before the current one
        self._usage: Json = {}
        self._closing: Json = {}

    def translate(self, event: Json) -> list[Json]:
        """What the caller is shown of an event."""
        match event["type"]:
            case "message_start":
                return self._start(event)
            case "content_block_start":
                return self._begin(event)
            case "content_block_delta" | "content_block_stop":
                index = self._shown.get(event["index"])
                return [] if index is None else [{**event, "index": index}]
            case "message_delta":
                self._spend(event.get("usage", {}))
                self._before = self._count
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

    def _start(self, event: Json) -> list[Json]:
        self._count = self._before  # a message that broke off before it said anything is begun again
        self._shown, self._called, self._closing = {}, False, {}
        self._spent = self._usage
        self._spend(event["message"].get("usage", {}))
        started, self._started = self._started, True
        return [] if started else [event]

    def _begin(self, event: Json) -> list[Json]:
        block = event["content_block"]
        if (self._structured and block["type"] == "text") or block.get("name") in self._own:
            return []
        self._called = self._called or block["type"] == "tool_use"
        self._shown[event["index"]] = self._count
        self._count += 1
        return [{**event, "index": self._shown[event["index"]]}]

    def _ends(self, closing: Json) -> bool:
        """Whether the message ends here for the caller: it calls a tool, or Claude has finished or stopped short."""
        reason = closing.get("delta", {}).get("stop_reason")
        if reason == "tool_use":
            return self._called
        return reason is not None and not (self._structured and reason == "end_turn")

    def _spend(self, usage: Json) -> None:
        """Take in the usage of the current message, on top of that of the messages before it."""
        for name, value in usage.items():
            earlier = self._spent.get(name)
            if isinstance(value, int) and isinstance(earlier, int):
                self._usage = {**self._usage, name: value + earlier}
            else:
                self._usage = {**self._usage, name: value}
