"""Stream events: they reach Anthropic's SDK as the server wrote them."""

import json

import pytest
from anthropic import APIConnectionError
from anthropic.types import MessageParam
from anyio import to_thread
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelConnectionError

from pydantic_ai_claude_max import ClaudeMaxProvider

from .scripted_server import Asked, Json, ScriptedServer, begin, events, message, success

QUESTION: list[MessageParam] = [{"role": "user", "content": "Hi"}]

WRITTEN = {
    "the type first": '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"H"}}',
    "the type last": '{"index":0,"delta":{"text":"H","type":"text_delta"},"type":"content_block_delta"}',
    "another type within": '{"delta":{"type":"ping"},"index":0,"type":"content_block_delta"}',
    "a type in a text": '{"delta":{"text":"{\\"type\\":\\"error\\"}"},"type":"content_block_delta"}',
    "spaces": '{ "type" : "content_block_delta" , "index" : 0 }',
    "characters that end a line elsewhere": '{"type":"content_block_delta","text":"a\u2028b\u0085c"}',
    "other scripts": '{"type":"content_block_delta","text":"日本語 🙂"}',
    "half a surrogate pair": '{"type":"content_block_delta","text":"\\ud83d"}',
    "numbers as they are written": '{"type":"content_block_delta","n":[1.0,1e400,10000000000000000000000,-0]}',
    "a key twice": '{"type":"ping","type":"content_block_delta"}',
}


async def read_body(server: ScriptedServer, *pieces: str) -> str:
    """The body of a streamed response whose first event is a `message_start` and whose further ones are `pieces`."""
    start, *_ = events(message())

    async def write(asked: Asked) -> Json:
        await asked.emit(start, *pieces)
        return success(message())

    server.script = write
    create = ClaudeMaxProvider(server.url).client.messages.with_streaming_response.create
    async with create(model="sonnet", max_tokens=1, messages=QUESTION, stream=True) as response:
        return (await response.read()).decode()


@pytest.mark.parametrize("piece", WRITTEN.values(), ids=WRITTEN.keys())
async def test_an_event_is_passed_on_as_it_was_written(server: ScriptedServer, piece: str) -> None:
    body = await read_body(server, piece)
    assert body.partition("\n\n")[2] == f"event: content_block_delta\ndata: {piece}\n\n"


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\n\n"])
async def test_line_breaks_between_tokens_do_not_end_an_event(server: ScriptedServer, line_break: str) -> None:
    event = {"type": "content_block_delta", "delta": {"text": "one\ntwo"}}
    body = await read_body(server, json.dumps(event, indent=1).replace("\n", line_break))
    name, data = body.partition("\n\n")[2].removesuffix("\n\n").split("\n")
    assert name == "event: content_block_delta"
    assert json.loads(data.removeprefix("data: ")) == event


@pytest.mark.parametrize("kind", ["ping", "retry", "error"])
async def test_an_event_that_the_result_says_better_is_left_out(server: ScriptedServer, kind: str) -> None:
    body = await read_body(server, json.dumps({"type": kind}))
    assert body.count("event: ") == 1


@pytest.mark.parametrize("piece", ["{", "[]", "null", '{"no":"type"}', '{"type":1}', '{"type":"x\\ndata: y"}'])
async def test_a_piece_that_is_no_event_is_a_lost_answer(server: ScriptedServer, piece: str) -> None:
    with pytest.raises(APIConnectionError, match="other than events"):
        await read_body(server, piece)


async def test_a_server_that_sends_no_events_first_is_lost_and_stopped(agent: Agent, server: ScriptedServer) -> None:
    async def chat(asked: Asked) -> Json:
        await asked.emit("Hello")
        return await begin(asked)

    server.script = chat
    with pytest.raises(ModelConnectionError, match="other than events"):
        await agent.run("Hi")
    assert await to_thread.run_sync(server.cancelled.wait, 5)


async def test_a_message_without_its_events_is_a_lost_answer(agent: Agent, server: ScriptedServer) -> None:
    async def keep_quiet(asked: Asked) -> Json:
        return success(message())

    server.script = keep_quiet
    with pytest.raises(ModelConnectionError, match="not its events"):
        await agent.run("Hi")
