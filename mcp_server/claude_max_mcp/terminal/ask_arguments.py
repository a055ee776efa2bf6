"""What a person asks from a shell: words, what is piped in, and files.

In: a prompt, standard input, paths. Out: the arguments of `ask_claude`. Nothing is mixed into the person's words: what
is piped in, and each file, goes along whole as a block of its own.
"""

import base64
import json
import os
import select
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from claude_max_mcp.errors import InvalidRequest, RequestError
from claude_max_mcp.messages import DocumentBlock, DocumentSource, ImageBlock, Json
from claude_max_mcp.pictures import detect_picture

MOST = 31 * 1024 * 1024
"""Bytes of a question; the server takes 32 MB, with all that is around it."""

PATIENCE = 2.0
"""Seconds that a pipe may be silent before the person hears what is waited for."""


def build_arguments(prompt: str | None, piped: str | None, images: Sequence[Path], files: Sequence[Path]) -> Json:
    """The question; without a prompt, what is piped in is the prompt.

    Raises:
        RequestError: a file is not of a kind that can be sent, or all is too large.
    """
    if prompt is None:
        prompt, piped = piped or "", None
    blocks: list[ImageBlock | DocumentBlock] = [*map(read_image, images), *map(read_document, files)]
    if piped:
        blocks.append(as_document("standard input", piped))
    if not blocks:
        return _check_size({"prompt": prompt})
    return _check_size({"messages": [{"role": "user", "content": [*blocks, {"type": "text", "text": prompt}]}]})


def read_piped_text(notify: Callable[[str], None]) -> str | None:
    """All that is piped in, as it is; None if standard input is no pipe and no file, or holds nothing but space.

    Raises:
        RequestError: it is too large, or no text.
    """
    if not _is_piped():
        return None
    if not select.select([0], [], [], PATIENCE)[0]:
        notify("Waiting for standard input to end, as it goes along. Where there is none: < /dev/null")
    text = _decode("Standard input", sys.stdin.buffer.read(MOST + 1))
    return text if text.strip() else None


def read_image(path: Path) -> ImageBlock:
    """An image as a block; its first bytes say what it is.

    Raises:
        RequestError: it is none that Claude can see.
    """
    content = _read(path)
    if (kind := detect_picture(content)) is None:
        raise InvalidRequest(f"{path} is no PNG, JPEG, GIF or WebP image. Convert it, or give other files with --file.")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": _encode(content)}}


def read_document(path: Path) -> DocumentBlock:
    """A PDF or a text file as a block.

    Raises:
        RequestError: it is neither.
    """
    content = _read(path)
    if content.startswith(b"%PDF-"):
        source: DocumentSource = {"type": "base64", "media_type": "application/pdf", "data": _encode(content)}
        return {"type": "document", "source": source, "title": path.name}
    return as_document(path.name, _decode(str(path), content))


def as_document(title: str, text: str) -> DocumentBlock:
    """Text as a block of its own, whose bounds nothing in it can shift."""
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}, "title": title}


def _is_piped() -> bool:
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST + 1)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read ({error.strerror}).") from None


def _decode(name: str, content: bytes) -> str:
    if len(content) > MOST:
        raise _make_too_large()
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"{name} is no text in UTF-8. Give PDFs with --file and images with --image.") from None


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _check_size(question: Json) -> Json:
    if len(json.dumps(question, ensure_ascii=False).encode()) > MOST:
        raise _make_too_large()
    return question


def _make_too_large() -> RequestError:
    return RequestError("request_too_large", f"At most {MOST // 1024**2} MB can be asked at once. Send less.")
