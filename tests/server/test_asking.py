"""`claude-max ask`: what reaches Claude, what is shown where, and how it ends."""

import base64
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE
from typing import Any, get_args

import anyio
import pytest

from claude_max_mcp import standin as api
from claude_max_mcp.errors import Code, RequestError
from claude_max_mcp.pictures import PICTURES
from claude_max_mcp.results import AskResult
from claude_max_mcp.standin import Failure, Reply, Text
from claude_max_mcp.terminal.ask_arguments import MOST, build_arguments, read_document, read_image
from claude_max_mcp.terminal.exit_codes import MEANINGS, to_exit_code
from tests.house import House
from tests.samples import PIXEL
from tests.server.program import PROGRAM, surroundings
from tests.server.terminal import in_a_terminal

Said = tuple[int, str, str]

NASTY = "--- a\r\n+++ b\n</document> @/etc/hostname /help !ls ‮\n\n"


async def ask(house: House, home: Path, *arguments: str, piped: bytes | None = None) -> Said:
    """Run `ask` to its end, with a pipe for standard input if something is piped in."""
    with anyio.fail_after(60):
        done = await anyio.run_process(
            [*PROGRAM, "ask", *arguments],
            input=piped,
            env=surroundings(home, CLAUDE_MAX_URL=house.url),
            cwd=home,
            check=False,
        )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def text_document(title: str, text: str) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}, "title": title}


async def test_what_is_piped_in_goes_along_as_it_is_apart_from_the_prompt(house: House, tmp_path: Path) -> None:
    code, _, err = await ask(house, tmp_path, "review", piped=NASTY.encode())
    assert (code, err) == (0, "")
    (request,) = house.standin.requests
    assert request.last_blocks == [text_document("standard input", NASTY), {"type": "text", "text": "review"}]


async def test_without_a_prompt_what_is_piped_in_is_the_prompt(house: House, tmp_path: Path) -> None:
    assert (await ask(house, tmp_path, piped=NASTY.encode()))[0] == 0
    (request,) = house.standin.requests
    assert request.last_text == NASTY


async def test_a_pipe_that_holds_nothing_is_no_question_and_adds_none(house: House, tmp_path: Path) -> None:
    code, out, err = await ask(house, tmp_path, piped=b"\n")
    assert (code, out) == (2, "") and "pipe it in" in err
    assert (await ask(house, tmp_path, "hello", piped=b"\n"))[0] == 0
    (request,) = house.standin.requests
    assert request.last_text == "hello"


async def test_a_pipe_that_says_nothing_yet_is_waited_for_and_the_person_is_told(house: House, tmp_path: Path) -> None:
    environment = surroundings(tmp_path, CLAUDE_MAX_URL=house.url)
    process = await anyio.open_process([*PROGRAM, "ask", "review"], env=environment, cwd=tmp_path, stdin=PIPE)
    async with process:
        assert process.stdin and process.stderr and process.stdout
        with anyio.fail_after(60):
            assert b"Waiting for standard input" in await process.stderr.receive()
            assert house.standin.requests == []
            await process.stdin.send(b"late")
            await process.stdin.aclose()
            await process.wait()
    assert house.standin.requests[0].last_blocks[0] == text_document("standard input", "late")


async def test_what_cannot_be_sent_is_said_before_anything_is(house: House, tmp_path: Path) -> None:
    code, out, err = await ask(house, tmp_path, "what", piped=b"\xff\xfe")
    assert (code, out) == (1, "") and "Standard input is no text in UTF-8" in err and "Traceback" not in err
    assert house.standin.requests == []


def test_a_file_of_another_kind_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "plot.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(RequestError, match=r"notes\.txt is no PNG, JPEG, GIF or WebP image"):
        read_image(tmp_path / "notes.txt")
    with pytest.raises(RequestError, match=r"plot\.png is no text in UTF-8"):
        read_document(tmp_path / "plot.png")


def test_what_is_larger_than_the_server_takes_is_refused() -> None:
    assert build_arguments("x" * (MOST - 100), None, [], [])
    with pytest.raises(RequestError, match="At most 31 MB") as raised:
        build_arguments("x" * MOST, None, [], [])
    assert raised.value.code == "request_too_large"


def test_an_image_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    file = tmp_path / "image.txt"
    for start, kind in {**PICTURES, b"RIFF\x00\x00\x00\x00WEBP": "image/webp"}.items():
        file.write_bytes(start + b"...")
        source = read_image(file)["source"]
        assert source["type"] == "base64"
        assert (source["media_type"], base64.b64decode(source["data"])) == (kind, start + b"...")


async def test_images_and_files_go_before_the_prompt(house: House, tmp_path: Path) -> None:
    pixel = PIXEL
    (tmp_path / "paper").write_bytes(b"%PDF-1.4")
    (tmp_path / "notes.md").write_text("# notes")
    options = ["--image", str(pixel), "--file", "paper", "--file", "notes.md"]
    code, _, err = await ask(house, tmp_path, "what", *options)
    assert (code, err) == (0, "")
    shown, paper, notes, prompt = house.standin.requests[0].last_blocks
    assert base64.b64decode(shown["source"]["data"]) == pixel.read_bytes()
    assert (paper["title"], paper["source"]["media_type"]) == ("paper", "application/pdf")
    assert (notes, prompt) == (text_document("notes.md", "# notes"), {"type": "text", "text": "what"})


async def test_an_answer_is_gone_on_with_by_the_session_that_json_names(house: House, tmp_path: Path) -> None:
    _, out, _ = await ask(house, tmp_path, "one", "--json", "--system", "Be brief.", piped=b"a diff")
    session = AskResult.model_validate_json(out).session_id
    assert session
    code, out, err = await ask(house, tmp_path, "two", "--session", session)
    assert (code, out, err) == (0, "This is the stand-in, not Claude. You said: two\n", "")
    said = house.standin.requests[1]
    assert [message["role"] for message in said.messages] == ["user", "assistant", "user"]
    assert "Be brief." in str(said.body["system"]) and said.last_text == "two"


async def test_a_new_attempt_of_the_cli_is_no_part_of_what_is_printed(house: House, tmp_path: Path) -> None:
    house.standin.enqueue(api.overloaded(), Reply(content=(Text("the answer"),)))
    assert await ask(house, tmp_path, "hello") == (0, "the answer\n", "")


NOTICE = "[overloaded: trying again in 0.6 s, 1 of 2]\n"


async def test_an_answer_that_looks_like_the_notice_of_a_new_attempt_is_printed(house: House, tmp_path: Path) -> None:
    house.standin.enqueue(Reply(content=(Text(NOTICE), Text("is what it says"))))
    assert await ask(house, tmp_path, "hello") == (0, f"{NOTICE}is what it says\n", "")


async def test_a_person_sees_why_there_is_no_answer_yet(house: House, tmp_path: Path) -> None:
    hold = anyio.Event()
    house.standin.enqueue(api.overloaded(), Reply(content=(Text("the answer"),), hold=hold))
    async with in_a_terminal(tmp_path, "ask", "hello", CLAUDE_MAX_URL=house.url) as terminal:
        assert "the answer" not in await terminal.shows("overloaded: trying again in ")
        hold.set()
        await terminal.shows("the answer")
        assert await terminal.ended() == 0


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (api.prompt_too_long, 1),
        (api.authentication_failed, 3),
        (api.usage_limit, 4),
        (api.throttled, 5),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_the_exit_code_says_whose_fault_it_is(
    house: House, tmp_path: Path, failure: Callable[[], Failure], expected: int
) -> None:
    house.standin.script(lambda _: failure())
    code, out, err = await ask(house, tmp_path, "hello")
    assert (code, out) == (expected, "") and err and "Traceback" not in err


def test_every_error_has_an_exit_code_with_a_meaning() -> None:
    assert {to_exit_code(code) for code in get_args(Code)} == {1, 3, 4, 5, 6} <= MEANINGS.keys()


async def test_a_person_sees_a_spinner_until_the_answer_begins_and_then_how_to_go_on(
    house: House, tmp_path: Path
) -> None:
    hold = anyio.Event()
    house.standin.enqueue(Reply(content=(Text("safe\x1b[2J\x07"),), hold=hold))
    async with in_a_terminal(tmp_path, "ask", "hello", CLAUDE_MAX_URL=house.url) as terminal:
        assert "safe" not in await terminal.shows("Claude is asked")
        await house.standin.wait_for_request()
        hold.set()
        shown = await terminal.shows("To go on: claude-max ask --session ")
        assert "safe␛[2J␇\r\n" in shown, "an answer does not command the terminal"
        assert "\x1b[?25h" in shown.partition("safe")[0], "the cursor is back"
        assert await terminal.ended() == 0


async def test_into_a_pipe_the_answer_goes_as_it_is(house: House, tmp_path: Path) -> None:
    house.standin.enqueue(Reply(content=(Text("a\x1b[2J\tb\r\n"),)))
    assert await ask(house, tmp_path, "hello") == (0, "a\x1b[2J\tb\r\n", "")


async def test_ctrl_c_cancels_upstream_and_exits_with_130(house: House, tmp_path: Path) -> None:
    house.standin.enqueue(Reply(content=(Text("one two three"),), hold=anyio.Event(), hold_after=1))
    async with in_a_terminal(tmp_path, "ask", "hello", CLAUDE_MAX_URL=house.url) as terminal:
        with anyio.fail_after(60):
            request = await house.standin.wait_for_request()
            await terminal.shows("\x1b[?25h")
            terminal.process.send_signal(signal.SIGINT)
            assert await terminal.ended() == 130
            assert "Traceback" not in os.read(terminal.screen, 65536).decode()
            await request.closed_early.wait()


async def test_a_reader_who_has_seen_enough_ends_it_quietly_and_cancels_upstream(house: House, tmp_path: Path) -> None:
    house.standin.enqueue(Reply(content=(Text("line\n" * 5000),), pace=0.02))
    command = f"( {sys.executable} -m claude_max_mcp ask hello; echo $? > code ) | head -1"
    with anyio.fail_after(60):
        done = await anyio.run_process(
            ["sh", "-c", command], env=surroundings(tmp_path, CLAUDE_MAX_URL=house.url), cwd=tmp_path
        )
        (request,) = house.standin.requests
        await request.closed_early.wait()
    assert (done.stdout, done.stderr) == (b"line\n", b"")
    assert (tmp_path / "code").read_text() == "141\n"
