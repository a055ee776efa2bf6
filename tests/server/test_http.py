"""HTTP for people and scripts: a page, JSON, and real status codes."""

from functools import partial
from importlib.metadata import version
from typing import Any

import anyio
import pytest
from dirty_equals import IsFloat, IsInt, IsPartialDict, IsStr

from claude_max_mcp import standin as api
from claude_max_mcp.background import beside
from claude_max_mcp.standin import Failure, Reply, Text
from tests.house import House, serving


async def post(house: House, arguments: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
    async with house.http() as http:
        reply = await http.post("/claude", json=arguments)
    return reply.status_code, reply.json(), dict(reply.headers)


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
async def test_a_program_gets_the_index_as_json(house: House, accept: str) -> None:
    async with house.http() as http:
        reply = await http.get("/", headers={"accept": accept})
    assert reply.headers["content-type"] == "application/json"
    index = reply.json()
    assert (index["name"], index["version"]) == ("claude-max", version("claude-max-mcp"))
    assert index["endpoints"].keys() >= {"/", "/mcp", "/health", "/claude"}


async def test_health_has_the_five_fields_of_the_seed_and_all_others(house: House) -> None:
    async with house.http() as http:
        reply = await http.get("/health")
    assert reply.status_code == 200
    assert reply.json() == {
        "status": "healthy",
        "cause": None,
        "claude_cli": "available",
        "workspace_root": None,
        "purpose": "Max subscription integration via MCP",
        "message": "Service ready",
        "cli_version": IsStr(regex=r"\d+\.\d+\.\d+"),
        "auth": IsPartialDict({"method": IsStr(), "configured": True}),
        "billed_to": "subscription",
        "rate_limit": reply.json()["rate_limit"],
        "pool": {"size": IsInt(), "warm": IsInt(), "starting": IsInt(), "leased": IsInt(), "kept": IsInt()},
        "in_flight": 0,
        "queued": 0,
        "last_error": reply.json()["last_error"],
        "storage_problem": None,
        "uptime": IsFloat(gt=0),
    }


async def test_health_asks_claude_only_when_told_to(house: House) -> None:
    async with house.http() as http:
        await http.get("/health")
        await http.get("/health?probe=0")
        assert house.standin.requests == []
        reply = await http.get("/health?probe=1")
    assert reply.json()["auth"]["state"] == "proven"
    assert len(house.standin.requests) == 1


async def test_a_server_without_a_cli_is_unhealthy_and_says_what_to_do() -> None:
    async with serving(cli_path="/nonexistent/claude") as house, house.http() as http:
        health = await http.get("/health")
        answer = await http.post("/claude", json={"prompt": "hello"})
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert health.json()["claude_cli"] == "unavailable"
    assert "/nonexistent/claude" in health.json()["message"]
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "cli_missing")


async def test_a_prompt_is_answered(house: House) -> None:
    house.standin.enqueue(Reply(content=(Text("Paris."),)))
    status, body, _ = await post(house, {"prompt": "The capital of France?", "model": "haiku", "timeout": 60})
    assert (status, body) == (200, {"response": "Paris.", "model": "claude-haiku-5-5", "success": True})
    assert house.standin.requests[0].last_text == "The capital of France?"


async def test_a_system_prompt_may_be_given(house: House) -> None:
    status, *_ = await post(house, {"prompt": "hello", "system": "Be terse."})
    assert status == 200
    assert house.standin.requests[0].body["system"][-1]["text"] == "Be terse."


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (api.authentication_failed(), 401, "auth_expired"),
        (api.credit_too_low(), 402, "api_key_billing"),
        (api.invalid_request(), 400, "invalid_request"),
        (api.overloaded(), 529, "overloaded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_failure_has_the_status_that_says_so(house: House, failure: Failure, status: int, code: str) -> None:
    house.standin.script(lambda request: failure)
    answered, body, headers = await post(house, {"prompt": "hello"})
    assert (answered, body["error"]["code"], body["error"]["status"]) == (status, code, status)
    assert (body["success"], body["response"], body["model"]) == (False, "", None)
    assert body["error"]["message"]
    assert "retry-after" not in headers


async def test_a_usage_limit_says_when_to_come_back(house: House) -> None:
    house.standin.enqueue(api.usage_limit(resets_in=1800))
    status, body, headers = await post(house, {"prompt": "hello"})
    assert (status, body["error"]["code"]) == (429, "usage_limit")
    assert 1700 < int(headers["retry-after"]) <= 1800


async def test_a_timeout_is_a_gateway_timeout(house: House) -> None:
    house.standin.script(lambda request: Reply(hold=anyio.Event()))
    status, body, _ = await post(house, {"prompt": "hello", "timeout": 0.3})
    assert (status, body["error"]["code"]) == (504, "timeout")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ('"hello"', "object"),
        ("[]", "object"),
        ("null", "object"),
        ("{}", "prompt"),
        ('{"prompt": "a", "temperature": 1}', "prompt"),
        ('{"prompt": "a", "tools": []}', "prompt"),
        ('{"prompt": 7}', "prompt"),
        ('{"prompt": ""}', "empty"),
        ('{"prompt": "a", "timeout": -1}', "timeout"),
        ('{"prompt": "a", "timeout": NaN}', "column 28"),
        ('{"prompt": "a", "model": "two words"}', "model"),
        ('{"prompt": "\\ud800"}', "JSON"),
        ('{"prompt": "\\u0000"}', "NUL"),
        ("[" * 100_000, "JSON"),
    ],
    ids=lambda value: value[:40] or "nothing",
)
async def test_what_cannot_be_asked_is_refused_and_nothing_is_sent(house: House, body: str, says: str) -> None:
    async with house.http() as http:
        reply = await http.post("/claude", content=body, headers={"content-type": "application/json"})
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (400, "invalid_request")
    assert says in error["message"]
    assert house.standin.requests == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/claude", 405),
        ("POST", "/health", 405),
        ("POST", "/", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/../etc/passwd", 404),
        ("HEAD", "/health", 200),
    ],
)
async def test_other_methods_and_paths_have_their_usual_status(
    house: House, method: str, path: str, status: int
) -> None:
    async with house.http() as http:
        reply = await http.request(method, path, headers={"content-type": "application/json"})
    assert reply.status_code == status


async def test_closing_the_connection_ends_the_request_upstream(house: House) -> None:
    house.standin.script(lambda request: Reply(hold=anyio.Event()))
    with anyio.fail_after(60):
        async with beside(partial(post, house, {"prompt": "hello"})):
            upstream = await house.standin.wait_for_request()
        await upstream.closed_early.wait()
        house.standin.reset()
        status, *_ = await post(house, {"prompt": "and on it goes"})
    assert status == 200


async def test_many_at_once_each_get_their_own_answer(house: House) -> None:
    answers: dict[int, str] = {}

    async def ask(number: int) -> None:
        _, body, _ = await post(house, {"prompt": f"number {number}."})
        answers[number] = body["response"]

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(ask, number)
    assert all(answers[number].endswith(f"number {number}.") for number in range(4))
