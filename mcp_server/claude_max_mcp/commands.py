"""The command line: `claude-max`.

In: arguments and settings. Out: text for people, JSON for programs, exit codes. Each command is a few lines; what
they do is done elsewhere.
"""

import json
import os
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from claude_max_mcp.connect import Client, Server, recipes
from claude_max_mcp.errors import ClaudeMaxError
from claude_max_mcp.findings import Finding, Level
from claude_max_mcp.launch import find_cli
from claude_max_mcp.settings import Settings, cli_environment
from claude_max_mcp.tokens import with_token
from claude_max_mcp.wire import AskResult, parse_request

# What needs MCP is imported by the command that needs it: it takes more than a second, and `--help` shall not.

app = typer.Typer(
    help="Your own Claude subscription for your own programs: an MCP server around the official claude CLI.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
out = Console()
complaints = Console(stderr=True, style="red")
notes = Console(stderr=True)
COLOURS: dict[Level, str] = {"ok": "green", "warning": "yellow", "problem": "red"}

Offline = Annotated[bool, typer.Option(help="Let a stand-in answer instead of Claude. Needs no login.")]
Model = Annotated[str | None, typer.Option(help="sonnet, opus, haiku, or a full model id.")]


@app.command("serve")
def serve_command(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    transport: Annotated[Literal["http", "stdio"], typer.Option(help="How clients connect.")] = "http",
    offline: Offline = False,
) -> None:
    """Serve MCP until it is stopped."""
    from claude_max_mcp.logs import configure_logging
    from claude_max_mcp.serve import serve

    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = _settings(**given)
    configure_logging(settings.log_format, settings.log_level)
    _run(partial(serve, settings, transport, offline=offline))


@app.command("ask")
def ask_command(
    prompt: Annotated[str, typer.Argument(help="What to ask.")],
    model: Model = None,
    stream: Annotated[bool, typer.Option(help="Print the text as it comes.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole result as JSON.")] = False,
    offline: Offline = False,
) -> None:
    """Ask the running server one question."""
    arguments: dict[str, Any] = {"prompt": prompt} | ({"model": model} if model else {})
    shown: list[str] = []

    def show(text: str) -> None:
        if stream and not as_json:
            shown.append(text)
            out.print(text, end="", markup=False, highlight=False, soft_wrap=True)

    result = _run(partial(_ask_offline if offline else _ask, arguments, show))
    if as_json:
        typer.echo(result.model_dump_json(indent=2))
    elif result.success:
        typer.echo("" if shown else result.response)
    if result.error is not None:
        complaints.print(result.error.message, markup=False)
        raise typer.Exit(1)


@app.command("status")
def status_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show how the running server is."""
    from claude_max_mcp import caller

    report = _run(partial(caller.health, _url(), _token()))
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        out.print(f"[bold]{report.status}[/]: {report.message}")
        login = f"login {report.auth.state} ({report.auth.method})"
        out.print(f"claude {report.cli_version or 'missing'}, {login}, paid by {report.billed_to}")
        out.print(f"{report.in_flight} running, {report.queued} waiting, {report.pool.warm} ready")
    if report.status == "unhealthy":
        raise typer.Exit(1)


@app.command("doctor")
def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Look at the whole chain, from the CLI to the port, and say what cures what is wrong. Asks nothing of Claude."""
    from claude_max_mcp.doctor import examine

    findings = _run(partial(examine, _settings()))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            out.print(_line(finding), soft_wrap=True)
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(1)


def _line(finding: Finding) -> Text:
    cure = f" → {finding.cure}" if finding.cure else ""
    return Text.assemble((finding.level.ljust(8), COLOURS[finding.level]), finding.what, (cure, "bold"))


@app.command("connect")
def connect_command(
    client: Annotated[Client, typer.Argument(help="The client to print settings for.")],
    show_token: Annotated[bool, typer.Option(help="Put the token itself into the settings.")] = False,
) -> None:
    """Print what a client needs in order to use the server; where it belongs is said on standard error."""
    token, file = _token(), _settings().token_file
    server = Server(_url(), token is not None, token if show_token else None, file, _this_program())
    for recipe in recipes(client, server):
        notes.print(recipe.where, markup=False, highlight=False, soft_wrap=True)
        typer.echo(recipe.text)


def _this_program() -> tuple[str, ...]:
    """How to start this program from anywhere."""
    script = Path(sys.executable).with_name("claude-max")
    return (str(script),) if script.is_file() else (sys.executable, "-m", "claude_max_mcp")


@app.command("login")
def login_command(
    token: Annotated[bool, typer.Option("--token", help="Print a token for CLAUDE_CODE_OAUTH_TOKEN instead.")] = False,
) -> None:
    """Sign in with the CLI's own dialogue; it keeps the login, this program never sees it."""
    settings = _settings()
    cli = _guarded(lambda: find_cli(settings.cli_path))
    os.execve(
        cli,
        [str(cli), *(["setup-token"] if token else ["auth", "login"])],
        cli_environment(settings) | {"TERM": os.environ.get("TERM", "xterm")},
    )


@app.command("demo")
def demo_command() -> None:
    """Show the main job: agents ask through MCP and the real CLI; only the model is a stand-in."""
    from claude_max_mcp.demo import demo  # needs the provider, which a server alone does not have

    _run(partial(demo, out))


async def _ask(arguments: dict[str, Any], show: Any) -> AskResult:
    from claude_max_mcp import caller

    return await caller.ask(_url(), _token(), arguments, show)


async def _ask_offline(arguments: dict[str, Any], show: Any) -> AskResult:
    from claude_max_mcp.serve import upstream
    from claude_max_mcp.service import Service

    def on_event(event: dict[str, Any]) -> None:
        if event["type"] == "content_block_delta" and "text" in event["delta"]:
            show(event["delta"]["text"])

    settings = _settings(warm=0)
    async with (
        upstream(settings, offline=True) as (settings, environment),
        Service.running(settings, environment) as service,
    ):
        return await service.ask(parse_request(arguments), on_event)


def _settings(**given: Any) -> Settings:
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        complaints.print(f"CLAUDE_MAX_{str(first['loc'][0]).upper()}: {first['msg']}", markup=False)
        raise typer.Exit(2) from None


def _url() -> str:
    settings = _settings()
    return settings.url or f"http://127.0.0.1:{settings.port}/mcp"


def _token() -> str | None:
    token = _guarded(lambda: with_token(_settings())).token
    return token.get_secret_value() if token else None


def _run(job: Any) -> Any:
    return _guarded(lambda: anyio.run(job))


def _guarded(job: Any) -> Any:
    """Run `job`; an error of ours is one sentence and an exit code, not a traceback."""
    try:
        return job()
    except ClaudeMaxError as error:
        complaints.print(error.message, markup=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
