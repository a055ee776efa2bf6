"""Names of models: what a user may write, what goes to the server, what is known about it."""

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
"""Names of models that Anthropic has retired, and who answers for them."""

NAMES: Final = ("max-subscription", *CURRENT, *RETIRED)
"""Every short name; beside them, any full id."""

SUBSCRIPTION: Final = "sonnet"
"""What `max-subscription` stands for."""


class RetiredModelWarning(UserWarning):
    """The model that was asked for does not exist any more, and another one answers."""


def wire_name(name: str) -> str:
    """The name that goes to the server: `sonnet`, `opus`, `haiku` or a full id.

    Raises:
        UserError: the name is not one of a Claude model.
    """
    if name == "max-subscription":
        return SUBSCRIPTION
    if (successor := RETIRED.get(name)) is not None:
        message = f"Anthropic has retired {name!r}: {successor!r} ({CURRENT[successor]}) answers instead."
        warnings.warn(message, RetiredModelWarning, stacklevel=4)
        return successor
    if name in CURRENT or name.startswith("claude-"):
        return name
    raise UserError(f"Unknown model: {name!r}. Known are {', '.join(NAMES)}, and full ids such as claude-opus-4-8.")


def full_id(name: str) -> str:
    """The model that a name on the wire stands for."""
    return CURRENT.get(name, name)
