"""Many tasks at once, each of which can be cancelled at any moment: by a scope of anyio, or as a task of asyncio."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio

Job: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

Begin: TypeAlias = Callable[[Job], Callable[[], object]]
"""Starts a job, and returns what cancels it."""


@asynccontextmanager
async def in_scopes() -> AsyncGenerator[Begin]:
    """Jobs that are cancelled by a cancel scope; leaving the block waits for all of them."""

    async def run(job: Job, scope: anyio.CancelScope) -> None:
        with scope:
            await job()

    async with anyio.create_task_group() as tasks:

        def begin(job: Job) -> Callable[[], object]:
            scope = anyio.CancelScope()
            tasks.start_soon(run, job, scope)
            return scope.cancel

        yield begin


@asynccontextmanager
async def in_tasks() -> AsyncGenerator[Begin]:
    """Jobs that are cancelled by `task.cancel()`; leaving the block cancels and awaits what is left of them."""
    running: list[asyncio.Task[None]] = []

    def begin(job: Job) -> Callable[[], object]:
        running.append(task := asyncio.create_task(job()))
        return task.cancel

    try:
        yield begin
    finally:
        for task in running:
            task.cancel()
        results = await asyncio.gather(*running, return_exceptions=True)
    assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
