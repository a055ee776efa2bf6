"""The messages of a conversation: checked, brought into one form, and named.

In: `messages` as callers write them. Out: the same with every content a list of blocks, consecutive messages of one
role joined (as the Messages API itself does), and no cache breakpoints; and a fingerprint, by which a live process
is found that holds exactly this conversation.
"""

import hashlib
import json
from base64 import b64decode
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeGuard

from claude_max_mcp.errors import invalid, unsupported

Json: TypeAlias = dict[str, Any]
"""A JSON object whose fields this project does not name."""

USER_BLOCKS = frozenset({"text", "image", "document", "tool_result"})
ASSISTANT_BLOCKS = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
CARRIED = {"user": USER_BLOCKS, "assistant": ASSISTANT_BLOCKS}


def normalise(messages: Sequence[Any]) -> list[Json]:
    """Check a conversation and bring it into one form.

    Raises:
        RequestError: `invalid_request` or `unsupported`, with the place that is wrong.
    """
    joined: list[Json] = []
    for index, message in enumerate(messages):
        role, blocks = _checked(message, f"messages.{index}")
        if joined and joined[-1]["role"] == role:
            joined[-1]["content"].extend(blocks)
        else:
            joined.append({"role": role, "content": blocks})
    if not joined:
        raise invalid("messages: at least one is needed.")
    if joined[0]["role"] != "user" or joined[-1]["role"] != "user":
        raise invalid("messages: the first and the last message must be the user's.")
    _check_calls(joined)
    return joined


def fingerprint(shape: Any, messages: Sequence[Json]) -> str:
    """A name for a conversation and what shapes it: equal for equal content, whatever the order of keys."""
    said = [[message["role"], [_essence(block) for block in message["content"]]] for message in messages]
    return hashlib.sha256(json.dumps([shape, said], sort_keys=True).encode()).hexdigest()


def _essence(block: Json) -> Json:
    """What a block says; Claude's own come back from callers without what the API put beside it."""
    names = ESSENCE.get(block["type"])
    return block if names is None else {name: block.get(name) for name in names}


ESSENCE = {
    "text": ("type", "text"),
    "thinking": ("type", "thinking", "signature"),
    "redacted_thinking": ("type", "data"),
    "tool_use": ("type", "id", "name", "input"),
}


def calls(message: Json) -> list[str]:
    """The ids of the tool calls in a message."""
    return [block["id"] for block in message["content"] if block["type"] == "tool_use"]


def results(message: Json) -> dict[str, Json]:
    """The tool results in a message, by the id of their call."""
    return {block["tool_use_id"]: block for block in message["content"] if block["type"] == "tool_result"}


def _checked(message: Any, where: str) -> tuple[str, list[Json]]:
    if not isinstance(message, dict):
        raise invalid(f"{where}: a message is an object with `role` and `content`.")
    role, content = message.get("role"), message.get("content")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if role not in CARRIED:
        raise invalid(f"{where}.role: `user` or `assistant` is needed; the system prompt goes into `system`.")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list) or not content:
        raise invalid(f"{where}.content: text or a list of blocks is needed.")
    return role, [_block(block, role, f"{where}.content.{at}") for at, block in enumerate(content)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _block(block: Any, role: str, where: str) -> Json:
    if not _is_block(block):
        raise invalid(f"{where}: a block is an object with a `type`.")
    kind = block["type"]
    if kind not in CARRIED[role]:
        raise unsupported(
            f"{where}: a {kind!r} block", f"A message of the {role} may hold {', '.join(sorted(CARRIED[role]))}."
        )
    for name in REQUIRED.get(kind, ()):
        if not isinstance(block.get(name), str):
            raise invalid(f"{where}.{name}: text is needed.")
    if kind == "text" and not block["text"].strip():
        raise invalid(f"{where}.text: a text block must say something.")
    if kind == "image":
        _check_image(block, where)
    return _plain(block)


PICTURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
"""How the files begin that the Messages API takes as images; WebP is told by two places."""


def picture_type(content: bytes) -> str | None:
    """The media type of an image, by its first twelve bytes; None if Claude cannot see it."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in PICTURES.items() if content.startswith(start)), None)


def _check_image(block: Json, where: str) -> None:
    """Refuse what is no picture; the CLI would put a remark of its own in its place."""
    match block.get("source"):
        case {"type": "base64", "data": str(data)}:
            try:
                begins = b64decode(data[:16], validate=True)
            except ValueError:
                begins = b""
            if picture_type(begins) is None:
                raise invalid(f"{where}.source.data: a PNG, JPEG, GIF or WebP in base64 is needed.")
        case {"type": "url", "url": str()}:
            pass
        case _:
            raise invalid(f"{where}.source: `base64` with `data` and `media_type`, or `url` with `url` is needed.")


def _is_block(value: Any) -> TypeGuard[Json]:
    return isinstance(value, dict) and isinstance(value.get("type"), str)  # pyright: ignore[reportUnknownMemberType]


REQUIRED = {
    "text": ("text",),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
    "tool_use": ("id", "name"),
    "tool_result": ("tool_use_id",),
}


def _plain(block: Json) -> Json:
    """The block without what is not content: cache breakpoints are the CLI's, and nulls say nothing."""
    kept = {name: value for name, value in block.items() if name != "cache_control" and value is not None}
    if kept["type"] == "tool_result" and isinstance(kept.get("content"), list):
        kept["content"] = [_plain(part) for part in kept["content"]]
    return kept


def _check_calls(messages: list[Json]) -> None:
    """Every call is answered in the very next message, as the Messages API wants it; the CLI would invent an answer."""
    for index, message in enumerate(messages):
        called = set(calls(messages[index - 1])) if index else set[str]()
        answered = set(results(message))
        if missing := called - answered:
            raise invalid(f"messages.{index}: the tool call {min(missing)} has no `tool_result`.")
        if stray := answered - called:
            raise invalid(f"messages.{index}: the `tool_result` {min(stray)} answers no call of the message before it.")
