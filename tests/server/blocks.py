"""Blocks of the Messages API, one of each kind that may be sent, and messages made of them."""

from typing import Any

from tests.samples import IMAGE, Json

CALL: Json = {"type": "tool_use", "id": "toolu_1", "name": "get", "input": {"city": "Oslo"}}
RESULT: Json = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
TOOL: Json = {"name": "get", "input_schema": {"type": "object"}}


def user(*blocks: Any) -> Json:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str) -> Json:
    return {"type": "text", "text": words}


TAKEN: list[Json] = [
    text("hello"),
    {"text": "fields in another order", "later": 1, "type": "text"},
    {"type": "text", "text": "cited", "citations": [{"type": "char_location", "start_char_index": 0}]},
    IMAGE,
    {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}, "title": "notes"},
    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
    {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}, "citations": {"enabled": True}},
    {"type": "document", "source": {"type": "content", "content": [text("a")]}},
    {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
]
"""What the user may say."""

RESULTS: list[Any] = [
    "",
    "sunny",
    [],
    [text("")],
    [text("sunny"), IMAGE],
    [{"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": "Qk0="}}],
    [{"type": "search_result", "source": "https://example.org", "title": "a", "content": [text("b")]}],
    [{"type": "of_a_later_api", "text": 7}],
]
"""What a tool may have answered."""

CLAUDES: list[Json] = [
    {"type": "thinking", "thinking": "", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "cmVk"},
    text("hello"),
    {**CALL, "input": {"z": 1, "a": 10**40, "half": 0.5, "text": "5", "none": None, "cache_control": 1, "type": "x"}},
    {**CALL, "input": {}, "caller": {"type": "direct"}},
]
"""What Claude may have said."""
