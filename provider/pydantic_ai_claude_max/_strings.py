"""`custom:` names for every agent of the process: `enable()` and `disable()`.

Pydantic AI has no registry of models, so `enable` puts a function in front of its `infer_model`. Its modules
hold that function by name, so every such name is rebound, found by identity; `disable` puts them back. A
wrong name lists the right ones; other providers' names pass through.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any, Final

import pydantic_ai.models
from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model
from pydantic_ai.providers import infer_provider

from ._names import check_name

PREFIXES: Final = ("custom", "claude-max")
"""Users write `custom`; Pydantic AI itself names these models `claude-max`, in stored histories too."""

InferModel = Callable[..., Model]


def parse_name(model: str) -> str | None:
    """The name of the model, if its prefix is one of ours.

    Raises:
        UserError: the prefix is, the name is not.
    """
    prefix, _, name = model.partition(":")
    if prefix not in PREFIXES:
        return None
    check_name(name, prefix=f"{prefix}:")
    return name


class _Interception:
    """Stands in front of one `infer_model` while it is active; passes everything on while it is not."""

    def __init__(self, original: InferModel) -> None:
        self.original = original
        self.active = False
        self.function = self._wrap(original)

    def _wrap(self, original: InferModel) -> InferModel:
        @functools.wraps(original)
        def infer_model(model: Model | str, *args: Any, **kwargs: Any) -> Model:
            name = parse_name(model) if self.active and isinstance(model, str) else None
            return original(model, *args, **kwargs) if name is None else _build_model(str(model), name, *args, **kwargs)

        return infer_model


def _build_model(model: str, name: str, provider_factory: Callable[[str], Any] = infer_provider) -> Model:
    # Imported when a model is asked for: Anthropic's SDK and MCP take half a second.
    from ._model import ClaudeMaxModel
    from ._provider import ClaudeMaxProvider

    if provider_factory is infer_provider:
        return ClaudeMaxModel(name)
    provider = provider_factory(model.partition(":")[0])
    if not isinstance(provider, ClaudeMaxProvider):
        raise UserError(f"{model!r} needs a `ClaudeMaxProvider`, not {provider!r}.")
    return ClaudeMaxModel(name, provider=provider)


_interception: _Interception | None = None


def enable() -> None:
    """Let every agent name its model `custom:max-subscription`, `custom:opus`, …; undone by `disable`."""
    global _interception
    if _interception is None:
        _interception = _Interception(pydantic_ai.models.infer_model)
    _interception.active = True
    _rebind(_interception.original, _interception.function)


def disable() -> None:
    """Undo `enable`."""
    global _interception
    if _interception is None:
        return
    # First, so that a copy of the function that was kept or wrapped elsewhere passes everything on.
    _interception.active = False
    if pydantic_ai.models.infer_model is _interception.function:
        _rebind(_interception.function, _interception.original)
        _interception = None


def _rebind(old: InferModel, new: InferModel) -> None:
    ours = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "pydantic_ai"]
    for module in ours:
        for binding in [key for key, value in vars(module).items() if value is old]:
            setattr(module, binding, new)
