"""Generated runs: what the CLI receives after one prompt, and the message that the caller is to get of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, TypeAlias

from hypothesis import strategies as st

from claude_max_mcp.engine.fold import STRUCTURED_OUTPUT
from claude_max_mcp.standin import RedactedThinking, Reply, Text, Thinking, ToolUse
from tests.properties.values import OBJECTS, TEXTS, Json

Block: TypeAlias = Text | Thinking | RedactedThinking | ToolUse

READ = "Read"
CALLER_TOOLS = ("look", "ask")
PING: Json = {"type": "ping"}


@dataclass(frozen=True)
class Kind:
    """What a run was asked for."""

    cli_tools: frozenset[str]
    structured: bool

    def shows(self, block: Block) -> bool:
        """Whether the caller sees a block."""
        if isinstance(block, ToolUse):
            return block.name not in self.cli_tools
        return not (self.structured and isinstance(block, Text))


PLAIN = Kind(frozenset(), structured=False)
READING = Kind(frozenset({READ}), structured=False)
STRUCTURED = Kind(frozenset({READ, STRUCTURED_OUTPUT}), structured=True)


@dataclass(frozen=True)
class Upstream:
    """One message upstream: as a whole, its usage, and as it comes, after others that broke off without a word."""

    whole: Json
    blocks: Sequence[Block]
    usage: Json
    events: list[Json]


@dataclass(frozen=True)
class Run:
    """Messages upstream of which the caller sees one; `output` is what the CLI accepts as fitting the schema."""

    kind: Kind
    messages: list[Upstream]
    output: Any = None

    @property
    def events(self) -> list[Any]:
        """All that comes from upstream."""
        return [event for message in self.messages for event in message.events]

    @property
    def concludes(self) -> bool:
        """Whether the answer ends with the output, and not with a message."""
        return self.kind.structured and not _ends(self.kind, self.messages[-1])

    @property
    def message(self) -> Json:
        """The message that the caller is to get, but for its usage."""
        shown = [[block for block in m.blocks if self.kind.shows(block)] for m in self.messages]
        content = [block.as_block() for blocks in shown for block in blocks]
        first = next((m for m, blocks in zip(self.messages, shown, strict=True) if blocks), self.messages[-1])
        whole: Json = {**first.whole, "stop_reason": self.messages[-1].whole["stop_reason"]}
        if self.concludes:
            content.append({"type": "text", "text": json.dumps(self.output, ensure_ascii=False)})
            whole["stop_reason"] = "end_turn"
        return {**whole, "content": content}


def _ends(kind: Kind, message: Upstream) -> bool:
    reason = message.whole["stop_reason"]
    if reason == "tool_use":
        return any(isinstance(block, ToolUse) and kind.shows(block) for block in message.blocks)
    return not (kind.structured and reason == "end_turn")


CALLS = st.builds(
    ToolUse, st.sampled_from(CALLER_TOOLS), OBJECTS, st.integers(0, 10**6).map("toolu_{}".format)
)  # fmt: skip
SPOKEN = st.builds(Text, TEXTS) | st.builds(Thinking, TEXTS, TEXTS) | st.builds(RedactedThinking, TEXTS)


def cli_calls(kind: Kind) -> st.SearchStrategy[ToolUse]:
    """Calls of the tools that the CLI runs."""
    return st.builds(ToolUse, st.sampled_from(sorted(kind.cli_tools)), OBJECTS, st.just("toolu_cli"))


COUNTS = st.integers(0, 99) | st.none()
USAGES: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {"output_tokens": st.integers(0, 99)},
    optional={
        "input_tokens": st.integers(0, 99),
        "cache_read_input_tokens": COUNTS,
        "cache_creation": st.fixed_dictionaries({"ephemeral_5m_input_tokens": st.integers(0, 99)}),
        "service_tier": st.sampled_from(["standard", "priority"]),
    },
)


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """A text cut at any places; some of the pieces may be empty, and there may be none of an empty one."""
    if not text and draw(st.booleans()):
        return []
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def block_events(draw: st.DrawFn, block: Block, index: int) -> list[Json]:
    """The events of one block."""
    events: list[Json] = [{"type": "content_block_start", "index": index, "content_block": block.start()}]
    for delta in block.make_deltas():
        (name,) = delta.keys() - {"type"}
        if block == ToolUse(READ, {}, "toolu_cli"):
            continue
        if isinstance(block, ToolUse):
            delta[name] = json.dumps(block.input, ensure_ascii=draw(st.booleans()))
        events += [
            {"type": "content_block_delta", "index": index, "delta": {**delta, name: piece}}
            for piece in draw(pieces(delta[name]))
        ]
    return [*events, {"type": "content_block_stop", "index": index}]


@st.composite
def messages(draw: st.DrawFn, number: int, blocks: Sequence[Block], stop_reason: str) -> Upstream:
    """A message upstream that says these blocks."""
    before, after = draw(USAGES), draw(USAGES)
    whole = {**Reply(content=blocks, stop_reason=stop_reason).make_message("model"), "id": f"msg_{number}"}
    start: Json = {**whole, "content": [], "stop_reason": None, "usage": before}
    end = {"stop_reason": stop_reason, "stop_sequence": None}
    events: list[Json] = [
        {"type": "message_start", "message": start},
        *(event for index, block in enumerate(blocks) for event in draw(block_events(block, index))),
        {"type": "message_delta", "delta": end, "usage": after},
        {"type": "message_stop"},
    ]
    if draw(st.booleans()):
        events.insert(draw(st.integers(1, len(events))), PING)
    usage = {**before, **{name: value for name, value in after.items() if value is not None}}
    return Upstream(whole, blocks, usage, events)


@st.composite
def broken_messages(draw: st.DrawFn, kind: Kind) -> list[Json]:
    """Events of a message that breaks off before it has said anything that the caller would see."""
    blocks = draw(st.lists(SPOKEN | CALLS | cli_calls(kind) if kind.cli_tools else SPOKEN | CALLS, max_size=2))
    events = draw(messages(99, blocks, "end_turn")).events
    seen = {index for index, block in enumerate(blocks) if kind.shows(block)}
    silent = list(takewhile(lambda event: not _speaks(event, seen), events))
    return silent[: draw(st.integers(0, len(silent)))]


def _speaks(event: Json, seen: set[int]) -> bool:
    if event["type"] == "content_block_start":
        return event["content_block"]["type"] == "redacted_thinking" and event["index"] in seen
    return event["type"] == "message_delta" or (event["type"] == "content_block_delta" and event["index"] in seen)


@st.composite
def runs(draw: st.DrawFn, kinds: Sequence[Kind] = (PLAIN, READING, STRUCTURED)) -> Run:
    """Everything that can come from upstream after one prompt."""
    kind = draw(st.sampled_from(kinds))
    made: list[Upstream] = []
    for _ in range(draw(st.integers(0, 2)) if kind.cli_tools else 0):
        made.append(draw(_preceded(kind, draw(_going_on(len(made), kind)))))
    made.append(draw(_preceded(kind, draw(_last(len(made), kind)))))
    return Run(kind, made, draw(OBJECTS))


@st.composite
def _preceded(draw: st.DrawFn, kind: Kind, message: Upstream) -> Upstream:
    lost = [event for events in draw(st.lists(broken_messages(kind), max_size=2)) for event in events]
    return replace(message, events=[*lost, *message.events])


@st.composite
def _going_on(draw: st.DrawFn, number: int, kind: Kind) -> Upstream:
    """A message after which the CLI goes on: it calls the CLI's own tools, or lacks what fits the schema."""
    if kind.structured and draw(st.booleans()):
        return draw(messages(number, draw(st.lists(SPOKEN, max_size=3)), "end_turn"))
    blocks = [*draw(st.lists(SPOKEN | cli_calls(kind), max_size=2)), draw(cli_calls(kind))]
    return draw(messages(number, draw(st.permutations(blocks)), "tool_use"))


@st.composite
def _last(draw: st.DrawFn, number: int, kind: Kind) -> Upstream:
    """A message with which the run ends."""
    if kind.structured and draw(st.booleans()):
        return draw(_going_on(number, kind))
    spoken = draw(st.lists(SPOKEN | cli_calls(kind) if kind.cli_tools else SPOKEN, max_size=3))
    calls = draw(st.lists(CALLS, max_size=2))
    reasons = ["max_tokens", "refusal", "pause_turn"]
    if calls:
        reasons.insert(0, "tool_use")
    elif not (kind.structured or any(isinstance(block, ToolUse) for block in spoken)):
        reasons = ["end_turn", "stop_sequence", *reasons]
    blocks = draw(st.permutations([*spoken, *calls]))
    return draw(messages(number, blocks, draw(st.sampled_from(reasons))))
