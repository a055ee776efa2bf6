"""How the server is, for a person's eyes: bars for the usage windows, times in local time.

In: a `Health` and the time. Out: what rich can print.
"""

from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from claude_max_mcp.results import Auth, Health, RateLimit, Window

COLOURS = {"healthy": "green", "degraded": "yellow", "unhealthy": "red"}
NAMES = {"five_hour": "5 hours", "seven_day": "7 days"}
WIDTH = 24


def render_health(health: Health, now: datetime) -> RenderableType:
    """All that `health` says, line by line; `now` has a time zone, in which times are shown."""
    processes = f"{health.pool.warm} ready, {health.pool.kept} kept, {health.pool.starting} starting"
    rows = {
        "claude": health.cli_version or "missing",
        "login": _describe_login(health.auth, now),
        "paid by": (health.billed_to or "not known yet").replace("_", " "),
        "requests": f"{health.in_flight} running, {health.queued} waiting",
        "processes": processes,
        "up for": _format_duration(health.uptime),
    }
    if health.last_error and health.last_error.code != health.cause:
        rows["last error"] = f"{health.last_error.code}: {health.last_error.message}"
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(Text(name, "dim"), Text(value))
    state = Text.assemble((health.status, f"bold {COLOURS[health.status]}"), f": {health.message}")
    return Group(state, table, render_usage(health.rate_limit, now))


def render_usage(limit: RateLimit | None, now: datetime) -> RenderableType:
    """A bar for each usage window."""
    if limit is None or not limit.windows:
        return Text("How much of the limits is used is known after the first answer.", "dim")
    table = Table.grid(padding=(0, 2))
    for name, window in limit.windows.items():
        table.add_row(
            Text(NAMES.get(name, name.replace("_", " ")), "dim"), *_render_window(window), _describe_reset(window, now)
        )
    return table


def _render_window(window: Window) -> tuple[RenderableType, str]:
    used = window.utilization
    if used is None:
        return "", "not known"
    colour = "green" if used < 0.75 else "yellow" if used < 0.95 else "red"
    bar = ProgressBar(total=1, completed=used, width=WIDTH, complete_style=colour, finished_style="red")
    return bar, f"{used:.0%} used"


def _describe_reset(window: Window, now: datetime) -> str:
    if window.resets_at is None:
        return ""
    left = window.resets_at - now.timestamp()
    return f"until {_format_time(window.resets_at, now)}" + (
        f", in {_format_duration(left)}" if left > 0 else ", which is past"
    )


def _describe_login(auth: Auth, now: datetime) -> str:
    how = f" ({auth.method})" if auth.method else ""
    match auth.state:
        case "proven" if auth.proven_at is not None:
            return f"proven{how}: Claude answered at {_format_time(auth.proven_at, now)}"
        case "configured":
            return f"configured{how}, not proven: only an answer proves it"
        case "none":
            return "none: run `claude-max login`"
        case state:
            return f"{state}{how}"


def _format_time(at: int, now: datetime) -> str:
    local = datetime.fromtimestamp(at, now.tzinfo)
    return local.strftime("%H:%M" if local.date() == now.date() else "%a %d %b %H:%M")


def _format_duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    minutes, rest = divmod(int(timedelta(seconds=seconds).total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")) if n]
    return " ".join(parts[:2]) or "0 s"
