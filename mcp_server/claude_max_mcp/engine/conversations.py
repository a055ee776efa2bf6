"""Requests carried by conversations: admitted, given a worker, guarded, answered, and never seen by another.

In: validated requests. Out: results, with events on the way. It knows the pool's leases and the CLI's turns, and
nothing of MCP or HTTP. A caller always sends the whole conversation: a live process is a cache of it, never the only
copy. It is found by a fingerprint of all that was said and all that shapes the answer, so an edited history misses.
Where there is none, the conversation begins in a new process, from what the old one has written down if that is kept.
"""

import time
from collections.abc import AsyncGenerator, Generator, Hashable
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import anyio

from claude_max_mcp.claude.launch import MB, Launch
from claude_max_mcp.claude.worker import running_worker
from claude_max_mcp.engine.account import UNPROVEN_BY, AccountState, as_rate_limit
from claude_max_mcp.engine.announcements import Announcements
from claude_max_mcp.engine.conversation import Conversation
from claude_max_mcp.engine.idle import IdleConversations
from claude_max_mcp.engine.key import extend_key, join_keys, make_key
from claude_max_mcp.engine.options import Options, choose_options
from claude_max_mcp.engine.starter import Billing, Starter
from claude_max_mcp.engine.transcripts import Transcripts, TranscriptStats
from claude_max_mcp.engine.turn import OnEvent, TurnResult
from claude_max_mcp.engine.workspace import Workspace
from claude_max_mcp.errors import ClaudeMaxError, ServiceError, UpstreamError
from claude_max_mcp.messages import Message
from claude_max_mcp.pool.admission import Admission
from claude_max_mcp.pool.pool import Pool, PoolHistory, PoolStats
from claude_max_mcp.results import AskResult, ErrorInfo
from claude_max_mcp.wire import AskRequest

END_DEADLINE = 1.0
"""Seconds that cancelled requests get to tell their callers."""


def ignore_events(_: object) -> None:
    """For callers who only want the result."""


class Conversations:
    """Answers requests. Use it inside `open()`.

    Args:
        launch: how a blank process is started; its model is that of a request that names none.
        warm: blank workers that stand ready.
        concurrency: requests that run at once.
        queue: requests that may wait beyond those.
        timeout: seconds for one request, unless it says otherwise.
        park_seconds: seconds that a process waits for the caller's tool results.
        memory: megabytes that the processes may take together, as far as those that only wait can be given up for it.
        reuse: whether a conversation may begin in a process that held another, after the CLI has forgotten that one.
        billing: `subscription` refuses whatever else would pay.
        workspace: the folder that requests may have opened for reading.
        transcripts: keep conversations beyond their processes.
        announcements: what the CLI announces of its surroundings.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        warm: int = 2,
        concurrency: int = 8,
        queue: int = 32,
        timeout: float = 150.0,
        park_seconds: float = 600.0,
        memory: int | None = None,
        reuse: bool = True,
        billing: Billing = "subscription",
        workspace: Workspace | None = None,
        transcripts: Transcripts,
        announcements: Announcements,
    ) -> None:
        self._launch = launch
        self._timeout = timeout
        self._workspace = workspace
        self._admission = Admission(running=concurrency, queue=queue)
        self._pool = Pool(partial(running_worker, launch), warm=warm)
        self._transcripts = transcripts
        self._starter = Starter(self._pool, launch, billing, transcripts, announcements)
        self._idle = IdleConversations(
            most=concurrency,
            park_seconds=park_seconds,
            memory=memory * MB if memory else None,
            workers=lambda: self._pool.workers,
            reuse=reuse,
        )
        self._running: set[anyio.CancelScope] = set()
        self._ended = anyio.Event()
        self._stopping = False
        self.account = AccountState()
        self.reused = 0
        """Conversations that began in a used process."""

    def __repr__(self) -> str:
        return f"<Conversations {self._admission!r} {self._pool!r} {self._idle!r}>"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Keep workers for the length of a block; leaving it ends every one of them."""
        async with self._transcripts.open(), self._pool.open(), self._idle.open():
            yield

    @property
    def pool(self) -> PoolStats:
        return self._pool.stats

    @property
    def pool_history(self) -> PoolHistory:
        return self._pool.history

    @property
    def pids(self) -> set[int]:
        """The processes that run now."""
        return {worker.pid for worker in self._pool.workers}

    @property
    def kept(self) -> int:
        """Processes that wait for the next message of their conversation."""
        return len(self._idle)

    @property
    def transcripts(self) -> TranscriptStats:
        """What is kept on disk, and what was looked for there."""
        return self._transcripts.stats

    @property
    def in_flight(self) -> int:
        return self._admission.in_flight

    @property
    def queued(self) -> int:
        return self._admission.queued

    async def ask(
        self, request: AskRequest, on_event: OnEvent = ignore_events, *, caller: Hashable = None, keep: bool = True
    ) -> AskResult:
        """Answer one request. A failure is a result too: `success` is false and `error` says why.

        Args:
            request: what is asked.
            on_event: gets the events as they come.
            caller: who asks: callers take turns where requests have to wait.
            keep: whether its process is worth keeping, as there may be a next message.
        """
        began = time.monotonic()
        try:
            result = await self._ask_in_time(request, on_event, caller, keep)
        except ClaudeMaxError as error:
            self.account.record_failure(error)
            if error.code in UNPROVEN_BY:
                self._pool.renew()  # processes that run already would not notice a new login
                self._idle.clear()
                self._starter.forget_login()
            result = AskResult.from_error(error)
        return result.model_copy(update={"duration_ms": round((time.monotonic() - began) * 1000)})

    async def drain(self, grace: float) -> None:
        """Take no more requests, let those that run finish for `grace` seconds, then cancel them."""
        self._stopping = True
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(grace):
                await self._wait_for_all()
            for scope in self._running:
                scope.cancel()
            with anyio.move_on_after(END_DEADLINE):
                await self._wait_for_all()

    async def _wait_for_all(self) -> None:
        while self._running:
            await self._ended.wait()

    async def _ask_in_time(self, request: AskRequest, on_event: OnEvent, caller: Hashable, keep: bool) -> AskResult:
        seconds = request.timeout or self._timeout
        if not self._stopping:
            with anyio.move_on_after(seconds) as scope, self._registered(scope):
                async with self._admission.place(caller):
                    return await self._converse(request, on_event, keep)
        if self._stopping:
            raise ServiceError("cancelled", "The server is stopping. Ask again when it runs again.")
        raise ServiceError(
            "timeout",
            f"There was no whole answer within {seconds:g} s. Ask for less, or give a longer `timeout`.",
        )

    @contextmanager
    def _registered(self, scope: anyio.CancelScope) -> Generator[None]:
        self._running.add(scope)
        try:
            yield
        finally:
            self._running.discard(scope)
            self._ended.set()
            self._ended = anyio.Event()

    async def _converse(self, request: AskRequest, on_event: OnEvent, keep: bool) -> AskResult:
        """Go on with the process that holds this conversation, or begin one; keep it for the next message."""
        options = choose_options(request, self._launch.model, self._workspace)
        *earlier, last = messages = request.conversation
        said = make_key(earlier)
        conversation = self._idle.take(join_keys(options.key, said), last)
        conversation = conversation or await self._start(options, messages, said)
        try:
            answer = await conversation.ask(last, on_event)
        except BaseException:
            conversation.end()
            raise
        self.account.record_answer(conversation.billed_to, conversation.account, conversation.limits)
        self._starter.remember_announcements(conversation)
        said = extend_key(extend_key(said, last), answer.said)
        if answer.settled and keep:
            conversation.keep_transcript(join_keys(options.prefix_key, said), answer)
        if answer.settled and (keep or self._pressed):
            self._idle.keep(join_keys(options.key, said) if keep else None, conversation)
        else:
            conversation.end()
        return _make_result(answer, conversation)

    @property
    def _pressed(self) -> bool:
        """Whether several requests run, and more of them than processes stand ready."""
        return self._admission.in_flight > max(1, self._pool.stats.warm)

    async def _start(self, options: Options, messages: list[Message], said: str) -> Conversation:
        """A conversation that holds all but the last message, in a used process where that is possible."""
        if len(messages) == 1 and (used := await self._rewind_used(options)):
            return used
        self._idle.make_room()
        return await self._starter.start(options, messages, said)

    async def _rewind_used(self, options: Options) -> Conversation | None:
        """An empty conversation in the process of one that is over, if there is one and the CLI has forgotten it."""
        while (conversation := self._idle.take_for_rewind(options.key, pressed=self._pressed)) is not None:
            try:
                if await conversation.rewind():
                    self.reused += 1
                    return conversation
            except BaseException:
                conversation.end()
                raise
            conversation.end()
        return None


def _make_result(answer: TurnResult, conversation: Conversation) -> AskResult:
    error = None
    if not answer.message["content"]:
        error = UpstreamError("empty_answer", "Claude answered with nothing at all. Ask again, or ask differently.")
    return AskResult(
        success=error is None,
        response=answer.text,
        model=answer.message.get("model"),
        stop_reason=answer.message.get("stop_reason"),
        usage=answer.message.get("usage"),
        message=answer.message,
        structured_output=answer.structured_output,
        billed_to=conversation.billed_to,
        rate_limit=as_rate_limit(conversation.limits),
        error=ErrorInfo.from_error(error) if error else None,
    )
