"""The subscription pays, or nothing is sent."""

from pathlib import Path
from typing import Any

import pytest

from claude_max_mcp.settings import Settings
from claude_max_mcp.settings import make_cli_environment as inherited_environment
from claude_max_mcp.standin import StandIn
from tests.house import cli_environment, serving, store_login

KEY = "sk-ant-api03-invented"


async def test_a_cli_that_would_bill_an_api_key_is_refused_and_upstream_sees_nothing(
    own_standin: StandIn, tmp_path: Path
) -> None:
    environment = cli_environment(own_standin.url, tmp_path, ANTHROPIC_API_KEY=KEY)
    async with serving(own_standin, environment=environment, warm=1) as house:
        result = await house.ask(prompt="hello", model="claude-sonnet-4-6", output_config={"effort": "low"})
        health = await house.service.health()
    assert result.error and result.error.code == "billing_guard"
    assert "ANTHROPIC_API_KEY" in result.error.message and KEY not in result.model_dump_json()
    assert own_standin.requests == []
    assert (health.status, health.billed_to) == ("degraded", "api_key")


async def test_any_payer_is_allowed_when_the_owner_says_so_and_the_result_names_it(
    own_standin: StandIn, tmp_path: Path
) -> None:
    environment = cli_environment(own_standin.url, tmp_path, ANTHROPIC_API_KEY=KEY)
    async with serving(own_standin, environment=environment, warm=0, billing="any") as house:
        result = await house.ask(prompt="hello")
    assert result.success and result.billed_to == "api_key"
    assert own_standin.requests[0].headers["x-api-key"] == KEY


async def test_without_a_login_nothing_is_sent_and_the_caller_hears_how_to_log_in(
    own_standin: StandIn, tmp_path: Path
) -> None:
    environment = cli_environment(own_standin.url, tmp_path)
    del environment["CLAUDE_CODE_OAUTH_TOKEN"]
    async with serving(own_standin, environment=environment, warm=0) as house:
        result = await house.ask(prompt="hello")
        health = await house.service.health()
    assert result.error and (result.error.code, result.error.status) == ("not_authenticated", 401)
    assert "authentication" in result.error.message and "claude-max login" in result.error.message
    assert own_standin.requests == []
    assert (health.status, health.auth.state) == ("degraded", "none")


HELLO: dict[str, Any] = {"prompt": "hello"}
HISTORY: dict[str, Any] = {"messages": [{"role": role, "content": "hi"} for role in ("user", "assistant", "user")]}


@pytest.mark.parametrize(
    ("plan", "arguments"),
    [("pro", HELLO), ("max", HELLO), ("team", HELLO), ("enterprise", HELLO), ("max", HISTORY)],
)
async def test_a_login_that_the_clis_own_dialogue_stored_is_a_subscription(
    own_standin: StandIn, tmp_path: Path, plan: str, arguments: dict[str, Any]
) -> None:
    store_login(tmp_path, "sk-ant-oat01-stored", plan)
    environment = cli_environment(own_standin.url, tmp_path)
    del environment["CLAUDE_CODE_OAUTH_TOKEN"]
    async with serving(own_standin, environment=environment, warm=0) as house:
        before = await house.service.health()
        result = await house.ask(**arguments)
        after = await house.service.health()
    assert (result.success, result.billed_to) == (True, "subscription")
    assert own_standin.requests[0].headers["authorization"] == "Bearer sk-ant-oat01-stored"
    assert before.auth.method == after.auth.method == "claude.ai"
    assert (before.status, before.auth.state) == ("healthy", "configured")
    assert (after.status, after.auth.state) == ("healthy", "proven")


async def test_a_kept_login_without_a_subscription_is_refused(own_standin: StandIn, tmp_path: Path) -> None:
    store_login(tmp_path, "sk-ant-oat01-kept", None)
    environment = cli_environment(own_standin.url, tmp_path)
    del environment["CLAUDE_CODE_OAUTH_TOKEN"]
    async with serving(own_standin, environment=environment, warm=0) as house:
        result = await house.ask(prompt="hello")
    assert result.error and result.error.code == "billing_guard" and "Claude API" in result.error.message
    assert own_standin.requests == []


def test_an_api_key_of_the_server_never_reaches_the_cli(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_USE_BEDROCK"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.setenv("CLAUDECODE", "1")
    monkeypatch.setenv("CLAUDE_CODE_ENTRYPOINT", "cli")
    monkeypatch.setenv("CLAUDE_MAX_TOKEN", "secret")
    monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-invented")
    environment = inherited_environment(Settings())
    assert KEY not in environment.values()
    assert not environment.keys() & {"CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_MAX_TOKEN"}
    assert environment["CLAUDE_CODE_OAUTH_TOKEN"] == "sk-ant-oat01-invented"


def test_with_any_payer_every_login_of_the_cli_stays_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_USE_BEDROCK", "AWS_PROFILE")
    for name in names:
        monkeypatch.setenv(name, "x")
    assert inherited_environment(Settings(billing="any")).keys() >= set(names)


async def test_a_stored_login_without_a_plan_is_none(own_standin: StandIn, tmp_path: Path) -> None:
    environment = cli_environment(own_standin.url, tmp_path)
    del environment["CLAUDE_CODE_OAUTH_TOKEN"]
    store_login(tmp_path, "sk-ant-oat01-stored", "free")
    async with serving(own_standin, environment=environment, warm=0) as house:
        before = await house.service.health()
        result = await house.ask(prompt="hello")
    assert (before.status, before.billed_to) == ("degraded", "api_key")
    assert result.error and result.error.code == "billing_guard" and "Claude API" in result.error.message
    assert own_standin.requests == []


async def test_beside_a_stored_login_an_api_key_is_refused_all_the_same(own_standin: StandIn, tmp_path: Path) -> None:
    environment = cli_environment(own_standin.url, tmp_path, ANTHROPIC_API_KEY=KEY)
    del environment["CLAUDE_CODE_OAUTH_TOKEN"]
    store_login(tmp_path, "sk-ant-oat01-stored")
    async with serving(own_standin, environment=environment, warm=0) as house:
        result = await house.ask(prompt="hello")
    assert result.error and result.error.code == "billing_guard"
    assert own_standin.requests == []


async def test_a_login_in_a_file_is_handed_to_the_cli_unread(own_standin: StandIn, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("sk-ant-oat01-in-a-file\n")
    environment = cli_environment(own_standin.url, tmp_path)
    del environment["CLAUDE_CODE_OAUTH_TOKEN"]
    async with serving(own_standin, environment=environment, warm=1, login_file=secret) as house:
        result = await house.ask(prompt="hello")
        health = await house.service.health()
    assert (result.success, result.billed_to) == (True, "subscription")
    assert own_standin.requests[0].headers["authorization"] == "Bearer sk-ant-oat01-in-a-file"
    assert health.auth.proven


async def test_a_login_file_that_is_not_there_is_named(own_standin: StandIn, tmp_path: Path) -> None:
    environment = cli_environment(own_standin.url, tmp_path)
    async with serving(own_standin, environment=environment, warm=1, login_file=tmp_path / "missing") as house:
        result = await house.ask(prompt="hello")
    assert result.error and result.error.code == "cli_failed"
    assert str(tmp_path / "missing") in result.error.message and "setup-token" in result.error.message
