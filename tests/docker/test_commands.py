"""The commands of the documents, as they are typed; only names and the port are the run's own."""

import json
import os
import pty
import re
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tests.docker.stack import BUILD_SECONDS, LOGIN, ROOT, Stack

CREDENTIALS = {
    "claudeAiOauth": {
        "accessToken": "sk-ant-oat01-kept",
        "refreshToken": "sk-ant-ort01-kept",
        "expiresAt": 4102444800000,
        "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
    }
}
"""What `claude auth login` leaves in the volume, invented."""


async def test_the_compose_file_says_by_itself_what_the_documents_say(stack: Stack, tmp_path: Path) -> None:
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    alone = replace(stack, folder=tmp_path)
    config = ("docker", "compose", "config", "--format", "json")
    described = json.loads(await alone.run(*config, COMPOSE_FILE="docker-compose.yml", COMPOSE_PROJECT_NAME=""))
    service = described["services"]["claude-api"]
    assert (described["name"], service["container_name"]) == ("claude-max", "claude-max-api")
    (port,) = service["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "47291", 47291)
    assert described["volumes"] == {"claude_auth": {"name": "claude-max_claude_auth"}}
    (workspace,) = [mount for mount in service["volumes"] if mount["target"] == "/workspace"]
    assert (workspace["source"], workspace["read_only"]) == (str(tmp_path), True)


async def test_docker_ps_shows_it_healthy(stack: Stack) -> None:
    shown = await stack.run("docker", "ps", "--filter", f"name={stack.container}", "--format", "{{.Status}}")
    assert "(healthy)" in shown


async def test_claude_can_be_asked_in_the_container(stack: Stack) -> None:
    said = await stack.run("docker", "exec", stack.container, "claude", "--print", "--model", "sonnet", "test")
    assert "This is the stand-in" in said and said.strip().endswith("test")


async def test_health_is_asked_by_curl_without_a_token(stack: Stack) -> None:
    port = (await stack.root()).rpartition(":")[2]
    said = json.loads(await stack.run("curl", "--silent", "--max-time", "10", f"http://localhost:{port}/health"))
    assert (said["status"], said["claude_cli"], said["workspace_root"]) == ("healthy", "available", "/workspace")
    assert said["message"] == "Service ready"


async def test_the_logs_say_where_it_serves(stack: Stack) -> None:
    assert "claude-max serves MCP at" in await stack.run("docker", "compose", "logs", "claude-api")


async def test_claude_max_works_in_the_container_too(stack: Stack) -> None:
    assert re.search(r"paid by\s+subscription", await stack.inside("claude-max", "status"))
    assert "You said: hello" in await stack.inside("claude-max", "ask", "hello")


@asynccontextmanager
async def terminal(stack: Stack, *command: str) -> AsyncGenerator[int]:
    """A command in a terminal; what it shows can be read from the descriptor given."""
    ours, theirs = pty.openpty()
    try:
        environment = stack.environment | {"TERM": "xterm"}
        async with await anyio.open_process(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        ) as process:
            try:
                yield ours
            finally:
                process.kill()
    finally:
        os.close(ours)
        os.close(theirs)


async def test_setup_token_leads_through_its_dialogue(stack: Stack) -> None:
    shown = b""
    async with terminal(stack, "docker", "exec", "-it", stack.container, "claude", "setup-token") as screen:
        with anyio.fail_after(30):
            while b"claude.ai/oauth/authorize" not in shown or b"Paste" not in shown:
                await anyio.wait_readable(screen)
                shown += os.read(screen, 65536)
    # Its terminal is gone, but the engine lets the command live on.
    await stack.inside("sh", "-c", "kill $(grep -l [s]etup-token /proc/[0-9]*/cmdline | cut -d/ -f3)")


async def sign_in(stack: Stack) -> None:
    """Leave in the volume what the CLI's own login leaves there."""
    command = f"mkdir -p .claude && echo '{json.dumps(CREDENTIALS)}' > .claude/.credentials.json"
    await stack.inside("sh", "-c", command)


async def signed_in_by(stack: Stack) -> str:
    """How the CLI is signed in when no token is in its environment."""
    status = await stack.inside("env", "-u", "CLAUDE_CODE_OAUTH_TOKEN", "claude", "auth", "status")
    return json.loads(status)["authMethod"]


async def test_who_signs_in_in_the_container_is_answered_without_a_restart(stack: Stack) -> None:
    settings = stack.folder / ".env"
    kept = settings.read_text()
    settings.write_text(kept.replace("CLAUDE_CODE_OAUTH_TOKEN", "# CLAUDE_CODE_OAUTH_TOKEN"))
    try:
        await stack.run("docker", "compose", "down", "-v")
        await stack.up()
        before = await stack.ask(prompt="hello")
        await sign_in(stack)
        after = await stack.ask(prompt="hello")
    finally:
        settings.write_text(kept)
    assert before.error and before.error.code == "not_authenticated"
    assert after.billed_to == "subscription"


async def test_a_token_in_the_settings_file_is_taken_by_the_next_up(stack: Stack) -> None:
    settings = stack.folder / ".env"
    kept = settings.read_text()
    settings.write_text(kept.replace(LOGIN, f"{LOGIN}-renewed"))
    try:
        await stack.up()
        assert f"{LOGIN}-renewed" in await stack.inside("env")
    finally:
        settings.write_text(kept)


async def test_a_rebuilt_service_has_its_login_still(stack: Stack) -> None:
    await sign_in(stack)
    before, token = (await stack.inspect())["Id"], await stack.token()
    await stack.run("docker", "compose", "down")
    await stack.run("docker", "compose", "build", within=BUILD_SECONDS)
    await stack.up()
    assert (await stack.inspect())["Id"] != before
    assert (await signed_in_by(stack), await stack.token()) == ("claude.ai", token)


@pytest.mark.parametrize("image", ["debian:trixie-slim", "the service's own"])
async def test_the_volume_is_backed_up_and_restored(stack: Stack, image: str) -> None:
    await sign_in(stack)
    answer = await stack.ask(prompt="hello")
    image = image if ":" in image else stack.name
    mounts = ("--volume", f"{stack.volume}:/data", "--volume", f"{stack.folder}:/backup")
    copy = ("docker", "run", "--rm", "--user", "root", "--network", "none", *mounts, image, "cp", "-a")
    await stack.run("docker", "compose", "down")
    await stack.run(*copy, "/data/.", "/backup/claude_auth_backup")
    await stack.run("docker", "volume", "rm", stack.volume)
    await stack.run(*copy, "/backup/claude_auth_backup/.", "/data")
    await stack.up()
    assert await signed_in_by(stack) == "claude.ai"
    again = await stack.ask(prompt="again", session_id=answer.session_id)
    assert again.session_id == answer.session_id
