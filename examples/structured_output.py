"""The answer as an object that fits a type. Start the server first: `claude-max serve`."""

from typing import Literal

from pydantic import BaseModel, Field
from pydantic_ai import Agent

from pydantic_ai_claude_max import ClaudeMaxModel


class Stop(BaseModel):
    city: str
    nights: int = Field(ge=1)
    by: Literal["train", "plane", "car"]


class Trip(BaseModel):
    title: str
    stops: list[Stop]


agent = Agent(ClaudeMaxModel("sonnet"), output_type=Trip)
trip = agent.run_sync("Plan a trip of five nights from Berlin to Rome, by train.").output
print(trip.title)
for stop in trip.stops:
    print(f"- {stop.city}, {stop.nights} nights, by {stop.by}")
