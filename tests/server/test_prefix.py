"""A conversation that goes on without its process begins upstream as it did before: so Anthropic's cache holds.

Compared is what upstream recorded, but for what the CLI changes with each request: its line for billing, the cache
breakpoints, and whether a single text is a string or a block.
"""

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from claude_max_mcp.results import AskResult
from claude_max_mcp.standin import Reply, StandIn, Text, Thinking, ToolUse
from tests.conversations import as_blocks, reply_of, sent
from tests.house import House, serving
from tests.samples import IMAGE, WEATHER, Json, returned, user
from tests.waiting import until

STATE = "state"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture
async def house(own_standin: StandIn, tmp_path: Path) -> AsyncGenerator[House]:
    """A server with an empty folder for what it keeps, of which a test may end every process."""
    async with serving(own_standin, state_dir=tmp_path / STATE, warm=0) as house:
        yield house


def prefix(house: House, index: int) -> tuple[list[Json], Any, Any]:
    """What counts for the cache: messages, system, tools."""
    body = house.standin.requests[index].body
    system = [block["text"] for block in body["system"] if "billing" not in block["text"]]
    return whole(house, index), system, body.get("tools")


def whole(house: House, index: int = -1) -> list[Json]:
    """All messages of a request, the CLI's own too."""
    return as_blocks(house.standin.requests[index].body["messages"])


def is_continued(house: House, index: int = -1) -> bool:
    """Whether a request begins with all of the one before."""
    before, after = prefix(house, index - 1), prefix(house, index)
    return after[0][: len(before[0])] == before[0] and after[1:] == before[1:]


async def kill_all(house: House) -> None:
    """End every process from outside, as a lack of memory might."""
    pids = house.pids
    for pid in pids:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


class Chat:
    """A caller that sends the whole conversation each time."""

    def __init__(self, house: House, **options: Any) -> None:
        self.house = house
        self.options = options
        self.messages: list[Json] = []

    async def say(self, *blocks: Any, **options: Any) -> AskResult:
        """The next message, and the answer to it."""
        self.messages.append(user(*blocks))
        result = await self.house.ask(messages=self.messages, **{**self.options, **options})
        self.messages.append(reply_of(result))
        return result

    def branch(self) -> "Chat":
        """Another caller that knows the same conversation."""
        other = Chat(self.house, **self.options)
        other.messages = list(self.messages)
        return other


def call(number: int) -> Reply:
    """Claude thinks, says something, and calls a tool of the caller twice."""
    calls = [ToolUse("get_weather", {"city": city}, f"toolu_{city}_{number}") for city in ("Paris", "Rome")]
    return Reply(content=(Thinking("hm"), Text("Let me see."), *calls))


def results(number: int) -> list[Json]:
    return [returned(f"toolu_{city}_{number}", f"sunny {number}") for city in ("Paris", "Rome")]


@pytest.mark.parametrize("model", ["sonnet", "claude-sonnet-4-5"])
async def test_a_chat_goes_on_as_it_began_though_its_process_is_gone_at_each_turn(house: House, model: str) -> None:
    house.standin.script(lambda _: Reply(content=(Thinking("hm"), Text("so"))))
    chat = Chat(house, model=model, system="Be terse.")
    for turn in range(4):
        await chat.say(f"message {turn}", *([IMAGE] if turn == 1 else []))
        await kill_all(house)
    assert [is_continued(house, index) for index in (1, 2, 3)] == [True] * 3
    assert house.service.transcripts.found == 3


@pytest.mark.parametrize("model", ["sonnet", "claude-sonnet-4-5"])
async def test_so_do_tool_calls_whose_process_is_killed_while_it_waits(house: House, model: str) -> None:
    chat = Chat(house, model=model, tools=[WEATHER])
    for number in range(3):
        house.standin.enqueue(call(number))
    await chat.say("weather?")
    for number in range(3):
        await written(house, number + 1)
        await kill_all(house)
        await chat.say(*results(number))
    assert [is_continued(house, index) for index in (1, 2, 3)] == [True] * 3
    assert house.service.transcripts.found == 3


async def test_so_does_a_chat_that_is_written_down_here_as_no_lines_are_left(house: House, tmp_path: Path) -> None:
    chat = Chat(house)
    await chat.say("one")
    await chat.say("two")
    await kill_all(house)
    forget_lines(tmp_path)
    await chat.say("three")
    assert is_continued(house)
    await kill_all(house)
    await chat.say("four")
    assert is_continued(house) and house.service.transcripts.found == 1


async def test_so_does_one_that_another_server_began_which_shares_nothing(house: House, tmp_path: Path) -> None:
    chat = Chat(house)
    await chat.say("one")
    await chat.say("two")
    async with serving(house.standin, state_dir=tmp_path / "other", warm=0) as other:
        here = Chat(other)
        await here.say("something else, before")
        here.messages = chat.messages
        await here.say("three")
    before, after = whole(house, 1), whole(house, 3)
    assert [m["role"] for m in after][: len(before)] == [m["role"] for m in before]
    for index in (
        0,
        *range(2, len(before)),
    ):  # the second message names the working folder, which is in the state folder
        assert after[index] == before[index]


async def test_a_server_that_was_restarted_goes_on_with_what_it_kept(own_standin: StandIn, tmp_path: Path) -> None:
    messages: list[Json] = []
    for turn in range(3):
        async with serving(own_standin, state_dir=tmp_path / STATE, warm=0) as house:
            chat = Chat(house)
            chat.messages = messages
            await chat.say(f"message {turn}")
            assert house.service.transcripts.found == (turn > 0)
            assert turn == 0 or is_continued(house)


async def test_a_conversation_in_a_process_that_held_another_is_kept_without_that_one(
    own_standin: StandIn, tmp_path: Path
) -> None:
    async with serving(own_standin, state_dir=tmp_path / STATE, warm=0, concurrency=1) as house:
        secret, chat = Chat(house), Chat(house)
        await secret.say("my secret is 42")
        await secret.say("and more")
        await chat.say("one")
        assert house.service.report().pool.kept == 1, "it began in the process of the other"
        await kill_all(house)
        await chat.say("two")
        assert is_continued(house) and b"secret" not in house.standin.requests[-1].raw
        await secret.say("and yet more")
        assert whole(house)[: len(whole(house, 1))] == whole(house, 1)
        assert house.service.transcripts.found == 2


async def test_two_callers_go_on_differently_from_one_point(house: House) -> None:
    one = Chat(house)
    await one.say("one")
    await one.say("two")
    other = one.branch()
    await kill_all(house)
    await one.say("three")
    await other.say("three, differently")
    for index in (2, 3):
        assert whole(house, index)[: len(whole(house, 1))] == whole(house, 1)
    await kill_all(house)
    await one.say("four")
    await other.say("four, differently")
    for index in (4, 5):
        assert whole(house, index)[: len(whole(house, index - 2))] == whole(house, index - 2)
    assert house.service.transcripts.found == 4


async def test_an_option_that_changes_leaves_what_was_said_as_it_was(house: House) -> None:
    chat = Chat(house)
    await chat.say("one")
    await chat.say("two", output_config={"effort": "low"})
    await chat.say("three", max_tokens=1000)
    assert is_continued(house, 1) and is_continued(house, 2)
    await chat.say("four", model="opus")
    said = [message for message in sent(house) if message["role"] != "system"]
    assert [block["text"] for message in said for block in message["content"]][::2] == ["one", "two", "three", "four"]


async def test_structured_output_goes_on_as_it_was_made(house: House) -> None:
    house.standin.script(lambda _: Reply(content=(ToolUse("StructuredOutput", {"city": "Paris"}),)))
    chat = Chat(house, output_schema=SCHEMA)
    for turn in range(3):
        await chat.say(f"message {turn}")
        await kill_all(house)
    assert is_continued(house, 1) and is_continued(house, 2)
    assert house.service.transcripts.found == 2


async def test_what_claude_has_read_in_a_workspace_it_need_not_read_again(own_standin: StandIn, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "notes.txt").write_text("the answer is 42")
    own_standin.enqueue(Reply(content=(ToolUse("Read", {"file_path": str(root / "notes.txt")}, "toolu_1"),)))
    async with serving(own_standin, state_dir=tmp_path / STATE, warm=0, workspace_root=root) as house:
        chat = Chat(house, workspace="read")
        await chat.say("read it")
        await kill_all(house)
        await chat.say("and?")
        assert is_continued(house) and b"the answer is 42" in house.standin.requests[-1].raw


async def written(house: House, points: int) -> None:
    """Wait until that many points are on disk."""
    folder = house.service.settings.state_dir / "transcripts" / "points"
    await until(lambda: len(list(folder.glob("*"))) >= points)


def forget_lines(folder: Path) -> None:
    """Remove all that is kept of conversations."""
    for path in (folder / STATE / "transcripts").glob("*/*"):
        path.unlink()
