"""One run's stream events, folded into the one message that was asked for.

In: the raw events of everything that the CLI receives after one prompt. Out: the events that the caller is shown, and
the message that they make. One run may be several messages upstream, where the CLI runs tools of its own between them
(`StructuredOutput`, those that read the workspace) or asks again after a broken connection: the caller sees one. Of
the CLI's own tools there is no trace. With a schema the message's text is the JSON, once the CLI has accepted it. It
knows nothing of processes, and checks nothing.

Three things are followed at once, and only here:

1. the current message upstream: which blocks it began, and whether it has said anything yet;
2. where its blocks stand in the answer, which leaves some out and goes on counting from message to message;
3. what is held back: until a message says something, a retry may replace it, so nothing of it is shown.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from pydantic import JsonValue
from pydantic_core import from_json

from claude_max_mcp.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Delta,
    Event,
    MessageDelta,
    MessageEnd,
    MessageStart,
    MessageStop,
    TextDelta,
    Usage,
    is_known,
)
from claude_max_mcp.messages import Block, Json, TextBlock

STRUCTURED_OUTPUT = "StructuredOutput"
"""The CLI's tool for output that fits a schema; Claude calls it until its input fits."""

PlacedEvent = TypeVar("PlacedEvent", BlockStart, BlockDelta, BlockStop, BlockDelta | BlockStop)


class Fold:
    """Folds the events of one run.

    Args:
        cli_tools: the names of the tools that the CLI runs itself.
        structured: whether the answer is to fit a schema.
    """

    def __init__(self, cli_tools: frozenset[str] = frozenset(), *, structured: bool = False) -> None:
        self.message: Json = {}
        """The answer, as far as the caller has been shown it."""
        self.complete = False
        """Whether the answer is whole: its `message_stop` was shown, after a stop reason."""
        self._cli_tools = cli_tools
        self._structured = structured
        self._partial_json: dict[int, str] = {}
        # The current message upstream.
        self.begun: list[Block] = []
        """The blocks of the current message upstream, as they began."""
        self.partly_shown = False
        """Whether the caller has been shown a part of the current message, so that it cannot begin anew."""
        self._places: dict[int, int] = {}  # index upstream: index in the answer
        self._speaks = False
        self._closing: MessageDelta | None = None  # its end
        # The answer.
        self._count = 0  # blocks shown
        self._count_before = 0  # the same, before the current message
        self._usage: Json = {}  # of the current message
        self._usage_before: Json = {}  # of all messages before it
        self._held: list[Event] = []

    def __repr__(self) -> str:
        state = "complete" if self.complete else "partly shown" if self.partly_shown else "open"
        return f"<Fold {state} blocks={self._count} held={len(self._held)}>"

    @property
    def stop_reason(self) -> str | None:
        """Why the answer ended; None while it has not."""
        return self.message.get("stop_reason")

    @property
    def text(self) -> str:
        """The answer's text blocks, joined."""
        return "".join(block["text"] for block in self.message.get("content", []) if block.get("type") == "text")

    def add(self, event: Event) -> list[Event]:
        """Take in the next event; the events that the caller is shown now."""
        return self._show(self._translate(event))

    def conclude(self, output: Any) -> list[Event]:
        """End the answer with output that fits the schema; the events that the caller is shown now."""
        index, text = self._count, json.dumps(output, ensure_ascii=False)
        end = MessageEnd(stop_reason="end_turn", stop_sequence=None)
        return self._show(
            [
                BlockStart(type="content_block_start", index=index, content_block=TextBlock(type="text", text="")),
                BlockDelta(type="content_block_delta", index=index, delta=TextDelta(type="text_delta", text=text)),
                BlockStop(type="content_block_stop", index=index),
                MessageDelta(type="message_delta", delta=end, usage=cast("Usage", self._total_usage)),
                MessageStop(type="message_stop"),
            ]
        )

    def _translate(self, event: Event) -> Sequence[Event]:
        """An event upstream as events of the answer."""
        if not is_known(event):
            return [event]
        match event["type"]:
            case "message_start":
                return self._start_message(event)
            case "content_block_start":
                return self._start_block(event)
            case "content_block_delta" | "content_block_stop":
                place = self._places.get(event["index"])
                return [] if place is None else [_move(event, place)]
            case "message_delta":
                return self._close_message(event)
            case "message_stop":
                return [event] if self._ends_answer() else []
            case "ping" | "error":
                return [event]

    def _start_message(self, event: MessageStart) -> list[MessageStart]:
        if self.partly_shown:
            raise ValueError("a message began in the middle of another one")
        if self._closing:  # else the message before broke off without a word, and this one replaces it
            self._count_before, self._usage_before = self._count, self._total_usage
        self._count, self._usage = self._count_before, _update({}, event["message"].get("usage"))
        self.begun, self._places, self._closing = [], {}, None
        self._speaks = self.partly_shown = False
        self._held.clear()
        return [] if self.message else [event]

    def _start_block(self, event: BlockStart) -> list[BlockStart]:
        block = event["content_block"]
        self.begun.append(block)
        if (self._structured and block["type"] == "text") or block.get("name") in self._cli_tools:
            return []
        place = self._places[event["index"]] = self._count
        self._count += 1
        return [_move(event, place)]

    def _close_message(self, event: MessageDelta) -> list[MessageDelta]:
        self._usage = _update(self._usage, event.get("usage"))
        self.partly_shown = False
        several = bool(self._usage_before)
        self._closing = closing = cast("MessageDelta", {**event, "usage": self._total_usage}) if several else event
        return [closing] if self._ends_answer() else []

    def _ends_answer(self) -> bool:
        """Whether the current message ends the answer, too; if not, the CLI goes on by a message of its own."""
        reason = self._closing["delta"].get("stop_reason") if self._closing else None
        if reason == "tool_use":
            called = [block.get("name") for block in self.begun if block["type"] == "tool_use"]
            return not called or not self._cli_tools.issuperset(called)
        return reason is not None and not (self._structured and reason == "end_turn")

    @property
    def _total_usage(self) -> Json:
        return _sum(self._usage_before, self._usage)

    def _show(self, events: Sequence[Event]) -> list[Event]:
        """Hold events back until the current message says something; then show all that was held."""
        self._held += events
        # A message that is closed with a block, and says nothing in it, cannot be replaced either.
        if not self._speaks and (any(map(_speaks, events)) or (self._closing and self._count > self._count_before)):
            self._speaks = True
            self.partly_shown = self._closing is None
        if not self._speaks:
            return []
        shown, self._held = self._held, []
        for event in shown:
            self._collect(event)
        return shown

    def _collect(self, event: Event) -> None:
        """Add an event that is shown to the message."""
        if not is_known(event):
            return
        match event["type"]:
            case "message_start":
                self.message = {**event["message"], "content": []}
            case "content_block_start":
                self.message["content"].append(dict(event["content_block"]))
            case "content_block_delta":
                self._extend(event["index"], event["delta"])
            case "content_block_stop":
                self._close_block(event["index"])
            case "message_delta":
                self.message.update(event["delta"])
                self.message["usage"] = _update(self.message.get("usage"), event.get("usage"))
            case "message_stop":
                self.complete = True
            case "ping" | "error":
                pass

    def _extend(self, index: int, delta: Delta) -> None:
        block: Json = self.message["content"][index]
        match delta["type"]:
            case "text_delta":
                block["text"] = block.get("text", "") + delta["text"]
            case "thinking_delta":
                block["thinking"] = block.get("thinking", "") + delta["thinking"]
            case "signature_delta":
                block["signature"] = block.get("signature", "") + delta["signature"]
            case "input_json_delta":
                self._partial_json[index] = self._partial_json.get(index, "") + delta["partial_json"]
            case "citations_delta":
                block["citations"] = [*(block.get("citations") or []), delta["citation"]]
            case _:  # pyright: ignore[reportUnnecessaryComparison]
                pass  # of a later API

    def _close_block(self, index: int) -> None:
        if partial := self._partial_json.pop(index, ""):
            # Cut short by `max_tokens` the arguments are not whole: what came of them is kept, as the API itself does.
            self.message["content"][index]["input"] = from_json(partial, allow_partial=True)


def _move(event: PlacedEvent, index: int) -> PlacedEvent:
    """The event of a block, at another place."""
    return event if event["index"] == index else cast("PlacedEvent", {**event, "index": index})


def _speaks(event: Event) -> bool:
    """Whether an event is something that a retry could not take back."""
    if is_known(event) and event["type"] == "content_block_start":
        return event["content_block"]["type"] == "redacted_thinking"  # it comes whole, without deltas
    return event["type"] in ("content_block_delta", "message_delta")


def _update(usage: Mapping[str, object] | None, later: Mapping[str, object] | None) -> Json:
    """What is known of a message's usage after a later event of it; nulls say nothing."""
    return {**(usage or {}), **{name: value for name, value in (later or {}).items() if value is not None}}


def _sum(first: dict[str, JsonValue], second: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The usage of two messages: counts added up, also those within counts, and else what the second one says."""
    total = {**first, **second}
    for name in first.keys() & second.keys():
        match first[name], second[name]:
            case dict(before), dict(now):
                total[name] = _sum(before, now)
            case int(before), int(now):
                total[name] = before + now
            case _:
                pass
    return total
