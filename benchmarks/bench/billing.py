"""What Anthropic would bill for requests, by its published rules for prompt caching; with a clock that is turned.

In: request bodies as they arrive. Out: the usage of each, as the Messages API reports it, and what it costs in plain
input tokens. A token is four characters here. Rules: https://platform.claude.com/docs/en/build-with-claude/prompt-caching
(read on 2026-11-25). What a request is for is not known here.

A prefix is tools, then system, then messages, by blocks. A breakpoint (`cache_control`) writes the prefix that ends
there, and reads the longest one that is known, at most 20 blocks before it. Reading refreshes an entry.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

CHARACTERS = 4
"""Characters of a token."""

LEAST = 1024
"""Tokens that a prefix must have to be cached, with Sonnet."""

LOOKED_BACK = 20
"""Blocks before a breakpoint at which an earlier prefix is looked for."""

SECONDS = {"5m": 300.0, "1h": 3600.0}
"""How long an entry lives after it was written or read."""

WRITE = {"5m": 1.25, "1h": 2.0}
READ = 0.1
"""What a token costs, against one of plain input."""

BILLING_LINE = "x-anthropic-billing-header"
"""How the CLI's own line for billing begins; Anthropic takes it off before anything is cached."""


@dataclass(frozen=True)
class Block:
    """One block of a request: what it is, how long, and the breakpoint behind it, if there is one."""

    digest: str
    tokens: int
    ttl: str | None


@dataclass(frozen=True)
class Bill:
    """What one request takes, in tokens."""

    plain: int = 0
    read: int = 0
    written: Mapping[str, int] = field(default_factory=lambda: {"5m": 0, "1h": 0})

    @property
    def cost(self) -> float:
        """In tokens of plain input."""
        return self.plain + READ * self.read + sum(WRITE[ttl] * tokens for ttl, tokens in self.written.items())

    @property
    def usage(self) -> Json:
        """As the Messages API reports it."""
        return {
            "input_tokens": self.plain,
            "cache_read_input_tokens": self.read,
            "cache_creation_input_tokens": sum(self.written.values()),
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.written["5m"],
                "ephemeral_1h_input_tokens": self.written["1h"],
            },
            "output_tokens": 100,
        }


class Biller:
    """Bills requests, and remembers what is cached."""

    def __init__(self) -> None:
        self.now = 0.0
        self.bills: list[Bill] = []
        self._entries: dict[str, tuple[float, float]] = {}  # by prefix: until when, and for how long anew

    @property
    def cost(self) -> float:
        """All requests together."""
        return sum(bill.cost for bill in self.bills)

    def bill(self, body: Json) -> Bill:
        """Bill one request."""
        blocks = list(_list_blocks(body))
        prefixes = list(_chain(body["model"], blocks))
        marks = [at for at, block in enumerate(blocks) if block.ttl is not None]
        assert len(marks) <= 4, "a request may have four breakpoints"
        if automatic := _find_ttl(body):
            blocks[-1] = Block(blocks[-1].digest, blocks[-1].tokens, automatic)
            marks = sorted({*marks, len(blocks) - 1})
        totals = [sum(block.tokens for block in blocks[: at + 1]) for at in range(len(blocks))]
        hit = max((at for mark in marks for at in self._find_hits(prefixes, mark)), default=-1)
        read, billed, written = (totals[hit] if hit >= 0 else 0), hit, {"5m": 0, "1h": 0}
        if hit >= 0:
            self._keep(prefixes[hit], self._entries[prefixes[hit]][1])
        for mark in marks:
            ttl = blocks[mark].ttl
            if ttl is None or totals[mark] < LEAST:
                continue
            self._keep(prefixes[mark], SECONDS[ttl])
            if mark > billed:
                written[ttl] += totals[mark] - (totals[billed] if billed >= 0 else 0)
                billed = mark
        plain = totals[-1] - (totals[billed] if billed >= 0 else 0)
        self.bills.append(bill := Bill(plain, read, written))
        return bill

    def _find_hits(self, prefixes: list[str], mark: int) -> Iterator[int]:
        for at in range(mark, max(-1, mark - LOOKED_BACK - 1), -1):
            until, _ = self._entries.get(prefixes[at], (-1.0, 0.0))
            if until >= self.now:
                yield at
                return

    def _keep(self, prefix: str, seconds: float) -> None:
        self._entries[prefix] = (self.now + seconds, seconds)


def _list_blocks(body: Json) -> Iterator[Block]:
    tools: list[Json] = body.get("tools") or []
    for tool in tools:
        yield _make_block("tool", tool)
    for block in _as_blocks(body.get("system") or []):
        if not str(block.get("text")).startswith(BILLING_LINE):
            yield _make_block("system", block)
    for message in body["messages"]:
        for block in _as_blocks(message["content"]):
            yield _make_block(message["role"], block)


def _as_blocks(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _make_block(place: str, block: Json) -> Block:
    bare = {name: value for name, value in block.items() if name != "cache_control"}
    if isinstance(bare.get("content"), str):  # of a tool's result; a single text may be written either way
        bare["content"] = _as_blocks(bare["content"])
    text = json.dumps([place, bare], sort_keys=True)
    length = len(block["text"]) if block.get("type") == "text" else len(json.dumps(bare))
    return Block(hashlib.sha256(text.encode()).hexdigest(), -(-length // CHARACTERS), _find_ttl(block))


def _find_ttl(block: Json) -> str | None:
    mark = block.get("cache_control")
    return mark.get("ttl", "5m") if mark else None


def _chain(model: str, blocks: list[Block]) -> Iterator[str]:
    """What names the prefix up to each block."""
    state = hashlib.sha256(model.encode())
    for block in blocks:
        state.update(block.digest.encode())
        yield state.hexdigest()
