"""A conversation written down so that the CLI can take it up: one JSON line for each message.

In: Messages API messages. Out: a file for `--resume`. Upstream then gets the very blocks, in their order. The form
is the CLI's own, measured with the pinned version; the tests resume from it with the real binary.
"""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from typing_extensions import TypedDict

from claude_max_mcp.events import Usage
from claude_max_mcp.messages import Json, Message

WRITTEN = "2026-01-01T00:00:00.000Z"
"""When the messages are said to have been written; the CLI does not show it to the model."""

UNCOUNTED: Usage = {"input_tokens": 0, "output_tokens": 0}
"""The usage of an earlier answer, which nobody asks the CLI about."""


class TranscriptLine(TypedDict):
    """One message as the CLI writes it down."""

    type: Literal["user", "assistant"]
    uuid: str
    parentUuid: str | None
    sessionId: str
    message: Json
    timestamp: str
    cwd: str
    version: str
    isSidechain: bool
    userType: str


def write_transcript(messages: Sequence[Message], model: str, folder: Path) -> Path:
    """Write `messages` into a new file of `folder`.

    Args:
        messages: the conversation.
        model: the full id of the model that goes on; the CLI leaves out the thinking of any other.
        folder: where to write.

    Raises:
        OSError: there is no room for it.
    """
    session = str(uuid.uuid4())
    parent: str | None = None
    lines: list[str] = []
    for message in messages:
        line = _make_line(message, model, session, parent)
        parent = line["uuid"]
        lines.append(json.dumps(line) + "\n")
    path = folder / f"{session}.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _make_line(message: Message, model: str, session: str, parent: str | None) -> TranscriptLine:
    return {
        "type": message["role"],
        "uuid": str(uuid.uuid4()),
        "parentUuid": parent,
        "sessionId": session,
        "message": _as_answer(message, model) if message["role"] == "assistant" else {**message},
        "timestamp": WRITTEN,
        "cwd": "/",
        "version": "1",
        "isSidechain": False,
        "userType": "external",
    }


def _as_answer(message: Message, model: str) -> Json:
    called = any(block["type"] == "tool_use" for block in message["content"])
    return {
        "id": f"msg_{uuid.uuid4().hex[:24]}",
        "type": "message",
        "model": model,
        "stop_reason": "tool_use" if called else "end_turn",
        "stop_sequence": None,
        "usage": UNCOUNTED,
        **message,
    }
