"""`session_id`: going on with an earlier answer, by people and assistants who do not keep the conversation."""

import json
import os
import re
from pathlib import Path

import anyio
import pytest

from claude_max_mcp import standin as api
from claude_max_mcp.results import AskResult
from claude_max_mcp.standin import Reply, StandIn, Text, ToolUse
from tests.conversations import sent, session
from tests.house import House, serving
from tests.samples import WEATHER, returned, user

UNKNOWN = "0b7c3a52-5a1e-4b0d-9f43-7d6f7f3c2a11"
"""An id that no server has given."""


def said(house: House, index: int = -1) -> list[tuple[str, str]]:
    return [(message["role"], message["content"][0]["text"]) for message in sent(house, index)]


async def test_an_answer_can_be_gone_on_with_by_its_id(house: House) -> None:
    house.standin.enqueue(Reply(content=(Text("Ada."),)), Reply(content=(Text("1815."),)))
    first = await house.ask(prompt="Who wrote the first program?", system="Be terse.", model="haiku")
    second = await house.ask(prompt="When was she born?", session_id=first.session_id)
    third = await house.ask(prompt="Where?", session_id=first.session_id)
    assert [result.session_id for result in (second, third)] == [first.session_id] * 2
    assert said(house) == [
        ("user", "Who wrote the first program?"),
        ("assistant", "Ada."),
        ("user", "When was she born?"),
        ("assistant", "1815."),
        ("user", "Where?"),
    ]
    assert session(house, 0) == session(house, 1) == session(house, 2), "one process holds it"
    for request in house.standin.requests:
        assert request.body["system"][-1]["text"] == "Be terse."
        assert request.body["model"] == "claude-haiku-5-5"


async def test_it_goes_on_after_a_restart_of_the_server(own_standin: StandIn, tmp_path: Path) -> None:
    async with serving(own_standin, warm=1, state_dir=tmp_path) as house:
        first = await house.ask(prompt="one", system="Be terse.")
    async with serving(own_standin, warm=1, state_dir=tmp_path) as house:
        second = await house.ask(prompt="two", session_id=first.session_id)
        assert second.session_id == first.session_id
        assert [text for role, text in said(house) if role == "user"] == ["one", "two"]
        assert own_standin.requests[-1].body["system"][-1]["text"] == "Be terse."


async def test_a_new_system_prompt_or_model_replaces_the_earlier_one(house: House) -> None:
    first = await house.ask(prompt="one", system="Be terse.", model="haiku")
    await house.ask(prompt="two", session_id=first.session_id, system="Be long.", model="opus")
    body = house.standin.requests[-1].body
    assert (body["system"][-1]["text"], body["model"]) == ("Be long.", "claude-opus-5-5")


async def test_blocks_may_follow_and_so_may_the_results_of_tools(house: House) -> None:
    house.standin.enqueue(Reply(content=(ToolUse("get_weather", {"city": "Oslo"}, "toolu_1"),)))
    first = await house.ask(prompt="weather?", tools=[WEATHER])
    assert first.stop_reason == "tool_use"
    result = await house.ask(
        messages=[user(returned("toolu_1", "sunny"))], tools=[WEATHER], session_id=first.session_id
    )
    assert result.success and result.session_id == first.session_id
    assert sent(house)[-1]["content"][0]["content"] == [{"type": "text", "text": "sunny"}]


async def test_a_call_that_was_not_answered_must_be_answered_first(house: House) -> None:
    house.standin.enqueue(Reply(content=(ToolUse("get_weather", {"city": "Oslo"}, "toolu_1"),)))
    first = await house.ask(prompt="weather?", tools=[WEATHER])
    result = await house.ask(prompt="never mind", tools=[WEATHER], session_id=first.session_id)
    assert result.error and result.error.code == "invalid_request" and "toolu_1" in result.error.message
    assert len(house.standin.requests) == 1


@pytest.mark.parametrize("name", [UNKNOWN, "s", "", "../../etc", "a" * 5000, "%2e%2e", f"{UNKNOWN}/.."])
async def test_an_id_that_is_not_known_is_a_clear_error(house: House, name: str) -> None:
    result = await house.ask(prompt="hello", session_id=name)
    assert result.error and (result.error.code, result.error.status) == ("invalid_request", 400)
    assert "session_id" in result.error.message and "24 hours" in result.error.message
    assert house.standin.requests == []


async def test_a_session_of_another_server_is_not_known(house: House, own_standin: StandIn) -> None:
    first = await house.ask(prompt="one")
    async with serving(own_standin, warm=1) as other:
        result = await other.ask(prompt="two", session_id=first.session_id)
    assert result.error and result.error.code == "invalid_request"
    assert own_standin.requests == []


def files(folder: Path) -> list[Path]:
    """All that is kept of sessions below a state folder."""
    return sorted((folder / "sessions").rglob("*.json"))


def turns(folder: Path) -> list[str]:
    return [path.name for path in files(folder)]


def age(folder: Path, hours: float) -> None:
    """Make everything in a folder older."""
    for path in folder.rglob("*"):
        os.utime(path, (0, path.stat().st_mtime - hours * 3600))


async def test_after_a_day_a_session_is_over_and_its_file_goes(own_standin: StandIn, tmp_path: Path) -> None:
    async with serving(own_standin, warm=1, state_dir=tmp_path) as house:
        first = await house.ask(prompt="one")
    age(tmp_path, hours=24.1)
    async with serving(own_standin, warm=1, state_dir=tmp_path) as house:
        assert (await house.ask(prompt="two", session_id=first.session_id)).error
        await house.ask(prompt="another")
    (left,) = files(tmp_path)
    assert left.parent.name != first.session_id


async def test_two_who_go_on_at_once_lose_nothing(house: House) -> None:
    first = await house.ask(prompt="one")
    house.standin.script(lambda request: Reply(content=(Text(f"to {request.last_text}"),)))
    answers: dict[str, AskResult] = {}

    async def go_on(prompt: str) -> None:
        answers[prompt] = await house.ask(prompt=prompt, session_id=first.session_id)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for prompt in ("left", "right"):
                tasks.start_soon(go_on, prompt)
    ids = {result.session_id for result in answers.values()}
    assert len(ids) == 2 and first.session_id in ids
    for prompt, result in answers.items():
        await house.ask(prompt="and now?", session_id=result.session_id)
        assert [text for _, text in said(house)][2:] == [prompt, f"to {prompt}", "and now?"]


async def test_a_failed_request_leaves_the_session_as_it_was(house: House) -> None:
    first = await house.ask(prompt="one")
    house.standin.enqueue(api.usage_limit())
    failed = await house.ask(prompt="two", session_id=first.session_id)
    assert failed.error and failed.session_id is None
    await house.ask(prompt="three", session_id=first.session_id)
    assert [text for role, text in said(house) if role == "user"] == ["one", "three"]


async def test_what_is_kept_is_the_owners_alone_and_only_the_latest_turn(own_standin: StandIn, tmp_path: Path) -> None:
    async with serving(own_standin, warm=1, state_dir=tmp_path) as house:
        first = await house.ask(prompt="one")
        await house.ask(prompt="two", session_id=first.session_id)
    assert turns(tmp_path) == ["2.json"]
    (file,) = files(tmp_path)
    assert file.stat().st_mode & 0o077 == 0 and file.parent.stat().st_mode & 0o077 == 0
    assert "sk-ant" not in file.read_text()


async def test_programs_that_bring_the_whole_conversation_leave_no_session_on_disk(
    own_standin: StandIn, tmp_path: Path
) -> None:
    async with serving(own_standin, warm=1, state_dir=tmp_path) as house:
        result = await house.ask(messages=[user("hello")], stream="events")
        async with house.http() as http:
            reply = await http.post("/claude", json={"prompt": "hello"})
    assert result.success and result.session_id is None and reply.json()["success"]
    assert turns(tmp_path) == []


async def test_sessions_can_be_turned_off(own_standin: StandIn, tmp_path: Path) -> None:
    async with serving(own_standin, warm=1, state_dir=tmp_path, session_hours=0) as house:
        result = await house.ask(prompt="hello")
    assert result.success and result.session_id is None
    assert turns(tmp_path) == [] and house.service.transcripts.files == 0


async def test_where_they_are_turned_off_those_of_an_earlier_server_go(own_standin: StandIn, tmp_path: Path) -> None:
    async with serving(own_standin, warm=0, state_dir=tmp_path) as house:
        await house.ask(prompt="hello")
    assert turns(tmp_path) == ["1.json"]
    async with serving(own_standin, warm=0, state_dir=tmp_path, session_hours=0):
        assert turns(tmp_path) == []


async def test_where_nothing_can_be_kept_the_answer_comes_all_the_same(own_standin: StandIn, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with serving(own_standin, warm=1, state_dir=tmp_path / "file") as house:
        result = await house.ask(prompt="hello")
    assert result.success and result.session_id is None


async def test_a_file_that_is_not_a_conversation_is_not_one(own_standin: StandIn, tmp_path: Path) -> None:
    async with serving(own_standin, warm=1, state_dir=tmp_path) as house:
        first = await house.ask(prompt="one")
        (file,) = files(tmp_path)
        file.write_text(json.dumps({"messages": 7}))
        result = await house.ask(prompt="two", session_id=first.session_id)
    assert result.error and re.search("no such conversation", result.error.message)
