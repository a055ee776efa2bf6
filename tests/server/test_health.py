"""`health` says what is known, and since when; it spends nothing."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from claude_max_mcp import standin as api
from claude_max_mcp.background import beside
from claude_max_mcp.engine.account import AccountState
from claude_max_mcp.errors import AccountError, ServiceError
from claude_max_mcp.results import ErrorInfo, Health, PoolState
from claude_max_mcp.service.health import Load, describe_health
from claude_max_mcp.settings import Settings
from claude_max_mcp.standin import StandIn
from tests.house import MODERN, House, cli_environment, serving
from tests.waiting import until


async def test_a_login_is_configured_until_an_answer_proves_it(own_standin: StandIn) -> None:
    async with serving(own_standin, login=None, warm=1) as house:
        before = await house.service.health()
        assert own_standin.requests == []
        await house.ask(prompt="hello")
        after = await house.service.health()
    assert (before.status, before.auth.state, before.auth.method) == ("healthy", "configured", "oauth_token")
    assert before.auth.proven_at is None and before.billed_to == "subscription"
    assert (after.auth.state, after.auth.configured, after.auth.proven) == ("proven", True, True)
    assert after.auth.proven_at is not None
    assert after.rate_limit and after.rate_limit.windows["five_hour"].utilization == 0.12


async def test_health_over_mcp_has_the_fields_of_the_seed_and_more(house: House) -> None:
    await house.ask(prompt="hello")  # as an earlier test's failed login degrades until a request is answered
    async with Client(house.url, mode=MODERN) as client:
        result = await client.call_tool("health", {})
    health = Health.model_validate(result.structured_content)
    assert (health.status, health.claude_cli, health.message) == ("healthy", "available", "Service ready")
    assert health.purpose == "Max subscription integration via MCP"
    assert health.workspace_root is None
    assert health.cli_version == "2.1.330"
    assert health.uptime > 0 and health.in_flight == 0 and health.queued == 0


async def test_a_probe_asks_the_smallest_model_one_word(house: House) -> None:
    async with Client(house.url, mode=MODERN) as client:
        result = await client.call_tool("health", {"probe": True})
    assert Health.model_validate(result.structured_content).auth.state == "proven"
    (request,) = house.standin.requests
    assert request.body["model"] == "claude-haiku-5-5"


async def test_a_failed_login_degrades_until_a_request_is_answered(own_standin: StandIn) -> None:
    async with serving(own_standin, warm=1) as house:
        await house.ask(prompt="hello")
        own_standin.script(lambda _: api.authentication_failed())
        await house.ask(prompt="hello")
        failed = await house.service.health()
        own_standin.reset()
        await house.ask(prompt="hello")
        recovered = await house.service.health()
    assert (failed.status, failed.auth.state) == ("degraded", "configured")
    assert failed.last_error and failed.last_error.code == failed.cause == "auth_expired"
    assert (recovered.status, recovered.last_error) == ("healthy", None)


async def test_a_callers_own_mistake_says_nothing_about_the_server(house: House) -> None:
    house.standin.script(lambda _: api.invalid_request())
    await house.ask(prompt="hello")
    health = await house.service.health()
    assert health.last_error is None and health.status == "healthy"


async def test_a_missing_cli_is_unhealthy_and_requests_say_so(own_standin: StandIn, tmp_path: Path) -> None:
    async with serving(own_standin, warm=2, cli_path=tmp_path / "claude") as house:
        health = await house.service.health()
        with anyio.fail_after(60):
            result = await house.ask(prompt="hello")
        async with house.http() as http:
            reply = await http.get("/health")
    assert (health.status, health.claude_cli) == ("unhealthy", "unavailable")
    assert str(tmp_path) in health.message
    assert result.error and result.error.code == "cli_missing"
    assert reply.status_code == 503


async def test_health_is_answered_while_every_place_is_taken(own_standin: StandIn, tmp_path: Path) -> None:
    environment = cli_environment(own_standin.url, tmp_path)
    own_standin.script(lambda _: api.Reply(hold=anyio.Event()))
    async with (
        serving(own_standin, environment=environment, warm=0, concurrency=1, queue=1) as house,
        beside(partial(house.ask, prompt="first"), partial(house.ask, prompt="second")),
    ):
        await own_standin.wait_for_request()
        health = await _once_queued(house)
        third = await house.ask(prompt="third")
    assert (health.in_flight, health.queued) == (1, 1)
    assert third.error and (third.error.code, third.error.retryable) == ("busy", True)
    assert third.error.retry_after


async def _once_queued(house: House) -> Health:
    await until(lambda: house.service.report().queued)
    return house.service.report()


async def test_where_requests_do_not_go_to_anthropic_its_owner_is_told_and_no_stranger(own_standin: StandIn) -> None:
    async with (
        serving(own_standin, warm=0, upstream_url=own_standin.url, token="a token") as house,
        house.http() as http,
    ):
        owner = (await http.get("/health", headers={"authorization": "Bearer a token"})).json()
        stranger = (await http.get("/health")).json()
    assert "do not go to Anthropic" in owner["message"] and own_standin.url not in owner["message"]
    assert stranger["message"] == "Service ready"


LOGGED_IN = AccountState(cli_version="2.1.330", configured=True, billed_to="subscription")
NO_CLI = ServiceError("cli_missing", "There is none.", "Install it.")
LIMIT = ErrorInfo.from_error(AccountError("usage_limit", "It is reached.", "Wait."))
BROKEN = ErrorInfo.from_error(ServiceError("cli_missing", "It is of another machine.", "Install it."))
LATE = ErrorInfo.from_error(ServiceError("timeout", "It took too long.", "Ask for less."))
FACTS: dict[str, tuple[dict[str, Any], ServiceError | None, str, str | None, str]] = {
    "all is well": ({}, None, "healthy", None, "Service ready"),
    "no CLI": ({"cli_version": None}, NO_CLI, "unhealthy", "cli_missing", "There is none. Install it."),
    "a CLI that does not run": (
        {"cli_version": None},
        None,
        "unhealthy",
        "cli_missing",
        "The claude CLI does not run.",
    ),
    "one that a request found broken": (
        {"cli_version": None, "last_error": BROKEN},
        None,
        "unhealthy",
        "cli_missing",
        "It is of another machine. Install it.",
    ),
    "a limit": ({"last_error": LIMIT}, None, "degraded", "usage_limit", "It is reached. Wait."),
    "an error that passes": ({"last_error": LATE}, None, "healthy", None, "Service ready"),
    "no login": (
        {"configured": False, "last_error": LATE},
        None,
        "degraded",
        "not_authenticated",
        "Nobody is logged in",
    ),
    "an API key": ({"billed_to": "api_key"}, None, "degraded", "billing_guard", "An API key, not the subscription,"),
}


@pytest.mark.parametrize(("known", "missing", "status", "cause", "says"), FACTS.values(), ids=FACTS.keys())
def test_the_cause_is_the_code_of_what_keeps_it_from_being_healthy(
    known: dict[str, Any], missing: ServiceError | None, status: str, cause: str | None, says: str
) -> None:
    health = described(replace(LOGGED_IN, **known), missing=missing)
    assert (health.status, health.cause) == (status, cause)
    assert health.message.startswith(says)
    assert (health.last_error is None or health.cause != health.last_error.code) or (
        health.message == health.last_error.message
    )


def test_an_api_key_is_no_cause_where_any_payer_is_allowed() -> None:
    account = replace(LOGGED_IN, billed_to="api_key")
    assert described(account, settings=Settings(billing="any")).cause is None


def described(
    account: AccountState, *, missing: ServiceError | None = None, settings: Settings | None = None
) -> Health:
    load = Load(PoolState(size=2, warm=2, starting=0, leased=0, kept=0), in_flight=0, queued=0)
    return describe_health(settings or Settings(), account, load, missing=missing, uptime=1.0)
