"""Conversations that somebody goes on with by an id, kept in files for a while.

In: what was said and the model's answer to it. Out: an id, and later, by that id, all that was said; a restart of the
server changes nothing. Whoever knows an id may go on with it, so ids cannot be guessed, and the files are the owner's
alone. A session is a folder with one file, named by its turn: the file of the next turn is created only if nobody
else has done so meanwhile, also where several servers share the folder.
"""

import logging
import re
import shutil
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from anyio import to_thread
from pydantic import BaseModel, ValidationError

from claude_max_mcp.errors import InvalidRequest
from claude_max_mcp.messages import Json, TextBlock, TextOr
from claude_max_mcp.private_files import create_file

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 600.0
"""Seconds between two searches for sessions that are over."""


class Said(BaseModel):
    """A conversation up to an answer, and what goes on shaping it unless the next request says otherwise."""

    messages: list[Json] = []
    system: TextOr[TextBlock] | None = None
    model: str | None = None


@dataclass(frozen=True)
class Session:
    """A conversation as it was found; a new one has no turns yet."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    turn: int = 0
    said: Said = field(default_factory=Said)


class Sessions:
    """The sessions in one folder.

    Args:
        folder: where they are; it is created when the first one is kept.
        hours: how long after its latest answer a session can be gone on with; 0 keeps none.
    """

    def __init__(self, folder: Path, hours: float) -> None:
        self._folder = folder
        self._hours = hours
        self._swept = -SWEEP_SECONDS

    @property
    def enabled(self) -> bool:
        """Whether any are kept."""
        return self._hours > 0

    async def find(self, session_id: str) -> Session:
        """The session of an id.

        Raises:
            RequestError: there is none, or it is too old.
        """
        session = await to_thread.run_sync(self._find, session_id) if _ID.fullmatch(session_id) else None
        if session is None:
            raise InvalidRequest(
                "session_id: this server has no such conversation. One can be gone on with for "
                f"{self._hours:g} hours after its latest answer. Leave `session_id` out to begin a new one."
            )
        return session

    async def keep(self, session: Session, said: Said) -> str | None:
        """Keep what was said, and give the id for going on; None if it cannot be kept.

        It is the session's own id, unless somebody else has gone on with it meanwhile: then it is a new one.
        """
        if not self.enabled:
            return None
        try:
            return await to_thread.run_sync(self._keep, session, said)
        except OSError as error:
            logger.warning("A conversation cannot be kept in %s, so it gets no session_id: %s", self._folder, error)
            return None

    async def remove_old(self) -> None:
        """Remove the sessions that are over; with 0 hours, all."""
        await to_thread.run_sync(self._remove_old)

    def _find(self, session_id: str) -> Session | None:
        for _ in range(2):  # the file may be replaced by that of the next turn between looking and reading
            latest = max((self._folder / session_id).glob("*.json"), key=_read_turn, default=None)
            if latest is None or self._is_over(latest):
                return None
            try:
                return Session(session_id, _read_turn(latest), Said.model_validate_json(latest.read_bytes()))
            except FileNotFoundError:
                continue
            except ValidationError:
                logger.warning("The file %s is not a conversation of this version.", latest)
                return None
        return None

    def _keep(self, session: Session, said: Said) -> str:
        self._sweep()
        content = said.model_dump_json().encode()
        try:
            create_file(self._find_file(session.id, session.turn + 1), content)
        except FileExistsError:
            session = Session()
            create_file(self._find_file(session.id, 1), content)
        self._find_file(session.id, session.turn).unlink(missing_ok=True)
        return session.id

    def _find_file(self, session_id: str, turn: int) -> Path:
        return self._folder / session_id / f"{turn}.json"

    def _sweep(self) -> None:
        if time.monotonic() - self._swept < SWEEP_SECONDS:
            return
        self._remove_old()

    def _remove_old(self) -> None:
        self._swept = time.monotonic()
        for folder in self._folder.glob("*"):
            if _ID.fullmatch(folder.name) and self._is_over(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def _is_over(self, path: Path) -> bool:
        try:
            return time.time() - path.stat().st_mtime > self._hours * 3600
        except FileNotFoundError:
            return True


_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _read_turn(path: Path) -> int:
    return int(path.stem) if path.stem.isdecimal() else 0
