"""Waiting for what tells nobody when it comes: a process that has started, a state inside the server."""

from collections.abc import Callable

import anyio

DEADLINE = 60.0
"""Seconds after which whatever is waited for will not come. It bounds hanging: a busy machine may take its time."""


async def until(holds: Callable[[], object]) -> None:
    """Return once `holds` does.

    Raises:
        TimeoutError: it does not, for as long as `DEADLINE`.
    """
    with anyio.fail_after(DEADLINE):
        while not holds():  # noqa: ASYNC110 (there is no event: looking all the time would take a core from the server)
            await anyio.sleep(0.01)
