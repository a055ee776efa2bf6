"""What the machine has for the service: memory, a clock that goes right, files that set API keys.

In: what is needed. Out: findings. It asks the kernel and the file system, and starts nothing.
"""

import re
import time
from datetime import UTC, datetime
from pathlib import Path

from claude_max_mcp.claude.launch import MB, PROCESS_MB
from claude_max_mcp.settings import API_KEYS
from claude_max_mcp.terminal.doctor.findings import Finding

MEMORY = Path("/proc/meminfo")
CONTROL_GROUP = Path("/sys/fs/cgroup")
"""Where a container sees its limits."""

MOST_READ = 64 * 1024
"""The most bytes of a `.env` file that are looked at."""


def check_memory(processes: int, available: int | None) -> Finding | None:
    """Whether `available` megabytes are room for as many processes; None where the system does not say."""
    if available is None:
        return None
    needed = processes * PROCESS_MB
    what = f"{available} MB of memory are available"
    cure = "Lower CLAUDE_MAX_CONCURRENCY and CLAUDE_MAX_WARM, or give more memory."
    if available < PROCESS_MB:
        return Finding("problem", f"{what}, less than one claude process takes (some {PROCESS_MB} MB)", cure)
    if available < needed:
        processes_need = f"the {processes} claude processes that may run and stand ready take some {needed}"
        return Finding("warning", f"{what}; {processes_need}", cure)
    return Finding("ok", f"{what} for up to {processes} claude processes of some {PROCESS_MB} MB each")


def read_available_mb(meminfo: Path = MEMORY, control_group: Path = CONTROL_GROUP) -> int | None:
    """Megabytes that new processes can have: the machine's, or what is left of a container's limit."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE)
    except OSError:
        return None
    if found is None:
        return None
    return min(int(found[1]) * 1024 // MB, _read_container_mb(control_group))


def _read_container_mb(folder: Path) -> int:
    unlimited = 2**31
    try:
        limit, used = (folder / "memory.max").read_text().strip(), (folder / "memory.current").read_text().strip()
        inactive = re.search(r"^inactive_file (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
    except OSError:
        return unlimited
    if not (limit.isdecimal() and used.isdecimal()):
        return unlimited
    reclaimable = int(inactive[1]) if inactive else 0  # the kernel drops these pages before it refuses anything
    return max(0, int(limit) - int(used) + reclaimable) // MB


def check_clock(cli: Path) -> Finding:
    """Whether the clock is plausible: not before the CLI was put here. A login's expiry is told by it."""
    now, put_here = time.time(), cli.stat().st_mtime
    if now < put_here:
        return Finding(
            "problem",
            f"the clock says {_format_day(now)}, and the claude CLI was put here on {_format_day(put_here)}",
            "Set the clock: with a wrong one logins look expired and TLS fails.",
        )
    return Finding("ok", f"the clock is plausible ({_format_day(now)})")


def _format_day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def find_key_files(folder: Path) -> list[tuple[Path, str]]:
    """The `.env` file of a folder, once for the name of each API key that it sets."""
    file = folder / ".env"
    try:
        with file.open("rb") as open_workspace:
            text = open_workspace.read(MOST_READ).decode(errors="replace")
    except OSError:
        return []
    return [(file, name) for name in API_KEYS if re.search(rf"^\s*(?:export\s+)?{name}\s*=\s*\S", text, re.MULTILINE)]
