"""Claude calls functions of this program; the server never runs one. Start it first: `claude-max serve`."""

from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic_ai import Agent, ModelRetry

from pydantic_ai_claude_max import ClaudeMaxModel

ZONES = {"Paris": "Europe/Paris", "Tokyo": "Asia/Tokyo"}
TEMPERATURES = {"Paris": 14, "Tokyo": 21}

agent = Agent(ClaudeMaxModel("sonnet"), instructions="Answer in one sentence.")


@agent.tool_plain
def local_time(city: str) -> str:
    """The time in a city."""
    print("called: local_time of", city)
    if city not in ZONES:
        raise ModelRetry(f"Known cities are {', '.join(ZONES)}.")
    return datetime.now(ZoneInfo(ZONES[city])).strftime("%H:%M")


@agent.tool_plain
async def temperature(city: str) -> float:
    """The temperature in a city, in degrees Celsius."""
    print("called: temperature of", city)
    if city not in TEMPERATURES:
        raise ModelRetry(f"Known cities are {', '.join(TEMPERATURES)}.")
    return TEMPERATURES[city]


result = agent.run_sync("What time is it in Paris and in Tokyo, and how warm is it there?")
print(result.output)
print(result.usage.requests, "requests,", result.usage.tool_calls, "tool calls")
