"""A trace told to a process: which variables it takes, when, and that it becomes the header of its requests."""

from claude_max_mcp.tracing import SENDS_ON
from tests.cli.bare import Bare, ask, initialize

ONE, OTHER = (f"00-{digit * 32}-{digit * 16}-01" for digit in "12")


def telling(traceparent: str) -> dict[str, object]:
    return {"subtype": "apply_flag_settings", "settings": {"env": {"TRACEPARENT": traceparent}}}


async def test_a_running_process_takes_another_traceparent_for_each_message(bare: Bare) -> None:
    async with bare.running(changed=SENDS_ON) as worker:
        await initialize(worker)
        for traceparent in (ONE, OTHER):
            await worker.control(telling(traceparent))
            await ask(worker)
    assert [request.headers.get("traceparent") for request in bare.upstream.requests] == [ONE, OTHER]
    assert bare.upstream.others == []


async def test_one_that_was_told_when_it_started_sends_it_too(bare: Bare) -> None:
    async with bare.running(changed={**SENDS_ON, "TRACEPARENT": ONE}) as worker:
        await initialize(worker)
        await ask(worker)
    assert [request.headers.get("traceparent") for request in bare.upstream.requests] == [ONE]


async def test_a_process_that_was_not_started_for_it_sends_none(bare: Bare) -> None:
    """Not even where the running process is told all of the variables: it needs them from its start."""
    late = {"subtype": "apply_flag_settings", "settings": {"env": {**SENDS_ON, "TRACEPARENT": ONE}}}
    async with bare.running() as worker:
        await initialize(worker)
        await worker.control(late)
        await ask(worker)
    assert [request.headers.get("traceparent") for request in bare.upstream.requests] == [None]
