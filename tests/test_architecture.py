"""What may know what: the promises of DESIGN.md about imports, kept by reading the sources."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERVER = ROOT / "mcp_server" / "claude_max_mcp"
PROVIDER = ROOT / "provider" / "pydantic_ai_claude_max"

LONGEST = 380
"""Lines that a file may have."""

READ_THE_ENVIRONMENT = {"settings", "commands"}
"""`commands` hands the name of the terminal to the CLI's own dialogue, and reads nothing else."""


def name_of(path: Path) -> str:
    """A module's name below its package: `standin.api`."""
    package = SERVER if path.is_relative_to(SERVER) else PROVIDER
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or package.name


SERVER_MODULES = {name_of(path): path for path in sorted(SERVER.rglob("*.py"))}
PROVIDER_MODULES = {name_of(path): path for path in sorted(PROVIDER.rglob("*.py"))}
SERVING = {
    name: path for name, path in SERVER_MODULES.items() if name.partition(".")[0] not in ("standin", "demo", "__main__")
}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """The modules that import statements name, and what they take from them: `a`, `a.b`."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def at_import(path: Path) -> set[str]:
    """What importing the module imports: everything outside functions and `if TYPE_CHECKING`."""
    return imported(_run_at_import(tree(path)))


def anywhere(path: Path) -> set[str]:
    """What the module imports ever."""
    return imported(ast.walk(tree(path)))


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _run_at_import(child)


def mentions(names: set[str], package: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for name in names)


def ours(names: set[str]) -> set[str]:
    """The server's modules among imported names."""
    found = {name.removeprefix("claude_max_mcp.") for name in names if name.startswith("claude_max_mcp.")}
    return {name for name in found if name in SERVER_MODULES}


def test_the_modules_are_found() -> None:
    assert {"worker", "settings", "pool", "standin.api", "claude_max_mcp"} <= SERVER_MODULES.keys()
    assert "_transport" in PROVIDER_MODULES


def test_nobody_imports_the_sdk_and_only_launch_knows_of_it() -> None:
    assert {name for name, path in SERVER_MODULES.items() if mentions(anywhere(path), "claude_agent_sdk")} == set()
    assert {name for name, path in SERVER_MODULES.items() if '"claude_agent_sdk"' in path.read_text()} == {"launch"}


@pytest.mark.parametrize("name", SERVER_MODULES)
def test_only_settings_reads_the_environment(name: str) -> None:
    reads = [
        ast.unparse(node)
        for node in ast.walk(tree(SERVER_MODULES[name]))
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in ("os.environ", "os.getenv", "environ")
    ]
    taken = anywhere(SERVER_MODULES[name]) & {"os.environ", "os.getenv", "os.environb"}
    assert taken == set()
    assert reads == [] or name in READ_THE_ENVIRONMENT


def test_commands_reads_nothing_but_the_name_of_the_terminal() -> None:
    source = SERVER_MODULES["commands"].read_text(encoding="utf-8")
    assert source.count("os.environ") == source.count('os.environ.get("TERM", "xterm")') <= 1


@pytest.mark.parametrize("name", ["pool", "admission"])
def test_who_runs_is_decided_without_knowing_of_claude_or_mcp(name: str) -> None:
    names = anywhere(SERVER_MODULES[name])
    assert ours(names) <= {"errors", "beside"}
    assert not any(mentions(names, package) for package in ("mcp", "mcp_types", "starlette", "claude_agent_sdk"))


BELOW_MCP = ["service", "conversations", "turn", "message", "failures", "models", "knowledge", "login", "worker"]
LOOKING_ON = ["journal", "metrics", "spans", "logs", "tracing"]


@pytest.mark.parametrize(
    "name", [*BELOW_MCP, *LOOKING_ON, "protocol", "wire", "errors", "settings", "progress", "beside"]
)
def test_what_is_below_the_tools_knows_nothing_of_mcp_or_http(name: str) -> None:
    names = anywhere(SERVER_MODULES[name])
    assert not any(mentions(names, package) for package in ("mcp", "mcp_types", "starlette", "uvicorn", "httpx2"))
    assert ours(names).isdisjoint({"tools", "http", "door", "listener", "disconnects", "serve", "commands"})


ROOMS = [
    {"__main__", "commands", "serve", "caller", "demo", "doctor", "machine", "reach", "findings"}
    | {"exits", "gauges", "manual", "placement", "question", "screen"},
    {"http", "page", "connect", "messages_api", "door", "disconnects", "listener", "tools", "resources", "progress"},
    {"service", "knowledge", "sessions", "scratch", "journal", "metrics", "spans", "logs"},
    {"conversations", "login", "models", "turn", "message", "failures"},
    {"admission", "pool"},
    {"worker", "launch", "protocol"},
    {"wire", "errors", "settings", "tokens", "tracing"},
]
"""From the outside in, as the package's docstring lists them."""


def test_no_room_knows_one_further_out() -> None:
    depth = {name: level for level, room in enumerate(ROOMS) for name in room}
    outward = {
        f"{name} imports {other}"
        for name, path in SERVER_MODULES.items()
        for other in ours(at_import(path))
        if name in depth and other in depth and depth[other] < depth[name]
    }
    # `conversations` keeps what requests teach it, and `service` reads it from there.
    assert outward <= {"conversations imports knowledge"}


def test_no_module_is_needed_by_what_it_needs() -> None:
    needs = {name: ours(at_import(path)) for name, path in SERVER_MODULES.items()}
    left = dict(needs)
    while free := [name for name, needed in left.items() if not needed & left.keys() - {name}]:
        for name in free:
            del left[name]
    assert left == {}, "a circle of imports"


def test_the_provider_does_not_need_the_server() -> None:
    need = {name for name, path in PROVIDER_MODULES.items() if mentions(at_import(path), "claude_max_mcp")}
    assert need == {"_embedded"}
    assert [name for name, path in PROVIDER_MODULES.items() if mentions(at_import(path), "_embedded")] == []
    asks = {name for name, path in PROVIDER_MODULES.items() if mentions(anywhere(path), "_embedded")}
    assert asks == {"_provider"}, "`ClaudeMaxProvider.embedded()` does, when it is called"


def test_the_server_knows_nothing_of_pydantic_ai() -> None:
    know = {
        name
        for name, path in SERVER_MODULES.items()
        if mentions(anywhere(path), "pydantic_ai") or mentions(anywhere(path), "pydantic_ai_claude_max")
    }
    assert know <= {"demo"}


def test_importing_the_server_imports_no_stand_in() -> None:
    assert [name for name, path in SERVING.items() if mentions(at_import(path), "claude_max_mcp.standin")] == []


def test_only_offline_takes_the_stand_in() -> None:
    assert {name for name, path in SERVING.items() if mentions(anywhere(path), "claude_max_mcp.standin")} == {"serve"}


def test_the_stand_in_knows_nothing_of_what_it_stands_in_for() -> None:
    for name, path in SERVER_MODULES.items():
        if name.startswith("standin"):
            assert {other for other in ours(anywhere(path)) if not other.startswith("standin")} <= {"listener"}


@pytest.mark.parametrize(
    "path",
    [path for folder in ("mcp_server", "provider", "tests", "examples") for path in (ROOT / folder).rglob("*.py")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_file_is_too_long_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", [*SERVER_MODULES.values(), *PROVIDER_MODULES.values()], ids=name_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree(path))
