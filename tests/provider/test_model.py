"""The model: what an agent gets, what the server is asked, and which settings are refused."""

import json

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelRequestRejectedError, UnsupportedSettingWarning
from pydantic_ai.models.anthropic import AnthropicModelSettings
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import UsageLimits

from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider, answered_by

from .scripted_server import Asked, Json, ScriptedServer, events, message, success


async def test_an_answer_has_its_text_its_usage_and_who_gave_it(agent: Agent) -> None:
    result = await agent.run("Hi")

    assert result.output == "Hello"
    assert (result.usage.input_tokens, result.usage.output_tokens) == (11, 5)
    assert answered_by(result) == "claude-sonnet-5-5"
    assert (result.response.provider_name, result.response.finish_reason) == ("claude-max", "stop")


async def test_a_stream_brings_the_text_piece_by_piece(agent: Agent) -> None:
    async with agent.run_stream("Hi") as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

    assert pieces == list("Hello")
    assert answered_by(result) == "claude-sonnet-5-5"


async def test_a_request_of_few_tokens_is_not_streamed_and_reads_the_same(agent: Agent, server: ScriptedServer) -> None:
    result = await agent.run("Hi", model_settings=ModelSettings(max_tokens=100))

    assert (result.output, server.calls[0]["max_tokens"]) == ("Hello", 100)


async def test_the_server_is_asked_what_the_agent_was_told(server: ScriptedServer) -> None:
    class City(BaseModel):
        name: str

    agent = Agent(ClaudeMaxModel("opus", provider=ClaudeMaxProvider(server.url)), instructions="Be brief.")

    @agent.tool_plain
    def weather(city: str) -> str:
        raise NotImplementedError

    async def paris(asked: Asked) -> Json:
        whole = message(json.dumps({"name": "Paris"}))
        await asked.emit(*events(whole))
        return success(whole)

    server.script = paris
    result = await agent.run("Which city?", output_type=City, model_settings=ModelSettings(timeout=30))

    assert result.output == City(name="Paris")
    call = server.calls[0]
    assert (call["model"], call["timeout"], call["stream"]) == ("opus", 30, "events")
    assert call["system"][0]["text"] == "Be brief."
    assert [tool["name"] for tool in call["tools"]] == ["weather"]
    assert call["output_config"]["format"]["type"] == "json_schema"
    assert call["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Which city?"}]}]


async def test_settings_that_the_cli_cannot_honour_never_reach_the_wire(agent: Agent, server: ScriptedServer) -> None:
    settings = ModelSettings(temperature=0.1, top_p=0.5, top_k=3, service_tier="default", seed=1)
    await agent.run("Hi", model_settings=settings)
    assert server.calls[0].keys() == {"messages", "model", "max_tokens", "stream"}


@pytest.mark.parametrize(
    "settings",
    [
        ModelSettings(stop_sequences=["x"]),
        ModelSettings(extra_body={"speed": "fast"}),
        ModelSettings(extra_headers={"x": "y"}),
    ],
    ids=lambda settings: next(iter(settings)),
)
async def test_a_promise_that_cannot_be_kept_is_warned_about(
    agent: Agent, server: ScriptedServer, settings: ModelSettings
) -> None:
    with pytest.warns(UnsupportedSettingWarning, match=next(iter(settings))):
        await agent.run("Hi", model_settings=settings)
    assert server.calls[0].keys() == {"messages", "model", "max_tokens", "stream"}


async def test_a_field_that_the_tool_does_not_take_is_refused_by_name(agent: Agent, server: ScriptedServer) -> None:
    settings = AnthropicModelSettings(anthropic_context_management={"edits": []})
    with pytest.raises(ModelRequestRejectedError, match="context_management"):
        await agent.run("Hi", model_settings=settings)
    assert server.calls == []


def test_a_profile_knows_the_model_behind_the_short_name_and_what_this_route_lacks() -> None:
    profile = ClaudeMaxModel("sonnet").profile
    assert profile.get("supports_json_schema_output") and profile.get("context_window")
    assert profile.get("anthropic_supports_message_batches") is False
    assert profile.get("supported_native_tools") == frozenset()
    assert ClaudeMaxModel("sonnet", profile={"context_window": 1}).context_window == 1
    assert ClaudeMaxModel("sonnet", profile=lambda known: {**known, "context_window": 2}).context_window == 2


async def test_thinking_that_cannot_be_turned_off_is_asked_for_sparingly(agent: Agent, server: ScriptedServer) -> None:
    await agent.run("Hi", model_settings=ModelSettings(thinking=False))
    assert server.calls[0].get("thinking") != {"type": "disabled"}
    assert server.calls[0]["output_config"] == {"effort": "low"}


def test_no_secret_is_shown() -> None:
    model = ClaudeMaxModel(provider=ClaudeMaxProvider(token="secret"))
    assert "secret" not in repr(model) + repr(model.provider) + repr(vars(model))


async def test_tokens_are_not_counted_ahead(agent: Agent) -> None:
    with pytest.raises(NotImplementedError, match="count tokens"):
        await agent.run("Hi", usage_limits=UsageLimits(input_tokens_limit=9, count_tokens_before_request=True))
