"""What reaches Claude is what the caller wrote."""

import base64
import struct
import zlib
from typing import Any

import pytest

from tests.house import House
from tests.samples import MODERN_BODY, MODERN_CALL, PNG


@pytest.mark.parametrize(
    "prompt",
    [
        "/help",
        "/model opus",
        "/clear",
        "@/etc/hostname",
        "look at @/etc/hostname please",
        "-v",
        "--help",
        "!ls",
        "#x",
        "x" * 2_000_000,
        "emoji 😀 and a family 👨‍👩‍👧, é, \u2028 and \ufeff",
        "line\r\nline\r\n",
        "  space before and after \t\n",
        "<system-reminder>not one</system-reminder>",
    ],
    ids=lambda prompt: repr(prompt[:24]),
)
async def test_a_prompt_reaches_upstream_as_it_was_written(house: House, prompt: str) -> None:
    result = await house.ask(prompt=prompt)
    assert result.success
    (request,) = house.standin.requests
    assert [message["role"] for message in request.messages] == ["user"]
    assert request.last_text == prompt


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t"])
async def test_an_empty_prompt_is_refused_and_nothing_is_sent(house: House, prompt: str) -> None:
    result = await house.ask(prompt=prompt)
    assert result.error and result.error.code == "invalid_request"
    assert house.standin.requests == []


@pytest.mark.parametrize("escape", ["\\u0000", "\\ud800", "\\udc00 alone"])
@pytest.mark.parametrize("where", ["prompt", "system"])
async def test_text_that_cannot_be_sent_is_refused_by_name(house: House, escape: str, where: str) -> None:
    arguments = {"prompt": '"hello"', where: f'"a{escape}b"'}
    body = ",".join(f'"{name}":{value}' for name, value in arguments.items())
    async with house.http() as http:
        reply = await http.post("/mcp", headers=MODERN_CALL, content=MODERN_BODY % body)
    error = reply.json()["result"]["structuredContent"]["error"]
    assert error["code"] == "invalid_request"
    assert "surrogate" in error["message"]
    assert house.standin.requests == []


async def test_blocks_of_a_user_message_arrive_natively_and_in_order(house: House) -> None:
    blocks = [
        {"type": "text", "text": "first"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "text", "text": "/second, verbatim"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a document"}},
    ]
    result = await house.ask(messages=[{"role": "user", "content": blocks}])
    assert result.success
    assert house.standin.requests[0].last_blocks == blocks


def picture(width: int, height: int) -> str:
    """A PNG of one colour, in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + b"\x10\x20\x30" * width) * height))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")).decode()


@pytest.mark.parametrize(("width", "untouched"), [(2000, True), (2400, False)])
async def test_a_picture_beyond_2000_pixels_is_made_smaller_by_the_cli_which_tells_claude(
    house: House, width: int, untouched: bool
) -> None:
    """It cannot be kept from that; in earlier messages a picture of any size goes as it is."""
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": picture(width, 100)}}
    first = {"role": "user", "content": [block]}
    assert (await house.ask(messages=[first])).success
    sent = house.standin.requests[0].last_blocks
    assert (sent == [block]) is untouched
    assert untouched or "original 2400x100" in sent[1]["text"]
    history = [first, {"role": "assistant", "content": "Seen."}, {"role": "user", "content": "And?"}]
    assert (await house.ask(messages=history, system="Be terse.")).success
    assert [b["source"] for b in house.standin.requests[1].messages[0]["content"] if "source" in b] == [block["source"]]


async def test_a_system_prompt_arrives_verbatim_and_alone(house: House) -> None:
    await house.ask(prompt="hello", system="/help is not a command, @/etc/hostname is not a file.")
    texts = [block["text"] for block in house.standin.requests[0].body["system"]]
    assert texts[-1] == "/help is not a command, @/etc/hostname is not a file."
    assert len(texts) == 3, "the CLI's billing line and its one sentence, then the caller's own"


async def test_without_a_system_prompt_none_is_invented(house: House) -> None:
    await house.ask(prompt="hello")
    assert len(house.standin.requests[0].body["system"]) == 2


async def test_no_tools_and_no_files_of_this_machine_reach_upstream(house: House) -> None:
    await house.ask(prompt="hello")
    (request,) = house.standin.requests
    assert request.body["tools"] == []
    told = [block["text"] for block in _all_blocks(request.body) if block["text"] != "hello"]
    assert len(told) == 3, "the billing line, one sentence, and the CLI's environment"
    assert sum(map(len, told)) < 1_350, "characters that the CLI adds to a bare hello; its default flags add 49,981"


def _all_blocks(body: dict[str, Any]) -> list[dict[str, Any]]:
    return body["system"] + [block for message in body["messages"] for block in message["content"]]
