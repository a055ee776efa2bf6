"""The service in numbers, as Prometheus reads them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
from prometheus_client.parser import text_string_to_metric_families

from claude_max_mcp import standin as api
from claude_max_mcp.background import beside
from claude_max_mcp.standin import Reply, StandIn
from tests.house import House, serving

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana.json"


async def scraped(house: House) -> dict[str, float]:
    """Every sample by its name and labels, as in `claude_max_workers{state=warm}`."""
    async with house.http() as http:
        reply = await http.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=")
    samples = [sample for family in text_string_to_metric_families(reply.text) for sample in family.samples]
    return {_named(sample.name, sample.labels): sample.value for sample in samples}


def _named(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name


async def test_requests_are_counted_by_model_and_outcome_with_their_times_and_tokens(own_standin: StandIn) -> None:
    async with serving(own_standin, warm=0) as house:
        await house.ask(prompt="hello", model="opus")
        own_standin.script(lambda _: api.usage_limit())
        await house.ask(prompt="hello", model="opus")
        seen = await scraped(house)
        entries = house.service.journal.entries
    opus = "model=claude-opus-5-5"
    assert seen[f"claude_max_requests_total{{{opus},outcome=answered}}"] == 1
    assert seen[f"claude_max_requests_total{{{opus},outcome=usage_limit}}"] == 1
    assert seen[f"claude_max_tokens_total{{direction=input,{opus}}}"] == entries[0].input_tokens > 0
    assert seen[f"claude_max_tokens_total{{direction=output,{opus}}}"] == entries[0].output_tokens > 0
    assert entries[0].first_text_ms is not None
    assert seen[f"claude_max_first_text_seconds_sum{{{opus}}}"] == entries[0].first_text_ms / 1000
    assert seen[f"claude_max_answer_seconds_sum{{{opus}}}"] == entries[0].duration_ms / 1000
    assert seen[f"claude_max_answer_seconds_count{{{opus}}}"] == 1, "a failure is no answer"


async def test_the_usage_windows_are_those_that_anthropic_reported(own_standin: StandIn) -> None:
    async with serving(own_standin, warm=0) as house:
        before = await scraped(house)
        result = await house.ask(prompt="hello")
        seen = await scraped(house)
    assert not [name for name in before if name.startswith("claude_max_usage")], "nothing is made up"
    assert result.rate_limit and result.rate_limit.windows
    for name, window in result.rate_limit.windows.items():
        assert seen[f"claude_max_usage_ratio{{window={name}}}"] == window.utilization
        assert seen[f"claude_max_usage_reset_timestamp_seconds{{window={name}}}"] == window.resets_at


async def test_what_runs_and_what_waits_is_read_at_the_moment_of_looking(own_standin: StandIn) -> None:
    own_standin.script(lambda _: Reply(hold=anyio.Event()))
    async with serving(own_standin, warm=0, concurrency=1) as house:
        with anyio.fail_after(60):
            async with beside(lambda: house.ask(prompt="one"), lambda: house.ask(prompt="two")):
                await own_standin.wait_for_request()
                while not (seen := await scraped(house))["claude_max_queued"]:
                    await anyio.lowlevel.checkpoint()
    assert (seen["claude_max_in_flight"], seen["claude_max_queued"]) == (1, 1)
    assert seen["claude_max_workers{state=leased}"] == seen["claude_max_worker_starts_total"] == 1
    assert seen["claude_max_status{status=healthy}"] == 1


async def test_models_that_callers_invent_do_not_grow_the_metrics(own_standin: StandIn) -> None:
    own_standin.script(lambda _: api.model_not_found("invented"))
    async with serving(own_standin, warm=0) as house:
        for name in ("invented-1", "invented-2"):
            await house.ask(prompt="hello", model=name)
        seen = await scraped(house)
    assert seen["claude_max_requests_total{model=other,outcome=model_not_found}"] == 2
    assert not [name for name in seen if "invented" in name]


async def test_two_services_in_one_process_count_for_themselves(own_standin: StandIn) -> None:
    async with serving(own_standin, warm=0) as one, serving(own_standin, warm=0) as other:
        await one.ask(prompt="hello")
        assert [name for name in await scraped(one) if name.startswith("claude_max_requests")]
        assert not [name for name in await scraped(other) if name.startswith("claude_max_requests")]


async def test_metrics_need_the_token_where_there_is_one(own_standin: StandIn) -> None:
    async with serving(own_standin, warm=0, token="let-me-in") as house, house.http() as http:
        refused = await http.get("/metrics")
        let_in = await http.get("/metrics", headers={"authorization": "Bearer let-me-in"})
    assert (refused.status_code, let_in.status_code) == (401, 200)
    assert "claude_max_" not in refused.text


def expressions(panel: Any) -> Iterator[str]:
    """Every query in a dashboard, however deep."""
    match panel:
        case {"expr": str(expression)}:
            yield expression
        case dict():
            yield from (found for part in panel.values() for found in expressions(part))  # pyright: ignore[reportUnknownVariableType]
        case list():
            yield from (found for part in panel for found in expressions(part))  # pyright: ignore[reportUnknownVariableType]
        case _:
            pass


async def test_every_metric_of_the_dashboard_and_of_the_readme_exists(own_standin: StandIn) -> None:
    async with serving(own_standin, warm=0) as house:
        await house.ask(prompt="hello")
        exist = {name.partition("{")[0] for name in await scraped(house)}
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    shown = {name for query in expressions(dashboard) for name in re.findall(r"claude_max_\w+", query)}
    assert shown and shown <= exist
    readme = (DASHBOARD.parents[1] / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"claude_max_\w+", readme.partition("## Observe")[2].partition("\n## ")[0]))
    bases = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in exist}
    assert told == bases - {re.sub(r"_total$", "", name) for name in bases if name.endswith("_total")}
