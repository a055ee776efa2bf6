"""Every example runs as a user would run it."""

import sys
from pathlib import Path

import anyio
import pytest

from claude_max_mcp.standin import Recorded, Reply, ToolUse, echo
from tests.house import PATH, House

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


async def run(*command: str, home: Path, **environment: str) -> tuple[int, str]:
    """Run a command with an environment of its own; its exit code and what it printed."""
    complete = {"PATH": PATH, "HOME": str(home), "COLUMNS": "100", **environment}
    with anyio.fail_after(300):
        done = await anyio.run_process(command, check=False, env=complete, cwd=home)
    return done.returncode, (done.stdout + done.stderr).decode()


TRIP = {
    "title": "This is the stand-in's trip",
    "stops": [{"city": "Munich", "nights": 2, "by": "train"}, {"city": "Rome", "nights": 3, "by": "train"}],
}


def as_asked(request: Recorded) -> Reply:
    """Call the tools that are offered, once; else say again what was said."""
    offered = {tool["name"] for tool in request.body["tools"]}
    if "StructuredOutput" in offered:
        return Reply(content=(ToolUse("StructuredOutput", TRIP),))
    if "local_time" in offered and request.last_blocks[0]["type"] != "tool_result":
        cities = ("Paris", "Tokyo")
        return Reply(
            content=[ToolUse(name, {"city": city}) for name in ("local_time", "temperature") for city in cities]
        )
    return echo(request.body)


@pytest.fixture(scope="module")
async def printed(shared_house: House, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """What each example printed; they run side by side, as most of their time goes into imports."""
    outcomes: dict[str, tuple[int, str]] = {}
    shared_house.standin.reset()
    shared_house.standin.script(as_asked)

    async def run_one(example: Path) -> None:
        home = tmp_path_factory.mktemp(example.stem)
        outcomes[example.stem] = await run(sys.executable, str(example), home=home, CLAUDE_MAX_URL=shared_house.url)

    async with anyio.create_task_group() as tasks:
        for example in EXAMPLES:
            tasks.start_soon(run_one, example)
    return outcomes


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
async def test_an_example_answers(printed: dict[str, tuple[int, str]], example: Path) -> None:
    code, text = printed[example.stem]
    assert code == 0, text
    assert "This is the stand-in" in text


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        ("tools", ["called: local_time of Paris", "called: temperature of Tokyo", "2 requests, 4 tool calls"]),
        ("structured_output", ["- Munich, 2 nights, by train", "- Rome, 3 nights, by train"]),
        ("chat_with_history", ["> When was she born?", "6 messages in conversation.json"]),
        ("images", ["You said: Of which country is this the flag?"]),
    ],
)
async def test_an_example_shows_what_it_is_about(
    printed: dict[str, tuple[int, str]], example: str, expected: list[str]
) -> None:
    for line in expected:
        assert line in printed[example][1]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_read_in_a_minute(example: Path) -> None:
    assert len(example.read_text().splitlines()) <= 40


async def test_the_error_example_says_what_to_do_when_no_server_runs(tmp_path: Path) -> None:
    example = str(ROOT / "examples" / "error_handling.py")
    code, printed = await run(sys.executable, example, home=tmp_path, CLAUDE_MAX_URL="http://127.0.0.1:9/mcp")
    assert code == 0, printed
    assert "not running" in printed and "claude-max serve" in printed
