"""How one unmodified `claude` process is started.

In: the binary, an environment, a folder, a model. Out: a command, and the login as an open file that only the CLI
reads. This is the only module that knows of `claude_agent_sdk`, and it takes just the bundled binary from it.
"""

import os
import shutil
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from claude_max_mcp.claude.caller_tools import SERVER
from claude_max_mcp.errors import ServiceError
from claude_max_mcp.models import to_cli_model
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
    "--no-session-persistence",
    *("--permission-mode", "dontAsk"),
    *("--allowedTools", f"mcp__{SERVER}"),
)
"""What makes a process blank, beside having no tools: no settings, no memory of its own, nothing asked of a person."""

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

    @property
    def config(self) -> Path:
        """The CLI's own folder, in which its login lies."""
        home = self.environment.get("HOME", "~")
        return Path(self.environment.get("CLAUDE_CONFIG_DIR") or Path(home, ".claude"))

    @property
    def ends_with_us(self) -> bool:
        """Whether the kernel ends the process when this one dies, however that happens."""
        return _find_setpriv() is not None

    def make_command(self) -> list[str]:
        command = [str(self.cli), *ARGUMENTS, "--tools", self.cli_tools, "--model", self.model, *self.extra_arguments]
        setpriv = _find_setpriv()
        return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command

    @contextmanager
    def opening_login(self) -> Generator[tuple[dict[str, str], tuple[int, ...]]]:
        """The whole environment of a process, and the open files that it is to inherit.

        Raises:
            ServiceError: `cli_failed`, the file with the login cannot be opened.
        """
        if self.login_file is None:
            yield dict(self.environment), ()
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
            yield {**self.environment, LOGIN_DESCRIPTOR: str(file.fileno())}, (file.fileno(),)


def _find_setpriv() -> str | None:
    return shutil.which("setpriv") if sys.platform == "linux" else None


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


def _locate_bundled_cli() -> Path:
    # The package is found and not imported: it would take a second, and all that is wanted is a file of its wheel.
    spec = find_spec("claude_agent_sdk")
    folder = Path(spec.origin).parent if spec and spec.origin else Path("claude_agent_sdk")
    return folder / "_bundled" / "claude"


def make_blank_launch(settings: Settings, environment: Mapping[str, str], cli: Path, scratch: Path) -> Launch:
    """How to start a blank process: in an empty folder, with its temporary files in another that ends with us."""
    folder, temporary = scratch / "empty", scratch / "tmp"
    folder.mkdir()
    temporary.mkdir()
    own = {**environment, **FIXED_ENVIRONMENT, **make_process_environment(), "TMPDIR": str(temporary)}
    return Launch(cli, own, folder, to_cli_model(settings.model), login_file=settings.login_file)
