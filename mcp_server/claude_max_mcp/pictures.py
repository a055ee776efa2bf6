"""The images that Claude can see, known by how they begin.

In: the first bytes of a file. Out: its media type. It reads no more of a file than that, and checks nothing else.
"""

PICTURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
"""How the files begin that the Messages API takes as images; WebP is recognised by two places."""

SIGNATURE_BYTES = 12
"""How much of a file `detect_picture` needs."""


def detect_picture(content: bytes) -> str | None:
    """The media type of an image, by its first `SIGNATURE_BYTES`; None if Claude cannot see it."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in PICTURES.items() if content.startswith(start)), None)
