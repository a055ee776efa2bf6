"""A process of the operating system that says what it is given, and that no signal can reach."""

from pathlib import Path
from signal import Signals

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

from claude_max_mcp.engine.recording import Recording
from claude_max_mcp.engine.transcripts import Transcripts

NO_PROCESS = 2**22 + 1
"""More than the highest number that Linux gives to a process."""


class _Chunks(ByteReceiveStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = iter(chunks)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise anyio.EndOfStream

    async def aclose(self) -> None:
        """There is nothing to close."""


class _Sink(ByteSendStream):
    async def send(self, item: bytes) -> None:
        """Nobody reads it."""

    async def aclose(self) -> None:
        """There is nothing to close."""


class RecordedProcess(Process):
    """Says some chunks, then ends.

    Args:
        said: the chunks of its standard output.
    """

    def __init__(self, *said: bytes) -> None:
        self._stdout = _Chunks(list(said))
        self._stderr = _Chunks([])
        self._stdin = _Sink()

    @property
    def pid(self) -> int:
        return NO_PROCESS

    @property
    def returncode(self) -> None:
        return None

    @property
    def stdin(self) -> ByteSendStream:
        return self._stdin

    @property
    def stdout(self) -> ByteReceiveStream:
        return self._stdout

    @property
    def stderr(self) -> ByteReceiveStream:
        return self._stderr

    async def wait(self) -> int:
        return 0

    def terminate(self) -> None:
        """It has ended."""

    def kill(self) -> None:
        """It has ended."""

    def send_signal(self, signal: Signals) -> None:
        """It has ended."""

    async def aclose(self) -> None:
        """There is nothing to close."""


def make_recording() -> Recording:
    """A recording of a conversation that is kept nowhere."""
    return Recording(Transcripts(Path("nowhere"), seconds=0, most=0, version="none"))
