"""Why a server does not take our calls, found out in one place for the commands and for `doctor`."""

import socket
from typing import Any

import httpx2
import pytest

from claude_max_mcp.errors import ServiceError
from claude_max_mcp.front.door import Door
from claude_max_mcp.front.listener import bind, listening
from claude_max_mcp.terminal.client import fetch_health
from claude_max_mcp.terminal.reachability import NotRunning, find_obstacle, locate
from tests.house import House

TOKEN = "a token that nobody guesses"


async def never(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("the door refuses this")


async def teapot(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def look(url: str, token: str | None = None) -> ServiceError | None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(headers=headers, timeout=5.0, trust_env=False) as http:
        return await find_obstacle(http, url)


async def test_a_server_that_shows_its_index_has_no_obstacle(house: House) -> None:
    assert await look(house.url) is None


async def test_a_server_that_is_not_there_is_known_by_the_class() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    obstacle = await look(f"http://somebody:secret@127.0.0.1:{port}/mcp")
    assert isinstance(obstacle, NotRunning)
    assert obstacle.problem == f"The server is not running at http://127.0.0.1:{port}/mcp."
    assert "claude-max serve" in obstacle.advice


@pytest.mark.parametrize(("shown", "says"), [(None, "none is set here"), ("wrong", "another token than the one")])
async def test_a_door_that_wants_a_token_says_whether_one_was_shown(shown: str | None, says: str) -> None:
    listener = bind("127.0.0.1", 0)
    async with listening(Door(never, token=TOKEN), listener):
        obstacle = await look(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", shown)
    assert obstacle and says in obstacle.problem and "CLAUDE_MAX_TOKEN" in obstacle.advice


async def test_a_server_that_does_not_know_the_name_says_which(house: House) -> None:
    listener = bind("127.0.0.2", 0)
    async with listening(Door(never, token=None), listener):
        obstacle = await look(f"http://127.0.0.2:{listener.getsockname()[1]}/mcp")
    assert obstacle and obstacle.advice == "Start it with CLAUDE_MAX_ALLOWED_HOSTS=127.0.0.2."


async def test_another_server_is_told_by_its_answer() -> None:
    listener = bind("127.0.0.1", 0)
    async with listening(teapot, listener):
        obstacle = await look(url := f"http://127.0.0.1:{listener.getsockname()[1]}/mcp")
    assert obstacle and obstacle.problem == f"Something else answers at {url} (HTTP 418)."


async def test_what_is_no_address_is_said_to_be_none() -> None:
    obstacle = await look("http://127.0.0.1:many/mcp")
    assert obstacle and "is no address" in obstacle.problem


@pytest.mark.parametrize(
    ("url", "index"),
    [
        ("http://here:1/mcp", "http://here:1/"),
        ("http://here:1/below/mcp", "http://here:1/below/"),
        ("http://here:1/elsewhere?a=1", "http://here:1/"),
    ],
)
def test_the_index_is_beside_mcp(url: str, index: str) -> None:
    assert locate(url, "/") == index


async def test_a_call_to_another_path_of_a_server_says_where_its_address_ends(house: House) -> None:
    with pytest.raises(ServiceError) as raised:
        await fetch_health(f"{house.root}/elsewhere", None)
    assert raised.value.advice == "Its address ends with /mcp: see CLAUDE_MAX_URL."
