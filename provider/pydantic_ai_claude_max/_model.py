"""The model: Pydantic AI's own Anthropic model, without the parts that the Claude CLI cannot do.

Mapping, streaming, thinking and errors are inherited. Settings that the CLI has no way to honour are declared
as unsupported and taken out, so Pydantic AI warns about those that matter and none of them reaches the wire.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final, Protocol, cast

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.native_tools import AbstractNativeTool
from pydantic_ai.profiles import ModelProfileSpec, merge_profile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from ._names import to_wire_name
from ._provider import ROUTE_PROFILE, ClaudeMaxProvider

UNSUPPORTED: Final = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "parallel_tool_calls",
        "service_tier",
        "extra_headers",
        "extra_body",
    }
)
"""Settings that an `AnthropicModel` honours and the CLI cannot."""


class ClaudeMaxModel(AnthropicModel):
    """Claude, answering on a Claude Max subscription through a claude-max server.

    Apart from `__init__`, all methods match those of the base class.

    Args:
        model_name: `sonnet`, `opus`, `haiku` or a full id; also `max-subscription`.
        provider: how to reach the server; by default a `ClaudeMaxProvider()`.
        profile: overrides of the model's own profile.
        settings: default model settings.
    """

    unsupported_settings = AnthropicModel.unsupported_settings | UNSUPPORTED
    # The CLI declares every tool to the model from the start.
    supported_tool_deferral_modes = frozenset()
    supported_tool_addition_modes = frozenset()

    def __init__(
        self,
        model_name: str = "sonnet",
        *,
        provider: ClaudeMaxProvider | None = None,
        profile: ModelProfileSpec | None = None,
        settings: ModelSettings | None = None,
    ) -> None:
        super().__init__(
            to_wire_name(model_name),
            provider=provider or ClaudeMaxProvider(),
            profile=_narrow_profile(profile),
            settings=settings,
        )

    @property
    def base_url(self) -> str:
        return self._provider.base_url

    @classmethod
    def supported_native_tools(cls) -> frozenset[type[AbstractNativeTool]]:
        return frozenset()

    @asynccontextmanager
    async def _run_scope(self) -> AsyncGenerator[None]:
        """Pydantic AI holds this around a run: its requests share one connection to the server."""
        async with super()._run_scope(), self._hold_connection():
            yield

    def _hold_connection(self) -> AbstractAsyncContextManager[object]:
        return self._provider.hold_connection() if isinstance(self._provider, ClaudeMaxProvider) else nullcontext()

    def prepare_request(
        self, model_settings: ModelSettings | None, model_request_parameters: ModelRequestParameters
    ) -> tuple[ModelSettings | None, ModelRequestParameters]:
        settings, parameters = super().prepare_request(model_settings, model_request_parameters)
        kept = {name: value for name, value in (settings or {}).items() if name not in UNSUPPORTED}
        return cast(ModelSettings, kept) or None, parameters

    async def count_tokens(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> RequestUsage:
        raise NotImplementedError("The Claude CLI cannot count tokens ahead of a request.")


def _narrow_profile(profile: ModelProfileSpec | None) -> ModelProfileSpec:
    """State the route's facts once more, after the base class has added those of Anthropic's own endpoint."""
    if callable(profile):
        return lambda inherited: profile(merge_profile(inherited, ROUTE_PROFILE))
    return merge_profile(ROUTE_PROFILE, profile)


class Answered(Protocol):
    """A result of a run."""

    @property
    def response(self) -> ModelResponse: ...


def answered_by(result: Answered) -> str | None:
    """The id of the model that answered, such as `claude-sonnet-5-5`, whatever it was asked for by."""
    return result.response.model_name
