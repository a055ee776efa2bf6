"""What a look at the chain finds: how bad it is, what it is, what cures it."""

from dataclasses import dataclass
from typing import Literal

from claude_max_mcp.errors import ClaudeMaxError

Level = Literal["ok", "warning", "problem"]

Kind = Literal["server_answers", "no_server"]
"""Findings that code has to recognise: a server of ours runs and lets us in; none runs, and the port is free."""


@dataclass(frozen=True)
class Finding:
    """One line for a person.

    Attributes:
        level: `problem` if requests fail because of it, `warning` if they may.
        what: what was found.
        cure: what to do about it; None only where nothing is to be done.
        kind: which finding it is, where code has to know.
    """

    level: Level
    what: str
    cure: str | None = None
    kind: Kind | None = None


def as_problem(error: ClaudeMaxError) -> Finding:
    """An error as the finding of a problem, which is a phrase and no sentence."""
    phrase = error.problem[:1].lower() + error.problem[1:].removesuffix(".")
    return Finding("problem", phrase, error.advice)
