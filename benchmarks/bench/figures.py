"""Figures: samples, where and when they were taken, tables of them, and the same as JSON.

In: seconds, counts. Out: what a person reads and what a program keeps. What was measured it does not know.
"""

import json
import math
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass
class Samples:
    """Samples of one quantity, in seconds; read in milliseconds."""

    seconds: list[float] = field(default_factory=list[float])

    def add(self, seconds: float) -> None:
        self.seconds.append(seconds)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) * 1000

    @property
    def least(self) -> float:
        return min(self.seconds) * 1000

    def quantile(self, share: float) -> float:
        """The smallest sample that at least this share of all do not exceed."""
        return sorted(self.seconds)[math.ceil(len(self.seconds) * share) - 1] * 1000


@dataclass(frozen=True)
class Facts:
    """Where and when something was measured."""

    date: str
    cores: int
    system: str
    python: str
    cli: str | None
    load: float
    """Processes that wanted a core when it began, on average over a minute: 0 is an idle machine."""

    @classmethod
    def now(cls, cli: str | None = None) -> "Facts":
        date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        system, python = f"{platform.system()} {platform.machine()}", platform.python_version()
        return cls(date, os.cpu_count() or 0, system, python, cli, os.getloadavg()[0])

    def __str__(self) -> str:
        machine = f"{self.cores} cores, {self.system}, load {self.load:.1f}, Python {self.python}"
        return f"{self.date}; {machine}" + (f"; claude {self.cli}" if self.cli else "")


@dataclass(frozen=True)
class Verdict:
    """One thing that must be reached, and what was."""

    what: str
    reached: float
    limit: float
    unit: str = "ms"
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.reached >= self.limit if self.at_least else self.reached <= self.limit

    def __str__(self) -> str:
        word, bound = "met    " if self.met else "NOT MET", "at least" if self.at_least else "at most"
        return f"{word} {self.what}: {self.reached:.2f} ({bound} {self.limit:g} {self.unit})"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table whose first column is words and the others numbers."""
    grid = Table(title=title)
    for at, name in enumerate(columns):
        grid.add_column(name, justify="left" if at == 0 else "right", no_wrap=at == 0)
    for row in rows:
        grid.add_row(*(f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row))
    return grid


def show(grid: Table, facts: Facts, verdicts: Iterable[Verdict], further: Iterable[str] = ()) -> None:
    """Print a table, what it was measured on, and what it is for."""
    out = Console(width=120)
    out.print(grid)
    out.print(*(str(line) for line in (facts, *further, *verdicts)), sep="\n", markup=False, highlight=False)


def write(file: Path | None, facts: Facts, verdicts: Iterable[Verdict], **measured: Any) -> None:
    """Write everything as JSON, if a file is wanted."""
    if file is None:
        return
    judged = [{**vars(verdict), "met": verdict.met} for verdict in verdicts]
    file.write_text(json.dumps({"facts": vars(facts), "verdicts": judged, **measured}, indent=2, default=_plain) + "\n")


def _plain(value: object) -> object:
    if isinstance(value, Samples):
        return [second * 1000 for second in value.seconds]
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return vars(value)
