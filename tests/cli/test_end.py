"""How a run, and a process, comes to its end, and what is left of it."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from claude_max_mcp.standin import Reply, StandIn, Text, ToolUse
from tests.cli.bare import DEADLINE, Bare, ask, assistant, events_until, heard, initialize, user
from tests.server.processes import working_in
from tests.waiting import until


def hang(standin: StandIn) -> None:
    """Let the next answer stop after its first word, for ever."""
    standin.enqueue(Reply(content=(Text("one two three"),), hold=anyio.Event(), hold_after=1))


async def test_an_interrupt_closes_the_request_upstream_and_the_next_message_would_tell_claude_of_it(
    bare: Bare,
) -> None:
    """The second half is the reason why an interrupted process is not used again."""
    hang(bare.upstream)
    async with bare.running() as worker:
        await initialize(worker)
        worker.say("hello")
        await events_until(worker, "content_block_delta")
        await worker.control({"subtype": "interrupt"})
        await bare.upstream.requests[0].closed_early.wait()
        run = await heard(worker)
        assert (run.result.is_error, run.result.terminal_reason) == (True, "aborted_streaming")
        await ask(worker, "again")
    told = {"type": "text", "text": "[Request interrupted by user]\n"}
    assert bare.arrived == [user("hello"), assistant("one "), user(told, "again")]


async def test_killing_it_closes_the_request_upstream_and_leaves_no_process(own_bare: Bare) -> None:
    hang(own_bare.upstream)
    async with own_bare.running() as worker:
        await initialize(worker)
        worker.say("hello")
        await events_until(worker, "content_block_delta")
        assert worker.pid in working_in(own_bare.home)
        worker.kill()
        await own_bare.upstream.requests[0].closed_early.wait()
    assert working_in(own_bare.home) == set()


@pytest.fixture
def ending(own_bare: Bare) -> Iterator[None]:
    """Ends what a test has left behind."""
    yield
    for process in working_in(own_bare.home):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def running(name: str, home: Path) -> set[int]:
    """The processes of that name that work in a home."""
    found: set[int] = set()
    for process in working_in(home):
        with suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{process}/comm").read_text().strip() == name:
                found.add(process)
    return found


@pytest.mark.usefixtures("ending")
async def test_a_command_of_its_own_shell_would_outlive_it(own_bare: Bare) -> None:
    """A reason why no process gets that tool: the shell leads a group of its own, which nobody ends."""
    own_bare.upstream.enqueue(Reply(content=(ToolUse("Bash", {"command": "exec tail -f /dev/null"}),)))
    launch = own_bare.launch("--allowedTools", "Bash", tools="Bash")
    async with own_bare.launched(replace(launch, homes=None)) as worker:
        await initialize(worker)
        worker.say("go")
        await until(lambda: running("tail", own_bare.home))
        started = running("tail", own_bare.home)
        assert {os.getpgid(process) for process in started}.isdisjoint({worker.pid})
    assert running("tail", own_bare.home) == started


async def test_it_ends_when_its_input_is_closed(bare: Bare) -> None:
    assert await bare.piped() == (0, [])


async def test_what_it_keeps_of_a_conversation_lies_in_its_config_folder(own_bare: Bare) -> None:
    """The reason why each process has one of its own, which ends with it."""
    async with own_bare.launched(replace(own_bare.launch(), homes=None)) as worker:
        await initialize(worker, systemPrompt=["a system prompt of this test"])
        await ask(worker, "a prompt of this test")
    written = [path for path in own_bare.home.rglob("*") if path.is_file()]
    kept = [path for path in written if b"prompt of this test" in path.read_bytes()]
    assert kept and all(path.is_relative_to(own_bare.home / ".claude" / "projects") for path in kept)


async def test_a_running_one_notes_its_session_in_two_files_which_stay_when_it_is_killed(own_bare: Bare) -> None:
    """They hold its id, its folder and a key for its peers."""
    sessions = own_bare.home / ".claude" / "sessions"
    await own_bare.piped({"type": "control_request", "request_id": "1", "request": {"subtype": "initialize"}})
    assert list(sessions.glob("*")) == []
    async with own_bare.launched(replace(own_bare.launch(), homes=None)) as worker:
        await initialize(worker)
        await ask(worker)
    noted = list(sessions.glob("*"))
    assert {path.name.partition(".")[0] for path in noted} == {str(worker.pid)}
    assert {path.suffix for path in noted} == {".json", ".key"}


async def test_what_it_streams_is_what_upstream_sent(bare: Bare) -> None:
    reply = Reply(content=(Text("one two three"),))
    bare.upstream.enqueue(reply)
    async with bare.running() as worker:
        await initialize(worker)
        run = await ask(worker)
    sent = list(reply.make_events("claude-sonnet-5-5"))
    sent[0]["message"]["id"] = run.events[0]["message"]["id"]  # each time the stand-in makes another
    assert run.events == sent


async def test_the_next_message_goes_on_natively_with_the_same_process(bare: Bare) -> None:
    bare.upstream.enqueue(Reply(content=(Text("4"),)))
    with anyio.fail_after(DEADLINE):
        async with bare.running() as worker:
            await initialize(worker)
            await ask(worker, "2+2?")
            await ask(worker, "sure?")
    assert bare.arrived == [user("2+2?"), assistant("4"), user("sure?")]
