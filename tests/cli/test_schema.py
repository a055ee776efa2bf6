"""Structured output: the CLI offers a tool for it, checks its input, and says what it accepted."""

from typing import Any

from claude_max_mcp.engine.fold import STRUCTURED_OUTPUT
from claude_max_mcp.standin import Reply, Text, ToolUse
from tests.cli.bare import Bare, ask, initialize

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FITTING = Reply(content=(ToolUse(STRUCTURED_OUTPUT, {"city": "Oslo"}),))


async def test_the_run_ends_with_the_call_and_the_result_holds_the_output(bare: Bare) -> None:
    bare.upstream.enqueue(FITTING)
    async with bare.running() as worker:
        await initialize(worker, jsonSchema=SCHEMA)
        run = await ask(worker)
    assert (run.result.is_error, run.result.structured_output) == (False, {"city": "Oslo"})
    assert len(bare.upstream.requests) == 1


async def test_an_input_that_does_not_fit_goes_back_to_claude_as_an_error(bare: Bare) -> None:
    bare.upstream.enqueue(Reply(content=(ToolUse(STRUCTURED_OUTPUT, {"town": 1}),)), FITTING)
    async with bare.running() as worker:
        await initialize(worker, jsonSchema=SCHEMA)
        run = await ask(worker)
    assert run.result.structured_output == {"city": "Oslo"}
    (returned,) = bare.arrived[-1]["content"]
    assert returned["is_error"] is True and "does not match" in returned["content"]


async def test_an_answer_without_the_call_is_insisted_on_once_and_ends_without_output(bare: Bare) -> None:
    bare.upstream.script(lambda _: Reply(content=(Text("Oslo"),)))
    async with bare.running() as worker:
        await initialize(worker, jsonSchema=SCHEMA)
        run = await ask(worker)
    assert (run.result.is_error, run.result.structured_output) == (False, None)
    assert len(bare.upstream.requests) == 2
    assert STRUCTURED_OUTPUT in bare.upstream.requests[1].last_text
