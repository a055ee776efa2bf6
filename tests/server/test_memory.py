"""What processes cost that only wait: they rest, and go where memory is short; nobody loses a conversation by it."""

import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from claude_max_mcp.standin import Reply, StandIn, Text, ToolUse
from tests.conversations import reply_of, sent, session
from tests.house import House, serving
from tests.samples import WEATHER, Json, returned, user
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what memory is a process's own")


@pytest.fixture
async def cramped(own_standin: StandIn) -> AsyncGenerator[House]:
    """A server with room for one process, and not for two."""
    async with serving(own_standin, warm=0, memory=190) as house:
        yield house


def state(pid: int) -> str:
    """The state of a process, as its kernel names it: `S` waits, `T` is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def at_rest(house: House) -> None:
    """Wait until every process of the server is stopped."""
    await until(lambda: house.pids and all(state(pid) == "T" for pid in house.pids))


async def test_processes_that_wait_are_stopped_and_go_on_when_they_are_needed(own_standin: StandIn) -> None:
    async with serving(own_standin, warm=1) as house:
        first = [user("hello")]
        said = reply_of(await house.ask(messages=first))
        await at_rest(house)
        assert len(house.pids) == 2, "one waits for its caller, one stands ready"
        second = [*first, said, user("again")]
        again = reply_of(await house.ask(messages=second))
        assert session(house, 0) == session(house, 1)
        await house.ask(messages=[user("somebody else")])
        await at_rest(house)
        await house.ask(messages=[*second, again, user("and again")])
        assert session(house, 0) == session(house, 3)


async def test_a_stopped_process_ends_with_its_server(own_standin: StandIn) -> None:
    async with serving(own_standin, warm=2) as house:
        await at_rest(house)
        pids = house.pids
    assert pids and not any(map(exists, pids))


async def kept(house: House) -> int:
    return (await house.service.health()).pool.kept


async def test_one_process_has_room_and_the_next_turn_goes_on_with_it(cramped: House) -> None:
    first = [user("hello")]
    said = reply_of(await cramped.ask(messages=first))
    assert await kept(cramped) == 1
    await cramped.ask(messages=[*first, said, user("again")])
    assert session(cramped, 0) == session(cramped, 1)


async def test_the_oldest_that_waits_makes_room_and_its_conversation_goes_on_from_history(cramped: House) -> None:
    first = [user("my number is 7")]
    said = reply_of(await cramped.ask(messages=first))
    await cramped.ask(messages=[user("somebody else")])
    assert await kept(cramped) == 1
    second = [*first, said, user("what is my number?")]
    assert (await cramped.ask(messages=second)).success
    assert sent(cramped) == second
    assert session(cramped, 0) != session(cramped, 2)


async def test_a_parked_call_is_given_up_too_and_its_result_is_not_lost(cramped: House) -> None:
    cramped.standin.enqueue(Reply(content=(ToolUse("get_weather", {"city": "Paris"}, "toolu_1"),)))
    first: list[Json] = [user("weather?")]
    said = reply_of(await cramped.ask(messages=first, tools=[WEATHER]))
    await cramped.ask(messages=[user("somebody else")])
    cramped.standin.enqueue(Reply(content=(Text("Sunny."),)))
    result = await cramped.ask(messages=[*first, said, user(returned("toolu_1"))], tools=[WEATHER])
    assert result.response == "Sunny."
    assert sent(cramped)[-1]["content"][0] == returned("toolu_1")
