"""The server and the provider each have their own copy of the contract, as neither imports the other. They agree."""

import inspect
from importlib.metadata import requires, version
from typing import Any, cast, get_args, get_type_hints

import pytest
from anthropic.types.shared.error_type import ErrorType
from pydantic import BaseModel, TypeAdapter, ValidationError

from claude_max_mcp import errors, models, results, wire
from claude_max_mcp.errors import Code
from claude_max_mcp.front import listener, messages_api, progress
from claude_max_mcp.settings import Settings
from claude_max_mcp.terminal import client as terminal_client
from pydantic_ai_claude_max import (
    AnswerLost,
    AskArguments,
    AskFailed,
    AskResult,
    ClaudeMaxError,
    ErrorDetail,
    Health,
    ProtocolError,
    ServerNotRunning,
    TokenRejected,
)
from pydantic_ai_claude_max._client import DEFAULT_URL, LONGEST
from pydantic_ai_claude_max._connection import PROTOCOL
from pydantic_ai_claude_max._errors import LOGIN_CODES
from pydantic_ai_claude_max._http import LIMITS, TIMEOUT
from pydantic_ai_claude_max._messages import CARRIED, DROPPED, ERROR_TYPES
from pydantic_ai_claude_max._names import CURRENT, NAMES, RETIRED, SUBSCRIPTION

CODES: tuple[Code, ...] = get_args(Code)
URL = "http://127.0.0.1:1/mcp"
OWN_ERRORS: tuple[ClaudeMaxError, ...] = (
    ServerNotRunning(URL),
    TokenRejected(URL, status=401),
    AnswerLost("it is gone"),
    ProtocolError(URL, "it speaks of something else"),
)
"""The errors that the provider itself reports under codes which the server does not have."""


def list_types(schema: dict[str, Any], definitions: dict[str, Any]) -> set[str]:
    """The types that a JSON schema lets through: `object`, `null`, …; every one where it says nothing."""
    match schema:
        case {"$ref": str(reference)}:
            return list_types(definitions[reference.rpartition("/")[2]], definitions)
        case {"anyOf": [*choices]} | {"oneOf": [*choices]}:
            return {name for choice in choices for name in list_types(choice, definitions)}
        case {"type": "number"}:
            return {"number", "integer"}
        case {"type": str(name)}:
            return {name}
        case _:
            return {"object", "array", "string", "number", "integer", "boolean", "null"}


def read_field_types(model: type[BaseModel]) -> dict[str, set[str]]:
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    return {name: list_types(field, definitions) for name, field in schema["properties"].items()}


def read_hint_types(hint: Any) -> set[str]:
    schema = TypeAdapter[Any](hint).json_schema()
    return list_types(schema, schema.get("$defs", {}))


@pytest.mark.parametrize("code", CODES)
def test_each_error_has_one_name_in_the_messages_api(code: Code) -> None:
    assert ERROR_TYPES.get(code, "api_error") == errors.to_error_type(errors.STATUS[code])


def test_the_names_of_errors_are_anthropics_own() -> None:
    ours = {*ERROR_TYPES.values(), *map(errors.to_error_type, errors.STATUS.values())}
    assert ours <= {*get_args(ErrorType), "request_too_large"}, "the SDK has a class for the last, but not its name"


def test_every_code_that_the_provider_names_exists() -> None:
    assert ERROR_TYPES.keys() <= {*CODES, *(error.code for error in OWN_ERRORS)}
    assert {*CODES}.isdisjoint(error.code for error in OWN_ERRORS)


def test_a_name_leads_to_the_same_model() -> None:
    assert CURRENT == models.ALIASES
    assert {**RETIRED, "max-subscription": SUBSCRIPTION} == models.SEED_NAMES
    assert {*NAMES} == models.ALIASES.keys() | models.SEED_NAMES.keys()
    assert Settings.model_fields["model"].default == SUBSCRIPTION


def test_the_provider_knows_every_argument() -> None:
    assert {"prompt", *get_type_hints(AskArguments)} == wire.AskRequest.model_fields.keys()


@pytest.mark.parametrize("name", get_type_hints(AskArguments))
def test_an_argument_of_the_provider_is_of_a_type_that_the_server_takes(name: str) -> None:
    given, taken = get_type_hints(AskArguments)[name], wire.AskRequest.model_fields[name].annotation
    assert read_hint_types(given) <= read_hint_types(taken)
    if choices := [choice for choice in get_args(given) if isinstance(choice, str)]:
        assert {*choices} == {*get_args(taken)}


@pytest.mark.parametrize(
    ("read", "sent"),
    [(AskResult, results.AskResult), (ErrorDetail, results.ErrorInfo), (Health, results.Health)],
    ids=["AskResult", "ErrorDetail", "Health"],
)
def test_a_field_that_the_provider_reads_is_sent_in_a_type_that_it_takes(
    read: type[BaseModel], sent: type[BaseModel]
) -> None:
    wanted, given = read_field_types(read), read_field_types(sent)
    assert wanted.keys() <= given.keys()
    for name, types in wanted.items():
        assert given[name] <= types, name


@pytest.mark.parametrize("code", CODES)
def test_an_error_is_read_as_it_was_sent(code: Code) -> None:
    error = errors.ClaudeMaxError(code, "Do this.", retry_after=1.5, resets_at=1800000000)
    result = AskResult.model_validate(results.AskResult.from_error(error).model_dump(mode="json"))
    assert result.error is not None and not result.success
    seen = (result.error.code, result.error.message, result.error.status, result.error.retryable)
    assert seen == (code, "Do this.", errors.STATUS[code], code in errors.RETRYABLE)
    assert (result.error.retry_after, result.error.resets_at) == (1.5, 1800000000)


def test_both_ways_to_the_messages_api_carry_and_leave_out_the_same_fields() -> None:
    assert CARRIED == messages_api.CARRIED
    assert DROPPED == messages_api.LEFT_OUT
    assert {*CARRIED} <= wire.AskRequest.model_fields.keys()


def test_the_provider_looks_for_the_server_where_it_listens() -> None:
    host, port = (Settings.model_fields[name].default for name in ("host", "port"))
    assert f"http://{host}:{port}/mcp" == DEFAULT_URL


def test_a_request_may_take_as_long_for_both() -> None:
    assert LONGEST == wire.MAX_TIMEOUT
    for model in (Settings, wire.AskRequest):
        model.model_validate({"timeout": LONGEST})
        with pytest.raises(ValidationError, match="timeout"):
            model.model_validate({"timeout": LONGEST + 1})


def test_silence_and_idle_connections_end_on_the_right_side_first() -> None:
    read, expiry = TIMEOUT.read, LIMITS.keepalive_expiry
    assert read is not None and read >= 2 * progress.HEARTBEAT, "one heartbeat may come late"
    kept: int = inspect.signature(listener.listening).parameters["keep_alive"].default
    assert expiry is not None and expiry < kept / 2, "the client closes first"


def test_both_speak_one_revision_of_mcp() -> None:
    assert PROTOCOL == terminal_client.ERA


async def test_both_say_in_the_same_words_that_no_server_is_running() -> None:
    with pytest.raises(errors.ClaudeMaxError) as caught:
        await terminal_client.fetch_health(URL, None)
    for text in (str(caught.value), str(ServerNotRunning(URL))):
        assert f"not running at {URL}" in text and "`claude-max serve`" in text and "CLAUDE_MAX_URL" in text


def test_a_missing_login_is_completed_by_how_to_log_in_whatever_the_server_says_of_it() -> None:
    assert {code for code in CODES if errors.STATUS[code] == 401} == LOGIN_CODES
    for code in LOGIN_CODES:
        text = str(AskFailed(ErrorDetail(code=code, message="Something else.")))
        assert "authentication" in text and "claude-max login" in text and "setup-token" in text


def test_both_distributions_are_of_one_version() -> None:
    ours = version("claude-max-mcp")
    assert version("pydantic-ai-claude-max") == ours
    extras = cast(list[str], requires("pydantic-ai-claude-max"))
    assert f"claude-max-mcp=={ours}; extra == 'embedded'" in extras
