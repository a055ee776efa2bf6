"""The token that callers show at the door, where it lies in a file.

In: the settings. Out: the settings with the token in them. The server makes the file if there is none, so that nobody
has to think of a secret; clients only read it.
"""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from claude_max_mcp.errors import ServiceError
from claude_max_mcp.settings import Settings


def load_token(settings: Settings, *, make: bool = False) -> Settings:
    """The settings with the token that `token_file` holds, unless they have one.

    Args:
        settings: as they are.
        make: whether to make the file if there is none.

    Raises:
        ServiceError: `internal`, the file cannot be read, or be made, or holds nothing.
    """
    if settings.token is not None or settings.token_file is None:
        return settings
    try:
        if make:
            _make(settings.token_file)
        token = settings.token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ServiceError(
            "internal",
            f"The token cannot be read from {settings.token_file} ({reason}).",
            "`claude-max serve` makes that file where it may; or set CLAUDE_MAX_TOKEN.",
        ) from None
    if not token:
        raise ServiceError("internal", f"{settings.token_file} is empty.", "Put a token into it, or remove it.")
    return settings.model_copy(update={"token": SecretStr(token)})


def _make(path: Path) -> None:
    """Make the file, for the owner alone, whole or not at all; one that another server makes meanwhile stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        return
    with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
        file.flush()
        with suppress(FileExistsError):
            os.link(file.name, path)
