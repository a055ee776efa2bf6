"""A server's temporary files end with it, and those of one that was killed end with the next."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mcp import Client

from claude_max_mcp.standin import StandIn
from tests.house import MODERN, asked
from tests.samples import assistant, user
from tests.server.program import serving

HOLD = """
import sys
from claude_max_mcp.service.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


def holder(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that has a scratch folder, and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env={"PATH": os.defpath, "TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str], number: signal.Signals | None = None) -> None:
    """End a process, by a signal or by the end of its input."""
    with process:
        if number is not None:
            process.send_signal(number)
        process.communicate(timeout=10)


def test_what_a_killed_server_left_is_removed_by_the_next_and_a_living_ones_is_not(tmp_path: Path) -> None:
    killed, left = holder(tmp_path)
    living, kept = holder(tmp_path)
    (tmp_path / "claude-max-somebodys").mkdir()
    end(killed, signal.SIGKILL)
    assert (left / "file").exists()
    following, own = holder(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([kept, own, tmp_path / "claude-max-somebodys"])
    end(living)
    end(following)
    assert [path.name for path in tmp_path.iterdir()] == ["claude-max-somebodys"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can take the room on the disk from another process")
async def test_a_history_for_which_there_is_no_room_is_a_typed_error_and_nothing_is_sent(
    own_standin: StandIn, tmp_path: Path
) -> None:
    login = {"CLAUDE_MAX_UPSTREAM_URL": own_standin.url, "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-invented"}
    history = {"messages": [user("a"), assistant("b"), user("c")]}
    async with serving(tmp_path, **login) as server:
        most, _ = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, most))
        async with Client(f"{server.url}/mcp", mode=MODERN) as client:
            refused = asked(await client.call_tool("ask_claude", history))
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (most, most))
            answered = asked(await client.call_tool("ask_claude", history))
    assert refused.error and (refused.error.code, refused.error.retryable) == ("busy", True)
    assert "written down" in refused.error.message
    assert answered.success and len(own_standin.requests) == 1
