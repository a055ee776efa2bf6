"""What a request's options become for the CLI.

In: a validated request and what the CLI says of its models. Out: the control requests that set a blank process up.
What the CLI would silently ignore is refused by name.
"""

import json

from claude_max_mcp.claude.protocol import Initialized
from claude_max_mcp.errors import unsupported
from claude_max_mcp.messages import Json
from claude_max_mcp.models import ALIASES
from claude_max_mcp.wire import AskRequest, Thinking

ALIAS_MAX_TOKENS = 128_000
"""What the CLI asks for by itself with any of `ALIASES`; a caller who asks for as much needs nothing set."""

TAKES_BUDGET = ("claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5", "claude-sonnet-4-20")
"""Models whose `thinking.budget_tokens` the CLI passes on; with all later ones it sends `adaptive` instead."""


def initialize(request: AskRequest) -> Json:
    """The control request that makes a blank process this conversation."""
    schema = {} if request.wanted_schema is None else {"jsonSchema": request.wanted_schema}
    return {"subtype": "initialize", "hooks": None, "skills": [], "systemPrompt": request.system_prompt, **schema}


def settings(request: AskRequest, model: str, launched_with: str) -> list[Json]:
    """The control request for model, effort and `max_tokens`; none if all are as the process started.

    Not `set_model`: for a full model id that one spends a request of its own to see whether the model exists.
    """
    chosen: Json = {}
    if model != launched_with:
        chosen["model"] = model
    if request.output_config and request.output_config.effort:
        chosen["effortLevel"] = request.output_config.effort
    if _needs_max_tokens(request.max_tokens, model):
        chosen["env"] = {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(request.max_tokens)}
    return [{"subtype": "apply_flag_settings", "settings": chosen}] if chosen else []


def spawned_settings(request: AskRequest) -> tuple[list[str], dict[str, str]]:
    """The same, and schema and thinking, as arguments and environment of a process that is just to be started."""
    arguments: list[str] = []
    if request.output_config and request.output_config.effort:
        arguments += ["--effort", request.output_config.effort]
    if request.wanted_schema is not None:
        arguments += ["--json-schema", json.dumps(request.wanted_schema)]
    if request.thinking and request.thinking.budget_tokens:
        arguments += ["--max-thinking-tokens", str(request.thinking.budget_tokens)]
    if request.thinking and request.thinking.display:
        arguments += ["--thinking-display", request.thinking.display]
    environment = {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(request.max_tokens)} if request.max_tokens else {}
    return arguments, environment


def _needs_max_tokens(max_tokens: int | None, model: str) -> bool:
    return max_tokens is not None and not (model in ALIASES and max_tokens >= ALIAS_MAX_TOKENS)


def thinking_budget(thinking: Thinking | None, model: str, known: Initialized) -> list[Json]:
    """The control request for `thinking`, if one is needed.

    Raises:
        RequestError: `unsupported`, the CLI would silently send something else to this model.
    """
    if thinking is None:
        return []
    facts = known.facts(model)
    control: Json = {"subtype": "set_max_thinking_tokens"}
    if thinking.type == "disabled":
        if facts and not facts.supports_thinking_off:
            raise unsupported(f"`thinking: disabled` with {model}", "This model always thinks; leave `thinking` out.")
        control["max_thinking_tokens"] = 0
    elif thinking.type == "enabled":
        if not model.startswith(TAKES_BUDGET):
            raise unsupported(
                f"`thinking.budget_tokens` with {model}",
                "Use `adaptive` with `output_config.effort` instead.",
            )
        control["max_thinking_tokens"] = thinking.budget_tokens
    elif model.startswith(TAKES_BUDGET):
        raise unsupported(f"`thinking: adaptive` with {model}", "Give `enabled` with `budget_tokens` instead.")
    if thinking.display:
        control["thinking_display"] = thinking.display
    return [control] if len(control) > 1 else []
