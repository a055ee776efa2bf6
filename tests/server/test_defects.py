"""A defect of the server itself ends as a typed error; it is logged without a word of the request, and counted."""

from typing import Any

import pytest

from claude_max_mcp.results import AskResult
from claude_max_mcp.service.defects import describe_defect
from claude_max_mcp.wire import AskRequest
from tests.house import House

Json = dict[str, Any]
SECRET = "the password is swordfish"


async def meet_a_defect(house: House) -> AskResult:
    """Ask with a receiver of events that breaks at the first one, and quotes it."""

    def break_down(event: object) -> None:
        raise KeyError(f"{SECRET}: {event}")

    return await house.service.ask(AskRequest(prompt=SECRET), break_down, keeper="session")


async def test_it_is_an_internal_error_that_says_where_to_look(house: House) -> None:
    result = await meet_a_defect(house)
    assert result.error and (result.error.code, result.error.status) == ("internal", 500)
    assert result.request_id and result.request_id in result.error.message


async def test_it_is_logged_with_its_place_and_no_word_of_the_request(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    result = await meet_a_defect(house)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    text = record.getMessage()
    assert result.request_id and result.request_id in text
    assert "in break_down" in text and "builtins.KeyError" in text
    assert "swordfish" not in text


async def test_it_is_counted_as_what_it_is(house: House) -> None:
    result = await meet_a_defect(house)
    async with house.http() as http:
        (entry,) = [e for e in (await http.get("/requests")).json()["requests"] if e["request_id"] == result.request_id]
        metrics = (await http.get("/metrics")).text
    assert entry["outcome"] == "internal"
    assert 'claude_max_requests_total{model="claude-sonnet-5-5",outcome="internal"}' in metrics


async def test_the_next_request_is_answered(house: House) -> None:
    await meet_a_defect(house)
    result = await house.ask(prompt="hello")
    assert result.success, result.error


def test_all_its_causes_are_described() -> None:
    def fail(kind: type[Exception]) -> None:
        raise kind(SECRET)

    def wrap() -> None:
        try:
            fail(KeyError)
        except KeyError as error:
            raise ExceptionGroup(SECRET, [ValueError(SECRET)]) from error

    with pytest.raises(ExceptionGroup) as caught:
        wrap()
    text = describe_defect(caught.value)
    assert [name for name in ("KeyError", "which led to", "ExceptionGroup", "ValueError") if name not in text] == []
    assert text.index("KeyError") < text.index("ExceptionGroup")
    assert "swordfish" not in text
