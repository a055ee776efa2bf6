"""The owner's folder, opened to Claude for reading.

In: the folder. Out: how a process is started that may read there, and whether one call of its tools may go ahead. The
CLI itself allows reading below its working folder, links resolved, and in this mode refuses everything else; each call
is checked here once more. Nothing in the folder is obeyed: no settings, hooks, servers or instructions that lie there.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from claude_max_mcp.claude.launch import Launch
from claude_max_mcp.errors import RequestError
from claude_max_mcp.messages import Json
from claude_max_mcp.settings import Settings

TOOLS = frozenset({"Read", "Grep", "Glob"})
"""The CLI's own tools that a process gets."""

SECRETS = (".env", ".env.*", "*.pem", "id_rsa*", "id_ed25519*", ".netrc", ".git-credentials", ".credentials.json")
"""Names of files that hold credentials; none is read, wherever it lies."""

THE_KERNELS = (Path("/proc"), Path("/sys"), Path("/dev"))
"""Folders in which a file is not what somebody wrote: there, any process could read its own environment."""


class Workspace:
    """One folder.

    Args:
        root: the folder.
        private: files and folders that must not lie in it, such as the CLI's login.
    """

    def __init__(self, root: Path, private: Iterable[Path] = ()) -> None:
        self.root = root.resolve()
        """The folder, links resolved."""
        self._private = [path.resolve() for path in private]

    def find_fault(self) -> str | None:
        """Why the folder cannot be opened, or None if it can."""
        if not self.root.is_dir():
            return f"{self.root} is not a folder"
        if any(self.root.is_relative_to(folder) for folder in THE_KERNELS):
            return f"{self.root} is the kernel's, and shows the environment of processes"
        held = next((path for path in self._private if path.is_relative_to(self.root)), None)
        return f"{self.root} holds {held}, which Claude must not read" if held else None

    def launch(self, launch: Launch) -> Launch:
        """How to start a process that may read here.

        Raises:
            RequestError: `unsupported`, the folder is none, or holds what nobody may read.
        """
        if (fault := self.find_fault()) is not None:
            problem = f"`workspace` is not supported by this server: {fault}."
            raise RequestError(
                "unsupported", problem, "Set CLAUDE_MAX_WORKSPACE_ROOT to a folder that Claude may read."
            )
        denied = [f"Read(/{self.root}/**/{name})" for name in SECRETS]
        return replace(
            launch,
            cli_tools=",".join(sorted(TOOLS)),
            folder=self.root,
            extra_arguments=("--disallowedTools", *denied, *launch.extra_arguments),
        )

    def find_refusal(self, tool: str, arguments: Json) -> str | None:
        """Why a call must not go ahead, or None if it may."""
        if tool not in TOOLS:
            return None  # the caller's, which only the caller runs
        for name in ("file_path", "path", "pattern" if tool == "Glob" else "path"):
            if (place := arguments.get(name)) and not self._holds(arguments.get("path"), str(place)):
                return f"{place} is outside the workspace {self.root}; only what lies in it can be read."
        return None

    def _holds(self, base: object, place: str) -> bool:
        """Whether a path, or all that a pattern can match, lies here once links are followed."""
        fixed = _WILDCARD.split(place, maxsplit=1)[0]
        if place.startswith("~") or ".." in Path(place).parts:
            return False
        start = Path(self.root, str(base or ""))
        try:
            return all(path.resolve().is_relative_to(self.root) for path in (start, start / fixed))
        except (OSError, RuntimeError, ValueError):  # it leads nowhere: a loop of links, or no path at all
            return False


_WILDCARD = re.compile(r"[*?\[{!]")


def open_workspace(settings: Settings, launch: Launch) -> Workspace | None:
    """The folder that may be read; never with the login, the door's token or what others said in it."""
    if settings.workspace_root is None:
        return None
    private = [launch.login_folder, settings.state_dir, settings.token_file, settings.login_file, launch.scratch]
    return Workspace(settings.workspace_root, [path for path in private if path is not None])
