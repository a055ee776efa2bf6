"""How long a session with the server lasts, for an agent that nobody entered."""

from pydantic_ai import Agent, ModelRetry

from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider

from .scripted_server import ScriptedServer


async def test_the_requests_of_one_run_share_one_session(server: ScriptedServer) -> None:
    agent = Agent(ClaudeMaxModel(provider=ClaudeMaxProvider(server.url)))
    refusals = iter([True, True, False])

    @agent.output_validator
    def not_before_the_third(text: str) -> str:
        if next(refusals):
            raise ModelRetry("Once more.")
        return text

    await agent.run("Hi", retries=3)
    assert len(server.calls) == 3
    assert server.connections == 1 + 3, "the tools are listed once"
    await Agent(agent.model).run("Hi")
    assert server.connections == 4 + 2, "another run has another session"
