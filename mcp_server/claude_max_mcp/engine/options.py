"""The options of a request: all that shapes an answer beside what is said, and how each of them reaches the CLI.

In: a validated request, what the server has by default, and what the CLI says of its models. Out: one frozen `Options`:
its key, the control requests for a process that runs, the arguments for one that is to be started, and a refusal by
name of what the CLI would silently leave out or change. Nothing else knows how an option reaches the CLI.

`tests/server/test_options.py` sees each option upstream, or refused, for each way in which a conversation can begin;
`tests/cli/test_options.py` shows the behaviour of the CLI that this rests on.
"""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from claude_max_mcp.claude.caller_tools import SERVER, make_manifest
from claude_max_mcp.claude.launch import Launch, make_cache_environment
from claude_max_mcp.claude.protocol import (
    HOOKS,
    ApplyFlagSettings,
    FlagSettings,
    Initialize,
    Initialized,
    SetThinking,
)
from claude_max_mcp.engine.fold import STRUCTURED_OUTPUT
from claude_max_mcp.engine.key import digest
from claude_max_mcp.engine.workspace import TOOLS, Workspace
from claude_max_mcp.errors import Unsupported
from claude_max_mcp.messages import Json
from claude_max_mcp.models import ALIASES, to_cli_model
from claude_max_mcp.tracing import trace_environment
from claude_max_mcp.wire import AskRequest, CacheTtl, Thinking

ALIAS_MAX_TOKENS = 128_000
"""What the CLI asks for by itself with any of `ALIASES`; a caller who asks for as much needs nothing set."""

TAKES_BUDGET = ("claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5", "claude-sonnet-4-20")
"""Models whose `thinking.budget_tokens` the CLI passes on; with all later ones it sends `adaptive` instead."""

MAX_TOKENS = "CLAUDE_CODE_MAX_OUTPUT_TOKENS"
"""The CLI's variable for the most tokens of an answer."""

CONTINUE_PROMPT = "Continue."
"""What the CLI adds, as one text block, to history that ends with tool results: it will not go on without a word."""


@dataclass(frozen=True)
class Options:
    """What shapes an answer, beside what is said. Make one by `choose_options`.

    Attributes:
        model: the CLI's name for the model.
        system: the texts of the system prompt, in order.
        tools: the caller's tools, as the Messages API takes them.
        schema: the JSON schema that the answer must fit.
        effort: how hard Claude works.
        thinking: the Messages API's `thinking`.
        max_tokens: the most tokens of an answer; None for what the model can.
        workspace: the folder that Claude may read.
        cache: how long Anthropic keeps what it has read; None for what the process was started with.
    """

    model: str
    system: tuple[str, ...] = ()
    tools: tuple[Json, ...] = ()
    schema: Json | None = None
    effort: str | None = None
    thinking: Thinking | None = None
    max_tokens: int | None = None
    workspace: Workspace | None = None
    cache: CacheTtl | None = None

    @cached_property
    def key(self) -> str:
        """A digest: processes with equal keys answer alike."""
        thinking = self.thinking.model_dump() if self.thinking else None
        shape = [self.model, self.system, self.tools, self.schema, self.effort, thinking, self.max_tokens, self.cache]
        return digest([*shape, self.workspace is not None])

    @cached_property
    def prefix_key(self) -> str:
        """A digest: a transcript of a process with an equal one begins as Anthropic has cached it."""
        return digest([self.model, self.system, self.tools, self.schema, self.workspace is not None])

    @property
    def cli_tools(self) -> frozenset[str]:
        """The names of the tools that the CLI runs itself, going on by further messages."""
        output = frozenset({STRUCTURED_OUTPUT}) if self.structured else frozenset[str]()
        return output | TOOLS if self.workspace else output

    @property
    def structured(self) -> bool:
        """Whether the answer is to fit a schema."""
        return self.schema is not None

    # A process that runs is set up by control requests, of which `initialize` must come last: its reply then lists the
    # model that was chosen, and what that one takes.

    def make_controls(self, started_with: str) -> list[ApplyFlagSettings | Initialize]:
        """What makes a process, started with that model and otherwise blank, one with these options."""
        return [*self._make_flag_settings(started_with), self.make_initialize()]

    def make_initialize(self) -> Initialize:
        """The request that declares the system prompt, the caller's tools and the schema."""
        initialize = Initialize(
            subtype="initialize",
            hooks=HOOKS if self.workspace else None,
            skills=[],
            systemPrompt=list(self.system),
        )
        if self.schema is not None:
            initialize["jsonSchema"] = self.schema
        if self.tools:
            initialize["sdkMcpServers"] = [SERVER]
            initialize["sdkMcpServerManifests"] = {SERVER: make_manifest(self.tools)}
        return initialize

    def make_thinking(self) -> list[SetThinking]:
        """The request for `thinking`, if one is needed."""
        control = SetThinking(subtype="set_max_thinking_tokens")
        if self.thinking and self.thinking.type == "disabled":
            control["max_thinking_tokens"] = 0
        elif self.thinking and self.thinking.budget_tokens:
            control["max_thinking_tokens"] = self.thinking.budget_tokens
        if self.thinking and self.thinking.display:
            control["thinking_display"] = self.thinking.display
        return [control] if len(control) > 1 else []

    def _make_flag_settings(self, started_with: str) -> list[ApplyFlagSettings]:
        """Not `set_model`: for a full model id that one spends a request to see whether the model exists."""
        chosen = FlagSettings()
        if self.model != started_with:
            chosen["model"] = self.model
        if self.effort:
            chosen["effortLevel"] = self.effort
        if environment := self._make_environment():
            chosen["env"] = environment
        return [ApplyFlagSettings(subtype="apply_flag_settings", settings=chosen)] if chosen else []

    def _make_environment(self) -> dict[str, str]:
        """Variables that the CLI reads anew with each request."""
        environment = make_cache_environment(self.cache) if self.cache else {}
        if self._needs_max_tokens:
            environment[MAX_TOKENS] = str(self.max_tokens)
        return environment

    @property
    def _needs_max_tokens(self) -> bool:
        return self.max_tokens is not None and not (self.model in ALIASES and self.max_tokens >= ALIAS_MAX_TOKENS)

    # A process that goes on by itself as soon as it has started must know everything from its start.

    def launch(self, launch: Launch) -> Launch:
        """How to start a process that has the CLI's own tools, and is otherwise set up by control requests."""
        return self.workspace.launch(launch) if self.workspace else launch

    def find_folder(self, launch: Launch) -> Path:
        """Where such a process works, which Claude is told."""
        return self.workspace.root if self.workspace else launch.folder

    def launch_resuming(self, launch: Launch, transcript: Path) -> Launch:
        """How to start one that holds a transcript, and waits for the next message."""
        launch = self.launch(launch)
        arguments = (*launch.extra_arguments, "--resume", str(transcript), "--fork-session")
        return replace(launch, model=self.model, extra_arguments=arguments)

    def launch_continuing(self, launch: Launch, transcript: Path) -> Launch:
        """How to start one that goes on by itself from a transcript; a file for it is written beside that.

        Raises:
            OSError: there is no room for that file.
        """
        launch = self.launch_resuming(launch, transcript)
        own = {"CLAUDE_CODE_RESUME_INTERRUPTED_TURN": "1", "CLAUDE_CODE_RESUME_PROMPT": CONTINUE_PROMPT}
        own |= self._make_environment()
        return replace(
            launch,
            extra_arguments=(*launch.extra_arguments, *self._make_arguments(transcript.parent)),
            environment={**launch.environment, **own, **trace_environment()},
        )

    def _make_arguments(self, folder: Path) -> list[str]:
        system = folder / "system.txt"
        system.write_text("\n\n".join(self.system), encoding="utf-8")
        arguments = ["--system-prompt-file", str(system)]
        if self.tools:
            arguments += ["--mcp-config", json.dumps({"mcpServers": {SERVER: {"type": "sdk", "name": SERVER}}})]
        if self.schema is not None:
            arguments += ["--json-schema", json.dumps(self.schema)]
        if self.effort:
            arguments += ["--effort", self.effort]
        for control in self.make_thinking():
            if "max_thinking_tokens" in control:
                arguments += ["--max-thinking-tokens", str(control["max_thinking_tokens"])]
            if "thinking_display" in control:
                arguments += ["--thinking-display", control["thinking_display"]]
        return arguments

    def check(self, known: Initialized) -> None:
        """Refuse what the CLI would silently leave out, or change, for this model.

        Args:
            known: what the CLI says of its models.

        Raises:
            RequestError: `unsupported`, naming the option.
        """
        self._check_effort(known)
        self._check_thinking(known)

    def _check_effort(self, known: Initialized) -> None:
        facts = known.find_model(self.model)
        if self.effort is None or facts is None or self.effort in facts.supported_effort_levels:
            return
        levels = ", ".join(f"`{level}`" for level in facts.supported_effort_levels)
        raise Unsupported(
            f"`output_config.effort: {self.effort}` with {self.model}",
            f"This model takes {levels}." if levels else "This model takes no effort; leave it out.",
        )

    def _check_thinking(self, known: Initialized) -> None:
        if self.thinking is None:
            return
        facts = known.find_model(self.model)
        match self.thinking.type:
            case "disabled" if facts is None or not facts.supports_thinking_off:
                raise Unsupported(
                    f"`thinking: disabled` with {self.model}", "This model always thinks; leave `thinking` out."
                )
            case "enabled" if not self.model.startswith(TAKES_BUDGET):
                raise Unsupported(
                    f"`thinking.budget_tokens` with {self.model}",
                    "Use `adaptive` with `output_config.effort` instead.",
                )
            case "adaptive" if facts is not None and not facts.supports_adaptive_thinking:
                raise Unsupported(
                    f"`thinking: adaptive` with {self.model}", "Give `enabled` with `budget_tokens` instead."
                )
            case _:
                pass


def choose_options(request: AskRequest, default_model: str, workspace: Workspace | None) -> Options:
    """The options of a request.

    Args:
        request: what is asked.
        default_model: the CLI's name for the model of a request that names none.
        workspace: the folder that requests may have opened for reading.

    Raises:
        RequestError: `unsupported`, it asks for a folder where none can be opened.
    """
    if request.workspace == "read" and workspace is None:
        raise Unsupported("`workspace`", "Start the server with CLAUDE_MAX_WORKSPACE_ROOT, the folder to be read.")
    return Options(
        model=to_cli_model(request.model) if request.model else default_model,
        system=tuple(request.system_prompt),
        tools=tuple(request.offered_tools),
        schema=request.wanted_schema,
        effort=request.output_config.effort if request.output_config else None,
        thinking=request.thinking,
        max_tokens=request.max_tokens,
        workspace=workspace if request.workspace == "read" else None,
        cache=request.wanted_cache,
    )
