"""The tools of the npm registry that the tests run: pinned in `package.json`, installed by `make conformance`."""

import os
from pathlib import Path

import anyio
import pytest

from tests.house import PATH

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".venv" / "node" / "node_modules"
NODE = INSTALLED / "node" / "bin" / "node"

SUITE = INSTALLED / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
INSPECTOR = INSTALLED / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
BUNDLER = INSTALLED / "@anthropic-ai" / "mcpb" / "dist" / "cli" / "cli.js"

needs_node = pytest.mark.skipif(not NODE.is_file(), reason="needs npm: `make conformance` installs what it runs")


async def run(program: Path, *arguments: str, home: Path) -> tuple[int, str, str]:
    """Run a program of node's to its end, within a minute: exit code, output, complaints."""
    environment = {"PATH": f"{NODE.parent}{os.pathsep}{PATH}", "HOME": str(home), "NO_COLOR": "1"}
    with anyio.fail_after(60):
        done = await anyio.run_process(
            [str(NODE), str(program), *arguments], env=environment, cwd=home, check=False, input=b""
        )
    return done.returncode, done.stdout.decode(), done.stderr.decode()
