"""The tools, resources and prompts that the conformance suite wants to find, on a low-level MCP server.

Each scenario of the suite describes its fixture; this is all of them, as tables. Nothing of it is ever served to
anybody but the suite.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, get_args

import anyio
from mcp.server import CacheHint, Server
from mcp.server.caching import CacheableMethod
from mcp.server.context import ServerRequestContext
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.subscriptions import PromptsListChanged, ToolsListChanged
from mcp_types import (
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolRequestParams,
    CallToolResult,
    ContentBlock,
    CreateMessageResult,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    ListToolsResult,
    LoggingMessageNotification,
    LoggingMessageNotificationParams,
    SetLevelRequestParams,
    TextContent,
    TextResourceContents,
    Tool,
)

from tests.conformance import interviews, reading
from tests.conformance.pieces import PNG, SILENCE
from tests.house import MODERN

Json: TypeAlias = dict[str, Any]
Context: TypeAlias = ServerRequestContext[Any, Any]
Answer: TypeAlias = CallToolResult | InputRequiredResult
Call: TypeAlias = Callable[[Context, CallToolRequestParams], Awaitable[Answer]]

PAUSE = 0.05
"""Seconds between two messages of a tool, as the suite has them."""

LOG_LEVEL = "io.modelcontextprotocol/logLevel"

bus = InMemorySubscriptionBus()


def text(said: str) -> TextContent:
    """A block of text."""
    return TextContent(type="text", text=said)


def embedded(uri: str, mime_type: str, content: str) -> EmbeddedResource:
    """A block that is a resource."""
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=content))


_IMAGE = ImageContent(type="image", data=PNG, mime_type="image/png")
_MIXED = json.dumps({"test": "data", "value": 123})

CONTENT: Mapping[str, list[ContentBlock]] = {
    "test_simple_text": [text("This is a simple text response for testing.")],
    "test_image_content": [_IMAGE],
    "test_audio_content": [AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")],
    "test_embedded_resource": [
        embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    ],
    "test_multiple_content_types": [
        text("Multiple content types test:"),
        _IMAGE,
        embedded("test://mixed-content-resource", "application/json", _MIXED),
    ],
    "json_schema_2020_12_tool": [text("The schema is what counts.")],
    "test_region_header": [text("The header is what counts.")],
}
"""Tools that always say the same."""


async def _logs(context: Context, said: str) -> None:
    """Log; in the modern protocol only for a request that wants it."""
    if context.protocol_version == MODERN and LOG_LEVEL not in (context.meta or {}):
        return
    params = LoggingMessageNotificationParams(level="info", data=said)
    await context.session.send_notification(LoggingMessageNotification(params=params), context.request_id)


async def _logging(context: Context, _: CallToolRequestParams) -> Answer:
    await _logs(context, "Tool execution started")
    await anyio.sleep(PAUSE)
    await _logs(context, "Tool processing data")
    await anyio.sleep(PAUSE)
    await _logs(context, "Tool execution completed")
    return CallToolResult(content=[text("logged")])


async def _progress(context: Context, _: CallToolRequestParams) -> Answer:
    for done in (0, 50, 100):
        await context.session.report_progress(done, 100)
        await anyio.sleep(PAUSE)
    return CallToolResult(content=[text("done")])


async def _fails(_: Context, __: CallToolRequestParams) -> Answer:
    return CallToolResult(content=[text("This tool intentionally returns an error for testing")], is_error=True)


async def _samples(context: Context, params: CallToolRequestParams) -> Answer:
    asked = interviews.sample((params.arguments or {})["prompt"])
    result = await context.session.send_request(asked, CreateMessageResult, metadata=_of(context))
    said = result.content.text if isinstance(result.content, TextContent) else result.content.type
    return CallToolResult(content=[text(f"LLM response: {said}")])


def _elicits(schema: Json) -> Call:
    async def call(context: Context, params: CallToolRequestParams) -> Answer:
        asked = interviews.form((params.arguments or {}).get("message", "Please fill this in"))
        asked.params = asked.params.model_copy(update={"requested_schema": schema})
        result = await context.session.send_request(asked, ElicitResult, metadata=_of(context))
        answer = f"action={result.action}, content={json.dumps(result.content)}"
        return CallToolResult(content=[text(f"Elicitation completed: {answer}")])

    return call


def _of(context: Context) -> ServerMessageMetadata:
    return ServerMessageMetadata(related_request_id=context.request_id)


async def _needs_sampling(context: Context, _: CallToolRequestParams) -> Answer:
    able = context.session.client_capabilities
    if able is None or able.sampling is None:
        needed: Json = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "The client cannot sample.", needed)
    return CallToolResult(content=[text("The client can sample.")])


def _publishes(event: ToolsListChanged | PromptsListChanged) -> Call:
    async def call(_: Context, __: CallToolRequestParams) -> Answer:
        await bus.publish(event)
        return CallToolResult(content=[text("published")])

    return call


CALLS: Mapping[str, Call] = {
    "test_tool_with_logging": _logging,
    "test_logging_tool": _logging,
    "test_tool_with_progress": _progress,
    "test_error_handling": _fails,
    "test_sampling": _samples,
    "test_elicitation": _elicits(reading.schema("elicitation")),
    "test_elicitation_sep1034_defaults": _elicits(reading.schema("defaults")),
    "test_elicitation_sep1330_enums": _elicits(reading.schema("enums")),
    "test_missing_capability": _needs_sampling,
    "test_trigger_tool_change": _publishes(ToolsListChanged()),
    "test_trigger_prompt_change": _publishes(PromptsListChanged()),
}
"""Tools that do something."""

ARGUMENTS: Mapping[str, Json] = {
    "json_schema_2020_12_tool": reading.schema("json_schema_2020_12"),
    "test_sampling": {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]},
    "test_elicitation": {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]},
    "test_region_header": {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    },
}
"""The input schemas of those that take something."""

TOOLS = [
    Tool(name=name, description=f"Fixture {name}.", input_schema=ARGUMENTS.get(name, {"type": "object"}))
    for name in sorted({*CONTENT, *CALLS, *interviews.BY_TOOL})
]


async def _list_tools(_: Context, __: Any) -> ListToolsResult:
    return ListToolsResult(tools=TOOLS)


async def _call_tool(context: Context, params: CallToolRequestParams) -> Answer:
    if params.name in CONTENT:
        return CallToolResult(content=CONTENT[params.name])
    if (interview := interviews.BY_TOOL.get(params.name)) is not None:
        asked = interview.next(params, context.session.client_capabilities)
        return asked or CallToolResult(content=[text(f"state-ok, answered: {sorted(params.input_responses or {})}")])
    if (call := CALLS.get(params.name)) is None:
        raise MCPError(INVALID_PARAMS, f"There is no tool {params.name!r}.")
    return await call(context, params)


async def _set_level(_: Context, __: SetLevelRequestParams) -> EmptyResult:
    return EmptyResult()


def fixture_server() -> Server[Any]:
    """A server with all of it."""
    hints: dict[CacheableMethod, CacheHint] = dict.fromkeys(get_args(CacheableMethod), CacheHint(1000, "private"))
    server: Server[Any] = Server(
        "fixtures",
        version="1",
        cache_hints=hints,
        get_tool_input_schema=ARGUMENTS.get,
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
        on_subscriptions_listen=ListenHandler(bus),
        **reading.HANDLERS,
    )
    # Not `on_set_logging_level`, which warns: the suite tests a method that the newest protocol no longer has.
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, _set_level)
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience="fixtures"))
    return server
