"""A stream of bytes as lines, however it is cut into chunks.

In: chunks. Out: whole lines without their ends, and at the end what came after the last of them. There is no limit on
the length of a line: an answer with a picture is one line of many megabytes.
"""

from collections.abc import AsyncIterable, AsyncIterator


async def split_lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Split a stream at its line ends; a last line without an end comes too, if it is not empty."""
    parts: list[bytes] = []
    async for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join([*parts, line])
            parts.clear()
        parts.append(rest)
    if last := b"".join(parts):
        yield last
