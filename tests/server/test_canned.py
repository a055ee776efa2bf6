"""What is answered offline, where nobody scripts the stand-in."""

from typing import Any

from claude_max_mcp.standin import make_canned_reply
from tests.house import House

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "stops": {"type": "array", "items": {"$ref": "#/$defs/Stop"}, "minItems": 2},
        "note": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
        "left_out": {"type": "string"},
    },
    "required": ["stops", "note"],
    "$defs": {
        "Stop": {
            "type": "object",
            "properties": {"by": {"enum": ["train", "plane"]}, "nights": {"type": "integer", "minimum": 3}},
            "required": ["by", "nights"],
        }
    },
}


async def test_offline_the_output_fits_the_schema_and_each_tool_is_called_once(house: House) -> None:
    house.standin.script(make_canned_reply)
    result = await house.ask(prompt="Plan a trip.", output_schema=SCHEMA)
    assert result.structured_output == {"stops": [{"by": "train", "nights": 3}] * 2, "note": "stand"}
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Go."}]
    tools: list[dict[str, Any]] = [{"name": "step", "input_schema": {"type": "object", "properties": {}}}]
    called = await house.ask(messages=messages, tools=tools)
    assert called.message and [block["name"] for block in called.message["content"]] == ["step"]
    given = {"type": "tool_result", "tool_use_id": called.message["content"][0]["id"], "content": "made"}
    messages += [{"role": "assistant", "content": called.message["content"]}, {"role": "user", "content": [given]}]
    done = await house.ask(messages=messages, tools=tools)
    assert done.stop_reason == "end_turn" and "1 tool result" in done.response
