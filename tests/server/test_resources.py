"""What MCP offers beside the tools: a prompt, two resources, names of models to choose from, an icon."""

import base64
import json
from typing import Any
from xml.etree import ElementTree

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, Icon, PromptReference, ReadResourceResult, TextContent, TextResourceContents

from claude_max_mcp.front.mcp import INSTRUCTIONS, make_mcp_server
from claude_max_mcp.models import ALIASES
from claude_max_mcp.results import Health
from tests.house import MODERN, House, serving

MODES = ["legacy", MODERN]


def data(result: ReadResourceResult) -> Any:
    (contents,) = result.contents
    assert isinstance(contents, TextResourceContents) and contents.mime_type == "application/json"
    return json.loads(contents.text)


async def prompt(house: House, mode: str, **arguments: str) -> str:
    async with Client(house.url, mode=mode) as client:
        (message,) = (await client.get_prompt("second_opinion", arguments)).messages
    assert message.role == "user" and isinstance(message.content, TextContent)
    return message.content.text


@pytest.mark.parametrize("mode", MODES)
async def test_all_is_said_about_the_prompt_and_the_resources(house: House, mode: str) -> None:
    async with Client(house.url, mode=mode) as client:
        (opinion,) = (await client.list_prompts()).prompts
        resources = (await client.list_resources()).resources
        assert (await client.list_resource_templates()).resource_templates == []
    assert opinion.title and opinion.description
    assert {argument.name for argument in opinion.arguments or [] if argument.description} == {"about", "model"}
    assert [resource.uri for resource in resources] == ["claude-max://status", "claude-max://models"]
    assert all(resource.title and resource.description and resource.mime_type for resource in resources)


@pytest.mark.parametrize("mode", MODES)
async def test_the_status_is_what_health_says_and_is_not_kept(house: House, mode: str) -> None:
    async with Client(house.url, mode=mode) as client:
        read = await client.read_resource("claude-max://status")
        health = (await client.call_tool("health", {})).structured_content
    assert Health.model_validate(data(read)).model_dump(exclude={"uptime"}) == Health.model_validate(health).model_dump(
        exclude={"uptime"}
    )
    assert read.ttl_ms == 0


async def test_the_models_are_named_with_the_one_that_a_request_gets_by_default() -> None:
    async with serving(model="haiku", warm=0) as house, Client(house.url, mode=MODERN) as client:
        models = data(await client.read_resource("claude-max://models"))
    assert models["default"] == "haiku"
    assert {model["name"]: model["answers"] for model in models["models"]} == ALIASES


@pytest.mark.parametrize("mode", MODES)
async def test_a_resource_that_is_not_there_is_an_error_that_says_which_are(house: House, mode: str) -> None:
    async with Client(house.url, mode=mode) as client:
        with pytest.raises(MCPError, match="claude-max://status and claude-max://models") as error:
            await client.read_resource("claude-max://nonesuch")
    assert (error.value.code, error.value.data) == (INVALID_PARAMS, {"uri": "claude-max://nonesuch"})


@pytest.mark.parametrize("mode", MODES)
async def test_the_prompt_has_the_tool_called_with_what_was_given(house: House, mode: str) -> None:
    text = await prompt(house, mode, about="Is {this} 'right'?", model="opus")
    assert "`ask_claude`" in text and "Is {this} 'right'?" in text and 'model="opus"' in text
    assert "model=" not in await prompt(house, mode)


@pytest.mark.parametrize(("name", "arguments"), [("nonesuch", {}), ("second_opinion", {"topic": "x"})])
async def test_a_wrong_prompt_or_argument_is_an_error_that_says_which_there_are(
    house: House, name: str, arguments: dict[str, str]
) -> None:
    async with Client(house.url, mode=MODERN) as client:
        with pytest.raises(MCPError, match=r"`second_opinion`|`about` and `model`") as error:
            await client.get_prompt(name, arguments)
    assert error.value.code == INVALID_PARAMS


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("argument", "begun", "offered"),
    [
        ("model", "", [*ALIASES, *ALIASES.values()]),
        ("model", "o", ["opus"]),
        ("model", "claude-h", ["claude-haiku-5-5"]),
        ("model", "gpt", []),
        ("about", "o", []),
    ],
)
async def test_names_of_models_are_completed(
    house: House, mode: str, argument: str, begun: str, offered: list[str]
) -> None:
    async with Client(house.url, mode=mode) as client:
        ref = PromptReference(name="second_opinion")
        completed = (await client.complete(ref, {"name": argument, "value": begun})).completion
    assert (completed.values, completed.total, completed.has_more) == (offered, len(offered), False)


def svg(icons: list[Icon] | None) -> ElementTree.Element:
    (icon,) = icons or []
    kind, _, encoded = icon.src.partition(";base64,")
    assert kind == "data:image/svg+xml" and icon.mime_type == "image/svg+xml"
    return ElementTree.fromstring(base64.b64decode(encoded))


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_server_says_who_it_is_and_how_it_is_used(house: House, mode: str) -> None:
    async with Client(house.url, mode=mode) as client:
        assert client.server_info and client.server_info.description
        assert client.instructions == INSTRUCTIONS
        picture = svg(client.server_info.icons)
        capabilities = client.server_capabilities
    assert {element.tag.partition("}")[2] for element in picture.iter()} == {"svg", "rect", "path"}, "no script"
    assert capabilities.prompts and capabilities.resources and capabilities.completions
    assert not capabilities.resources.subscribe, "nothing is promised that is not kept"


def test_an_icon_is_small(shared_house: House) -> None:
    (icon,) = make_mcp_server(shared_house.service).icons or []
    assert len(icon.src) < 500
