"""Exit codes of the command line, by whose fault an error is.

In: the code of an error. Out: a number that a script can choose by. The texts are those of
`--help`, and a test compares them with the README.
"""

from claude_max_mcp.errors import AccountError, ClaudeMaxError, Code, RequestError, UpstreamError, find_error_class

REQUEST, USAGE, ACCOUNT, LIMIT, UPSTREAM, SERVICE = range(1, 7)
STOPPED = 130
UNREAD = 141

MEANINGS = {
    0: "all is well",
    REQUEST: "the request is wrong as it is, or `doctor` has found a problem",
    USAGE: "the command or a setting is wrong",
    ACCOUNT: "the login, or who would pay: `claude-max login`",
    LIMIT: "a usage limit of the subscription is reached",
    UPSTREAM: "Anthropic has no capacity, or gave no answer: try again",
    SERVICE: "the server: not running, not open to you, without room, time or CLI",
    STOPPED: "stopped by Ctrl-C; the request is cancelled",
    UNREAD: "whoever read the output has closed it; the request is cancelled",
}

FAMILIES: dict[type[ClaudeMaxError], int] = {RequestError: REQUEST, AccountError: ACCOUNT, UpstreamError: UPSTREAM}


def to_exit_code(code: Code) -> int:
    """The exit code of an error."""
    if code == "usage_limit":
        return LIMIT
    return FAMILIES.get(find_error_class(code), SERVICE)
