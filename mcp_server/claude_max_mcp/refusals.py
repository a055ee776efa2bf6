"""Refusals of what a caller sends: pydantic's errors, in the words of this project and at the caller's own places.

In: shapes that say by `Need` what they take, and the error of a value that does not fit. Out: one `RequestError` that
names the place as a person writes it (`messages.1.content.0.input`) and what is needed there. It knows no shape.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import Discriminator, GetCoreSchemaHandler, Tag, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from claude_max_mcp.errors import InvalidRequest, RequestError, Unsupported

T = TypeVar("T")

Place: TypeAlias = tuple[int | str, ...]
"""The fields and numbers that lead to a value, from the outside in."""

_BRANCH = "\0"
"""How the name of a branch begins: as no field does, since text with a NUL character is refused before."""

LONGEST_VALUE = 80
"""Characters of a caller's value that a refusal repeats."""

_NEEDS = {
    "missing": "the field is needed",
    "string_type": "text is needed",
    "list_type": "a list is needed",
    "dict_type": "an object is needed",
    "model_type": "an object is needed",
    "bool_type": "true or false is needed",
    "int_type": "a whole number is needed",
    "float_type": "a number is needed",
    "extra_forbidden": "there is no such field; leave it out",
}
"""What is said for pydantic's types of errors; of any other type, and where a shape has a `Need`, the error says it."""


@dataclass(frozen=True)
class Need:
    """An annotation: what is said where a value does not fit. Not for values that hold others: it hides their places.

    Attributes:
        text: what is needed; for `unsupported`, a sentence that says what to do instead.
        code: the code of the error.
    """

    text: str
    code: Literal["invalid_request", "unsupported"] = "invalid_request"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.custom_error_schema(
            handler(source), custom_error_type=self.code, custom_error_message=self.text
        )


def as_branch(name: str) -> Tag:
    """Name a branch of a union: pydantic puts the name into places, where `name_place` knows it again."""
    return Tag(_BRANCH + name)


def choose_by(
    field: str, *, default: str | None = None, known: Collection[str] | None = None, need: Need | None = None
) -> Discriminator:
    """Choose the branch of a union by a field of the value.

    Args:
        field: the field that names the branch.
        default: the branch of a value without that field: its shape says what is wrong, or takes the value as it is.
        known: the names of branches; a value with any other name is for the default branch too.
        need: what is said where there is no such branch.
    """

    def find_branch(value: dict[str, Any] | str | None) -> str | None:
        name = value.get(field) if isinstance(value, dict) else None
        if not isinstance(name, str) or (known is not None and name not in known):
            return default and _BRANCH + default
        return _BRANCH + name

    return _make_discriminator(find_branch, need)


def choose_text_or_list() -> Discriminator:
    """Choose between the branches `text` and `list`."""

    def find_branch(value: object) -> str | None:
        name = "text" if isinstance(value, str) else "list" if isinstance(value, list) else None
        return name and _BRANCH + name

    return _make_discriminator(find_branch, Need("text or a list of blocks is needed"))


def _make_discriminator(find_branch: Callable[[Any], str | None], need: Need | None) -> Discriminator:
    if need is None:
        return Discriminator(find_branch)
    return Discriminator(find_branch, custom_error_type=need.code, custom_error_message=need.text)


def validate(shape: TypeAdapter[T], value: object, place: Place = ()) -> T:
    """The value, once it fits the shape; `place` is where it stands in the arguments.

    Raises:
        RequestError: the first thing that is wrong, with its place: `invalid_request`, or `unsupported` for what the
            Messages API knows and this server cannot carry.
    """
    try:
        return shape.validate_python(value)
    except ValidationError as error:
        raise _explain(error, place) from None


def _explain(error: ValidationError, within: Place) -> RequestError:
    first = error.errors(include_url=False, include_context=False)[0]
    place = name_place((*within, *first["loc"]))
    if first["type"] == "unsupported":
        return Unsupported(f"{place}: {_describe(first['input'])}", first["msg"])
    return InvalidRequest(f"{place}: {_NEEDS.get(first['type'], first['msg'])}.")


def name_place(place: Place) -> str:
    """Write a place in the arguments as a person does, without the branches of unions."""
    return ".".join(str(part) for part in place if not str(part).startswith(_BRANCH)) or "arguments"


def _describe(value: object) -> str:
    match value:
        case {"type": str(kind)}:
            return f"a {kind[:LONGEST_VALUE]!r} block"
        case _:
            return f"{value!r:.{LONGEST_VALUE}}"
