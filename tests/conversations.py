"""How tests read a conversation: what of it reached upstream, from which process, and what came back."""

from typing import Any

import anyio

from claude_max_mcp.results import AskResult
from claude_max_mcp.standin import Reply
from tests.house import House
from tests.samples import Json
from tests.waiting import until


def sent(house: House, index: int = -1) -> list[Json]:
    """The conversation as it reached upstream, without the CLI's cache breakpoints, every content a list."""
    return as_blocks(house.standin.requests[index].messages)


def as_blocks(messages: list[Json]) -> list[Json]:
    """Messages without breakpoints, every content a list."""
    return [{"role": message["role"], "content": _plain(message["content"])} for message in messages]


def _plain(content: Any) -> list[Json]:
    blocks: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [{name: value for name, value in block.items() if name != "cache_control"} for block in blocks]


def session(house: House, index: int = -1) -> str:
    """The process that a request came from, by the session that it names."""
    return house.standin.requests[index].headers["x-claude-code-session-id"]


def reply_of(result: AskResult) -> Json:
    """The answer as the message that the caller sends along the next time."""
    assert result.message, result.error
    return {"role": "assistant", "content": result.message["content"]}


def only(house: House, reply: Reply) -> None:
    """Answer one request, and let every further one hang."""
    house.standin.enqueue(reply)
    house.standin.script(lambda _: Reply(hold=anyio.Event()))


async def nothing_more_was_answered(house: House) -> None:
    """The CLI goes on some ten milliseconds after such an answer: if it was quicker than the kill, it was cut off."""
    await until(lambda: not house.service.report().pool.leased)
    with anyio.fail_after(60):
        for late in house.standin.requests[1:]:
            await late.closed_early.wait()
    assert len(house.standin.requests) <= 2
