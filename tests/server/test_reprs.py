"""A live object says what it is and how it is, and nothing of what is said; for a debugger, and for tests."""

import logging
import re
from typing import cast

import pytest

from claude_max_mcp.claude.caller_tools import CallerTools
from claude_max_mcp.claude.protocol import StreamEvent
from claude_max_mcp.engine.fold import Fold
from claude_max_mcp.engine.turn import Turn
from claude_max_mcp.events import Event
from claude_max_mcp.standin import Reply, Text, ToolUse
from tests.house import House
from tests.waiting import until

SECRET = "swordfish"


async def test_the_service_shows_places_processes_and_conversations(house: House) -> None:
    await house.ask(prompt=SECRET)
    shown = repr(house.service)
    assert re.search(
        r"<Service \w+ <Conversations <Admission running=0/8 waiting=0/32> "
        r"<Pool warm=\d starting=\d leased=\d+> <IdleConversations waiting=\d+ parked=\d+>>>",
        shown,
    )
    assert SECRET not in shown


async def test_a_parked_call_is_counted(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.standin.enqueue(Reply(content=(ToolUse("look", {"at": SECRET}, "toolu_1"),)))
    with caplog.at_level(logging.DEBUG, logger="claude_max_mcp"):
        await house.ask(prompt=SECRET, tools=[{"name": "look", "input_schema": {"type": "object"}}])
        await until(lambda: "parked toolu_1" in caplog.messages)
    assert re.search(r"parked=[1-9]", repr(house.service))
    assert SECRET not in repr(house.service)


async def test_an_answer_on_its_way_shows_how_far_it_is_and_not_what_it_says() -> None:
    turn, fold = Turn(stop=lambda: None), Fold()
    for event in Reply(content=(Text(SECRET),)).make_events("claude-sonnet-5-5"):
        turn.hear(StreamEvent(type="stream_event", event=event))
        fold.add(cast("Event", event))
        assert SECRET not in repr(turn) + repr(fold)
    assert repr(fold) == "<Fold complete blocks=1 held=0>"
    assert repr(turn) == f"<Turn open {fold!r}>"


def test_the_callers_tools_are_shown_by_their_names() -> None:
    tools = CallerTools([{"name": "look", "description": SECRET, "input_schema": {"type": "object"}}])
    assert repr(tools) == "<CallerTools ['look'] parked=[]>"
