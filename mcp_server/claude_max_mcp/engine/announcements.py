"""What the CLI announces of its surroundings, remembered for the transcripts that are written for it.

In: the lines of conversations, as their processes write them. Out: the announcements for a model and a folder, with
the date of today. They hold nothing that anybody said. They are kept in a file, so that the first request after a
start has them too; where that is not possible, they are remembered as long as the server runs.
"""

import json
import logging
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from claude_max_mcp.claude.transcript import find_announced, find_announcements
from claude_max_mcp.messages import Json
from claude_max_mcp.private_files import replace_file

logger = logging.getLogger(__name__)

MOST = 64
"""Models and folders that are remembered: the latest."""

_FILE: TypeAdapter[dict[str, list[Json]]] = TypeAdapter(dict[str, list[Json]])


class Announcements:
    """The announcements that are known.

    Args:
        path: the file in which they are kept.
        surroundings: what they hold for beside model and folder, such as the CLI's file.
    """

    def __init__(self, path: Path, surroundings: str) -> None:
        self._path = path
        self._surroundings = surroundings
        self._known = _read(path)

    def find(self, model: str, folder: Path) -> list[Json]:
        """What a CLI announces now; nothing where that is not known."""
        name, today = self._name(model, folder), date.today().isoformat()
        if name not in self._known:
            self._known = {**_read(self._path), **self._known}  # another server may have learned it
        return [_as_of(today, line) for line in self._known.get(name, [])]

    def remember(self, model: str, folder: Path, lines: Iterable[Json]) -> None:
        """Take over what a process has announced before its first answer."""
        found, name = find_announcements(lines), self._name(model, folder)
        if not found or found == self._known.get(name):
            return
        others = [(other, kept) for other, kept in self._known.items() if other != name]
        self._known = {**dict(others[-MOST + 1 :]), name: found}
        try:
            replace_file(self._path, json.dumps(self._known).encode())
        except OSError as error:
            logger.warning("What the CLI announces cannot be kept in %s: %s", self._path, error)

    def _name(self, model: str, folder: Path) -> str:
        return f"{self._surroundings} {model} {folder}"


def _read(path: Path) -> dict[str, list[Json]]:
    try:
        return _FILE.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return {}


def _as_of(today: str, line: Json) -> Json:
    """An announcement with today's date, if it announces a date."""
    if find_announced(line) != "date":
        return line
    earlier = str(line["attachment"].get("date"))
    return json.loads(json.dumps(line).replace(earlier, today))
