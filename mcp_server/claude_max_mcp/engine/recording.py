"""The transcript of one conversation as its process writes it, and the points at which it can be gone on with.

In: the lines that a process mirrors, and each answer with the key of the conversation up to it. Out: lines and points
for `Transcripts`. A point is set only behind the very blocks of the answer: if the CLI has written down anything else,
there is none, and the conversation is written down anew when it goes on without its process.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias
from uuid import uuid4

from claude_max_mcp.claude.transcript import encode_line
from claude_max_mcp.engine.transcripts import Kept, Part, Transcripts
from claude_max_mcp.messages import Block, Json, is_object

IsAnswer: TypeAlias = Callable[[Sequence[Block]], bool]
"""Whether the blocks that were written down since the last point are the whole of an answer."""


class Recording:
    """Records one conversation.

    Args:
        transcripts: keeps what is recorded.
        kept: what the process has resumed, if that was kept already.
        written: what it has resumed otherwise.
    """

    def __init__(self, transcripts: Transcripts, kept: Kept | None = None, written: Sequence[Json] = ()) -> None:
        self._transcripts = transcripts
        self._parts = kept.parts if kept else ()
        self._known = {line["uuid"] for line in kept.lines} if kept else set[Any]()
        self._file = str(uuid4())
        self._unsaved: list[bytes] = []
        self._length = 0
        self._digest = hashlib.sha256()
        self._blocks: list[Block] = []  # of the answers since the last point
        self._awaited: tuple[str, IsAnswer] | None = None
        self._answered = False
        self.announced: list[Json] = []
        """The lines before the first answer; among them those in which the CLI announces its surroundings."""
        for line in written:
            self.add(line)

    def start_anew(self) -> "Recording":
        """A recording of the next conversation in the same process, which has forgotten this one."""
        return Recording(self._transcripts)

    def hear(self, lines: Iterable[Json]) -> None:
        """Take lines that the process has mirrored: all that belong to this conversation, as their parents do."""
        for line in lines:
            if self._is_ours(line):
                self._take(line)

    def end_answer(self, key: str, is_answer: IsAnswer) -> None:
        """Set a point behind an answer, now or as soon as the process has written it down.

        Args:
            key: of the conversation up to this answer.
            is_answer: whether blocks are this answer.
        """
        self._awaited = (key, is_answer)
        self._set_point()

    def _is_ours(self, line: Json) -> bool:
        uuid, parent = line.get("uuid"), line.get("parentUuid")
        if uuid is None or uuid in self._known or line.get("isSidechain"):
            return False
        return parent in self._known or (parent is None and not self._known)

    def _take(self, line: Json) -> None:
        blocks = _read_blocks(line)
        self._answered = self._answered or bool(blocks)
        if not self._answered:
            self.announced.append(line)
        if line.get("type") == "user" and self._awaited and self._blocks:
            self._awaited, self._blocks = None, []  # it goes on, and what it has written was not that answer
        self.add(line)
        self._blocks += blocks
        self._set_point()

    def add(self, line: Json) -> None:
        """Take a line that the process has resumed, and so does not mirror."""
        self._known.add(line["uuid"])
        content = encode_line(line)
        self._unsaved.append(content)
        self._length += len(content)
        self._digest.update(content)

    def _set_point(self) -> None:
        if self._awaited is None or not self._blocks or not self._awaited[1](self._blocks):
            return
        part = Part(file=self._file, length=self._length, digest=self._digest.hexdigest())
        self._transcripts.keep(self._parts, part, b"".join(self._unsaved), self._awaited[0])
        self._unsaved.clear()
        self._awaited, self._blocks = None, []


def _read_blocks(line: Json) -> list[Block]:
    """What an answer's line holds; each block has a line of its own."""
    message: Any = line.get("message")
    if line.get("type") != "assistant" or not is_object(message) or not isinstance(message.get("content"), list):
        return []
    return message["content"]
