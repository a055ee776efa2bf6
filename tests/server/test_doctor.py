"""What the doctor finds, along the whole chain, and what it says cures it."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from claude_max_mcp.claude.launch import TESTED_VERSION, find_cli
from claude_max_mcp.front.door import Door
from claude_max_mcp.front.listener import bind, listening
from claude_max_mcp.settings import Settings
from claude_max_mcp.terminal.doctor.chain import examine
from claude_max_mcp.terminal.doctor.findings import Finding
from claude_max_mcp.terminal.doctor.machine import check_memory, read_available_mb
from tests.house import PATH, serving
from tests.server.program import run
from tests.server.program import serving as serving_process

LOGIN = "sk-ant-oat01-invented"
TOKEN = "a token that nobody guesses"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which somebody is logged in, and nothing else is set."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"PATH": PATH, "HOME": str(tmp_path), "CLAUDE_CODE_OAUTH_TOKEN": LOGIN}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


async def look(**settings: Any) -> list[Finding]:
    """What it finds with these settings, where nobody listens unless they say so."""
    nowhere: dict[str, Any] = {"port": unused_port()}
    findings = await examine(Settings(**(nowhere | settings)))
    assert all(finding.cure if finding.level != "ok" else finding.cure is None for finding in findings)
    return findings


def bad(findings: list[Finding]) -> dict[str, str]:
    """What was found to be wrong, and its level; that no server runs is left out."""
    return {f.what: f.level for f in findings if f.level != "ok" and f.kind != "no_server"}


def only(findings: list[Finding]) -> Finding:
    (what,) = bad(findings)
    return next(finding for finding in findings if finding.what == what)


async def test_where_all_is_well_it_says_so_of_every_link() -> None:
    findings = await look()
    assert bad(findings) == {}
    said = "\n".join(finding.what for finding in findings)
    for link in (f"CLI is {TESTED_VERSION}", "configured (oauth_token), not proven", "subscription would pay"):
        assert link in said
    for link in ("no folder is opened", "clock is plausible", "MB of memory", "no token is set", "no server runs"):
        assert link in said


async def test_a_login_that_is_missing_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLAUDE_CODE_OAUTH_TOKEN")
    finding = only(await look())
    assert (finding.level, finding.what) == ("problem", "the CLI is not logged in")
    assert "claude-max login" in str(finding.cure)


async def test_a_login_that_is_missing_here_is_a_warning_where_a_server_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLAUDE_CODE_OAUTH_TOKEN")
    async with serving(warm=0) as house:
        finding = only(await look(url=house.url))
    assert finding.level == "warning" and "the running server has a login of its own" in finding.what


async def test_a_login_file_that_cannot_be_read_is_named(home: Path) -> None:
    finding = only(await look(login_file=home / "missing"))
    assert finding.level == "problem" and str(home / "missing") in finding.what
    assert "setup-token" in str(finding.cure)


async def test_a_cli_that_is_missing_or_does_not_run_is_a_problem(home: Path) -> None:
    missing = only(await look(cli_path=home / "nowhere"))
    assert missing.level == "problem" and str(home / "nowhere") in missing.what
    broken = home / "claude"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    assert any("does not" in what or "not logged in" in what for what in bad(await look(cli_path=broken)))


def wrapped(home: Path, *, version: str | None = None) -> Path:
    """The real CLI behind a script, which may give out another version."""
    script = home / "claude"
    other = f'[ "$1" = --version ] && echo "{version} (Claude Code)" && exit\n' if version else ""
    script.write_text(f'#!/bin/sh\n{other}exec {find_cli()} "$@"\n')
    script.chmod(0o755)
    return script


async def test_another_version_than_the_tested_one_is_a_warning(home: Path) -> None:
    finding = only(await look(cli_path=wrapped(home, version="9.9.9")))
    assert finding.level == "warning" and "9.9.9" in finding.what and TESTED_VERSION in finding.what


async def test_a_clock_from_before_the_cli_was_installed_is_a_problem(home: Path) -> None:
    cli = wrapped(home)
    os.utime(cli, (4102444800, 4102444800))
    finding = only(await look(cli_path=cli))
    assert finding.level == "problem" and "2100-01-01" in finding.what


async def test_an_api_key_is_a_warning_while_it_cannot_reach_the_cli(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-invented")
    finding = only(await look())
    assert finding.level == "warning" and finding.cure == "unset ANTHROPIC_API_KEY"
    assert "never gets it" in finding.what


async def test_an_api_key_that_would_pay_is_told_where_any_payer_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLAUDE_CODE_OAUTH_TOKEN")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-invented")
    assert any("API account would pay" in what for what in bad(await look(billing="any")))


@pytest.mark.parametrize("line", ["ANTHROPIC_API_KEY=sk-ant-api03-x", " export ANTHROPIC_AUTH_TOKEN = 'x'"])
async def test_an_env_file_with_a_key_is_named_and_not_quoted(home: Path, line: str) -> None:
    (home / ".env").write_text(f"OTHER=1\n{line}\n")
    finding = only(await look())
    assert finding.level == "warning" and str(home / ".env") in finding.what
    assert "sk-ant-api03-x" not in finding.what


@pytest.mark.parametrize("line", ["# ANTHROPIC_API_KEY=x", "ANTHROPIC_API_KEY=", "MY_ANTHROPIC_API_KEY=x"])
async def test_an_env_file_without_a_key_is_nothing(home: Path, line: str) -> None:
    (home / ".env").write_text(line)
    assert bad(await look()) == {}


async def test_being_inside_claude_code_is_said_to_be_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDECODE", "1")
    findings = await look()
    assert bad(findings) == {}
    assert any(finding.what.startswith("inside Claude Code: harmless") for finding in findings)


@pytest.mark.parametrize(
    ("place", "says"), [("nowhere", "not a folder"), (".", "must not read"), ("/proc", "the kernel's")]
)
async def test_a_workspace_that_cannot_be_opened_is_a_problem(home: Path, place: str, says: str) -> None:
    finding = only(await look(workspace_root=home / place))
    assert finding.level == "problem" and says in finding.what


async def test_without_a_token_other_machines_are_a_problem() -> None:
    finding = only(await look(host="0.0.0.0"))
    assert finding.level == "problem" and "CLAUDE_MAX_TOKEN" in str(finding.cure)


async def test_a_token_that_can_be_guessed_or_read_by_others_is_a_warning(home: Path) -> None:
    assert "guessed" in only(await look(token="short")).what
    file = home / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    finding = only(await look(token_file=file))
    assert finding.level == "warning" and finding.cure == f"chmod 600 {file}"


async def test_a_token_file_that_holds_nothing_is_a_problem_and_a_missing_one_is_made_later(home: Path) -> None:
    assert only(await look(token_file=home / "token")).level == "warning"
    (home / "token").touch()
    assert only(await look(token_file=home / "token")).level == "problem"


async def test_a_port_that_another_program_has_is_told_from_a_free_one() -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    async with listening(other, listener):
        finding = only(await look(port=port))
    assert finding.level == "problem" and "something else answers" in finding.what
    assert any(f.what == f"no server runs yet; port {port} is free" for f in await look(port=port))


async def test_an_address_that_nobody_answers_at_is_a_problem() -> None:
    finding = only(await look(url="http://somebody:secret@127.0.0.1:1/mcp"))
    assert (finding.level, finding.what) == ("problem", "nothing answers at http://127.0.0.1:1/mcp")


async def test_the_running_server_is_known_and_its_login_told() -> None:
    async with serving(warm=0) as house:
        findings = await look(url=house.url)
        assert house.standin.requests == [], "it asks nothing of Claude"
        await house.ask(prompt="hello")
        after = await look(url=house.url)
    assert bad(findings) == bad(after) == {}
    assert findings[-1].what.endswith("its login is configured, not proven")
    assert after[-1].what.endswith("its login is proven")


async def test_the_token_is_tried_at_the_running_server() -> None:
    async with serving(warm=0, token=TOKEN) as house:
        right, wrong, none = [await look(url=house.url, token=token) for token in (TOKEN, f"{TOKEN}!", None)]
    assert bad(right) == {}
    assert only(wrong).level == "problem" and "another token" in only(wrong).what
    assert only(none).level == "problem" and "none is set here" in only(none).what


async def test_a_server_that_asks_for_no_token_although_one_is_set_is_a_warning() -> None:
    async with serving(warm=0) as house:
        assert only(await look(url=house.url, token=TOKEN)).what == "the server asks nobody for the token"


async def test_a_server_that_does_not_know_its_own_name_is_a_problem() -> None:
    async def unreachable(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the door lets nobody in by this name")

    listener = bind("127.0.0.2", 0)
    async with listening(Door(unreachable, token=None), listener):
        finding = only(await look(url=f"http://127.0.0.2:{listener.getsockname()[1]}/mcp"))
    assert finding.level == "problem" and "CLAUDE_MAX_ALLOWED_HOSTS=127.0.0.2" in str(finding.cure)


async def test_a_server_that_is_degraded_says_what_to_do(tmp_path: Path) -> None:
    async with serving(warm=0, cli_path=tmp_path / "nowhere") as house:
        finding = only(await look(url=house.url))
    assert finding.level == "problem" and str(tmp_path / "nowhere") in str(finding.cure)


def test_memory_is_what_the_machine_has_or_what_is_left_of_a_containers_limit(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2097152 kB\n")
    assert read_available_mb(tmp_path / "meminfo", tmp_path) == 2147
    for name, content in {"memory.max": "1073741824", "memory.current": "536870912"}.items():
        (tmp_path / name).write_text(f"{content}\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 104857600\n")
    assert read_available_mb(tmp_path / "meminfo", tmp_path) == 641
    (tmp_path / "memory.max").write_text("max\n")
    assert read_available_mb(tmp_path / "meminfo", tmp_path) == 2147
    assert read_available_mb(tmp_path / "nowhere", tmp_path) is None


@pytest.mark.parametrize(("available", "level"), [(100, "problem"), (500, "warning"), (5000, "ok")])
def test_too_little_memory_is_a_warning_and_next_to_none_a_problem(available: int, level: str) -> None:
    finding = check_memory(10, available)
    assert finding and finding.level == level


async def test_the_command_prints_a_line_for_each_and_fails_on_a_problem(tmp_path: Path) -> None:
    secrets = {"CLAUDE_CODE_OAUTH_TOKEN": LOGIN, "ANTHROPIC_API_KEY": "sk-ant-api03-invented"}
    async with serving_process(tmp_path, "--offline", CLAUDE_MAX_TOKEN=TOKEN) as server:
        reached = {"CLAUDE_MAX_PORT": server.port, "CLAUDE_MAX_TOKEN": TOKEN, "COLUMNS": "40", **secrets}
        code, out, err = await run(tmp_path, "doctor", **reached)
        as_json = await run(tmp_path, "doctor", "--json", **{**reached, "CLAUDE_MAX_TOKEN": "wrong"})
    assert (code, err) == (0, "")
    assert {line.split()[0] for line in out.splitlines()} == {"ok", "warning"}
    assert "unset ANTHROPIC_API_KEY" in out
    findings = json.loads(as_json[1])
    assert as_json[0] == 1 and [f["level"] for f in findings].count("problem") == 1
    for secret in (TOKEN, *secrets.values()):
        assert secret not in out + as_json[1]
