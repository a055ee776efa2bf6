"""What comes back from the caller's tools, where the waiting process cannot be handed it, and what comes with it."""

from pathlib import Path
from typing import Any

import pytest

from claude_max_mcp.claude.launch import find_cli
from claude_max_mcp.standin import Reply, StandIn, Text, ToolUse
from tests.conversations import reply_of, sent, session
from tests.house import House, serving
from tests.samples import IMAGE, WEATHER, Json, returned, user

URL_IMAGE: Json = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
NOTE: Json = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a note"}}


async def called(house: House) -> list[Json]:
    """A conversation in which Claude has just called the tool."""
    house.standin.enqueue(Reply(content=(ToolUse("get_weather", {"city": "Paris"}, "toolu_1"),)))
    first = [user("weather?")]
    return [*first, reply_of(await house.ask(messages=first, tools=[WEATHER]))]


@pytest.mark.parametrize(
    "content",
    ["x" * 700_000, [URL_IMAGE], [NOTE], [{"type": "text", "text": "a"}, URL_IMAGE]],
    ids=["700,000 characters", "an image by its address", "a document", "text and an image by its address"],
)
async def test_a_result_that_a_waiting_process_would_change_goes_by_the_history(house: House, content: Any) -> None:
    messages = [*await called(house), user(returned("toolu_1", content))]
    result = await house.ask(messages=messages, tools=[WEATHER])
    assert result.success, result.error
    arrived = sent(house)
    assert arrived[:-1] == messages[:-1]
    assert arrived[-1]["content"] == [returned("toolu_1", content), {"type": "text", "text": "Continue."}]
    assert session(house, 0) != session(house, 1)


@pytest.mark.parametrize(
    "added",
    [["In one word, please.", IMAGE], [IMAGE], ["In one word."], ["/help"], ["@/etc/hostname"], ["two", "texts"]],
    ids=["text and image", "image", "text", "a slash", "an at sign", "two texts"],
)
async def test_what_the_user_adds_to_a_result_arrives_after_it(house: House, added: list[Json | str]) -> None:
    messages = [*await called(house), user(returned("toolu_1", "sunny"), *added)]
    result = await house.ask(messages=messages, tools=[WEATHER])
    assert result.success, result.error
    arrived = sent(house)[-1]["content"]
    if isinstance(added[-1], str):  # before another text of one message the CLI begins a new line
        arrived[-2]["text"] = arrived[-2]["text"].removesuffix("\n")
    assert arrived == [*messages[-1]["content"], {"type": "text", "text": "Continue."}]
    assert len(house.standin.requests) == 2


async def test_a_run_completes_though_the_server_was_restarted_between_call_and_result(own_standin: StandIn) -> None:
    async with serving(own_standin, warm=1) as house:
        messages = await called(house)
    own_standin.enqueue(Reply(content=(Text("Sunny."),)))
    async with serving(own_standin, warm=1) as house:
        result = await house.ask(messages=[*messages, user(returned("toolu_1", "sunny"))], tools=[WEATHER])
        assert result.response == "Sunny."
        assert sent(house)[-1]["content"][0] == returned("toolu_1", "sunny")


async def test_who_pays_is_what_a_process_says_and_not_what_the_cli_says_of_itself_elsewhere(
    own_standin: StandIn, tmp_path: Path
) -> None:
    """With a key that only its processes get, `claude auth status` still names the subscription."""
    keyed = tmp_path / "claude"
    keyed.write_text(
        f'#!/bin/sh\n[ "$1" = auth ] || export ANTHROPIC_API_KEY=sk-ant-invented\nexec {find_cli()} "$@"\n'
    )
    keyed.chmod(0o700)
    call: Json = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
    messages: list[Json] = [
        user("weather?"),
        {"role": "assistant", "content": [call]},
        user(returned("toolu_1", "sunny")),
    ]
    async with serving(own_standin, warm=0, cli_path=keyed) as house:
        assert (await house.service.health()).billed_to == "subscription"
        result = await house.ask(messages=messages, tools=[WEATHER])
    assert result.error and result.error.code == "billing_guard"
    assert own_standin.requests == []


async def test_no_result_at_all_is_said_in_the_clis_own_words(house: House) -> None:
    """The one thing about results that the CLI does not pass on as it is."""
    messages = [*await called(house), user({"type": "tool_result", "tool_use_id": "toolu_1"})]
    assert (await house.ask(messages=messages, tools=[WEATHER])).success
    (block,) = sent(house)[-1]["content"]
    assert "completed with no output" in str(block["content"])
