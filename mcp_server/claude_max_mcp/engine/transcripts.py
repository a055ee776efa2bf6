"""The CLI's own transcripts, kept on disk for a while, so that a conversation outlives its process.

In: lines as processes write them, and the points at which a conversation can be gone on with. Out: the lines up to such
a point, by the key of all that was said; or nothing, and then the conversation is written down anew. Whatever is
damaged, cut short or another version's is not used. What the lines mean is not known here.

On disk a process's lines are one file, to which only it adds. A point is a small file that names the parts of others:
so a conversation of any length is there once, however many points and branches it has. The time of a file's last change
is that of its last use. Everything is written by one task, in order, beside the requests; a reader waits for what was
queued before.
"""

import hashlib
import logging
import math
import os
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from pydantic import BaseModel, TypeAdapter, ValidationError

from claude_max_mcp.background import beside
from claude_max_mcp.messages import Json
from claude_max_mcp.private_files import append_to_file, make_folder, replace_file

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 60.0
"""Seconds between two searches for files whose time is over; less where their time is short."""

CLOSE_SECONDS = 5.0
"""Seconds for writing what is still queued when the server ends."""

_Job: TypeAlias = Callable[[], object] | anyio.Event
"""Something to do in a thread, or something to set when all before it is done."""

_LINE: TypeAdapter[Json] = TypeAdapter(Json)


class Part(BaseModel):
    """The beginning of a file of lines."""

    file: str
    length: int
    """In bytes."""
    digest: str
    """The SHA-256 of these bytes."""


class Point(BaseModel):
    """Where a conversation can be gone on with: all lines of the parts, in order."""

    parts: list[Part]
    version: str
    """The CLI whose lines they are."""


@dataclass(frozen=True)
class Kept:
    """A conversation that was found."""

    parts: tuple[Part, ...]
    lines: tuple[Json, ...]


@dataclass
class TranscriptStats:
    """What has been looked for since the start, and what is there."""

    found: int = 0
    missing: int = 0
    unusable: int = 0
    evicted: int = 0
    """Files that were removed before their time, as there was no room."""
    files: int = 0
    bytes: int = 0
    problem: str | None = None
    """Why nothing can be kept at the moment."""


class Transcripts:
    """The transcripts in one folder, which several servers may share. Use it inside `open()`.

    Args:
        folder: where they are.
        seconds: how long after its last use a conversation is kept; 0 keeps none, and removes what is there.
        most: bytes that all files may take; beyond it those go that were not used for longest.
        version: the version of the CLI; lines of another one are not used.
    """

    def __init__(self, folder: Path, *, seconds: float, most: int, version: str) -> None:
        self._folder = folder
        self._seconds = seconds
        self._most = most
        self._version = version
        self._jobs: MemoryObjectSendStream[_Job] | None = None  # None unless open
        self.stats = TranscriptStats()

    def __repr__(self) -> str:
        return f"<Transcripts files={self.stats.files} bytes={self.stats.bytes}>"

    @property
    def enabled(self) -> bool:
        """Whether anything is kept."""
        return self._seconds > 0

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Write and remove for the length of a block; leaving it writes what is queued."""
        jobs, queued = anyio.create_memory_object_stream[_Job](math.inf)
        jobs.send_nowait(self._sweep)
        with jobs, queued:
            async with beside(partial(self._run_jobs, queued), partial(self._keep_sweeping, jobs)):
                self._jobs = jobs
                try:
                    yield
                finally:
                    self._jobs = None
                    with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_SECONDS):
                        await _finish(jobs)

    def keep(self, parts: Sequence[Part], part: Part, content: bytes, key: str) -> None:
        """Queue the lines of one more turn, and the point behind them; nothing is awaited.

        Args:
            parts: what comes before the lines' file.
            part: how far the file goes then. Only this caller adds to it.
            content: the lines that are new in it.
            key: of the conversation up to there.
        """
        if self._jobs is not None and self.enabled:
            self._jobs.send_nowait(partial(self._write, parts, part, content, key))

    async def find(self, key: str) -> Kept | None:
        """The conversation of that key, if it is here and whole."""
        if self._jobs is None or not self.enabled:
            return None
        await _finish(self._jobs)
        return await anyio.to_thread.run_sync(self._read, key)

    async def _run_jobs(self, queued: MemoryObjectReceiveStream[_Job]) -> None:
        async for job in queued:
            if isinstance(job, anyio.Event):
                job.set()
                continue
            try:
                await anyio.to_thread.run_sync(job)
            except OSError as error:
                if self.stats.problem is None:
                    logger.warning("Conversations cannot be kept in %s: %s", self._folder, error.strerror)
                self.stats.problem = f"Conversations cannot be kept in {self._folder} ({error.strerror})."

    async def _keep_sweeping(self, jobs: MemoryObjectSendStream[_Job]) -> None:
        while self.enabled:
            await anyio.sleep(min(SWEEP_SECONDS, self._seconds))
            jobs.send_nowait(self._sweep)

    # What follows runs in a thread, one job at a time.

    def _find_file(self, name: str) -> Path:
        return self._folder / "lines" / f"{name}.jsonl"

    def _find_point(self, key: str) -> Path:
        return self._folder / "points" / f"{key}.json"

    def _write(self, parts: Sequence[Part], part: Part, content: bytes, key: str) -> None:
        lines, point = self._find_file(part.file), Point(parts=[*parts, part], version=self._version)
        self.stats.files += 1 + (not lines.exists())
        append_to_file(lines, content)
        written = point.model_dump_json().encode()
        replace_file(self._find_point(key), written)
        self._touch(self._find_point(key), parts)
        self.stats.problem = None
        self.stats.bytes += len(content) + len(written)
        if self.stats.bytes > self._most:
            self._sweep()

    def _read(self, key: str) -> Kept | None:
        path = self._find_point(key)
        try:
            if self._is_over(path):
                raise FileNotFoundError(path)
            point = Point.model_validate_json(path.read_bytes())
            if point.version != self._version:
                raise ValueError("they are another version's")
            lines = [line for part in point.parts for line in self._read_part(part)]
            if not lines:
                raise ValueError("there are none")
        except FileNotFoundError:
            self.stats.missing += 1
            return None
        except (OSError, ValueError) as error:  # a ValidationError is a ValueError
            reason = "they are damaged" if isinstance(error, ValidationError) else error
            logger.warning("The lines of a conversation in %s are not used: %s.", self._folder, reason)
            self.stats.unusable += 1
            return None
        self._touch(path, point.parts)
        self.stats.found += 1
        return Kept(tuple(point.parts), tuple(lines))

    def _read_part(self, part: Part) -> list[Json]:
        with self._find_file(part.file).open("rb") as file:
            content = file.read(part.length)
        if hashlib.sha256(content).hexdigest() != part.digest:
            raise ValueError("they are damaged")
        return [_LINE.validate_json(line) for line in content.splitlines()]

    def _touch(self, point: Path, parts: Sequence[Part]) -> None:
        """Let them be kept for longer, as far as they are still there."""
        for path in (point, *(self._find_file(part.file) for part in parts)):
            with suppress(OSError):
                os.utime(path)

    def _is_over(self, path: Path) -> bool:
        return time.time() - path.stat().st_mtime > self._seconds

    def _sweep(self) -> None:
        """Remove what is over, then what was not used for longest, until there is room; count what is left."""
        left: list[tuple[float, int, Path]] = []
        for path in [*self._folder.glob("lines/*"), *self._folder.glob("points/*")]:
            try:
                state = path.stat()
                if not self.enabled or time.time() - state.st_mtime > self._seconds:
                    path.unlink()
                else:
                    left.append((state.st_mtime, state.st_size, path))
            except FileNotFoundError:  # another server was quicker
                continue
        total = sum(size for _, size, _ in left)
        left.sort(key=lambda entry: entry[0], reverse=True)
        while total > self._most and left:
            _, size, path = left.pop()
            path.unlink(missing_ok=True)
            total -= size
            self.stats.evicted += 1
        self.stats.files, self.stats.bytes = len(left), total
        if self.enabled:
            make_folder(self._folder)


async def _finish(jobs: MemoryObjectSendStream[_Job]) -> None:
    """Wait until all that is queued by now is done."""
    done = anyio.Event()
    jobs.send_nowait(done)
    await done.wait()
