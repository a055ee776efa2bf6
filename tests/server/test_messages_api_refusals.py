"""What the Messages API does not carry here, and says so: fields, headers, other routes, and itself where it is off."""

from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from anthropic.types.thread_unsupported_request_error import ThreadUnsupportedRequestError

from claude_max_mcp.front.messages_api import CARRIED, LEFT_OUT, NO_CHANGE
from tests.house import House
from tests.samples import WEATHER, Json

from .messages_api import ASK, HELLO, claude, create, house, post, type_of

__all__ = ["claude", "house"]  # fixtures


async def test_it_is_off_unless_it_is_turned_on(shared_house: House) -> None:
    shared_house.standin.reset()
    async with AsyncAnthropic(base_url=shared_house.root, api_key="any", max_retries=0) as claude:
        asking: Any
        for asking in (create(claude), claude.models.list()):
            with pytest.raises(anthropic.NotFoundError, match="CLAUDE_MAX_MESSAGES_API=1") as raised:
                await asking
            assert type_of(raised.value) == "not_found_error"
    assert shared_house.standin.requests == []


async def test_what_is_not_there_says_so_and_what_is(claude: AsyncAnthropic) -> None:
    asking: Any
    for asking in (
        claude.messages.count_tokens(model="sonnet", messages=HELLO),
        claude.messages.batches.list(),
        claude.models.retrieve("sonnet"),
        claude.get("/v1/messages", cast_to=object),
    ):
        with pytest.raises(anthropic.NotFoundError, match=r"There is no `\w+ /v1/.*POST /v1/messages") as raised:
            await asking
        assert type_of(raised.value) == "not_found_error"


async def test_the_models_are_those_that_the_names_stand_for(claude: AsyncAnthropic) -> None:
    models = [model async for model in claude.models.list()]
    assert [model.id for model in models] == ["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5"]
    assert [model.lifecycle for model in models] == ["active"] * 3


REFUSED: list[tuple[Json, str]] = [
    ({"temperature": 0.2}, "temperature"),
    ({"temperature": 0}, "temperature"),
    ({"top_p": 0.9}, "top_p"),
    ({"top_k": 5}, "top_k"),
    ({"stop_sequences": ["\n"]}, "stop_sequences"),
    ({"speed": "fast"}, "speed"),
    ({"inference_geo": "us"}, "inference_geo"),
    ({"container": "c"}, "container"),
    ({"mcp_servers": [{"type": "url", "url": "https://example.org", "name": "n"}]}, "mcp_servers"),
    ({"context_management": {"edits": []}}, "context_management"),
    ({"prompt": "hello"}, "prompt"),
    ({"session_id": "s"}, "session_id"),
    ({"workspace": "read"}, "workspace"),
    ({"timeout": 3}, "timeout"),
    ({"output_schema": {"type": "object"}}, "output_schema"),
    ({"tool_choice": {"type": "any"}, "tools": [WEATHER]}, "tool_choice"),
    ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, "disable_parallel_tool_use"),
    ({"tools": [{**WEATHER, "strict": True}]}, "tools.0.strict"),
    ({"tools": [WEATHER, {**WEATHER, "name": "b", "input_examples": [{"city": "x"}]}]}, "tools.1.input_examples"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
    ({"tools": [3]}, "tools"),
    ({"tools": "get_weather"}, "tools"),
    ({"output_config": {"task_budget": {"type": "tokens", "total": 5}}}, "output_config.task_budget"),
    ({"output_format": {"type": "text"}}, "output_format"),
    ({"thread": {"type": "create"}}, "thread"),
    ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "budget_tokens"),
    ({"messages": [*HELLO, {"role": "assistant", "content": "The"}]}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": None}, "messages"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": None}, "max_tokens"),
    ({"model": None}, "model"),
    ({"model": "two words"}, "model"),
    ({"stream": "yes"}, "stream"),
    ({"no_such_thing": 1}, "no_such_thing"),
]


@pytest.mark.parametrize(("given", "names"), REFUSED, ids=[f"{at} {case[0]}"[:50] for at, case in enumerate(REFUSED)])
async def test_what_cannot_be_honoured_is_refused_by_its_name(house: House, given: Json, names: str) -> None:
    answer = await post(house, {**ASK, **given})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert names in error["message"]
    assert (answer.headers["request-id"], answer.headers["x-should-retry"]) == (answer.json()["request_id"], "false")
    assert house.standin.requests == []


def test_the_readme_says_what_becomes_of_each_field() -> None:
    table = (
        (Path(__file__).parents[2] / "docs" / "messages-api.md")
        .read_text(encoding="utf-8")
        .partition("| of a request |")[2]
    )
    for name in CARRIED | LEFT_OUT | NO_CHANGE.keys():
        assert f"`{name}" in table.partition("\n\n")[0], name


@pytest.mark.parametrize("body", ["", "{", "[]", '"hello"', "null", '{"max_tokens": NaN}', "[" * 100_000])
async def test_what_is_no_request_is_told_so(house: House, body: str) -> None:
    answer = await post(house, body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("header", ["anthropic-user-profile-id", "anthropic-workspace-id"])
async def test_nobody_else_can_be_accounted_to(house: House, header: str) -> None:
    answer = await post(house, ASK, **{header: "somebody"})
    assert answer.status_code == 400 and header in answer.json()["error"]["message"]
    assert house.standin.requests == []


async def test_what_changes_nothing_may_be_given(house: House) -> None:
    harmless = {
        "temperature": 1.0,
        "top_p": 1,
        "top_k": None,
        "stop_sequences": [],
        "speed": "standard",
        "service_tier": "auto",
        "metadata": {"user_id": "me"},
        "cache_control": {"type": "ephemeral"},
        "mcp_servers": [],
        "container": None,
        "stream": False,
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": False},
        "tools": [{**WEATHER, "type": "custom", "strict": False, "allowed_callers": ["direct"]}],
    }
    answer = await post(house, {**ASK, **harmless}, **{"anthropic-beta": "anything-2026-01-01"})
    assert answer.status_code == 200, answer.text


async def test_a_thread_is_refused_in_the_words_that_the_sdk_knows(house: House, claude: AsyncAnthropic) -> None:
    """Its tool runner then sends the whole conversation by itself; who asks for a thread is told."""
    with pytest.raises(ThreadUnsupportedRequestError, match="Send all messages"):
        await claude.beta.messages.thread(model="sonnet", max_tokens=100).send(*HELLO)
    assert house.standin.requests == []
