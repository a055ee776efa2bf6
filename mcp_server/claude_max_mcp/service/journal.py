"""What became of the latest requests, in numbers: for the page, the metrics, the logs. Never a prompt or an answer.

In: each request as it ends. Out: an `Entry` of it, kept for a while and handed to whoever listens.
"""

import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from claude_max_mcp.events import Event
from claude_max_mcp.results import AskResult

KEPT = 100
"""Requests that are remembered."""


class Entry(BaseModel):
    """One request that has ended."""

    model_config = ConfigDict(frozen=True)

    request_id: str
    """The one that the caller got too."""
    at: float
    """When it came, in seconds since 1970."""
    model: str | None
    """The model that answered, or else the one that was asked for."""
    outcome: str
    """`answered`, or the code of the error."""
    duration_ms: int
    first_text_ms: int | None
    """Until the first piece of the answer."""
    input_tokens: int = 0
    """All of them, also those from and for the cache."""
    output_tokens: int = 0


Listener = Callable[[Entry], None]


def make_request_id() -> str:
    """An id for a request."""
    return uuid.uuid4().hex[:12]


@dataclass(eq=False)
class Observed:
    """A request while it runs; `see` is told of its events."""

    model: str | None
    request_id: str = field(default_factory=make_request_id)
    at: float = field(default_factory=time.time)
    _began: float = field(default_factory=time.monotonic)
    _first: float | None = None

    def see(self, event: Event) -> None:
        """Note when the first piece of the answer comes."""
        if self._first is None and event["type"] == "content_block_delta":
            self._first = time.monotonic()

    def finish(self, result: AskResult) -> Entry:
        """What became of it."""
        usage = result.usage or {}
        read = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        return Entry(
            request_id=self.request_id,
            at=self.at,
            model=result.model or self.model,
            outcome=result.error.code if result.error else "answered",
            duration_ms=round((time.monotonic() - self._began) * 1000),
            first_text_ms=None if self._first is None else round((self._first - self._began) * 1000),
            input_tokens=sum(usage.get(name) or 0 for name in read),
            output_tokens=usage.get("output_tokens") or 0,
        )


class Journal:
    """The latest requests, newest last."""

    def __init__(self, kept: int = KEPT) -> None:
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._listeners: list[Listener] = []

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries)

    def listen(self, listener: Listener) -> None:
        """Call `listener` with each request that ends from now on."""
        self._listeners.append(listener)

    def add(self, entry: Entry) -> None:
        """Remember a request, and tell the listeners."""
        self._entries.append(entry)
        for listener in self._listeners:
            listener(entry)
