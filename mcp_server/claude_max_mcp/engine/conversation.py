"""One live conversation: a process that holds exactly these messages and waits for the next one.

In: a request whose earlier messages are the ones held here (or none yet). Out: the answer. A process becomes a
conversation in one of three ways: blank, from a transcript that it resumes, or from one that ends with tool results,
where the CLI goes on by itself as soon as it has started. One that began blank can become empty again.
"""

import json
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

import anyio
from pydantic import ValidationError

from claude_max_mcp.claude.caller_tools import SERVER, CallerTools, as_mcp_result, carries
from claude_max_mcp.claude.launch import Launch
from claude_max_mcp.claude.login import Payer
from claude_max_mcp.claude.process import HOOKS, Worker, started
from claude_max_mcp.claude.protocol import Account, Initialized, RateLimitInfo, Rewound
from claude_max_mcp.claude.transcript import write_transcript
from claude_max_mcp.engine.cli_errors import LOGIN
from claude_max_mcp.engine.merging import STRUCTURED_OUTPUT
from claude_max_mcp.engine.options import initialize, settings, spawned_settings, thinking_budget
from claude_max_mcp.engine.turn import Answer, OnEvent, Turn
from claude_max_mcp.engine.workspace import TOOLS, Workspace
from claude_max_mcp.errors import AccountError, ServiceError, unsupported
from claude_max_mcp.messages import Json, calls, results
from claude_max_mcp.models import cli_model, full_id
from claude_max_mcp.pool.pool import Loan, Pool
from claude_max_mcp.tracing import telling, told
from claude_max_mcp.wire import AskRequest, BilledTo

Billing: TypeAlias = Literal["subscription", "any"]

MOST_SERVED = 100
"""Conversations that one process holds, one after the other. It grows with them: from 104 to 190 MB with the first
hundred of 20 kB each, to 226 MB with six hundred."""

TAKING_BACK = 2.0
"""Seconds within which the CLI must have forgotten a conversation; it takes 1 to 5 ms."""

GO_ON = "Continue."
"""What the CLI adds, as one text block, to history that ends with tool results: it will not go on without a word."""


@dataclass(eq=False)
class Conversation:
    """A worker on loan, and what it waits for."""

    loan: Loan[Worker]
    account: Account
    billed_to: BilledTo
    structured: bool
    shape: str
    """What names all that shapes its answers, beside what is said."""
    blank: bool
    """Whether it began in a process that knew nothing, and that has no tools of its own."""
    own: frozenset[str] = frozenset()
    """The names of the tools that the CLI runs itself."""
    pending: frozenset[str] = frozenset()
    """The calls of the caller's tools that it waits for."""
    said: bool = False
    """Whether the last message of the first request is with the CLI already."""
    first: str | None = None
    """What the CLI calls the first message that it was sent."""
    last: str | None = None
    """What it calls the last one."""
    limits: RateLimitInfo | None = None
    """The subscription's limits: the CLI tells of them when they change, not with each answer."""
    served: int = 1
    """The conversations that its process has held, this one included."""
    files: TemporaryDirectory[str] | None = None
    """What the CLI reads while it starts; nobody needs it after the first answer."""
    left: anyio.Event = field(default_factory=anyio.Event)
    """Set when somebody goes on with it, or it is over."""

    @property
    def worker(self) -> Worker:
        """Its process."""
        return self.loan.worker

    @property
    def can_be_taken_back(self) -> bool:
        """Whether the CLI may be asked to forget it, so that another one can begin in its process."""
        return self.blank and self.first is not None and not self.pending and self.served < MOST_SERVED

    def waits_for(self, message: Json) -> bool:
        """Whether `message` can be handed to this process and reach the model as it is."""
        given = results(message)
        whole = len(given) == len(message["content"]) and all(map(carries, given.values()))
        return given.keys() == self.pending and (whole or not self.pending)

    async def ask(self, message: Json, on_event: OnEvent) -> Answer:
        """Say `message`, or give its tool results, and read the answer.

        Raises:
            ClaudeMaxError: there is no answer; the conversation is of no more use.
        """
        worker = self.worker
        if self.pending:
            await worker.give({name: as_mcp_result(result) for name, result in results(message).items()})
        elif not self.said:
            if trace := telling():
                await worker.control(*trace)
            self.last = await worker.say(message["content"])
            self.first = self.first or self.last
        self.said = False
        answer = await Turn(worker, on_event, own=self.own, structured=self.structured).read()
        self._clean_up()
        self.limits = answer.limits or self.limits
        self.pending = frozenset(calls(answer.message))
        return answer

    async def take_back(self) -> bool:
        """Let the CLI go back to before the first message, by its own `rewind_conversation`.

        Returns:
            Whether the CLI says that it did, and that nothing comes before. If not, the process is of no more use.
        """
        asked = {"target_message_uuid": self.first, "last_seen_user_message_uuid": self.last}
        with anyio.move_on_after(TAKING_BACK), suppress(ServiceError, ValidationError):
            (reply,) = await self.worker.control({"subtype": "rewind_conversation", **asked})
            if Rewound.model_validate(reply).to_the_beginning:
                self.first = self.last = None
                self.served += 1
                return True
        return False

    def end(self) -> None:
        """End the process; nothing is awaited."""
        self.left.set()
        self.worker.kill()
        self.loan.end()
        self._clean_up()

    def _clean_up(self) -> None:
        if self.files is not None:
            self.files.cleanup()
            self.files = None


async def begin(
    pool: Pool[Worker],
    launch: Launch,
    payer: Payer,
    request: AskRequest,
    shape: str,
    billing: Billing,
    workspace: Workspace | None,
) -> Conversation:
    """A conversation that holds all but the last message of a request; `shape` names the options that it has.

    Raises:
        AccountError: somebody else than the subscription would pay.
        RequestError: `unsupported`, the CLI cannot carry an option to this model.
        ServiceError: no process could be had, or there is no room to write the history down.
    """
    *earlier, last = request.conversation
    opened = _opened(workspace) if request.workspace == "read" else None
    if opened is not None:
        launch = opened.launch(launch)
    if not earlier:
        loan = await pool.take(partial(started, launch) if opened else None)
        return await _prepared(loan, launch.model, request, shape, billing, opened)
    if results(last):
        await _check_payer(payer, billing)
    with _written():
        files = TemporaryDirectory(dir=launch.folder.parent, prefix="history-", ignore_cleanup_errors=True)
    try:
        with _written():
            resumed = _resumed(launch, request, Path(files.name))
        loan = await pool.take(partial(started, resumed))
        conversation = await _prepared(loan, resumed.model, request, shape, billing, opened, going=bool(results(last)))
    except BaseException:
        files.cleanup()
        raise
    conversation.files = files
    return conversation


@contextmanager
def _written() -> Generator[None]:
    """Tell a caller where a history cannot be written down; nothing was sent then."""
    try:
        yield
    except OSError as error:
        raise ServiceError(
            "busy",
            f"The history cannot be written down for the CLI ({error.strerror}). Make room in the server's temporary "
            "folder, or in its memory, and send the request again.",
        ) from error


def _opened(workspace: Workspace | None) -> Workspace:
    if workspace is None:
        raise unsupported("`workspace`", "Start the server with CLAUDE_MAX_WORKSPACE_ROOT, the folder to be read.")
    return workspace


async def _prepared(
    loan: Loan[Worker],
    model: str,
    request: AskRequest,
    shape: str,
    billing: Billing,
    workspace: Workspace | None,
    *,
    going: bool = False,
) -> Conversation:
    """Set a process up for a request, and make sure of the payer; one that is `going` knows the options already."""
    try:
        worker = loan.worker
        worker.tools = CallerTools(request.offered_tools)
        wanted = cli_model(request.model) if request.model else model
        opening = initialize(request) | worker.tools.declaration()
        if workspace is not None:
            worker.refusal = workspace.refusal
            opening["hooks"] = HOOKS
        reply, *_ = await worker.control(opening, *([] if going else settings(request, wanted, model)))
        known = Initialized.model_validate(reply)
        billed_to = guard(known.account, billing)
        budget = thinking_budget(request.thinking, wanted, known)
        if budget and not going:
            await worker.control(*budget)
        structured = request.wanted_schema is not None
        own = {*(TOOLS if workspace else ()), *([STRUCTURED_OUTPUT] if structured else ())}
        blank = workspace is None and len(request.conversation) == 1
        return Conversation(loan, known.account, billed_to, structured, shape, blank, frozenset(own), said=going)
    except BaseException:
        loan.worker.kill()
        loan.end()
        raise


def _model(launch: Launch, request: AskRequest) -> str:
    return cli_model(request.model) if request.model else launch.model


def _resumed(launch: Launch, request: AskRequest, folder: Path) -> Launch:
    """How to start a process that resumes a transcript of the history, written into `folder`."""
    *earlier, last = request.conversation
    if results(last):
        return _going_on(launch, request, folder)
    model = _model(launch, request)
    transcript = write_transcript(earlier, full_id(model), folder)
    return replace(launch, model=model, further=(*launch.further, "--resume", str(transcript)))


def _going_on(launch: Launch, request: AskRequest, folder: Path) -> Launch:
    """How to start a process that goes on by itself: everything must be known to it from the start."""
    model = _model(launch, request)
    transcript = write_transcript(request.conversation, full_id(model), folder)
    system = folder / "system.txt"
    system.write_text("\n\n".join(request.system_prompt), encoding="utf-8")
    arguments = ["--resume", str(transcript), "--system-prompt-file", str(system)]
    if request.offered_tools:
        servers = {"mcpServers": {SERVER: {"type": "sdk", "name": SERVER}}}
        arguments += ["--mcp-config", json.dumps(servers)]
    further, environment = spawned_settings(request)
    own = {"CLAUDE_CODE_RESUME_INTERRUPTED_TURN": "1", "CLAUDE_CODE_RESUME_PROMPT": GO_ON}
    return replace(
        launch,
        model=model,
        further=(*launch.further, *arguments, *further),
        environment={**launch.environment, **own, **environment, **told()},
    )


async def _check_payer(payer: Payer, billing: Billing) -> None:
    """Make sure of the payer of a process that cannot be asked before it speaks."""
    login = await payer.login()
    if login.configured is None:
        raise ServiceError(
            "cli_failed", "The CLI did not say how it is logged in, so nothing was sent. Send the request again."
        )
    source = "none" if not login.configured else login.method or "none"
    subscription = login.billed_to == "subscription"
    guard(Account(token_source="claude.ai" if subscription else source), billing)


def guard(account: Account, billing: Billing) -> BilledTo:
    """Make sure of the payer before anything is sent.

    Raises:
        AccountError: `not_authenticated`, nobody is logged in; `billing_guard`, not the subscription would pay.
    """
    if account.payer == "none":
        raise AccountError("not_authenticated", f"Nobody is logged in: authentication is missing. {LOGIN}")
    if account.payer != "subscription" and billing == "subscription":
        source = account.api_key_source or account.subscription_type or account.api_provider
        raise AccountError(
            "billing_guard",
            f"Not the subscription but {source} would pay for this, so nothing was sent. Remove that login, "
            "or set CLAUDE_MAX_BILLING=any to allow it.",
        )
    return account.payer
