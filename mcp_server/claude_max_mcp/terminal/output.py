"""Where an answer goes: standard output, as it comes or whole, and until it begins a spinner on standard error.

In: stream events, and the result. Out: where standard output is a pipe or a file, exactly the answer; on a terminal,
control characters in it are made visible, so that no answer commands the terminal. If whoever reads closes the pipe,
the question is cancelled.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import anyio
from rich.console import Console
from rich.text import Text

from claude_max_mcp.events import RetryNotice
from claude_max_mcp.front.progress import describe_retry
from claude_max_mcp.results import AskResult

VISIBLE = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n"} | dict.fromkeys(
    range(127, 160), "�"
)
"""Control characters, and what stands for them on a terminal."""


class Screen:
    """Shows one answer.

    Args:
        stream: whether to show its text as it comes; else `show` does at the end.
        notes: standard error.
    """

    def __init__(self, notes: Console, *, stream: bool) -> None:
        self.is_terminal = sys.stdout.isatty()
        self._stream = stream
        self._last = ""
        self._scope: anyio.CancelScope | None = None
        spins = sys.stderr.isatty() and not notes.is_dumb_terminal
        self._spinner = notes.status("Claude is asked …") if spins else None

    async def follow(self, ask: Callable[["Screen"], Awaitable[AskResult]]) -> AskResult:
        """The result of a question that tells `take` how it goes.

        Raises:
            BrokenPipeError: standard output was closed, so the question was cancelled.
        """
        if self._spinner:
            self._spinner.start()
        try:
            with anyio.CancelScope() as self._scope:
                return await ask(self)
            raise BrokenPipeError
        finally:
            self._stop_spinning()
            if self.is_terminal:
                self._end_line()

    def take(self, event: Mapping[str, Any]) -> None:
        """Show what a stream event adds to the answer, or why there is no answer yet."""
        match event:
            case {"type": "content_block_delta", "delta": {"text": str(text)}}:
                self._add(text)
            case {"type": "retry"} if self._spinner:
                self._spinner.update(Text(describe_retry(cast("RetryNotice", event))))
            case _:
                pass

    def _add(self, text: str) -> None:
        if not self._stream or not text:
            return
        self._stop_spinning()
        try:
            self._write(text)
        except BrokenPipeError:
            if self._scope:
                self._scope.cancel()

    def show(self, result: AskResult) -> None:
        """Show what has not been shown, and end the line."""
        if not self._last:
            self._write(result.response)
        self._end_line()

    def _write(self, text: str) -> None:
        sys.stdout.write(text.translate(VISIBLE) if self.is_terminal else text)
        sys.stdout.flush()
        self._last = text[-1:] or self._last

    def _end_line(self) -> None:
        if self._last not in ("", "\n"):
            self._write("\n")

    def _stop_spinning(self) -> None:
        if self._spinner:
            self._spinner.stop()
