"""The lines of its transcript that the CLI mirrors, and what goes on from them: the very prefix that a cache needs."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from claude_max_mcp.claude.caller_tools import as_mcp_result
from claude_max_mcp.claude.launch import FIXED_ENVIRONMENT, make_cache_environment
from claude_max_mcp.claude.protocol import Output, Result, TranscriptMirror
from claude_max_mcp.claude.transcript import find_announcements, make_lines, make_next_line, write_lines
from claude_max_mcp.messages import Message
from claude_max_mcp.standin import Recorded, Reply, Text, Thinking, ToolUse
from tests.cli.bare import SONNET, Bare, Cli, assistant, events_until, initialize, user
from tests.house import store_login
from tests.samples import PNG, WEATHER

Json = dict[str, Any]
MODELS = pytest.mark.parametrize("model", [SONNET, "claude-sonnet-4-5"])
"""One that takes system messages in between, and one that does not: announcements then stand in the first text."""


async def hear_turn(worker: Cli, said: str) -> list[Output]:
    """All that comes from a message of ours to its result."""
    worker.say(said)
    heard: list[Output] = []
    async for message in worker.messages():
        heard.append(message)
        if isinstance(message, Result):
            break
    return heard


def lines_in(heard: list[Output]) -> list[Json]:
    """The mirrored lines that are part of the conversation."""
    mirrored = [line for message in heard if isinstance(message, TranscriptMirror) for line in message.entries]
    return [line for line in mirrored if "uuid" in line]


def prefix(request: Recorded) -> list[Json]:
    """All messages of a request, those of the CLI too, as blocks without breakpoints."""
    whole: list[Json] = []
    for message in request.body["messages"]:
        content = message["content"]
        blocks: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        whole += [{**block, "role": message["role"], "cache_control": None} for block in blocks]
    return whole


def is_continued(bare: Bare) -> bool:
    """Whether the last request begins with all of the one before."""
    before, after = map(prefix, bare.upstream.requests[-2:])
    return after[: len(before)] == before


@MODELS
async def test_the_next_process_goes_on_from_its_lines_with_the_very_prefix(
    bare: Bare, tmp_path: Path, model: str
) -> None:
    bare.upstream.script(lambda _: Reply(content=(Thinking("hm"), Text("so"))))
    async with bare.running(model=model) as worker:
        await initialize(worker)
        lines = lines_in(await hear_turn(worker, "one"))
        lines += lines_in(await hear_turn(worker, "two"))
    transcript = write_lines(lines, tmp_path)
    async with bare.running("--resume", str(transcript), "--fork-session", model=model) as worker:
        await initialize(worker)
        heard = lines_in(await hear_turn(worker, "three"))
    assert is_continued(bare)
    again = [line["uuid"] for line in heard]
    assert again[: len(lines)] == [line["uuid"] for line in lines], "it mirrors the old lines once more, by their names"
    assert heard[len(lines)]["parentUuid"] == lines[-1]["uuid"]


@MODELS
async def test_a_transcript_that_is_written_with_its_announcements_has_the_very_prefix_too(
    bare: Bare, tmp_path: Path, model: str
) -> None:
    bare.upstream.script(lambda _: Reply(content=(Text("so"),)))
    async with bare.running(model=model) as worker:
        await initialize(worker)
        announcements = find_announcements(lines_in(await hear_turn(worker, "one")))
        await hear_turn(worker, "two")
    history = cast("list[Message]", [user("one"), assistant("so"), user("two"), assistant("so")])
    for announced, continued in ((announcements, True), ([], False)):
        transcript = write_lines(make_lines(history, model, announced), tmp_path)
        async with bare.running("--resume", str(transcript), "--fork-session", model=model) as worker:
            await initialize(worker)
            await hear_turn(worker, "three")
        assert is_continued(bare) is continued


@MODELS
async def test_results_follow_the_lines_of_a_process_that_was_killed_while_it_waited(
    bare: Bare, tmp_path: Path, model: str
) -> None:
    calls = [ToolUse("get_weather", {"city": city}, f"toolu_{city}") for city in ("Paris", "Rome")]
    bare.upstream.enqueue(Reply(content=(Thinking("hm"), Text("Let me see."), *calls)))
    lines: list[Json] = []
    async with bare.running(model=model) as worker:
        await initialize(worker, WEATHER)
        worker.say("weather?")
        async for message in worker.messages():
            lines += lines_in([message])
            if "toolu_Rome" in str(lines):
                break
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
    returned = make_next_line(cast("Message", user(*results)), model, lines[-1])
    declared = ("--mcp-config", '{"mcpServers": {"caller": {"type": "sdk", "name": "caller"}}}')
    changed = {"CLAUDE_CODE_RESUME_INTERRUPTED_TURN": "1", "CLAUDE_CODE_RESUME_PROMPT": "Continue."}
    resumed = ("--resume", str(write_lines([*lines, returned], tmp_path)), "--fork-session", *declared)
    async with bare.running(*resumed, model=model, changed=changed) as worker:
        await initialize(worker, WEATHER)
        await events_until(worker, "message_stop")
    assert is_continued(bare)
    assert [block["tool_use_id"] for block in bare.arrived[-1]["content"][:2]] == ["toolu_Paris", "toolu_Rome"]


async def test_the_lines_of_an_answer_come_before_its_result(bare: Bare) -> None:
    async with bare.running() as worker:
        await initialize(worker)
        for said in ("one", "two"):
            *heard, last = await hear_turn(worker, said)
            assert isinstance(last, Result)
            assert [line["type"] for line in lines_in(heard) if line["type"] in ("user", "assistant")] == [
                "user",
                "assistant",
            ]


@pytest.mark.parametrize("named", [True, False], ids=["by its path", "by nothing, as it is the usual one"])
async def test_with_a_folder_of_its_own_a_stored_login_is_used_and_nothing_else_is_written(
    own_bare: Bare, named: bool
) -> None:
    store_login(own_bare.home, "sk-ant-oat01-stored")
    login, homes = own_bare.home / ".claude", own_bare.home / "homes"
    before = {path: path.read_bytes() for path in login.rglob("*")}
    unnamed = {} if named else {"CLAUDE_CONFIG_DIR": None}
    async with own_bare.running(changed={"CLAUDE_CODE_OAUTH_TOKEN": None, **unnamed}) as worker:
        await initialize(worker)
        await hear_turn(worker, "hello")
        assert list(homes.glob("*/config/projects/*/*.jsonl"))
    assert {path: path.read_bytes() for path in login.rglob("*")} == before
    assert own_bare.upstream.requests[0].headers["authorization"] == "Bearer sk-ant-oat01-stored"
    assert list(homes.iterdir()) == []


PICTURE: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}


@pytest.mark.parametrize("name", ["work", "w-1.2_3 ü"])
async def test_where_it_cannot_keep_pictures_it_adds_no_word_about_them(
    own_bare: Bare, tmp_path: Path, name: str
) -> None:
    """Otherwise Claude is told paths that nobody gave: of a picture in a message, and of one in a tool's result."""
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    launch = replace(own_bare.launch(), folder=folder)
    result: Any = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [PICTURE]}
    for maker, added in ((launch.homes, 0), (None, 1)):
        own_bare.upstream.enqueue(Reply(content=(ToolUse("get_weather", {"city": "Paris"}, "toolu_1"),)))
        async with own_bare.launched(replace(launch, homes=maker)) as worker:
            await initialize(worker, WEATHER)
            worker.say([{"type": "text", "text": "look"}, PICTURE])
            await events_until(worker, "message_stop")
            worker.give({"toolu_1": as_mcp_result(result)})
            await events_until(worker, "message_stop")
        said, _, returned = own_bare.arrived
        assert said["content"][:2] == [{"type": "text", "text": "look"}, PICTURE] and len(said["content"]) == 2 + added
        assert (
            returned["content"][0]["content"][0] == PICTURE
            and len(returned["content"]) + len(returned["content"][0]["content"]) == 2 + added
        )


def breakpoints(bare: Bare) -> set[str | None]:
    """For how long the last request's breakpoints are to hold."""
    body = bare.bodies[-1]
    contents = [message["content"] for message in body["messages"] if isinstance(message["content"], list)]
    blocks = [*body["system"], *(block for content in contents for block in content)]
    return {block["cache_control"].get("ttl", "5m") for block in blocks if "cache_control" in block}


async def test_how_long_anthropic_keeps_it_is_chosen_at_the_start_and_for_each_request(bare: Bare) -> None:
    for start in ("1h", "5m", "off"):
        async with bare.running(changed={**FIXED_ENVIRONMENT, **make_cache_environment(start)}) as worker:
            await initialize(worker)
            await hear_turn(worker, "hello")
            assert breakpoints(bare) == ({start} - {"off"})
            for wanted in ("5m", "1h"):
                settings = {"env": make_cache_environment(wanted)}
                await worker.control({"subtype": "apply_flag_settings", "settings": settings})
                await hear_turn(worker, "and again")
                assert breakpoints(bare) == {wanted}
