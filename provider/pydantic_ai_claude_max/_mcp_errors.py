"""Translation of the MCP client's exceptions into this package's errors.

In: a block that calls the server. Out: the same block, whose exceptions are `ClaudeMaxError`s. It knows JSON-RPC's
codes and the errors that `_http.Guard` makes. It knows nothing of errors that the server reports in a result: those
are no exceptions.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from mcp import MCPError
from pydantic import ValidationError

from ._errors import AnswerLost, ClaudeMaxError, ProtocolError, ServerNotRunning, TokenRejected
from ._http import REFUSED

_NEVER_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})
"""Transport errors with which the server cannot have seen the request."""
_LOST: Final = frozenset({-32000, -32700})
"""JSON-RPC: the connection was closed; the message is cut off."""


@contextmanager
def translating_errors(url: str) -> Generator[None]:
    """Raise this package's errors in place of the MCP client's; `url` is the server's address, for their texts.

    Raises:
        ServerNotRunning: nothing accepts connections there.
        TokenRejected: the server does not admit this client.
        AnswerLost: the connection ended before the answer.
        ProtocolError: the answer is not one of a claude-max server that this package understands.
    """
    try:
        yield
    except MCPError as error:
        raise _translate(error, url) from error
    # The result does not match the tool's own schema; or the connection came to an end as a whole.
    except (RuntimeError, ValidationError, OSError, ExceptionGroup) as error:
        raise ProtocolError(url, str(error)) from error


def _translate(error: MCPError, url: str) -> ClaudeMaxError:
    match error.data if error.code == REFUSED else None:
        case {"kind": str(kind)} if kind in _NEVER_SENT:
            return ServerNotRunning(url)
        case {"status": 401 | 403 as status}:
            return TokenRejected(url, status=status)
        case {"kind": "HTTPStatus", "status": int(status)}:
            return ProtocolError(url, f"HTTP {status}: {error.message}", status=status)
        case {"kind": str(kind)}:
            return AnswerLost(f"{kind}: {error.message}")
        case _ if error.code in _LOST:
            return AnswerLost(error.message)
        case _:
            return ProtocolError(url, error.message)
