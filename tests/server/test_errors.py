"""The family of errors: what each says, and whose fault it is."""

from typing import get_args

from claude_max_mcp.errors import STATUS, ClaudeMaxError, Code, InvalidRequest, Unsupported, find_error_class


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
