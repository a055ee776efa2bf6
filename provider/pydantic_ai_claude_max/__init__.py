"""Claude Max for Pydantic AI: a model, a provider and a client for a claude-max server.

Everything is imported when it is first used, so that `enable()` at the top of a program costs next to
nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ._answer import Answer
    from ._capability import ClaudeMax
    from ._client import ClaudeMaxClient
    from ._errors import (
        AnswerLost,
        AnswerTimeout,
        AskFailed,
        ClaudeMaxError,
        ErrorDetail,
        ProtocolError,
        ServerNotRunning,
        TokenRejected,
    )
    from ._model import ClaudeMaxModel, answered_by
    from ._names import RetiredModelWarning
    from ._provider import ClaudeMaxProvider
    from ._results import AskArguments, AskResult, Health
    from ._strings import disable, enable

__all__ = (
    "Answer",
    "AnswerLost",
    "AnswerTimeout",
    "AskArguments",
    "AskFailed",
    "AskResult",
    "ClaudeMax",
    "ClaudeMaxClient",
    "ClaudeMaxError",
    "ClaudeMaxModel",
    "ClaudeMaxProvider",
    "ErrorDetail",
    "Health",
    "ProtocolError",
    "RetiredModelWarning",
    "ServerNotRunning",
    "TokenRejected",
    "answered_by",
    "disable",
    "enable",
)

_MODULES: Final = {
    "_answer": ("Answer",),
    "_capability": ("ClaudeMax",),
    "_client": ("ClaudeMaxClient",),
    "_errors": (
        "AnswerLost",
        "AnswerTimeout",
        "AskFailed",
        "ClaudeMaxError",
        "ErrorDetail",
        "ProtocolError",
        "ServerNotRunning",
        "TokenRejected",
    ),
    "_model": ("ClaudeMaxModel", "answered_by"),
    "_names": ("RetiredModelWarning",),
    "_provider": ("ClaudeMaxProvider",),
    "_results": ("AskArguments", "AskResult", "Health"),
    "_strings": ("disable", "enable"),
}
_HOME: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOME[name]}", __name__), name)
    return value
