"""What is kept of conversations on disk: whole or not used, for its time, within its room, for its owner alone."""

import json
import os
import shutil
import stat
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import anyio
import pytest

from claude_max_mcp.private_files import replace_file
from claude_max_mcp.standin import StandIn
from tests.conversations import reply_of, sent
from tests.house import House, serving
from tests.samples import Json, user
from tests.waiting import until


def files_in(state: Path) -> list[Path]:
    """All that is kept of conversations."""
    return sorted(path for path in (state / "transcripts").rglob("*") if path.is_file())


def read_all(state: Path) -> bytes:
    """What stands in all files of the state folder."""
    return b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())


def find_open(state: Path) -> list[Path]:
    """What others than the owner may read, write or enter."""
    return [path for path in [state, *state.rglob("*")] if stat.S_IMODE(path.stat().st_mode) & 0o077]


async def chat(house: House, *texts: str) -> list[Json]:
    """A conversation of these messages, and Claude's answers."""
    messages: list[Json] = []
    for text in texts:
        messages.append(user(text))
        messages.append(reply_of(await house.ask(messages=messages)))
    return messages


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def left(own_standin: StandIn, state: Path) -> list[Json]:
    """A conversation that a server has left behind."""
    async with serving(own_standin, state_dir=state, warm=0) as house:
        return await chat(house, "my secret", "and on")


@pytest.fixture
async def next_house(own_standin: StandIn, state: Path, left: list[Json]) -> AsyncGenerator[House]:
    """The server that comes after it."""
    async with serving(own_standin, state_dir=state, warm=0) as house:
        yield house


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    at = content.index(b"my secret")
    content[at] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def name_another_version(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": "1.0.0/1"}))


def say_nonsense(path: Path) -> None:
    path.write_text("nonsense")


DAMAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a byte is another": ("lines", change_a_byte),
    "the end is missing": ("lines", cut),
    "nothing is in it": ("lines", empty),
    "the file is a folder": ("lines", make_a_folder),
    "the file is gone": ("lines", Path.unlink),
    "the point is another version's": ("points", name_another_version),
    "the point is nonsense": ("points", say_nonsense),
    "the point is empty": ("points", empty),
}


@pytest.mark.parametrize(("folder", "damage"), DAMAGES.values(), ids=list(DAMAGES))
async def test_what_is_damaged_is_not_used_and_the_history_arrives_as_it_is(
    state: Path, left: list[Json], next_house: House, folder: str, damage: Callable[[Path], None]
) -> None:
    for path in (state / "transcripts" / folder).iterdir():
        damage(path)
    assert (await next_house.ask(messages=[*left, user("go on")])).success
    said = [message for message in sent(next_house) if message["role"] != "system"]
    assert said == [*left, user("go on")]
    assert next_house.service.transcripts.found == 0
    assert next_house.service.report().status == "healthy"


async def test_only_its_owner_can_read_it(state: Path, left: list[Json]) -> None:
    assert files_in(state)
    assert find_open(state) == []


async def test_the_same_history_with_another_word_finds_nothing(left: list[Json], next_house: House) -> None:
    edited = [user("my secret is yours"), *left[1:], user("go on")]
    assert (await next_house.ask(messages=edited)).success
    assert next_house.service.transcripts.found == 0
    assert b'"my secret"' not in next_house.standin.requests[-1].raw


async def test_when_its_time_is_over_nothing_is_left_and_a_next_server_removes_what_was_left(
    own_standin: StandIn, state: Path, left: list[Json]
) -> None:
    for path in files_in(state):
        os.utime(path, (0, 0))
    async with serving(own_standin, state_dir=state, warm=0, transcript_minutes=0.01) as house:
        await until(lambda: not files_in(state))
        await chat(house, "my secret")
        await until(lambda: bool(files_in(state)))
        await until(lambda: not files_in(state))


async def test_with_no_time_nothing_is_kept_and_what_was_kept_is_removed(
    own_standin: StandIn, state: Path, left: list[Json]
) -> None:
    shutil.rmtree(state / "sessions")
    async with serving(own_standin, state_dir=state, warm=0, transcript_minutes=0, session_hours=0) as house:
        await until(lambda: not files_in(state))
        messages = await chat(house, "my secret", "and on")
    assert files_in(state) == []
    assert b"secret" not in read_all(state)
    async with serving(own_standin, state_dir=state, warm=0, transcript_minutes=0, session_hours=0) as house:
        assert (await house.ask(messages=[*messages, user("go on")])).success
    assert sent(house)[: len(sent(house, -2))] == sent(house, -2), "and yet it goes on as it began"


async def test_the_oldest_goes_where_there_is_no_room(own_standin: StandIn, state: Path) -> None:
    long = "x" * 300_000
    async with serving(own_standin, state_dir=state, warm=0, disk_mb=1) as house:
        for number in range(6):
            await chat(house, f"{number} {long}")
        await until(lambda: house.service.transcripts.evicted > 0)
        assert house.service.transcripts.bytes <= 1_000_000
        async with house.http() as http:
            assert "claude_max_kept_evictions_total 0.0" not in (await http.get("/metrics")).text


async def test_a_question_that_nobody_follows_up_is_kept_nowhere(own_standin: StandIn, state: Path) -> None:
    async with serving(own_standin, state_dir=state, warm=0) as house, house.http() as http:
        assert (await http.post("/claude", json={"prompt": "my secret"})).json()["success"]
    assert files_in(state) == []


async def test_where_nothing_can_be_kept_requests_are_answered_and_health_says_it(
    own_standin: StandIn, state: Path
) -> None:
    replace_file(state / "transcripts", b"in the way")
    async with serving(own_standin, state_dir=state, warm=0) as house:
        messages = await chat(house, "one", "two")
        await until(lambda: house.service.transcripts.problem is not None)
        report = house.service.report()
        assert report.status == "healthy" and report.storage_problem and report.storage_problem in report.message
    async with serving(own_standin, state_dir=state, warm=0) as house:
        assert (await house.ask(messages=[*messages, user("three")])).success
    assert sent(house)[: len(sent(house, -2))] == sent(house, -2)


async def test_nothing_of_it_is_left_in_the_servers_temporary_folder(own_standin: StandIn, state: Path) -> None:
    async with serving(own_standin, state_dir=state, warm=0) as house:
        await chat(house, "my secret")
        scratch = house.scratch
    assert not await anyio.Path(scratch).exists()
