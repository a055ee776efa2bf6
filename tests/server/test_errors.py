"""The family of errors: what each says, and whose fault it is."""

from typing import get_args

import pytest

from claude_max_mcp.errors import (
    STATUS,
    ClaudeMaxError,
    Code,
    InvalidRequest,
    Unsupported,
    find_error_class,
    hide_credentials,
    to_error_type,
)
from claude_max_mcp.results import AskResult


def test_a_message_is_what_happened_and_what_to_do_in_one() -> None:
    error = ClaudeMaxError("busy", "There is no room.", "Try again.")
    assert (error.problem, error.advice) == ("There is no room.", "Try again.")
    assert error.message == str(error) == "There is no room. Try again."


def test_an_error_without_advice_says_what_happened_and_no_more() -> None:
    assert ClaudeMaxError("busy", "There is no room.").message == "There is no room."


def test_what_is_unsupported_is_named_and_the_advice_stands_apart() -> None:
    error = Unsupported("`top_k`", "Leave it out.")
    assert (error.code, error.problem, error.advice) == (
        "unsupported",
        "`top_k` is not supported by this server.",
        "Leave it out.",
    )
    assert InvalidRequest("top_k: a number is needed.", "Give one.").advice == "Give one."


def test_every_code_belongs_to_one_class_and_has_a_status() -> None:
    families = ClaudeMaxError.__subclasses__()
    for code in get_args(Code):
        assert [family for family in families if code in family.codes] == [find_error_class(code)]
        assert 400 <= STATUS[code] < 600


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (401, "authentication_error"),
        (529, "overloaded_error"),
        (400, "invalid_request_error"),
        (498, "invalid_request_error"),
        (499, "api_error"),
        (500, "api_error"),
    ],
)
def test_a_status_without_a_name_of_its_own_says_whether_the_request_was_at_fault(status: int, name: str) -> None:
    assert to_error_type(status) == name


def test_of_a_credential_only_its_kind_is_left() -> None:
    said = "no such key: sk-ant-api03-AbC_d-9, or sk-ant-oat01-x; ask"
    assert hide_credentials(said) == "no such key: sk-ant-…, or sk-ant-…; ask"


def test_a_result_without_an_answer_has_all_that_its_error_says() -> None:
    error = ClaudeMaxError(
        "usage_limit", "It is used up.", "Wait.", retry_after=2.5, resets_at=1_700, upstream_request_id="req_1"
    )
    assert AskResult.from_error(error).model_dump(exclude_defaults=True) == {
        "success": False,
        "error": {
            "code": "usage_limit",
            "message": "It is used up. Wait.",
            "problem": "It is used up.",
            "advice": "Wait.",
            "status": 429,
            "retryable": True,
            "retry_after": 2.5,
            "resets_at": 1_700,
            "upstream_request_id": "req_1",
            "request_id": "req_1",
        },
    }
