"""What the schema of `ask_claude` tells a client, and that it is the truth."""

import json

import pytest
from jsonschema.validators import Draft202012Validator
from mcp import Client

from claude_max_mcp.errors import RequestError
from claude_max_mcp.front.mcp import ASK_CLAUDE
from claude_max_mcp.wire import parse_request
from tests.house import MODERN, House, asked
from tests.samples import IMAGE, Json

from .blocks import CALL, CLAUDES, RESULT, RESULTS, TAKEN, TOOL, assistant, text, user

MOST_CHARACTERS = 8_000
"""Of the schema of `ask_claude`: it stands in the context of each conversation in which a client lists the tools."""


def test_what_ask_claude_takes_is_said_in_few_words_that_every_client_knows() -> None:
    schema = json.dumps(ASK_CLAUDE.input_schema, separators=(",", ":"))
    assert len(schema) <= MOST_CHARACTERS
    assert not {"anyOf", "oneOf", "allOf", "$ref", "$defs"} & ASK_CLAUDE.input_schema.keys()
    for word in ("$ref", "oneOf", "allOf", "const", "discriminator"):
        assert f'"{word}":' not in schema


def accepts(arguments: Json) -> bool:
    """Whether the schema of `ask_claude` takes these arguments."""
    return Draft202012Validator(ASK_CLAUDE.input_schema).is_valid(arguments)  # pyright: ignore[reportUnknownMemberType]


VALID: list[Json] = [
    {"prompt": "hello", "messages": None, "system": None, "tools": None, "tool_choice": None, "thinking": None},
    {"prompt": "hello", "output_config": None, "output_schema": None, "max_tokens": None, "timeout": None},
    {"prompt": "hello", "session_id": "s", "model": "claude-opus-4-5", "workspace": "read", "stream": "events"},
    {"prompt": "hello", "system": [{**text("Be terse."), "cache_control": {"type": "ephemeral"}}], "timeout": 2.5},
    {"prompt": "hello", "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}, "timeout": 5},
    {"prompt": "hello", "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}, "x": 1}}},
    {"prompt": "hello", "output_schema": {"type": "object"}, "max_tokens": 5},
    {"prompt": "hello", "tools": [{**TOOL, "type": None, "description": None}], "tool_choice": {"type": "none"}},
    {"prompt": "hello", "tools": [{**TOOL, "type": "custom", "strict": True}], "tool_choice": {"type": "auto", "x": 1}},
    {"messages": [{"role": "user", "content": "hello", "later": 1}]},
    *({"messages": [user(block)]} for block in TAKEN),
    *({"messages": [user(text("a")), assistant(CALL), user({**RESULT, "content": content})]} for content in RESULTS),
    {"messages": [user(text("a")), assistant(CALL), user({**RESULT, "content": None, "is_error": None})]},
    {"messages": [user(text("a")), assistant(*(block for block in CLAUDES if "input" not in block)), user(text("b"))]},
]


@pytest.mark.parametrize("arguments", VALID)
def test_the_schema_of_ask_claude_takes_what_the_server_takes(arguments: Json) -> None:
    parse_request(arguments)
    assert accepts(arguments)


INVALID: list[Json] = [
    {"prompt": 7},
    {"prompt": "hello", "temperature": 1},
    {"prompt": "hello", "timeout": "5"},
    {"prompt": "hello", "system": [IMAGE]},
    {"prompt": "hello", "tools": [{"name": "get"}]},
    {"prompt": "hello", "tools": [{"type": "web_search_20250305", **TOOL}]},
    {"prompt": "hello", "tool_choice": {"type": "any"}},
    {"prompt": "hello", "output_config": {"format": {"type": "json_schema"}}},
    {"messages": ["hello"]},
    {"messages": [{"role": "system", "content": "hello"}]},
    {"messages": [user("hello")]},
    {"messages": [user({"type": "text"})]},
    {"messages": [user(CALL)]},
    {"messages": [user({"type": "image", "source": {"type": "file", "file_id": "f"}})]},
    {"messages": [user(text("a")), assistant({**CALL, "input": "{}"}), user(RESULT)]},
    {"messages": [user(text("a")), assistant(CALL), user({**RESULT, "tool_use_id": 1})]},
]


@pytest.mark.parametrize("arguments", INVALID)
def test_the_schema_of_ask_claude_tells_what_a_message_and_its_blocks_are(arguments: Json) -> None:
    with pytest.raises(RequestError):
        parse_request(arguments)
    assert not accepts(arguments)


async def test_a_client_that_goes_by_the_schema_is_answered(house: House) -> None:
    messages = [user(text("a"), IMAGE), assistant(text("b"), CALL), user({**RESULT, "is_error": True}, text("c"))]
    arguments: Json = {"messages": messages, "tools": [TOOL], "system": [text("Be terse.")]}
    async with Client(house.url, mode=MODERN) as client:
        ask, _ = (await client.list_tools()).tools
        Draft202012Validator(ask.input_schema).validate(arguments)  # pyright: ignore[reportUnknownMemberType]
        assert asked(await client.call_tool("ask_claude", arguments)).success
    assert house.standin.requests[0].messages[:2] == messages[:2]
