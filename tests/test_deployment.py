"""The files in `deploy/` are what their readers expect: Kubernetes' own schemas, Compose, Swarm, and our settings."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs]
import pytest
import yaml

from claude_max_mcp.settings import LOOPBACK, Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"

OLDEST, NEWEST = "1.29", "1.37"

MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.replicas.yml").read_text(encoding="utf-8"))
NGINX = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")


def of_kind(kind: str) -> Iterator[dict[str, Any]]:
    return (manifest for manifest in MANIFESTS if manifest["kind"] == kind)


@pytest.fixture
def pod() -> dict[str, Any]:
    (deployment,) = of_kind("Deployment")
    return deployment["spec"]["template"]["spec"]


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["containers"]
    return container


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize(
    "manifest", MANIFESTS, ids=lambda manifest: f"{manifest['kind']}/{manifest['metadata']['name']}"
)
def test_every_manifest_is_what_kubernetes_takes(manifest: dict[str, Any], version: str) -> None:
    assert kubernetes_validate.validate(manifest, version, strict=True) == version


def test_a_word_that_kubernetes_does_not_know_would_be_found() -> None:
    (deployment,) = deepcopy(list(of_kind("Deployment")))
    deployment["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        kubernetes_validate.validate(deployment, NEWEST, strict=True)


def test_whatever_selects_the_servers_selects_them() -> None:
    (deployment,) = of_kind("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    services = [service["spec"]["selector"] for service in of_kind("Service")]
    (policy,) = of_kind("NetworkPolicy")
    (budget,) = of_kind("PodDisruptionBudget")
    selectors = [deployment["spec"]["selector"], policy["spec"]["podSelector"], budget["spec"]["selector"]]
    for selector in (*services, *(one["matchLabels"] for one in selectors)):
        assert selector and selector.items() <= labels
    assert {manifest["metadata"].get("namespace") for manifest in MANIFESTS[1:]} == {"claude-max"}


def test_the_container_may_do_nothing_that_it_need_not(pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"]
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_nothing_secret_is_in_the_manifests(container: dict[str, Any]) -> None:
    assert list(of_kind("Secret")) == []
    values = {variable["name"]: variable["value"] for variable in container["env"]}
    for name in ("CLAUDE_MAX_LOGIN_FILE", "CLAUDE_MAX_TOKEN_FILE"):
        assert values[name].startswith("/run/secrets/claude-max/")
    assert values.keys().isdisjoint({"CLAUDE_MAX_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"})


def test_every_path_that_is_written_or_read_is_mounted(pod: dict[str, Any], container: dict[str, Any]) -> None:
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted.keys() == {volume["name"] for volume in pod["volumes"]}
    for variable in container["env"]:
        if variable["value"].startswith("/"):
            assert any(Path(variable["value"]).is_relative_to(path) for path in mounted.values()), variable


def test_the_door_knows_the_probes_and_the_services(container: dict[str, Any]) -> None:
    values = {variable["name"]: variable["value"] for variable in container["env"]}
    hosts = Settings(allowed_hosts=values["CLAUDE_MAX_ALLOWED_HOSTS"]).allowed_hosts
    for service in of_kind("Service"):
        name = service["metadata"]["name"]
        assert {name, f"{name}.claude-max", f"{name}.claude-max.svc"} <= set(hosts)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["path"] == "/health"
        (host,) = (header["value"] for header in asked["httpHeaders"] if header["name"] == "Host")
        assert host in LOOPBACK


def test_every_setting_that_is_given_exists(container: dict[str, Any]) -> None:
    given = {variable["name"] for variable in container["env"]} | COMPOSE["services"]["claude-api"][
        "environment"
    ].keys()
    ours = {name.removeprefix("CLAUDE_MAX_").lower() for name in given if name.startswith("CLAUDE_MAX_")}
    assert ours and ours <= Settings.model_fields.keys()


def test_the_compose_file_names_what_nginx_asks() -> None:
    services = COMPOSE["services"]
    assert set(re.findall(r"^\s*server ([\w.-]+):47291 ", NGINX, re.MULTILINE)) == {"claude-api"}
    assert services.keys() == {"claude-api", "proxy"}
    server, proxy = services["claude-api"], services["proxy"]
    assert "container_name" not in server and "ports" not in server
    assert [port.partition(":")[0] for port in proxy["ports"]] == ["127.0.0.1"]
    assert COMPOSE["configs"]["nginx"]["file"] == "./nginx.conf"
    assert (DEPLOY / "nginx.Dockerfile").is_file()


READERS = [
    ["docker", "compose", "-f", "compose.replicas.yml", "config", "--quiet"],
    ["docker", "stack", "config", "-c", "compose.replicas.yml"],
]


@pytest.mark.parametrize("command", READERS, ids=["compose", "swarm"])
def test_the_compose_file_is_one(command: list[str], tmp_path: Path) -> None:
    """Neither asks an engine."""
    for name in ("compose.replicas.yml", "nginx.conf"):
        shutil.copy(DEPLOY / name, tmp_path)
    (tmp_path / "login").write_text("invented")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    plugins = Path(os.environ.get("HOME", "/")) / ".docker"
    if plugins.is_dir():
        environment["DOCKER_CONFIG"] = str(plugins)
    if shutil.which("docker") is None or not _offered(command[1], environment):
        pytest.skip(f"there is no `{' '.join(command[:2])}` here")
    assert not (complaint := _fails(command, environment, tmp_path)), complaint


def _offered(name: str, environment: dict[str, str]) -> bool:
    """Whether `docker` knows a command: of one that it does not know it shows its own help, and succeeds."""
    asked = ["docker", name, "--help"]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=30, check=False)
    return f"docker {name}" in done.stdout


def _fails(command: list[str], environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    return (done.stderr or "it failed") if done.returncode else ""
