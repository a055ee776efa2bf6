"""What is served at `/` and `/connect`: one file that is the same for everybody, and texts without the token."""

import json
import re
from base64 import b64encode
from hashlib import sha256

import pytest
from dirty_equals import IsPartialDict

from claude_max_mcp.front.page import FILE
from tests.house import House, serving

TOKEN = "a-token-that-nobody-guesses"
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGE = FILE.read_text(encoding="utf-8")


async def test_a_browser_gets_the_page_and_a_policy_that_names_what_is_in_it(house: House) -> None:
    async with house.http() as http:
        reply = await http.get("/", headers=BROWSER)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert reply.text == PAGE
    policy = dict(rule.split(" ", 1) for rule in reply.headers["content-security-policy"].split("; "))
    for tag in ("script", "style"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", PAGE, re.DOTALL)
        digest = b64encode(sha256(inside.encode()).digest()).decode()
        assert policy.pop(f"{tag}-src") == f"'sha256-{digest}'"
    assert policy == IsPartialDict({"default-src": "'none'", "connect-src": "'self'", "frame-ancestors": "'none'"})
    assert "unsafe" not in reply.headers["content-security-policy"]
    headers = ("x-content-type-options", "referrer-policy", "cache-control", "vary")
    assert [reply.headers[name] for name in headers] == ["nosniff", "no-referrer", "no-store", "Accept"]


def test_the_page_loads_nothing_and_makes_no_markup_of_data() -> None:
    assert re.findall(r"""<(?:link|script|img|iframe)[^>]*\s(?:src|href)=["'](?!data:)""", PAGE) == []
    assert set(re.findall(r"https?://[^\"'\s]+", PAGE)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(
        r"\son\w+=|\sstyle=|innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|localStorage", PAGE
    )


async def test_a_stranger_gets_the_same_page_and_nothing_else_by_it() -> None:
    async with serving(warm=0, token=TOKEN) as house, house.http() as http:
        reply = await http.get("/", headers=BROWSER)
        assert (reply.status_code, reply.text) == (200, PAGE)
        for path in (f"/?token={TOKEN}", "/connect", "/requests", "/claude", "/mcp"):
            assert (await http.get(path, headers=BROWSER)).status_code == 401, path
        assert (await http.get("/", headers={**BROWSER, "authorization": "Bearer wrong"})).status_code == 401
        assert (await http.get("/", headers={"accept": "application/json"})).status_code == 401
        assert (await http.post("/", headers=BROWSER, json={})).status_code == 401
        assert (await http.get("/", headers={**BROWSER, "host": "evil.example"})).status_code == 421


@pytest.mark.parametrize("token", [None, TOKEN], ids=["open", "locked"])
async def test_the_texts_to_connect_with_name_this_server_and_never_hold_the_token(token: str | None) -> None:
    async with serving(warm=0, token=token) as house, house.http() as http:
        reply = await http.get("/connect", headers={"authorization": f"Bearer {TOKEN}"})
        told = reply.json()
    assert list(told) == ["claude-code", "vscode", "cursor", "claude-desktop"]
    assert all(
        recipe.keys() == {"where", "text"} and all(recipe.values()) for client in told.values() for recipe in client
    )
    assert json.loads(told["vscode"][0]["text"])["servers"]["claude-max"]["url"] == house.url
    assert all(house.url in recipe["text"] for client in ("claude-code", "cursor") for recipe in told[client])
    assert ("Authorization" in reply.text) is (token is not None) and TOKEN not in reply.text


async def test_the_texts_have_the_address_that_the_owner_names() -> None:
    async with serving(warm=0, url="https://claude.example/mcp") as house, house.http() as http:
        told = (await http.get("/connect")).json()
    assert "https://claude.example/mcp" in told["claude-code"][0]["text"]
