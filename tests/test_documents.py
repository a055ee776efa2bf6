"""What the documents say is so."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from claude_max_mcp.errors import Code
from claude_max_mcp.front.listener import CONNECTIONS
from claude_max_mcp.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_the_readmes_example_is_the_tested_one() -> None:
    match = re.search(r"<!-- (examples/\w+\.py) -->\n```python\n(.*?)```", README, re.DOTALL)
    assert match
    body = (ROOT / match[1]).read_text(encoding="utf-8").partition('"""\n\n')[2]
    assert match[2] == body


def test_the_readmes_other_lines_of_python_run(tmp_path: Path) -> None:
    """Each makes an agent, which asks nothing yet."""
    _, *others = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(others) > 1
    environment = {"PATH": os.defpath, "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", "".join(others)], env=environment, check=True, timeout=60)


def test_every_setting_is_in_the_readme() -> None:
    for name in Settings.model_fields:
        assert f"CLAUDE_MAX_{name.upper()}" in README


def test_every_error_code_has_its_row_in_the_readme() -> None:
    for code in get_args(Code):
        assert re.search(rf"^\|.*`{code}`", README, re.MULTILINE), code


@pytest.mark.parametrize("document", [ARCHITECTURE, SECURITY], ids=["ARCHITECTURE", "SECURITY"])
def test_every_test_that_a_document_names_exists(document: str) -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", document)
    assert named
    for name in named:
        assert f"def {name}(" in tests, name
    for path in re.findall(r"`(tests/[\w/]+\.py)`", document):
        assert (ROOT / path).is_file(), path


def test_the_table_of_attacks_names_tests_that_exist() -> None:
    folder = ROOT / "tests" / "server"
    table = (folder / "test_attacks.py").read_text(encoding="utf-8").split('"""')[1]
    named = set(re.findall(r"`(test_\w+)`", table))
    assert {"test_door", "test_secrets"} <= named
    assert all((folder / f"{name}.py").is_file() for name in named)


def test_the_limits_in_the_security_notes_are_the_real_ones() -> None:
    assert f"| {CONNECTIONS} at most;" in SECURITY


def test_the_terms_have_the_date_on_which_they_were_read() -> None:
    terms = README.partition("\n## Terms\n")[2]
    assert re.search(r"read in a copy of \d{4}-\d{2}-\d{2}", terms)


def test_the_architecture_is_short_and_names_every_module() -> None:
    assert len(ARCHITECTURE.splitlines()) <= 120
    for path in (ROOT / "mcp_server" / "claude_max_mcp").rglob("*.py"):
        name = path.parent.name if path.stem == "__init__" else path.stem
        assert name in ("claude_max_mcp", "__main__") or f"`{name}`" in ARCHITECTURE, name


def test_every_link_between_documents_leads_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md")]
    for document in documents:
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[\w-]*)?\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_the_changelog_keeps_its_form() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changelog
    allowed = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (\w+)", changelog, re.MULTILINE)) <= allowed
