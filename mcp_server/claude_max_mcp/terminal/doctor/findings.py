"""What a look at the chain finds: how bad it is, what it is, what cures it."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line for a person.

    Attributes:
        level: `problem` if requests fail because of it, `warning` if they may.
        what: what was found.
        cure: what to do about it; None where nothing is to be done.
    """

    level: Level
    what: str
    cure: str | None = None


def ok(what: str) -> Finding:
    """All is well here."""
    return Finding("ok", what)


def warning(what: str, cure: str) -> Finding:
    """Requests may fail, or do what is not wanted."""
    return Finding("warning", what, cure)


def problem(what: str, cure: str) -> Finding:
    """Requests fail until this is cured."""
    return Finding("problem", what, cure)
