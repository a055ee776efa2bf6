"""Transcripts, from which the CLI takes up a conversation: one JSON line for each thing that was said or announced.

In: Messages API messages, or lines that a CLI has written itself. Out: a file for `--resume`. Upstream then gets the
very blocks, in their order. The form is the CLI's own, measured with the pinned version; the tests resume from it with
the real binary. Where lines are kept is not known here.

A CLI announces its surroundings (folder, system, model, date) behind the first message of the user, by lines of its
own. Where they are missing it announces them behind the last message, which changes the whole prefix that Anthropic
has cached. So a transcript that is written here takes them over from a process that worked in the same surroundings.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path

from claude_max_mcp.events import Usage
from claude_max_mcp.messages import Json, Message

WRITTEN = "2026-01-01T00:00:00.000Z"
"""When the messages are said to have been written; the CLI does not show it to the model."""

UNCOUNTED: Usage = {"input_tokens": 0, "output_tokens": 0}
"""The usage of an earlier answer, which nobody asks the CLI about."""

ANNOUNCED = frozenset({"environment", "model", "session_context", "date"})
"""The kinds of lines in which the CLI announces its surroundings."""

OWN_FIELDS = frozenset({"uuid", "parentUuid", "sessionId", "timestamp"})
"""What differs between equal announcements in two transcripts."""


def make_lines(messages: Sequence[Message], model: str, announcements: Iterable[Json] = ()) -> list[Json]:
    """A transcript of `messages`.

    Args:
        messages: the conversation.
        model: the full id of the model that goes on; the CLI leaves out the thinking of any other.
        announcements: what a CLI in the same surroundings has announced, see `find_announcements`.
    """
    session, lines = str(uuid.uuid4()), list[Json]()

    def add(line: Json) -> None:
        parent = lines[-1]["uuid"] if lines else None
        own = {"uuid": str(uuid.uuid4()), "parentUuid": parent, "sessionId": session, "timestamp": WRITTEN}
        lines.append({**line, **own})

    for index, message in enumerate(messages):
        add(_make_line(message, model))
        if index == 0:
            for announcement in announcements:
                add(announcement)
    return lines


def make_next_line(message: Message, model: str, last: Json) -> Json:
    """The line of a message that follows the line `last`."""
    own = {"uuid": str(uuid.uuid4()), "parentUuid": last["uuid"], "sessionId": last["sessionId"]}
    return {**_make_line(message, model), **own, "timestamp": WRITTEN}


def write_lines(lines: Iterable[Json], folder: Path) -> Path:
    """Write lines into a new file of `folder`.

    Raises:
        OSError: there is no room for it.
    """
    path = folder / f"{uuid.uuid4()}.jsonl"
    path.write_bytes(b"".join(map(encode_line, lines)))
    return path


def encode_line(line: Json) -> bytes:
    """A line as it stands in a file."""
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def find_announcements(lines: Iterable[Json]) -> list[Json]:
    """The lines before the first answer in which a CLI has announced its surroundings; none unless all are there."""
    before = takewhile(lambda line: line.get("type") != "assistant", lines)
    found = [line for line in before if find_announced(line) in ANNOUNCED]
    if not {find_announced(line) for line in found} >= ANNOUNCED:
        return []
    return [{name: value for name, value in line.items() if name not in OWN_FIELDS} for line in found]


def find_announced(line: Json) -> str | None:
    """What kind of thing a line announces, or None."""
    match line:
        case {"attachment": {"type": str(kind)}}:
            return kind
        case _:
            return None


def _make_line(message: Message, model: str) -> Json:
    return {
        "type": message["role"],
        "message": _as_answer(message, model) if message["role"] == "assistant" else _as_said(message),
        "cwd": "/",
        "version": "1",
        "isSidechain": False,
        "userType": "external",
    }


def _as_said(message: Message) -> Json:
    """A message of the user as a process would have sent it: that a result is no error goes without saying."""
    blocks = [
        {name: value for name, value in block.items() if (name, value) != ("is_error", False)}
        if block["type"] == "tool_result"
        else block
        for block in message["content"]
    ]
    return {**message, "content": blocks}


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
