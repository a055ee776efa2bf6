"""One live conversation: a process that holds exactly these messages and waits for the next one.

In: the next message. Out: the answer. It is the host of its process: it hears what the CLI says, keeps the calls of
the caller's tools that wait for their results, and may let the CLI's own tools run. How it began is not known here
(`starter`), but for one thing: one that began blank can become empty again.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory

import anyio
from pydantic import ValidationError

from claude_max_mcp.claude.caller_tools import CallerTools, as_mcp_result, can_carry
from claude_max_mcp.claude.protocol import (
    Account,
    HookCallback,
    HostRequest,
    McpMessage,
    Output,
    RateLimitEvent,
    RateLimitInfo,
    RewindConversation,
    Rewound,
    ToolCheck,
    TranscriptMirror,
)
from claude_max_mcp.claude.worker import Worker
from claude_max_mcp.engine.fold import STRUCTURED_OUTPUT
from claude_max_mcp.engine.key import take_essence
from claude_max_mcp.engine.options import Options
from claude_max_mcp.engine.recording import IsAnswer, Recording
from claude_max_mcp.engine.turn import OnEvent, Turn, TurnResult
from claude_max_mcp.errors import ServiceError
from claude_max_mcp.messages import Block, Json, Message, collect_results, list_calls
from claude_max_mcp.pool.pool import Loan
from claude_max_mcp.results import BilledTo
from claude_max_mcp.tracing import trace_controls

logger = logging.getLogger(__name__)

MOST_SERVED = 100
"""Conversations that one process holds, one after the other. It grows with them: from 104 to 190 MB with the first
hundred of 20 kB each, to 226 MB with six hundred."""

REWIND_SECONDS = 2.0
"""Seconds within which the CLI must have forgotten a conversation; it takes 1 to 5 ms."""


@dataclass(eq=False)
class Conversation:
    """A worker on loan, and what it waits for."""

    loan: Loan[Worker]
    options: Options
    recording: Recording
    """Its transcript, as the process writes it."""
    blank: bool
    """Whether it began in a process that knew nothing, and that has no tools of its own."""
    prompt_sent: bool = False
    """Whether the CLI has the last message of the first request already, and is answering it."""
    account: Account = field(default_factory=Account)
    billed_to: BilledTo = "api_key"
    """Who pays; until the CLI has said so, the worse of both."""
    pending: frozenset[str] = frozenset()
    """The calls of the caller's tools that it waits for."""
    first: str | None = None
    """What the CLI calls the first message that it was sent."""
    last: str | None = None
    """What it calls the last one."""
    limits: RateLimitInfo | None = None
    """The subscription's limits: the CLI tells of them when they change, not with each answer."""
    served: int = 1
    """The conversations that its process has held, this one included."""
    files: TemporaryDirectory[str] | None = None
    """What the CLI reads while it starts; it is not needed after the first answer."""

    def __post_init__(self) -> None:
        self._tools = CallerTools(self.options.tools)
        self._turn = self._make_turn()
        self.worker.serve(self)

    def __repr__(self) -> str:
        return f"<Conversation {self.worker!r} served={self.served} pending={len(self.pending)} {self._turn!r}>"

    @property
    def worker(self) -> Worker:
        """Its process."""
        return self.loan.worker

    @property
    def can_rewind(self) -> bool:
        """Whether the CLI may be asked to forget it, so that another one can begin in its process."""
        return self.blank and self.first is not None and not self.pending and self.served < MOST_SERVED

    def can_take(self, message: Message) -> bool:
        """Whether `message` can be handed to this process and reach the model as it is."""
        given = collect_results(message)
        whole = len(given) == len(message["content"]) and all(map(can_carry, given.values()))
        return given.keys() == self.pending and (whole or not self.pending)

    async def ask(self, message: Message, on_event: OnEvent) -> TurnResult:
        """Say `message`, or give its tool results, and wait for the answer.

        Raises:
            ClaudeMaxError: there is no answer; the conversation is of no more use.
        """
        self._turn.follow(on_event)
        if self.pending:
            self._give_results(message)
        elif not self.prompt_sent:
            if trace := trace_controls():
                await self.worker.control(*trace)
            self.last = self.worker.say(message["content"])
            self.first = self.first or self.last
        self.prompt_sent = False
        result = await self._turn.wait()
        self._remove_files()
        self.pending = frozenset(list_calls(result.said))
        self._turn = self._make_turn()
        return result

    def keep_transcript(self, key: str, answer: TurnResult) -> None:
        """Let the conversation be gone on with by that key, also without its process."""
        self.recording.end_answer(key, self._identify(answer.said["content"]))

    def _identify(self, content: list[Block]) -> IsAnswer:
        """Tells this answer among what the process writes down, which is more where it uses tools of its own."""
        said = [take_essence(block) for block in content]
        if self.options.structured and not self.pending:
            return lambda blocks: any(block.get("name") == STRUCTURED_OUTPUT for block in blocks)
        if self.options.workspace:
            return lambda blocks: bool(blocks) and take_essence(blocks[-1]) == said[-1]
        return lambda blocks: [take_essence(block) for block in blocks] == said

    async def rewind(self) -> bool:
        """Let the CLI go back to before the first message.

        Returns:
            Whether the CLI says that it did, and that nothing comes before. If not, the process is of no more use.
        """
        request = RewindConversation(
            subtype="rewind_conversation",
            target_message_uuid=self.first,
            last_seen_user_message_uuid=self.last,
        )
        with anyio.move_on_after(REWIND_SECONDS), suppress(ServiceError, ValidationError):
            (reply,) = await self.worker.control(request)
            if Rewound.model_validate(reply).to_the_beginning:
                logger.debug("worker %d rewound", self.worker.pid)
                self.first = self.last = None
                self.recording = self.recording.start_anew()
                self.served += 1
                return True
        return False

    def end(self) -> None:
        """End the process; nothing is awaited."""
        self.worker.kill()
        self.loan.end()
        self._remove_files()

    # The host of its process.

    def hear(self, message: Output) -> None:
        """Take a message of the CLI. Limits may come between two turns, too."""
        if isinstance(message, RateLimitEvent):
            self.limits = message.rate_limit_info
        if isinstance(message, TranscriptMirror):
            self.recording.hear(message.entries)
        self._turn.hear(message)

    def answer(self, request_id: str, asked: HostRequest) -> Json | None:
        """Answer the CLI: as the server of the caller's tools, or whether one of its own tools may run.

        Raises:
            LookupError: it asks something else.
        """
        match asked:
            case McpMessage(message=message):
                return self._tools.answer(request_id, message)
            case HookCallback(input=check):
                return self._decide(check)
            case _:
                raise LookupError(asked.subtype)

    def lose(self, error: ServiceError) -> None:
        """The process has ended."""
        self._turn.lose(error)

    def _decide(self, check: ToolCheck) -> Json:
        workspace = self.options.workspace
        refusal = workspace.find_refusal(check.tool_name, check.tool_input) if workspace else None
        if refusal is None:
            return {}
        denied = {"permissionDecision": "deny", "permissionDecisionReason": refusal}
        return {"hookSpecificOutput": {"hookEventName": "PreToolUse", **denied}}

    def _give_results(self, message: Message) -> None:
        given = {tool_use: as_mcp_result(result) for tool_use, result in collect_results(message).items()}
        for request_id, answer in self._tools.accept_results(given).items():
            self.worker.reply(request_id, answer)

    def _make_turn(self) -> Turn:
        return Turn(
            caller_tools=self._tools.names,
            cli_tools=self.options.cli_tools,
            structured=self.options.structured,
            stop=self.worker.kill,
        )

    def _remove_files(self) -> None:
        if self.files is not None:
            self.files.cleanup()
            self.files = None
