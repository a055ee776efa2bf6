"""Generated JSON, blocks and conversations in the form of `messages.normalise`."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from hypothesis import strategies as st
from pydantic import JsonValue

Json = dict[str, Any]

Path: TypeAlias = tuple[str | int, ...]
"""A place in JSON: the names and indices that lead to it."""

TEXTS = st.text(max_size=12)
"""Any text, characters beyond the first plane among it."""

WORDS = TEXTS.filter(str.strip)
"""Text that says something."""

IDS = st.text("abc", min_size=1, max_size=4)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)  # fmt: skip

VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)

OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=3)


def make_block(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Blocks of one kind."""
    return st.fixed_dictionaries({"type": st.just(kind), **fields})


TEXT_BLOCKS = make_block("text", text=WORDS)
THINKING_BLOCKS = make_block("thinking", thinking=TEXTS, signature=TEXTS)
REDACTED_BLOCKS = make_block("redacted_thinking", data=TEXTS)
TOOL_USES = make_block("tool_use", id=IDS, name=IDS, input=OBJECTS)
ANSWERS = TEXT_BLOCKS | THINKING_BLOCKS | REDACTED_BLOCKS | TOOL_USES
"""Blocks of Claude."""

IMAGES = make_block("image", source=st.fixed_dictionaries({"type": st.just("url"), "url": TEXTS}))
DOCUMENTS = make_block("document", source=OBJECTS, title=TEXTS)
TOOL_RESULTS = make_block(
    "tool_result", tool_use_id=IDS, content=TEXTS | st.lists(TEXT_BLOCKS | IMAGES, max_size=2), is_error=st.booleans()
)
PROMPTS = TEXT_BLOCKS | IMAGES | DOCUMENTS | TOOL_RESULTS
"""Blocks of the user."""

MESSAGES = st.one_of(
    st.fixed_dictionaries({"role": st.just("user"), "content": st.lists(PROMPTS, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": st.lists(ANSWERS, min_size=1, max_size=3)}),
)

CONVERSATIONS = st.lists(MESSAGES, max_size=4)


def find_leaves(value: JsonValue, path: Path = ()) -> list[Path]:
    """The places in JSON that hold no other: scalars, and what is empty."""
    inner: Iterable[tuple[str | int, JsonValue]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    return [leaf for name, part in inner for leaf in find_leaves(part, (*path, name))] or [path]


def look_up(value: JsonValue, path: Path) -> JsonValue:
    """What stands at a place."""
    for name in path:
        if isinstance(value, dict):
            value = value[str(name)]
        elif isinstance(value, list):
            value = value[int(name)]
    return value


def replace_leaf(value: JsonValue, path: Path, leaf: JsonValue) -> JsonValue:
    """JSON with something else at one place."""
    if not path:
        return leaf
    name, *rest = path
    if isinstance(value, dict):
        return {key: replace_leaf(part, tuple(rest), leaf) if key == name else part for key, part in value.items()}
    assert isinstance(value, list)
    return [replace_leaf(part, tuple(rest), leaf) if at == name else part for at, part in enumerate(value)]
