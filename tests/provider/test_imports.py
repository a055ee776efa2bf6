"""What importing the package costs, and what can be imported from it."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pydantic_ai_claude_max

SOURCE = Path(str(pydantic_ai_claude_max.__file__)).read_text(encoding="utf-8")


def test_every_public_name_is_there_for_the_interpreter_and_for_type_checkers() -> None:
    imports = [node for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.ImportFrom) and node.level == 1]
    seen = {alias.asname: f"pydantic_ai_claude_max.{node.module}" for node in imports for alias in node.names}
    public: tuple[str, ...] = vars(pydantic_ai_claude_max)["__all__"]
    assert set(public) == seen.keys()
    for name, module in seen.items():
        assert name is not None and getattr(pydantic_ai_claude_max, name).__module__ == module


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ClaudeMin'"):
        getattr(pydantic_ai_claude_max, "ClaudeMin")  # noqa: B009 - a type checker would allow it


@pytest.mark.parametrize(
    ("used", "spared"),
    [
        ("enable()", {"anthropic", "mcp"}),
        ("ClaudeMaxClient()", {"anthropic", "pydantic_ai"}),
        ("ClaudeMaxError", {"anthropic", "mcp", "pydantic_ai"}),
    ],
)
def test_only_what_is_used_is_imported(used: str, spared: set[str], tmp_path: Path) -> None:
    name = used.removesuffix("()")
    program = f"import sys; from pydantic_ai_claude_max import {name}; {used}; print(*sys.modules)"
    environment = {"PATH": os.defpath, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, timeout=60)
    assert spared.isdisjoint(done.stdout.decode().split())
