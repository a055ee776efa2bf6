"""What may import what, read from the sources: the folders give the rule, and one line gives their order."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import claude_max_mcp

ROOT = Path(__file__).parent.parent
SERVER = ROOT / "mcp_server" / "claude_max_mcp"
PROVIDER = ROOT / "provider" / "pydantic_ai_claude_max"

LONGEST = 380
"""Lines that a file may have."""

READ_THE_ENVIRONMENT = {"settings", "terminal.commands"}
"""`commands` hands the name of the terminal to the CLI's own dialogue, and reads nothing else."""

SHARED = ""
"""The package of the modules that belong to no package."""

HTTP = ("mcp", "mcp_types", "starlette", "uvicorn", "httpx2")


def name_of(path: Path) -> str:
    """A module's name below its distribution's package: `standin.api`, `terminal.doctor`."""
    package = SERVER if path.is_relative_to(SERVER) else PROVIDER
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or package.name


SERVER_MODULES = {name_of(path): path for path in sorted(SERVER.rglob("*.py"))}
PROVIDER_MODULES = {name_of(path): path for path in sorted(PROVIDER.rglob("*.py"))}
PACKAGES = {folder.name for folder in SERVER.iterdir() if (folder / "__init__.py").is_file()}


def package_of(module: str) -> str:
    """The first folder of a module's name; `SHARED` where it is in none. The entry point is a command's."""
    head, _, _ = module.partition(".")
    return "terminal" if module == "__main__" else head if head in PACKAGES else SHARED


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


def needs() -> dict[str, set[str]]:
    """For each of the server's modules, those that it imports ever, inside functions too."""
    return {name: ours(anywhere(path)) - {name} for name, path in SERVER_MODULES.items()}


def reach(module: str) -> set[str]:
    """The packages that the package of a module may import: those behind it in the order, and the shared words."""
    order = [set(re.findall(r"\w+", step)) for step in order_line().split("→")]
    at = next(index for index, step in enumerate(order) if package_of(module) in step)
    return {package_of(module), SHARED}.union(*order[at + 1 :])


def order_line() -> str:
    """The one line that says in which order the packages stand: in the docstring of the server's package."""
    (line,) = re.findall(r"^ +(\w+ →.*)$", claude_max_mcp.__doc__ or "", re.MULTILINE)
    return line


def test_the_modules_are_found() -> None:
    assert {"claude.process", "settings", "pool.pool", "standin.api", "claude_max_mcp"} <= SERVER_MODULES.keys()
    assert "_transport" in PROVIDER_MODULES


def test_every_package_has_its_place_in_the_order() -> None:
    assert set(re.findall(r"\w+", order_line())) == PACKAGES


def test_no_package_imports_one_that_stands_further_out() -> None:
    assert [
        f"{name} imports {other}"
        for name, needed in needs().items()
        if package_of(name) != SHARED
        for other in needed
        if package_of(other) not in reach(name)
    ] == []


def test_the_shared_words_import_no_package() -> None:
    assert [
        f"{name} imports {other}"
        for name, needed in needs().items()
        if package_of(name) == SHARED
        for other in needed
        if package_of(other) != SHARED
    ] == []


def test_no_module_needs_one_that_needs_it() -> None:
    left = needs()
    while free := [name for name, needed in left.items() if not needed & left.keys()]:
        for name in free:
            del left[name]
    assert left == {}, "a circle of imports"


def test_every_package_says_what_it_knows_and_what_it_does_not() -> None:
    for package in PACKAGES:
        said = ast.get_docstring(tree(SERVER / package / "__init__.py")) or ""
        assert re.search(r"\bIt knows\b", said) and re.search(r"\b(does not|no)\b", said), package


def test_nobody_imports_the_sdk_and_only_launch_names_it() -> None:
    assert {name for name, path in SERVER_MODULES.items() if mentions(anywhere(path), "claude_agent_sdk")} == set()
    named = {name for name, path in SERVER_MODULES.items() if '"claude_agent_sdk"' in path.read_text()}
    assert named == {"claude.launch"}


def test_only_settings_reads_the_environment() -> None:
    for name, path in SERVER_MODULES.items():
        reads = [
            ast.unparse(node)
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Attribute | ast.Name)
            and ast.unparse(node) in ("os.environ", "os.getenv", "environ")
        ]
        assert anywhere(path) & {"os.environ", "os.getenv", "os.environb"} == set(), name
        assert reads == [] or name in READ_THE_ENVIRONMENT, name


def test_commands_reads_nothing_but_the_name_of_the_terminal() -> None:
    source = SERVER_MODULES["terminal.commands"].read_text(encoding="utf-8")
    assert source.count("os.environ") == source.count('os.environ.get("TERM", "xterm")') <= 1


def test_the_pool_knows_nothing_of_claude() -> None:
    for name, path in SERVER_MODULES.items():
        if package_of(name) == "pool":
            assert needs()[name] <= {"errors", "background", "pool.admission", "pool.pool"}
            assert not any(mentions(anywhere(path), package) for package in (*HTTP, "claude_agent_sdk"))


def test_only_the_front_and_the_terminal_know_mcp_and_http() -> None:
    for name, path in SERVER_MODULES.items():
        if package_of(name) not in ("front", "terminal", "standin"):
            assert not any(mentions(anywhere(path), package) for package in HTTP), name


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
    assert know <= {"terminal.demo"}


def test_serving_imports_no_stand_in_unless_it_is_offline() -> None:
    at_start = {name for name, path in SERVER_MODULES.items() if mentions(at_import(path), "claude_max_mcp.standin")}
    assert {name for name in at_start if package_of(name) != "standin"} <= {"terminal.demo"}
    ever = {name for name, path in SERVER_MODULES.items() if mentions(anywhere(path), "claude_max_mcp.standin")}
    assert {name for name in ever if package_of(name) != "standin"} == {"terminal.demo", "terminal.serve"}


def test_the_stand_in_knows_nothing_of_what_it_stands_in_for() -> None:
    for name, needed in needs().items():
        if package_of(name) == "standin":
            assert {other for other in needed if package_of(other) != "standin"} <= {"front.listener", "messages"}


def test_no_file_is_too_long_to_read() -> None:
    for folder in ("mcp_server", "provider", "tests", "examples", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST, path


def test_every_module_says_what_it_is_for() -> None:
    for name, path in (SERVER_MODULES | PROVIDER_MODULES).items():
        assert ast.get_docstring(tree(path)), name
