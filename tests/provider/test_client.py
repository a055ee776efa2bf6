"""The client by itself: connections, deadlines, errors, and what one request's end does to another's."""

import asyncio

import anyio
import pytest
from anyio import to_thread

from pydantic_ai_claude_max import (
    AnswerLost,
    AnswerTimeout,
    AskFailed,
    ClaudeMaxClient,
    ServerNotRunning,
    TokenRejected,
)

from .scripted_server import Asked, Json, ScriptedServer, failure, greet, message, running, success


async def test_an_answer_is_typed(server: ScriptedServer) -> None:
    async with ClaudeMaxClient(server.url) as client:
        result = await client.ask("Hi", model="opus", max_tokens=100)

    assert (result.response, result.model, result.billed_to) == ("Hello", "claude-sonnet-5-5", "subscription")
    assert server.calls == [{"prompt": "Hi", "model": "opus", "max_tokens": 100}]


async def test_text_arrives_piece_by_piece_before_the_result(server: ScriptedServer) -> None:
    async with ClaudeMaxClient(server.url) as client, client.stream("Hi") as answer:
        pieces = [piece async for piece in answer]
        result = await answer.result()

    assert pieces == list("Hello")
    assert result.response == "Hello"


async def test_one_connection_serves_all_calls_while_it_is_entered(server: ScriptedServer) -> None:
    async with ClaudeMaxClient(server.url) as client:
        await client.ask("one")
        before = server.connections
        await client.ask("two")
        assert server.connections - before == 1  # no listing of tools again


async def test_a_client_that_is_not_entered_asks_all_the_same(server: ScriptedServer) -> None:
    client = ClaudeMaxClient(server.url)
    assert (await client.ask("Hi")).success
    assert (await client.health()).status == "healthy"


async def test_many_calls_run_at_once_on_one_client(server: ScriptedServer) -> None:
    together = 40
    arrived: list[Asked] = []
    everyone = anyio.Event()

    async def meet(asked: Asked) -> Json:
        arrived.append(asked)
        if len(arrived) == together:
            everyone.set()
        await everyone.wait()
        return success(message(asked.arguments["prompt"]))

    server.script = meet
    answers: set[str] = set()

    async def ask(client: ClaudeMaxClient, prompt: str) -> None:
        answers.add((await client.ask(prompt)).response)

    with anyio.fail_after(60):
        async with ClaudeMaxClient(server.url) as client, anyio.create_task_group() as tasks:
            for number in range(together):
                tasks.start_soon(ask, client, f"{number}")

    assert answers == {f"{number}" for number in range(together)}


async def test_a_call_whose_connection_breaks_leaves_the_others_alone(server: ScriptedServer) -> None:
    gate = asyncio.Event()

    async def patient(asked: Asked) -> Json:
        await asked.emit("begun")
        await gate.wait()
        return success(message("still here"))

    server.script = patient
    with anyio.fail_after(60):
        async with ClaudeMaxClient(server.url) as client, client.stream("long") as answer:
            assert await anext(answer) == "begun"
            server.cutting = True
            with pytest.raises(AnswerLost):
                await client.ask("short")
            server.cutting, server.script = False, greet
            assert (await client.ask("short")).response == "Hello"
            server.release(gate)
            assert (await answer.result()).response == "still here"


async def test_leaving_a_stream_early_cancels_the_call_on_the_server(server: ScriptedServer) -> None:
    async def endless(asked: Asked) -> Json:
        await asked.emit("begun")
        await anyio.sleep_forever()
        raise NotImplementedError

    server.script = endless
    async with ClaudeMaxClient(server.url) as client:
        async with client.stream("Hi") as answer:
            assert await anext(answer) == "begun"
        assert await to_thread.run_sync(server.cancelled.wait, 5)
        server.script = greet
        assert (await client.ask("Hi")).success


async def test_silence_beyond_idle_is_a_timeout_and_cancels_the_call(server: ScriptedServer) -> None:
    async def silent(asked: Asked) -> Json:
        await asked.emit("begun")
        await anyio.sleep_forever()
        raise NotImplementedError

    server.script = silent
    async with ClaudeMaxClient(server.url) as client, client.stream("Hi", idle=0.2) as answer:
        with anyio.fail_after(60), pytest.raises(AnswerTimeout, match=r"nothing for 0\.2 s"):
            await answer.result()
    assert await to_thread.run_sync(server.cancelled.wait, 5)


async def test_an_error_of_the_server_carries_its_code_and_what_to_do(server: ScriptedServer) -> None:
    async def limited(asked: Asked) -> Json:
        return failure("usage_limit", "Wait until 17:00.", status=429, retryable=True, retry_after=90)

    server.script = limited
    with pytest.raises(AskFailed, match=r"Wait until 17:00\.") as caught:
        await ClaudeMaxClient(server.url).ask("Hi")
    assert (caught.value.code, caught.value.retryable, caught.value.retry_after) == ("usage_limit", True, 90)


async def test_a_missing_login_says_how_to_log_in(server: ScriptedServer) -> None:
    async def logged_out(asked: Asked) -> Json:
        return failure("not_authenticated", "Nobody is signed in.", status=401)

    server.script = logged_out
    with pytest.raises(AskFailed, match=r"authentication.*claude-max login.*setup-token"):
        await ClaudeMaxClient(server.url).ask("Hi")


async def test_an_absent_server_says_how_to_start_it(nowhere: str) -> None:
    async with ClaudeMaxClient(nowhere) as client:
        for _ in range(2):
            with pytest.raises(ServerNotRunning, match=r"not running.*claude-max serve.*docker compose up -d"):
                await client.ask("Hi")


async def test_a_client_outlives_a_restart_of_the_server() -> None:
    with anyio.fail_after(60):
        with running(ScriptedServer()) as first:
            client = await ClaudeMaxClient(first.url).__aenter__()
            assert (await client.ask("Hi")).success
        with pytest.raises((ServerNotRunning, AnswerLost)):
            await client.ask("Hi")
        with running(ScriptedServer(), port=first.port):
            assert (await client.ask("Hi")).success
        await client.__aexit__(None, None, None)


async def test_a_lost_stream_is_not_asked_again() -> None:
    async def endless(asked: Asked) -> Json:
        await asked.emit("begun")
        await anyio.sleep_forever()
        raise NotImplementedError

    with anyio.fail_after(60), running(ScriptedServer()) as scripted:
        scripted.script = endless
        client = ClaudeMaxClient(scripted.url)
        answer = client.stream("Hi")
        answer.start()
        assert await anext(answer) == "begun"
        await to_thread.run_sync(scripted.stop)
        with pytest.raises(AnswerLost):
            await answer.result()
        with running(ScriptedServer(), port=scripted.port) as second:
            with pytest.raises(AnswerLost):
                await answer.result()
            assert second.calls == []


async def test_a_wrong_token_names_the_variable_to_set(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.token = "right"
    with pytest.raises(TokenRejected, match=r"authentication.*CLAUDE_MAX_TOKEN"):
        await ClaudeMaxClient(server.url, token="wrong").ask("Hi")
    monkeypatch.setenv("CLAUDE_MAX_TOKEN", "right")
    monkeypatch.setenv("CLAUDE_MAX_URL", server.url)
    assert (await ClaudeMaxClient().ask("Hi")).success


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:47291/mcp"):
        ClaudeMaxClient("localhost:47291")
