"""What `make mutants` prints: how many changes of each module the tests noticed, and the names of those they did not.

Reads the lines of `mutmut results --all true`, each a mutant's name and what became of it, from standard input.

A mutant that no selected test reaches is `untested`. One that never ends is noticed, too: a `timeout`. The columns
add up to `mutants`, but for what is neither (`suspicious`, a crash, an interrupted run): those are listed with the
survivors, each with its status.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

COLUMNS = {"killed": "killed", "survived": "survived", "timeout": "timeouts", "no tests": "untested"}
"""From mutmut's words for what became of a mutant to the column in which it is counted."""
NOTICED = {"killed", "timeout"}


def read_results(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The name and the status of each mutant."""
    for line in lines:
        name, _, status = line.strip().rpartition(": ")
        if name:
            yield name, status


def format_table(results: list[tuple[str, str]]) -> Iterator[str]:
    """A line for each module, and one for all of them."""
    modules: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, status in sorted(results):
        modules[name.rpartition(".")[0]][status] += 1
    modules["all"] = sum(modules.values(), Counter[str]())
    width = max(map(len, modules))
    yield " ".join([" " * width, " mutants", *(f"{column:>8}" for column in COLUMNS.values())])
    for module, counts in modules.items():
        yield " ".join([f"{module:{width}}", f"{counts.total():8}", *(f"{counts[status]:8}" for status in COLUMNS)])


def main() -> None:
    results = list(read_results(sys.stdin))
    unnoticed = [f"{name}: {status}" for name, status in results if status not in NOTICED | {"no tests"}]
    sys.stdout.writelines(f"{line}\n" for line in [*sorted(unnoticed), "", *format_table(results)])


if __name__ == "__main__":
    main()
