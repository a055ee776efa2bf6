"""What names a conversation: a digest of all that shapes its answers, and of all that was said.

In: the options' digest, messages in the form of `messages.normalise`. Out: a key, equal for equal content whatever the
order of fields, and different for any other: an edited history is never found. The key of what was said in a longer
conversation is made from that of the shorter one, so a history is read through once.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

from claude_max_mcp.messages import Block, Message

ESSENCE = {
    "text": ("type", "text"),
    "thinking": ("type", "thinking", "signature"),
    "redacted_thinking": ("type", "data"),
    "tool_use": ("type", "id", "name", "input"),
}
"""What counts of Claude's own blocks: callers send them back without what the API put beside it."""


def digest(value: Any) -> str:
    """A digest of JSON, whatever the order of its fields."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def extend_key(key: str, message: Message) -> str:
    """The key of what was said, after one more message."""
    blocks = message["content"]
    if message["role"] == "assistant":
        blocks = [take_essence(block) for block in blocks]
    return digest([key, message["role"], blocks])


def make_key(messages: Iterable[Message]) -> str:
    """The key of what was said."""
    return reduce(extend_key, messages, digest([]))


def join_keys(options_key: str, said_key: str) -> str:
    """The key of a conversation with these options."""
    return digest([options_key, said_key])


def take_essence(block: Block) -> Mapping[str, object]:
    """What counts of a block of an answer."""
    names = ESSENCE.get(block["type"])
    return block if names is None else {name: block.get(name) for name in names}
