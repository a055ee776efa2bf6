"""How the CLI is logged in, as it says itself.

In: how the CLI is launched. Out: its version and its login, from `claude --version` and `claude auth status`, which
make no request and spend nothing. A login that the CLI reports is configured, not proven: it says the same of an
invented token.
"""

from dataclasses import dataclass, replace

import anyio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from claude_max_mcp.claude.launch import Launch
from claude_max_mcp.errors import ServiceError
from claude_max_mcp.results import BilledTo

DEADLINE = 10.0
"""Seconds that the CLI gets for either question; it takes well under one."""


class _AuthStatus(BaseModel):
    model_config = ConfigDict(extra="ignore")
    logged_in: bool = Field(alias="loggedIn")
    method: str = Field(alias="authMethod")
    provider: str = Field(default="firstParty", alias="apiProvider")
    plan: str | None = Field(default=None, alias="subscriptionType")
    """Known of a login that the CLI has stored; not of a token in its environment."""


@dataclass(frozen=True)
class Login:
    """What the CLI says of itself; None where it did not say."""

    cli_version: str | None = None
    configured: bool | None = None
    method: str | None = None
    billed_to: BilledTo | None = None


async def look_up(launch: Launch) -> Login:
    """Ask the CLI for its version and its login, both at once."""
    login, version = Login(), None

    async def find_login() -> None:
        nonlocal login
        login = await look_up_login(launch)

    async with anyio.create_task_group() as group:
        group.start_soon(find_login)
        version = await _run_cli(launch, "--version")
        if version is None:
            group.cancel_scope.cancel()
    if version is None:
        return Login()
    return replace(login, cli_version=version.split(maxsplit=1)[0] if version else None)


async def look_up_login(launch: Launch) -> Login:
    """Ask the CLI for its login alone."""
    try:
        status = _AuthStatus.model_validate_json(await _run_cli(launch, "auth", "status") or "")
    except ValidationError:
        return Login()
    return Login(None, status.logged_in, status.method, _choose_payer(status))


def _choose_payer(status: _AuthStatus) -> BilledTo | None:
    if not status.logged_in:
        return None
    with_plan = status.method == "claude.ai" and status.plan not in (None, "free")
    subscription = status.provider == "firstParty" and (with_plan or status.method == "oauth_token")
    return "subscription" if subscription else "api_key"


async def _run_cli(launch: Launch, *arguments: str) -> str | None:
    """What the CLI prints, or None if it cannot be run; its exit code says nothing more."""
    try:
        with anyio.fail_after(DEADLINE), launch.preparing() as (environment, files):
            done = await anyio.run_process(
                [str(launch.cli), *arguments], check=False, env=environment, cwd=launch.folder, pass_fds=files
            )
    except (OSError, TimeoutError, ServiceError):
        return None
    return done.stdout.decode(errors="replace").strip()
