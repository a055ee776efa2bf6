"""The command line: `claude-max`.

In: arguments and settings. Out: text for people, JSON for programs, exit codes. Each command is a few lines; what
they do is done elsewhere.
"""

import json
import os
import sys
from dataclasses import asdict
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio
import typer
from rich.console import Console
from rich.text import Text

from claude_max_mcp.errors import ClaudeMaxError
from claude_max_mcp.front.connect import Client, Server, find_program, make_recipes
from claude_max_mcp.terminal import help_texts as manual
from claude_max_mcp.terminal.doctor.findings import Finding, Level
from claude_max_mcp.terminal.exit_codes import REQUEST, STOPPED, UNREAD, USAGE, to_exit_code

if TYPE_CHECKING:
    from claude_max_mcp.results import AskResult, Health
    from claude_max_mcp.settings import Settings
    from claude_max_mcp.terminal.output import Screen

# What needs pydantic or MCP is imported by the command that needs it: both take long, and neither `--help` nor the
# completion of a word shall.

MODELS = ("sonnet", "opus", "haiku")
"""What a shell completes; every full model id is taken as well."""

app = typer.Typer(
    help="Your own Claude subscription for your own programs: an MCP server around the official claude CLI.",
    epilog=manual.PROGRAM,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
out = Console()
complaints = Console(stderr=True, style="red")
notes = Console(stderr=True)
COLOURS: dict[Level, str] = {"ok": "green", "warning": "yellow", "problem": "red"}

Offline = Annotated[bool, typer.Option(help="Let a stand-in answer instead of Claude. Needs no login.")]
Model = Annotated[
    str | None,
    typer.Option(help="sonnet, opus, haiku, or a full model id.", autocompletion=lambda: list(MODELS)),
]


def _make_file_option(text: str) -> Any:
    return typer.Option(exists=True, dir_okay=False, metavar="FILE", help=text)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"claude-max {version('claude-max-mcp')}")
        raise typer.Exit


@app.callback()
def describe_program(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Your own Claude subscription for your own programs: an MCP server around the official claude CLI."""


@app.command("serve", epilog=manual.SERVE)
def serve_command(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    transport: Annotated[Literal["http", "stdio"], typer.Option(help="How clients connect.")] = "http",
    offline: Offline = False,
) -> None:
    """Serve MCP until it is stopped."""
    from claude_max_mcp.service.logs import configure_logging
    from claude_max_mcp.terminal.serve import serve

    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = _load_settings(**given)
    configure_logging(settings.log_format, settings.log_level)
    _run(partial(serve, settings, transport, offline=offline))


@app.command("ask", epilog=manual.ASK)
def ask_command(
    prompt: Annotated[str | None, typer.Argument(help="What to ask. Without it, what is piped in.")] = None,
    model: Model = None,
    system: Annotated[str | None, typer.Option(help="The system prompt.")] = None,
    session: Annotated[str | None, typer.Option(metavar="ID", help="Go on with an earlier answer.")] = None,
    image: Annotated[list[Path] | None, _make_file_option("A PNG, JPEG, GIF or WebP to show; repeatable.")] = None,
    file: Annotated[list[Path] | None, _make_file_option("A PDF or text file to send along; repeatable.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds until giving up, at most 3600.")] = None,
    stream: Annotated[bool, typer.Option(help="Print the text as it comes.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole result as JSON.")] = False,
    offline: Offline = False,
) -> None:
    """Ask the running server one question. What is piped in goes along, apart from the prompt and as it is."""
    from claude_max_mcp.terminal.output import Screen

    question = _report_errors(lambda: _read_question(prompt, image or [], file or []))
    options = {"model": model, "system": system, "session_id": session, "timeout": timeout}
    question |= {name: value for name, value in options.items() if value is not None}
    screen = Screen(notes, stream=stream and not as_json)
    result: AskResult = _run(partial(screen.follow, partial(_ask_offline if offline else _ask, question)))
    _report_errors(lambda: typer.echo(result.model_dump_json(indent=2)) if as_json else screen.show(result))
    if result.error is not None:
        complaints.print(result.error.message, markup=False, soft_wrap=True)
        raise typer.Exit(to_exit_code(result.error.code))
    if screen.is_terminal and not as_json and result.session_id:
        notes.print(
            f"To go on: claude-max ask --session {result.session_id} …", style="dim", highlight=False, soft_wrap=True
        )


def _read_question(prompt: str | None, images: list[Path], files: list[Path]) -> dict[str, Any]:
    from claude_max_mcp.terminal.ask_arguments import build_arguments, read_piped_text

    piped = read_piped_text(lambda said: notes.print(said, markup=False))
    if prompt is None and piped is None:
        raise typer.BadParameter("Say what to ask, or pipe it in.", param_hint="PROMPT")
    return build_arguments(prompt, piped, images, files)


@app.command("status", epilog=manual.STATUS)
def show_status(
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show how the running server is, and how much of the limits is used. Asks nothing of Claude."""
    from claude_max_mcp.terminal.client import fetch_health
    from claude_max_mcp.terminal.status_view import render_health

    report: Health = _run(partial(fetch_health, _find_url(), _load_token()))
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        out.print(render_health(report, datetime.now().astimezone()), soft_wrap=True)
    if report.cause is not None:
        raise typer.Exit(to_exit_code(report.cause))


@app.command("doctor", epilog=manual.DOCTOR)
def run_doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Look at the whole chain, from the CLI to the port, and say what cures what is wrong. Asks nothing of Claude."""
    from claude_max_mcp.terminal.doctor.chain import examine

    findings = _run(partial(examine, _load_settings()))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            out.print(_render_finding(finding), soft_wrap=True)
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(REQUEST)


def _render_finding(finding: Finding) -> Text:
    cure = f" → {finding.cure}" if finding.cure else ""
    return Text.assemble((finding.level.ljust(8), COLOURS[finding.level]), finding.what, (cure, "bold"))


@app.command("connect", epilog=manual.CONNECT)
def connect_command(
    client: Annotated[Client, typer.Argument(help="The client that is to use the server.")],
    write: Annotated[bool, typer.Option("--write", help="Put it there; what was there is kept beside it.")] = False,
    show_token: Annotated[bool, typer.Option(help="Put the token itself into the settings.")] = False,
) -> None:
    """Give a client what it needs in order to use the server: printed, or with --write put where it belongs."""
    token, file = _load_token(), _load_settings().token_file
    server = Server(_find_url(), token is not None, token if show_token else None, file, find_program())
    made = make_recipes(client, server)
    if write:
        from claude_max_mcp.terminal.install import place

        typer.echo(_report_errors(lambda: place(client, made[0], _load_settings(), secret=server.token is not None)))
        return
    for recipe in made:
        notes.print(recipe.where, markup=False, highlight=False, soft_wrap=True)
        typer.echo(recipe.text)
    notes.print("With --write, this command does it itself.", style="dim")


@app.command("login", epilog=manual.LOGIN)
def log_in(
    token: Annotated[bool, typer.Option("--token", help="Print a token for CLAUDE_CODE_OAUTH_TOKEN instead.")] = False,
) -> None:
    """Sign in with the CLI's own dialogue; it keeps the login, this program never sees it."""
    from claude_max_mcp.claude.launch import find_cli
    from claude_max_mcp.settings import make_cli_environment

    settings = _load_settings()
    cli = _report_errors(lambda: find_cli(settings.cli_path))
    os.execve(
        cli,
        [str(cli), *(["setup-token"] if token else ["auth", "login"])],
        make_cli_environment(settings) | {"TERM": os.environ.get("TERM", "xterm")},
    )


@app.command("demo", epilog=manual.DEMO)
def run_demo() -> None:
    """Show the main job: agents ask through MCP and the real CLI; only the model is a stand-in."""
    from claude_max_mcp.terminal.demo import show_demo  # needs the provider, which a server alone does not have

    _run(partial(show_demo, out))


async def _ask(question: dict[str, Any], screen: "Screen") -> "AskResult":
    from claude_max_mcp.terminal.client import ask

    return await ask(_find_url(), _load_token(), question, screen.take)


async def _ask_offline(question: dict[str, Any], screen: "Screen") -> "AskResult":
    from claude_max_mcp.service.service import Service
    from claude_max_mcp.terminal.serve import upstream
    from claude_max_mcp.wire import parse_request

    settings = _load_settings(warm=0)
    async with (
        upstream(settings, offline=True) as (settings, environment),
        Service.running(settings, environment) as service,
    ):
        return await service.ask(parse_request(question), screen.take)


def _load_settings(**given: Any) -> "Settings":
    from pydantic import ValidationError

    from claude_max_mcp.settings import Settings

    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        complaints.print(f"CLAUDE_MAX_{str(first['loc'][0]).upper()}: {first['msg']}", markup=False)
        raise typer.Exit(USAGE) from None


def _find_url() -> str:
    settings = _load_settings()
    return settings.url or f"http://127.0.0.1:{settings.port}/mcp"


def _load_token() -> str | None:
    from claude_max_mcp.front.tokens import load_token

    token = _report_errors(lambda: load_token(_load_settings())).token
    return token.get_secret_value() if token else None


def _run(job: Any) -> Any:
    return _report_errors(lambda: anyio.run(job))


def _report_errors(job: Any) -> Any:
    """Run `job`; an error of ours is one sentence and an exit code, not a traceback."""
    try:
        return job()
    except ClaudeMaxError as error:
        complaints.print(error.message, markup=False, soft_wrap=True)
        raise typer.Exit(to_exit_code(error.code)) from None
    except KeyboardInterrupt:
        raise typer.Exit(STOPPED) from None
    except BrokenPipeError:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # else Python complains at its end
        raise typer.Exit(UNREAD) from None
