"""Generated JSON, blocks and conversations in the form of `messages.normalise`."""

from typing import Any, TypeAlias

from hypothesis import strategies as st
from pydantic import JsonValue

Json = dict[str, Any]

Path: TypeAlias = tuple[str | int, ...]
"""A place in JSON: the names and indices that lead to it."""

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
"""Any text that can be sent, with characters of all planes."""

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

OBJECTS = st.dictionaries(
    TEXTS, SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(TEXTS, SCALARS, max_size=2), max_size=2
)
"""Objects that are not deep, which is quicker."""


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
DOCUMENTS = make_block("document", source=OBJECTS.map(lambda source: {"type": "file", "file": source}), title=TEXTS)
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


def find_places(value: JsonValue, path: Path = ()) -> list[Path]:
    """Every place in JSON, the outermost first."""
    return [path, *(place for name, part in _list_parts(value) for place in find_places(part, (*path, name)))]


def find_leaves(value: JsonValue) -> list[Path]:
    """The places in JSON that hold no other: scalars, and what is empty."""
    return [place for place in find_places(value) if not _list_parts(look_up(value, place))]


def _list_parts(value: JsonValue) -> list[tuple[str | int, JsonValue]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def look_up(value: JsonValue, path: Path) -> JsonValue:
    """What stands at a place."""
    for name in path:
        if isinstance(value, dict):
            value = value[str(name)]
        elif isinstance(value, list):
            value = value[int(name)]
    return value


def replace_at(value: JsonValue, path: Path, leaf: JsonValue) -> JsonValue:
    """JSON with something else at one place."""
    if not path:
        return leaf
    name, *rest = path
    if isinstance(value, dict):
        return {key: replace_at(part, tuple(rest), leaf) if key == name else part for key, part in value.items()}
    assert isinstance(value, list)
    return [replace_at(part, tuple(rest), leaf) if at == name else part for at, part in enumerate(value)]


@st.composite
def valid_conversations(draw: st.DrawFn) -> list[Json]:
    """Conversations that the Messages API takes: calls are answered, the user begins and ends.

    Consecutive messages may be of one role, contents may be plain text, and fields may be null or cache breakpoints.
    """
    conversation: list[Json] = []
    calls: list[Json] = []
    for _ in range(draw(st.integers(0, 2))):
        conversation += draw(_messages_of("user", [_answer_call(call, draw(TEXTS)) for call in calls]))
        calls = [{**call, "id": f"call_{at}"} for at, call in enumerate(draw(st.lists(TOOL_USES, max_size=2)))]
        conversation += draw(_messages_of("assistant", calls))
    return conversation + draw(_messages_of("user", [_answer_call(call, draw(TEXTS)) for call in calls]))


def _answer_call(call: Json, content: str) -> Json:
    return {"type": "tool_result", "tool_use_id": call["id"], "content": content}


@st.composite
def _messages_of(draw: st.DrawFn, role: str, needed: list[Json]) -> list[Json]:
    """Consecutive messages of one role that hold the needed blocks among others."""
    others = TEXT_BLOCKS | IMAGES | DOCUMENTS if role == "user" else TEXT_BLOCKS | THINKING_BLOCKS | REDACTED_BLOCKS
    blocks = [*needed, *draw(st.lists(others, min_size=not needed, max_size=3))]
    blocks = [draw(MARKS) | block for block in draw(st.permutations(blocks))]
    cut = draw(st.integers(0, len(blocks)))
    messages: list[Json] = [{"role": role, "content": part} for part in (blocks[:cut], blocks[cut:]) if part]
    if draw(st.booleans()):
        messages.append({"role": role, "content": draw(WORDS)})
    return messages


MARKS: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {}, optional={"cache_control": st.just({"type": "ephemeral"}), "citations": st.none(), "later": st.just([0])}
)
"""What may stand beside what a block says."""
