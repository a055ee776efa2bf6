"""The folder of the server's files that nobody needs after it: one for each running server, for the length of a block.

A server that was killed cannot remove its own. So each holds a lock on a file in its folder for as long as it lives,
and the next one to start removes the folders of this user whose lock nobody holds.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "claude-max-"
LOCK = "lock"


@contextmanager
def scratch_folder() -> Generator[Path]:
    """A new, empty folder for temporary files, which ends with the block."""
    _sweep(Path(tempfile.gettempdir()))
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name,
        Path(name, f"{LOCK}.new").open("w") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        Path(lock.name).rename(Path(name, LOCK))  # it has its name only once it is locked
        yield Path(name)


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        if _is_left_behind(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_left_behind(folder: Path) -> bool:
    """Whether a folder is this user's, and its server is gone."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return False
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False  # somebody's who lives, or not one of ours, or just being made
    return True
