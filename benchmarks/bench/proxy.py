"""A proxy: nginx, with the configuration of `deploy/`, in front of servers; the tests take it from here too.

In: the servers' addresses. Out: one address that stands for all of them, for the length of a block. Only addresses
are filled in. nginx is Debian's, runs without root on loopback, and has a folder of its own.
"""

import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import IO

import anyio
from anyio.abc import Process

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
SERVER = "claude-api:47291"
"""The address that the configuration names."""

MISSING = "nginx is not installed: Debian's nginx-light is enough"
PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
NOBODY = 65534
"""Whom it runs as where it would be root."""

STOPPING = 5.0
"""Seconds that it gets to stop; it takes well under one."""


def installed() -> str | None:
    """Where nginx is, if it is installed."""
    return shutil.which("nginx", path=PATH)


def filled_in(configuration: str, port: int, servers: Sequence[str]) -> str:
    """The configuration with the addresses given: each line that names a server becomes one for each of them."""
    line = re.compile(rf"^(\s*server ){re.escape(SERVER)}( .*)$", re.MULTILINE)
    each = line.sub(lambda found: "\n".join(f"{found[1]}{server}{found[2]}" for server in servers), configuration)
    return each.replace("listen 47291;", f"listen 127.0.0.1:{port};")


@asynccontextmanager
async def in_front_of(*roots: str, configuration: str | None = None) -> AsyncGenerator[str]:
    """Run nginx for the length of a block; gives the address to ask at, without a path.

    Args:
        roots: the servers' addresses, without a path.
        configuration: another one than that of `deploy/`.

    Raises:
        RuntimeError: it is not installed, or the configuration is not one.
    """
    if (nginx := installed()) is None:
        raise RuntimeError(MISSING)
    servers = [root.partition("//")[2] for root in roots]
    with _folder() as folder, socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port = listener.getsockname()[1]
        text = configuration or CONFIGURATION.read_text(encoding="utf-8")
        (folder / "nginx.conf").write_text(filled_in(text, port, servers), encoding="utf-8")
        command = [nginx, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        with (folder / "log").open("wb") as log:
            os.fchown(log.fileno(), _user() or -1, -1)
            await _tested(command, log)
            child = await _started(command, log, listener)
        listener.close()  # nginx alone has it now
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            with anyio.CancelScope(shield=True):
                await _end(child)


async def _tested(command: list[str], log: IO[bytes]) -> None:
    """Let nginx itself check the configuration, which it does not explain to anybody once it runs."""
    done = await anyio.run_process(
        [*command, "-t"], env={"PATH": PATH}, user=_user(), group=_user(), stdout=log, check=False
    )
    if done.returncode:
        raise RuntimeError(f"nginx does not take its configuration: {done.stderr.decode()}")


async def _started(command: list[str], log: IO[bytes], listener: socket.socket) -> Process:
    """The process and its worker, on a socket that listens already, so there is nothing to wait for."""
    return await anyio.open_process(
        command,
        env={"PATH": PATH, "NGINX": f"{listener.fileno()};"},  # how nginx hands its sockets to the next nginx
        user=_user(),
        group=_user(),
        stdout=log,
        stderr=log,
        pass_fds=[listener.fileno()],
        start_new_session=True,
    )


async def _end(child: Process) -> None:
    if child.returncode is None:
        child.terminate()
        with anyio.move_on_after(STOPPING):
            await child.wait()
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.aclose()


@contextmanager
def _folder() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="claude-max-nginx-") as folder:
        os.chown(folder, _user() or -1, -1)
        yield Path(folder)


def _user() -> int | None:
    """Whom it runs as: us, but never root."""
    return NOBODY if os.geteuid() == 0 else None
