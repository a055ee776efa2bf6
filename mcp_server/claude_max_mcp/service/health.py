"""How the service is, from what is known already.

In: the settings, what is known of the account, how many processes and requests there are. Out: a `Health`: the status,
its cause as the code of an error, and a message for people. It asks nothing of Claude; the only question that
`HealthMonitor` asks the CLI is how it is logged in, and that seldom.
"""

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

from claude_max_mcp.claude.launch import Launch
from claude_max_mcp.claude.login import look_up, look_up_login
from claude_max_mcp.engine.account import AccountState, as_rate_limit
from claude_max_mcp.engine.cli_errors import EXPLANATIONS
from claude_max_mcp.engine.conversations import Conversations
from claude_max_mcp.errors import AccountError, ClaudeMaxError, Code, ServiceError
from claude_max_mcp.results import Auth, ErrorInfo, Health, PoolState, Status
from claude_max_mcp.settings import Settings

READY = "Service ready"
"""What `health` says where all is well."""

NOT_ANTHROPIC = (
    f"{READY}. Requests do not go to Anthropic (--offline, or CLAUDE_MAX_UPSTREAM_URL), so it may not be Claude who "
    "answers"
)
"""What it says where all is well, but another one than Anthropic answers."""

LOOK_AGAIN = 30.0
"""Seconds after which a login that was missing is looked for again, when `health` is asked for."""

DEGRADING: frozenset[Code] = frozenset(
    {
        "not_authenticated",
        "auth_expired",
        "account_blocked",
        "billing_guard",
        "api_key_billing",
        "usage_limit",
        "cli_failed",
    }
)
"""Errors of the latest request that make the service degraded until a request is answered."""


@dataclass(frozen=True)
class Load:
    """How many processes and requests there are."""

    pool: PoolState
    in_flight: int
    queued: int


class _Verdict(NamedTuple):
    status: Status
    cause: Code | None
    message: str


class HealthMonitor:
    """Says how a running service is, and keeps what is known of its login up to date.

    Args:
        settings: of the service.
        launch: how the CLI is started.
        conversations: what knows the account, the processes and the requests.
        missing: why there is no CLI to start, if there is none.
    """

    def __init__(
        self, settings: Settings, launch: Launch, conversations: Conversations, missing: ServiceError | None
    ) -> None:
        self._settings = settings
        self._launch = launch
        self._conversations = conversations
        self._missing = missing
        self._began = time.monotonic()
        self._looked_at = 0.0

    def report(self) -> Health:
        """How the service is, from what is known already; cheap enough to be asked for all the time."""
        return describe_health(
            self._settings,
            self._account,
            count_load(self._conversations),
            missing=self._missing,
            storage_problem=self._conversations.transcripts.problem,
            uptime=round(time.monotonic() - self._began, 3),
        )

    async def refresh(self) -> None:
        """Look the login up again where it was missing, as somebody may have logged in meanwhile."""
        if self._account.configured is False and time.monotonic() - self._looked_at > LOOK_AGAIN:
            await self.look_up_login()

    async def look_up_login(self) -> None:
        """Ask the CLI how it is logged in, and for its version if that is not known yet."""
        self._looked_at = time.monotonic()
        if self._missing is not None:
            self._account.record_failure(self._missing)
        elif (version := self._account.cli_version) is None:
            self._account.record_login(await look_up(self._launch))
        else:
            self._account.record_login(replace(await look_up_login(self._launch), cli_version=version))

    @property
    def _account(self) -> AccountState:
        return self._conversations.account


def count_load(conversations: Conversations) -> Load:
    """How many processes and requests there are now."""
    pool, kept = conversations.pool, conversations.kept
    state = PoolState(size=pool.size, warm=pool.warm, starting=pool.starting, leased=pool.leased - kept, kept=kept)
    return Load(state, conversations.in_flight, conversations.queued)


def describe_health(
    settings: Settings,
    account: AccountState,
    load: Load,
    *,
    missing: ServiceError | None,
    storage_problem: str | None = None,
    uptime: float,
) -> Health:
    """How a service is that these facts are known of.

    Args:
        settings: of the service.
        account: what is known of its login and its limits.
        load: its processes and requests.
        missing: why there is no CLI to start, if there is none.
        storage_problem: why no conversation can be kept on disk, if so. Requests are answered all the same.
        uptime: seconds since it started.
    """
    status, cause, message = _judge(settings, account, missing)
    return Health(
        status=status,
        cause=cause,
        claude_cli="available" if account.cli_version else "unavailable",
        workspace_root=str(settings.workspace_root) if settings.workspace_root else None,
        message=f"{message}. {storage_problem}" if storage_problem and status == "healthy" else message,
        cli_version=account.cli_version,
        auth=_describe_login(account),
        billed_to=account.billed_to,
        rate_limit=as_rate_limit(account.limits),
        pool=load.pool,
        in_flight=load.in_flight,
        queued=load.queued,
        last_error=account.last_error,
        storage_problem=storage_problem,
        uptime=uptime,
    )


def _judge(settings: Settings, account: AccountState, missing: ServiceError | None) -> _Verdict:
    latest = account.last_error
    if account.cli_version is None:
        return _blame("unhealthy", missing or _as_cli_missing(latest))
    if latest is not None and latest.code in DEGRADING:
        return _blame("degraded", latest)
    if account.configured is False:
        return _blame("degraded", AccountError("not_authenticated", *EXPLANATIONS["not_authenticated"]))
    if account.billed_to == "api_key" and settings.billing == "subscription":
        problem = "An API key, not the subscription, would pay."
        return _blame(
            "degraded", AccountError("billing_guard", problem, "Every request is refused until it is removed.")
        )
    return _Verdict("healthy", None, READY if settings.upstream_url is None else NOT_ANTHROPIC)


def _blame(status: Status, error: ClaudeMaxError | ErrorInfo) -> _Verdict:
    return _Verdict(status, error.code, error.message)


def _as_cli_missing(latest: ErrorInfo | None) -> ClaudeMaxError | ErrorInfo:
    """Why a CLI that is there does not run: what a request found out, or else no more than that."""
    if latest is not None and latest.code == "cli_missing":
        return latest
    return ServiceError(
        "cli_missing", "The claude CLI does not run.", "Reinstall claude-agent-sdk, or set CLAUDE_MAX_CLI_PATH."
    )


def _describe_login(account: AccountState) -> Auth:
    proven = account.proven_at is not None
    configured = proven or bool(account.configured)
    state = "proven" if proven else "configured" if configured else "none"
    return Auth(method=account.method, state=state, configured=configured, proven=proven, proven_at=account.proven_at)
