"""A blank process becomes a conversation when `initialize` is sent, however late that is."""

import pytest

from claude_max_mcp.engine.options import ALIAS_MAX_TOKENS
from claude_max_mcp.models import ALIASES
from tests.cli.bare import SONNET, Bare, Hello, ask, initialize
from tests.samples import CITY_SCHEMA, LOOK_UP


async def test_a_process_that_runs_already_takes_system_prompt_tools_and_schema(bare: Bare) -> None:
    async with bare.running() as worker:
        await worker.control({"subtype": "get_settings"})  # it has started, and has not been initialized
        await initialize(worker, LOOK_UP, systemPrompt=["Be terse.", "Be kind."], jsonSchema=CITY_SCHEMA)
        await ask(worker)
    body = bare.bodies[0]
    assert body["system"][-1]["text"] == "Be terse.\n\nBe kind.", "several texts are joined into one"
    given, structured = body["tools"]
    assert given == LOOK_UP
    assert structured["name"] == "StructuredOutput" and structured["input_schema"] == CITY_SCHEMA


async def test_one_initialize_is_enough_for_a_whole_conversation(bare: Bare) -> None:
    async with bare.running() as worker:
        await initialize(worker, LOOK_UP, systemPrompt=["Be terse."])
        for _ in range(2):
            await ask(worker)
    first, second = bare.bodies
    assert second["tools"] == first["tools"] == [LOOK_UP]
    assert [block["text"] for block in second["system"][1:]] == [block["text"] for block in first["system"][1:]]


async def test_control_requests_sent_in_one_go_are_each_answered_in_their_order(bare: Bare) -> None:
    async with bare.running() as worker:
        first, second = await worker.control(
            {"subtype": "initialize", "hooks": None, "skills": [], "systemPrompt": []},
            {"subtype": "apply_flag_settings", "settings": {"effortLevel": "low"}},
        )
        assert "account" in first and second == {}
        await ask(worker)
    assert bare.bodies[0]["output_config"] == {"effort": "low"}


async def test_the_account_is_named_before_any_prompt_and_upstream_has_seen_nothing_by_then(hello: Hello) -> None:
    account = hello.known.account
    assert (account.token_source, account.api_provider) == ("CLAUDE_CODE_OAUTH_TOKEN", "firstParty")
    assert account.api_key_source in (None, "none")
    assert hello.before == 0


async def test_the_aliases_stand_for_the_models_that_we_know(hello: Hello) -> None:
    known = {model.value: model.resolved_model for model in hello.known.models}
    assert {alias: known.get(alias) for alias in ALIASES} == dict(ALIASES)


async def test_every_alias_thinks_adaptively_and_cannot_be_kept_from_it(hello: Hello) -> None:
    facts = [facts for alias in ALIASES if (facts := hello.known.find_model(alias))]
    assert len(facts) == len(ALIASES)
    assert all(model.supports_adaptive_thinking and not model.supports_thinking_off for model in facts)


@pytest.mark.parametrize("alias", ALIASES)
async def test_for_an_alias_the_cli_asks_for_the_most_tokens_by_itself(bare: Bare, alias: str) -> None:
    async with bare.running(model=alias) as worker:
        await initialize(worker)
        await ask(worker)
    assert (bare.bodies[0]["model"], bare.bodies[0]["max_tokens"]) == (ALIASES[alias], ALIAS_MAX_TOKENS)


async def test_a_bare_hello_is_one_request_as_a_stream_and_nothing_else(hello: Hello) -> None:
    (request,) = hello.requests
    assert (request.body["model"], request.body["stream"]) == (SONNET, True)
    assert request.headers["authorization"] == "Bearer sk-ant-oat01-invented"
    assert [other.path for other in hello.others] == []


async def test_without_tools_it_has_none(hello: Hello) -> None:
    assert hello.requests[0].body["tools"] == []


async def test_all_it_adds_to_a_hello_is_a_billing_line_a_sentence_and_its_environment(hello: Hello) -> None:
    body = hello.requests[0].body
    billing, sentence = (block["text"] for block in body["system"])
    assert billing.startswith("x-anthropic-billing-header: ")
    assert sentence == "You are a Claude agent, built on Anthropic's Claude Agent SDK."
    said, environment = body["messages"]
    assert said == {"role": "user", "content": "hello"}
    assert environment["role"] == "system"
    (told,) = environment["content"]
    assert told["text"].startswith("# Environment\n")
    assert len(told["text"]) < 1_300


async def test_what_it_says_carries_the_limits_of_the_subscription(hello: Hello) -> None:
    limits = hello.run.limits
    assert limits is not None, "no rate_limit_event"
    assert (limits.status, limits.rate_limit_type) == ("allowed", "five_hour")
    assert limits.resets_at is not None
    window = limits.unified_windows["five_hour"]
    assert (window.utilization, window.resets_at) == (0.12, limits.resets_at)


async def test_a_run_that_went_well_says_completed_and_holds_the_text(hello: Hello) -> None:
    result = hello.run.result
    assert (result.is_error, result.terminal_reason) == (False, "completed")
    assert result.result == "This is the stand-in, not Claude. You said: hello"
    assert hello.run.said and (hello.run.said.error, hello.run.said.request_id) == (None, "req_standin")
