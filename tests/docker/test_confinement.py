"""What the container may do, and who may come in."""

import json
from typing import Any

import pytest

from tests.docker.stack import LOGIN, SERVER, STRAY_KEY, Stack

GIB = 1024**3


async def test_the_server_is_not_root_and_has_no_capability(stack: Stack) -> None:
    assert (await stack.inside("id", "-u")).strip() == "1000"
    statuses = await stack.inside("sh", "-c", f"{SERVER}; cat /proc/1/status /proc/$pid/status")
    for line in (
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Uid:\t1000\t1000\t1000\t1000",
    ):
        assert statuses.count(line) == 2


@pytest.mark.parametrize("place", ["/", "/etc", "/opt/claude-max/bin", "/home", "/usr/local/bin", "/workspace"])
async def test_it_can_write_nowhere_but_in_its_volume_and_in_memory(stack: Stack, place: str) -> None:
    done = await stack.attempt("docker", "exec", "--user", "root", stack.container, "touch", f"{place}/written")
    assert done.code != 0 and "Read-only file system" in done.err
    await stack.inside("sh", "-c", "touch /tmp/written ~/written && rm /tmp/written ~/written")


async def test_nothing_can_be_run_from_its_temporary_folder(stack: Stack) -> None:
    done = await stack.attempt("docker", "exec", stack.container, "sh", "-c", "cp /bin/true /tmp/true; /tmp/true")
    assert done.code == 126 and "Permission denied" in done.err
    await stack.inside("rm", "/tmp/true")


async def test_limits_are_in_force(stack: Stack) -> None:
    host: dict[str, Any] = (await stack.inspect())["HostConfig"]
    assert (host["Memory"], host["PidsLimit"]) == (3 * GIB, 512)
    assert host["ReadonlyRootfs"] is True and host["CapDrop"] == ["ALL"] and host["Privileged"] is False
    assert host["Init"] is True, "what the CLI leaves behind is reaped"
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}
    limits = await stack.inside(
        "sh", "-c", "cd /sys/fs/cgroup; cat memory.max pids.max || cat */*.limit_in_bytes */pids.max"
    )
    assert {str(3 * GIB), "512"} <= set(limits.split())


async def test_only_this_machine_reaches_it(stack: Stack) -> None:
    published: dict[str, list[dict[str, str]]] = (await stack.inspect())["NetworkSettings"]["Ports"]
    assert [[binding["HostIp"] for binding in bindings] for bindings in published.values()] == [["127.0.0.1"]]


async def test_a_stranger_learns_that_it_is_alive_and_nothing_else(stack: Stack) -> None:
    async with stack.http() as http:
        health = await http.get("/health")
        refused = [
            await http.get("/"),
            await http.post("/claude", json={"prompt": "hello"}),
            await http.post("/mcp", json={}),
            await http.get("/health", headers={"Authorization": "Bearer wrong"}),
        ]
    assert health.status_code == 200
    assert health.json().keys() == {"status", "claude_cli", "workspace_root", "purpose", "message"}
    assert [reply.status_code for reply in refused] == [401, 401, 401, 401]


async def test_who_knows_the_token_gets_answers(stack: Stack) -> None:
    async with stack.http(await stack.token()) as http:
        health = await http.get("/health")
        answer = await http.post("/claude", json={"prompt": "Test direct API access", "model": "sonnet", "timeout": 60})
    assert health.json()["billed_to"] == "subscription"
    assert answer.json()["success"] is True and "You said: Test direct API access" in answer.json()["response"]
    assert (await stack.ask(prompt="hello")).response.endswith("You said: hello")


ASK = """
import json, sys, urllib.request
request = urllib.request.Request("http://claude-api:47291/health", headers=json.loads(sys.argv[1]))
try:
    print(urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.mark.parametrize(("headers", "status"), [({}, "200"), ({"Host": "evil.example"}, "421")])
async def test_another_service_reaches_it_by_its_name_only(stack: Stack, headers: dict[str, str], status: str) -> None:
    said = await stack.run("docker", "compose", "exec", "-T", "upstream", "python", "-c", ASK, json.dumps(headers))
    assert said.strip() == status


async def test_the_workspace_is_read_and_its_credentials_are_not(stack: Stack) -> None:
    (stack.folder / "notes.txt").write_text("the needle\n")
    (stack.folder / ".env").chmod(0o644)
    found = await stack.ask(prompt='Call Grep {"pattern": "the needle", "output_mode": "content"}', workspace="read")
    assert "notes.txt:1:the needle" in found.response
    denied = await stack.ask(prompt='Call Read {"file_path": "/workspace/.env"}', workspace="read")
    assert "denied" in denied.response and LOGIN not in denied.response


async def test_a_key_in_the_settings_file_pays_for_nothing(stack: Stack) -> None:
    environment = await stack.inside("env")
    assert f"CLAUDE_CODE_OAUTH_TOKEN={LOGIN}" in environment and STRAY_KEY not in environment
    assert json.loads(await stack.inside("claude", "auth", "status"))["authMethod"] == "oauth_token"


async def test_the_logs_hold_no_secret(stack: Stack) -> None:
    await stack.ask(prompt="hello")
    logs = await stack.attempt("docker", "compose", "logs", "claude-api")
    assert "claude-max serves MCP at" in logs.out
    for secret in (await stack.token(), LOGIN, STRAY_KEY):
        assert secret not in logs.out + logs.err


async def test_the_image_holds_no_secret_and_no_tool_of_ours(stack: Stack) -> None:
    layers = await stack.run("docker", "history", "--no-trunc", stack.name)
    image = await stack.run("docker", "image", "inspect", stack.name)
    assert "sk-ant-" not in layers + image
    held = await stack.run("docker", "run", "--rm", "--network", "none", stack.name, "python", "-c", INSTALLED)
    locked = (stack.folder / "requirements-server.lock").read_text()
    assert {"claude-max-mcp", "claude-agent-sdk", "uvicorn"} <= set(held.split())
    assert {name for name in held.split() if f"\n{name}==" not in locked} == {"claude-max-mcp"}
    assert not {"pip", "hatchling", "pytest", "ruff", "pyright"} & set(held.split())
    left = await stack.run("docker", "run", "--rm", "--network", "none", stack.name, "ls", "-A", "/home/claude")
    assert left == ""


INSTALLED = """
import re
from importlib.metadata import distributions
print(*sorted({re.sub("[-_.]+", "-", each.metadata["Name"]).lower() for each in distributions()}))
"""
