"""Every behaviour that a strict reviewer would look for has a test, here or next door."""

import re
from pathlib import Path

from .behaviours import ALL, EMBEDDED_TOO

TESTS = Path(__file__).parents[2]


def test_each_of_the_forty_behaviours_is_shown_by_a_test() -> None:
    assert set(range(1, 41)) == ALL
    sources = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    shown = {int(number) for marks in re.findall(r"@behaviour\(([\d, ]+)\)", sources) for number in marks.split(",")}
    assert ALL - shown == set()


def test_those_that_the_route_could_change_are_shown_on_both_routes() -> None:
    assert EMBEDDED_TOO.keys() <= ALL and all(EMBEDDED_TOO.values())
