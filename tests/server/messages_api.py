"""How the tests of the Messages API ask, with Anthropic's SDK and without: fixtures and functions to import."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import Message

from tests.house import House
from tests.samples import Json

TOKEN = "a token that nobody guesses"
HELLO: Any = [{"role": "user", "content": "hello"}]
ASK: Json = {"model": "sonnet", "max_tokens": 1000, "messages": HELLO}


@pytest.fixture
def house(messages_house: House) -> House:
    """A server that speaks the Messages API to those who know its token."""
    messages_house.standin.reset()
    return messages_house


@pytest.fixture
async def claude(house: House) -> AsyncGenerator[AsyncAnthropic]:
    """Anthropic's SDK, given nothing but the address and the token."""
    async with AsyncAnthropic(base_url=house.root, api_key=TOKEN, max_retries=0) as client:
        yield client


async def create(claude: AsyncAnthropic, **more: Any) -> Message:
    sdk: Any = claude.messages
    return await sdk.create(**{**ASK, **more})


async def post(house: House, body: Any, **headers: str) -> httpx2.Response:
    """The same without the SDK, with the token as a program that knows no bearer tokens sends it."""
    async with house.http() as http:
        given = {"x-api-key": TOKEN, "content-type": "application/json", **headers}
        content = body if isinstance(body, str) else json.dumps(body)
        return await http.post("/v1/messages", content=content, headers=given)


def type_of(error: anthropic.APIStatusError) -> str | None:
    assert isinstance(error.body, dict) and error.body["type"] == "error"  # pyright: ignore[reportUnknownMemberType]
    assert error.body["error"]["message"] and "request_id" in error.body  # pyright: ignore[reportUnknownMemberType]
    return error.type
