"""One question, one answer. Start the server first: `claude-max serve` (or `claude-max serve --offline`)."""

from pydantic_ai import Agent

import pydantic_ai_claude_max

pydantic_ai_claude_max.enable()

agent = Agent("custom:max-subscription")
result = agent.run_sync("What is the capital of France?")
print(result.output)
print("answered by", pydantic_ai_claude_max.answered_by(result), "using", result.usage.total_tokens, "tokens")
