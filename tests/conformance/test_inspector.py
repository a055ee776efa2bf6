"""The MCP Inspector's command line, in both eras of the protocol, against the whole server."""

import json
from pathlib import Path
from typing import Any

import pytest

from claude_max_mcp.standin import Reply, Text
from tests.conformance.node import INSPECTOR, needs_node, run
from tests.house import House

pytestmark = [needs_node, pytest.mark.parametrize("era", ["legacy", "modern"])]


async def inspect(house: House, era: str, home: Path, method: str, *options: str) -> Any:
    target = ("--cli", house.url, "--transport", "http", "--protocol-era", era, "--format", "json")
    code, said, complaints = await run(INSPECTOR, *target, "--method", method, *options, home=home)
    assert code == 0, said + complaints
    return json.loads(said)["result"]


async def test_it_lists_the_tools_and_finds_no_fault_in_their_schemas(house: House, era: str, tmp_path: Path) -> None:
    listed = await inspect(house, era, tmp_path, "tools/list", "--strict")
    assert [tool["name"] for tool in listed["tools"]] == ["ask_claude", "health"]


async def test_it_asks(house: House, era: str, tmp_path: Path) -> None:
    house.standin.enqueue(Reply(content=(Text("Paris it is."),)))
    call = ("--tool-name", "ask_claude", "--tool-arg", "prompt=The capital of France?")
    result = await inspect(house, era, tmp_path, "tools/call", *call)
    assert result["content"] == [{"type": "text", "text": "Paris it is."}]
    assert result["structuredContent"]["success"] is True


async def test_it_reads_the_status(house: House, era: str, tmp_path: Path) -> None:
    read = await inspect(house, era, tmp_path, "resources/read", "--uri", "claude-max://status")
    assert json.loads(read["contents"][0]["text"])["status"] == "healthy"


async def test_it_gets_the_prompt(house: House, era: str, tmp_path: Path) -> None:
    prompt = ("--prompt-name", "second_opinion", "--prompt-args", "about=tabs or spaces")
    got = await inspect(house, era, tmp_path, "prompts/get", *prompt)
    assert "tabs or spaces" in got["messages"][0]["content"]["text"]
