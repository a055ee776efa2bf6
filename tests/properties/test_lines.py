"""Lines are the same lines, however the bytes come."""

import os
import tempfile
from collections.abc import AsyncIterator

from hypothesis import example, given
from hypothesis import strategies as st

from claude_max_mcp.background import beside
from claude_max_mcp.lines import split_lines
from claude_max_mcp.terminal.stdio import read_lines
from tests.virtual import in_virtual_asyncio_time, in_virtual_time, settled

CHUNKS = st.lists(
    st.lists(st.sampled_from([b"\n", b"a", b"\r", "é".encode(), "😀".encode()[:2], b"\x00"]), max_size=4).map(b"".join),
    max_size=6,
)


async def come(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def lines_of(content: bytes) -> list[bytes]:
    """What a whole file has as lines."""
    *lines, rest = content.split(b"\n")
    return [*lines, rest] if rest else lines


@given(chunks=CHUNKS)
@example(chunks=[b"a", b"", b"b", b"\n\nc"])
@in_virtual_time
async def test_the_lines_of_a_stream_do_not_depend_on_its_chunks(chunks: list[bytes]) -> None:
    assert [line async for line in split_lines(come(chunks))] == lines_of(b"".join(chunks))


@given(chunks=CHUNKS)
@in_virtual_asyncio_time
async def test_the_lines_of_standard_input_do_not_depend_on_its_chunks(chunks: list[bytes]) -> None:
    reading, writing = os.pipe()

    async def write() -> None:
        for chunk in chunks:
            os.write(writing, chunk)
            await settled()
        os.close(writing)

    async with beside(write):
        lines = [line async for line in read_lines(reading)]
    os.close(reading)
    assert lines == [line.decode(errors="replace") for line in lines_of(b"".join(chunks))]


@given(chunks=CHUNKS)
@in_virtual_asyncio_time
async def test_a_file_as_standard_input_has_the_same_lines(chunks: list[bytes]) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"".join(chunks))
        file.seek(0)
        lines = [line async for line in read_lines(file.fileno())]
    assert lines == [line.decode(errors="replace") for line in lines_of(b"".join(chunks))]
