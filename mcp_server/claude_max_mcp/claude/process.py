"""One unmodified `claude` process as the operating system sees it: started, stopped and woken, measured, killed.

In: how to launch it (`Launch`). Out: its lines, and why it ended. What the lines mean is not known here (`worker`).

The process leads a session and a group of its own, and is ended with its group; on Linux the kernel ends it when this
server dies, however that happens.
"""

import os
import resource
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import anyio
from anyio.abc import Process

from claude_max_mcp.claude.launch import Launch, find_cli
from claude_max_mcp.errors import NoRoom, ServiceError, hide_credentials
from claude_max_mcp.lines import split_lines

CLOSE_DEADLINE = 5.0
"""Seconds within which the kernel must have ended a killed process."""

REAP_DEADLINE = 1.0
"""Seconds that are waited for the exit code of a process that has closed its output."""

KEPT_STDERR = 4096
"""Bytes of what a process complains about that are kept: the last ones."""


class ClaudeProcess:
    """A running process. `running_process(launch)` gives one."""

    def __init__(self, process: Process, *, may_rest: bool = False) -> None:
        self._process = process
        self._may_rest = may_rest
        self._stderr = b""
        self._ended = False

    def __repr__(self) -> str:
        return f"<ClaudeProcess {self.pid} {'alive' if self.alive else 'ended'}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process can still be spoken to."""
        return not self._ended and self._process.returncode is None

    @property
    def memory(self) -> int:
        """Bytes of memory that are this process's own, without what it shares with others; 0 where that is unknown."""
        try:
            _, resident, shared, *_ = Path(f"/proc/{self.pid}/statm").read_text().split()
        except OSError:
            return 0
        return (int(resident) - int(shared)) * resource.getpagesize()

    def rest(self) -> None:
        """Stop the process while it is not needed: merely waiting, it takes some 10 ms of CPU time a second.

        Not where it would outlive this server: stopped, it could not notice that its server is gone.
        """
        if self.alive and self._may_rest:
            self._send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let the process go on where it rests."""
        if self.alive:
            self._send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process and all it started, at once. Nothing is awaited, so nothing can get in between."""
        self._ended = True
        self._send_signal(signal.SIGKILL)

    def _send_signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    async def write(self, data: bytes) -> None:
        """Write to standard input.

        Raises:
            anyio.BrokenResourceError, anyio.ClosedResourceError: the process does not read any more.
        """
        assert self._process.stdin is not None
        await self._process.stdin.send(data)

    async def read_lines(self) -> AsyncIterator[bytes]:
        """The lines of standard output until its end; from then on the process is not alive."""
        assert self._process.stdout is not None
        try:
            async for line in split_lines(self._process.stdout):
                yield line
            if not self._ended:  # it ended by itself: find out how
                with anyio.move_on_after(REAP_DEADLINE):
                    await self._process.wait()
        finally:
            self._ended = True

    async def collect_stderr(self) -> None:
        """Keep the end of what the process complains about, until its end."""
        assert self._process.stderr is not None
        async for chunk in self._process.stderr:
            self._stderr = (self._stderr + chunk)[-KEPT_STDERR:]

    def explain_end(self) -> ServiceError:
        """Why the process is gone, as far as it said so."""
        last = self._stderr.decode(errors="replace").strip().rpartition("\n")[2]
        said = f" Its last words: {hide_credentials(last)[:300]!r}." if last else ""
        code = self._process.returncode
        return ServiceError(
            "cli_failed",
            f"The claude process ended before it answered (exit code {code}).{said}",
            "Try again; if it stays, look at `claude-max status`.",
        )


@asynccontextmanager
async def running_process(launch: Launch) -> AsyncGenerator[ClaudeProcess]:
    """Run a process for the length of a block; leaving it kills the process.

    Raises:
        ServiceError: `cli_missing`, the binary cannot be run; `busy`, there is no room for its files.
    """
    find_cli(launch.cli)
    session = str(uuid4())
    with ExitStack() as stack:
        try:
            environment, files = stack.enter_context(launch.preparing(session))
        except OSError as error:
            raise NoRoom("The settings of a process", error) from error
        try:
            child = await anyio.open_process(
                launch.make_command(session), env=environment, cwd=launch.folder, start_new_session=True, pass_fds=files
            )
        except OSError as error:
            raise ServiceError("cli_missing", f"The claude CLI at {launch.cli} cannot be run: {error}.") from error
        process = ClaudeProcess(child, may_rest=launch.ends_with_us)
        try:
            yield process
        finally:
            process.kill()
            with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_DEADLINE):
                await child.aclose()
