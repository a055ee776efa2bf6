"""The main job, shown: agents ask through MCP and the real CLI. Only the model is a stand-in, and it says so.

In: a console. Out: what happened, as a person reads it. It needs the provider, which the server alone does not have.
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

import anyio
from rich.console import Console
from rich.panel import Panel

if TYPE_CHECKING:
    from pydantic_ai import Agent

from claude_max_mcp.errors import ServiceError
from claude_max_mcp.front.http import served
from claude_max_mcp.front.listener import bind
from claude_max_mcp.service.service import Service
from claude_max_mcp.settings import Settings, make_cli_environment
from claude_max_mcp.standin import Failure, Recorded, Reply, StandIn, Text, usage_limit

DEADLINE = 60.0
"""Seconds that the whole demo may take."""


async def show_demo(out: Console) -> None:
    """Run the demo.

    Raises:
        ServiceError: the provider is not installed.
        TimeoutError: it took longer than `DEADLINE`.
    """
    if find_spec("pydantic_ai_claude_max") is None:
        raise ServiceError(
            "internal",
            "The demo needs the provider: pip install pydantic-ai-claude-max (here: pip install -e ./provider).",
        )

    began = perf_counter()
    with anyio.fail_after(DEADLINE):
        async with StandIn.running() as standin, _server(standin) as (url, service):
            standin.script(_answer)
            cli = (await service.health()).cli_version
            out.print(
                Panel(
                    f"Real: the official claude CLI {cli}, the MCP server at {url}, Pydantic AI.\n"
                    "[bold]Stand-in: only the model.[/] Its answers are canned; nothing leaves this machine."
                )
            )
            await _show_answer(out, url)
            await _show_stream(out, url)
            await _show_parallel(out, url)
            await _show_typed_error(out, url)
            out.print(
                f"The CLI sent {len(standin.requests)} requests upstream, {len(standin.others)} of any other kind."
            )
    out.print(f"[green]All of it worked[/], in {perf_counter() - began:.1f} s.")
    out.print("Next, with your own subscription: `claude-max login`, then `claude-max serve`.")


def _answer(request: Recorded) -> Reply | Failure:
    if "limit" in request.last_text:
        return usage_limit()
    return Reply(content=(Text(f"(stand-in) A canned answer to: {request.last_text}"),), pace=0.03)


@asynccontextmanager
async def _server(standin: StandIn) -> AsyncGenerator[tuple[str, Service]]:
    """A server on a free port whose CLI talks to the stand-in."""
    settings = Settings(port=0, upstream_url=standin.url, token=None, billing="subscription")
    listener = bind("127.0.0.1", 0)
    with TemporaryDirectory(prefix="claude-max-demo-") as home:
        inherited = {k: v for k, v in make_cli_environment(settings).items() if not k.startswith("CLAUDE_")}
        environment = {**inherited, "HOME": home, "CLAUDE_CODE_OAUTH_TOKEN": "demo"}
        own = settings.model_copy(update={"state_dir": Path(home, "state")})
        async with Service.running(own, environment) as service, served(service, listener):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", service


async def _show_answer(out: Console, url: str) -> None:
    agent = _make_agent(url)
    began = perf_counter()
    result = await agent.run("What is the capital of France?")
    out.print(f"[bold]1. One answer[/] ({_measure_ms(began)})\n   {result.output}")
    usage = result.usage
    out.print(f"   answered by {result.response.model_name}: {usage.input_tokens} tokens in, {usage.output_tokens} out")


async def _show_stream(out: Console, url: str) -> None:
    began = perf_counter()
    out.print("[bold]2. A streamed answer[/]\n   ", end="")
    async with _make_agent(url).run_stream("Count to three, slowly.") as stream:
        pieces = 0
        async for piece in stream.stream_text(delta=True, debounce_by=None):
            pieces += 1
            out.print(piece, end="", markup=False, highlight=False)
    out.print(f"\n   {pieces} pieces in {_measure_ms(began)}")


async def _show_parallel(out: Console, url: str) -> None:
    began = perf_counter()
    answers: dict[int, str] = {}

    async def ask(number: int) -> None:
        answers[number] = (await _make_agent(url).run(f"Task {number}: analyse this.")).output

    async with anyio.create_task_group() as tasks:
        for number in (1, 2, 3):
            tasks.start_soon(ask, number)
    out.print(f"[bold]3. Three agents in parallel[/] ({_measure_ms(began)})")
    for number, answer in sorted(answers.items()):
        out.print(f"   {number}: {answer}")


async def _show_typed_error(out: Console, url: str) -> None:
    from pydantic_ai.exceptions import ModelRateLimitError

    try:
        await _make_agent(url).run("Run into the limit.")
    except ModelRateLimitError as error:
        out.print(f"[bold]4. A typed error[/]: {type(error).__name__}, retry after {error.retry_after} s")
    else:
        out.print("[red]4. The usage limit was not reported[/]")
        sys.exit(1)


def _make_agent(url: str) -> "Agent[None, str]":
    from pydantic_ai import Agent

    from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider

    return Agent(ClaudeMaxModel("sonnet", provider=ClaudeMaxProvider(base_url=url)))


def _measure_ms(began: float) -> str:
    return f"{(perf_counter() - began) * 1000:.0f} ms"
