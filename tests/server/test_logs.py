"""One line for each request that ends, with the id that its caller got too."""

import json
import logging
import re
from pathlib import Path

import anyio
import httpx2
import pytest
from anyio.lowlevel import checkpoint

from claude_max_mcp.service.logs import JsonLines
from claude_max_mcp.standin import Reply, ToolUse
from tests.house import House
from tests.server import program

TRACE = "0af7651916cd43dd8448eb211c80319c"
SECRET = "the password is swordfish"


async def said(server: program.Server) -> str:
    """What else the process writes, until it ends."""
    server.process.terminate()
    await server.ended()
    assert server.process.stderr
    return b"".join([chunk async for chunk in server.process.stderr]).decode()


async def ask(server: program.Server) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=30) as http:
        headers = {"x-request-id": "forged\tid", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        return await http.post(f"{server.url}/claude", json={"prompt": SECRET, "model": "opus"}, headers=headers)


async def test_a_request_is_one_line_of_json_with_its_id_and_no_word_of_it(tmp_path: Path) -> None:
    async with program.serving(tmp_path, "--offline", CLAUDE_MAX_LOG_FORMAT="json") as server:
        reply = await ask(server)
        text = await said(server)
    (line,) = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert line["request_id"] == reply.headers["x-request-id"]
    assert (line["level"], line["model"], line["outcome"]) == ("INFO", "claude-opus-5-5", "answered")
    assert line["duration_ms"] >= line["first_text_ms"] > 0
    assert line["input_tokens"] > 0 and line["output_tokens"] > 0
    assert line["trace_id"] == TRACE
    assert line["at"].endswith("+00:00")
    assert "swordfish" not in text and reply.json()["response"] not in text and "forged" not in text


async def test_on_a_console_the_line_is_for_people(tmp_path: Path) -> None:
    async with program.serving(tmp_path, "--offline") as server:
        reply = await ask(server)
        text = await said(server)
    (line,) = [line for line in text.splitlines() if " INFO " in line]
    assert f"request {reply.headers['x-request-id']}: claude-opus-5-5, answered, " in line
    assert "swordfish" not in text


async def test_a_server_that_is_told_to_be_quiet_is(tmp_path: Path) -> None:
    async with program.serving(tmp_path, "--offline", CLAUDE_MAX_LOG_LEVEL="warning") as server:
        assert (await ask(server)).status_code == 200
        assert " INFO " not in await said(server)


async def test_at_the_debug_level_the_dialogue_with_each_process_is_told_by_kinds_and_without_content(
    tmp_path: Path,
) -> None:
    async with program.serving(tmp_path, "--offline", CLAUDE_MAX_LOG_LEVEL="debug") as server:
        reply = await ask(server)
        text = await said(server)
    (process,) = set(re.findall(r"worker (\d+) > initialize", text))
    dialogue = re.findall(rf"worker {process} ([<>] .*)", text)
    assert [kind for kind in dict.fromkeys(dialogue) if kind in EXPECTED] == EXPECTED
    assert re.search(rf"worker {process} ended", text)
    assert "swordfish" not in text and reply.json()["response"] not in text


EXPECTED = ["> initialize", "< control_response", "> user", "< message_start", "< content_block_delta"]


async def test_a_call_that_waits_for_its_result_is_named_in_the_debug_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.standin.enqueue(Reply(content=(ToolUse("look", {"at": SECRET}, "toolu_1"),)))
    with caplog.at_level(logging.DEBUG, logger="claude_max_mcp"):
        result = await house.ask(prompt=SECRET, tools=[{"name": "look", "input_schema": {"type": "object"}}])
        assert result.stop_reason == "tool_use"
        with anyio.fail_after(60):
            while "parked toolu_1" not in caplog.messages:
                await checkpoint()
    assert "swordfish" not in caplog.text


async def test_the_id_in_the_answers_head_is_the_servers_own(house: House) -> None:
    async with house.http() as http:
        reply = await http.post("/claude", json={"prompt": "hello"}, headers={"x-request-id": "forged"})
    assert reply.headers.get_list("x-request-id") == [house.service.journal.entries[-1].request_id]
    assert "forged" not in reply.text


async def test_a_failure_has_its_id_too(house: House) -> None:
    async with house.http() as http:
        reply = await http.post("/claude", json={"prompt": "hello", "timeout": 0.001})
    assert reply.status_code == 504
    assert reply.headers["x-request-id"] == house.service.journal.entries[-1].request_id


def test_a_defect_in_the_json_log_keeps_its_traceback() -> None:
    try:
        raise RuntimeError("a defect")
    except RuntimeError as error:
        record = logging.LogRecord("a", logging.ERROR, "", 0, "it broke", None, (RuntimeError, error, None))
    assert "RuntimeError: a defect" in json.loads(JsonLines().format(record))["exception"]
