"""Claude Max for Pydantic AI: a model, a provider and a client for a claude-max server.

The modules, from the outside in; each imports only what is below it:

    _strings, _capability   `custom:` names, for every agent or for one; `auto` turns them on
    _model                  Pydantic AI's Anthropic model, without what the CLI cannot do
    _provider               Anthropic's SDK over a server; `_embedded`: over an engine in this process
    _transport, _messages   an HTTP request of that SDK becomes a call of `ask_claude`
    _client                 calls of the server's tools, typed
    _answer                 one call on its way
    _http, _mcp_errors      the route over HTTP, and what can go wrong on it
    _connection             one MCP client, shared by all calls
    _names, _results, _errors   the words that all of them use

Everything is imported when it is first used: the client without Pydantic AI, and `enable()`, at the top of a
program, without Anthropic's SDK and MCP.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

# Each name stands twice, as an import for type checkers and in the table for the interpreter; a test compares them.
# One list would have to be read from this file's source, which frozen programs do not have.
if TYPE_CHECKING:
    from ._answer import Answer as Answer
    from ._capability import ClaudeMax as ClaudeMax
    from ._client import ClaudeMaxClient as ClaudeMaxClient
    from ._errors import AnswerLost as AnswerLost
    from ._errors import AnswerTimeout as AnswerTimeout
    from ._errors import AskFailed as AskFailed
    from ._errors import ClaudeMaxError as ClaudeMaxError
    from ._errors import ErrorDetail as ErrorDetail
    from ._errors import ProtocolError as ProtocolError
    from ._errors import ServerNotRunning as ServerNotRunning
    from ._errors import TokenRejected as TokenRejected
    from ._model import ClaudeMaxModel as ClaudeMaxModel
    from ._model import answered_by as answered_by
    from ._names import RetiredModelWarning as RetiredModelWarning
    from ._provider import ClaudeMaxProvider as ClaudeMaxProvider
    from ._results import AskArguments as AskArguments
    from ._results import AskResult as AskResult
    from ._results import Health as Health
    from ._strings import disable as disable
    from ._strings import enable as enable

_MODULES: Final = {
    "Answer": "_answer",
    "AnswerLost": "_errors",
    "AnswerTimeout": "_errors",
    "AskArguments": "_results",
    "AskFailed": "_errors",
    "AskResult": "_results",
    "ClaudeMax": "_capability",
    "ClaudeMaxClient": "_client",
    "ClaudeMaxError": "_errors",
    "ClaudeMaxModel": "_model",
    "ClaudeMaxProvider": "_provider",
    "ErrorDetail": "_errors",
    "Health": "_results",
    "ProtocolError": "_errors",
    "RetiredModelWarning": "_names",
    "ServerNotRunning": "_errors",
    "TokenRejected": "_errors",
    "answered_by": "_model",
    "disable": "_strings",
    "enable": "_strings",
}

if not TYPE_CHECKING:
    __all__ = tuple(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    return value
