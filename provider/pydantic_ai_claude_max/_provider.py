"""The provider: Anthropic's SDK over a claude-max server, for Pydantic AI.

In: an address, or the settings of an engine in this process. Out: an `AsyncAnthropic` that sends its requests there,
and the profile of each model. It does not know how a request is carried; `_transport` does.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, cast

import httpx2
from anthropic import AsyncAnthropic
from pydantic_ai.models import infer_model_profile
from pydantic_ai.profiles import ModelProfile, merge_profile
from pydantic_ai.profiles.anthropic import AnthropicModelProfile, anthropic_model_profile
from pydantic_ai.providers import Provider
from pydantic_ai.providers.anthropic import AnthropicJsonSchemaTransformer, AsyncAnthropicClient

from ._client import make_route
from ._connection import Route
from ._names import CURRENT, to_full_id
from ._transport import MessagesTransport

if TYPE_CHECKING:
    from claude_max_mcp.settings import Settings

ROUTE_PROFILE: Final = AnthropicModelProfile(
    json_schema_transformer=AnthropicJsonSchemaTransformer,
    supports_forced_tool_choice=False,
    supported_native_tools=frozenset(),
    anthropic_accepts_file_and_container_ids=False,
    anthropic_binds_thinking_blocks=False,
    anthropic_disables_thinking_with_between_tools=False,
    # No model can be sent any through the CLI; `ClaudeMaxModel` takes them out, silently as Pydantic AI has it.
    anthropic_disallows_sampling_settings=False,
    anthropic_supports_fast_speed=False,
    anthropic_supports_task_budgets=False,
    anthropic_supports_message_batches=False,
    anthropic_count_tokens_accepts_server_tools=False,
    # The CLI chooses where breakpoints stand; how long they hold is what the longest of ours says, else an hour.
    supports_cache=True,
    supports_auto_cache=True,
    supported_cache_retentions=("5m", "1h"),
    default_cache_retention=timedelta(hours=1),
)
"""The properties of every model that is reached through the CLI."""


class ClaudeMaxProvider(Provider[AsyncAnthropicClient]):
    """Reaches Claude through a claude-max server, on the subscription of the person who runs it.

    Entered (`async with agent` does it), it keeps one connection to the server; otherwise every request opens
    one, so that `run_sync` may be called from anywhere, again and again.

    Args:
        base_url: the server's MCP endpoint; `CLAUDE_MAX_URL` or `http://127.0.0.1:47291/mcp` by default.
        token: the token that the server was started with; `CLAUDE_MAX_TOKEN` by default.
    """

    def __init__(self, base_url: str | None = None, *, token: str | None = None) -> None:
        self._set_up(make_route(base_url, token))

    def _set_up(self, route: Route) -> None:
        self._base_url = route.address
        self._lasting = route.lasting
        self._transport = MessagesTransport(route)
        self._anthropic = AsyncAnthropic(
            # A constant: without it the SDK would look for a key in the environment. It goes nowhere.
            api_key="unused",
            # Not the server's address: nothing is ever posted to `/v1/messages` there, but telemetry would claim it.
            base_url="http://claude-max.invalid",
            max_retries=0,
            timeout=None,
            http_client=httpx2.AsyncClient(transport=self._transport, trust_env=False),
        )

    @classmethod
    def embedded(
        cls, settings: "Settings | None" = None, *, environment: Mapping[str, str] | None = None
    ) -> "ClaudeMaxProvider":
        """The same engine inside this process: no server to start, no port, no token.

        It starts with the first request and ends with the block that entered the provider, else with the event loop
        or the process. Needs the server's package: `pip install 'pydantic-ai-claude-max[embedded]'`.

        Args:
            settings: those of the server; by default from the environment.
            environment: the whole environment of the CLI; by default the allow-list that the server passes on.

        Raises:
            ImportError: the server's package is not installed.
        """
        from ._embedded import make_embedded_route

        provider = cls.__new__(cls)
        provider._set_up(make_embedded_route(settings, environment))
        return provider

    @property
    def name(self) -> str:
        return "claude-max"

    @property
    def canonical_system(self) -> str:
        # Signatures of thinking come from Anthropic and are verified there.
        return "anthropic"

    @property
    def base_url(self) -> str:
        return self._base_url

    @property
    def client(self) -> AsyncAnthropic:
        return self._anthropic

    @staticmethod
    def model_profile(model_name: str) -> ModelProfile | None:
        model_id = to_full_id(model_name)
        family = cast(AnthropicModelProfile, anthropic_model_profile(model_id) or {})
        # The CLI knows one way of turning thinking off, and the current models do not take it.
        always = family.get("thinking_always_enabled") or model_id in CURRENT.values()
        own = AnthropicModelProfile(
            thinking_always_enabled=bool(always),
            context_window=infer_model_profile(f"anthropic:{model_id}").get("context_window"),
        )
        return merge_profile(family, ROUTE_PROFILE, own)

    def hold_connection(self) -> AbstractAsyncContextManager[object]:
        """One connection to the server for the length of a block, in the running event loop."""
        return nullcontext() if self._lasting else self._transport.get_client()

    async def __aenter__(self) -> Self:
        await self._transport.get_client().__aenter__()
        return await super().__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        try:
            return await super().__aexit__(exc_type, exc_val, exc_tb)
        finally:
            await self._transport.get_client().__aexit__(exc_type, exc_val, exc_tb)
