"""One answer, read from a worker.

In: what the CLI says after a user message. Out: the Messages API's stream events as they come, then the whole
message with what was learned beside it. One request is one message: where the CLI would go on by itself (after
`max_tokens`, a refusal or an empty answer it sends a prompt of its own), the turn ends and so does the process.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from claude_max_mcp.errors import UpstreamError
from claude_max_mcp.failures import failure
from claude_max_mcp.message import Json, MessageBuilder
from claude_max_mcp.protocol import (
    AssistantMessage,
    RateLimitEvent,
    RateLimitInfo,
    Result,
    StreamEvent,
    System,
)
from claude_max_mcp.worker import Worker

OnEvent: TypeAlias = Callable[[Json], None]
"""Called with each raw stream event, and with `{"type": "retry", …}` notices; it must not block."""


@dataclass(frozen=True)
class Answer:
    """A whole message and what came with it."""

    message: Json
    text: str
    session_id: str | None
    limits: RateLimitInfo | None
    structured_output: Any = None
    settled: bool = False
    """Whether the CLI ended its run by itself and could take another message."""


class Turn:
    """Reads one answer; `read` is called once."""

    def __init__(self, worker: Worker, on_event: OnEvent) -> None:
        self._worker = worker
        self._on_event = on_event
        self._builder = MessageBuilder()
        self._held: list[Json] = []
        self._shown = False
        self._session_id: str | None = None
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
                    self._take(event)
                    if self._ends_here(event):
                        self._worker.kill()
                        return self._answer()
                case RateLimitEvent(rate_limit_info=limits):
                    self._limits = limits
                case AssistantMessage() as said:
                    self._said = said
                case System(subtype="init", session_id=session_id):
                    self._session_id = session_id
                case System(subtype="api_retry") as retry:
                    self._retrying(retry)
                case Result() as result:
                    return self._concluded(result)
                case _:
                    pass
        raise self._worker.failure()

    def _take(self, event: Json) -> None:
        """Pass an event on. Until the message says something its events are held back: a retry may replace it."""
        if event["type"] == "message_start":
            self._builder = MessageBuilder()
            self._held = []
        self._builder.add(event)
        if event["type"] == "message_stop" and not self._builder.complete:
            return  # the CLI's own, after a connection that broke
        self._held.append(event)
        self._shown = self._shown or _says_something(event)
        if self._shown:
            for held in self._held:
                self._on_event(held)
            self._held = []

    def _retrying(self, retry: System) -> None:
        if self._shown:
            raise UpstreamError(
                "overloaded",
                "Anthropic cut the answer short and it cannot be resumed. Send the request again.",
            )
        self._on_event(_notice(retry))

    def _ends_here(self, event: Json) -> bool:
        """Whether the CLI would now go on by itself, and must not."""
        if event["type"] != "message_stop" or not self._builder.complete:
            return False
        return self._builder.stop_reason not in ("end_turn", "tool_use") or not self._builder.message["content"]

    def _concluded(self, result: Result) -> Answer:
        if not self._builder.complete:
            request_id = self._said.request_id if self._said else None
            raise failure(result, self._said, self._limits, request_id)
        return self._answer(result.structured_output, settled=not result.is_error)

    def _answer(self, structured_output: Any = None, *, settled: bool = False) -> Answer:
        return Answer(
            message=self._builder.message,
            text=self._builder.text,
            session_id=self._session_id,
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
