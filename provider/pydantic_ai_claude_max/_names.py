"""Names of models: those that users may write, those that go to the server, and the models behind them.

In: a name. Out: the name on the wire, or the full id; or an error that lists the known names. It does not know what
a model can do.
"""

import warnings
from collections.abc import Mapping
from typing import Final

from pydantic_ai.exceptions import UserError

CURRENT: Final[Mapping[str, str]] = {
    "sonnet": "claude-sonnet-5-5",
    "opus": "claude-opus-5-5",
    "haiku": "claude-haiku-5-5",
}
"""The CLI's own names and the models that they stand for (in 2.1.330); the CLI follows new releases by
itself."""

RETIRED: Final[Mapping[str, str]] = {
    "claude-opus-4": "opus",
    "claude-sonnet-4": "sonnet",
    "claude-3-7-sonnet": "sonnet",
    "claude-3-5-haiku": "haiku",
}
"""Names of models that Anthropic has retired, and the model that answers instead."""

NAMES: Final = ("max-subscription", *CURRENT, *RETIRED)
"""Every short name; any full id is a name too."""

SUBSCRIPTION: Final = "sonnet"
"""The model that `max-subscription` stands for."""


class RetiredModelWarning(UserWarning):
    """The model that was asked for does not exist any more, and another one answers."""


def check_name(name: str, *, prefix: str = "") -> None:
    """Refuse a name that is not one of a Claude model; `prefix` stood before it, such as `custom:`.

    Raises:
        UserError: the name is not known; the message lists the names that are.
    """
    if name in NAMES or name.startswith("claude-"):
        return
    choice = ", ".join(f"{prefix}{known}" for known in NAMES)
    example = f"{prefix}claude-opus-4-8"
    raise UserError(f"Unknown model: {prefix}{name}. Known are {choice}, and full ids such as {example}.")


def to_wire_name(name: str) -> str:
    """The name that goes to the server: `sonnet`, `opus`, `haiku` or a full id.

    Raises:
        UserError: the name is not one of a Claude model.
    """
    check_name(name)
    if (successor := RETIRED.get(name)) is not None:
        message = f"Anthropic has retired {name!r}: {successor!r} ({CURRENT[successor]}) answers instead."
        warnings.warn(message, RetiredModelWarning, stacklevel=3)
        return successor
    return SUBSCRIPTION if name == "max-subscription" else name


def to_full_id(name: str) -> str:
    """The model that a name on the wire stands for."""
    return CURRENT.get(name, name)
