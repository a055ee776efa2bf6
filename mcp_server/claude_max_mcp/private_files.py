"""Files that only their owner can read, each there whole or not at all.

In: a path and what is to stand there. Out: the file, in folders that nobody else may enter. What is written is not
known here.
"""

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write a file, over another if there is one.

    Raises:
        OSError: it cannot be written; what was there before is left.
    """
    with _written(path, content) as name:
        Path(name).replace(path)


def create_file(path: Path, content: bytes) -> None:
    """Write a file that is not there yet.

    Raises:
        FileExistsError: somebody else has written it.
        OSError: it cannot be written.
    """
    with _written(path, content) as name:
        os.link(name, path)


def append_to_file(path: Path, content: bytes) -> None:
    """Write at the end of a file.

    Raises:
        OSError: not all of it could be written.
    """
    make_folder(path.parent)
    with open(path, "ab", opener=_open_private) as file:
        file.write(content)


def make_folder(path: Path) -> None:
    """A folder for such files, with those above it, as far as they are not there."""
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


@contextmanager
def _written(path: Path, content: bytes) -> Generator[str]:
    """The name of a file beside `path` that holds `content`, and is gone afterwards unless it was moved."""
    make_folder(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield name
    finally:
        Path(name).unlink(missing_ok=True)
