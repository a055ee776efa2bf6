"""The processes that this process, or another, has started."""

from pathlib import Path


def children(parent: int) -> set[int]:
    """The ids of a process's children that are the CLI and have not ended."""
    found: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = stat.read_text().partition("(")[2].rpartition(") ")[::2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, ppid = fields.split()[:2]
        if int(ppid) == parent and name.startswith("claude") and state != "Z":
            found.add(int(stat.parent.name))
    return found


def working_in(folder: Path) -> set[int]:
    """The ids of the processes whose environment, or working folder, names `folder`."""
    found: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            named = str(folder).encode() in (process / "environ").read_bytes()
            if named or (process / "cwd").readlink().is_relative_to(folder):
                found.add(int(process.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found
