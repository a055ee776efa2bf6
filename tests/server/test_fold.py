"""A message put together from its events is the message that a request without streaming gets."""

from copy import deepcopy
from typing import Any, cast

import pytest
from dirty_equals import IsStr

from claude_max_mcp.engine.fold import Fold
from claude_max_mcp.events import Event
from claude_max_mcp.standin import RedactedThinking, Reply, Text, Thinking, ToolUse

Json = dict[str, Any]


def built(events: list[Json]) -> Fold:
    fold = Fold()
    for event in events:
        fold.add(cast("Event", event))
    return fold


REPLIES = {
    "text": Reply(content=(Text("Paris is the capital of France."),)),
    "text of blanks": Reply(content=(Text("  \n"),)),
    "text of every kind": Reply(content=(Text("é, 😀, \u2028, 👨‍👩‍👧 and\ttabs\r\n"),)),
    "several texts": Reply(content=(Text("one"), Text("two"), Text("three"))),
    "thinking with its signature": Reply(content=(Thinking("Let me see.", "c2ln"), Text("Yes."))),
    "thinking that is omitted": Reply(content=(Thinking("", "c2ln"), Text("Yes."))),
    "redacted thinking": Reply(content=(RedactedThinking("cmVk"), Text("Yes."))),
    "a call of a tool": Reply(content=(ToolUse("look", {"at": ["this", {"and": None}], "é": 1.5, "no": False}),)),
    "a call without arguments": Reply(content=(ToolUse("look"),)),
    "parallel calls": Reply(content=(Text("Both."), ToolUse("a", {"x": 1}), ToolUse("a", {"x": 2}))),
    "all kinds": Reply(content=(Thinking("hm"), RedactedThinking(), Text("a"), ToolUse("t", {"q": "b"}), Text("c"))),
    "nothing at all": Reply(content=()),
    "max_tokens": Reply(content=(Text("cut"),), stop_reason="max_tokens"),
    "a refusal": Reply(content=(), stop_reason="refusal"),
    "its own usage": Reply(usage={"input_tokens": 1, "output_tokens": 2, "service_tier": "standard"}),
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES.keys())
def test_the_whole_message_is_the_one_that_was_not_streamed(reply: Reply) -> None:
    fold = built(list(reply.make_events("claude-sonnet-5-5")))
    assert fold.complete
    assert fold.message == {**reply.make_message("claude-sonnet-5-5"), "id": IsStr(regex="msg_.+")}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES.keys())
def test_a_message_is_incomplete_until_its_last_event(reply: Reply) -> None:
    events = list(reply.make_events("claude-sonnet-5-5"))
    for count in range(len(events)):
        assert not built(events[:count]).complete


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES.keys())
def test_the_events_are_left_as_they_were(reply: Reply) -> None:
    events = list(reply.make_events("claude-sonnet-5-5"))
    before = deepcopy(events)
    built(events)
    assert events == before


def test_the_text_is_that_of_all_text_blocks_and_of_no_other() -> None:
    reply = Reply(content=(Thinking("not this"), Text("one "), ToolUse("nor", {"text": "this"}), Text("two")))
    assert built(list(reply.make_events("m"))).text == "one two"


def test_before_the_first_event_there_is_nothing() -> None:
    fold = Fold()
    assert (fold.message, fold.text, fold.stop_reason, fold.complete) == ({}, "", None, False)


def test_a_stop_without_a_reason_completes_nothing() -> None:
    events = [event for event in Reply().make_events("m") if event["type"] != "message_delta"]
    fold = built(events)
    assert (fold.complete, fold.stop_reason) == (False, None)


def test_a_message_that_broke_off_before_it_said_anything_is_begun_anew() -> None:
    lost = list(Reply(content=(Text("lost"),)).make_events("m"))[:2]
    reply = Reply(content=(Text("kept"),))
    fold = Fold()
    shown = [event for part in [*lost, *reply.make_events("m")] for event in fold.add(cast("Event", part))]
    assert (fold.text, fold.complete) == ("kept", True)
    assert [event["type"] for event in shown] == [event["type"] for event in reply.make_events("m")]
    assert fold.message["usage"] == reply.usage


def test_a_message_cannot_begin_where_a_part_of_another_was_shown() -> None:
    fold = built(list(Reply(content=(Text("lost"),)).make_events("m"))[:-2])
    assert fold.partly_shown
    with pytest.raises(ValueError, match="in the middle"):
        fold.add(cast("Event", next(iter(Reply().make_events("m")))))


def test_arguments_that_were_cut_short_are_kept_as_far_as_they_came() -> None:
    call = ToolUse("look", {"at": "this", "long": "text"})
    start, begin, delta, stop, end, last = Reply(content=(call,), stop_reason="max_tokens").make_events("m")
    delta["delta"]["partial_json"] = '{"at": "this", "lon'
    (block,) = built([start, begin, delta, stop, end, last]).message["content"]
    assert block["input"] == {"at": "this"}


def test_the_arguments_of_a_call_may_come_in_any_pieces() -> None:
    call = ToolUse("look", {"at": 'é \\ "quoted"', "deep": {"er": [1, 2]}})
    (delta,) = call.make_deltas()
    start, *_, stop, end, last = Reply(content=(call,)).make_events("m")
    begin = {"type": "content_block_start", "index": 0, "content_block": call.start()}
    pieces = [{**delta, "partial_json": letter} for letter in ["", *delta["partial_json"], ""]]
    deltas = [{"type": "content_block_delta", "index": 0, "delta": piece} for piece in pieces]
    assert built([start, begin, *deltas, stop, end, last]).message["content"] == [call.as_block()]


def test_citations_are_collected_in_order() -> None:
    start, begin, *_, stop, end, last = Reply(content=(Text("said"),)).make_events("m")
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {"cited_text": t}}}
        for t in ("first", "second")
    ]
    (block,) = built([start, begin, *deltas, stop, end, last]).message["content"]
    assert block["citations"] == [{"cited_text": "first"}, {"cited_text": "second"}]


def test_the_last_word_on_usage_and_the_stop_sequence_counts() -> None:
    *events, end, last = Reply().make_events("m")
    end = {**end, "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"}, "usage": {"output_tokens": 99}}
    message = built([*events, end, last]).message
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "END")
    assert message["usage"] == {**Reply().usage, "output_tokens": 99}


def test_events_and_deltas_of_a_later_api_change_nothing() -> None:
    start, begin, *rest = Reply(content=(Text("as ever"),)).make_events("m")
    unknown = [
        {"type": "ping"},
        {"type": "weather", "temperature": 21},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "hologram_delta", "hologram": "…"}},
    ]
    assert built([start, begin, *unknown, *rest]).text == "as ever"


def merged(events: list[Json]) -> tuple[Fold, list[Any]]:
    """What comes of a run in which the CLI runs its tool `Read`, and what is shown of it."""
    fold = Fold(frozenset({"Read"}))
    return fold, [shown for event in events for shown in fold.add(cast("Event", event))]


def test_a_null_says_nothing_of_usage() -> None:
    start, end, last = Reply(content=(), usage={"output_tokens": 1, "cache_read_input_tokens": 5}).make_events("m")
    end["usage"] = {"output_tokens": 2, "cache_read_input_tokens": None}
    assert built([start, end, last]).message["usage"] == {"output_tokens": 2, "cache_read_input_tokens": 5}


def test_counts_within_the_usage_of_several_messages_add_up() -> None:
    first = Reply(content=(ToolUse("Read"),), usage={"output_tokens": 1, "cache_creation": {"in_1h": 3, "in_5m": 0}})
    second = Reply(usage={"output_tokens": 2, "cache_creation": {"in_1h": 4, "in_5m": 5}})
    fold, _ = merged([*first.make_events("m"), *second.make_events("m")])
    assert fold.message["usage"] == {"output_tokens": 3, "cache_creation": {"in_1h": 7, "in_5m": 5}}


def test_a_block_without_a_word_has_its_place_beside_a_call_that_is_not_shown() -> None:
    silent = list(Reply(content=(Text(""), ToolUse("Read"))).make_events("m"))
    del silent[2]  # the empty delta
    fold, shown = merged([*silent, *Reply(content=(Text("after"),)).make_events("m")])
    assert [block["text"] for block in fold.message["content"]] == ["", "after"]
    assert [event["index"] for event in shown if event["type"] == "content_block_start"] == [0, 1]


def test_an_error_in_a_stream_goes_on_and_changes_nothing() -> None:
    fold = built(list(REPLIES["text"].make_events("claude-sonnet-5-5"))[:-2])
    message = deepcopy(fold.message)
    error: Any = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert fold.add(error) == [error]
    assert fold.message == message and not fold.complete


@pytest.mark.parametrize(
    ("kind", "name"), [("text", "text"), ("thinking", "thinking"), ("thinking", "signature")], ids=str
)
def test_a_block_that_begins_without_a_field_gets_it_from_its_deltas(kind: str, name: str) -> None:
    fold = built([next(iter(REPLIES["text"].make_events("claude-sonnet-5-5")))])
    for event in (
        {"type": "content_block_start", "index": 0, "content_block": {"type": kind}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": f"{name}_delta", name: "a"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": f"{name}_delta", name: "b"}},
    ):
        fold.add(cast("Event", event))
    assert fold.message["content"] == [{"type": kind, name: "ab"}]


def test_redacted_thinking_is_shown_as_soon_as_it_begins_as_no_delta_follows() -> None:
    start, block, *_ = Reply(content=(RedactedThinking("cmVk"),)).make_events("claude-sonnet-5-5")
    fold = Fold()
    assert fold.add(cast("Event", start)) == []
    assert fold.add(cast("Event", block)) == [start, block]
    assert fold.partly_shown
