"""The folder in which one process keeps what it notes for itself: its own, and gone with it.

In: the folder in which the user's Claude Code notes such things. Out: a folder of a few hundred bytes, and the
variables that make a process use it. The login stays where the user has it, and the CLI renews it there. So nothing
else is written below the user's home, processes do not share a file, and a home that cannot be written to will do.
"""

import os
import re
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from claude_max_mcp.messages import Json
from claude_max_mcp.private_files import replace_file

CONFIG = "CLAUDE_CONFIG_DIR"
"""The CLI's variable for the folder of everything that it notes."""

LOGIN_FOLDER = "CLAUDE_SECURESTORAGE_CONFIG_DIR"
"""The CLI's variable for the folder of the login alone."""

NOTES = ".claude.json"
"""The CLI's file of what it notes, in its folder; in the user's home where no variable names that folder."""


class _Identity(BaseModel):
    """How the CLI names this machine to Anthropic, and whose login it is; never the login, nor a key."""

    model_config = ConfigDict(extra="ignore")
    user_id: str = Field(default_factory=lambda: f"{uuid.uuid4().hex}{uuid.uuid4().hex}", alias="userID")
    machine_id: str = Field(default_factory=lambda: f"{uuid.uuid4().hex}{uuid.uuid4().hex}", alias="machineID")
    account: Json | None = Field(default=None, alias="oauthAccount")


@dataclass(frozen=True)
class HomeMaker:
    """Makes the folders of processes.

    Attributes:
        parent: where to make them.
        login: what names the folder of the user's login, see `name_login_folder`.
        notes: what each process is to find noted.
    """

    parent: Path
    login: str
    notes: str

    @contextmanager
    def making_home(self, work: Path, session: str) -> Generator[dict[str, str]]:
        """A folder for the length of a block; gives the variables that make a process use it.

        The CLI keeps pictures in folders of its own, and tells Claude their paths, which nobody has said. Where it
        cannot make these folders it says nothing; so there is a file in the place of each.

        Args:
            work: where the process works.
            session: what it calls its conversation.

        Raises:
            OSError: there is no room for it.
        """
        with TemporaryDirectory(dir=self.parent, prefix="", ignore_cleanup_errors=True) as name:
            config, temporary = Path(name, "config"), Path(name, "tmp")
            project = re.sub("[^a-zA-Z0-9]", "-", str(work))
            for folder_of_pictures in (
                config / "projects" / project / session,
                temporary / f"claude-{os.getuid()}" / project,
            ):
                folder_of_pictures.parent.mkdir(parents=True)
                folder_of_pictures.touch()
            (config / NOTES).write_text(self.notes)
            own = {CONFIG: str(config), LOGIN_FOLDER: self.login}
            yield {**own, "TMPDIR": str(temporary), "CLAUDE_CODE_TMPDIR": str(temporary)}


def find_login_folder(environment: Mapping[str, str]) -> Path:
    """The folder of the user's login, for a CLI with that environment."""
    return Path(name_login_folder(environment) or Path(environment.get("HOME", "~"), ".claude"))


def name_login_folder(environment: Mapping[str, str]) -> str:
    """The value of `LOGIN_FOLDER` with which a CLI finds the login that one with that environment has stored.

    Empty for `~/.claude`, and not its path: on macOS the login lies in the keychain, under a name that has a digest of
    the folder in it unless the variable is empty (read in the CLI 2.1.330; it could not be run there).
    """
    return environment.get(LOGIN_FOLDER, environment.get(CONFIG, ""))


def read_identity(environment: Mapping[str, str], kept: Path) -> str:
    """What each process is to find noted: the identity that the user's own Claude Code has, else one that is kept.

    Args:
        environment: what the CLI inherits.
        kept: the file of an identity that was invented here; it is written when it is first needed.
    """
    config = environment.get(CONFIG)
    for path in (Path(config or environment.get("HOME", "~"), NOTES), kept):
        try:
            identity = _Identity.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
        if {"user_id", "machine_id"} <= identity.model_fields_set:
            return identity.model_dump_json(by_alias=True, exclude_none=True)
    invented = _Identity().model_dump_json(by_alias=True, exclude_none=True)
    with suppress(OSError):  # one that cannot be kept lasts as long as this server
        replace_file(kept, invented.encode())
    return invented
