"""Who is logged in, who pays, and what the CLI says of it without a request."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from claude_max_mcp.claude.launch import FIXED_ENVIRONMENT, find_cli
from claude_max_mcp.claude.protocol import Account
from claude_max_mcp.standin import StandIn
from tests import by_name
from tests.cli.bare import DEADLINE, Bare, Changed, ask, initialize

KEY = "sk-ant-api03-invented"
NO_TOKEN = {"CLAUDE_CODE_OAUTH_TOKEN": None}


async def status(bare: Bare, changed: Changed) -> dict[str, Any]:
    """What `claude auth status` prints."""
    launch = bare.launch(changed=changed)
    with anyio.fail_after(DEADLINE):
        done = await anyio.run_process(
            [str(launch.cli), "auth", "status"], env=dict(launch.environment), cwd=launch.folder, check=False
        )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("changed", "logged_in", "method", "provider"),
    [
        (NO_TOKEN, False, "none", "firstParty"),
        ({}, True, "oauth_token", "firstParty"),
        ({"ANTHROPIC_API_KEY": KEY}, True, "api_key", "firstParty"),
        ({**NO_TOKEN, "ANTHROPIC_AUTH_TOKEN": "invented"}, True, "oauth_token", "firstParty"),
        ({"CLAUDE_CODE_USE_BEDROCK": "1"}, True, "third_party", "bedrock"),
    ],
    ids=["none", "a token", "token and key", "another token, told as if it were a subscription's", "a cloud provider"],
)
async def test_auth_status_tells_who_is_logged_in_and_takes_an_invented_token_for_good(
    bare: Bare, changed: Changed, logged_in: bool, method: str, provider: str
) -> None:
    said = await status(bare, changed)
    assert (said["loggedIn"], said["authMethod"], said["apiProvider"]) == (logged_in, method, provider)
    assert bare.upstream.requests == [] and bare.upstream.others == []


@pytest.mark.parametrize(
    ("changed", "payer", "source"),
    [
        (NO_TOKEN, "none", None),
        ({}, "subscription", None),
        ({"ANTHROPIC_API_KEY": KEY}, "api_key", "ANTHROPIC_API_KEY"),
        ({**NO_TOKEN, "ANTHROPIC_AUTH_TOKEN": "invented"}, "api_key", None),
        ({**NO_TOKEN, "CLAUDE_CODE_USE_BEDROCK": "1"}, "api_key", None),
    ],
    ids=["none", "a token", "token and key", "another token", "a cloud provider"],
)
async def test_initialize_tells_who_would_pay(bare: Bare, changed: Changed, payer: str, source: str | None) -> None:
    async with bare.running(changed=changed) as worker:
        account: Account = (await initialize(worker)).account
    assert (account.payer, account.api_key_source) == (payer, source)
    assert bare.upstream.requests == []


async def test_an_api_key_in_the_environment_wins_over_the_token(bare: Bare) -> None:
    async with bare.running(changed={"ANTHROPIC_API_KEY": KEY}) as worker:
        await initialize(worker)
        await ask(worker)
    headers = bare.upstream.requests[0].headers
    assert headers["x-api-key"] == KEY
    assert "authorization" not in headers


async def test_a_login_is_read_from_an_open_file_that_a_variable_names(own_bare: Bare, own_standin: StandIn) -> None:
    secret = own_bare.home / "secret"
    secret.write_text("sk-ant-oat01-in-a-file\n")
    launch = replace(own_bare.launch(changed=NO_TOKEN), login_file=secret)
    async with own_bare.launched(launch) as worker:
        account = (await initialize(worker)).account
        await ask(worker)
    assert account.payer == "subscription"
    assert account.token_source == "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR"
    assert own_standin.requests[0].headers["authorization"] == "Bearer sk-ant-oat01-in-a-file"


def test_version_is_the_first_word_and_every_engine_option_that_we_set_is_known() -> None:
    """An option that the engine does not know ends the process before it says a word."""
    done = subprocess.run([find_cli(), "--version"], env=FIXED_ENVIRONMENT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[0].replace(".", "").isdigit()


async def test_an_expired_login_is_renewed_once_in_the_users_folder_by_processes_with_folders_of_their_own(
    own_bare: Bare, tmp_path: Path
) -> None:
    login = own_bare.home / ".claude"
    by_name.store_login(login, expired=True)
    async with by_name.answering_by_name(own_bare.upstream, tmp_path) as anthropic:
        without = {"ANTHROPIC_BASE_URL": None, "CLAUDE_CODE_OAUTH_TOKEN": None, "CLAUDE_CONFIG_DIR": None}
        launch = own_bare.launch(changed={**without, **anthropic.variables})

        async def hear_hello() -> None:
            async with own_bare.launched(launch) as worker:
                await initialize(worker)
                assert not (await ask(worker)).result.is_error

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(hear_hello)
    renewals = [host for _, host, path in anthropic.asked if path == "/v1/oauth/token"]
    assert renewals == ["platform.claude.com"]
    (file,) = (path for path in login.rglob("*") if path.is_file())
    assert json.loads(file.read_text())["claudeAiOauth"]["refreshToken"] == "sk-ant-ort01-1"
    bearers = {request.headers["authorization"] for request in own_bare.upstream.requests}
    assert bearers == {"Bearer sk-ant-oat01-1"} and len(own_bare.upstream.requests) == 3
