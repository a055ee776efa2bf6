"""The MCP server: the tools `ask_claude` and `health`, and what `resources` adds.

In: a `Service`. Out: a low-level MCP server that any transport can run. It turns arguments into requests, events
into progress messages and results into tool results; what is behind the service it does not know.
"""

from base64 import b64encode
from functools import partial
from importlib.metadata import version
from typing import Any, TypeAlias

from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    Icon,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import BaseModel

from claude_max_mcp.errors import ClaudeMaxError, InvalidRequest
from claude_max_mcp.front.progress import reporting
from claude_max_mcp.front.request import Caller, answer_unless_gone, find_disconnect, identify_caller
from claude_max_mcp.front.resources import CACHE_HINTS, make_handlers
from claude_max_mcp.front.tool_schema import simplify_schema
from claude_max_mcp.results import AskResult, ErrorInfo, Health
from claude_max_mcp.service.service import Keeper, Service
from claude_max_mcp.wire import WANTS_SESSION, AskRequest, parse_request

Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]

DESCRIPTION = "Ask Claude through the owner's own Claude subscription, answered by the official claude CLI."

INSTRUCTIONS = """\
Use `ask_claude` for a second opinion, for a task that suits another Claude model, or to hand over work whose details \
need not fill this conversation. Claude sees nothing of this conversation: put the question and everything that it \
needs into `prompt`. To go on with an answer, send its `session_id` with the next `prompt`. An answer can take \
minutes. When a result has an `error`, its `message` says what to do; `retryable` false means that asking again will \
not help. The owner's Claude subscription pays, and its usage is limited: `health` says how much is used, and spends \
nothing itself."""

_DRAWING = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'><rect width='24' height='24' rx='6' fill='#b3543a'/>"
    "<path d='M6 6h12v8h-6l-4 4v-4H6z' fill='#fff'/></svg>"
)
ICON = Icon(
    src="data:image/svg+xml;base64," + b64encode(_DRAWING.encode()).decode(), mime_type="image/svg+xml", sizes=["any"]
)

ASK_CLAUDE = Tool(
    name="ask_claude",
    title="Ask Claude",
    icons=[ICON],
    description=(
        "Ask another Claude one question and wait for the answer: a second opinion, a review, a text, a translation, "
        "an analysis of an image. It knows nothing but what you send, and acts on nothing: it has no tools and no "
        'files, unless you give `tools` or `workspace="read"`. `prompt` is all that most questions need; `messages` '
        "takes a whole conversation as in the Anthropic Messages API. Exactly one of the two is needed. The answer is "
        "`response`; to go on with it, send its `session_id` with your next `prompt`. Expect seconds to minutes. A "
        "failure is a result with `error`: its `message` says what to do next."
    ),
    input_schema=simplify_schema(AskRequest.model_json_schema()),
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
    icons=[ICON],
    description=(
        "How the service is: the CLI, the login (configured or proven), who pays, how much of the subscription's "
        "usage limits is used and when they reset, the queue. Call it when `ask_claude` fails, or before a lot of "
        "work. Answers at once and spends nothing unless `probe` is true."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "probe": {
                "type": "boolean",
                "default": False,
                "description": "true: also prove the login, by asking the smallest model for one word.",
            }
        },
        "additionalProperties": False,
    },
    output_schema=Health.model_json_schema(),
    annotations=ToolAnnotations(
        title="Health", read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    ),
)


def make_mcp_server(service: Service) -> Server[dict[str, Any]]:
    """The MCP server of a running service."""

    async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[ASK_CLAUDE, HEALTH])

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        arguments = params.arguments or {}
        match params.name:
            case "ask_claude":
                return _as_tool_result(await _ask(service, context, arguments))
            case "health":
                return await _report_health(service, arguments)
            case name:
                return _refuse(f"There is no tool {name!r}; there are `ask_claude` and `health`.")

    return Server(
        "claude-max",
        title="Claude Max",
        version=version("claude-max-mcp"),
        description=DESCRIPTION,
        instructions=INSTRUCTIONS,
        icons=[ICON],
        cache_hints=CACHE_HINTS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=_find_no_schema,
        **make_handlers(service),
    )


def _find_no_schema(name: str) -> None:
    """What the SDK looks through for arguments that are repeated in `Mcp-Param-…` headers: no tool here has any.

    Without this it would list the tools, and walk through their schemas, before each call.
    """


async def _ask(service: Service, context: Context, arguments: dict[str, Any]) -> AskResult:
    try:
        request = parse_request(arguments)
    except ClaudeMaxError as error:
        return AskResult.from_error(error)
    ask = partial(service.ask, request, keeper=_choose_keeper(request, context), caller=_identify(context))

    async def ask_and_report() -> AskResult:
        async with reporting(context.session.report_progress, request.stream) as progress:
            return await ask(progress.add)

    reports = (context.meta or {}).get("progress_token") is not None  # 0 is a token, and some clients' first
    return await answer_unless_gone(ask_and_report if reports else ask, find_disconnect(context.request))


def _choose_keeper(request: AskRequest, context: Context) -> Keeper:
    """A program that sends the whole conversation, and takes events, needs nothing remembered unless it says so."""
    if (context.meta or {}).get(WANTS_SESSION):
        return "session"
    whole = request.session_id is None and request.messages is not None and request.stream == "events"
    return "caller" if whole else "session"


def _identify(context: Context) -> Caller:
    client = context.session.client_params
    return identify_caller(context.request, client.client_info.name if client else None)


async def _report_health(service: Service, arguments: dict[str, Any]) -> CallToolResult:
    if unknown := arguments.keys() - {"probe"}:
        return _refuse(f"{min(unknown)}: there is no such argument, only `probe`.")
    if not isinstance(probe := arguments.get("probe", False), bool):
        return _refuse("probe: true or false is needed.")
    return _as_tool_result(await service.health(probe=probe))


def _refuse(message: str) -> CallToolResult:
    """A refusal where there is no output schema to answer by."""
    error = {"error": ErrorInfo.from_error(InvalidRequest(message)).model_dump(mode="json")}
    return CallToolResult(content=[TextContent(type="text", text=message)], structured_content=error, is_error=True)


def _as_tool_result(result: BaseModel) -> CallToolResult:
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
