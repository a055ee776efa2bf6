"""Conversations, natively: what upstream receives is what a direct call of the Messages API would have sent."""

import random
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import pytest
from pydantic_core import from_json

from claude_max_mcp.results import AskResult
from claude_max_mcp.standin import RedactedThinking, Reply, StandIn, Text, Thinking, ToolUse
from tests.conversations import nothing_more_was_answered, only, reply_of, sent, session
from tests.house import House, serving
from tests.samples import IMAGE, PDF, PNG, WEATHER, Json, assistant, returned, use, user
from tests.waiting import until

HISTORIES: dict[str, list[Json]] = {
    "text": [user("What is 2+2?"), assistant("4"), user("and 3+3?")],
    "several blocks": [user("a", "b"), assistant("c", "d"), user("e", "f")],
    "thinking": [
        user("What is 2+2?"),
        assistant({"type": "thinking", "thinking": "hm", "signature": "c2ln"}, "4"),
        user("and 3+3?"),
    ],
    "redacted thinking": [user("a"), assistant({"type": "redacted_thinking", "data": "cmVk"}, "b"), user("c")],
    "images": [user("look", IMAGE), assistant("seen"), user("and this", IMAGE)],
    "a PDF": [user(PDF, "read"), assistant("done"), user(PDF, "and this")],
    "a document": [
        user({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "doc"}}, "read"),
        assistant("done"),
        user("and now?"),
    ],
    "tools long ago": [
        user("weather?"),
        assistant("let me see", use("get_weather", "toolu_1", city="Paris")),
        user(returned("toolu_1", [{"type": "text", "text": "sunny"}])),
        assistant("It is sunny."),
        user("thanks"),
    ],
    "slash commands": [user("/help"), assistant("/clear"), user("@/etc/hostname")],
}


@pytest.mark.parametrize("messages", HISTORIES.values(), ids=HISTORIES.keys())
async def test_a_history_reaches_upstream_as_it_is(house: House, messages: list[Json]) -> None:
    result = await house.ask(messages=messages, system="Be terse.", tools=[WEATHER])
    assert result.success, result.error
    assert sent(house) == messages
    assert len(house.standin.requests) == 1
    assert house.standin.requests[0].body["system"][-1]["text"] == "Be terse."


async def test_the_next_turn_goes_on_with_the_same_process(house: House) -> None:
    first = [user("my number is 7")]
    said = reply_of(await house.ask(messages=first))
    second = [*first, said, user("what is my number?")]
    assert (await house.ask(messages=second)).success
    assert sent(house) == second
    assert session(house, 0) == session(house, 1)
    assert (await house.service.health()).pool.kept >= 1


async def test_thinking_is_replayed_to_the_process_that_thought_it(house: House) -> None:
    house.standin.enqueue(Reply(content=(Thinking("hm", "c2ln"), RedactedThinking("cmVk"), Text("4"))))
    first = [user("What is 2+2?")]
    said = reply_of(await house.ask(messages=first))
    await house.ask(messages=[*first, said, user("sure?")])
    assert sent(house)[1] == said
    assert session(house, 0) == session(house, 1)


def ask_something_else(messages: list[Json]) -> None:
    messages[0] = user("my number is 8")


def edit_the_answer(messages: list[Json]) -> None:
    messages[1] = assistant("edited")


def put_something_before(messages: list[Json]) -> None:
    messages[:0] = [user("before"), assistant("that")]


@pytest.mark.parametrize("edit", [ask_something_else, edit_the_answer, put_something_before])
async def test_an_edited_history_is_never_answered_from_an_old_process(
    house: House, edit: Callable[[list[Json]], None]
) -> None:
    first = [user("my number is 7")]
    said = reply_of(await house.ask(messages=first))
    edited = [*first, said, user("what is my number?")]
    edit(edited)
    assert (await house.ask(messages=edited)).success
    assert sent(house) == edited
    assert session(house, 0) != session(house, 1)


OTHER_OPTIONS: list[Json] = [{"system": "Be kind."}, {"model": "opus"}, {"max_tokens": 99}, {"tools": [WEATHER]}]


@pytest.mark.parametrize("change", OTHER_OPTIONS, ids=str)
async def test_other_options_are_another_conversation(house: House, change: Json) -> None:
    first = [user("hello")]
    said = reply_of(await house.ask(messages=first))
    await house.ask(messages=[*first, said, user("again")], **change)
    assert session(house, 0) != session(house, 1)


async def test_two_callers_with_the_same_history_each_get_their_own(house: House) -> None:
    first = [user("hello")]
    said = reply_of(await house.ask(messages=first))
    gate = anyio.Event()
    house.standin.script(lambda request: Reply(content=(Text(str(request.messages[-1]["content"])),), hold=gate))
    results: dict[str, AskResult] = {}

    async def go_on(word: str) -> None:
        results[word] = await house.ask(messages=[*first, said, user(word)])

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(go_on, "one")
            tasks.start_soon(go_on, "two")
            await house.standin.wait_for_request(3)
            gate.set()
    assert "one" in results["one"].response and "two" in results["two"].response
    assert session(house, 1) != session(house, 2)


async def test_a_long_history_is_carried_whole(house: House) -> None:
    turns = [message for n in range(250) for message in (user(f"question {n}"), assistant(f"answer {n}"))]
    messages = [*turns, user("x" * 2_000_000), assistant("I see"), user("and?")]
    with anyio.fail_after(60):
        result = await house.ask(messages=messages)
    assert result.success, result.error
    assert sent(house) == messages
    assert list(house.scratch.glob("history-*")) == [], "nothing of it stays on the disk"


async def test_a_history_of_five_megabytes_is_carried_whole(house: House) -> None:
    noise = b64encode(random.Random(5).randbytes(700_000)).decode()
    picture = {"type": "image", "source": {**IMAGE["source"], "data": PNG[:-8] + noise}}
    turns = [message for n in range(6) for message in (user(f"picture {n}", picture), assistant(f"seen {n}"))]
    messages = [*turns, user("and now?")]
    with anyio.fail_after(60):
        result = await house.ask(messages=messages)
    assert result.success, result.error
    assert len(house.standin.requests[0].raw) > 5_000_000
    assert sent(house) == messages


async def test_a_history_beyond_the_models_window_is_refused_and_never_summarised(house: House) -> None:
    with anyio.fail_after(60):
        result = await house.ask(messages=[user("x" * 5_000_000), assistant("I see"), user("and?")])
    assert result.error and (result.error.code, result.error.status) == ("prompt_too_long", 400)
    assert house.standin.requests == []


async def test_a_call_of_the_callers_tool_is_handed_over_and_its_result_goes_back_natively(house: House) -> None:
    call = ToolUse("get_weather", {"city": "Paris"}, "toolu_1")
    house.standin.enqueue(Reply(content=(Text("Let me see."), call)), Reply(content=(Text("Sunny in Paris."),)))
    first = [user("weather in Paris?")]
    result = await house.ask(messages=first, tools=[WEATHER])
    assert (result.success, result.stop_reason) == (True, "tool_use")
    assert house.standin.requests[0].body["tools"] == [WEATHER]
    second = [*first, reply_of(result), user(returned("toolu_1", [{"type": "text", "text": "sunny"}]))]
    result = await house.ask(messages=second, tools=[WEATHER])
    assert result.response == "Sunny in Paris."
    assert sent(house) == second
    assert session(house, 0) == session(house, 1)


@pytest.mark.parametrize(
    ("content", "more", "arrives"),
    [
        ("sunny", {}, {"content": [{"type": "text", "text": "sunny"}]}),
        ("no such city", {"is_error": True}, {"content": "no such city", "is_error": True}),
        ([{"type": "text", "text": "a"}, IMAGE], {}, {"content": [{"type": "text", "text": "a"}, IMAGE]}),
        ("x" * 400_000, {}, {"content": [{"type": "text", "text": "x" * 400_000}]}),
    ],
    ids=["text", "an error", "text and image", "400,000 characters"],
)
async def test_a_result_of_any_kind_reaches_the_model(house: House, content: Any, more: Json, arrives: Json) -> None:
    house.standin.enqueue(Reply(content=(ToolUse("get_weather", {"city": "Paris"}, "toolu_1"),)))
    first = [user("weather?")]
    said = reply_of(await house.ask(messages=first, tools=[WEATHER]))
    result = await house.ask(messages=[*first, said, user(returned("toolu_1", content, **more))], tools=[WEATHER])
    assert result.success, result.error
    assert sent(house)[-1]["content"] == [{"type": "tool_result", "tool_use_id": "toolu_1", **arrives}]
    assert session(house, 0) == session(house, 1)


async def test_several_calls_are_handed_over_at_once_and_answered_in_any_order(house: House) -> None:
    calls = [ToolUse("get_weather", {"city": city}, f"toolu_{city}") for city in ("Paris", "Rome", "Oslo")]
    house.standin.enqueue(Reply(content=calls), Reply(content=(Text("done"),)))
    first = [user("weather everywhere?")]
    said = reply_of(await house.ask(messages=first, tools=[WEATHER]))
    assert [block["id"] for block in said["content"]] == ["toolu_Paris", "toolu_Rome", "toolu_Oslo"]
    results = [returned(f"toolu_{city}", f"in {city}") for city in ("Oslo", "Paris", "Rome")]
    assert (await house.ask(messages=[*first, said, user(*results)], tools=[WEATHER])).response == "done"
    got = {block["tool_use_id"]: block["content"][0]["text"] for block in sent(house)[-1]["content"]}
    assert got == {"toolu_Paris": "in Paris", "toolu_Rome": "in Rome", "toolu_Oslo": "in Oslo"}
    assert len(house.standin.requests) == 2


@pytest.mark.parametrize("name", ["Bash", "Read", "final_result", "a-b_c"])
async def test_a_tool_keeps_the_name_its_caller_gave_it_and_draws_no_reminder(house: House, name: str) -> None:
    house.standin.enqueue(Reply(content=(ToolUse(name, {"city": "Paris"}, "toolu_1"),)))
    first = [user("go")]
    result = await house.ask(messages=first, tools=[{**WEATHER, "name": name}])
    assert result.stop_reason == "tool_use"
    assert sent(house) == first
    assert [tool["name"] for tool in house.standin.requests[0].body["tools"]] == [name]


async def test_a_tool_that_nobody_offered_ends_the_request_and_the_process(house: House) -> None:
    only(house, Reply(content=(ToolUse("invented", {}, "toolu_1"),)))
    result = await house.ask(messages=[user("go")], tools=[WEATHER])
    assert result.stop_reason == "tool_use"
    await nothing_more_was_answered(house)


async def test_without_a_choice_of_tools_none_is_offered(house: House) -> None:
    await house.ask(messages=[user("go")], tools=[WEATHER], tool_choice={"type": "none"})
    assert house.standin.requests[0].body["tools"] == []


@pytest.fixture
async def forgetful(own_standin: StandIn) -> AsyncGenerator[House]:
    """A server that keeps no process for as long as a caller needs."""
    async with serving(own_standin, warm=1, park_seconds=0.001) as house:
        yield house


async def test_a_caller_who_comes_back_too_late_goes_on_from_history(forgetful: House) -> None:
    call = ToolUse("get_weather", {"city": "Paris"}, "toolu_1")
    forgetful.standin.enqueue(Reply(content=(Text("Let me see."), call)), Reply(content=(Text("Sunny."),)))
    first = [user("weather in Paris?")]
    said = reply_of(await forgetful.ask(messages=first, tools=[WEATHER], system="Be terse."))
    await until(lambda: not forgetful.service.report().pool.kept)
    late = [*first, said, user(returned("toolu_1"))]
    result = await forgetful.ask(
        messages=late, tools=[WEATHER], system="Be terse.", output_config={"effort": "low"}, max_tokens=500
    )
    assert result.response == "Sunny."
    received = sent(forgetful)
    assert received[:-1] == late[:-1]
    assert received[-1]["content"] == [*late[-1]["content"], {"type": "text", "text": "Continue."}]
    body = forgetful.standin.requests[-1].body
    assert body["system"][-1]["text"] == "Be terse."
    assert (body["max_tokens"], body["output_config"]["effort"]) == (500, "low")
    assert body["tools"] == [WEATHER]


async def test_a_call_that_nobody_answered_is_refused_and_not_invented(house: House) -> None:
    messages = [user("a"), assistant(use("get_weather", "toolu_1", city="Paris")), user("never mind")]
    result = await house.ask(messages=messages, tools=[WEATHER])
    assert result.error and result.error.code == "invalid_request"
    assert "toolu_1" in result.error.message
    assert house.standin.requests == []


SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.parametrize(
    "arguments",
    [{"output_schema": SCHEMA}, {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}],
    ids=["output_schema", "output_config"],
)
async def test_structured_output_comes_back_as_the_json_text_of_the_messages_api(house: House, arguments: Json) -> None:
    content = (Thinking("hm", "c2ln"), Text("let me"), ToolUse("StructuredOutput", {"city": "Zürich"}))
    house.standin.enqueue(Reply(content=content))
    heard, result = await house.listen(prompt="where?", stream="events", **arguments)
    assert result.success, result.error
    assert result.structured_output == {"city": "Zürich"}
    assert result.stop_reason == "end_turn"
    assert from_json(result.response) == {"city": "Zürich"}
    assert result.message and [block["type"] for block in result.message["content"]] == ["thinking", "text"]
    kinds = [from_json(message)["type"] for message in heard]
    assert kinds.count("message_start") == kinds.count("message_stop") == 1
    assert len(house.standin.requests) == 1


async def test_output_that_does_not_fit_is_asked_for_again_and_never_handed_over(house: House) -> None:
    house.standin.enqueue(
        Reply(content=(ToolUse("StructuredOutput", {"town": 1}),)),
        Reply(content=(ToolUse("StructuredOutput", {"city": "Oslo"}),)),
    )
    result = await house.ask(prompt="where?", output_schema=SCHEMA)
    assert result.structured_output == {"city": "Oslo"}
    assert result.usage and result.usage["output_tokens"] == 14, "both messages were paid for"


async def test_text_that_only_looks_like_json_is_no_structured_output(house: House) -> None:
    house.standin.script(lambda _: Reply(content=(Text('{"city": "Paris"}'),)))
    with anyio.fail_after(60):
        result = await house.ask(prompt="where?", output_schema=SCHEMA)
    assert result.error and result.error.code == "empty_answer"
    assert result.structured_output is None


async def test_a_tool_may_be_called_before_the_structured_output(house: House) -> None:
    house.standin.enqueue(
        Reply(content=(ToolUse("get_weather", {"city": "Oslo"}, "toolu_1"),)),
        Reply(content=(ToolUse("StructuredOutput", {"city": "Oslo"}),)),
    )
    first = [user("where is it sunny?")]
    result = await house.ask(messages=first, tools=[WEATHER], output_schema=SCHEMA)
    assert result.stop_reason == "tool_use"
    second = [*first, reply_of(result), user(returned("toolu_1"))]
    result = await house.ask(messages=second, tools=[WEATHER], output_schema=SCHEMA)
    assert result.structured_output == {"city": "Oslo"}, result.error


async def test_the_limits_are_told_with_every_answer_though_the_cli_tells_of_changes_alone(house: House) -> None:
    first = [user("hello")]
    result = await house.ask(messages=first)
    again = await house.ask(messages=[*first, reply_of(result), user("and now?")])
    assert session(house, 0) == session(house, 1)
    assert again.rate_limit == result.rate_limit and again.rate_limit is not None
