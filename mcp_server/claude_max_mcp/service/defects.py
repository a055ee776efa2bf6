"""A defect of this server, described for whoever repairs it, without a word of the request that met it.

In: an exception that was not expected. Out: where it was raised, through all its causes, and of which class each is.
Not its text: a library quotes in it what it was given.
"""

import traceback
from collections.abc import Iterator
from typing import cast


def describe_defect(defect: BaseException) -> str:
    """The places and classes of an exception and of its causes, the first cause first."""
    return "".join(_describe(defect))


def _describe(error: BaseException) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _describe(cause)
        yield "which led to\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"
    for inner in _list_grouped(error):
        yield from _describe(inner)


def _list_grouped(error: BaseException) -> tuple[BaseException, ...]:
    return cast("BaseExceptionGroup[BaseException]", error).exceptions if isinstance(error, BaseExceptionGroup) else ()
