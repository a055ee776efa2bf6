"""The stand-in behaves as the Messages API does, as far as the CLI looks."""

import json
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest
from dirty_equals import IsStr

from claude_max_mcp import standin as api
from claude_max_mcp.background import beside
from claude_max_mcp.standin import Failure, RedactedThinking, Reply, StandIn, Text, Thinking, ToolUse

Json = dict[str, Any]

ASK: Json = {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
CONTENT = (Thinking("hm", "c2ln"), RedactedThinking(), Text("one two"), ToolUse("look", {"at": 1}))


def client(standin: StandIn) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=standin.url, timeout=10)


async def post(standin: StandIn, **changes: Any) -> httpx2.Response:
    async with client(standin) as http:
        return await http.post("/v1/messages", json={**ASK, **changes})


def events(reply: httpx2.Response) -> list[Json]:
    """The events of a stream; each is named as its data says."""
    parsed: list[Json] = []
    for part in reply.text.split("\n\n")[:-1]:
        name, data = part.split("\n")
        parsed.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {parsed[-1]['type']}"
    return parsed


async def test_without_a_script_it_says_who_it_is_and_echoes(own_standin: StandIn) -> None:
    message = (await post(own_standin)).json()
    assert message["content"] == [{"type": "text", "text": "This is the stand-in, not Claude. You said: hello"}]
    assert (message["model"], message["stop_reason"]) == ("claude-sonnet-5-5", "end_turn")


async def test_without_stream_the_answer_is_a_message(own_standin: StandIn) -> None:
    reply = Reply(content=CONTENT)
    own_standin.enqueue(reply)
    answered = await post(own_standin)
    assert answered.headers["content-type"] == "application/json"
    assert answered.json() == {**reply.make_message("claude-sonnet-5-5"), "id": IsStr()}
    assert answered.json()["stop_reason"] == "tool_use"


async def test_with_stream_the_answer_is_events_in_the_order_of_the_api(own_standin: StandIn) -> None:
    own_standin.enqueue(Reply(content=CONTENT))
    answered = await post(own_standin, stream=True)
    assert answered.headers["content-type"] == "text/event-stream"
    types = [event["type"].removeprefix("content_block_") for event in events(answered)]
    assert types == [
        "message_start",
        *("start", "delta", "delta", "stop"),
        *("start", "stop"),
        *("start", "delta", "delta", "stop"),
        *("start", "delta", "stop"),
        "message_delta",
        "message_stop",
    ]


async def test_an_answer_carries_the_limits_of_the_subscription(own_standin: StandIn) -> None:
    headers = (await post(own_standin, stream=True)).headers
    assert headers["anthropic-ratelimit-unified-status"] == "allowed"
    assert headers["anthropic-ratelimit-unified-representative-claim"] == "five_hour"
    assert headers["request-id"] == "req_standin"


async def test_headers_of_a_reply_come_on_top(own_standin: StandIn) -> None:
    own_standin.enqueue(Reply(headers={"anthropic-ratelimit-unified-status": "allowed_warning"}))
    headers = (await post(own_standin, stream=True)).headers
    assert headers["anthropic-ratelimit-unified-status"] == "allowed_warning"


@pytest.mark.parametrize(
    ("failure", "status", "kind", "headers"),
    [
        (api.authentication_failed(), 401, "authentication_error", {}),
        (api.account_blocked(), 403, "permission_error", {}),
        (api.credit_too_low(), 400, "invalid_request_error", {}),
        (api.usage_limit(resets_in=60), 429, "rate_limit_error", {"retry-after": "60", "x-should-retry": "false"}),
        (api.throttled(retry_after=3), 429, "rate_limit_error", {"retry-after": "3"}),
        (api.overloaded(), 529, "overloaded_error", {}),
        (api.server_error(), 500, "api_error", {}),
        (api.prompt_too_long(), 400, "invalid_request_error", {}),
        (api.request_too_large(), 413, "request_too_large", {}),
        (api.model_not_found("claude-x"), 404, "not_found_error", {}),
        (api.invalid_request("no"), 400, "invalid_request_error", {}),
    ],
    ids=lambda value: value.message[:24] if isinstance(value, Failure) else "",
)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
async def test_a_failure_has_its_status_its_type_and_its_headers(
    standin: StandIn, failure: Failure, status: int, kind: str, headers: dict[str, str], stream: bool
) -> None:
    standin.enqueue(failure)
    answered = await post(standin, stream=stream)
    assert answered.status_code == status
    assert answered.json() == {"type": "error", "error": {"type": kind, "message": failure.message}}
    assert answered.headers["request-id"] == "req_standin"
    assert {name: answered.headers[name] for name in headers} == headers


async def test_a_usage_limit_names_its_window_and_only_that_one_does(standin: StandIn) -> None:
    standin.enqueue(api.usage_limit(window="seven_day"), api.throttled())
    limit, throttled = await post(standin), await post(standin)
    assert limit.headers["anthropic-ratelimit-unified-representative-claim"] == "seven_day"
    assert limit.headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert not any(name.startswith("anthropic-ratelimit") for name in throttled.headers)


async def test_requests_are_recorded_whole_and_in_order(own_standin: StandIn) -> None:
    body = b'{"model":"m",  "messages":[{"role":"system","content":"s"},{"role":"user","content":"\xc3\xa9"}]}'
    async with client(own_standin) as http:
        await http.post("/v1/messages?beta=true", content=body, headers={"x-own": "value"})
        await http.post("/v1/messages", json=ASK)
        other = await http.get("/v1/models")
    first, second = own_standin.requests
    assert (first.raw, first.headers["x-own"], first.path) == (body, "value", "/v1/messages")
    assert first.messages == [{"role": "user", "content": "é"}]
    assert (first.last_text, second.last_text) == ("é", "hello")
    assert other.status_code == 404
    assert [(record.method, record.path) for record in own_standin.others] == [("GET", "/v1/models")]


async def test_the_queue_goes_before_the_script_and_both_can_be_forgotten(own_standin: StandIn) -> None:
    own_standin.script(lambda request: Reply(content=(Text(f"script: {request.last_text}"),)))
    own_standin.enqueue(Reply(content=(Text("queue 1"),)), Reply(content=(Text("queue 2"),)))
    said = [(await post(own_standin)).json()["content"][0]["text"] for _ in range(3)]
    own_standin.enqueue(api.overloaded())
    own_standin.reset()
    assert (own_standin.requests, own_standin.others) == ([], [])
    said.append((await post(own_standin)).json()["content"][0]["text"])
    assert said == ["queue 1", "queue 2", "script: hello", "This is the stand-in, not Claude. You said: hello"]


async def test_an_answer_can_be_held_after_so_many_words(own_standin: StandIn) -> None:
    hold = anyio.Event()
    own_standin.enqueue(Reply(content=(Text("one two three"),), hold=hold, hold_after=2))
    seen = ""
    with anyio.fail_after(60):
        async with client(own_standin) as http, http.stream("POST", "/v1/messages", json={**ASK, "stream": True}) as r:
            async for piece in r.aiter_text():
                seen += piece
                if '"text": "two ' in seen and not hold.is_set():
                    assert "three" not in seen
                    assert not own_standin.requests[0].answered.is_set()
                    hold.set()
    assert '"text": "three"' in seen and "message_stop" in seen
    assert own_standin.requests[0].answered.is_set()


async def test_an_answer_comes_no_sooner_than_it_is_told_to(own_standin: StandIn) -> None:
    own_standin.enqueue(Reply(content=(Text("one two three"),), first_after=0.02, pace=0.01))
    before = anyio.current_time()
    await post(own_standin, stream=True)
    assert anyio.current_time() - before >= 0.02 + 3 * 0.01


async def test_a_cut_answer_is_a_broken_connection(own_standin: StandIn) -> None:
    own_standin.enqueue(Reply(content=(Text("one two three"),), cut_after=1))
    seen = ""
    with pytest.raises(httpx2.RemoteProtocolError):
        async with client(own_standin) as http, http.stream("POST", "/v1/messages", json={**ASK, "stream": True}) as r:
            async for piece in r.aiter_text():
                seen += piece
    assert "one " in seen and "two" not in seen


async def test_garbage_comes_as_it_is(own_standin: StandIn) -> None:
    own_standin.enqueue(Reply(garbage=b"<html>\x00\xff"))
    answered = await post(own_standin, stream=True)
    assert (answered.status_code, answered.content) == (200, b"<html>\x00\xff")


async def test_a_client_that_goes_away_early_is_noticed(own_standin: StandIn) -> None:
    own_standin.enqueue(Reply(hold=anyio.Event()))
    with anyio.fail_after(60):
        async with beside(partial(post, own_standin, stream=True)):
            await own_standin.wait_for_request()
        (record,) = own_standin.requests
        await record.closed_early.wait()
    (record,) = own_standin.requests
    assert record.closed_at is not None and record.closed_at >= record.at
    assert not record.answered.is_set()


async def test_a_client_that_stays_is_not_taken_for_one_that_left(own_standin: StandIn) -> None:
    await post(own_standin, stream=True)
    (record,) = own_standin.requests
    assert record.answered.is_set() and not record.closed_early.is_set() and record.closed_at is None


async def test_one_can_wait_for_the_next_request_to_arrive(own_standin: StandIn) -> None:
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(post, own_standin)
            assert await own_standin.wait_for_request(3) is own_standin.requests[2]
