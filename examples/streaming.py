"""The answer as it is being written."""

import anyio
from pydantic_ai import Agent

from pydantic_ai_claude_max import ClaudeMaxModel


async def main() -> None:
    agent = Agent(ClaudeMaxModel("sonnet"), instructions="Be brief.")
    async with agent.run_stream("Tell me a story in three sentences.") as stream:
        async for piece in stream.stream_text(delta=True):
            print(piece, end="", flush=True)
    print()


anyio.run(main)
