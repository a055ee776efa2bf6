"""What the image is made from. How it works is shown in `tests/docker`, which needs an engine."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pins(name: str) -> dict[str, set[str]]:
    """The pins of a lock and the hashes of each; the conditions, which depend on what else is in it, are left out."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^(\S+==\S+)(.*\n(?:    .*\n?)*)", text, re.MULTILINE)
    return {pin: set(re.findall(r"--hash=(\S+)", rest)) for pin, rest in blocks}


def test_the_image_takes_the_very_files_that_the_tests_run_with() -> None:
    servers, all_of_them = pins("requirements-server.lock"), pins("requirements.lock")
    assert servers and servers.items() <= all_of_them.items()
    assert all(servers.values())


def test_the_image_gets_every_dependency_and_no_tool_of_ours() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    locked = {pin.partition("==")[0] for pin in pins("requirements-server.lock")}
    assert {re.split(r"[<>=]", need)[0] for need in project["project"]["dependencies"]} <= locked
    assert not locked & {re.split(r"[<>=\[]", tool)[0] for tool in project["dependency-groups"]["dev"]}


def test_nothing_is_sent_to_the_engine_that_is_not_named() -> None:
    first, *named = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert first == "*"
    assert [line for line in named if line.startswith("!.")] == []
