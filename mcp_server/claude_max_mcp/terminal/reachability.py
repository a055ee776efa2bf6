"""Why a server does not take our calls: for the commands that call it, and for `doctor`.

In: an HTTP client that shows the token, and the address of MCP. Out: the error to report, or None if a server of ours
answers there and lets us in. It asks for the index, which spends nothing.
"""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2

from claude_max_mcp.errors import ServiceError

MCP_PATH = "/mcp"


class NotRunning(ServiceError):
    """Nothing accepts connections at the address."""

    def __init__(self, url: str) -> None:
        problem = f"The server is not running at {hide_user(url)}."
        super().__init__("internal", problem, "Start it with `claude-max serve`; CLAUDE_MAX_URL names another.")


async def find_obstacle(http: httpx2.AsyncClient, url: str) -> ServiceError | None:
    """Why calls to `url` are not taken; None if its index is shown, so that nothing is known to be in the way.

    Args:
        http: asks; its headers hold the token, if there is one.
        url: of MCP.
    """
    shown = hide_user(url)
    try:
        reply = await http.get(locate(url, "/"))
    except httpx2.InvalidURL:
        advice = "Set CLAUDE_MAX_URL to one such as http://127.0.0.1:47291/mcp."
        return ServiceError("internal", f"{shown} is no address.", advice)
    except (httpx2.ConnectError, httpx2.ConnectTimeout):
        return NotRunning(url)
    except httpx2.HTTPError:
        return _blame_another_server(shown, "no answer in HTTP")
    return _explain_reply(reply, shown, has_token="authorization" in http.headers)


def locate(url: str, path: str) -> str:
    """The address of another path of the server whose MCP is at `url`.

    Raises:
        httpx2.InvalidURL: `url` is no address.
    """
    whole = httpx2.URL(url)
    prefix = whole.path.removesuffix(MCP_PATH) if whole.path.endswith(MCP_PATH) else ""
    return str(whole.copy_with(path=prefix + path, query=None))


def hide_user(url: str) -> str:
    """The address without a name and password that may be in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def _explain_reply(reply: httpx2.Response, shown: str, *, has_token: bool) -> ServiceError | None:
    match reply.status_code, _read_json(reply):
        case 200, {"name": "claude-max"}:
            return None
        case 401, {"error": {"code": "unauthorized"}}:
            wanted = "another token than the one set here" if has_token else "a token, and none is set here"
            advice = "Set CLAUDE_MAX_TOKEN or CLAUDE_MAX_TOKEN_FILE to its."
            return ServiceError("internal", f"The server at {shown} wants {wanted}.", advice)
        case 421, {"error": {"code": "wrong_host"}}:
            name = urlsplit(shown).hostname
            advice = f"Start it with CLAUDE_MAX_ALLOWED_HOSTS={name}."
            return ServiceError("internal", f"The server at {shown} does not know itself as {name}.", advice)
        case status, _:
            return _blame_another_server(shown, f"HTTP {status}")


def _blame_another_server(shown: str, reason: str) -> ServiceError:
    advice = "Choose another port with --port or CLAUDE_MAX_PORT, or set CLAUDE_MAX_URL to where the server is."
    return ServiceError("internal", f"Something else answers at {shown} ({reason}).", advice)


def _read_json(reply: httpx2.Response) -> Any:
    try:
        return reply.json()
    except ValueError:
        return None
