"""An answer on its way: pieces while it is written, then the result.

In: a coroutine function that runs one call and reports its progress messages. Out: an async iterator over
them that owns the call: leaving it early cancels the call, and the server sees that.
"""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeAlias

from ._connection import wait_for_end
from ._errors import AskFailed, ErrorDetail
from ._results import AskResult

Notify: TypeAlias = Callable[[str], None]
Run: TypeAlias = Callable[[Notify], Coroutine[Any, Any, AskResult]]

_cancelled_calls: set[asyncio.Task[AskResult]] = set()
"""Calls that were cancelled and have not ended; the event loop itself holds tasks only weakly."""


class Answer:
    """An answer that arrives piece by piece.

    ```python
    async with client.stream("Why is the sky blue?") as answer:
        async for piece in answer:
            ...
        result = await answer.result()
    ```
    A piece is text or, with `stream="events"`, one event of the Messages API's stream as JSON.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._task: asyncio.Task[AskResult] | None = None

    def __repr__(self) -> str:
        state = "not started" if self._task is None else "ended" if self._task.done() else "running"
        return f"<{type(self).__name__} {state}>"

    def start(self) -> None:
        """Send the request. `async with` does this and calls `aclose`; a caller of `start` has to call `aclose`."""
        self._task = asyncio.create_task(self._run(self._pieces.put_nowait))
        self._task.add_done_callback(self._mark_end)

    def _mark_end(self, task: asyncio.Task[AskResult]) -> None:
        self._pieces.put_nowait(None)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not warn of an answer that is never waited for

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        if (piece := await self._pieces.get()) is None:
            self._pieces.put_nowait(None)  # ended stays ended
            raise StopAsyncIteration
        return piece

    async def outcome(self) -> AskResult:
        """The result once it is there, whether or not it is a success.

        Raises:
            ClaudeMaxError: the server could not be asked, or was lost.
        """
        if self._task is None:
            raise RuntimeError("The request was not sent yet: use `async with`.")
        await asyncio.wait([self._task])
        return self._task.result()

    async def result(self) -> AskResult:
        """The result once it is there.

        Raises:
            ClaudeMaxError: there is no answer.
        """
        return require_success(await self.outcome())

    async def aclose(self) -> None:
        """Cancel the request unless it has ended."""
        if self._task is None or self._task.done():
            return
        _cancelled_calls.add(self._task)
        self._task.add_done_callback(_cancelled_calls.discard)
        self._task.cancel()
        await wait_for_end(self._task)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def require_success(result: AskResult) -> AskResult:
    """`result`, if it is an answer.

    Raises:
        AskFailed: it is an error.
    """
    if result.success:
        return result
    raise AskFailed(find_error(result))


def find_error(result: AskResult) -> ErrorDetail:
    """The error of a result that is not a success."""
    return result.error or ErrorDetail(code="internal", message=result.response or "The server gave no reason.")
