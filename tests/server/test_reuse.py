"""Where there is no room for one more process, a conversation begins in one whose conversation is over.

It arrives as from a new process, and nothing of the other one with it.
"""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from claude_max_mcp.claude.launch import find_cli
from claude_max_mcp.engine import conversation
from claude_max_mcp.standin import Reply, StandIn, Text, Thinking, ToolUse, authentication_failed
from tests.conversations import reply_of, sent, session
from tests.house import House, serving
from tests.samples import IMAGE, WEATHER, Json, returned, user

SECRET = "my secret is 42"
"""What must not be heard of again."""


@pytest.fixture
async def narrow(own_standin: StandIn) -> AsyncGenerator[House]:
    """A server that keeps one conversation, and a process that stands ready beside."""
    async with serving(own_standin, concurrency=1, warm=1) as house:
        yield house


async def reused(house: House) -> float:
    """How many conversations began in a used process."""
    async with house.http() as http:
        lines = (await http.get("/metrics")).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("claude_max_worker_reuses_total "))


def arrived(house: House, index: int = -1) -> Json:
    """A request without what names device and session."""
    return {name: value for name, value in house.standin.requests[index].body.items() if name != "metadata"}


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPTIONS: dict[str, Json] = {
    "none": {},
    "system prompt": {"system": "Be terse."},
    "tools": {"tools": [WEATHER]},
    "schema": {"output_schema": SCHEMA},
    "effort and model": {"output_config": {"effort": "low"}, "model": "opus"},
    "max_tokens": {"max_tokens": 1000},
    "shown thinking": {"thinking": {"type": "adaptive", "display": "omitted"}},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
async def test_a_conversation_in_a_used_process_arrives_as_one_in_a_new_process(narrow: House, options: Json) -> None:
    if "output_schema" in options:
        narrow.standin.script(lambda _: Reply(content=(ToolUse("StructuredOutput", {"city": "Paris"}),)))
    assert (await narrow.ask(messages=[user("what is my secret?")], **options)).success
    for _ in range(2):
        assert (await narrow.ask(messages=[user(SECRET, IMAGE)], **options)).success
    assert await reused(narrow) == 2
    again = await narrow.ask(messages=[user("what is my secret?")], **options)
    assert again.success and again.billed_to == "subscription" and again.rate_limit is not None
    assert await reused(narrow) == 3
    assert arrived(narrow) == arrived(narrow, 0)
    assert {session(narrow, index) for index in range(4)} == {session(narrow)}


async def test_nothing_of_turns_thinking_and_tool_calls_is_left(narrow: House) -> None:
    options: Json = {"tools": [WEATHER]}
    await narrow.ask(messages=[user("hello")], **options)
    for number in range(2):
        use = ToolUse("get_weather", {"city": SECRET}, f"toolu_{number}")
        narrow.standin.enqueue(Reply(content=(Thinking("hm"), use)))
        messages = [user(SECRET)]
        messages += [
            reply_of(await narrow.ask(messages=messages, **options)),
            user(returned(f"toolu_{number}", SECRET)),
        ]
        messages += [reply_of(await narrow.ask(messages=messages, **options)), user("and now?")]
        await narrow.ask(messages=messages, **options)
    await narrow.ask(messages=[user("hello")], **options)
    assert await reused(narrow) == 3
    assert arrived(narrow) == arrived(narrow, 0) and SECRET.encode() not in narrow.standin.requests[-1].raw


async def test_while_there_is_room_each_has_its_own_process(own_standin: StandIn) -> None:
    async with serving(own_standin, concurrency=4, warm=1) as roomy:
        for number in range(4):
            await roomy.ask(messages=[user(f"number {number}")])
        assert len({session(roomy, index) for index in range(4)}) == 4
        assert await reused(roomy) == 0


async def test_whoever_comes_back_to_a_conversation_that_made_room_goes_on_from_history(narrow: House) -> None:
    first = [user("my number is 7")]
    said = reply_of(await narrow.ask(messages=first))
    await narrow.ask(messages=[user("somebody else")])
    assert await reused(narrow) == 1 and session(narrow, 0) == session(narrow)
    messages = [*first, said, user("what is my number?")]
    assert (await narrow.ask(messages=messages)).success
    assert sent(narrow) == messages


async def test_other_options_need_another_process(narrow: House) -> None:
    for system in ("Be terse.", "Be kind.", "Be brief.", "Be quick."):
        await narrow.ask(messages=[user("hello")], system=system)
    assert await reused(narrow) == 0
    assert [request.body["system"][-1]["text"] for request in narrow.standin.requests] == [
        "Be terse.",
        "Be kind.",
        "Be brief.",
        "Be quick.",
    ]


async def test_a_process_that_waits_for_a_tools_result_is_not_taken(own_standin: StandIn) -> None:
    own_standin.enqueue(Reply(content=(ToolUse("get_weather", {"city": "Paris"}, "toolu_1"),)))
    async with serving(own_standin, warm=0) as house:
        messages = [user(SECRET)]
        said = reply_of(await house.ask(messages=messages, tools=[WEATHER]))

        async def ask(number: int) -> None:
            assert (await house.ask(messages=[user(f"number {number}")], tools=[WEATHER])).success

        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(ask, number)
        await house.ask(messages=[*messages, said, user(returned("toolu_1"))], tools=[WEATHER])
        assert session(house) == session(house, 0)


async def test_one_that_began_from_history_is_not_taken(narrow: House) -> None:
    history: list[Json] = [user(SECRET), {"role": "assistant", "content": [{"type": "text", "text": "ah"}]}]
    for number in range(3):
        await narrow.ask(messages=[*history, user(f"number {number}")])
    await narrow.ask(messages=[user("hello")])
    assert await reused(narrow) == 0


async def test_after_a_failed_login_no_used_process_is_left(own_standin: StandIn) -> None:
    async with serving(own_standin, warm=1) as house:
        for number in range(2):
            await house.ask(messages=[user(f"number {number}")])
        assert (await house.service.health()).pool.kept == 2
        own_standin.script(lambda _: authentication_failed())
        assert not (await house.ask(messages=[user("hello")])).success
        assert (await house.service.health()).pool.kept == 0


async def test_a_process_holds_no_more_than_so_many_conversations(
    narrow: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "MOST_SERVED", 2)
    for number in range(8):
        await narrow.ask(messages=[user(f"number {number}")])
    held = [session(narrow, index) for index in range(8)]
    assert max(held.count(one) for one in held) == 2


async def test_it_can_be_turned_off(own_standin: StandIn) -> None:
    async with serving(own_standin, concurrency=1, warm=0, reuse=False) as house:
        for number in range(4):
            await house.ask(messages=[user(f"number {number}")])
        assert len({session(house, index) for index in range(4)}) == 4


async def test_where_more_run_than_stand_ready_one_that_is_over_leaves_its_process_to_the_next(
    own_standin: StandIn,
) -> None:
    async with serving(own_standin, concurrency=2, warm=0) as house, house.http() as http:

        async def post(number: int) -> None:
            assert (await http.post("/claude", json={"prompt": f"number {number}"})).status_code == 200

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(post, number)
        assert len({session(house, index) for index in range(8)}) == 2
        said = [block["text"] for index in range(8) for message in sent(house, index) for block in message["content"]]
        assert sorted(said) == [f"number {number}" for number in range(8)]


REFUSALS = {
    "an older CLI that does not know of it": "s/rewind_conversation/no_such_request/",
    "one that takes nothing back": 's/"target_message_uuid": "/&0/',
    "one that falls silent": "/rewind_conversation/d",
}


@pytest.mark.parametrize("edit", REFUSALS.values(), ids=list(REFUSALS))
async def test_where_the_cli_does_not_say_that_it_forgot_a_new_process_is_started(
    own_standin: StandIn, tmp_path: Path, edit: str
) -> None:
    cli = tmp_path / "claude"
    cli.write_text(f'#!/bin/sh\n[ "$1" = --print ] || exec {find_cli()} "$@"\nsed -u \'{edit}\' | {find_cli()} "$@"\n')
    cli.chmod(0o755)
    async with serving(own_standin, concurrency=1, warm=0, cli_path=cli) as house:
        for number in range(3):
            assert (await house.ask(messages=[user(f"number {number}")])).response
        assert await reused(house) == 0
        assert [sent(house, index)[0] for index in range(3)] == [user(f"number {number}") for number in range(3)]
        assert len({session(house, index) for index in range(3)}) == 3


async def test_where_memory_is_short_a_used_process_is_taken_before_another_is_started(own_standin: StandIn) -> None:
    async with serving(own_standin, warm=0, memory=230) as house:
        own_standin.script(lambda _: Reply(content=(Text("yes"),)))
        answers: list[Any] = [await house.ask(messages=[user(f"number {number}")]) for number in range(3)]
        assert all(answer.success for answer in answers)
        assert await reused(house) >= 1


async def test_the_only_one_with_these_options_is_left_alone_where_an_older_one_makes_room(
    own_standin: StandIn,
) -> None:
    async with serving(own_standin, concurrency=2, warm=1) as house:
        await house.ask(messages=[user("hello")], system="Be terse.")
        for _ in range(2):
            await house.ask(messages=[user("hello")], system="Be kind.")
        assert await reused(house) == 0
        assert len({session(house, index) for index in range(3)}) == 3


async def test_one_whose_cli_may_read_files_is_not_taken(own_standin: StandIn, tmp_path: Path) -> None:
    """It may hold what it has read."""
    async with serving(own_standin, concurrency=1, warm=0, workspace_root=tmp_path) as house:
        for number in range(2):
            assert (await house.ask(messages=[user(f"number {number}")], workspace="read")).success
        assert await reused(house) == 0 and session(house, 0) != session(house, 1)
