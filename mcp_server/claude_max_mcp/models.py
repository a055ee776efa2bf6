"""Names of models: those of earlier days, the CLI's aliases, and the ids that they stand for now.

In: a name as callers write it. Out: the CLI's name for it, or the full id. What a model can do is not known here.
"""

from collections.abc import Mapping

SEED_NAMES: Mapping[str, str] = {
    "max-subscription": "sonnet",
    "claude-opus-4": "opus",
    "claude-sonnet-4": "sonnet",
    "claude-3-7-sonnet": "sonnet",
    "claude-3-5-haiku": "haiku",
}
"""Names of earlier days, and the CLI's alias that answers to each now."""

ALIASES: Mapping[str, str] = {
    "sonnet": "claude-sonnet-5-5",
    "opus": "claude-opus-5-5",
    "haiku": "claude-haiku-5-5",
}
"""The CLI's own names, and the newest model of that kind, to which the pinned CLI resolves each."""


def to_cli_model(name: str) -> str:
    """The CLI's name for a model: seed names become aliases, with `custom:` before them or not; all else stays."""
    bare = name.removeprefix("custom:")
    return SEED_NAMES.get(bare, bare)


def to_full_id(model: str) -> str:
    """The id of the model that a name of the CLI stands for."""
    return ALIASES.get(model, model)
