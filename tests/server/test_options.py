"""Each option of a request, for each way in which a conversation can begin: seen upstream, or refused by its name."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from claude_max_mcp.results import AskResult
from claude_max_mcp.standin import Recorded, Reply, StandIn, ToolUse, echo
from tests.conversations import reply_of, session
from tests.house import House, serving
from tests.samples import WEATHER, Json, assistant, returned, use, user

SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def answer(request: Recorded) -> Reply:
    """Output that fits where a schema is there, else an echo."""
    wanted = any(tool["name"] == "StructuredOutput" for tool in request.body.get("tools", []))
    returned = any(block["type"] == "tool_result" for block in request.last_blocks)
    return (
        Reply(content=(ToolUse("StructuredOutput", {"city": "Paris"}),))
        if wanted and not returned
        else echo(request.body)
    )


@pytest.fixture(scope="module")
async def shared_narrow(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    """A server that keeps one conversation and may open a folder."""
    folder: Path = tmp_path_factory.mktemp("workspace")
    async with (
        StandIn.running() as standin,
        serving(standin, concurrency=1, warm=1, workspace_root=folder) as house,
    ):
        yield house


@pytest.fixture
def narrow(shared_narrow: House) -> House:
    shared_narrow.standin.reset()
    shared_narrow.standin.script(answer)
    return shared_narrow


Begin: TypeAlias = Callable[[House, Json], Awaitable[AskResult]]


async def in_a_blank_process(house: House, options: Json) -> AskResult:
    return await house.ask(messages=[user("hello")], **options)


async def in_a_used_process(house: House, options: Json) -> AskResult:
    """One whose conversation is over, and that has the same options."""
    first = await house.ask(messages=[user("something else")], **options)
    result = await house.ask(messages=[user("hello")], **options)
    if first.success and options.get("workspace") != "read":
        assert session(house, 0) == session(house), "it began in another process"
    return result


async def from_a_transcript(house: House, options: Json) -> AskResult:
    return await house.ask(messages=[user("a"), assistant("b"), user("hello")], **options)


async def from_a_transcript_that_ends_with_results(house: House, options: Json) -> AskResult:
    history = [user("weather?"), assistant(use("get_weather", "toolu_1", city="Paris")), user(returned("toolu_1"))]
    return await house.ask(messages=history, **options)


async def in_a_process_that_lives(house: House, options: Json) -> AskResult:
    first = [user("a")]
    result = await house.ask(messages=first, **options)
    if not result.success:
        return result
    result = await house.ask(messages=[*first, reply_of(result), user("hello")], **options)
    assert session(house, 0) == session(house), "it went on in another process"
    return result


WAYS: list[Begin] = [
    in_a_blank_process,
    in_a_used_process,
    from_a_transcript,
    from_a_transcript_that_ends_with_results,
    in_a_process_that_lives,
]


@dataclass(frozen=True)
class Seen:
    """An option, and what upstream then gets."""

    options: Json
    look: Callable[[Json], Any]
    expected: Any


@dataclass(frozen=True)
class Refused:
    """An option that the CLI would leave out or change without a word, and the name by which it is refused."""

    options: Json
    name: str


def system_of(body: Json) -> Any:
    return [block["text"] for block in body["system"] if block["text"].startswith("Be ")]


def tools_of(body: Json) -> Any:
    return [tool["name"] for tool in body.get("tools", [])]


def with_model(model: str, **options: Any) -> Json:
    return {"model": model, **options}


def caches_of(body: Json) -> Any:
    """All different breakpoints of a request."""
    blocks = [*body["system"], *(b for m in body["messages"] if isinstance(m["content"], list) for b in m["content"])]
    marks = [block["cache_control"] for block in blocks if "cache_control" in block]
    return [mark for at, mark in enumerate(marks) if mark not in marks[:at]]


FIVE_MINUTES = {"type": "ephemeral", "ttl": "5m"}
HOUR = {"type": "ephemeral", "ttl": "1h"}

ENABLED = {"type": "enabled", "budget_tokens": 2048}
OMITTED = {"type": "adaptive", "display": "omitted"}

OPTIONS: dict[str, Seen | Refused] = {
    "model": Seen(with_model("opus"), lambda body: body["model"], "claude-opus-5-5"),
    "a full model id": Seen(with_model("claude-sonnet-4-6"), lambda body: body["model"], "claude-sonnet-4-6"),
    "system": Seen({"system": "Be terse."}, system_of, ["Be terse."]),
    "tools": Seen({"tools": [WEATHER]}, lambda body: body["tools"], [WEATHER]),
    "tool_choice none": Seen({"tools": [WEATHER], "tool_choice": {"type": "none"}}, tools_of, []),
    "output_schema": Seen({"output_schema": SCHEMA}, lambda body: body["tools"][0]["input_schema"], SCHEMA),
    "effort": Seen({"output_config": {"effort": "low"}}, lambda body: body["output_config"], {"effort": "low"}),
    "effort that the model does not take": Refused(
        with_model("claude-sonnet-4-6", output_config={"effort": "xhigh"}), "output_config.effort"
    ),
    "effort for a model that takes none": Refused(
        with_model("claude-haiku-4-5", output_config={"effort": "low"}), "output_config.effort"
    ),
    "thinking disabled": Seen(
        with_model("claude-sonnet-4-6", thinking={"type": "disabled"}),
        lambda body: body["thinking"],
        {"type": "disabled"},
    ),
    "thinking disabled for an alias that always thinks": Refused({"thinking": {"type": "disabled"}}, "thinking"),
    "thinking disabled for another model that always thinks": Refused(
        with_model("claude-fable-5", thinking={"type": "disabled"}), "thinking"
    ),
    "thinking disabled for a model that another one answers for": Refused(
        with_model("claude-opus-4-1", thinking={"type": "disabled"}), "thinking"
    ),
    "thinking with a budget": Seen(
        with_model("claude-haiku-4-5", thinking=ENABLED), lambda body: body["thinking"], ENABLED
    ),
    "a budget for a model that takes none": Refused({"thinking": ENABLED}, "thinking.budget_tokens"),
    "thinking adaptive": Seen({"thinking": {"type": "adaptive"}}, lambda body: body["thinking"]["type"], "adaptive"),
    "thinking adaptive for a model that takes a budget": Refused(
        with_model("claude-haiku-4-5", thinking={"type": "adaptive"}), "thinking: adaptive"
    ),
    "thinking shown otherwise": Seen({"thinking": OMITTED}, lambda body: body["thinking"], OMITTED),
    "max_tokens": Seen({"max_tokens": 77}, lambda body: body["max_tokens"], 77),
    "cache_control": Seen({"cache_control": FIVE_MINUTES}, caches_of, [{"type": "ephemeral"}]),
    "cache_control in the system prompt": Seen(
        {"system": [{"type": "text", "text": "Be terse.", "cache_control": FIVE_MINUTES}]},
        caches_of,
        [{"type": "ephemeral"}],
    ),
    "cache_control of a tool for an hour": Seen(
        {"tools": [{**WEATHER, "cache_control": HOUR}], "cache_control": FIVE_MINUTES}, caches_of, [HOUR]
    ),
    "workspace": Seen({"workspace": "read"}, tools_of, ["Glob", "Grep", "Read"]),
    "all at once": Seen(
        with_model(
            "opus",
            system=[{"type": "text", "text": "Be terse."}, {"type": "text", "text": "Be kind."}],
            tools=[WEATHER],
            output_config={"effort": "max"},
            max_tokens=500,
            thinking=OMITTED,
        ),
        lambda body: (
            body["model"],
            "\n\n".join(system_of(body)),
            tools_of(body),
            body["max_tokens"],
            body["thinking"],
        ),
        ("claude-opus-5-5", "Be terse.\n\nBe kind.", ["get_weather"], 500, OMITTED),
    ),
}


SEEN = {name: case for name, case in OPTIONS.items() if isinstance(case, Seen)}
REFUSED = {name: case for name, case in OPTIONS.items() if isinstance(case, Refused)}
NEW_PROCESSES: list[Begin] = [in_a_blank_process, from_a_transcript, from_a_transcript_that_ends_with_results]
"""The other two begin with a request of their own, which is refused already."""


def by_name(way: Begin) -> str:
    return way.__name__


@pytest.mark.parametrize("begin", WAYS, ids=by_name)
@pytest.mark.parametrize("case", SEEN.values(), ids=list(SEEN))
async def test_an_option_reaches_upstream(narrow: House, case: Seen, begin: Begin) -> None:
    result = await begin(narrow, case.options)
    assert result.success, result.error
    assert case.look(narrow.standin.requests[-1].body) == case.expected


@pytest.mark.parametrize("begin", NEW_PROCESSES, ids=by_name)
@pytest.mark.parametrize("case", REFUSED.values(), ids=list(REFUSED))
async def test_an_option_that_the_cli_would_not_honour_is_refused_by_its_name(
    narrow: House, case: Refused, begin: Begin
) -> None:
    result = await begin(narrow, case.options)
    assert result.error and result.error.code == "unsupported"
    assert f"`{case.name}" in result.error.message
    assert narrow.standin.requests == []
