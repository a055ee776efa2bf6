"""The key of a conversation: the same however it is written, another for anything else that was said."""

from random import Random
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import JsonValue

from claude_max_mcp.engine.key import digest, extend_key, join_keys, make_key
from tests.properties.values import (
    CONVERSATIONS,
    MESSAGES,
    OBJECTS,
    SCALARS,
    TEXTS,
    VALUES,
    Json,
    find_leaves,
    look_up,
    replace_at,
)


def shuffle_fields(value: JsonValue, random: Random) -> JsonValue:
    """JSON with the fields of every object in another order."""
    if isinstance(value, list):
        return [shuffle_fields(part, random) for part in value]
    if isinstance(value, dict):
        fields = list(value.items())
        random.shuffle(fields)
        return {name: shuffle_fields(part, random) for name, part in fields}
    return value


def key_of(conversation: Any, options_key: str = "options") -> str:
    return join_keys(options_key, make_key(conversation))


RANDOMS = st.randoms(use_true_random=False)


@given(VALUES, RANDOMS)
def test_a_digest_does_not_depend_on_the_order_of_fields(value: JsonValue, random: Random) -> None:
    assert digest(shuffle_fields(value, random)) == digest(value)


@given(CONVERSATIONS, RANDOMS)
def test_a_key_does_not_depend_on_the_order_of_fields(conversation: list[Json], random: Random) -> None:
    shuffled: Any = [shuffle_fields(message, random) for message in conversation]
    assert key_of(shuffled) == key_of(conversation)


def add_fields(message: Json, more: Json) -> Json:
    """A message whose blocks have further fields, as the API may put beside what Claude said."""
    return {**message, "content": [{**more, **block} for block in message["content"]]}


NEW_FIELDS = st.dictionaries(TEXTS.map("new_{}".format), VALUES, max_size=2)


@given(CONVERSATIONS, NEW_FIELDS)
@example([{"role": "assistant", "content": [{"type": "text", "text": "a"}]}], {"citations": [1]})
@example([{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": {}}]}], {"caller": 1})
def test_what_the_api_puts_beside_claudes_blocks_changes_no_key(conversation: list[Json], more: Json) -> None:
    sent_back = [add_fields(m, more) if m["role"] == "assistant" else m for m in conversation]
    assert key_of(sent_back) == key_of(conversation)


@given(CONVERSATIONS, NEW_FIELDS, MESSAGES)
def test_a_further_field_of_what_the_user_says_changes_the_key(
    conversation: list[Json], more: Json, message: Json
) -> None:
    assume(more and message["role"] == "user")
    assert key_of([*conversation, add_fields(message, more)]) != key_of([*conversation, message])


@given(st.data(), OBJECTS, CONVERSATIONS, SCALARS)
def test_a_change_at_any_place_changes_the_key(
    data: st.DataObject, options: Json, conversation: list[Json], leaf: JsonValue
) -> None:
    whole: list[Any] = [options, conversation]
    place = data.draw(st.sampled_from(find_leaves(whole)))
    assume(repr(look_up(whole, place)) != repr(leaf))  # `repr`, as 0, 0.0 and False are equal and not the same
    changed: Any = replace_at(whole, place, leaf)
    assume(isinstance(changed[0], dict) and isinstance(changed[1], list))
    assert key_of(changed[1], digest(changed[0])) != key_of(conversation, digest(options))


@given(CONVERSATIONS, MESSAGES, st.integers(0, 4))
def test_a_further_message_anywhere_changes_the_key(conversation: list[Json], message: Json, at: int) -> None:
    assert key_of([*conversation[:at], message, *conversation[at:]]) != key_of(conversation)


@given(CONVERSATIONS, MESSAGES, MESSAGES)
def test_where_one_message_ends_and_the_next_begins_is_part_of_the_key(
    before: list[Json], first: Json, second: Json
) -> None:
    joined = {**first, "content": [*first["content"], *second["content"]]}
    assert key_of([*before, first, second]) != key_of([*before, joined])


@given(CONVERSATIONS, MESSAGES)
def test_one_message_more_extends_the_key(earlier: Any, message: Any) -> None:
    assert extend_key(make_key(earlier), message) == make_key([*earlier, message])
