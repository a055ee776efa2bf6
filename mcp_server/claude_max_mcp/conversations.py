"""Requests carried by conversations: admitted, given a worker, guarded, answered, and never seen by another.

In: validated requests. Out: results, with events on the way. It knows the pool's leases and the CLI's turns, and
nothing of MCP or HTTP. In this version a conversation is one question and its answer.
"""

import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Literal, TypeAlias

import anyio

from claude_max_mcp.admission import Admission
from claude_max_mcp.errors import AccountError, ClaudeMaxError, ServiceError, UpstreamError
from claude_max_mcp.failures import LOGIN
from claude_max_mcp.knowledge import UNPROVEN_BY, Knowledge, rate_limit
from claude_max_mcp.models import cli_model, initialize, settings, thinking_budget
from claude_max_mcp.pool import Pool, PoolStats
from claude_max_mcp.protocol import Account, Initialized
from claude_max_mcp.turn import Answer, OnEvent, Turn
from claude_max_mcp.wire import AskRequest, AskResult, BilledTo, ErrorInfo, Json
from claude_max_mcp.worker import Worker

StartWorker: TypeAlias = Callable[[], AbstractAsyncContextManager[Worker]]
Billing: TypeAlias = Literal["subscription", "any"]


END_DEADLINE = 1.0
"""Seconds that cancelled requests get to tell their callers."""


def ignore_events(_: object) -> None:
    """For callers who only want the result."""


class Conversations:
    """Answers requests. Use it inside `open()`.

    Args:
        start: starts a blank worker with `model` as its model.
        model: the model of a request that names none.
        warm: blank workers that stand ready.
        concurrency: requests that run at once.
        queue: requests that may wait beyond those.
        timeout: seconds for one request, unless it says otherwise.
        billing: `subscription` refuses whatever else would pay.
    """

    def __init__(
        self,
        start: StartWorker,
        *,
        model: str = "sonnet",
        warm: int = 2,
        concurrency: int = 8,
        queue: int = 32,
        timeout: float = 150.0,
        billing: Billing = "subscription",
    ) -> None:
        self._model = cli_model(model)
        self._timeout = timeout
        self._billing: Billing = billing
        self._admission = Admission(running=concurrency, queue=queue)
        self._pool = Pool(start, warm=warm)
        self._running: set[anyio.CancelScope] = set()
        self._ended = anyio.Event()
        self._stopping = False
        self.knowledge = Knowledge()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Keep workers for the length of a block; leaving it ends every one of them."""
        async with self._pool.open():
            yield

    @property
    def pool(self) -> PoolStats:
        return self._pool.stats

    @property
    def in_flight(self) -> int:
        return self._admission.in_flight

    @property
    def queued(self) -> int:
        return self._admission.queued

    async def ask(self, request: AskRequest, on_event: OnEvent = ignore_events) -> AskResult:
        """Answer one request. A failure is a result too: `success` is false and `error` says why."""
        began = time.monotonic()
        try:
            result = await self._ask_in_time(request, on_event)
        except ClaudeMaxError as error:
            self.knowledge.failed(error)
            if error.code in UNPROVEN_BY:
                self._pool.renew()  # processes that stand ready would not notice a new login
            result = AskResult.failure(error)
        return result.model_copy(update={"duration_ms": round((time.monotonic() - began) * 1000)})

    async def drain(self, grace: float) -> None:
        """Take no more requests, let those that run finish for `grace` seconds, then cancel them."""
        self._stopping = True
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(grace):
                await self._all_ended()
            for scope in self._running:
                scope.cancel()
            with anyio.move_on_after(END_DEADLINE):
                await self._all_ended()

    async def _all_ended(self) -> None:
        while self._running:
            await self._ended.wait()

    async def _ask_in_time(self, request: AskRequest, on_event: OnEvent) -> AskResult:
        seconds = request.timeout or self._timeout
        if not self._stopping:
            with anyio.move_on_after(seconds) as scope, self._registered(scope):
                async with self._admission.place(), self._pool.lease() as worker:
                    return await self._converse(worker, request, on_event)
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

    async def _converse(self, worker: Worker, request: AskRequest, on_event: OnEvent) -> AskResult:
        """Set a blank worker up, make sure of the payer, ask, and read the answer."""
        model = cli_model(request.model or self._model)
        reply, *_ = await worker.control(initialize(request), *settings(request, model, self._model))
        known = Initialized.model_validate(reply)
        billed_to = _guard(known.account, self._billing)
        if budget := thinking_budget(request.thinking, model, known):
            await worker.control(*budget)
        await worker.say(_own_words(request.content))
        answer = await Turn(worker, on_event).read()
        self.knowledge.answered(billed_to, known.account, answer.limits)
        return _result(answer, billed_to)


def _own_words(content: str | list[Json]) -> str | list[Json]:
    """The content without cache breakpoints: the CLI sets its own, and the API takes four in all."""
    if isinstance(content, str):
        return content
    return [{key: value for key, value in block.items() if key != "cache_control"} for block in content]


def _guard(account: Account, billing: Billing) -> BilledTo:
    """Make sure of the payer before anything is sent.

    Raises:
        AccountError: `not_authenticated`, nobody is logged in; `billing_guard`, not the subscription would pay.
    """
    if account.payer == "none":
        raise AccountError("not_authenticated", f"Nobody is logged in: authentication is missing. {LOGIN}")
    if account.payer != "subscription" and billing == "subscription":
        source = account.api_key_source or account.api_provider
        raise AccountError(
            "billing_guard",
            f"Not the subscription but {source} would pay for this, so nothing was sent. Remove that login, "
            "or set CLAUDE_MAX_BILLING=any to allow it.",
        )
    return account.payer


def _result(answer: Answer, billed_to: BilledTo) -> AskResult:
    error = None
    if not answer.message["content"]:
        error = UpstreamError("empty_answer", "Claude answered with nothing at all. Ask again, or ask differently.")
    return AskResult(
        success=error is None,
        response=answer.text,
        model=answer.message.get("model"),
        stop_reason=answer.message.get("stop_reason"),
        session_id=answer.session_id,
        usage=answer.message.get("usage"),
        message=answer.message,
        structured_output=answer.structured_output,
        billed_to=billed_to,
        rate_limit=rate_limit(answer.limits),
        error=ErrorInfo.of(error) if error else None,
    )
