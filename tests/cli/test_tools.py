"""The caller's own tools: declared with `initialize`, native to Claude, and waited for."""

from dataclasses import replace
from typing import Any

import pytest

from claude_max_mcp.claude.caller_tools import LONGEST_RESULT, CallerTools, make_manifest
from claude_max_mcp.standin import Reply, Text, ToolUse
from tests.cli.bare import UNCHANGED, Bare, Changed, ask, assistant, declare, events_until, heard, initialize, user
from tests.cli.calls import Asked, text
from tests.samples import PNG, WEATHER

Json = dict[str, Any]


def use(identifier: str = "toolu_1", city: str = "Paris") -> ToolUse:
    return ToolUse("get_weather", {"city": city}, identifier)


async def answered(
    bare: Bare,
    tools: CallerTools,
    result: Json,
    changed: Changed = UNCHANGED,
    declared: Json | None = None,
    *,
    own_home: bool = True,
) -> Json:
    """Let Claude call the tool and give it a result: the `tool_result` that reached upstream."""
    bare.upstream.enqueue(Reply(content=(use(),)))
    launch = bare.launch(changed=changed)
    async with bare.launched(launch if own_home else replace(launch, homes=None)) as worker:
        worker.tools = tools
        await initialize(worker, **(declared or {}))
        worker.say("weather?")
        worker.give({"toolu_1": result})
        await heard(worker)
    (block,) = bare.arrived[-1]["content"]
    return block


async def test_a_call_waits_and_its_result_goes_on_natively(bare: Bare) -> None:
    tools = Asked(WEATHER)
    bare.upstream.enqueue(Reply(content=(Text("Let me see."), use())), Reply(content=(Text("Sunny."),)))
    async with bare.running() as worker:
        worker.tools = tools
        await initialize(worker)
        worker.say("weather?")
        await tools.called()
        assert len(bare.upstream.requests) == 1, "it goes on without the result"
        worker.give({"toolu_1": text("18 degrees")})
        run = await heard(worker)
    assert run.result.result == "Sunny."
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "18 degrees"}]}
    assert bare.arrived == [user("weather?"), assistant("Let me see.", use().as_block()), user(result)]


async def test_a_call_names_the_tool_use_it_is_for_and_carries_its_input(bare: Bare) -> None:
    tools = Asked(WEATHER)
    bare.upstream.enqueue(Reply(content=(use(),)))
    async with bare.running() as worker:
        worker.tools = tools
        await initialize(worker)
        worker.say("weather?")
        (call,) = await tools.called()
    assert (call["name"], call["arguments"]) == ("get_weather", {"city": "Paris"})
    assert call["_meta"]["claudecode/toolUseId"] == "toolu_1"


async def test_with_the_handshake_in_initialize_it_asks_the_server_for_nothing_but_calls(bare: Bare) -> None:
    tools = Asked(WEATHER)
    async with bare.running() as worker:
        worker.tools = tools
        await initialize(worker)
        await ask(worker)
    assert tools.asked == []
    assert bare.bodies[0]["tools"] == [WEATHER]


async def test_the_message_is_whole_before_its_first_call_and_two_calls_come_one_after_the_other(bare: Bare) -> None:
    tools = Asked(WEATHER)
    bare.upstream.enqueue(Reply(content=(use("toolu_1", "Paris"), use("toolu_2", "Rome"))))
    async with bare.running() as worker:
        worker.tools = tools
        await initialize(worker)
        worker.say("weather in both?")
        events = await events_until(worker, "message_stop")
        called = [event["content_block"]["id"] for event in events if event["type"] == "content_block_start"]
        assert called == ["toolu_1", "toolu_2"]
        await tools.called()
        worker.give({"toolu_1": text("sunny")})
        first, second = await tools.called(2)
        assert len(bare.upstream.requests) == 1
        worker.give({"toolu_2": text("rainy")})
        await heard(worker)
    assert [call["_meta"]["claudecode/toolUseId"] for call in (first, second)] == ["toolu_1", "toolu_2"]
    assert [block["tool_use_id"] for block in bare.arrived[-1]["content"]] == ["toolu_1", "toolu_2"]


async def test_an_error_and_a_picture_reach_the_model_as_such(bare: Bare) -> None:
    failed = {"content": [{"type": "text", "text": "no such city"}], "isError": True}
    block = await answered(bare, Asked(WEATHER), failed)
    assert block == {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no such city", "is_error": True}
    bare.upstream.reset()
    pictured = {"content": [{"type": "image", "data": PNG, "mimeType": "image/png"}], "isError": False}
    block = await answered(bare, Asked(WEATHER), pictured)
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    assert block["content"] == [{"type": "image", "source": source}]


async def test_a_long_result_comes_through_whole_below_the_length_that_its_tool_declares(bare: Bare) -> None:
    long = "x" * (LONGEST_RESULT - 1)
    assert (await answered(bare, Asked(WEATHER), text(long)))["content"] == text(long)["content"]


def without_length() -> Json:
    """The declaration of a tool that says nothing of the length of its results."""
    manifest = make_manifest([WEATHER])
    for tool in manifest["toolsListResult"]["tools"]:
        del tool["_meta"]
    return declare(manifest)


@pytest.mark.parametrize(
    ("declared", "length"),
    [(declare(make_manifest([WEATHER])), LONGEST_RESULT + 1), (without_length(), 60_000)],
    ids=["longer than declared", "nothing declared"],
)
async def test_any_longer_result_is_put_into_a_file_that_nobody_can_read(
    bare: Bare, declared: Json, length: int
) -> None:
    """The reason why `caller_tools.can_carry` sends these by the history."""
    block = await answered(bare, CallerTools([WEATHER]), text("x" * length), declared=declared, own_home=False)
    assert "Output too large" in block["content"]


async def test_the_most_tokens_of_a_result_that_has_a_picture_must_be_raised(bare: Bare) -> None:
    words = {"type": "text", "text": "word " * 40_000}
    result = {"content": [words, {"type": "image", "data": PNG, "mimeType": "image/png"}], "isError": False}
    assert (await answered(bare, Asked(WEATHER), result))["content"][0] == words
    bare.upstream.reset()
    shortened = await answered(bare, Asked(WEATHER), result, {"MAX_MCP_OUTPUT_TOKENS": None})
    assert "OUTPUT TRUNCATED" in str(shortened["content"])


async def test_without_no_prefix_the_name_of_the_server_would_be_in_the_name_of_the_tool(bare: Bare) -> None:
    async with bare.running(changed={"CLAUDE_AGENT_SDK_MCP_NO_PREFIX": None}) as worker:
        await initialize(worker, WEATHER)
        await ask(worker)
    assert [tool["name"] for tool in bare.bodies[0]["tools"]] == ["mcp__caller__get_weather"]


async def test_with_tool_search_a_placeholder_would_be_among_the_tools(bare: Bare) -> None:
    async with bare.running(changed={"ENABLE_TOOL_SEARCH": None}) as worker:
        await initialize(worker, WEATHER)
        await ask(worker)
    assert [tool["name"] for tool in bare.bodies[0]["tools"]] == ["DeferredToolPlaceholder", "get_weather"]


async def test_a_tool_named_like_a_built_in_would_draw_a_reminder_about_git(bare: Bare) -> None:
    bash = {**WEATHER, "name": "Bash"}
    for changed in (UNCHANGED, {"CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS": None}):
        async with bare.running(changed=changed) as worker:
            await initialize(worker, bash)
            await ask(worker)
    quiet, reminded = (request.messages[0] for request in bare.upstream.requests)
    assert [tool["name"] for tool in bare.bodies[0]["tools"]] == ["Bash"]
    assert quiet == {"role": "user", "content": "hello"}
    assert "git commits" in str(reminded["content"])
