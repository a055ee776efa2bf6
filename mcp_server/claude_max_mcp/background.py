"""Tasks that run beside a block of code, and end with it.

In: coroutine functions. Out: a context manager. It differs from a bare task group in one thing: what the block
raises comes out as it is, not wrapped into a group, so that callers can catch it by its class.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup


@asynccontextmanager
async def beside(*jobs: Callable[[], Coroutine[Any, Any, object]]) -> AsyncGenerator[TaskGroup]:
    """Run `jobs` until the block is left, then cancel what is left of them.

    Raises:
        ExceptionGroup: a job failed; the block is cancelled then.
    """
    error: Exception | None = None
    async with anyio.create_task_group() as tasks:
        for job in jobs:
            tasks.start_soon(job)
        try:
            yield tasks
        except Exception as raised:
            error = raised
        tasks.cancel_scope.cancel()
    if error is not None:
        raise error
