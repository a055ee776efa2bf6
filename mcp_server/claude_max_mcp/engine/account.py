"""What is known of the account: its login, who pays, its limits, and since when.

In: what the CLI and the requests reported. Out: facts for `health`. It asks nobody itself. An answered request is the
only proof of a login; what `claude auth status` says is no more than that something is configured.
"""

import time
from dataclasses import dataclass

from claude_max_mcp.claude.login import Login
from claude_max_mcp.claude.protocol import Account, RateLimitInfo
from claude_max_mcp.errors import ClaudeMaxError, RequestError
from claude_max_mcp.results import BilledTo, ErrorInfo, RateLimit, Window

UNPROVEN_BY = frozenset({"not_authenticated", "auth_expired", "account_blocked", "api_key_billing", "billing_guard"})
"""Errors after which an earlier proof of the login counts no more."""


@dataclass
class AccountState:
    """The latest of each fact; None where nothing is known yet."""

    method: str | None = None
    """How the CLI is logged in, in its own words."""
    configured: bool | None = None
    proven_at: int | None = None
    billed_to: BilledTo | None = None
    limits: RateLimitInfo | None = None
    cli_version: str | None = None
    last_error: ErrorInfo | None = None
    """The error of the latest request, None again after an answer."""

    def record_login(self, login: Login) -> None:
        """Take what the CLI says of its version and its login."""
        self.cli_version = login.cli_version
        self.configured = login.configured
        self.method = login.method
        if self.proven_at is None:
            self.billed_to = login.billed_to

    def record_answer(self, billed_to: BilledTo, account: Account, limits: RateLimitInfo | None) -> None:
        """Take an answered request as the proof that the login works."""
        self.configured = True
        self.method = account.method
        self.proven_at = int(time.time())
        self.billed_to = billed_to
        self.limits = limits or self.limits
        self.last_error = None

    def record_failure(self, error: ClaudeMaxError) -> None:
        """Take the error of a request; a caller's own mistake says nothing about the account."""
        if isinstance(error, RequestError) or error.code == "cancelled":
            return
        self.last_error = ErrorInfo.from_error(error)
        if error.code in UNPROVEN_BY:
            self.proven_at = None


def as_rate_limit(info: RateLimitInfo | None) -> RateLimit | None:
    """The limits as callers see them."""
    if info is None:
        return None
    windows = {
        name: Window(utilization=window.utilization, resets_at=window.resets_at)
        for name, window in info.unified_windows.items()
    }
    return RateLimit(status=info.status, type=info.rate_limit_type, resets_at=info.resets_at, windows=windows)
