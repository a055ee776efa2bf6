"""A question about a picture. Start the server first: `claude-max serve`."""

import struct
import zlib

from pydantic_ai import Agent, BinaryContent

from pydantic_ai_claude_max import ClaudeMaxModel


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def flag(width: int = 90, height: int = 60) -> bytes:
    """A PNG of three stripes: blue, white, red."""
    stripes = [bytes([0, 85, 164]), bytes([255, 255, 255]), bytes([239, 65, 53])]
    row = b"\0" + b"".join(stripe * (width // 3) for stripe in stripes)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(row * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


agent = Agent(ClaudeMaxModel("sonnet"))
picture = BinaryContent(flag(), media_type="image/png")
result = agent.run_sync(["Of which country is this the flag?", picture])
print(result.output)
print(result.usage.input_tokens, "tokens read")
