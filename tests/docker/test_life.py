"""How the container starts, fails, stops and comes back."""

import time
from functools import partial

import anyio

from claude_max_mcp.background import beside
from tests.docker.stack import SERVER, Stack


async def test_a_restart_keeps_the_login_the_token_and_the_conversations(stack: Stack) -> None:
    first = await stack.ask(prompt="hello")
    token = await stack.token()
    await stack.run("docker", "compose", "restart")
    await stack.up()
    assert await stack.token() == token
    second = await stack.ask(prompt="and again", session_id=first.session_id)
    assert second.success and second.session_id == first.session_id
    assert second.billed_to == "subscription"


async def test_it_stops_in_order_although_a_request_is_running(stack: Stack) -> None:
    since = time.time()

    async def ask() -> None:
        async with stack.http(await stack.token()) as http:
            reply = await http.post("/claude", json={"prompt": "Never answer."})
            assert reply.json()["error"]["code"] == "cancelled"

    async with beside(ask):
        await _running(stack, 1)
        await stack.run("docker", "compose", "stop", "claude-api")
    state = (await stack.inspect())["State"]
    assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 0, False)
    signals = await stack.run(
        *("docker", "events", "--since", f"{since:.6f}", "--until", f"{time.time():.6f}"),
        *("--filter", f"container={stack.container}", "--filter", "event=kill"),
        *("--format", "{{.Actor.Attributes.signal}}"),
    )
    assert signals.split() == ["15"]


async def _running(stack: Stack, count: int) -> None:
    """Wait until so many requests run."""
    with anyio.fail_after(30):
        async with stack.http(await stack.token()) as http:
            while (await http.get("/health")).json()["in_flight"] != count:
                pass


async def test_a_server_that_hangs_is_unhealthy_until_it_goes_on(stack: Stack) -> None:
    signal = partial(stack.inside, "sh", "-c")
    since = time.time()
    await signal(f"{SERVER}; kill -STOP $pid")
    try:
        await stack.becomes("unhealthy", since)
    finally:
        since = time.time()
        await signal(f"{SERVER}; kill -CONT $pid")
    await stack.becomes("healthy", since)


async def test_a_server_that_dies_is_started_again(stack: Stack) -> None:
    since = time.time()
    await stack.attempt("docker", "exec", stack.container, "sh", "-c", f"{SERVER}; kill -KILL $pid")
    await stack.becomes("healthy", since)
    assert (await stack.inspect())["RestartCount"] == 1
    assert (await stack.ask(prompt="hello")).success
