"""The service as a whole, whatever it is reached by: it answers requests and says how it is.

In: settings and the environment for the CLI. Out: `ask` and `health`. MCP, HTTP and the command line sit on top and
know nothing of what is below.
"""

import logging
from collections.abc import AsyncGenerator, Hashable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeAlias

from claude_max_mcp.claude.launch import MB, Launch, find_cli, identify_cli, make_blank_launch
from claude_max_mcp.claude.login import Login
from claude_max_mcp.engine.announcements import Announcements
from claude_max_mcp.engine.conversations import Conversations, ignore_events
from claude_max_mcp.engine.transcripts import Transcripts, TranscriptStats
from claude_max_mcp.engine.turn import OnEvent
from claude_max_mcp.engine.workspace import open_workspace
from claude_max_mcp.errors import ClaudeMaxError, ServiceError
from claude_max_mcp.events import Event
from claude_max_mcp.messages import Message
from claude_max_mcp.results import AskResult, Health
from claude_max_mcp.service.defects import describe_defect
from claude_max_mcp.service.health import HealthMonitor
from claude_max_mcp.service.journal import Journal, Observed, make_request_id
from claude_max_mcp.service.metrics import Metrics
from claude_max_mcp.service.scratch import scratch_folder
from claude_max_mcp.service.sessions import Said, Session, Sessions
from claude_max_mcp.service.spans import describe_outcome, request_span
from claude_max_mcp.settings import Settings
from claude_max_mcp.wire import AskRequest

logger = logging.getLogger(__name__)

Keeper: TypeAlias = Literal["caller", "session", "nobody"]
"""Who keeps a conversation for its next message.

* `caller`: a program that sends the whole of it each time; its process is kept, for speed alone.
* `session`: this server, under a `session_id` that comes with the answer.
* `nobody`: there is no next message.
"""

PROBE = AskRequest(prompt="Reply with the single word: ok", model="haiku", timeout=30.0)
"""What `health(probe=true)` asks."""


class Service:
    """Everything behind the tools. Use it inside `Service.running(...)`."""

    def __init__(self, settings: Settings, launch: Launch, missing: ServiceError | None) -> None:
        self.settings = settings
        self._launch = launch
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
            transcripts=Transcripts(
                settings.state_dir / "transcripts",
                seconds=settings.transcript_minutes * 60,
                most=settings.disk_mb * MB,
                version=identify_cli(launch.cli),
            ),
            announcements=Announcements(settings.state_dir / "announcements.json", identify_cli(launch.cli)),
        )
        self._sessions = Sessions(settings.state_dir / "sessions", settings.session_hours)
        self.journal = Journal()
        """What became of the latest requests."""
        talks = self._conversations
        self._health = HealthMonitor(settings, launch, talks, missing)
        self.metrics = Metrics(
            self.journal, self.report, lambda: talks.pool_history, lambda: talks.reused, lambda: talks.transcripts
        )
        """The same and more, for Prometheus."""

    def __repr__(self) -> str:
        return f"<Service {self.report().status} {self._conversations!r}>"

    @classmethod
    @asynccontextmanager
    async def running(
        cls, settings: Settings, environment: Mapping[str, str], *, login: Login | None = None
    ) -> AsyncGenerator["Service"]:
        """A service for the length of a block; leaving it ends every CLI process.

        Args:
            settings: what can be set.
            environment: what the CLI inherits, see `settings.make_cli_environment`.
            login: how the CLI is logged in, where that is known; without it, the CLI is asked.
        """
        with scratch_folder() as scratch:
            cli, missing = _find_cli(settings.cli_path)
            launch = make_blank_launch(settings, environment, cli, scratch)
            service = cls(settings, launch, missing)
            await service._sessions.remove_old()
            async with service._conversations.open():
                if login is None:
                    await service._health.look_up_login()
                else:
                    service._conversations.account.record_login(login)
                yield service

    @property
    def scratch(self) -> Path:
        """The folder of its files, which ends with it."""
        assert self._launch.scratch is not None
        return self._launch.scratch

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
                result = AskResult.from_error(error)
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
        self._conversations.account.record_failure(error)
        return AskResult.from_error(error)

    async def _ask(self, request: AskRequest, on_event: OnEvent, keeper: Keeper, caller: Hashable) -> AskResult:
        if keeper != "session":
            return await self._conversations.ask(request, on_event, caller=caller, keep=keeper == "caller")
        session = Session() if request.session_id is None else await self._sessions.find(request.session_id)
        said = session.said
        continued = request.continue_from(said.messages, system=said.system, model=said.model)
        keep = request.messages is not None or self._sessions.enabled
        result = await self._conversations.ask(continued, on_event, caller=caller, keep=keep)
        return await self._remember(session, continued, result)

    async def _remember(self, session: Session, request: AskRequest, result: AskResult) -> AskResult:
        if result.message is None or not result.message["content"]:
            return result
        answer = Message(role="assistant", content=result.message["content"])
        messages = [{**message} for message in (*request.conversation, answer)]
        said = Said(messages=messages, system=request.system, model=request.model)
        return result.model_copy(update={"session_id": await self._sessions.keep(session, said)})

    async def drain(self, grace: float) -> None:
        """Take no more requests, let those that run finish for `grace` seconds, then cancel them."""
        await self._conversations.drain(grace)

    async def health(self, *, probe: bool = False) -> Health:
        """How the service is, from what is known; with `probe`, after asking the smallest model one word."""
        if probe:
            await self.ask(PROBE)
        else:
            await self._health.refresh()
        return self.report()

    @property
    def transcripts(self) -> TranscriptStats:
        """What is kept of conversations, and what was looked for there."""
        return self._conversations.transcripts

    def report(self) -> Health:
        """How the service is, from what is known already."""
        return self._health.report()


def _tee(first: OnEvent, second: OnEvent) -> OnEvent:
    def on_event(event: Event) -> None:
        first(event)
        second(event)

    return on_event


def make_cancelled_result() -> AskResult:
    """The result of a request whose caller went away."""
    return AskResult.from_error(
        ServiceError("cancelled", "The caller closed the connection, so the request was cancelled.")
    )


def _find_cli(configured: Path | None) -> tuple[Path, ServiceError | None]:
    try:
        return find_cli(configured), None
    except ServiceError as error:
        return configured or Path("claude"), error
