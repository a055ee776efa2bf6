"""Conversations in one form: nothing that was said is changed, and what is refused is found where the refusal says."""

import re
from copy import deepcopy
from itertools import groupby
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st
from pydantic import JsonValue

from claude_max_mcp.errors import RequestError
from claude_max_mcp.wire import parse_request
from tests.properties.values import VALUES, Json, find_places, look_up, replace_at, valid_conversations


def normalise(messages: Any) -> Any:
    return parse_request({"messages": messages}).conversation


def list_blocks(messages: list[Json]) -> list[tuple[str, Json]]:
    """Each block with its role, without what is not content."""
    said: list[tuple[str, Json]] = []
    for message in messages:
        content = message["content"]
        blocks: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        said += [(message["role"], strip(block)) for block in blocks]
    return said


def strip(block: Json) -> Json:
    return {name: value for name, value in block.items() if name != "cache_control" and value is not None}


@given(valid_conversations())
def test_what_is_in_form_stays_as_it_is(messages: list[Json]) -> None:
    once = normalise(messages)
    assert normalise(once) == once


@given(valid_conversations())
def test_every_block_says_what_it_said_in_its_order(messages: list[Json]) -> None:
    assert list_blocks(normalise(messages)) == list_blocks(messages)


@given(valid_conversations())
def test_consecutive_messages_of_one_role_become_one(messages: list[Json]) -> None:
    roles = [message["role"] for message in normalise(messages)]
    assert roles == [role for role, _ in groupby(message["role"] for message in messages)]


@given(valid_conversations())
def test_the_callers_own_messages_are_never_changed(messages: list[Json]) -> None:
    before = deepcopy(messages)
    normalise(messages)
    assert messages == before


def is_place(name: str, arguments: JsonValue) -> bool:
    """Whether something stands at a place, or an object in which the last field of it is missing."""
    for place in find_places(arguments):
        written = ".".join(map(str, place)) or "arguments"
        value = look_up(arguments, place)
        field = name.removeprefix(f"{written}.")
        if name == written or (isinstance(value, dict) and field != name and re.fullmatch(r"\w+", field)):
            return True
    return False


@given(st.data(), valid_conversations(), VALUES | st.sampled_from(["\0", "\ud800", "image", "tool_use"]))
def test_a_refusal_names_a_place_that_exists(data: st.DataObject, messages: list[Json], value: JsonValue) -> None:
    arguments: JsonValue = {"messages": list(messages)}
    place = data.draw(st.sampled_from(find_places(arguments)[2:]))
    changed: Any = replace_at(arguments, place, value)
    try:
        parse_request(changed)
    except RequestError as error:
        named, _, _ = str(error).partition(": ")
        event("refused")
        assert is_place(named, changed), str(error)
    else:
        event("taken")
