"""What can go wrong, told apart: the subscription's limit, the login, a server that is not there."""

from pydantic_ai import Agent
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelRateLimitError,
)

from pydantic_ai_claude_max import ClaudeMaxModel

agent = Agent(ClaudeMaxModel("sonnet"))
try:
    print(agent.run_sync("Your prompt").output)
except ModelRateLimitError as error:
    print(f"The limit is reached; try again in {error.retry_after} s.")
except ModelAuthenticationError:
    print("Log in: claude-max login (or: docker exec -it claude-max-api claude setup-token)")
except ModelConnectionError as error:
    print(error)  # says that the server is not running, and how to start it
except ModelAPIError as error:
    print(f"Claude could not answer: {error}")
