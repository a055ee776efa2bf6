"""A heartbeat of the server, which shows only that it is there."""

import pytest
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError, ModelRateLimitError

from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider

from .scripted_server import Asked, Json, ScriptedServer, failure


async def test_a_heartbeat_does_not_begin_an_answer_that_never_comes(server: ScriptedServer) -> None:
    async def fail(asked: Asked) -> Json:
        await asked.emit({"type": "ping"})
        return failure("usage_limit", "Wait.", status=429, retry_after=17)

    server.script = fail
    with pytest.raises(ModelRateLimitError) as caught:
        async with Agent(ClaudeMaxModel(provider=ClaudeMaxProvider(server.url))).run_stream("Hi"):
            pass
    assert isinstance(caught.value, ModelHTTPError)
    assert (caught.value.status_code, caught.value.retry_after) == (429, 17)
