"""Whatever is said and whenever, progress tells all of it, in order, and not more often than it may."""

from collections import deque
from collections.abc import Iterable
from copy import deepcopy
from itertools import accumulate
from typing import Any, Literal

import anyio
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from claude_max_mcp.front.progress import DELTA_INTERVAL, MOST_PER_SECOND, reporting
from tests.properties.values import TEXTS, Json
from tests.virtual import in_virtual_time

FIELDS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}


def make_delta(kind: str, index: int, text: str) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, FIELDS[kind]: text}}


DELTAS = st.builds(make_delta, st.sampled_from(sorted(FIELDS)), st.integers(0, 1), TEXTS)
OTHERS: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["content_block_start", "content_block_stop", "of_a_later_api"]),
        "index": st.integers(0, 1),
    }
)
PAUSES = st.sampled_from([0.0, 0.0, 0.001, 0.02, DELTA_INTERVAL, 0.2, 1.0, 40.0]) | st.floats(0, 1)
EVENTS = st.lists(st.tuples(PAUSES, DELTAS | DELTAS | OTHERS), max_size=60)


class Sent:
    """What was reported, and when; each report takes a while."""

    def __init__(self, takes: float) -> None:
        self._takes = takes
        self.reports: list[tuple[float, float, str | None]] = []

    async def __call__(self, number: float, total: float | None, message: str | None) -> None:
        self.reports.append((anyio.current_time(), number, message))
        await anyio.sleep(self._takes)

    @property
    def messages(self) -> list[str]:
        return [message for _, _, message in self.reports if message is not None]


async def report(events: list[tuple[float, Json]], stream: Literal["text", "events"], takes: float = 0.0) -> Sent:
    sent = Sent(takes)
    async with reporting(sent, stream) as progress:
        for pause, event in events:
            await anyio.sleep(pause)
            progress.add(event)
    return sent


def join_deltas(events: Iterable[Json]) -> list[Json]:
    """Events in which deltas of one block and kind that follow each other are one; signatures come whole."""
    joined: list[Json] = []
    for event in events:
        if joined and name_run(event) == name_run(joined[-1]) is not None:
            kind, index = event["delta"]["type"], event["index"]
            joined[-1] = make_delta(kind, index, joined[-1]["delta"][FIELDS[kind]] + event["delta"][FIELDS[kind]])
        else:
            joined.append(event)
    return joined


def name_run(event: Json) -> tuple[str, int] | None:
    """What deltas have in common that may be joined; None for any other event."""
    kind = event["delta"]["type"] if event["type"] == "content_block_delta" else "signature_delta"
    return None if kind == "signature_delta" else (kind, event["index"])


@given(events=EVENTS, takes=st.sampled_from([0.0, 0.01, 0.3]))
@in_virtual_time
async def test_all_is_told_in_its_order(events: list[tuple[float, Json]], takes: float) -> None:
    before = deepcopy(events)
    sent = await report(events, "events", takes)
    told: list[Any] = [event for message in sent.messages if (event := from_json(message)) != {"type": "ping"}]
    assert join_deltas(told) == join_deltas(event for _, event in before)
    assert events == before, "events are never changed"


@given(events=EVENTS, takes=st.sampled_from([0.0, 0.01, 0.3]))
@in_virtual_time
async def test_the_messages_of_text_together_are_the_text(events: list[tuple[float, Json]], takes: float) -> None:
    sent = await report(events, "text", takes)
    assert "".join(sent.messages) == "".join(event.get("delta", {}).get("text", "") for _, event in events)


@given(events=EVENTS, stream=st.sampled_from(["text", "events"]), takes=st.sampled_from([0.0, 0.01, 0.3]))
@in_virtual_time
async def test_no_second_holds_more_messages_than_it_may_and_each_has_its_number(
    events: list[tuple[float, Json]], stream: Literal["text", "events"], takes: float
) -> None:
    sent = await report(events, stream, takes)
    window = deque[float]()
    for number, (time, given_number, _) in enumerate(sent.reports, 1):
        assert number == given_number
        window.append(time)
        while window[0] <= time - 1.0:
            window.popleft()
        assert len(window) <= MOST_PER_SECOND


@given(events=st.lists(st.tuples(PAUSES, st.builds(make_delta, st.just("text_delta"), st.just(0), st.just("x")))))
@in_virtual_time
async def test_no_text_waits_longer_than_it_takes_to_join_it(events: list[tuple[float, Json]]) -> None:
    sent = await report(events, "text")
    for said, time in enumerate(accumulate(pause for pause, _ in events), 1):
        due = time + DELTA_INTERVAL + 1e-6
        assert sum(len(message or "") for at, _, message in sent.reports if at <= due) >= said
