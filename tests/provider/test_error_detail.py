"""Errors as a server reports them, also one of another release."""

import pytest

from pydantic_ai_claude_max._errors import ErrorDetail


@pytest.mark.parametrize("name", ["upstream_request_id", "request_id"])
def test_anthropics_id_of_the_request_is_read_by_its_new_name_and_its_old_one(name: str) -> None:
    assert ErrorDetail.model_validate({"code": "overloaded", "message": "Wait.", name: "req_1"}).request_id == "req_1"
