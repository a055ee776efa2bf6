"""Options of a request, set on a process that runs, or where it is started."""

from pathlib import Path
from typing import Any

import pytest

from claude_max_mcp.errors import ServiceError
from tests.cli.bare import SONNET, Bare, ask, initialize

Json = dict[str, Any]
OTHER = "claude-sonnet-4-6"
SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}}


async def test_flag_settings_choose_model_effort_and_max_tokens_without_a_request_of_their_own(bare: Bare) -> None:
    chosen = {"model": OTHER, "effortLevel": "low", "env": {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "77"}}
    async with bare.running() as worker:
        await initialize(worker)
        await worker.control({"subtype": "apply_flag_settings", "settings": chosen})
        await ask(worker)
    (body,) = bare.bodies
    assert (body["model"], body["output_config"], body["max_tokens"]) == (OTHER, {"effort": "low"}, 77)


async def test_set_model_would_spend_a_request_to_see_whether_a_full_id_exists(bare: Bare) -> None:
    """The reason why `models.settings` does not use it."""
    async with bare.running() as worker:
        await initialize(worker)
        await worker.control({"subtype": "set_model", "model": OTHER})
    (body,) = bare.bodies
    assert (body["model"], body["max_tokens"]) == (OTHER, 1)


@pytest.mark.parametrize(
    ("model", "control", "sent"),
    [
        (OTHER, {"max_thinking_tokens": 0}, {"type": "disabled"}),
        ("claude-haiku-4-5", {"max_thinking_tokens": 2048}, {"type": "enabled", "budget_tokens": 2048}),
        ("claude-sonnet-4-5", {"max_thinking_tokens": 2048}, {"type": "enabled", "budget_tokens": 2048}),
        ("claude-opus-4-5", {"max_thinking_tokens": 2048}, {"type": "enabled", "budget_tokens": 2048}),
        ("claude-sonnet-4-20250514", {"max_thinking_tokens": 2048}, {"type": "enabled", "budget_tokens": 2048}),
        ("sonnet", {"thinking_display": "omitted"}, {"type": "adaptive", "display": "omitted"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_thinking_can_be_turned_off_bounded_and_shown_otherwise(
    bare: Bare, model: str, control: Json, sent: Json
) -> None:
    async with bare.running(model=model) as worker:
        await initialize(worker)
        await worker.control({"subtype": "set_max_thinking_tokens", **control})
        await ask(worker)
    assert [body["thinking"] for body in bare.bodies] == [sent]


@pytest.mark.parametrize(("model", "tokens"), [("sonnet", 0), ("sonnet", 2048), (OTHER, 2048)])
async def test_thinking_that_a_model_has_no_setting_for_stays_adaptive_without_a_word(
    bare: Bare, model: str, tokens: int
) -> None:
    """The reason why `models.thinking_budget` refuses these by name."""
    async with bare.running(model=model) as worker:
        await initialize(worker)
        await worker.control({"subtype": "set_max_thinking_tokens", "max_thinking_tokens": tokens})
        await ask(worker)
    assert [body["thinking"] for body in bare.bodies] == [{"type": "adaptive"}]


async def test_a_control_request_that_it_does_not_know_is_refused(bare: Bare) -> None:
    async with bare.running() as worker:
        with pytest.raises(ServiceError, match="nonesuch"):
            await worker.control({"subtype": "nonesuch"})


async def test_the_same_options_can_be_given_where_it_is_started(bare: Bare, tmp_path: Path) -> None:
    """For a process that goes on by itself, and cannot be told later."""
    schema = '{"type": "object", "properties": {"city": {"type": "string"}}}'
    arguments = ["--effort", "low", "--json-schema", schema, "--thinking-display", "omitted"]
    async with bare.running(*arguments, changed={"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "55"}) as worker:
        await initialize(worker)
        await ask(worker)
    body = bare.bodies[0]
    assert (body["model"], body["max_tokens"], body["output_config"]) == (SONNET, 55, {"effort": "low"})
    assert body["thinking"] == {"type": "adaptive", "display": "omitted"}
    assert [tool["input_schema"] for tool in body["tools"]] == [SCHEMA]


async def test_a_bound_of_thinking_can_be_given_where_it_is_started(bare: Bare) -> None:
    async with bare.running("--max-thinking-tokens", "2048", model="claude-haiku-4-5") as worker:
        await initialize(worker)
        await ask(worker)
    assert bare.bodies[0]["thinking"] == {"type": "enabled", "budget_tokens": 2048}
