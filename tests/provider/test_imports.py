"""What importing the package costs, and what can be imported from it."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pydantic_ai_claude_max

PACKAGE = Path(str(pydantic_ai_claude_max.__file__)).parent
SOURCE = (PACKAGE / "__init__.py").read_text(encoding="utf-8")


def find_imports(source: str) -> list[ast.ImportFrom]:
    """The import statements that name a module of the package."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) and node.level == 1]


def test_every_public_name_is_there_for_the_interpreter_and_for_type_checkers() -> None:
    seen = {a.asname: f"pydantic_ai_claude_max.{node.module}" for node in find_imports(SOURCE) for a in node.names}
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


def test_the_packages_map_has_every_module_and_each_imports_only_what_is_below_it() -> None:
    rows = [line for line in (pydantic_ai_claude_max.__doc__ or "").splitlines() if line.startswith("    _")]
    place = {name: at for at, row in enumerate(rows) for name in re.findall(r"\b_[a-z_]+\b|\bauto\b", row)}
    modules = {path.stem: path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py") if path.stem != "__init__"}
    assert modules.keys() <= place.keys()
    for name, source in modules.items():
        for node in find_imports(source):
            assert node.module and place[node.module] >= place[name], f"{name} imports {node.module}"
