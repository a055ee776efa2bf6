"""What stands below a command's help: examples, and the exit codes.

In: nothing. Out: texts. A test runs the examples.
"""

from claude_max_mcp.terminal.exit_codes import MEANINGS

EXIT_CODES = ["", "Exit codes:", *(f"  {code}  {meaning}" for code, meaning in MEANINGS.items())]


def _write_below(*examples: str, codes: bool = False) -> str:
    return "\n".join(["Examples:", *(f"  {example}" for example in examples), *(EXIT_CODES if codes else [])])


PROGRAM = "Every command says more with --help, with examples: claude-max ask --help"

SERVE = _write_below(
    "claude-max serve",
    "claude-max serve --offline --port 4711",
    "CLAUDE_MAX_TOKEN_FILE=token claude-max serve --host 0.0.0.0",
)

ASK = _write_below(
    'claude-max ask "Explain quantum computing briefly"',
    'git diff | claude-max ask "Review this"',
    "claude-max ask < question.txt > answer.txt",
    'claude-max ask --image plot.png "What does it show?"',
    'claude-max ask --session ID "And why?"',
    codes=True,
)

STATUS = _write_below("claude-max status", "claude-max status --json", codes=True)

DOCTOR = _write_below("claude-max doctor", "claude-max doctor --json")

CONNECT = _write_below(
    "claude-max connect claude-code --write",
    "claude-max connect vscode --write   (.vscode/mcp.json of this folder)",
    "claude-max connect cursor   (prints it, and says where it belongs)",
)

LOGIN = _write_below("claude-max login", "claude-max login --token   (a token for a year, for a server)")

DEMO = _write_below("claude-max demo")
