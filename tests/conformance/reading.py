"""Fixtures that are read: resources, prompts, completion, and the schemas of the tools."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    BlobResourceContents,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    ContentBlock,
    EmbeddedResource,
    EmptyResult,
    GetPromptRequestParams,
    GetPromptResult,
    ImageContent,
    InputRequiredResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    Prompt,
    PromptArgument,
    PromptMessage,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
)

from tests.conformance.interviews import IN_A_PROMPT
from tests.conformance.pieces import PNG

Context: TypeAlias = ServerRequestContext[Any, Any]

_SCHEMAS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("schemas.json").read_text())


def schema(name: str) -> dict[str, Any]:
    """One of the schemas that scenarios ask for."""
    return _SCHEMAS[name]


_TEXTS = {
    "test://static-text": "This is the content of the static text resource.",
    "test://watched-resource": "Watched.",
}
_BINARY = "test://static-binary"
_TEMPLATE = ("test://template/", "/data")

RESOURCES = [
    Resource(name=uri.partition("//")[2], uri=uri, description=f"Fixture {uri}.") for uri in (*_TEXTS, _BINARY)
]
TEMPLATES = [ResourceTemplate(name="template", uri_template="{id}".join(_TEMPLATE), mime_type="application/json")]

PROMPTS: Mapping[str, tuple[str, ...]] = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
    "test_input_required_result_prompt": (),
}
"""Prompts, and what they need."""


async def _list_resources(_: Context, __: Any) -> ListResourcesResult:
    return ListResourcesResult(resources=RESOURCES)


async def _list_templates(_: Context, __: Any) -> ListResourceTemplatesResult:
    return ListResourceTemplatesResult(resource_templates=TEMPLATES)


async def _read(_: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
    uri = params.uri
    before, after = _TEMPLATE
    if uri == _BINARY:
        return ReadResourceResult(contents=[BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG)])
    if uri in _TEXTS:
        return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type="text/plain", text=_TEXTS[uri])])
    if uri.startswith(before) and uri.endswith(after):
        number = uri.removeprefix(before).removesuffix(after)
        filled = json.dumps({"id": number, "templateTest": True, "data": f"Data for ID: {number}"})
        return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type="application/json", text=filled)])
    raise MCPError(INVALID_PARAMS, "Resource not found", {"uri": uri})


async def _list_prompts(_: Context, __: Any) -> ListPromptsResult:
    return ListPromptsResult(
        prompts=[
            Prompt(
                name=name,
                description=f"Fixture {name}.",
                arguments=[PromptArgument(name=argument, required=True) for argument in arguments],
            )
            for name, arguments in PROMPTS.items()
        ]
    )


async def _get_prompt(context: Context, params: GetPromptRequestParams) -> GetPromptResult | InputRequiredResult:
    if params.name not in PROMPTS:
        raise MCPError(INVALID_PARAMS, f"There is no prompt {params.name!r}.")
    if params.name == "test_input_required_result_prompt":
        asked = IN_A_PROMPT.next(params, context.session.client_capabilities)
        return asked or _prompt(TextContent(type="text", text="The context is known."))
    return _prompt(*_contents(params.name, params.arguments or {}))


def _contents(name: str, given: Mapping[str, str]) -> list[ContentBlock]:
    match name:
        case "test_prompt_with_arguments":
            said = f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'"
            return [TextContent(type="text", text=said)]
        case "test_prompt_with_embedded_resource":
            said = "Embedded resource content for testing."
            resource = TextResourceContents(uri=given["resourceUri"], mime_type="text/plain", text=said)
            asked = TextContent(type="text", text="Please process the embedded resource above.")
            return [EmbeddedResource(type="resource", resource=resource), asked]
        case "test_prompt_with_image":
            asked = TextContent(type="text", text="Please analyze the image above.")
            return [ImageContent(type="image", data=PNG, mime_type="image/png"), asked]
        case _:
            return [TextContent(type="text", text="This is a simple prompt for testing.")]


def _prompt(*contents: ContentBlock) -> GetPromptResult:
    return GetPromptResult(messages=[PromptMessage(role="user", content=content) for content in contents])


async def _complete(_: Context, params: CompleteRequestParams) -> CompleteResult:
    values = [word for word in ("paris", "park", "party") if word.startswith(params.argument.value)]
    return CompleteResult(completion=Completion(values=values, total=len(values), has_more=False))


async def _subscribe(_: Context, __: Any) -> EmptyResult:
    return EmptyResult()


HANDLERS: Mapping[str, Any] = {
    "on_list_resources": _list_resources,
    "on_list_resource_templates": _list_templates,
    "on_read_resource": _read,
    "on_subscribe_resource": _subscribe,
    "on_unsubscribe_resource": _subscribe,
    "on_list_prompts": _list_prompts,
    "on_get_prompt": _get_prompt,
    "on_completion": _complete,
}
