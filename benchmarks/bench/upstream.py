"""The stand-in as a program: it says where it is, and ends when its standard input does.

In: prompts that steer it by words such as `calls=10`: call the first tool offered that often, one call an answer,
before the last one; `words=300`: so long a text; `stamped=300`: so many words that say when they were sent, on the
clock that all processes share (but for the first, which may wait); `together=64`: these begin when so many of them
are there; `pace=0.02`: seconds between words; `wait=1.0`: seconds until the answer begins;
`say=x`: what it begins with; `fault=hang`: one of `FAULTS` instead. The first message steers the whole conversation,
the last one its own answer. Out: answers of the Messages API.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

import anyio
from anyio import to_thread

from claude_max_mcp.standin import Failure, Recorded, Reply, StandIn, Text, ToolUse, overloaded, throttled, usage_limit

Json = dict[str, Any]

FAULTS = ("hang", "cut", "garbage", "overloaded", "throttled", "limit", "refused")
"""What `fault=` may name."""


@dataclass(frozen=True)
class Stamped(Text):
    """A text whose every word is its number and the time at which it is sent: `7@1234.567`."""

    words: int
    pace: float

    def make_deltas(self) -> Iterator[Json]:
        for number in range(self.words):
            # The stand-in waits `pace` seconds between taking a delta and sending it.
            yield {"type": "text_delta", "text": f"{number}@{monotonic() + self.pace:.4f} "}


def answer(request: Recorded) -> Reply | Failure:
    """What the first prompt of the conversation asks for."""
    messages = request.messages
    steered = dict(re.findall(r"(\w+)=([\w.]+)", _text(messages[0]["content"])))
    steered |= dict(re.findall(r"(\w+)=([\w.]+)", _text(messages[-1]["content"])))
    if "fault" in steered:
        return _fault(steered["fault"])
    made = sum(_results(message["content"]) for message in messages)
    wait, pace = float(steered.get("wait", 0)), float(steered.get("pace", 0))
    if made < int(steered.get("calls", 0)):
        return Reply(content=(ToolUse(request.body["tools"][0]["name"], {}),), first_after=wait)
    if "stamped" in steered:
        gate = _gate(int(steered.get("together", 1)))
        return Reply(content=(Stamped("", int(steered["stamped"]), pace),), first_after=wait, pace=pace, hold=gate)
    words = int(steered.get("words", 1))
    said = f"{steered['say']} " if "say" in steered else ""
    return Reply(content=(Text(said + " ".join(f"w{n}" for n in range(words))),), first_after=wait, pace=pace)


_gates: list[anyio.Event] = []


def _gate(size: int) -> anyio.Event:
    """What opens for the last so many requests when the last of them has come."""
    _gates.append(anyio.Event())
    gates = _gates[-(len(_gates) % size or size) :]
    if len(gates) == size:
        for gate in gates:
            gate.set()
    return _gates[-1]


def _fault(name: str) -> Reply | Failure:
    match name:
        case "hang":
            return Reply(hold=anyio.Event())
        case "cut":
            return Reply(content=(Text("one two three four"),), cut_after=2)
        case "garbage":
            return Reply(garbage=b"<html>not an event stream</html>")
        case "overloaded":
            return overloaded()
        case "throttled":
            return throttled()
        case "limit":
            return usage_limit()
        case "refused":
            return Reply(content=(Text("I cannot."),), stop_reason="refusal")
        case _:
            raise ValueError(f"there is no fault {name!r}, only {', '.join(FAULTS)}")


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []  # pyright: ignore[reportUnknownVariableType]
    return " ".join(str(block["text"]) for block in blocks if block.get("type") == "text")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]


def _results(content: object) -> int:
    blocks = content if isinstance(content, list) else []  # pyright: ignore[reportUnknownVariableType]
    return sum(block.get("type") == "tool_result" for block in blocks)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]


async def _main() -> None:
    async with StandIn.running() as standin:
        standin.script(answer)
        print(standin.url, flush=True)
        await to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    anyio.run(_main)
