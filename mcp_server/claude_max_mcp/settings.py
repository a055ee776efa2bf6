"""What can be set, and the only place that reads the environment.

In: `CLAUDE_MAX_*` variables. Out: one frozen `Settings`. Everything below takes plain values from it; nothing else
looks at `os.environ`.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

PASSED_ON = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "XDG_CONFIG_HOME",
    "CLAUDE_CONFIG_DIR",
    "CLAUDE_CODE_OAUTH_TOKEN",
)
"""The variables of this process that a CLI process gets too: what any program needs, and the subscription's login."""

API_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
"""Variables with which a CLI that inherits them bills the API account."""

PASSED_ON_BY_PREFIX = ("ANTHROPIC_", "AWS_", "CLAUDE_CODE_USE_", "CLOUD_ML_", "GOOGLE_", "VERTEX_", "AZURE_")
"""With `CLAUDE_MAX_BILLING=any`, every way of signing in that the CLI knows stays usable: these go on as well."""


class Settings(BaseSettings):
    """The settings of the server; every field is read from the variable named by its prefix and name."""

    model_config = SettingsConfigDict(
        env_prefix="CLAUDE_MAX_", frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    host: str = "127.0.0.1"
    """The address to listen on. Any but loopback needs `token`."""
    port: int = Field(default=47291, ge=0, le=65535)
    """The port to listen on; 0 takes a free one."""
    token: SecretStr | None = None
    """What callers must send as `Authorization: Bearer …`; without it, nothing is asked."""
    token_file: Path | None = None
    """A file that holds the token, instead of `token`; the server makes one where there is none."""
    login_file: Path | None = Field(
        default=None, validation_alias=AliasChoices("CLAUDE_MAX_LOGIN_FILE", "CLAUDE_CODE_OAUTH_TOKEN_FILE")
    )
    """A file with the CLI's own login token, such as a Docker secret. Only the CLI reads it."""
    url: str | None = None
    """Where the commands find the server; without it, this machine's `port`."""
    model: str = "sonnet"
    """The model of a request that names none."""
    concurrency: int = Field(default=8, ge=1)
    """Requests that run at once."""
    queue: int = Field(default=32, ge=0)
    """Requests that wait beyond those; the next one is told `busy`."""
    warm: int = Field(default=2, ge=0)
    """Blank CLI processes that stand ready, about 120 MB each."""
    memory: int | None = Field(default=None, ge=1)
    """Megabytes that the CLI processes may take together; beyond it those that only wait for their caller go."""
    reuse: bool = True
    """Whether a new conversation may begin in a process that held another, once the CLI has forgotten that one."""
    timeout: float = Field(default=150.0, gt=0, le=3600)
    """Seconds for one request, unless it says otherwise."""
    park_seconds: float = Field(default=600.0, gt=0)
    """Seconds that a process waits for the caller's tool results."""
    billing: Literal["subscription", "any"] = "subscription"
    """Who may pay. `subscription` refuses every request that something else would pay for."""
    workspace_root: Path | None = Field(
        default=None, validation_alias=AliasChoices("CLAUDE_MAX_WORKSPACE_ROOT", "WORKSPACE_ROOT")
    )
    """The folder that `workspace: "read"` opens to Claude."""
    state_dir: Path = Field(default_factory=lambda: _find_state_home() / "claude-max")
    """Where conversations are kept, in files that only their owner can read."""
    session_hours: float = Field(default=24.0, ge=0)
    """Hours that a conversation can be gone on with by its `session_id`; 0 keeps none."""
    cache: Literal["1h", "5m", "off"] = "1h"
    """How long Anthropic keeps what it has read, unless a request says it: writing costs 2 times plain input for an
    hour, 1.25 times for five minutes, and reading a tenth."""
    transcript_minutes: float = Field(default=60.0, ge=0)
    """Minutes since its last use that a conversation is kept beyond its process, so that it goes on as Anthropic has
    cached it; 0 keeps none."""
    disk_mb: int = Field(default=256, ge=1)
    """Megabytes that these conversations may take; beyond it those go that were not used for longest."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Further `Host` names that requests may carry, comma-separated."""
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Further `Origin` values that requests may carry, comma-separated."""
    upstream_url: str | None = None
    """Where the CLI sends its requests instead of Anthropic's API (its `ANTHROPIC_BASE_URL`)."""
    cli_path: Path | None = None
    """The `claude` binary, instead of the one bundled with `claude-agent-sdk`."""
    messages_api: bool = False
    """Whether the Messages API is served too, at `/v1/messages`, for SDKs that speak it."""
    log_format: Literal["console", "json"] = "console"
    """How log lines look."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged: `info` is one line for each request that ends, and what goes wrong; `debug` also names what each
    process says and is told, by its kind, without a word of it."""

    @field_validator("allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK


def _find_state_home() -> Path:
    """Where a user's programs keep what they remember (XDG Base Directory Specification)."""
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    return named if named.is_absolute() else Path.home() / ".local" / "state"


def make_cli_environment(settings: Settings) -> dict[str, str]:
    """The part of this process's environment that a CLI process inherits: an allow-list.

    An API key never gets through unless `billing` is `any`: with one in sight the CLI would bill the API account.
    """
    inherited = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    if settings.billing == "any":
        inherited |= {k: v for k, v in os.environ.items() if k.startswith(PASSED_ON_BY_PREFIX)}
    if settings.upstream_url:
        inherited["ANTHROPIC_BASE_URL"] = settings.upstream_url
    return inherited


def is_inside_claude_code() -> bool:
    """Whether a shell of Claude Code started this process."""
    return bool(os.environ.get("CLAUDECODE"))


def find_stray_api_keys() -> tuple[str, ...]:
    """The names of the API keys in sight that would make any other program's CLI bill the API account."""
    return tuple(name for name in API_KEYS if os.environ.get(name))
