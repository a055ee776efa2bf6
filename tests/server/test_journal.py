"""What became of the latest requests is known in numbers, and never in words."""

import anyio
from mcp import Client

from claude_max_mcp import standin as api
from claude_max_mcp.service.journal import KEPT, Entry, Journal
from claude_max_mcp.standin import Reply, StandIn, Text
from tests.house import MODERN, House, serving


async def entries(house: House) -> list[Entry]:
    async with house.http() as http:
        return [Entry.model_validate(entry) for entry in (await http.get("/requests")).json()["requests"]]


async def test_an_answered_request_and_a_failed_one_are_there_with_the_ids_their_callers_got(
    own_standin: StandIn,
) -> None:
    async with serving(own_standin, warm=0) as house:
        answered = await house.ask(prompt="a secret question", model="opus")
        own_standin.script(lambda _: api.usage_limit())
        failed = await house.ask(prompt="another one")
        first, second = await entries(house)
    assert (first.request_id, second.request_id) == (answered.request_id, failed.request_id)
    assert (first.outcome, second.outcome) == ("answered", "usage_limit")
    assert (first.model, first.input_tokens, first.output_tokens) == ("claude-opus-5-5", 19, 7)
    assert first.first_text_ms is not None and first.first_text_ms <= first.duration_ms
    assert second.first_text_ms is None
    assert "secret" not in first.model_dump_json() and "stand-in" not in first.model_dump_json()


async def test_a_request_whose_caller_goes_away_is_there_as_cancelled(own_standin: StandIn) -> None:
    own_standin.script(lambda _: Reply(content=(Text("one two"),), hold=anyio.Event()))
    async with serving(own_standin, warm=0) as house, anyio.create_task_group() as tasks:
        with anyio.fail_after(60):
            async with Client(house.url, mode=MODERN) as client:
                tasks.start_soon(client.call_tool, "ask_claude", {"prompt": "hello"})
                await own_standin.wait_for_request()
                tasks.cancel_scope.cancel()
    assert [entry.outcome for entry in house.service.journal.entries] == ["cancelled"]


def test_only_the_latest_are_kept_and_every_one_is_told() -> None:
    journal, told = Journal(), list[Entry]()
    journal.listen(told.append)
    for number in range(KEPT + 5):
        journal.add(
            Entry(request_id=str(number), at=0, model=None, outcome="answered", duration_ms=1, first_text_ms=None)
        )
    assert len(told) == KEPT + 5
    assert [entry.request_id for entry in journal.entries] == [str(number) for number in range(5, KEPT + 5)]
