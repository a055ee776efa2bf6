"""The JSON schema of a tool's arguments, in a form that every MCP client takes.

In: a schema as pydantic writes it. Out: one that accepts the same values and is made of plain nested objects. Some
clients refuse references, `oneOf` or `const`; titles and null defaults cost tokens in each conversation that lists the
tool, and say nothing. A shape that holds itself cannot be written so.
"""

from claude_max_mcp.messages import Json

REFERENCE = "#/$defs/"

DEFAULTS = (("default", None), ("additionalProperties", True))
"""What a schema means where it says nothing."""


def simplify_schema(schema: Json) -> Json:
    """The schema without references, and without what says nothing."""
    return _simplify(schema, schema.get("$defs", {}))


def _simplify(schema: Json, shapes: dict[str, Json]) -> Json:
    if "$ref" in schema:
        schema = {**shapes[schema["$ref"].removeprefix(REFERENCE)], **schema}
    simple: Json = {}
    for word, value in schema.items():
        match word:
            case "properties":
                simple[word] = {name: _simplify(field, shapes) for name, field in value.items()}
            case "items":
                simple[word] = _simplify(value, shapes)
            case "anyOf" | "oneOf":
                simple["anyOf"] = [_simplify(choice, shapes) for choice in value]
            case "const":
                simple["enum"] = [value]
            case "title" | "$ref" | "$defs":
                pass
            case _ if (word, value) in DEFAULTS:
                pass
            case _:
                simple[word] = value
    return simple
