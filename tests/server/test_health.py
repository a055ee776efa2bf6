"""`health` says what is known, and since when; it spends nothing."""

from functools import partial
from pathlib import Path

import anyio
from mcp import Client

from claude_max_mcp import standin as api
from claude_max_mcp.background import beside
from claude_max_mcp.standin import StandIn
from claude_max_mcp.wire import Health
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
    assert failed.last_error and failed.last_error.code == "auth_expired"
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
        await own_standin.arrived()
        health = await _once_queued(house)
        third = await house.ask(prompt="third")
    assert (health.in_flight, health.queued) == (1, 1)
    assert third.error and (third.error.code, third.error.retryable) == ("busy", True)
    assert third.error.retry_after


async def _once_queued(house: House) -> Health:
    await until(lambda: house.service.state().queued)
    return house.service.state()


async def test_where_requests_do_not_go_to_anthropic_its_owner_is_told_and_no_stranger(own_standin: StandIn) -> None:
    async with (
        serving(own_standin, warm=0, upstream_url=own_standin.url, token="a token") as house,
        house.http() as http,
    ):
        owner = (await http.get("/health", headers={"authorization": "Bearer a token"})).json()
        stranger = (await http.get("/health")).json()
    assert "do not go to Anthropic" in owner["message"] and own_standin.url not in owner["message"]
    assert stranger["message"] == "Service ready"
