"""Progress messages: 20 a second at the most, nothing lost, in order, all of them before the result."""

from collections import deque
from collections.abc import Iterable
from itertools import groupby
from random import Random
from typing import Any, Literal

import anyio
import pytest
from pydantic_core import from_json

from claude_max_mcp.front.progress import HEARTBEAT, MOST_PER_SECOND, Progress, reporting
from claude_max_mcp.standin import RedactedThinking, Reply, Text, Thinking, ToolUse
from tests.virtual import in_virtual_time, settled

Json = dict[str, Any]


class Sent:
    """What was reported, and when; of a heartbeat without a message, only when.

    Args:
        takes: virtual seconds that a report takes on its way.
    """

    def __init__(self, takes: float = 0.0) -> None:
        self._takes = takes
        self._busy = False
        self.messages = list[str]()
        self.numbers = list[float]()
        self.times = list[float]()
        self.heartbeats = list[float]()

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        assert total is None, "nobody knows how much there will be"
        assert not self._busy, "one at a time, or the order is left to chance"
        if message is None:
            self.heartbeats.append(anyio.current_time())
        else:
            self.messages.append(message)
        self.numbers.append(progress)
        self.times.append(anyio.current_time())
        self._busy = True
        await anyio.sleep(self._takes)
        self._busy = False

    @property
    def events(self) -> list[Json]:
        return [from_json(message) for message in self.messages]

    def most_in_a_second(self) -> int:
        """The most messages that lie within any second."""
        window, most = deque[float](), 0
        for time in self.times:
            window.append(time)
            while time >= window[0] + 1.0:
                window.popleft()
            most = max(most, len(window))
        return most


def delta(text: str, *, index: int = 0, kind: str = "text") -> Json:
    name = "partial_json" if kind == "input_json" else kind
    return {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", name: text}}


def one_by_one(events: Iterable[Json]) -> list[Json]:
    """Events with every text cut into single letters."""
    pieces = list[Json]()
    for event in events:
        match event:
            case {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}:
                pieces += [delta(letter, index=index) for letter in text]
            case _:
                pieces.append(event)
    return pieces


def told(events: Iterable[Json]) -> list[tuple[str, int, str]]:
    """What deltas say, however they were cut: kind, block and text of each run of them."""
    deltas = [
        (d["type"], event["index"], next(text for name, text in d.items() if name != "type"))
        for event in events
        if (d := event.get("delta")) and event["type"] == "content_block_delta"
    ]
    return [(*key, "".join(text for *_, text in run)) for key, run in groupby(deltas, key=lambda d: d[:2])]


async def report(
    events: Iterable[Json],
    stream: Literal["text", "events"] = "events",
    *,
    every: float | Random = 0.0,
    takes: float = 0.0,
) -> Sent:
    sent = Sent(takes)
    async with reporting(sent, stream) as progress:
        for event in events:
            progress.add(event)
            if every:
                await anyio.sleep(every.random() ** 4 if isinstance(every, Random) else every)
    return sent


@pytest.mark.parametrize("every", [0.0, 0.001, 0.01, 0.04, 0.049, 0.05, 0.051, 0.2])
@pytest.mark.parametrize("stream", ["text", "events"])
@in_virtual_time
async def test_no_second_holds_more_messages_than_are_allowed(stream: Literal["text", "events"], every: float) -> None:
    sent = await report((delta(f"{n} ") for n in range(400)), stream, every=every)
    assert sent.most_in_a_second() <= MOST_PER_SECOND == 20


@pytest.mark.parametrize("every", [0.0, 0.01, 0.05])
@in_virtual_time
async def test_no_second_holds_more_even_when_nothing_can_be_joined(every: float) -> None:
    blocks = [Text(f"block {number}") for number in range(60)]
    events = list(Reply(content=blocks).make_events("sonnet"))
    sent = await report(events, every=every)
    assert sent.most_in_a_second() == MOST_PER_SECOND
    assert len([event for event in sent.events if event["type"] == "content_block_start"]) == 60


@in_virtual_time
async def test_what_is_too_much_for_one_second_goes_out_in_the_next() -> None:
    sent = await report({"type": "content_block_stop", "index": n} for n in range(2 * MOST_PER_SECOND + 1))
    assert sent.times == [*[0.0] * MOST_PER_SECOND, *[1.0] * MOST_PER_SECOND, 2.0]


@pytest.mark.parametrize("seed", range(10))
@in_virtual_time
async def test_at_any_pace_nothing_is_lost_and_no_second_holds_too_many(seed: int) -> None:
    random = Random(seed)
    blocks = [random.choice([Text("some words of text"), Thinking("a thought"), ToolUse("t")]) for _ in range(8)]
    events = one_by_one(Reply(content=blocks).make_events("sonnet"))
    sent = await report(events, every=random)
    assert sent.most_in_a_second() <= MOST_PER_SECOND
    assert told(sent.events) == told(events)


@in_virtual_time
async def test_every_event_that_is_not_a_delta_arrives_as_it_was_and_where_it_was() -> None:
    content = (Thinking("hm"), RedactedThinking(), Text("one two three"), ToolUse("look", {"at": "this"}), Text("four"))
    events = one_by_one(Reply(content=content).make_events("sonnet"))
    sent = await report(events)

    def shape(stream: list[Json]) -> list[Json]:
        whole = [event for event in stream if event["type"] != "content_block_delta"]
        places = [kind for kind, _ in groupby(event["type"] for event in stream)]
        return [*whole, {"order": places}]

    assert shape(sent.events) == shape(events)
    assert told(sent.events) == told(events)


@in_virtual_time
async def test_in_text_the_messages_together_are_the_answer() -> None:
    text = "Every word, and\nevery  blank — 😀."
    events = one_by_one(Reply(content=(Thinking("not shown"), Text(text), ToolUse("nor this"))).make_events("sonnet"))
    sent = await report(events, "text", every=0.01)
    assert "".join(sent.messages) == text


@in_virtual_time
async def test_the_first_delta_goes_out_at_once() -> None:
    sent = Sent()
    async with reporting(sent, "text") as progress:
        await anyio.sleep(5)
        progress.add(delta("first"))
        await settled()
        assert sent.messages == ["first"]


@in_virtual_time
async def test_a_delta_after_a_pause_goes_out_at_once() -> None:
    sent = Sent()
    async with reporting(sent, "text") as progress:
        for word in ("one", "two", "three"):
            progress.add(delta(word))
            await settled()
            assert sent.messages[-1] == word
            await anyio.sleep(0.1)


@in_virtual_time
async def test_deltas_that_come_close_together_are_joined() -> None:
    sent = await report((delta("x") for _ in range(1000)), "text", every=0.001)
    assert "".join(sent.messages) == "x" * 1000
    assert len(sent.messages) <= 17, "one second at 15 a second, the first and the last"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (delta("a", index=0), delta("b", index=1)),
        (delta("a", kind="thinking"), delta("b", kind="text")),
        (delta("a", kind="thinking"), delta("b", kind="signature")),
        (delta("a", kind="signature"), delta("b", kind="signature")),
        (delta("{", index=0, kind="input_json"), delta("{", index=1, kind="input_json")),
        (delta("a"), {"type": "content_block_stop", "index": 0}),
        ({"type": "ping"}, {"type": "ping"}),
    ],
    ids=lambda event: event.get("delta", event)["type"],
)
@in_virtual_time
async def test_what_belongs_to_different_blocks_or_kinds_is_never_joined(first: Json, second: Json) -> None:
    assert (await report([first, second])).events == [first, second]


@pytest.mark.parametrize("kind", ["text", "thinking", "input_json"])
@in_virtual_time
async def test_deltas_of_one_block_and_kind_are_joined_whole(kind: str) -> None:
    assert (await report([delta("a", kind=kind), delta("b", kind=kind)])).events == [delta("ab", kind=kind)]


@in_virtual_time
async def test_events_given_are_never_changed() -> None:
    first, second = delta("a"), delta("b")
    await report([first, second])
    assert (first, second) == (delta("a"), delta("b"))


@in_virtual_time
async def test_leaving_the_block_waits_until_all_is_sent() -> None:
    events = [delta(f"{n} ", index=n) for n in range(50)]
    sent = await report(events)
    assert sent.events == events
    assert anyio.current_time() >= 2, "three times 20 within a second would have been too many"


@in_virtual_time
async def test_the_last_words_are_not_kept_back_to_grow() -> None:
    sent = Sent()
    async with reporting(sent, "text") as progress:
        progress.add(delta("first "))
        await settled()
        progress.add(delta("last"))
    assert "".join(sent.messages) == "first last"
    assert anyio.current_time() < 0.001


@in_virtual_time
async def test_numbers_grow_by_one() -> None:
    sent = await report((delta("x", index=n) for n in range(30)), every=0.01)
    assert sent.numbers == list(range(1, 31))


@pytest.mark.parametrize("takes", [0.02, 0.3])
@in_virtual_time
async def test_a_slow_receiver_gets_everything_too(takes: float) -> None:
    sent = await report((delta(f"{n} ") for n in range(200)), "text", every=0.005, takes=takes)
    assert "".join(sent.messages) == "".join(f"{n} " for n in range(200))
    assert sent.most_in_a_second() <= MOST_PER_SECOND


@in_virtual_time
async def test_without_an_event_nothing_is_sent() -> None:
    assert (await report([])).messages == []


@in_virtual_time
async def test_in_text_a_retry_is_a_notice_in_brackets() -> None:
    retry = {"type": "retry", "attempt": 1, "max_retries": 2, "delay_ms": 560, "error": "overloaded", "status": 529}
    sent = await report([retry, delta("then text")], "text")
    assert sent.messages == ["[overloaded: trying again in 0.6 s, 1 of 2]\n", "then text"]


@in_virtual_time
async def test_in_events_text_is_not_escaped_and_nothing_is_padded() -> None:
    sent = Sent()
    progress = Progress(sent, "events")
    progress.add(delta("é😀"))
    progress.finish()
    await progress.send_all()
    assert sent.messages == ['{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"é😀"}}']


@in_virtual_time
async def test_a_cancelled_block_sends_nothing_more() -> None:
    sent = Sent()
    with anyio.CancelScope() as scope:
        async with reporting(sent, "events") as progress:
            for number in range(50):
                progress.add(delta("x", index=number))
            await settled()
            scope.cancel()
    assert len(sent.messages) == MOST_PER_SECOND
    assert anyio.current_time() < 1


@pytest.mark.parametrize("stream", ["text", "events"])
@in_virtual_time
async def test_silence_has_a_heartbeat_every_15_seconds(stream: Literal["text", "events"]) -> None:
    sent = Sent()
    async with reporting(sent, stream):
        await anyio.sleep(65)
    assert sent.times == pytest.approx([15, 30, 45, 60])
    assert sent.numbers == [1, 2, 3, 4]
    assert sent.messages == ([] if stream == "text" else ['{"type":"ping"}'] * 4)


@in_virtual_time
async def test_a_heartbeat_is_no_text() -> None:
    sent = Sent()
    async with reporting(sent, "text") as progress:
        progress.add(delta("a "))
        await anyio.sleep(2 * HEARTBEAT + 1)
        progress.add(delta("b"))
    assert sent.messages == ["a ", "b"]
    assert sent.heartbeats == pytest.approx([15, 30])


@in_virtual_time
async def test_who_hears_something_gets_no_heartbeat() -> None:
    sent = await report((delta(f"{n} ") for n in range(10)), every=HEARTBEAT - 0.5)
    assert {event["type"] for event in sent.events} == {"content_block_delta"}


@in_virtual_time
async def test_thinking_that_is_not_told_is_silence() -> None:
    sent = await report((delta("hm", kind="thinking") for _ in range(40)), "text", every=1)
    assert sent.messages == []
    assert sent.heartbeats == pytest.approx([15, 30])


@in_virtual_time
async def test_a_heartbeat_under_way_keeps_nothing_from_being_sent() -> None:
    sent = Sent(takes=1)
    async with reporting(sent, "text") as progress:
        await anyio.sleep(HEARTBEAT + 0.5)
        progress.add(delta("a"))
    assert sent.messages == ["a"]
    assert sent.numbers == [1, 2]
