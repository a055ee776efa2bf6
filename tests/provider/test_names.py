"""Names of models: what the server gets for each, and every way to use a `custom:` name, on and off again."""

import importlib
import sys
from collections.abc import Callable, Generator
from typing import Any

import pydantic_ai.models
import pytest
from pydantic_ai import Agent, direct
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models import Model, infer_model
from pydantic_ai.models.concurrency import ConcurrencyLimitedModel
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel

from pydantic_ai_claude_max import ClaudeMax, ClaudeMaxModel, ClaudeMaxProvider, RetiredModelWarning, disable, enable

from .scripted_server import ScriptedServer

NAME = "custom:max-subscription"


@pytest.fixture
def enabled(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """`custom:` names are on and lead to the scripted server."""
    monkeypatch.setenv("CLAUDE_MAX_URL", server.url)
    enable()
    yield
    disable()


async def in_constructor() -> str:
    return (await Agent(NAME).run("Hi")).output


async def in_deferred_constructor() -> str:
    return (await Agent(NAME, defer_model_check=True).run("Hi")).output


async def in_run() -> str:
    return (await Agent().run("Hi", model=NAME)).output


async def in_stream() -> str:
    async with Agent().run_stream("Hi", model=NAME) as result:
        return await result.get_output()


async def in_iteration() -> str:
    async with Agent().iter("Hi", model=NAME) as run:
        async for _ in run:
            pass
    assert run.result is not None
    return run.result.output


async def in_override() -> str:
    agent = Agent(TestModel())
    with agent.override(model=NAME):
        return (await agent.run("Hi")).output


async def in_assignment() -> str:
    agent = Agent()
    agent.model = NAME
    return (await agent.run("Hi")).output


async def in_fallback() -> str:
    return (await Agent(FallbackModel(NAME, TestModel())).run("Hi")).output


async def in_wrapper() -> str:
    return (await Agent(WrapperModel(NAME)).run("Hi")).output


async def in_concurrency_limit() -> str:
    return (await Agent(ConcurrencyLimitedModel(NAME, limiter=1)).run("Hi")).output


async def in_direct_request() -> str:
    response = await direct.model_request(NAME, [ModelRequest.user_text_prompt("Hi")])
    return response.text or ""


async def in_direct_stream() -> str:
    async with direct.model_request_stream(NAME, [ModelRequest.user_text_prompt("Hi")]) as stream:
        async for _ in stream:
            pass
    return stream.get().text or ""


async def in_inference() -> str:
    return (await Agent(infer_model("claude-max:sonnet")).run("Hi")).output


WAYS = [
    in_constructor,
    in_deferred_constructor,
    in_run,
    in_stream,
    in_iteration,
    in_override,
    in_assignment,
    in_fallback,
    in_wrapper,
    in_concurrency_limit,
    in_direct_request,
    in_direct_stream,
]


@pytest.mark.usefixtures("enabled")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_custom_name_works_wherever_a_model_may_be_named(way: Callable[[], Any]) -> None:
    assert await way() == "Hello"


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_custom_name_is_unknown_again_after_disable(way: Callable[[], Any]) -> None:
    enable()
    disable()
    with pytest.raises(UserError, match="Unknown model"):
        await way()


@pytest.mark.usefixtures("enabled")
def test_the_name_of_a_stored_history_resolves_too() -> None:
    model = pydantic_ai.models.infer_model("claude-max:haiku")
    assert isinstance(model, ClaudeMaxModel) and model.model_name == "haiku"


@pytest.mark.usefixtures("enabled")
def test_a_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(UserError, match=r"custom:gpt-5.*custom:max-subscription, custom:sonnet"):
        Agent("custom:gpt-5")


@pytest.mark.usefixtures("enabled")
def test_other_names_are_left_alone() -> None:
    assert isinstance(pydantic_ai.models.infer_model("test"), TestModel)
    with pytest.raises(UserError, match="Unknown model: nobody:x"):
        pydantic_ai.models.infer_model("nobody:x")


@pytest.mark.usefixtures("enabled")
def test_a_provider_factory_is_asked_for_the_provider() -> None:
    provider = ClaudeMaxProvider("http://127.0.0.1:1/mcp")
    model = pydantic_ai.models.infer_model(NAME, lambda name: provider)
    assert model.provider is provider
    with pytest.raises(UserError, match="ClaudeMaxProvider"):
        pydantic_ai.models.infer_model(NAME, lambda name: "something else")  # pyright: ignore[reportArgumentType, reportUnknownLambdaType] - it is wrong


def test_every_binding_is_back_after_disable() -> None:
    original = pydantic_ai.models.infer_model
    enable()
    enable()
    assert pydantic_ai.models.infer_model is not original
    disable()
    disable()
    holders = [
        vars(module).get("infer_model") for name, module in sys.modules.items() if name.startswith("pydantic_ai.")
    ]
    assert {holder for holder in holders if holder is not None} == {original}


def test_a_patch_that_was_put_on_top_survives_disable_and_passes_names_on(monkeypatch: pytest.MonkeyPatch) -> None:
    enable()
    ours = pydantic_ai.models.infer_model

    def on_top(model: Model | str, *args: Any) -> Model:
        return ours(model, *args)

    with monkeypatch.context() as patch:
        patch.setattr(pydantic_ai.models, "infer_model", on_top)
        disable()
        assert pydantic_ai.models.infer_model is on_top
        with pytest.raises(UserError, match="Unknown model"):
            on_top(NAME)
    disable()


def test_importing_auto_enables() -> None:
    try:
        importlib.import_module("pydantic_ai_claude_max.auto")
        assert isinstance(pydantic_ai.models.infer_model(NAME), ClaudeMaxModel)
    finally:
        disable()


async def test_the_capability_resolves_names_for_one_agent_without_a_patch(server: ScriptedServer) -> None:
    agent = Agent(NAME, capabilities=[ClaudeMax(server.url)])
    assert (await agent.run("Hi")).output == "Hello"
    with pytest.raises(UserError, match="Unknown model"):
        Agent(NAME)


async def test_the_capability_lists_the_names_it_knows(server: ScriptedServer) -> None:
    agent = Agent("custom:gpt-5", capabilities=[ClaudeMax(server.url)])
    with pytest.raises(UserError, match="custom:max-subscription"):
        await agent.run("Hi")


@pytest.mark.parametrize(
    ("name", "wire"),
    [("sonnet", "sonnet"), ("max-subscription", "sonnet"), ("haiku", "haiku"), ("claude-opus-4-8", "claude-opus-4-8")],
)
def test_a_name_goes_to_the_server_as_the_cli_knows_it(name: str, wire: str) -> None:
    model = ClaudeMaxModel(name)
    assert (model.model_name, model.model_id) == (wire, f"claude-max:{wire}")


@pytest.mark.parametrize(
    ("name", "successor"),
    [
        ("claude-opus-4", "opus"),
        ("claude-sonnet-4", "sonnet"),
        ("claude-3-7-sonnet", "sonnet"),
        ("claude-3-5-haiku", "haiku"),
    ],
)
def test_a_retired_name_says_who_answers(name: str, successor: str) -> None:
    with pytest.warns(RetiredModelWarning, match=f"{name}.*{successor}") as warned:
        assert ClaudeMaxModel(name).model_name == successor
    assert warned[0].filename == __file__, "the warning points at the line that names the model"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"gpt-5.*max-subscription.*sonnet"):
        ClaudeMaxModel("gpt-5")
