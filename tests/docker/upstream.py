"""The stand-in for Anthropic in a container of its own: `python upstream.py`.

It does what the prompt says: `Never answer.` holds the answer back, `Call NAME {…}` calls a tool and then answers with
what the tool gave. Everything else it says again.
"""

import json

import anyio

from claude_max_mcp.front.listener import bind, listening
from claude_max_mcp.standin import Recorded, Reply, StandIn, Text, ToolUse, echo

PORT = 8080


def answer(request: Recorded) -> Reply:
    """The reply to one request."""
    for block in request.last_blocks:
        if block["type"] == "tool_result":
            return Reply(content=(Text(json.dumps(block["content"])[:2000]),))
        match block["text"].split(maxsplit=2):
            case ["Never", "answer."]:
                return Reply(hold=anyio.Event())
            case ["Call", name, arguments]:
                return Reply(content=(ToolUse(name, json.loads(arguments)),))
            case _:
                pass
    return echo(request.body)


async def main() -> None:
    """Answer until the container is stopped."""
    standin = StandIn(f"http://upstream:{PORT}")
    standin.script(answer)
    async with listening(standin, bind("0.0.0.0", PORT)):
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main)
