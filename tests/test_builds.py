"""The distributions, built with the tools that `requirements.lock` pins: nothing is fetched."""

import shutil
import subprocess
import sys
import tarfile
import tomllib
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def build(folder: Path, kind: str, into: Path) -> Path:
    """Build the distribution whose project file is in `folder`: a `wheel` or an `sdist`."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(into)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    (built,) = into.iterdir()
    return built


def read_metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What both distributions are built from, in a folder of the test's own."""
    clone = tmp_path / "clone"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("mcp_server", "provider"):
        shutil.copytree(ROOT / name, clone / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    return clone


def test_both_wheels_have_the_one_version(clone: Path, tmp_path: Path) -> None:
    project = clone / "pyproject.toml"
    project.write_text(project.read_text().replace(f'version = "{VERSION}"', 'version = "7.8.9"', 1))
    server = read_metadata(build(clone, "wheel", tmp_path / "server"))
    provider = read_metadata(build(clone / "provider", "wheel", tmp_path / "provider"))
    assert (server["Version"], provider["Version"]) == ("7.8.9", "7.8.9")
    assert "claude-max-mcp==7.8.9; extra == 'embedded'" in provider.get_all("Requires-Dist", [])


def test_the_provider_can_be_built_from_its_sdist_alone(clone: Path, tmp_path: Path) -> None:
    with tarfile.open(build(clone / "provider", "sdist", tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    alone = read_metadata(build(unpacked, "wheel", tmp_path / "alone"))
    beside = read_metadata(build(clone / "provider", "wheel", tmp_path / "beside"))
    assert alone["Version"] == VERSION
    assert alone.as_string() == beside.as_string()
