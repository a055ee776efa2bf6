"""What Claude is sent: prompts in their order, thinking, files, settings, and history from here and elsewhere."""

from itertools import pairwise
from typing import Any

import pytest
from dirty_equals import IsPartialDict
from pydantic_ai import (
    Agent,
    AudioUrl,
    BinaryContent,
    DocumentUrl,
    ImageUrl,
    ModelMessagesTypeAdapter,
    UnsupportedSettingWarning,
    VideoUrl,
    models,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UploadedFile,
    UserPromptPart,
    repair_messages,
)
from pydantic_ai.models.anthropic import AnthropicModelSettings
from pydantic_ai.settings import ModelSettings

from claude_max_mcp.standin import Reply, StandIn, Text, Thinking, ToolUse
from pydantic_ai_claude_max import ClaudeMaxModel
from tests.samples import PNG

from .behaviours import behaviour
from .blocks import Json, blocks, system


@behaviour(13)
async def test_the_system_prompt_comes_before_the_instructions(upstream: StandIn, model: ClaudeMaxModel) -> None:
    agent = Agent(model, system_prompt="First.", instructions="Second.")

    @agent.instructions
    def third() -> str:
        return "Third."

    assert third is not None
    await agent.run("hello")
    told = system(upstream.requests[0])
    assert told.index("First.") < told.index("Second.") < told.index("Third.")


@behaviour(14)
async def test_a_system_prompt_in_the_middle_reaches_claude(upstream: StandIn, model: ClaudeMaxModel) -> None:
    history: list[ModelMessage] = [
        ModelRequest([UserPromptPart("one")]),
        ModelResponse([TextPart("1")]),
        ModelRequest([SystemPromptPart("From now on in French."), UserPromptPart("two")]),
        ModelResponse([TextPart("deux")]),
    ]
    await Agent(model).run("three", message_history=history)
    body = upstream.requests[0].body
    assert "From now on in French." in str(body["messages"]) + str(body["system"])
    assert [message["role"] for message in upstream.requests[0].messages] == ["user", "assistant"] * 2 + ["user"]


@behaviour(16)
async def test_claudes_own_thinking_is_replayed_to_the_letter(upstream: StandIn, model: ClaudeMaxModel) -> None:
    upstream.enqueue(Reply(content=(Thinking("Hm, well.", "c2ln"), Text("one"))))
    agent = Agent(model)
    first = await agent.run("hello")
    await agent.run("again", message_history=first.all_messages())
    assert blocks(upstream.requests[1], 1)[0] == {"type": "thinking", "thinking": "Hm, well.", "signature": "c2ln"}


@behaviour(17, 39)
async def test_history_of_another_provider_goes_on_here_without_its_signatures(
    upstream: StandIn, model: ClaudeMaxModel
) -> None:
    thought = ThinkingPart("They want the weather.", id="rs_1", signature="foreign", provider_name="openai")
    call = ToolCallPart("weather", {"city": "Oslo"}, tool_call_id="call_1")
    history: list[ModelMessage] = [
        ModelRequest([UserPromptPart("Weather?")]),
        ModelResponse([thought, call], provider_name="openai", model_name="gpt-5"),
        ModelRequest([ToolReturnPart("weather", "sunny", tool_call_id="call_1")]),
        ModelResponse([TextPart("Sunny.")], provider_name="openai", model_name="gpt-5"),
    ]
    agent = Agent(model)

    @agent.tool_plain
    def weather(city: str) -> str:
        """Tell the weather."""
        return city

    assert weather is not None
    assert (await agent.run("Thanks!", message_history=history)).output.endswith("Thanks!")
    request = upstream.requests[0]
    assert b"foreign" not in request.raw and b'"thinking":"They' not in request.raw
    assert "They want the weather." in str(blocks(request, 0)), "as text"
    assert blocks(request, 1)[-1] == {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}}
    assert blocks(request, 2)[0]["tool_use_id"] == "call_1"


@behaviour(19)
@pytest.mark.parametrize(
    ("level", "effort"),
    [("minimal", "low"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("xhigh", "xhigh")],
)
async def test_a_level_of_thinking_is_claudes_effort(
    upstream: StandIn, model: ClaudeMaxModel, level: Any, effort: str
) -> None:
    await Agent(model, model_settings={"thinking": level}).run("hello")
    body = upstream.requests[0].body
    assert (body["thinking"]["type"], body["output_config"]["effort"]) == ("adaptive", effort)


@behaviour(19)
@pytest.mark.parametrize("thinking", [True, False])
async def test_thinking_is_simply_on_and_cannot_be_turned_off_here(
    upstream: StandIn, model: ClaudeMaxModel, thinking: bool
) -> None:
    await Agent(model, model_settings={"thinking": thinking}).run("hello")
    assert upstream.requests[0].body["thinking"]["type"] == "adaptive"


PDF = b"%PDF-1.4\n%%EOF"


@behaviour(20)
@pytest.mark.parametrize(
    ("file", "block"),
    [
        (BinaryContent.from_data_uri(f"data:image/png;base64,{PNG}"), ("image", "base64", "image/png")),
        (ImageUrl("https://example.org/a.png"), ("image", "url", None)),
        (BinaryContent(PDF, media_type="application/pdf"), ("document", "base64", "application/pdf")),
        (DocumentUrl("https://example.org/a.pdf"), ("document", "url", None)),
        (BinaryContent(b"a note", media_type="text/plain"), ("document", "text", "text/plain")),
    ],
    ids=["image", "image by address", "PDF", "PDF by address", "text document"],
)
async def test_a_file_reaches_claude_as_what_it_is(
    upstream: StandIn, model: ClaudeMaxModel, file: Any, block: tuple[str, str, str | None]
) -> None:
    await Agent(model).run(["What is this?", file])
    text, sent = blocks(upstream.requests[0])
    assert text == {"type": "text", "text": "What is this?"}
    assert (sent["type"], sent["source"]["type"], sent["source"].get("media_type")) == block


@behaviour(21, 23)
@pytest.mark.parametrize(
    "file",
    [
        BinaryContent(b"RIFF", media_type="audio/wav"),
        AudioUrl("https://example.org/a.mp3"),
        VideoUrl("https://example.org/a.mp4"),
        BinaryContent(b"0", media_type="video/mp4"),
        UploadedFile(file_id="file-1", provider_name="openai"),
        UploadedFile(file_id="file_1", provider_name="anthropic"),
    ],
    ids=["sound", "sound by address", "film by address", "film", "a file of OpenAI's", "a file of Anthropic's"],
)
async def test_what_claude_cannot_be_shown_is_refused_and_nothing_is_sent(
    upstream: StandIn, model: ClaudeMaxModel, file: Any
) -> None:
    with pytest.raises((NotImplementedError, UserError, RuntimeError)):
        await Agent(model).run(["What is this?", file])
    assert upstream.requests == []


HONOURED: dict[str, tuple[Any, Json]] = {
    "max_tokens": (321, {"max_tokens": 321}),
    "thinking": ("high", {"output_config": {"effort": "high"}}),
    "tool_choice": ("none", {"tools": []}),
}
WARNED: dict[str, Any] = {
    "parallel_tool_calls": False,
    "stop_sequences": ["stop here"],
    "extra_headers": {"x-unheard-of": "1"},
    "extra_body": {"unheard_of": 1},
}
SILENT: dict[str, Any] = {
    "temperature": 0.123,
    "top_p": 0.456,
    "top_k": 17,
    "seed": 987,
    "presence_penalty": 0.321,
    "frequency_penalty": 0.654,
    "logit_bias": {"7": 1},
    "service_tier": "flex",
}
LOCAL = {"timeout", "request_timeout", "first_event_timeout", "max_retries", "framing_announcement"}
"""What Pydantic AI or this package does itself, beside the request."""


@behaviour(38)
@pytest.mark.parametrize("name", [*HONOURED, *WARNED, *SILENT])
async def test_a_setting_is_honoured_or_never_on_the_wire(upstream: StandIn, model: ClaudeMaxModel, name: str) -> None:
    honoured, expected = HONOURED.get(name, (None, {}))
    value = honoured or WARNED.get(name, SILENT.get(name))
    agent = Agent(model, model_settings=ModelSettings(**{name: value}))  # pyright: ignore[reportArgumentType]

    @agent.tool_plain
    def tool() -> str:
        """A tool, as some settings are about tools."""
        return "done"

    assert tool is not None
    if name in WARNED:
        with pytest.warns(UnsupportedSettingWarning, match=name):
            await agent.run("hello")
    else:
        await agent.run("hello")
    (request,) = upstream.requests
    if expected:
        assert request.body == IsPartialDict(expected)
    else:
        assert name not in request.body and name in model.unsupported_settings
        assert b"unheard" not in request.raw and "x-unheard-of" not in request.headers


@behaviour(38)
def test_every_setting_of_pydantic_ai_is_accounted_for() -> None:
    known = {*HONOURED, *WARNED, *SILENT, *LOCAL, "citations", "cache"}
    assert set(ModelSettings.__annotations__) == known


@behaviour(37)
async def test_where_requests_are_not_allowed_none_is_sent(upstream: StandIn, model: ClaudeMaxModel) -> None:
    with models.override_allow_model_requests(False), pytest.raises(RuntimeError, match="not allowed"):
        await Agent(model).run("hello")
    assert upstream.requests == []


@behaviour(39)
async def test_history_goes_through_json_and_back(upstream: StandIn, model: ClaudeMaxModel) -> None:
    picture = BinaryContent.from_data_uri(f"data:image/png;base64,{PNG}")
    agent = Agent(model)

    @agent.tool_plain
    def look() -> str:
        """Look."""
        return "seen"

    assert look is not None
    upstream.enqueue(
        Reply(content=(Thinking("Hm.", "c2ln"), ToolUse("look", {}, "toolu_1"))), Reply(content=(Text("It is red."),))
    )
    first = await agent.run(["What is this?", picture])
    history = ModelMessagesTypeAdapter.validate_json(first.all_messages_json())
    assert history == first.all_messages()
    await agent.run("Sure?", message_history=history)
    before, after = upstream.requests[1], upstream.requests[2]
    assert [blocks(after, at) for at in range(3)] == [blocks(before, at) for at in range(3)]
    assert blocks(after, 3) == [{"type": "text", "text": "It is red."}]


@behaviour(3, 39)
@pytest.mark.parametrize("goes_on", ["And now?", None], ids=["by a prompt", "by itself"])
async def test_a_call_that_was_never_answered_is_settled_before_the_history_goes_on(
    upstream: StandIn, model: ClaudeMaxModel, goes_on: str | None
) -> None:
    """As where a program ended between call and result: Pydantic AI runs the tool, or tells that none was run."""
    history: list[ModelMessage] = [
        ModelRequest([UserPromptPart("Weather?")]),
        ModelResponse([TextPart("I look."), ToolCallPart("weather", {}, tool_call_id="toolu_1")]),
    ]
    agent = Agent(model)

    @agent.tool_plain
    def weather() -> str:
        """Tell the weather."""
        return "sunny"

    assert weather is not None
    upstream.enqueue(Reply(content=(Text("Sunny."),)))
    repaired = history if goes_on is None else repair_messages(history)
    assert (await agent.run(goes_on, message_history=repaired)).output == "Sunny."
    (request,) = upstream.requests
    called, settled = blocks(request, 1), blocks(request, 2)
    assert called == [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
    ]
    assert (settled[0]["type"], settled[0]["tool_use_id"]) == ("tool_result", "toolu_1")
    assert ("sunny" in str(settled[0])) is (goes_on is None)
    assert goes_on is None or [block["text"].strip() for block in settled[1:]] == [goes_on, "Continue."]


@behaviour(40)
async def test_each_request_of_a_run_begins_with_the_one_before(upstream: StandIn, model: ClaudeMaxModel) -> None:
    agent = Agent(model, instructions="Be terse.")

    @agent.tool_plain
    def step() -> str:
        """Make a step."""
        return "made"

    assert step is not None
    calls = [Reply(content=(Thinking("Hm.", "c2ln"), ToolUse("step", {}, f"toolu_{at}"))) for at in range(3)]
    upstream.enqueue(*calls, Reply(content=(Text("Done."),)))
    first = await agent.run("go")
    await agent.run("again", message_history=first.all_messages())
    sent = [_stable(request.body) for request in upstream.requests]
    assert len(sent) == 5
    for (fixed, messages), (later_fixed, later) in pairwise(sent):
        assert later_fixed == fixed
        assert later[: len(messages)] == messages and len(later) > len(messages)


@behaviour(40)
@pytest.mark.parametrize(
    "settings",
    [
        AnthropicModelSettings(anthropic_cache="5m"),
        AnthropicModelSettings(anthropic_cache_instructions="5m"),
        AnthropicModelSettings(anthropic_cache_messages=True),
        ModelSettings(cache=True),
    ],
    ids=["all", "instructions", "messages", "the setting of all providers"],
)
async def test_how_long_a_prefix_is_kept_is_what_the_settings_say(
    upstream: StandIn, model: ClaudeMaxModel, settings: ModelSettings
) -> None:
    agent = Agent(model, instructions="Be terse.")
    await agent.run("hello")
    await agent.run("hello", model_settings=settings)
    assert [_find_ttls(request.body) for request in upstream.requests] == [{"1h"}, {"5m"}]


def _find_ttls(body: Json) -> set[str]:
    """For how long the breakpoints of a request hold."""
    blocks = [*body["system"], *(block for m in body["messages"] for block in _as_blocks(m["content"]))]
    return {block["cache_control"].get("ttl", "5m") for block in blocks if "cache_control" in block}


def _stable(body: Json) -> tuple[list[Any], list[Any]]:
    """Tools and system prompt, and the messages: less the CLI's breakpoints and the hash in its billing line."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k != "cache_control"}  # pyright: ignore[reportUnknownVariableType]
        return [plain(item) for item in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]

    messages = [{**message, "content": _as_blocks(message["content"])} for message in body["messages"]]
    return plain([body["tools"], body["system"][1:]]), plain(messages)


def _as_blocks(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
