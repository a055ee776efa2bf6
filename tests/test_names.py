"""Functions begin with a verb, as CONTRIBUTING.md says."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = [ROOT / "mcp_server" / "claude_max_mcp", ROOT / "provider" / "pydantic_ai_claude_max"]

VERBS = """
abandon accept add admit advise aggregate allow answer append apply arrive ask assert back bind blame bound build call
cancel carry change check choose claim classify clear close collect complete compute conclude configure confine
connect consume continue control converse convert copy count create cut decide declare decode decorate deliver derive
describe detect digest disable document drain drop echo embed enable encode end enqueue ensure enter enumerate envelop
escape estimate examine exit expect expire explain extend extract fail fetch fill filter find finish fit flush fold
follow forget format gather get give guard guess hand handle hash hear hide hold identify ignore include infer
initialize inspect install interpret invoke join judge keep kill know launch leave list listen load locate log look
lose make map mark match measure merge move name narrow normalise note number open order own parse pass pick place
plan play poll prepare preserve print probe prove provide publish put quote raise read rebind rebuild receive record
reduce refresh refuse register release remember remove rename render renew repeat replace reply report request require
reset resolve respond rest restore retire return rewind rotate round run save say scan script search see select send
serve set settle share show sign simplify skip sleep sort speak split spread start state stop store stream strip sum
supply sweep take tee tell throw touch trace translate trim truncate try unwrap update use validate verify wait wake
walk warn watch weigh wrap write
"""

PREDICATES = {"is", "has", "can", "may", "must", "needs", "wants", "would", "should", "holds", "ends", "speaks"}

CONVERSIONS = {"as", "to", "of", "from", "on"}
"""`of` and `from` make a value of another one; `on` is what a callback begins with."""

GIVEN = {
    "main",
    # asyncio.Protocol and httpx2
    "connection_made",
    "data_received",
    "connection_lost",
    "pause_writing",
    "resume_writing",
    "aclose",
    # Pydantic AI
    "model_profile",
    "supported_native_tools",
    # the contract
    "health",
    "embedded",
    "outcome",
    "result",
    "answered_by",
}
"""Names that a framework or our own contract gives."""

NO_FUNCTIONS = {"property", "cached_property", "contextmanager", "asynccontextmanager", "field_validator"}
"""What is decorated so is a value, or a context manager."""


NOUNS = {"failures.py"}
"""Modules that are tables: each function makes one row, and is named by it (`usage_limit`)."""


def functions() -> Iterator[tuple[Path, str]]:
    """Every function of both packages, nested ones too, with its file."""
    for package in PACKAGES:
        for path in sorted(path for path in package.rglob("*.py") if path.name not in NOUNS):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_excepted(node):
                    yield path, node.name


def _is_excepted(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    decorators = {ast.unparse(decorator).partition("(")[0].rpartition(".")[2] for decorator in node.decorator_list}
    return node.name.startswith("__") or node.name in GIVEN or bool(decorators & NO_FUNCTIONS)


def begins_with_a_verb(name: str) -> bool:
    return name.strip("_").partition("_")[0] in {*VERBS.split(), *PREDICATES, *CONVERSIONS}


def test_every_function_begins_with_a_verb() -> None:
    others = [f"{path.relative_to(ROOT)}: {name}" for path, name in functions() if not begins_with_a_verb(name)]
    assert others == []


@pytest.mark.parametrize("name", ["_prepared", "gone", "told", "conversation_key"])
def test_a_participle_or_a_noun_is_no_verb(name: str) -> None:
    assert not begins_with_a_verb(name)


def test_no_module_is_a_place_for_everything() -> None:
    names = {path.stem for package in PACKAGES for path in package.rglob("*.py")}
    assert names.isdisjoint({"utils", "util", "helpers", "helper", "manager", "common", "misc"})
