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


async def test_a_traceparent_alone_is_not_sent_on(bare: Bare) -> None:
    """A process needs the other variables too, from its start: told later, it takes them up some time, or never."""
    async with bare.running() as worker:
        await initialize(worker)
        await worker.control(telling(ONE))
        await ask(worker)
    assert [request.headers.get("traceparent") for request in bare.upstream.requests] == [None]
