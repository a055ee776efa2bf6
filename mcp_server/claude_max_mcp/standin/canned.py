"""What the stand-in answers where nobody scripts it and a person only wants to see things work: `--offline`.

In: a request. Out: a reply of the kind that was asked for: output that fits the schema, one call of each tool that is
offered, else what was said, with what came beside it.
"""

from collections import Counter
from typing import Any

from claude_max_mcp.messages import Json
from claude_max_mcp.standin.api import Recorded
from claude_max_mcp.standin.replies import Reply, Text, ToolUse, echo

OUTPUT = "StructuredOutput"
"""The CLI's own tool for output that fits a schema."""


def make_canned_reply(request: Recorded) -> Reply:
    """The reply to a request: it never calls a tool twice in a row."""
    tools: list[Json] = request.body.get("tools", [])
    returned = any(block["type"] == "tool_result" for block in request.last_blocks)
    wanted = [tool for tool in tools if tool["name"] == OUTPUT] or ([] if returned else tools)
    if wanted:
        return Reply(content=[ToolUse(tool["name"], make_instance(tool["input_schema"])) for tool in wanted])
    beside = Counter(block["type"] for block in request.last_blocks if block["type"] != "text")
    if not beside:
        return echo(request.body)
    came = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in sorted(beside.items()))
    said = " ".join(block["text"] for block in request.last_blocks if block["type"] == "text") or "nothing"
    return Reply(content=(Text(f"This is the stand-in, not Claude. You sent {came}, and said: {said[:2000]}"),))


def make_instance(schema: Json, root: Json | None = None) -> Any:
    """The smallest value that fits a JSON schema, as far as its usual words go."""
    root = schema if root is None else root
    if "$ref" in schema:
        return make_instance(_resolve(schema["$ref"], root), root)
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    if schema.get("enum"):
        return schema["enum"][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return make_instance(schema[word][0], root)
    kind = schema.get("type", "object")
    return _make_of_type(kind[0] if isinstance(kind, list) else kind, schema, root)


def _make_of_type(kind: Any, schema: Json, root: Json) -> Any:
    match kind:
        case "object":
            properties: Json = schema.get("properties", {})
            return {name: make_instance(properties.get(name, {}), root) for name in schema.get("required", [])}
        case "array":
            return [make_instance(schema.get("items", {}), root)] * max(1, schema.get("minItems", 1))
        case "string":
            return "stand-in".ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return True
        case _:
            return None


def _resolve(reference: str, root: Json) -> Json:
    found: Any = root
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found
