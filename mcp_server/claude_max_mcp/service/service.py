"""The service as a whole, whatever it is reached by: it answers requests and says how it is.

In: settings and the environment for the CLI. Out: `ask` and `health`. MCP, HTTP and the command line sit on top and
know nothing of what is below.
"""

import logging
import time
from collections.abc import AsyncGenerator, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from claude_max_mcp.claude.launch import Launch, find_cli, make_blank_launch
from claude_max_mcp.claude.login import Login, look_up, look_up_login
from claude_max_mcp.engine.account import Knowledge, rate_limit
from claude_max_mcp.engine.cli_errors import ADVICE
from claude_max_mcp.engine.conversations import Conversations, ignore_events
from claude_max_mcp.engine.turn import OnEvent
from claude_max_mcp.engine.workspace import open_workspace
from claude_max_mcp.errors import ClaudeMaxError, ServiceError
from claude_max_mcp.messages import Json
from claude_max_mcp.service.defects import describe_defect
from claude_max_mcp.service.journal import Journal, Observed, make_request_id
from claude_max_mcp.service.metrics import Metrics
from claude_max_mcp.service.scratch import scratch_folder
from claude_max_mcp.service.sessions import Said, Session, Sessions
from claude_max_mcp.service.spans import describe_outcome, request_span
from claude_max_mcp.settings import Settings
from claude_max_mcp.wire import AskRequest, AskResult, Auth, ErrorInfo, Health, PoolState, Status

logger = logging.getLogger(__name__)

Keeper: TypeAlias = Literal["caller", "session", "nobody"]
"""Who keeps a conversation for its next message.

* `caller`: a program that sends the whole of it each time; its process is kept, for speed alone.
* `session`: this server, under a `session_id` that comes with the answer.
* `nobody`: there is no next message.
"""

READY = "Service ready"
"""What `health` says where all is well."""

LOOK_AGAIN = 30.0
"""Seconds after which a login that was missing is looked for again, when somebody asks for `health`."""

PROBE = AskRequest(prompt="Reply with the single word: ok", model="haiku", timeout=30.0)
"""What `health(probe=true)` asks."""

DEGRADING = frozenset(
    {"auth_expired", "account_blocked", "billing_guard", "api_key_billing", "usage_limit", "cli_failed"}
)
"""Errors of the latest request that make the service degraded until a request is answered."""


class Service:
    """Everything behind the tools. Use it inside `Service.running(...)`."""

    def __init__(self, settings: Settings, launch: Launch, missing: ServiceError | None) -> None:
        self.settings = settings
        self._launch = launch
        self._missing = missing
        self._conversations = Conversations(
            launch,
            warm=0 if missing else settings.warm,
            concurrency=settings.concurrency,
            queue=settings.queue,
            timeout=settings.timeout,
            park_seconds=settings.park_seconds,
            memory=settings.memory,
            reuse=settings.reuse,
            billing=settings.billing,
            workspace=open_workspace(settings, launch),
        )
        self._sessions = Sessions(settings.state_dir / "sessions", settings.session_hours)
        self.journal = Journal()
        """What became of the latest requests."""
        talks = self._conversations
        self.metrics = Metrics(self.journal, self.state, lambda: talks.pool_history, lambda: talks.reused)
        """The same and more, for Prometheus."""
        self._began = time.monotonic()
        self._looked_at = 0.0

    @classmethod
    @asynccontextmanager
    async def running(
        cls, settings: Settings, environment: Mapping[str, str], *, login: Login | None = None
    ) -> AsyncGenerator["Service"]:
        """A service for the length of a block; leaving it ends every CLI process.

        Args:
            settings: what can be set.
            environment: what the CLI inherits, see `settings.cli_environment`.
            login: how the CLI is logged in, where that is known; without it, the CLI is asked.
        """
        with scratch_folder() as scratch:
            cli, missing = _find_cli(settings.cli_path)
            launch = make_blank_launch(settings, environment, cli, scratch)
            service = cls(settings, launch, missing)
            async with service._conversations.open():
                if login is None:
                    await service._look_up()
                else:
                    service._known.looked_up(login)
                yield service

    @property
    def scratch(self) -> Path:
        """The folder of its files, which ends with it."""
        return self._launch.folder.parent

    @property
    def pids(self) -> set[int]:
        """The CLI processes that run now."""
        return self._conversations.pids

    async def ask(
        self,
        request: AskRequest,
        on_event: OnEvent = ignore_events,
        *,
        keeper: Keeper = "nobody",
        caller: Hashable = None,
        request_id: str | None = None,
    ) -> AskResult:
        """Answer one request; a failure is a result too.

        Args:
            request: what is asked.
            on_event: gets the events as they come.
            keeper: who keeps the conversation for a next message.
            caller: who asks: callers take turns where requests have to wait.
            request_id: what the request is called from here on; without it, a new id.
        """
        observed = Observed(request.model or self.settings.model, request_id or make_request_id())
        result = make_cancelled_result()  # if nothing else becomes of it
        with request_span(request.model or self.settings.model) as span:
            try:
                result = await self._ask(request, _tee(observed.see, on_event), keeper, caller)
            except ClaudeMaxError as error:
                result = AskResult.failure(error)
            except Exception as defect:
                result = self._report(defect, observed.request_id)
            finally:
                entry = observed.finish(result)
                describe_outcome(span, entry, result)
                self.journal.add(entry)
        return result.model_copy(update={"request_id": observed.request_id})

    def _report(self, defect: Exception, request_id: str) -> AskResult:
        """The last boundary: an unexpected exception becomes an error of ours, and is logged with its place."""
        logger.error("request %s failed by a defect of this server:\n%s", request_id, describe_defect(defect))
        error = ServiceError(
            "internal",
            "The server failed by a defect of its own.",
            f"Please report it, with what its log says of request {request_id}.",
        )
        self._known.failed(error)
        return AskResult.failure(error)

    async def _ask(self, request: AskRequest, on_event: OnEvent, keeper: Keeper, caller: Hashable) -> AskResult:
        if keeper != "session":
            return await self._conversations.ask(request, on_event, caller=caller, keep=keeper == "caller")
        session = Session() if request.session_id is None else await self._sessions.find(request.session_id)
        said = session.said
        continued = request.after(said.messages, system=said.system, model=said.model)
        result = await self._conversations.ask(continued, on_event, caller=caller, keep=True)
        return await self._remember(session, continued, result)

    async def _remember(self, session: Session, request: AskRequest, result: AskResult) -> AskResult:
        if result.message is None or not result.message["content"]:
            return result
        messages = [*request.conversation, {"role": "assistant", "content": result.message["content"]}]
        said = Said(messages=messages, system=request.system, model=request.model)
        return result.model_copy(update={"session_id": await self._sessions.keep(session, said)})

    async def drain(self, grace: float) -> None:
        """Take no more requests, let those that run finish for `grace` seconds, then cancel them."""
        await self._conversations.drain(grace)

    async def health(self, *, probe: bool = False) -> Health:
        """How the service is, from what is known; with `probe`, after asking the smallest model one word."""
        if probe:
            await self.ask(PROBE)
        elif self._known.configured is False and time.monotonic() - self._looked_at > LOOK_AGAIN:
            await self._look_up()
        return self.state()

    def state(self) -> Health:
        """How the service is, from what is known already."""
        status, message = self._verdict()
        known, talks = self._known, self._conversations
        pool = talks.pool
        return Health(
            status=status,
            claude_cli="available" if known.cli_version else "unavailable",
            workspace_root=str(self.settings.workspace_root) if self.settings.workspace_root else None,
            message=message,
            cli_version=known.cli_version,
            auth=_auth(known),
            billed_to=known.billed_to,
            rate_limit=rate_limit(known.limits),
            pool=PoolState(
                size=pool.size, warm=pool.warm, starting=pool.starting, leased=pool.leased - talks.kept, kept=talks.kept
            ),
            in_flight=talks.in_flight,
            queued=talks.queued,
            last_error=known.last_error,
            uptime=round(time.monotonic() - self._began, 3),
        )

    @property
    def _known(self) -> Knowledge:
        return self._conversations.knowledge

    async def _look_up(self) -> None:
        self._looked_at = time.monotonic()
        if self._missing is None:
            known = self._known.cli_version
            login = (
                await look_up(self._launch)
                if known is None
                else replace(await look_up_login(self._launch), cli_version=known)
            )
            self._known.looked_up(login)
        else:
            self._known.last_error = ErrorInfo.of(self._missing)

    def _verdict(self) -> tuple[Status, str]:
        known = self._known
        if known.cli_version is None:
            error = self._missing or ServiceError(
                "cli_missing", "The claude CLI does not run. Reinstall claude-agent-sdk, or set CLAUDE_MAX_CLI_PATH."
            )
            return "unhealthy", error.message
        if known.last_error and known.last_error.code in DEGRADING | {"not_authenticated"}:
            return "degraded", known.last_error.message
        if known.configured is False:
            return "degraded", ADVICE["not_authenticated"]
        if known.billed_to == "api_key" and self.settings.billing == "subscription":
            return (
                "degraded",
                "An API key, not the subscription, would pay. Every request is refused until it is removed.",
            )
        if self.settings.upstream_url is not None:
            return (
                "healthy",
                f"{READY}. Requests do not go to Anthropic (--offline, or CLAUDE_MAX_UPSTREAM_URL), so it may not be "
                "Claude who answers",
            )
        return "healthy", READY


def _tee(first: OnEvent, second: OnEvent) -> OnEvent:
    def on_event(event: Json) -> None:
        first(event)
        second(event)

    return on_event


def make_cancelled_result() -> AskResult:
    """The result of a request whose caller went away."""
    return AskResult.failure(
        ServiceError("cancelled", "The caller closed the connection, so the request was cancelled.")
    )


def _auth(known: Knowledge) -> Auth:
    proven = known.proven_at is not None
    configured = proven or bool(known.configured)
    state = "proven" if proven else "configured" if configured else "none"
    return Auth(method=known.method, state=state, configured=configured, proven=proven, proven_at=known.proven_at)


def _find_cli(configured: Path | None) -> tuple[Path, ServiceError | None]:
    try:
        return find_cli(configured), None
    except ServiceError as error:
        return configured or Path("claude"), error
