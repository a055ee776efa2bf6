"""The MCP server: the tools `ask_claude` and `health`.

In: a `Service`. Out: a low-level MCP server that any transport can run. It turns arguments into requests, events
into progress messages and results into tool results; what is behind the service it does not know.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, TypeAlias

import anyio
from mcp.server import CacheHint, Server
from mcp.server.context import ServerRequestContext
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import BaseModel

from claude_max_mcp.beside import beside
from claude_max_mcp.disconnects import gone
from claude_max_mcp.errors import ClaudeMaxError, ServiceError, invalid
from claude_max_mcp.progress import reporting
from claude_max_mcp.service import Service
from claude_max_mcp.wire import AskRequest, AskResult, ErrorInfo, Health, parse_request

Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]

INSTRUCTIONS = """\
Ask Claude with `ask_claude`: give `prompt`, and `model` (sonnet, opus or haiku) if it matters. The answer is paid \
for by the owner's own Claude subscription. `health` says whether the service works and how much of the \
subscription's limits is used; it spends nothing."""

ASK_CLAUDE = Tool(
    name="ask_claude",
    title="Ask Claude",
    description=(
        "Ask Claude one question and get the answer. Give `prompt` for plain text, or `messages` as in the "
        "Anthropic Messages API. The text arrives piece by piece as progress messages, then whole as the result. "
        "A failure is a result with `error`: its `message` says what to do next."
    ),
    input_schema=AskRequest.model_json_schema(),
    output_schema=AskResult.model_json_schema(),
    annotations=ToolAnnotations(
        title="Ask Claude",
        read_only_hint=False,
        destructive_hint=False,
        idempotent_hint=False,
        open_world_hint=True,
    ),
)

HEALTH = Tool(
    name="health",
    title="Health",
    description=(
        "How the service is: the CLI, the login (configured or proven), who pays, the usage limits, the queue. "
        "Spends nothing unless `probe` is true, which asks the smallest model for one word."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "probe": {
                "type": "boolean",
                "default": False,
                "description": "Prove the login by asking one word.",
            }
        },
        "additionalProperties": False,
    },
    output_schema=Health.model_json_schema(),
    annotations=ToolAnnotations(title="Health", read_only_hint=True, idempotent_hint=True, open_world_hint=False),
)


def mcp_server(service: Service) -> Server[dict[str, Any]]:
    """The MCP server of a running service."""

    async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[ASK_CLAUDE, HEALTH])

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        arguments = params.arguments or {}
        match params.name:
            case "ask_claude":
                return _tool_result(await _ask(service, context, arguments))
            case "health":
                return await _health(service, arguments)
            case name:
                return _refused(f"There is no tool {name!r}; there are `ask_claude` and `health`.")

    return Server(
        "claude-max",
        title="Claude Max",
        version=version("claude-max-mcp"),
        instructions=INSTRUCTIONS,
        cache_hints={"tools/list": CacheHint(ttl_ms=300_000, scope="private")},
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def _ask(service: Service, context: Context, arguments: dict[str, Any]) -> AskResult:
    try:
        request = parse_request(arguments)
    except ClaudeMaxError as error:
        return AskResult.failure(error)
    result = _abandoned()
    async with _until_gone(context):
        if (context.meta or {}).get("progress_token") is None:  # 0 is a token, and some clients' first
            result = await service.ask(request, remember=True, caller=_caller(context))
        else:
            async with reporting(context.session.report_progress, request.stream) as progress:
                result = await service.ask(request, progress.add, remember=True, caller=_caller(context))
    return result


Caller: TypeAlias = tuple[str | None, ...]


def caller_of(request: Any, program: str | None = None) -> Caller:
    """Who asks, as far as turns go: an address, and a program by its own word, in MCP (`program`) and in HTTP.

    That keeps a busy program from holding up another one. It is no protection from one that lies, and needs none: all
    who are let in are the owner's.
    """
    if request is None:
        return (program,)
    return (request.client.host if request.client else None, program, request.headers.get("user-agent"))


def _caller(context: Context) -> Caller:
    client = context.session.client_params
    return caller_of(context.request, client.client_info.name if client else None)


async def _health(service: Service, arguments: dict[str, Any]) -> CallToolResult:
    if unknown := arguments.keys() - {"probe"}:
        return _refused(f"{min(unknown)}: there is no such argument, only `probe`.")
    if not isinstance(probe := arguments.get("probe", False), bool):
        return _refused("probe: true or false is needed.")
    return _tool_result(await service.health(probe=probe))


@asynccontextmanager
async def _until_gone(context: Context) -> AsyncGenerator[None]:
    """Cancel the block when the HTTP client has closed the connection; older protocols do not do that themselves."""
    event = gone(context.request)
    if event is None:
        yield
        return
    with anyio.CancelScope() as scope:

        async def watch() -> None:
            await event.wait()
            scope.cancel()

        async with beside(watch):
            yield


def _refused(message: str) -> CallToolResult:
    """A refusal where there is no output schema to answer by."""
    error = {"error": ErrorInfo.of(invalid(message)).model_dump(mode="json")}
    return CallToolResult(content=[TextContent(type="text", text=message)], structured_content=error, is_error=True)


def _abandoned() -> AskResult:
    error = ServiceError("cancelled", "The caller closed the connection, so the request was cancelled.")
    return AskResult.failure(error)


def _tool_result(result: BaseModel) -> CallToolResult:
    match result:
        case AskResult(error=ErrorInfo(message=text)):
            failed = True
        case AskResult(response=text):
            failed = False
        case Health(status=status, message=message):
            text, failed = f"{status}: {message}", False
        case _:
            raise TypeError(f"no tool answers with {type(result).__name__}")
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=result.model_dump(mode="json"),
        is_error=failed,
    )
