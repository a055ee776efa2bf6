"""The fold of a run's events is the message that they make, for everything that may come from upstream."""

import json
from copy import deepcopy
from typing import Any

from hypothesis import given

from claude_max_mcp.engine.fold import Fold
from tests.properties.runs import Run, runs


def fold_run(run: Run) -> tuple[Fold, list[Any]]:
    """The fold of all events, and what the caller was shown."""
    fold = Fold(run.kind.cli_tools, structured=run.kind.structured)
    shown = [event for given in run.events for event in fold.add(given)]
    if run.concludes:
        shown += fold.conclude(run.output)
    return fold, shown


@given(runs())
def test_the_message_holds_every_block_that_the_caller_may_see_as_it_was_said(run: Run) -> None:
    fold, _ = fold_run(run)
    assert fold.complete
    assert {**fold.message, "usage": None} == {**run.message, "usage": None}
    assert fold.stop_reason == run.message["stop_reason"]


@given(runs())
def test_the_text_is_that_of_the_messages_text_blocks(run: Run) -> None:
    fold, _ = fold_run(run)
    assert fold.text == "".join(block["text"] for block in run.message["content"] if block["type"] == "text")


@given(runs())
def test_the_usage_of_all_messages_adds_up(run: Run) -> None:
    fold, _ = fold_run(run)
    for name in ("input_tokens", "output_tokens", "cache_read_input_tokens"):
        counts = [count for m in run.messages if (count := m.usage.get(name)) is not None]
        assert (fold.message["usage"].get(name) or 0) == sum(counts)


@given(runs())
def test_counts_within_counts_add_up_too(run: Run) -> None:
    fold, _ = fold_run(run)
    counts = [
        m.usage["cache_creation"]["ephemeral_5m_input_tokens"] for m in run.messages if "cache_creation" in m.usage
    ]
    total = fold.message["usage"].get("cache_creation", {"ephemeral_5m_input_tokens": 0})
    assert total == {"ephemeral_5m_input_tokens": sum(counts)}


@given(runs())
def test_the_events_that_are_shown_make_the_same_message(run: Run) -> None:
    fold, again = Fold(run.kind.cli_tools, structured=run.kind.structured), Fold()
    for event in run.events:
        for shown in fold.add(event):
            again.add(shown)
    for shown in fold.conclude(run.output) if run.concludes else []:
        again.add(shown)
    assert (again.message, again.complete) == (fold.message, True)


@given(runs())
def test_the_blocks_that_are_shown_are_numbered_without_a_gap(run: Run) -> None:
    _, shown = fold_run(run)
    begun = [event["index"] for event in shown if event["type"] == "content_block_start"]
    assert begun == list(range(len(run.message["content"])))
    assert [event["index"] for event in shown if event["type"] == "content_block_stop"] == begun


@given(runs())
def test_one_message_is_shown_from_its_start_to_its_stop(run: Run) -> None:
    _, shown = fold_run(run)
    kinds = [event["type"] for event in shown if event["type"].startswith("message_")]
    assert kinds == ["message_start", "message_delta", "message_stop"]


@given(runs())
def test_of_the_tools_that_the_cli_runs_nothing_is_shown(run: Run) -> None:
    fold, shown = fold_run(run)
    named = [event["content_block"].get("name") for event in shown if event["type"] == "content_block_start"]
    assert run.kind.cli_tools.isdisjoint(named)
    assert run.kind.cli_tools.isdisjoint(block.get("name") for block in fold.message["content"])


@given(runs())
def test_events_are_never_changed(run: Run) -> None:
    before = deepcopy(run.events)
    fold = Fold(run.kind.cli_tools, structured=run.kind.structured)
    shown: list[tuple[Any, Any]] = []
    for event in run.events:
        shown += [(event, deepcopy(event)) for event in fold.add(event)]
    assert run.events == before
    assert all(event == copy for event, copy in shown)


@given(runs())
def test_nothing_is_shown_of_a_message_that_breaks_off_before_it_says_anything(run: Run) -> None:
    _, shown = fold_run(run)
    assert "msg_99" not in json.dumps(shown)
