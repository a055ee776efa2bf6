"""`rewind_conversation` takes a process back to before its first message.

What it is then asked reaches upstream as from a process that was just started, but for the id of its session.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from claude_max_mcp.claude.caller_tools import as_mcp_result
from claude_max_mcp.claude.protocol import Rewound
from claude_max_mcp.errors import ServiceError
from claude_max_mcp.standin import Reply, StandIn, Text, Thinking, ToolUse
from tests.cli.bare import Bare, Cli, ask, events_until, heard, initialize
from tests.samples import CITY_SCHEMA, LOOK_UP, PNG

Said = tuple[str, str]
"""What the CLI calls the first and the last message of a conversation."""
Talk = Callable[[Cli, StandIn], Awaitable[Said]]


async def said(worker: Cli, *contents: Any) -> Said:
    names: list[str] = []
    for content in contents:
        names.append(worker.say(content))
        await heard(worker)
    return names[0], names[-1]


async def one_message(worker: Cli, upstream: StandIn) -> Said:
    return await said(worker, "my secret is 42")


async def several_messages(worker: Cli, upstream: StandIn) -> Said:
    return await said(worker, "my secret is 42", "and", "so on")


async def an_image(worker: Cli, upstream: StandIn) -> Said:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    return await said(worker, [{"type": "text", "text": "my secret is 42"}, {"type": "image", "source": source}])


async def thinking(worker: Cli, upstream: StandIn) -> Said:
    upstream.enqueue(Reply(content=(Thinking("hm"), Text("42?"))))
    return await said(worker, "my secret is 42", "and?")


async def a_tool_call(worker: Cli, upstream: StandIn) -> Said:
    upstream.enqueue(Reply(content=(ToolUse(LOOK_UP["name"], {}, "toolu_1"),)))
    name = worker.say("my secret is 42")
    await events_until(worker, "message_stop")
    worker.give({"toolu_1": as_mcp_result({"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"})})
    await heard(worker)
    return name, name


async def structured_output(worker: Cli, upstream: StandIn) -> Said:
    upstream.enqueue(Reply(content=(ToolUse("StructuredOutput", {"city": "42"}),)))
    return await said(worker, "my secret is 42")


async def take_back(worker: Cli, names: Said) -> Rewound:
    first, last = names
    asked = {"target_message_uuid": first, "last_seen_user_message_uuid": last}
    (reply,) = await worker.control({"subtype": "rewind_conversation", **asked})
    return Rewound.model_validate(reply)


def body(bare: Bare) -> Any:
    """The last request, without what names device and session."""
    return {name: value for name, value in bare.bodies[-1].items() if name != "metadata"}


def headers(bare: Bare) -> dict[str, str]:
    given = bare.upstream.requests[-1].headers
    return {name: value for name, value in given.items() if name not in ("x-claude-code-session-id", "host")}


TALKS = (one_message, several_messages, an_image, thinking, a_tool_call, structured_output)


@pytest.mark.parametrize("talk", TALKS)
async def test_what_is_asked_afterwards_arrives_as_from_a_process_that_was_just_started(bare: Bare, talk: Talk) -> None:
    options: dict[str, Any] = {"systemPrompt": ["Be terse."]}
    if talk is structured_output:
        options["jsonSchema"] = CITY_SCHEMA
    async with bare.running() as worker:
        await initialize(worker, LOOK_UP, **options)
        if talk is structured_output:
            bare.upstream.enqueue(Reply(content=(ToolUse("StructuredOutput", {"city": "Paris"}),)))
        await ask(worker, "what is my secret?")
    fresh, fresh_headers = body(bare), headers(bare)
    async with bare.running() as worker:
        await initialize(worker, LOOK_UP, **options)
        for _ in range(3):
            assert (await take_back(worker, await talk(worker, bare.upstream))).to_the_beginning
            before = len(bare.bodies)
            if talk is structured_output:
                bare.upstream.enqueue(Reply(content=(ToolUse("StructuredOutput", {"city": "Paris"}),)))
            name = worker.say("what is my secret?")
            await heard(worker)
            assert len(bare.bodies) == before + 1
            assert json.dumps(body(bare)) == json.dumps(fresh) and headers(bare) == fresh_headers
            assert (await take_back(worker, (name, name))).to_the_beginning


async def test_a_day_later_it_is_told_of_the_new_day_and_not_of_a_change(bare: Bare) -> None:
    def in_zone(zone: str) -> dict[str, object]:
        return {"subtype": "apply_flag_settings", "settings": {"env": {"TZ": zone}}}

    async with bare.running(changed={"TZ": "Etc/GMT-14"}) as worker:  # where it is tomorrow already
        await initialize(worker)
        await ask(worker, "hello")
    tomorrow = body(bare)
    async with bare.running(changed={"TZ": "Etc/GMT+12"}) as worker:
        await initialize(worker)
        names = await said(worker, "hello")
        assert body(bare) != tomorrow
        assert (await take_back(worker, names)).to_the_beginning
        await worker.control(in_zone("Etc/GMT-14"))
        await ask(worker, "hello")
    assert body(bare) == tomorrow


async def test_a_message_that_is_not_the_last_one_seen_takes_nothing_back(bare: Bare) -> None:
    async with bare.running() as worker:
        await initialize(worker)
        first, _ = await said(worker, "one", "two")
        assert not (await take_back(worker, (first, first))).rewound
        assert not (await take_back(worker, ("another", "another"))).rewound


async def test_a_later_message_is_gone_back_to_but_not_to_the_beginning(bare: Bare) -> None:
    async with bare.running() as worker:
        await initialize(worker)
        _, second = await said(worker, "one", "two")
        reply = await take_back(worker, (second, second))
        assert reply.rewound and not reply.to_the_beginning


async def test_the_first_initialize_holds_for_all_that_follow(bare: Bare) -> None:
    """Why only a conversation with the same options begins in a used process."""
    async with bare.running() as worker:
        await initialize(worker, LOOK_UP, systemPrompt=["Be terse."])
        assert (await take_back(worker, await said(worker, "one"))).to_the_beginning
        first = body(bare)
        await initialize(worker, {**LOOK_UP, "name": "another"}, systemPrompt=["Be kind."])
        await ask(worker, "one")
    assert (body(bare)["system"], body(bare)["tools"]) == (first["system"], first["tools"])


async def test_what_it_does_not_know_is_refused_and_it_goes_on(bare: Bare) -> None:
    async with bare.running() as worker:
        await initialize(worker)
        with pytest.raises(ServiceError, match="refused 'no_such_request'"):
            await worker.control({"subtype": "no_such_request"})
        await ask(worker)
