"""The bundle: a manifest that the official tool takes, and a program that is the server."""

import shutil
import sys
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters

from claude_max_mcp.standin import StandIn
from tests.conformance.node import BUNDLER, ROOT, needs_node, run
from tests.house import cli_environment

FOLDER = ROOT / "deploy" / "mcpb"

pytestmark = needs_node


async def test_the_official_tool_finds_the_manifest_right(tmp_path: Path) -> None:
    code, said, complaints = await run(BUNDLER, "validate", str(FOLDER / "manifest.json"), home=tmp_path)
    assert code == 0, said + complaints


async def test_the_official_tool_packs_it(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "bundle")
    code, said, complaints = await run(BUNDLER, "pack", str(folder), str(tmp_path / "x.mcpb"), home=tmp_path)
    assert code == 0, said + complaints
    assert (tmp_path / "x.mcpb").is_file()


async def test_what_the_host_starts_is_the_server(own_standin: StandIn, tmp_path: Path) -> None:
    environment = cli_environment(own_standin.url, tmp_path, CLAUDE_MAX_UPSTREAM_URL=own_standin.url)
    program = StdioServerParameters(
        command=sys.executable, args=[str(FOLDER / "main.py")], env=environment, cwd=tmp_path
    )
    with anyio.fail_after(30):
        async with Client(program, mode="legacy") as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            answer = await client.call_tool("ask_claude", {"prompt": "hello"})
    assert tools == ["ask_claude", "health"]
    assert not answer.is_error
