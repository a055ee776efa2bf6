"""Conversations as callers send them: what is taken as it is, what is refused, and at which place."""

import json
from base64 import b64encode
from copy import deepcopy
from typing import Any

import pytest

from claude_max_mcp.errors import RequestError
from claude_max_mcp.events import Event, is_known
from claude_max_mcp.wire import parse_request
from tests.samples import IMAGE, PNG, Json

from .blocks import CALL, CLAUDES, RESULT, RESULTS, TAKEN, TOOL, assistant, text, user


def name_case(value: object) -> str:
    """The beginning of it, without backslashes: by a name with some of them pytest finds no test."""
    return str(value)[:70].replace("\\", "/")


def conversation(*messages: Json) -> list[Json]:
    return [{**message} for message in parse_request({"messages": list(messages)}).conversation]


@pytest.mark.parametrize("block", TAKEN, ids=lambda block: json.dumps(block)[:70])
def test_a_block_of_the_user_goes_on_as_it_was_written(block: Json) -> None:
    written = json.dumps(block)
    (message,) = conversation(user(block))
    assert json.dumps(message["content"]) == f"[{written}]"
    assert json.dumps(block) == written


@pytest.mark.parametrize("content", RESULTS, ids=lambda content: json.dumps(content)[:70])
@pytest.mark.parametrize("more", [{}, {"is_error": True}, {"later": {"a": [1]}}], ids=str)
def test_what_a_tool_has_said_goes_on_as_it_was_written(content: Any, more: Json) -> None:
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, **more}
    *_, last = conversation(user(text("a")), assistant(CALL), user(result))
    assert json.dumps(last["content"]) == json.dumps([result])


@pytest.mark.parametrize("block", CLAUDES, ids=lambda block: json.dumps(block)[:70])
def test_a_block_of_claudes_goes_on_as_it_was_written(block: Json) -> None:
    answers = [RESULT] if block["type"] == "tool_use" else []
    messages = conversation(user(text("a")), assistant(block), user(*answers, text("b")))
    assert json.dumps(messages[1]["content"]) == json.dumps([block])


def test_cache_breakpoints_and_nulls_are_left_out_and_nothing_else() -> None:
    bare = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("sunny")], "later": {"a": None}}
    full = {
        **bare,
        "content": [{**text("sunny"), "citations": None, "cache_control": {"type": "ephemeral"}}],
        "cache_control": {"type": "ephemeral"},
        "is_error": None,
    }
    written = deepcopy(full)
    *_, last = conversation(user(text("a")), assistant(CALL), user(full))
    assert last["content"] == [bare]
    assert full == written, "what the caller holds stays as it is"


def test_consecutive_messages_of_one_role_are_one() -> None:
    messages = [{"role": "user", "content": "a"}, user(text("b")), assistant(CALL), assistant(text("c")), user(RESULT)]
    assert conversation(*messages) == [user(text("a"), text("b")), assistant(CALL, text("c")), user(RESULT)]


def test_of_a_message_only_what_is_said_goes_on() -> None:
    answer = {**assistant(text("b")), "id": "msg_1", "model": "sonnet", "usage": {"input_tokens": 3}}
    assert conversation(user(text("a")), answer, user(text("c")))[1] == assistant(text("b"))


REFUSED: list[tuple[Json, str]] = [
    ({"messages": 7}, "messages: a list is needed."),
    ({"messages": []}, "messages: at least one is needed."),
    ({"messages": ["a"]}, "messages.0: an object is needed."),
    ({"messages": [{"content": "a"}]}, "messages.0.role: the field is needed."),
    (
        {"messages": [{"role": "system", "content": "a"}]},
        "messages.0.role: `user` or `assistant` is needed; the system prompt goes into `system`.",
    ),
    ({"messages": [user(text("a")), {"role": "user"}]}, "messages.1.content: the field is needed."),
    ({"messages": [{"role": "user", "content": None}]}, "messages.0.content: text or a list of blocks is needed."),
    ({"messages": [{"role": "user", "content": {}}]}, "messages.0.content: text or a list of blocks is needed."),
    ({"messages": [user()]}, "messages.0.content: text or a list of blocks is needed."),
    ({"messages": [user(text("a"), 7)]}, "messages.0.content.1: an object is needed."),
    ({"messages": [user({"text": "a"})]}, "messages.0.content.0.type: the field is needed."),
    ({"messages": [user({"type": 7})]}, "messages.0.content.0.type: Input should be 'text'."),
    ({"messages": [user({"type": "text"})]}, "messages.0.content.0.text: the field is needed."),
    ({"messages": [user({"type": "text", "text": 5})]}, "messages.0.content.0.text: text is needed."),
    ({"messages": [user({"type": "text", "text": {"text": 5}})]}, "messages.0.content.0.text: text is needed."),
    (
        {"messages": [{"role": "user", "content": " \n"}]},
        "messages.0.content: text that says something is needed; leave out what is blank.",
    ),
    (
        {"messages": [user(text("a"), text(""))]},
        "messages.0.content.1.text: text that says something is needed; leave out what is blank.",
    ),
    ({"messages": [user({"type": "image"})]}, "messages.0.content.0.source: the field is needed."),
    (
        {"messages": [user({"type": "image", "source": "a.png"})]},
        "messages.0.content.0.source: `base64` with `data` and `media_type`, or `url` with `url` is needed.",
    ),
    (
        {"messages": [user({"type": "image", "source": {"type": "base64", "data": PNG}})]},
        "messages.0.content.0.source.media_type: the field is needed.",
    ),
    (
        {"messages": [user({"type": "image", "source": {**IMAGE["source"], "data": "JVBERi0="}})]},
        "messages.0.content.0.source.data: a PNG, JPEG, GIF or WebP in base64 is needed.",
    ),
    (
        {"messages": [user({"type": "image", "source": {"type": "url", "url": 1}})]},
        "messages.0.content.0.source.url: text is needed.",
    ),
    (
        {"messages": [user({"type": "document", "source": {"data": "a"}})]},
        "messages.0.content.0.source.type: the field is needed.",
    ),
    (
        {"messages": [user({"type": "document", "source": {"type": "text", "data": 1}})]},
        "messages.0.content.0.source.data: text is needed.",
    ),
    ({"messages": [user({"type": "tool_result"})]}, "messages.0.content.0.tool_use_id: the field is needed."),
    (
        {"messages": [user({**RESULT, "content": 7})]},
        "messages.0.content.0.content: text or a list of blocks is needed.",
    ),
    ({"messages": [user({**RESULT, "content": ["a"]})]}, "messages.0.content.0.content.0: an object is needed."),
    (
        {"messages": [user({**RESULT, "content": [text("a"), {"type": "text"}]})]},
        "messages.0.content.0.content.1.text: the field is needed.",
    ),
    (
        {"messages": [user({**RESULT, "content": [{"type": "image", "source": {"type": "base64"}}]})]},
        "messages.0.content.0.content.0.source.media_type: the field is needed.",
    ),
    ({"messages": [user({**RESULT, "is_error": "no"})]}, "messages.0.content.0.is_error: true or false is needed."),
    (
        {"messages": [user(text("a")), assistant({**CALL, "input": "{}"}), user(RESULT)]},
        "messages.1.content.0.input: an object is needed.",
    ),
    (
        {"messages": [user(text("a")), assistant({"type": "tool_use", "id": "t", "name": "n"}), user(RESULT)]},
        "messages.1.content.0.input: the field is needed.",
    ),
    (
        {"messages": [user(text("a")), assistant({"type": "thinking", "thinking": "hm"}), user(text("b"))]},
        "messages.1.content.0.signature: the field is needed.",
    ),
    (
        {"messages": [user(text("a")), assistant({"type": "redacted_thinking"}), user(text("b"))]},
        "messages.1.content.0.data: the field is needed.",
    ),
    (
        {"messages": [user(text("a")), user(text("b")), assistant(CALL), user(text("c"))]},
        "messages.3: the tool call toolu_1 has no `tool_result`.",
    ),
    (
        {"messages": [user(text("a")), user(text("b")), assistant(text("c")), user(RESULT)]},
        "messages.3: the `tool_result` toolu_1 answers no call of the message before it.",
    ),
    (
        {"messages": [user(RESULT)]},
        "messages.0: the `tool_result` toolu_1 answers no call of the message before it.",
    ),
    ({"messages": [{"role": "user", "content": "a\0"}]}, "messages.0.content: a NUL character"),
    ({"messages": [user({**text("a"), "later": [{"b": "\ud800"}]})]}, "messages.0.content.0.later.0.b: a NUL"),
    ({"messages": [user({**text("a"), "\udfff": 1})]}, "messages.0.content.0: a NUL"),
    ({"prompt": "a", "system": 7}, "system: text or a list of blocks is needed."),
    ({"prompt": "a", "system": ["a"]}, "system.0: an object is needed."),
    ({"prompt": "a", "system": [text("a"), {"type": "text", "text": None}]}, "system.1.text: text is needed."),
    ({"prompt": "a", "tools": [TOOL, {"name": "b"}]}, "tools.1.input_schema: the field is needed."),
    ({"prompt": "a", "tools": [{**TOOL, "name": 1}]}, "tools.0.name: text is needed."),
    ({"prompt": "a", "tools": [{**TOOL, "description": 1}]}, "tools.0.description: text is needed."),
    ({"prompt": "a", "tools": [{**TOOL, "input_schema": []}]}, "tools.0.input_schema: an object is needed."),
    ({"prompt": "a", "tool_choice": "auto"}, "tool_choice: an object is needed."),
    ({"prompt": "a", "tool_choice": {}}, "tool_choice.type: the field is needed."),
    ({"prompt": "a", "output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema: the field"),
    ({"prompt": "a", "output_config": {"format": {"schema": {}}}}, "output_config.format.type: the field is needed."),
    ({"prompt": "a", "output_config": {"verbosity": "low"}}, "output_config.verbosity: there is no such field"),
    ({"prompt": "a", "thinking": {"type": "enabled", "budget_tokens": "2000"}}, "thinking.budget_tokens: a whole"),
    ({"prompt": "a", "max_tokens": "5"}, "max_tokens: a whole number is needed."),
    ({"prompt": "a", "max_tokens": True}, "max_tokens: a whole number is needed."),
    ({"prompt": "a", "timeout": "5"}, "timeout: a number is needed."),
    ({"\0": 1}, "arguments: a NUL character"),
    ({"prompt": "a", "model": "two words"}, "model: `sonnet`, `opus`, `haiku` or the full id of a model is needed."),
    ({"prompt": "a", "model": "a" * 201}, "model: `sonnet`, `opus`, `haiku` or the full id of a model is needed."),
    ({"prompt": "a", "<text>": 1}, "<text>: there is no such field; leave it out."),
]


@pytest.mark.parametrize(("arguments", "says"), REFUSED, ids=name_case)
def test_a_refusal_names_its_place_and_what_is_needed_there(arguments: Json, says: str) -> None:
    with pytest.raises(RequestError) as raised:
        parse_request(arguments)
    assert raised.value.code == "invalid_request"
    assert raised.value.message.startswith(says)


UNSUPPORTED: list[tuple[Json, str]] = [
    (
        {"messages": [user(text("a"), {"type": "server_tool_use", "id": "t"})]},
        "messages.0.content.1: a 'server_tool_use' block is not supported by this server. "
        "A message of the user may hold document, image, text, tool_result.",
    ),
    (
        {"messages": [user(CALL)]},
        "messages.0.content.0: a 'tool_use' block is not supported by this server. "
        "A message of the user may hold document, image, text, tool_result.",
    ),
    (
        {"messages": [user(text("a")), assistant(IMAGE), user(text("b"))]},
        "messages.1.content.0: a 'image' block is not supported by this server. "
        "A message of the assistant may hold redacted_thinking, text, thinking, tool_use.",
    ),
    (
        {"prompt": "a", "tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}]},
        "tools.1.type: 'web_search_20250305' is not supported by this server. "
        "Only the caller's own tools can be offered.",
    ),
    (
        {"prompt": "a", "tool_choice": {"type": "tool", "name": "get"}},
        "tool_choice.type: 'tool' is not supported by this server. Use `auto` or `none`; the CLI cannot force a call.",
    ),
]


@pytest.mark.parametrize(("arguments", "says"), UNSUPPORTED, ids=name_case)
def test_what_cannot_be_carried_is_named_with_what_can(arguments: Json, says: str) -> None:
    with pytest.raises(RequestError) as raised:
        parse_request(arguments)
    assert (raised.value.code, raised.value.message) == ("unsupported", says)


def picture(data: str) -> Json:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


@pytest.mark.parametrize(
    "start",
    [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"RIFF....WEBP"],
    ids=["PNG", "JPEG", "GIF87a", "GIF89a", "WebP"],
)
def test_a_picture_is_known_by_how_it_begins(start: bytes) -> None:
    block = picture(b64encode(start + bytes(30)).decode())
    assert conversation(user(block)) == [user(block)]


@pytest.mark.parametrize(
    "data",
    ["", "R0lGODlh!", "R0lG!ODlh", "R0lGODlé", b64encode(b"RIFF....WAVE").decode()],
    ids=["nothing", "a sign at the end", "a sign within", "no ASCII", "no picture"],
)
def test_what_does_not_begin_like_a_picture_in_base64_is_refused(data: str) -> None:
    with pytest.raises(RequestError, match=r"^messages\.0\.content\.0\.source\.data: a PNG, "):
        conversation(user(picture(data)))


def test_a_refusal_does_not_repeat_a_long_value() -> None:
    for arguments in (
        {"messages": [user({"type": "x" * 5_000})]},
        {"prompt": "a", "tool_choice": {"type": ["x"] * 5_000}},
    ):
        with pytest.raises(RequestError) as raised:
            parse_request(arguments)
        assert len(raised.value.message) < 300


def test_the_places_of_a_request_that_goes_on_are_those_of_its_own_messages() -> None:
    earlier = [user(text("a")), assistant(CALL)]
    request = parse_request({"messages": [user(RESULT), user(text(" "))], "session_id": "s"})
    with pytest.raises(RequestError, match=r"^messages\.1\.content\.0\.text: "):
        request.continue_from(earlier, system=None, model=None)


def test_going_on_sends_what_was_said_before_and_keeps_its_options() -> None:
    earlier = [user(text("a")), assistant(text("b"))]
    request = parse_request({"prompt": "c", "model": "opus", "session_id": "s"})
    going_on = request.continue_from(earlier, system="Be terse.", model="haiku")
    assert going_on.conversation == [*earlier, user(text("c"))]
    assert (going_on.system_prompt, going_on.model, going_on.prompt) == (["Be terse."], "opus", None)
    assert [{**message} for message in going_on.messages or []] == [*earlier, {"role": "user", "content": "c"}]


@pytest.mark.parametrize("earlier", [[], [user(text("a")), assistant(text("b"))]], ids=["first", "later"])
@pytest.mark.parametrize(
    ("own", "system", "model"),
    [
        ({}, ["Be terse."], "haiku"),
        ({"model": "opus"}, ["Be terse."], "opus"),
        ({"system": "Be kind."}, ["Be kind."], "haiku"),
        ({"system": ""}, [], "haiku"),
    ],
    ids=str,
)
def test_going_on_has_the_options_of_before_where_it_brings_none(
    earlier: list[Json], own: Json, system: list[str], model: str
) -> None:
    request = parse_request({"prompt": "c", "session_id": "s", **own})
    going_on = request.continue_from(earlier, system="Be terse.", model="haiku")
    assert (going_on.system_prompt, going_on.model) == (system, model)


def test_what_was_kept_of_a_conversation_must_be_one() -> None:
    request = parse_request({"prompt": "b", "session_id": "s"})
    with pytest.raises(RequestError, match=r"^messages\.0\.content\.0\.text: "):
        request.continue_from([user({"type": "text"})], system=None, model=None)


def test_a_prompt_is_brought_into_form_once() -> None:
    request = parse_request({"prompt": "hello"})
    assert request.continue_from([], system=None, model=None).conversation is request.conversation
    assert request.conversation == [user(text("hello"))]


def test_of_a_stream_the_events_of_a_later_api_are_told_from_those_that_are_known() -> None:
    delta: Event = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
    assert is_known(delta) and is_known({"type": "ping"})
    assert not is_known({"type": "of_a_later_api"})
