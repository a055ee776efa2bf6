"""The page at `/` for people, the same address for programs, and `/connect`, the texts that the page offers to copy.

In: the settings. Out: routes. The page is one file, the same for everybody: it holds no secret and no state, and asks
the other routes for both, with the token that a person gives it. It may run its own script and reach its own server,
and nothing else: the policy names what is in the file by its hash.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from claude_max_mcp.front.connect import Client, Server, find_program, make_recipes
from claude_max_mcp.front.door import wants_page
from claude_max_mcp.settings import Settings

FILE = Path(__file__).with_name("page.html")


def make_page_routes(settings: Settings, endpoints: Mapping[str, str]) -> list[Route]:
    """The routes `/` and `/connect`.

    Args:
        settings: of the server that the page belongs to.
        endpoints: what programs are told that there is.
    """
    return [Route("/", _serve_index(endpoints)), Route("/connect", _serve_connect(settings))]


@cache
def load_page() -> tuple[str, dict[str, str]]:
    """The page, and the headers that confine it."""
    text = FILE.read_text(encoding="utf-8")
    return text, {
        "Content-Security-Policy": _make_policy(text),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        "Vary": "Accept",
    }


def _make_policy(text: str) -> str:
    allowed = {
        "default-src": "'none'",
        "script-src": _hash_elements(text, "script"),
        "style-src": _hash_elements(text, "style"),
        "connect-src": "'self'",
        "img-src": "data:",  # the icon
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",  # nothing can be made HTML of, by mistake either
    }
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


def _hash_elements(text: str, tag: str) -> str:
    inside = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return " ".join(f"'sha256-{b64encode(sha256(part.encode()).digest()).decode()}'" for part in inside)


def _serve_index(endpoints: Mapping[str, str]) -> Callable[[Request], Any]:
    async def answer_index(request: Request) -> Response:
        if wants_page(request.headers):
            text, headers = load_page()
            return HTMLResponse(text, headers=headers)
        said = {"name": "claude-max", "version": version("claude-max-mcp"), "endpoints": endpoints}
        return JSONResponse(said, headers={"Vary": "Accept"})

    return answer_index


def _serve_connect(settings: Settings) -> Callable[[Request], Any]:
    async def answer_connect(request: Request) -> Response:
        url = settings.url or f"{request.base_url}mcp"
        # The token itself stays where it is: what is on a screen is soon in a screenshot.
        server = Server(url, settings.token is not None, None, settings.token_file, find_program())
        made = {client: make_recipes(client, server) for client in get_args(Client)}
        told = {name: [{"where": one.where, "text": one.text} for one in several] for name, several in made.items()}
        return JSONResponse(told)

    return answer_connect
