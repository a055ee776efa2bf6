"""How a conversation begins: in a blank process, in one that resumes a transcript, or in one that goes on by itself.

In: a request's options and messages. Out: a `Conversation` that holds all but the last message, in a process whose
payer is known: where it is not the subscription, nothing is sent. Which process continues a conversation that is live
already is not decided here (`conversations`).

1. No earlier message: a blank process of the pool, told the options by control requests.
2. Earlier messages: a process is started that resumes a transcript of them, and is told the same way. The transcript
   is the one that the CLI itself wrote, if that is kept; otherwise it is written here.
3. Earlier messages, and the last one holds tool results: the CLI takes those from a transcript only, and goes on by
   itself as soon as it has started. It must know everything from its start, and who would pay is asked of another
   process, started in the same way, before.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

from claude_max_mcp.claude.launch import Launch
from claude_max_mcp.claude.protocol import Account, Initialized
from claude_max_mcp.claude.transcript import make_lines, make_next_line, write_lines
from claude_max_mcp.claude.worker import Worker, running_worker
from claude_max_mcp.engine.announcements import Announcements
from claude_max_mcp.engine.cli_errors import LOGIN
from claude_max_mcp.engine.conversation import Conversation
from claude_max_mcp.engine.key import join_keys
from claude_max_mcp.engine.options import Options
from claude_max_mcp.engine.recording import Recording
from claude_max_mcp.engine.transcripts import Transcripts
from claude_max_mcp.errors import AccountError, NoRoom
from claude_max_mcp.messages import Json, Message, collect_results
from claude_max_mcp.models import to_full_id
from claude_max_mcp.pool.pool import Pool
from claude_max_mcp.results import BilledTo

Billing: TypeAlias = Literal["subscription", "any"]

REMEMBERED_SECONDS = 10.0
"""Seconds for which the CLI's word on its login and models holds; only a person can change it meanwhile."""


class Starter:
    """Begins conversations.

    Args:
        pool: lends blank processes, and starts others.
        launch: how a blank process is started.
        billing: `subscription` refuses whatever else would pay.
        transcripts: what earlier processes have written down.
        announcements: what the CLI announces of its surroundings.
    """

    def __init__(
        self,
        pool: Pool[Worker],
        launch: Launch,
        billing: Billing,
        transcripts: Transcripts,
        announcements: Announcements,
    ) -> None:
        self._pool = pool
        self._launch = launch
        self._billing: Billing = billing
        self._transcripts = transcripts
        self._announcements = announcements
        self._known: dict[str, tuple[float, Initialized]] = {}  # by model: until when, and what

    def forget_login(self) -> None:
        """Ask the CLI anew next time: what it said of its login does not hold any more."""
        self._known.clear()

    def remember_announcements(self, conversation: Conversation) -> None:
        """Remember what the CLI has announced at its beginning."""
        options = conversation.options
        model, folder = to_full_id(options.model), options.find_folder(self._launch)
        self._announcements.remember(model, folder, conversation.recording.announced)

    async def start(self, options: Options, messages: Sequence[Message], said: str) -> Conversation:
        """A conversation that holds all but the last message.

        Args:
            options: of the request.
            messages: the whole conversation.
            said: the key of all but the last message.

        Raises:
            AccountError: something other than the subscription would pay.
            RequestError: `unsupported`, the CLI cannot carry an option to this model.
            ServiceError: no process could be had, or there is no room to write the history down.
        """
        *earlier, last = messages
        if not earlier:
            return await self._start_blank(options)
        lines, recording = await self._find_lines(options, earlier, said)
        with _reporting_full_disk():
            files = TemporaryDirectory(dir=self._launch.scratch, prefix="history-", ignore_cleanup_errors=True)
        try:
            if collect_results(last):
                return await self._start_continuing(options, lines, last, recording, files)
            return await self._start_resuming(options, lines, recording, files)
        except BaseException:
            files.cleanup()
            raise

    async def _find_lines(
        self, options: Options, earlier: Sequence[Message], said: str
    ) -> tuple[Sequence[Json], Recording]:
        """A transcript of `earlier`: the CLI's own if it is kept, else one that is written here."""
        kept = await self._transcripts.find(join_keys(options.prefix_key, said))
        if kept is not None:
            return kept.lines, Recording(self._transcripts, kept)
        model, folder = to_full_id(options.model), options.find_folder(self._launch)
        lines = make_lines(earlier, model, self._announcements.find(model, folder))
        return lines, Recording(self._transcripts, written=lines)

    async def _start_blank(self, options: Options) -> Conversation:
        launch = options.launch(self._launch)
        loan = await self._pool.take(partial(running_worker, launch) if options.workspace else None)
        recording = Recording(self._transcripts)
        return await self._prepare(Conversation(loan, options, recording, blank=not options.workspace), launch.model)

    async def _start_resuming(
        self, options: Options, lines: Sequence[Json], recording: Recording, files: TemporaryDirectory[str]
    ) -> Conversation:
        with _reporting_full_disk():
            transcript = write_lines(lines, Path(files.name))
        launch = options.launch_resuming(self._launch, transcript)
        loan = await self._pool.take(partial(running_worker, launch))
        return await self._prepare(Conversation(loan, options, recording, blank=False, files=files), launch.model)

    async def _start_continuing(
        self,
        options: Options,
        lines: Sequence[Json],
        last: Message,
        recording: Recording,
        files: TemporaryDirectory[str],
    ) -> Conversation:
        known = await self._look_up(options)
        options.check(known)
        require_subscription(known.account, self._billing)
        next_line = make_next_line(last, to_full_id(options.model), lines[-1])
        recording.add(next_line)
        with _reporting_full_disk():
            transcript = write_lines([*lines, next_line], Path(files.name))
            launch = options.launch_continuing(self._launch, transcript)
        loan = await self._pool.take(partial(running_worker, launch))
        conversation = Conversation(loan, options, recording, blank=False, prompt_sent=True, files=files)
        return await self._prepare(conversation)

    async def _prepare(self, conversation: Conversation, started_with: str | None = None) -> Conversation:
        """Tell a process the options, unless it had them from its start, and make sure of the payer."""
        try:
            options, worker = conversation.options, conversation.worker
            told = [options.make_initialize()] if started_with is None else options.make_controls(started_with)
            *_, reply = await worker.control(*told)
            known = Initialized.model_validate(reply)
            conversation.billed_to = require_subscription(known.account, self._billing)
            conversation.account = known.account
            options.check(known)
            if started_with is not None and (thinking := options.make_thinking()):
                await worker.control(*thinking)
            return conversation
        except BaseException:
            conversation.end()
            raise

    async def _look_up(self, options: Options) -> Initialized:
        """What a blank process says of its login and of the model; remembered for a moment."""
        until, known = self._known.get(options.model, (0.0, None))
        if known is None or time.monotonic() >= until:
            known = await self._ask_blank(options)
            now = time.monotonic()
            fresh = {model: entry for model, entry in self._known.items() if entry[0] > now}
            self._known = {**fresh, options.model: (now + REMEMBERED_SECONDS, known)}
        return known

    async def _ask_blank(self, options: Options) -> Initialized:
        loan = await self._pool.take()
        try:
            controls = Options(options.model).make_controls(self._launch.model)
            *_, reply = await loan.worker.control(*controls)
            return Initialized.model_validate(reply)
        finally:
            loan.worker.kill()
            loan.end()


@contextmanager
def _reporting_full_disk() -> Generator[None]:
    """Tell a caller where a history cannot be written down; nothing was sent then."""
    try:
        yield
    except OSError as error:
        raise NoRoom("The history", error) from error


def require_subscription(account: Account, billing: Billing) -> BilledTo:
    """Make sure of the payer before anything is sent.

    Raises:
        AccountError: `not_authenticated`, nobody is logged in; `billing_guard`, not the subscription would pay.
    """
    if account.payer == "none":
        raise AccountError("not_authenticated", "Nobody is logged in: authentication is missing.", LOGIN)
    if account.payer != "subscription" and billing == "subscription":
        source = account.api_key_source or account.subscription_type or account.api_provider
        raise AccountError(
            "billing_guard",
            f"Not the subscription but {source} would pay for this, so nothing was sent.",
            "Remove that login, or set CLAUDE_MAX_BILLING=any to allow it.",
        )
    return account.payer
