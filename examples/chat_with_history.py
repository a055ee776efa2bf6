"""A conversation that goes on after the program was closed. Start the server first: `claude-max serve`."""

import sys
from pathlib import Path

from pydantic_ai import Agent, ModelMessagesTypeAdapter
from pydantic_ai.messages import ModelMessage

from pydantic_ai_claude_max import ClaudeMaxModel

FILE = Path("conversation.json")

agent = Agent(ClaudeMaxModel("sonnet"), instructions="Be brief.")


def remembered() -> list[ModelMessage]:
    """What was said so far."""
    return ModelMessagesTypeAdapter.validate_json(FILE.read_bytes()) if FILE.exists() else []


def say(prompt: str) -> str:
    """Go on with the conversation, and keep it in the file."""
    result = agent.run_sync(prompt, message_history=remembered())
    FILE.write_bytes(result.all_messages_json())
    return result.output


questions = sys.argv[1:] or ["Who wrote the first computer program?", "When was she born?", "Where?"]
for question in questions:
    print(">", question)
    print(say(question))
print(len(remembered()), "messages in", FILE)
