"""Several agents at once, over one connection to the server."""

import asyncio

from pydantic_ai import Agent

from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider


async def main() -> None:
    async with ClaudeMaxProvider() as provider:
        agents = [Agent(ClaudeMaxModel("haiku", provider=provider)) for _ in range(3)]
        questions = [f"Task {number}: name a city in Europe." for number in range(1, 4)]
        runs = (agent.run(question) for agent, question in zip(agents, questions, strict=True))
        for result in await asyncio.gather(*runs):
            print(result.output)


asyncio.run(main())
