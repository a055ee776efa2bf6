"""What catalogues are told of the server: `server.json` for the MCP registry, and the manifest of the bundle."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema.exceptions import ValidationError
from jsonschema.validators import Draft202012Validator
from typer.testing import CliRunner

from claude_max_mcp.settings import Settings
from claude_max_mcp.terminal.commands import app

Json = dict[str, Any]

ROOT = Path(__file__).parents[1]
SERVER: Json = json.loads((ROOT / "server.json").read_text())
MANIFEST: Json = json.loads((ROOT / "deploy" / "mcpb" / "manifest.json").read_text())
PROJECT: Json = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUNDLE: Json = tomllib.loads((ROOT / "deploy" / "mcpb" / "pyproject.toml").read_text())

_INPUT: Json = {
    "type": "object",
    "required": ["name", "description"],
    "properties": {
        "name": {"type": "string"},
        "description": {"type": "string"},
        "default": {"type": "string"},
        "isSecret": {"type": "boolean"},
        "format": {"enum": ["string", "number", "boolean", "filepath"]},
    },
    "additionalProperties": False,
}
_ARGUMENT: Json = {
    "type": "object",
    "required": ["type", "value"],
    "properties": {"type": {"enum": ["positional", "named"]}, "name": {"type": "string"}, "value": {"type": "string"}},
    "if": {"properties": {"type": {"const": "named"}}},
    "then": {"required": ["name"]},
    "additionalProperties": False,
}
_VERSION: Json = {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"}
_PACKAGE: Json = {
    "type": "object",
    "required": ["registryType", "identifier", "version", "transport"],
    "properties": {
        "registryType": {"const": "pypi"},
        "identifier": {"type": "string"},
        "version": _VERSION,
        "runtimeHint": {"const": "uvx"},
        "transport": {"const": {"type": "stdio"}},
        "packageArguments": {"type": "array", "items": _ARGUMENT},
        "environmentVariables": {"type": "array", "items": _INPUT},
    },
    "additionalProperties": False,
}
SHAPE: Json = {
    "type": "object",
    "required": ["$schema", "name", "description", "version", "packages"],
    "properties": {
        "$schema": {"const": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"},
        "name": {"type": "string", "pattern": r"^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$", "minLength": 3, "maxLength": 200},
        "title": {"type": "string", "minLength": 1, "maxLength": 100},
        "description": {"type": "string", "minLength": 1, "maxLength": 100},
        "version": _VERSION,
        "packages": {"type": "array", "minItems": 1, "items": _PACKAGE},
    },
    "additionalProperties": False,
}
"""As much of the registry's schema as our file uses, and no more than that is allowed in it."""


def conforms(value: Json) -> None:
    Draft202012Validator(SHAPE).validate(value)  # pyright: ignore[reportUnknownMemberType]


def test_what_the_registry_is_told_has_its_form() -> None:
    Draft202012Validator.check_schema(SHAPE)
    conforms(SERVER)


@pytest.mark.parametrize("wrong", [{"description": "x" * 101}, {"name": "no-namespace"}, {"version": "latest"}])
def test_the_form_is_looked_at(wrong: Json) -> None:
    with pytest.raises(ValidationError):
        conforms(SERVER | wrong)


def test_every_catalogue_names_this_version_of_this_package() -> None:
    (package,) = SERVER["packages"]
    assert package["identifier"] == PROJECT["name"]
    assert {SERVER["version"], package["version"], MANIFEST["version"]} == {PROJECT["version"]}


def test_the_image_of_the_example_is_of_this_version() -> None:
    manifests = (ROOT / "deploy" / "kubernetes.yaml").read_text()
    assert re.findall(r"image: registry\.example/claude-max:(\S+)", manifests) == [PROJECT["version"]]


def test_no_other_project_file_has_a_version_to_keep() -> None:
    """The provider takes the server's; the bundle, which is no package, gets the server's wheel by `make bundle`."""
    provider = tomllib.loads((ROOT / "provider" / "pyproject.toml").read_text())["project"]
    assert "version" in provider["dynamic"]
    assert (BUNDLE["project"]["version"], BUNDLE["project"]["dependencies"]) == ("0", [])


def test_a_package_runner_finds_a_command_of_the_packages_name() -> None:
    """`uvx claude-max-mcp` runs the command that is called like the package."""
    assert PROJECT["scripts"][PROJECT["name"]] == PROJECT["scripts"]["claude-max"]


def test_the_arguments_are_ones_that_the_command_line_takes() -> None:
    command, transport = SERVER["packages"][0]["packageArguments"]
    said = CliRunner().invoke(app, [command["value"], f"{transport['name']}={transport['value']}", "--help"])
    assert said.exit_code == 0


def test_every_variable_that_a_catalogue_names_exists() -> None:
    named = {variable["name"] for variable in SERVER["packages"][0]["environmentVariables"]}
    assert named == set(MANIFEST["server"]["mcp_config"]["env"])
    ours = {f"CLAUDE_MAX_{field.upper()}" for field in Settings.model_fields}
    assert named <= ours | {"CLAUDE_CODE_OAUTH_TOKEN"}


def test_the_bundle_asks_for_every_value_that_it_uses() -> None:
    used = set(MANIFEST["server"]["mcp_config"]["env"].values())
    assert used == {f"${{user_config.{name}}}" for name in MANIFEST["user_config"]}
    assert MANIFEST["user_config"]["login"]["sensitive"] is True
