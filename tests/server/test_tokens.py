"""A token that the server makes for itself and keeps in a file."""

from pathlib import Path

import pytest

from tests.server.program import run, serving


async def test_the_server_makes_a_token_that_its_clients_read(tmp_path: Path) -> None:
    file = tmp_path / "state" / "token"
    named = {"CLAUDE_MAX_TOKEN_FILE": str(file)}
    async with serving(tmp_path / "server", "--offline", **named) as server:
        with_it = await run(tmp_path, "status", CLAUDE_MAX_PORT=server.port, **named)
        without = await run(tmp_path, "status", CLAUDE_MAX_PORT=server.port)
    token = file.read_text().strip()
    assert len(token) >= 43 and file.stat().st_mode & 0o077 == 0
    assert with_it[0] == 0 and without[0] == 6
    assert token not in server.first_line + with_it[1] + without[2]
    async with serving(tmp_path / "server", "--offline", **named):
        assert file.read_text().strip() == token, "it stays the same"


async def test_with_a_token_file_other_machines_may_be_let_in(tmp_path: Path) -> None:
    named = {"CLAUDE_MAX_TOKEN_FILE": str(tmp_path / "token")}
    async with serving(tmp_path / "server", "--offline", "--host", "0.0.0.0", **named) as server:
        assert "0.0.0.0" in server.first_line


@pytest.mark.parametrize(("content", "reason"), [(b"", "is empty"), (b"\n", "is empty"), (b"\xff", "not text")])
async def test_a_token_file_that_holds_none_is_one_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "token").write_bytes(content)
    code, out, err = await run(tmp_path, "serve", "--offline", CLAUDE_MAX_TOKEN_FILE=str(tmp_path / "token"))
    assert (code, out) == (6, "")
    assert reason in " ".join(err.split()) and "Traceback" not in err


async def test_a_client_makes_no_token(tmp_path: Path) -> None:
    code, _, err = await run(tmp_path, "status", CLAUDE_MAX_TOKEN_FILE=str(tmp_path / "token"))
    assert code == 6 and "claude-max serve" in " ".join(err.split())
    assert not (tmp_path / "token").exists()
