"""How one unmodified `claude` process is started.

In: the binary, an environment, a folder, a model. Out: a command, and the login as an open file that only the CLI
reads. This is the only module that knows of `claude_agent_sdk`, and it takes just the bundled binary from it.
"""

import os
import shutil
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from claude_max_mcp.claude.caller_tools import SERVER
from claude_max_mcp.claude.home import HomeMaker, find_login_folder, name_login_folder, read_identity
from claude_max_mcp.errors import ServiceError
from claude_max_mcp.models import to_cli_model
from claude_max_mcp.private_files import make_folder
from claude_max_mcp.settings import Settings
from claude_max_mcp.tracing import make_process_environment

ARGUMENTS = (
    "--print",
    *("--input-format", "stream-json"),
    *("--output-format", "stream-json"),
    "--verbose",
    "--include-partial-messages",
    *("--setting-sources", ""),
    "--strict-mcp-config",
    "--session-mirror",
    *("--permission-mode", "dontAsk"),
    *("--allowedTools", f"mcp__{SERVER}"),
)
"""What makes a process blank, beside having no tools: no settings, nothing asked of a person.

`--session-mirror` makes it say each line of its own transcript, from which a later process can go on.
"""

MAX_RETRIES = 2
"""How often the CLI tries again when Anthropic is overloaded; its own default of ten takes three minutes."""

FIXED_ENVIRONMENT = {
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_MAX_RETRIES": str(MAX_RETRIES),
    # One request is one message: no second attempt without streaming, no comment sent after a refusal.
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
    "CLAUDE_CODE_DISABLE_REFUSAL_RETRY": "1",
    # A long conversation goes as it is; the CLI would summarise it first, by a request of its own.
    "DISABLE_AUTO_COMPACT": "1",
    "DISABLE_COMPACT": "1",
    # Thinking comes as the Messages API gives it, not reworded for a terminal.
    "CLAUDE_CODE_THINKING_DISPLAY_UPDATES": "0",
    # The caller's tools keep their names, and one that is named like a built-in draws no reminder about git.
    "CLAUDE_AGENT_SDK_MCP_NO_PREFIX": "1",
    "CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS": "1",
    "CLAUDE_CODE_SUPPRESS_SESSION_ATTRIBUTION": "1",
    # No word of its own in a loop of tools: about tokens that are left, or that the user has not heard from Claude.
    "CLAUDE_CODE_TOTAL_TOKENS_REMINDER": "off",
    "CLAUDE_CODE_SILENT_TURN_REMINDER": "0",
    "MAX_MCP_OUTPUT_TOKENS": "1000000",
    "ENABLE_TOOL_SEARCH": "false",
    "BUN_JSC_useDFGJIT": "0",
    "BUN_GC_TIMER_DISABLE": "1",
}
"""Set for every process. The last two are of the engine that the CLI runs in.

One turns an optimiser off that short lives do not repay: 12 % of a process's CPU time. The other lets garbage be
collected when memory is wanted, and not every second too: 35 to 45 % of the CPU time of an answer that streams, and
25 ms a second of a process that waits, against 13 MB.
"""

TESTED_VERSION = "2.1.330"
"""The CLI whose behaviour the tests record: the one in the wheel that `pyproject.toml` pins."""

MB = 1_000_000
"""Bytes of a megabyte, wherever this project counts in them."""

PROCESS_MB = 120
"""Megabytes that a process takes for itself."""


@dataclass(frozen=True)
class Launch:
    """How a process is started: the binary, its whole environment, its working folder, the model it starts with."""

    cli: Path
    environment: Mapping[str, str]
    folder: Path
    model: str
    extra_arguments: tuple[str, ...] = ()
    """More arguments, for a process that is not to be blank."""
    cli_tools: str = ""
    """The CLI's own tools that it has, comma-separated."""
    login_file: Path | None = None
    """Holds the login; it is handed over open, and read by the CLI alone."""
    homes: HomeMaker | None = None
    """Makes the folder in which a process keeps its notes; without it, that is the one its environment names."""
    scratch: Path | None = None
    """A folder for what is needed while a process runs; without it, the system's."""

    @property
    def login_folder(self) -> Path:
        """The folder in which the CLI finds a login that it has stored."""
        return find_login_folder(self.environment)

    @property
    def ends_with_us(self) -> bool:
        """Whether the kernel ends the process when this one dies, however that happens."""
        return _find_setpriv() is not None

    def make_command(self, session: str) -> list[str]:
        """The command; the process calls its conversation `session` (a UUID)."""
        command = [str(self.cli), *ARGUMENTS, "--tools", self.cli_tools, "--model", self.model]
        command += ["--session-id", session, *self.extra_arguments]
        setpriv = _find_setpriv()
        return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command

    @contextmanager
    def preparing(self, session: str = "") -> Generator[tuple[dict[str, str], tuple[int, ...]]]:
        """What a process needs while it runs: its whole environment, and the open files that it is to inherit.

        Args:
            session: what it calls its conversation, if it holds one.

        Raises:
            ServiceError: `cli_failed`, the file with the login cannot be opened.
            OSError: there is no room for its folder.
        """
        with (
            self.homes.making_home(self.folder, session) if self.homes else nullcontext(NO_VARIABLES) as own,
            self._opening_login() as (login, files),
        ):
            yield {**self.environment, **own, **login}, files

    @contextmanager
    def _opening_login(self) -> Generator[tuple[dict[str, str], tuple[int, ...]]]:
        if self.login_file is None:
            yield {}, ()
            return
        try:
            file = self.login_file.open("rb")
        except OSError as error:
            raise ServiceError(
                "cli_failed",
                f"The login cannot be read from {self.login_file} ({error.strerror}).",
                "CLAUDE_CODE_OAUTH_TOKEN_FILE names a file with what `claude setup-token` printed.",
            ) from None
        with file:
            yield {LOGIN_DESCRIPTOR: str(file.fileno())}, (file.fileno(),)


def _find_setpriv() -> str | None:
    return shutil.which("setpriv") if sys.platform == "linux" else None


NO_VARIABLES: Mapping[str, str] = {}

LOGIN_DESCRIPTOR = "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR"
"""The CLI's own variable for a login that it reads from an open file."""


def find_cli(configured: Path | None = None) -> Path:
    """The `claude` binary to run: the configured one, else the one in the wheel of `claude-agent-sdk`.

    Raises:
        ServiceError: `cli_missing`, there is no such file.
    """
    path = configured or _locate_bundled_cli()
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise ServiceError(
            "cli_missing",
            f"There is no claude CLI at {path}.",
            "Reinstall claude-agent-sdk, or let CLAUDE_MAX_CLI_PATH name one.",
        )
    return path


def identify_cli(cli: Path) -> str:
    """What tells one version of the binary from another, without running it."""
    try:
        return f"{TESTED_VERSION}/{cli.stat().st_size}"
    except OSError:
        return TESTED_VERSION


def _locate_bundled_cli() -> Path:
    # The package is found and not imported: it would take a second, and all that is wanted is a file of its wheel.
    spec = find_spec("claude_agent_sdk")
    folder = Path(spec.origin).parent if spec and spec.origin else Path("claude_agent_sdk")
    return folder / "_bundled" / "claude"


def make_blank_launch(settings: Settings, environment: Mapping[str, str], cli: Path, scratch: Path) -> Launch:
    """How to start a blank process: in an empty folder, with its notes and temporary files in one of its own.

    Args:
        settings: of the service.
        environment: what the CLI inherits.
        cli: the binary.
        scratch: an empty folder for all that ends with this server.
    """
    homes = scratch / "homes"
    homes.mkdir()
    own = {**environment, **FIXED_ENVIRONMENT, **make_cache_environment(settings.cache), **make_process_environment()}
    identity = read_identity(environment, settings.state_dir / "identity.json")
    return Launch(
        cli,
        own,
        _make_empty_folder(settings.state_dir, scratch),
        to_cli_model(settings.model),
        login_file=settings.login_file,
        homes=HomeMaker(homes, name_login_folder(environment), identity),
        scratch=scratch,
    )


def make_cache_environment(cache: Literal["5m", "1h", "off"]) -> dict[str, str]:
    """The CLI's variables for how long Anthropic keeps what it has read; they hold from the next request on."""
    if cache == "off":
        return {"DISABLE_PROMPT_CACHING": "1"}
    return {"DISABLE_PROMPT_CACHING": "0", "CLAUDE_CODE_PROMPT_CACHE_TTL": cache}


def _make_empty_folder(state: Path, scratch: Path) -> Path:
    """Where processes work. Claude is told its name, so it is the same each time: Anthropic's cache goes by that."""
    for folder in (state / "empty", scratch / "empty"):
        try:
            make_folder(folder)
        except OSError:
            continue
        if os.access(folder, os.R_OK | os.X_OK):
            return folder
    raise AssertionError(f"there is no folder below {scratch}")
