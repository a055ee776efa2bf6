"""What `claude-max status` shows a person."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from claude_max_mcp import standin as api
from claude_max_mcp.errors import AccountError, ServiceError
from claude_max_mcp.results import ErrorInfo, Health
from claude_max_mcp.terminal.exit_codes import to_exit_code
from claude_max_mcp.terminal.status_view import render_health
from tests.house import PATH, serving
from tests.server.program import run

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
EAST = timezone(timedelta(hours=2))
HEALTH: dict[str, Any] = {
    "status": "healthy",
    "cause": None,
    "claude_cli": "available",
    "workspace_root": None,
    "message": "Service ready",
    "cli_version": "2.1.330",
    "auth": {"method": "oauth_token", "state": "configured"},
    "billed_to": "subscription",
    "rate_limit": None,
    "pool": {"size": 2, "warm": 2, "starting": 0, "leased": 1, "kept": 3},
    "in_flight": 1,
    "queued": 4,
    "last_error": None,
    "uptime": 93784.0,
}


def health(**changes: Any) -> Health:
    return Health.model_validate(HEALTH | changes)


def shown(report: Health) -> str:
    console = Console(width=100, color_system=None)
    with console.capture() as captured:
        console.print(render_health(report, NOON.astimezone(EAST)))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def at(**later: float) -> int:
    return int((NOON + timedelta(**later)).timestamp())


def test_usage_windows_are_bars_with_the_local_time_of_their_end() -> None:
    windows = {
        "five_hour": {"utilization": 0.5, "resets_at": at(hours=2, minutes=5)},
        "seven_day": {"utilization": 1.0, "resets_at": at(days=3)},
        "seven_day_opus": {"utilization": None, "resets_at": at(minutes=-1)},
    }
    text = shown(health(rate_limit={"status": "allowed", "windows": windows}))
    five, seven, opus = text.splitlines()[-3:]
    assert five == f"5 hours         {'━' * 12:24}  50% used   until 16:05, in 2 h 5 min"
    assert seven == f"7 days          {'━' * 24}  100% used  until Fri 27 Nov 14:00, in 3 d"
    assert opus.split() == ["seven", "day", "opus", "not", "known", "until", "13:59,", "which", "is", "past"]


def test_pool_queue_and_where_the_login_is_known_from_are_told() -> None:
    text = " ".join(shown(health()).split())
    assert text.startswith("healthy: Service ready claude 2.1.330")
    assert "login configured (oauth_token), not proven: only an answer proves it" in text
    assert "requests 1 running, 4 waiting processes 2 ready, 3 kept, 0 starting up for 1 d 2 h" in text
    proven = {"method": "oauth_token", "state": "proven", "proven_at": at(minutes=-3)}
    assert "proven (oauth_token): Claude answered at 13:57" in shown(health(auth=proven))
    assert "none: run `claude-max login`" in shown(health(auth={"state": "none"}))


def test_an_earlier_error_is_told_beside_the_state() -> None:
    error = ErrorInfo.from_error(ServiceError("timeout", "It took [too] long.", "Ask for less."))
    assert "timeout: It took [too] long. Ask for less." in shown(health(last_error=error))


def test_an_error_that_is_the_cause_is_not_told_twice() -> None:
    error = ErrorInfo.from_error(AccountError("usage_limit", "The limit is reached.", "Wait."))
    text = shown(health(last_error=error, status="degraded", cause="usage_limit", message=error.message))
    assert text.startswith("degraded: The limit is reached. Wait.") and "last error" not in text


STATES: dict[str, tuple[int, dict[str, Any]]] = {
    "a limit is reached": (4, {}),
    "nobody is logged in": (3, {"environment": {"PATH": PATH, "HOME": "/nonexistent"}}),
    "there is no CLI": (6, {"cli_path": Path("/nonexistent/claude")}),
}


@pytest.mark.parametrize(("expected", "settings"), STATES.values(), ids=STATES.keys())
async def test_status_exits_by_the_cause(tmp_path: Path, expected: int, settings: dict[str, Any]) -> None:
    async with serving(warm=0, **settings) as house:
        if not settings:
            house.standin.enqueue(api.usage_limit())
            assert (await house.ask(prompt="hello")).error
        report = await house.service.health()
        code, out, err = await run(tmp_path, "status", CLAUDE_MAX_URL=house.url)
    assert report.cause and (code, err) == (expected, "") and expected == to_exit_code(report.cause)
    assert out.startswith(f"{report.status}: ") and "Traceback" not in out
