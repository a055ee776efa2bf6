"""Settings and defaults that documents, containers and catalogues state: all are those of `Settings`."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_max_mcp.settings import Settings
from pydantic_ai_claude_max._client import DEFAULT_URL

ROOT = Path(__file__).parents[1]
PREFIX = "CLAUDE_MAX_"
FIELDS = Settings.model_fields
DEFAULTS = {name: field.get_default(call_default_factory=True) for name, field in FIELDS.items()}
PORT = str(DEFAULTS["port"])

IN_WORDS = {
    "url": f"`{DEFAULT_URL}`",
    "upstream_url": "Anthropic's",
    "cli_path": "the bundled one",
    "state_dir": "`~/.local/state/claude-max`",
}
"""Defaults that the table in the documents puts in words."""

COMPOSE_ONLY = {"image", "proxy_image", "replicas"}
"""Variables with our prefix that `deploy/compose.replicas.yml` reads itself."""

CHOSEN = {"host", "token_file", "login_file", "state_dir", "workspace_root", "allowed_hosts", "memory"}
"""Settings that the containers' files set to something else than the default: addresses, paths, a limit."""

STATING = (
    "*.md",
    "docs/**/*.md",
    "deploy/**/*",
    "docker/*",
    "Dockerfile",
    "docker-compose.yml",
    "server.json",
    "Makefile",
)
CODE = ("mcp_server/**/*.py", "mcp_server/**/*.html", "provider/**/*.py", "provider/*.md", "examples/*.py")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


MANIFESTS: list[dict[str, Any]] = [*yaml.safe_load_all(read("deploy/kubernetes.yaml"))]
(_DEPLOYMENT,) = (manifest for manifest in MANIFESTS if manifest["kind"] == "Deployment")
(CONTAINER,) = _DEPLOYMENT["spec"]["template"]["spec"]["containers"]


def write_default(name: str) -> str:
    """The default of a setting as the documents write it."""
    if name in IN_WORDS:
        return IN_WORDS[name]
    match DEFAULTS[name]:
        case None | ():
            return "none"
        case bool(flag):
            return f"{flag:d}"
        case float(number):
            return f"{number:g}"
        case value:
            return str(value)


def find_rows() -> Iterator[tuple[str, str]]:
    """The settings in the documents' table, and the default beside each."""
    texts = [path.read_text(encoding="utf-8") for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))]
    (table,) = [match[1] for text in texts for match in re.finditer(r"^\| variable \|.*\n((?:\|.*\n)+)", text, re.M)]
    for variables, default in re.findall(rf"^\| (`{PREFIX}.*?) \| (.*?) \| ", table, re.M):
        names = re.findall(rf"{PREFIX}(\w+)", variables)
        defaults = default.split(", ") if ", " in default else [default] * len(names)
        yield from zip(map(str.lower, names), defaults, strict=True)


def resolve(value: object) -> str:
    """A value of a Compose file where none of the variables in it is set."""
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(value))


def read_environments() -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each file that sets variables for a server, and those variables."""
    yield "Dockerfile", dict(re.findall(rf"\b({PREFIX}\w+)=(\S+)", read("Dockerfile")))
    for name in ("docker-compose.yml", "deploy/compose.replicas.yml"):
        yield name, yaml.safe_load(read(name))["services"]["claude-api"]["environment"]
    yield "deploy/kubernetes.yaml", {variable["name"]: variable["value"] for variable in CONTAINER["env"]}


ENVIRONMENTS = {
    file: {name.removeprefix(PREFIX).lower(): resolve(value) for name, value in given.items() if PREFIX in name}
    for file, given in read_environments()
}


def test_the_table_has_every_setting_with_its_default() -> None:
    assert dict(find_rows()) == {name: write_default(name) for name in FIELDS}


def test_a_default_in_words_is_none_or_a_folder_of_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert [name for name in IN_WORDS if DEFAULTS[name] is not None] == ["state_dir"]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert Settings().state_dir == tmp_path / ".local" / "state" / "claude-max"


def test_every_variable_that_is_named_anywhere_exists() -> None:
    named = {
        name: path
        for pattern in (*STATING, *CODE)
        for path in ROOT.glob(pattern)
        if path.is_file()
        for name in re.findall(rf"\b{PREFIX}([A-Z_]*[A-Z])\b", path.read_text(encoding="utf-8"))
    }
    assert {"TOKEN", "PORT", "REPLICAS"} <= named.keys()
    assert {name: path for name, path in named.items() if name.lower() not in {*FIELDS, *COMPOSE_ONLY}} == {}


@pytest.mark.parametrize("file", ENVIRONMENTS)
def test_a_container_gets_values_that_the_server_takes(file: str) -> None:
    given = ENVIRONMENTS[file]
    assert given and given.keys() <= FIELDS.keys()
    Settings.model_validate(given)


@pytest.mark.parametrize("file", ENVIRONMENTS)
def test_a_container_states_the_defaults_that_it_does_not_change(file: str) -> None:
    stated = {name: value for name, value in ENVIRONMENTS[file].items() if name not in CHOSEN}
    assert stated == {name: write_default(name) for name in stated}


def find_ports() -> Iterator[tuple[str, list[str]]]:
    """Each file that names the server's port, and the ports that it names."""
    yield "Dockerfile", re.findall(r"^EXPOSE (\d+)", read("Dockerfile"), re.M)
    compose: dict[str, Any] = yaml.safe_load(read("docker-compose.yml"))["services"]["claude-api"]
    yield "docker-compose.yml", [resolve(port[end]) for port in compose["ports"] for end in ("published", "target")]
    replicas: dict[str, Any] = yaml.safe_load(read("deploy/compose.replicas.yml"))["services"]["proxy"]
    yield "deploy/compose.replicas.yml", [end for port in replicas["ports"] for end in resolve(port).split(":")[1:]]
    services = [manifest["spec"] for manifest in MANIFESTS if manifest["kind"] == "Service"]
    ports = [port["port"] for spec in services for port in spec["ports"]]
    yield "deploy/kubernetes.yaml", [str(port) for port in (*ports, CONTAINER["ports"][0]["containerPort"])]
    yield "deploy/nginx.conf", re.findall(r"^ *(?:listen|server)\b[^;]*?\b(\d{5})\b", read("deploy/nginx.conf"), re.M)
    yield "docker/alive.py", re.findall(r"^PORT = (\d+)", read("docker/alive.py"), re.M)


PORTS = dict(find_ports())


@pytest.mark.parametrize("file", PORTS)
def test_the_port_is_the_servers(file: str) -> None:
    assert {*PORTS[file]} == {PORT}


def test_the_catalogues_state_the_defaults() -> None:
    (package,) = json.loads(read("server.json"))["packages"]
    manifest = json.loads(read("deploy/mcpb/manifest.json"))
    asked = manifest["user_config"]
    stated = {variable["name"]: variable.get("default", "") for variable in package["environmentVariables"]}
    assert stated == {
        variable: asked[used.removeprefix("${user_config.").removesuffix("}")]["default"]
        for variable, used in manifest["server"]["mcp_config"]["env"].items()
    }
    for variable, default in stated.items():
        assert default == (DEFAULTS.get(variable.removeprefix(PREFIX).lower()) or ""), variable


def test_every_file_promises_the_same_versions_of_python() -> None:
    wanted = {
        tomllib.loads(read(name))["project"]["requires-python"]
        for name in ("pyproject.toml", "provider/pyproject.toml", "deploy/mcpb/pyproject.toml")
    }
    wanted.add(json.loads(read("deploy/mcpb/manifest.json"))["compatibility"]["runtimes"]["python"])
    assert len(wanted) == 1
