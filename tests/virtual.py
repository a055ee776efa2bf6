"""Tests in virtual time, on asyncio and on trio.

A virtual clock stands still while any task can run and then jumps to the next deadline: waiting costs nothing, no
time passes unseen, and a deadlock is an error at once. Such tests bring a loop of their own, because a session
fixture keeps the plugin's asyncio loop alive, and the plugin would run a test for trio on that one.
"""

import asyncio
import contextvars
import inspect
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

DEADLINE = 10_000.0
"""Virtual seconds after which a test has failed: whatever it waits for will not come."""


class _Selector(selectors.DefaultSelector):
    """Polls, and lets virtual time pass where it would have waited."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None and timeout > 0:
            self.now += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make an async test one that runs on both loops, each with a virtual clock that starts at 0."""

    def on(loop: str, **arguments: Any) -> None:
        options: dict[str, Any] = {"loop_factory": _Loop}
        if loop == "trio":
            options = {"clock": MockClock(autojump_threshold=0)}

        async def in_time() -> None:
            with anyio.fail_after(DEADLINE):
                await test(**arguments)

        contextvars.Context().run(anyio.run, in_time, backend=loop, backend_options=options)

    return _as_test(on, test, ["asyncio", "trio"])


def in_virtual_asyncio_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The same for a test of what only asyncio has: `task.cancel()`."""
    both = in_virtual_time(test)
    return _as_test(both, test, ["asyncio"])


def _as_test(run: Callable[..., None], test: Callable[..., Any], loops: list[str]) -> Callable[..., None]:
    def wrapped(**arguments: Any) -> None:
        run(**arguments)

    wrapped.__name__, wrapped.__doc__, wrapped.__module__ = test.__name__, test.__doc__, test.__module__
    names = [*inspect.signature(test).parameters, "loop"]
    arguments = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    vars(wrapped)["__signature__"] = inspect.Signature(arguments)
    return pytest.mark.parametrize("loop", loops)(wrapped)


async def settled() -> None:
    """Return once every other task is blocked: only then does the virtual clock move."""
    await anyio.sleep(1e-6)
