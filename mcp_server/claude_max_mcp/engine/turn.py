"""One answer, read from a worker.

In: what the CLI says after a user message. Out: the Messages API's stream events as they come, then the whole
message with what was learned beside it. One request is one message: where the CLI would go on by itself (after
`max_tokens`, a refusal or an empty answer it sends a prompt of its own), the turn ends and so does the process.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from claude_max_mcp.claude.process import Worker
from claude_max_mcp.claude.protocol import (
    AssistantMessage,
    RateLimitEvent,
    RateLimitInfo,
    Result,
    StreamEvent,
    System,
)
from claude_max_mcp.engine.cli_errors import classify_failure
from claude_max_mcp.engine.merging import MergedEvents
from claude_max_mcp.engine.message import MessageBuilder
from claude_max_mcp.errors import UpstreamError
from claude_max_mcp.messages import Json

OnEvent: TypeAlias = Callable[[Json], None]
"""Called with each raw stream event, and with `{"type": "retry", …}` notices; it must not block."""


@dataclass(frozen=True)
class Answer:
    """A whole message and what came with it."""

    message: Json
    text: str
    limits: RateLimitInfo | None
    structured_output: Any = None
    settled: bool = False
    """Whether the process waits, for another message or for tool results, and can go on."""


class Turn:
    """Reads one answer; `read` is called once.

    Args:
        worker: the process that answers.
        on_event: gets the events.
        own: the names of the tools that the CLI runs itself, going on by further messages.
        structured: whether the answer is to fit a schema.
    """

    def __init__(
        self, worker: Worker, on_event: OnEvent, *, own: frozenset[str] = frozenset(), structured: bool = False
    ) -> None:
        self._worker = worker
        self._own = own
        self._structured = structured
        self._merged = MergedEvents(own, structured=structured) if own else None
        self._on_event = on_event
        self._builder = MessageBuilder()
        self._held: list[Json] = []
        self._blocks: list[Json] = []  # of the current message, as they began
        self._tripped = False
        worker.tripwire = self._trips
        self._shown = False  # something of the current message
        self._midway = False  # it has not ended
        self._limits: RateLimitInfo | None = None
        self._said: AssistantMessage | None = None

    async def read(self) -> Answer:
        """Read until the message is whole.

        Raises:
            ClaudeMaxError: the run failed; the class says whose fault it is.
        """
        async for message in self._worker.messages():
            match message:
                case StreamEvent(event=event):
                    self._follow(event)
                    for shown in self._merged.translate(event) if self._merged else [event]:
                        self._take(shown)
                    if event["type"] == "message_stop" and self._builder.complete:
                        if self._tripped:
                            return self._answer()
                        if self._is_parked():
                            return self._answer(settled=True)
                case RateLimitEvent(rate_limit_info=limits):
                    self._limits = limits
                case AssistantMessage() as said:
                    self._said = said
                case System(subtype="api_retry") as retry:
                    self._retrying(retry)
                case Result() as result:
                    return self._concluded(result)
                case _:
                    pass
        if self._tripped and self._builder.stop_reason is not None:
            self._take({"type": "message_stop"})  # the process was killed before it could say so itself
            return self._answer()
        raise self._worker.failure()

    def _trips(self, event: Json) -> bool:
        """Whether the CLI would now go on by itself, and must not.

        It does after `max_tokens`, a refusal, an answer without text and a call of a tool that nobody offered: with
        a prompt of its own, some ten milliseconds later. So this is asked as early as can be, while the line is read.
        """
        match event:
            case {"type": "message_start"}:
                self._blocks = []
            case {"type": "content_block_start", "content_block": block}:
                self._blocks.append(block)
            case {"type": "message_delta", "delta": {"stop_reason": str(reason)}}:
                self._tripped = self._must_end(reason)
            case _:
                pass
        return self._tripped

    def _must_end(self, reason: str) -> bool:
        if reason == "tool_use":
            called = {block["name"] for block in self._blocks if block["type"] == "tool_use"}
            return not called <= self._worker.tools.names | self._own
        if reason == "end_turn":  # without a word; with a schema the CLI is to insist on an answer
            return not self._structured and not any(block["type"] == "text" for block in self._blocks)
        return True

    def _follow(self, event: Json) -> None:
        """Where a message begins, or begins anew, what was held back of it is forgotten."""
        if event["type"] == "message_start":
            self._held = [held for held in self._held if self._merged and held["type"] == "message_start"]
            self._shown, self._midway = False, True
        elif event["type"] == "message_delta":
            self._midway = False

    def _take(self, event: Json) -> None:
        """Pass an event on. Until the message says something its events are held back: a retry may replace it."""
        self._held.append(event)
        self._shown = self._shown or _says_something(event)
        if self._shown:
            for held in self._held:
                self._pass_on(held)
            self._held = []

    def _pass_on(self, event: Json) -> None:
        self._builder.add(event)
        if event["type"] != "message_stop" or self._builder.complete:  # else the CLI's own, after a broken connection
            self._on_event(event)

    def _retrying(self, retry: System) -> None:
        if self._shown and self._midway:
            raise UpstreamError(
                "overloaded",
                "Anthropic cut the answer short and it cannot be resumed. Send the request again.",
            )
        self._on_event(_notice(retry))

    def _is_parked(self) -> bool:
        """Whether the CLI now waits for the results of the caller's tools, and for nothing else."""
        called = [block["name"] for block in self._builder.message["content"] if block["type"] == "tool_use"]
        return bool(called) and self._worker.tools.names >= set(called)

    def _conclude_structured(self, events: MergedEvents, result: Result) -> None:
        if result.structured_output is None:
            raise UpstreamError(
                "empty_answer", "Claude gave no output that fits the schema. Ask again, or simplify it."
            )
        for event in events.conclude(result.structured_output):
            self._take(event)

    def _concluded(self, result: Result) -> Answer:
        if self._structured and self._merged and not result.is_error and not self._builder.complete:
            self._conclude_structured(self._merged, result)
        if not self._builder.complete:
            request_id = self._said.request_id if self._said else None
            raise classify_failure(result, self._said, self._limits, request_id)
        return self._answer(result.structured_output, settled=not result.is_error)

    def _answer(self, structured_output: Any = None, *, settled: bool = False) -> Answer:
        return Answer(
            message=self._builder.message,
            text=self._builder.text,
            limits=self._limits,
            structured_output=structured_output,
            settled=settled,
        )


def _says_something(event: Json) -> bool:
    if event["type"] == "content_block_start":
        return event["content_block"]["type"] == "redacted_thinking"  # it comes whole, without deltas
    return event["type"] in ("content_block_delta", "message_delta")


def _notice(retry: System) -> Json:
    return {
        "type": "retry",
        "attempt": retry.attempt,
        "max_retries": retry.max_retries,
        "delay_ms": round(retry.retry_delay_ms),
        "error": retry.error,
        "status": retry.error_status,
    }
