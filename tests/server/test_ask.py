"""What `ask_claude` takes, and what upstream and the caller get."""

from base64 import b64encode
from typing import Any

import pytest
from dirty_equals import IsInt, IsPartialDict, IsStr

from claude_max_mcp.standin import RECORDED_USAGE, RedactedThinking, Reply, Text, Thinking
from tests.house import House


async def test_the_result_is_what_claude_said(house: House) -> None:
    house.standin.enqueue(Reply(content=(Text("Paris is the capital."),)))
    result = await house.ask(prompt="What is the capital of France?")
    assert result.model_dump(exclude={"message", "rate_limit"}) == {
        "success": True,
        "response": "Paris is the capital.",
        "model": "claude-sonnet-5-5",
        "stop_reason": "end_turn",
        "session_id": IsStr(),
        "request_id": IsStr(regex="[0-9a-f]{12}"),
        "usage": IsPartialDict(RECORDED_USAGE),
        "structured_output": None,
        "billed_to": "subscription",
        "duration_ms": IsInt(gt=0),
        "error": None,
    }
    assert result.message == IsPartialDict(
        {"role": "assistant", "content": [{"type": "text", "text": "Paris is the capital."}], "usage": result.usage}
    )


async def test_the_limits_of_the_subscription_come_with_the_answer(house: House) -> None:
    result = await house.ask(prompt="hello")
    assert result.rate_limit and (result.rate_limit.status, result.rate_limit.type) == ("allowed", "five_hour")
    assert result.rate_limit.windows["five_hour"].utilization == 0.12


async def test_thinking_comes_back_with_its_signature(house: House) -> None:
    content = (Thinking("Let me see.", "c2ln"), RedactedThinking("cmVk"), Text("Yes."))
    house.standin.enqueue(Reply(content=content))
    result = await house.ask(prompt="hello", thinking={"type": "adaptive"})
    assert result.response == "Yes."
    assert result.message and result.message["content"] == [block.as_block() for block in content]


@pytest.mark.parametrize(
    ("name", "answering"),
    [
        ("sonnet", "claude-sonnet-5-5"),
        ("opus", "claude-opus-5-5"),
        ("haiku", "claude-haiku-5-5"),
        ("max-subscription", "claude-sonnet-5-5"),
        ("claude-opus-4", "claude-opus-5-5"),
        ("claude-sonnet-4", "claude-sonnet-5-5"),
        ("claude-3-7-sonnet", "claude-sonnet-5-5"),
        ("claude-3-5-haiku", "claude-haiku-5-5"),
        ("custom:claude-opus-4", "claude-opus-5-5"),
        ("claude-sonnet-4-6", "claude-sonnet-4-6"),
    ],
)
async def test_a_model_is_asked_by_every_name_it_has(house: House, name: str, answering: str) -> None:
    result = await house.ask(prompt="hello", model=name)
    (request,) = house.standin.requests  # the CLI could spend one more to see whether the model exists
    assert request.body["model"] == answering
    assert result.model == answering


@pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh", "max"])
async def test_effort_reaches_upstream(house: House, effort: str) -> None:
    await house.ask(prompt="hello", output_config={"effort": effort})
    assert house.standin.requests[0].body["output_config"] == {"effort": effort}


@pytest.mark.parametrize("max_tokens", [1, 77, 4096, 128_000])
async def test_max_tokens_reaches_upstream(house: House, max_tokens: int) -> None:
    await house.ask(prompt="hello", max_tokens=max_tokens)
    assert house.standin.requests[0].body["max_tokens"] == max_tokens


async def test_several_options_at_once_all_reach_upstream(house: House) -> None:
    await house.ask(
        prompt="hello",
        model="opus",
        max_tokens=500,
        output_config={"effort": "low"},
        thinking={"type": "adaptive", "display": "summarized"},
    )
    body = house.standin.requests[0].body
    assert (body["model"], body["max_tokens"], body["output_config"]) == ("claude-opus-5-5", 500, {"effort": "low"})
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model", "thinking", "sent"),
    [
        ("claude-haiku-4-5", {"type": "enabled", "budget_tokens": 3000}, {"type": "enabled", "budget_tokens": 3000}),
        ("claude-sonnet-4-5", {"type": "enabled", "budget_tokens": 2000}, {"type": "enabled", "budget_tokens": 2000}),
        ("claude-opus-4-5", {"type": "enabled", "budget_tokens": 2000}, {"type": "enabled", "budget_tokens": 2000}),
        ("claude-sonnet-4-6", {"type": "adaptive"}, {"type": "adaptive"}),
        ("claude-sonnet-4-6", {"type": "disabled"}, {"type": "disabled"}),
        ("sonnet", {"type": "adaptive", "display": "omitted"}, {"type": "adaptive", "display": "omitted"}),
    ],
    ids=str,
)
async def test_thinking_reaches_upstream(
    house: House, model: str, thinking: dict[str, Any], sent: dict[str, Any]
) -> None:
    result = await house.ask(prompt="hello", model=model, thinking=thinking)
    assert result.success
    assert house.standin.requests[0].body["thinking"] == sent


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("sonnet", {"type": "disabled"}),
        ("sonnet", {"type": "enabled", "budget_tokens": 2000}),
        ("claude-haiku-4-5", {"type": "adaptive"}),
    ],
    ids=str,
)
async def test_thinking_that_the_cli_would_ignore_is_refused_by_name(
    house: House, model: str, thinking: dict[str, Any]
) -> None:
    result = await house.ask(prompt="hello", model=model, thinking=thinking)
    assert result.error and result.error.code == "unsupported"
    assert "thinking" in result.error.message and model in result.error.message
    assert house.standin.requests == []


UNCARRIED: list[dict[str, Any]] = [
    {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    {"tool_choice": {"type": "any"}},
    {"tool_choice": {"type": "tool", "name": "t"}},
    {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    {"workspace": "read"},
    {"workspace": "read", "tools": [{"name": "Read", "input_schema": {}}]},
    {"messages": [{"role": "user", "content": [{"type": "server_tool_use", "id": "t"}]}]},
    {"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]},
]


@pytest.mark.parametrize("arguments", UNCARRIED, ids=str)
async def test_what_cannot_be_carried_is_refused_and_never_ignored(house: House, arguments: dict[str, Any]) -> None:
    prompt = {} if "messages" in arguments else {"prompt": "hello"}
    result = await house.ask(**prompt, **arguments)
    assert result.error and (result.error.code, result.error.status) == ("unsupported", 400)
    assert house.standin.requests == []


MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({}, "`prompt` or `messages`"),
    ({"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, "`prompt` or `messages`"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "the user's"),
    ({"messages": [{"role": "system", "content": "a"}]}, "messages.0.role"),
    ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]}, "answers no call"),
    ({"prompt": "a", "tools": [{"name": "t"}]}, "tools.0"),
    ({"prompt": "a", "output_config": {"format": {"type": "json_schema"}}}, "output_config.format"),
    ({"messages": [{"role": "assistant", "content": "a"}]}, "the user's"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": []}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": ["a"]}]}, "messages.0.content.0"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "  "}]}]}, "messages.0.content.0.text"),
    ({"prompt": "a", "timeout": 0}, "timeout"),
    ({"prompt": "a", "timeout": 3601}, "timeout"),
    ({"prompt": "a", "max_tokens": 0}, "max_tokens"),
    ({"prompt": "a", "model": "two words"}, "model"),
    ({"prompt": "a", "stream": "loud"}, "stream"),
    ({"prompt": "a", "temperature": 1}, "temperature"),
    ({"prompt": "a", "output_config": {"effort": "huge"}}, "output_config.effort"),
    ({"prompt": "a", "system": [{"type": "image"}]}, "system"),
    ({"prompt": 7}, "prompt"),
]


@pytest.mark.parametrize(("arguments", "says"), MALFORMED, ids=lambda value: str(value)[:60])
async def test_a_malformed_request_is_refused_with_the_name_of_the_argument(
    house: House, arguments: dict[str, Any], says: str
) -> None:
    result = await house.ask(**arguments)
    assert result.error and (result.error.code, result.error.status) == ("invalid_request", 400)
    assert says in result.error.message
    assert house.standin.requests == []


async def test_a_system_prompt_in_blocks_reaches_upstream(house: House) -> None:
    blocks = [{"type": "text", "text": "Be terse."}, {"type": "text", "text": "Be kind."}]
    await house.ask(prompt="hello", system=blocks)
    assert house.standin.requests[0].body["system"][-1]["text"] == "Be terse.\n\nBe kind."


async def test_where_the_breakpoints_stand_is_left_to_the_cli(house: House) -> None:
    block = {"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}
    result = await house.ask(messages=[{"role": "user", "content": [block, {"type": "text", "text": "more"}]}])
    assert result.success
    assert "cache_control" not in house.standin.requests[0].messages[0]["content"][0]


async def test_nobody_sees_anothers_conversation(house: House) -> None:
    await house.ask(prompt="my secret is 42")
    await house.ask(prompt="what is my secret?")
    first, second = house.standin.requests
    assert b"42" in first.raw and b"my secret is" not in second.raw
    sessions = {request.headers["x-claude-code-session-id"] for request in (first, second)}
    assert len(sessions) == 2


@pytest.mark.parametrize(
    "source",
    [
        {"type": "base64", "media_type": "image/png", "data": "iVBORw=="},
        {"type": "base64", "media_type": "image/png", "data": "no base64"},
        {"type": "base64", "media_type": "image/webp", "data": b64encode(b"RIFF\0\0\0\0WAVEfmt ").decode()},
        {"type": "file", "file_id": "f"},
        {},
    ],
    ids=["cut off", "not base64", "a sound", "a file of the API", "none"],
)
async def test_what_is_no_picture_is_refused_where_the_cli_would_replace_it(
    house: House, source: dict[str, str]
) -> None:
    result = await house.ask(messages=[{"role": "user", "content": [{"type": "image", "source": source}]}])
    assert result.error and result.error.code == "invalid_request"
    assert "messages.0.content.0.source" in result.error.message
    assert house.standin.requests == []
