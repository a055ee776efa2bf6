"""Claude Code as a client of the server: the real CLI finds `ask_claude`, calls it, and goes on with the answer.

Two stand-ins: one is the Claude that Claude Code itself talks to, and is scripted to call the tool; the other one is
behind our server, and answers it.
"""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from claude_max_mcp.claude.launch import find_cli
from claude_max_mcp.front.connect import NAME
from claude_max_mcp.standin import Reply, StandIn, Text, ToolUse
from tests.house import House, cli_environment

TOOL = f"mcp__{NAME}__ask_claude"

QUIET = {"DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}


async def claude_code(house: House, upstream: StandIn, home: Path, prompt: str) -> dict[str, Any]:
    """What Claude Code says to `prompt`, with our server as its only one."""
    config = {"mcpServers": {NAME: {"type": "http", "url": house.url}}}
    arguments = ["-p", prompt, "--output-format", "json", "--allowedTools", TOOL]
    arguments += ["--strict-mcp-config", "--mcp-config", json.dumps(config)]
    # Otherwise a tool is only named to the model, which has to look for it first.
    environment = cli_environment(upstream.url, home, **QUIET, ENABLE_TOOL_SEARCH="false")
    with anyio.fail_after(60):
        done = await anyio.run_process([str(find_cli()), *arguments], env=environment, cwd=home, input=b"")
    return json.loads(done.stdout)


@pytest.fixture
def scripted(own_standin: StandIn) -> StandIn:
    """The Claude of Claude Code: it asks ours, then says what it thinks."""
    call = ToolUse(TOOL, {"prompt": "Tabs or spaces?", "model": "opus"}, id="toolu_1")
    own_standin.enqueue(Reply(content=(call,)))
    own_standin.enqueue(Reply(content=(Text("It says spaces, and so do I."),)))
    return own_standin


async def test_it_asks_through_our_tool_and_goes_on_with_our_answer(
    house: House, scripted: StandIn, tmp_path: Path
) -> None:
    house.standin.enqueue(Reply(content=(Text("Spaces it is."),)))
    said = await claude_code(house, scripted, tmp_path, "Get a second opinion: tabs or spaces?")
    assert (said["is_error"], said["result"]) == (False, "It says spaces, and so do I.")
    (asked,) = house.standin.requests
    assert asked.body["model"].startswith("claude-opus")
    assert "Tabs or spaces?" in json.dumps(asked.body["messages"][0])
    (result,) = [block for block in scripted.requests[1].body["messages"][-1]["content"] if "tool_use_id" in block]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "toolu_1")
    assert "Spaces it is." in json.dumps(result["content"])


async def test_it_is_told_what_the_tools_are_for(house: House, scripted: StandIn, tmp_path: Path) -> None:
    await claude_code(house, scripted, tmp_path, "Get a second opinion: tabs or spaces?")
    body = scripted.requests[0].body
    tools = {tool["name"]: tool for tool in body["tools"]}
    assert tools[TOOL]["description"].startswith("Ask another Claude one question")
    assert "session_id" in tools[TOOL]["input_schema"]["properties"]
    assert "Claude sees nothing of this conversation" in json.dumps(body["system"]) + json.dumps(body["messages"])
