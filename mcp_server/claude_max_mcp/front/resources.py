"""What MCP offers beside the tools: the prompt `second_opinion`, and two resources to read.

In: a running `Service`. Out: handlers for a low-level MCP server. `claude-max://status` is what the tool `health`
says, and `claude-max://models` is what a `model` can be; names of models are completed in the prompt.
"""

import json
from collections.abc import Mapping
from typing import Any

from mcp.server import CacheHint
from mcp.server.caching import CacheableMethod
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    Annotations,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
    PromptMessage,
    PromptReference,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    TextContent,
    TextResourceContents,
)

from claude_max_mcp.models import ALIASES, SEED_NAMES
from claude_max_mcp.service.service import Service

CACHED: tuple[CacheableMethod, ...] = (
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
)

FIVE_MINUTES = CacheHint(ttl_ms=300_000, scope="private")
"""How long a client may keep what does not change while the server runs."""

CACHE_HINTS: Mapping[CacheableMethod, CacheHint] = dict.fromkeys(CACHED, FIVE_MINUTES)

SECOND_OPINION = Prompt(
    name="second_opinion",
    title="Second opinion",
    description="Have Claude judge something independently, then say where you and Claude agree and where not.",
    arguments=[
        PromptArgument(
            name="about",
            title="About",
            description="What to judge. Without it: the answer or plan that the conversation came to last.",
            required=False,
        ),
        PromptArgument(
            name="model",
            title="Model",
            description="Who is asked: sonnet, opus, haiku or a full model id. Without it, the server's default.",
            required=False,
        ),
    ],
)

STATUS = Resource(
    name="status",
    title="Status",
    uri="claude-max://status",
    description="How the service is now: login, who pays, usage limits with their reset times, queue. Costs nothing.",
    mime_type="application/json",
    annotations=Annotations(audience=["user", "assistant"], priority=0.5),
)

MODELS = Resource(
    name="models",
    title="Models",
    uri="claude-max://models",
    description="What `model` can be in ask_claude: each short name with the model that answers to it, the default.",
    mime_type="application/json",
    annotations=Annotations(audience=["user", "assistant"], priority=0.3),
)


def make_handlers(service: Service) -> Mapping[str, Any]:
    """The handlers of a running service, as arguments of a low-level MCP server."""

    async def read(_: ServerRequestContext[Any, Any], params: ReadResourceRequestParams) -> ReadResourceResult:
        match params.uri:
            case STATUS.uri:
                return _make_contents(STATUS, (await service.health()).model_dump(mode="json"), CacheHint())
            case MODELS.uri:
                return _make_contents(MODELS, _list_models(service.settings.model), FIVE_MINUTES)
            case uri:
                message = f"There is no resource {uri}; there are {STATUS.uri} and {MODELS.uri}."
                raise MCPError(INVALID_PARAMS, message, {"uri": uri})

    return {
        "on_list_prompts": _list_prompts,
        "on_get_prompt": _get_prompt,
        "on_list_resources": _list_resources,
        "on_list_resource_templates": _list_templates,
        "on_read_resource": read,
        "on_completion": _complete,
    }


async def _list_prompts(_: object, __: PaginatedRequestParams | None) -> ListPromptsResult:
    return ListPromptsResult(prompts=[SECOND_OPINION])


async def _list_resources(_: object, __: PaginatedRequestParams | None) -> ListResourcesResult:
    return ListResourcesResult(resources=[STATUS, MODELS])


async def _list_templates(_: object, __: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
    """None, but clients that see resources ask, and would report an error."""
    return ListResourceTemplatesResult(resource_templates=[])


async def _get_prompt(_: object, params: GetPromptRequestParams) -> GetPromptResult:
    given = params.arguments or {}
    if params.name != SECOND_OPINION.name:
        raise MCPError(INVALID_PARAMS, f"There is no prompt {params.name!r}; there is `{SECOND_OPINION.name}`.")
    if unknown := given.keys() - {"about", "model"}:
        raise MCPError(INVALID_PARAMS, f"{min(unknown)}: there is no such argument, only `about` and `model`.")
    text = _write_second_opinion(given.get("about", "").strip(), given.get("model", "").strip())
    message = PromptMessage(role="user", content=TextContent(type="text", text=text))
    return GetPromptResult(description=SECOND_OPINION.description, messages=[message])


def _write_second_opinion(about: str, model: str) -> str:
    matter = f"this:\n\n{about}\n\n" if about else "the answer or plan that this conversation came to last. "
    asked = f" with model={json.dumps(model)}" if model else ""
    return (
        f"Get a second opinion on {matter}Call the tool `ask_claude`{asked}, once. Claude sees nothing of this "
        "conversation, so its `prompt` must hold all that is needed to judge: the question, the facts, the code or "
        "text itself. Ask openly, and do not say which answer you expect. Then tell me, in a few sentences, where "
        "Claude agrees with you, where not, and what you now hold to be right, and why."
    )


async def _complete(_: object, params: CompleteRequestParams) -> CompleteResult:
    known = params.ref == PromptReference(name=SECOND_OPINION.name) and params.argument.name == "model"
    names = [*ALIASES, *ALIASES.values()] if known else []
    found = [name for name in names if name.startswith(params.argument.value)]
    return CompleteResult(completion=Completion(values=found, total=len(found), has_more=False))


def _list_models(default: str) -> dict[str, Any]:
    return {
        "default": default,
        "models": [{"name": name, "answers": model} for name, model in ALIASES.items()],
        "also": "Any full model id that the subscription may use.",
        "older_names": dict(SEED_NAMES),
    }


def _make_contents(resource: Resource, value: dict[str, Any], hint: CacheHint) -> ReadResourceResult:
    text = json.dumps(value, ensure_ascii=False)
    contents = TextResourceContents(uri=resource.uri, mime_type=resource.mime_type, text=text)
    return ReadResourceResult(contents=[contents], ttl_ms=hint.ttl_ms, cache_scope=hint.scope)
