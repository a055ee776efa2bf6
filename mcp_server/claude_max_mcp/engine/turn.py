"""One answer, made from what the CLI says after a user message.

In: the CLI's messages, as they are read. Out: the Messages API's stream events as they come, then the whole message
with what was learned beside it. One request is one message: where the CLI would go on by itself (after `max_tokens`, a
refusal or an empty answer it sends a prompt of its own), the turn ends and so does the process.

A turn exists before its prompt is said, and lives in two tasks. The one that reads the process calls `hear`, which
decides everything and never waits; the one that asked waits in `wait`. So the decision to end a process falls in the
moment in which the line is read: the CLI would go on some ten milliseconds later.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import anyio

from claude_max_mcp.claude.protocol import (
    AssistantMessage,
    Output,
    RateLimitEvent,
    RateLimitInfo,
    Result,
    StreamEvent,
    System,
)
from claude_max_mcp.engine.cli_errors import classify_failure
from claude_max_mcp.engine.fold import Fold
from claude_max_mcp.errors import UpstreamError
from claude_max_mcp.events import Event, MessageStop, RetryNotice, is_known
from claude_max_mcp.messages import Json, Message

OnEvent: TypeAlias = Callable[[Event], None]
"""Called with each raw stream event, and with a `RetryNotice` where the CLI asks again; it must not block."""


@dataclass(frozen=True)
class TurnResult:
    """A whole message and what came with it."""

    message: Json
    """What the Messages API gives: see `events.AnswerMessage`."""
    text: str
    structured_output: Any = None
    settled: bool = False
    """Whether the process waits, for another message or for tool results, and can go on."""

    @property
    def said(self) -> Message:
        """The answer as a message of the conversation."""
        return Message(role="assistant", content=self.message["content"])


class Turn:
    """Makes one answer.

    Args:
        caller_tools: the names of the tools that the caller runs: their calls end the answer.
        cli_tools: the names of the tools that the CLI runs itself, going on by further messages.
        structured: whether the answer is to fit a schema.
        stop: ends the process, at once.
    """

    def __init__(
        self,
        *,
        caller_tools: frozenset[str] = frozenset(),
        cli_tools: frozenset[str] = frozenset(),
        structured: bool = False,
        stop: Callable[[], None],
    ) -> None:
        self._caller_tools = caller_tools
        self._cli_tools = cli_tools
        self._structured = structured
        self._stop = stop
        self._fold = Fold(cli_tools, structured=structured)
        self._stopped = False
        self._limits: RateLimitInfo | None = None
        self._said: AssistantMessage | None = None
        self._on_event: OnEvent | None = None
        self._early: list[Event] = []  # events that were there before somebody followed
        self._outcome: TurnResult | Exception | None = None
        self._settled = anyio.Event()

    def __repr__(self) -> str:
        state = "open" if self._outcome is None else type(self._outcome).__name__
        return f"<Turn {state} {self._fold!r}>"

    def follow(self, on_event: OnEvent) -> None:
        """Let `on_event` get the events, those that came already first."""
        self._on_event = on_event
        for event in self._early:
            on_event(event)
        self._early.clear()

    async def wait(self) -> TurnResult:
        """Wait until the message is whole.

        Raises:
            ClaudeMaxError: the run failed; the class says whose fault it is.
        """
        await self._settled.wait()
        assert self._outcome is not None
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def hear(self, message: Output) -> None:
        """Take the next message of the CLI. What goes wrong here is raised where somebody waits."""
        if self._outcome is not None:
            return
        try:
            self._take(message)
        except Exception as error:
            self._settle(error)

    def lose(self, error: Exception) -> None:
        """The process has ended; `error` says why, where it was not this turn that ended it."""
        if self._stopped and self._fold.stop_reason is not None:
            self.hear(StreamEvent(type="stream_event", event={**MessageStop(type="message_stop")}))
        self._settle(error)

    def _settle(self, outcome: TurnResult | Exception) -> None:
        if self._outcome is None:
            self._outcome = outcome
            self._settled.set()

    def _take(self, message: Output) -> None:
        match message:
            case StreamEvent(event=event):
                self._take_event(cast("Event", event))
            case RateLimitEvent(rate_limit_info=limits):
                self._limits = limits
            case AssistantMessage() as said:
                self._said = said
            case System(subtype="api_retry") as retry:
                self._take_retry(retry)
            case Result() as result:
                self._settle(self._conclude(result))
            case _:
                pass

    def _take_event(self, event: Event) -> None:
        shown = self._fold.add(event)
        if is_known(event) and event["type"] == "message_delta" and self._would_continue(event["delta"]["stop_reason"]):
            self._stopped = True
            self._stop()
        self._pass_on(shown)
        if event["type"] == "message_stop" and self._fold.complete and (self._stopped or self._is_parked()):
            self._settle(self._make_result(settled=not self._stopped))

    def _would_continue(self, reason: str | None) -> bool:
        """Whether the CLI would now go on with a prompt of its own, which nobody asked for.

        1. After a call of a tool that it does not have, it tells Claude so.
        2. After an end without a word, it asks for one; with a schema that is wanted.
        3. After anything but these two ends (`max_tokens`, a refusal, …), it asks Claude to go on.
        """
        match reason:
            case None:
                return False
            case "tool_use":
                called = {block["name"] for block in self._fold.begun if block["type"] == "tool_use"}
                return not called <= self._caller_tools | self._cli_tools
            case "end_turn":
                return not self._structured and not any(block["type"] == "text" for block in self._fold.begun)
            case _:
                return True

    def _is_parked(self) -> bool:
        """Whether the CLI now waits for the results of the caller's tools, and for nothing else."""
        called = {block["name"] for block in self._fold.message["content"] if block["type"] == "tool_use"}
        return bool(called) and called <= self._caller_tools

    def _pass_on(self, events: list[Event]) -> None:
        for event in events:
            if self._on_event is None:
                self._early.append(event)
            else:
                self._on_event(event)

    def _take_retry(self, retry: System) -> None:
        if self._fold.partly_shown:
            raise UpstreamError(
                "overloaded",
                "Anthropic cut the answer short and it cannot be resumed.",
                "Send the request again.",
            )
        self._pass_on([_make_notice(retry)])

    def _conclude(self, result: Result) -> TurnResult:
        """What the end of the run makes of the message.

        Raises:
            ClaudeMaxError: there is none.
        """
        if self._structured and not result.is_error and not self._fold.complete:
            if result.structured_output is None:
                raise UpstreamError(
                    "empty_answer", "Claude gave no output that fits the schema.", "Ask again, or simplify it."
                )
            self._pass_on(self._fold.conclude(result.structured_output))
        if not self._fold.complete:
            raise classify_failure(result, self._said, self._limits, self._said.request_id if self._said else None)
        return self._make_result(result.structured_output, settled=not result.is_error)

    def _make_result(self, structured_output: Any = None, *, settled: bool) -> TurnResult:
        return TurnResult(self._fold.message, self._fold.text, structured_output, settled)


def _make_notice(retry: System) -> RetryNotice:
    return RetryNotice(
        type="retry",
        attempt=retry.attempt,
        max_retries=retry.max_retries,
        delay_ms=round(retry.retry_delay_ms),
        error=retry.error,
        status=retry.error_status,
    )
