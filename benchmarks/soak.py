"""A server under faults: does every request end in the right answer or a typed error, and is anything left behind?

In: a seed, how long, how many requests. Out: a table, and JSON. Callers hold conversations, run tool loops, go away in
the middle, and meet every failure of the model's side, while around them processes and the server itself are killed.
Then the faults stop, and all must be well: the next requests succeed, no process is an orphan, no file is left, memory
and file descriptors have not grown. Linux only.
"""

import json
import random
import signal
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.console import Console

from bench.chaos import FAKETIME, Chaos, Held, Standing, orphans
from bench.figures import Facts, Verdict, show, table, write
from bench.processes import forget_login, interruptible, standin
from pydantic_ai_claude_max import AskResult, ClaudeMaxClient, ClaudeMaxError

Json = dict[str, Any]

CALLERS = 12
SETTINGS: dict[str, object] = {"concurrency": 8, "queue": 64, "park_seconds": 20, "memory": 2000, "timeout": 30}

LONGEST = 60.0
"""Seconds after which a request hangs."""

AFTERWARDS = 20
"""Requests that must all succeed once the faults have stopped."""

RETRYABLE = {
    "usage_limit": True,
    "throttled": True,
    "overloaded": True,
    "timeout": True,
    "busy": True,
    "cancelled": True,
    "cli_failed": True,
    "not_running": True,
    "answer_lost": True,
}
"""What a caller may meet here, and whether it may send the same once more; nothing is done twice by that."""

AT_ANY_TIME = frozenset({"busy", "cancelled", "cli_failed", "not_running", "answer_lost"})
"""What may become of any request, as processes, server and disk fail at any time."""

BY_FAULT = {
    "hang": {"timeout"},
    "cut": {"overloaded"},
    "garbage": {"overloaded"},
    "overloaded": {"overloaded"},
    "throttled": {"throttled"},
    "limit": {"usage_limit"},
    "refused": {"answered"},
}
"""What becomes of a request that meets a fault of the model's side."""

STEP: Json = {"name": "step", "description": "Make a step.", "input_schema": {"type": "object", "properties": {}}}


@dataclass
class Soak:
    """The callers, and what became of their requests.

    Args:
        url: where the server is.
        random: decides who does what.
        most: requests to make.
    """

    url: str
    random: random.Random
    most: int
    asked: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    wrong: list[str] = field(default_factory=list[str])

    async def call(self) -> None:
        """One caller: it does one thing after another until enough was asked."""
        kinds: list[Callable[[ClaudeMaxClient], Awaitable[None]]]
        kinds = [self.talk, self.loop, self.meet_a_fault, self.go_away, self.bring_a_history]
        async with ClaudeMaxClient(self.url) as client:
            while self.asked < self.most:
                await self.random.choices(kinds, (4, 3, 2, 1, 1))[0](client)

    async def talk(self, client: ClaudeMaxClient) -> None:
        """A conversation of several turns, each of which is asked again where that is allowed."""
        messages: list[Json] = []
        for _ in range(self.random.randint(2, 9)):
            say = self._word()
            messages.append({"role": "user", "content": f"say={say}"})
            if (answer := await self._insist(client, "talk", say, messages=messages)) is None:
                return
            messages.append({"role": "assistant", "content": _content(answer)})

    async def loop(self, client: ClaudeMaxClient) -> None:
        """A loop of tool calls, in a conversation whose process waits for each result."""
        say, calls = self._word(), self.random.randint(2, 9)
        messages: list[Json] = [{"role": "user", "content": f"say={say} calls={calls}"}]
        for made in range(calls + 1):
            right = None if made < calls else say
            if (answer := await self._insist(client, "loop", right, messages=messages, tools=[STEP])) is None:
                return
            content = _content(answer)
            called = [block for block in content if block["type"] == "tool_use"]
            if bool(called) is (made == calls):
                self.wrong.append(f"loop: {len(called)} calls after {made} of {calls}")
                return
            results = [{"type": "tool_result", "tool_use_id": block["id"], "content": "made"} for block in called]
            messages += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]

    async def meet_a_fault(self, client: ClaudeMaxClient) -> None:
        """A request that the model's side fails."""
        fault = self.random.choice(sorted(BY_FAULT))
        limits: Json = {"timeout": 1.0} if fault == "hang" else {}
        await self._ask(client, fault, "I cannot.", BY_FAULT[fault], prompt=f"fault={fault}", **limits)

    async def go_away(self, client: ClaudeMaxClient) -> None:
        """A caller who hangs up before the answer, or in the middle of it."""
        self.asked += 1
        with anyio.move_on_after(self.random.uniform(0, 1.0)):
            try:
                async with client.stream("words=50 pace=0.05", stream="events") as answer:
                    async for _ in answer:
                        if self.random.random() < 0.2:
                            break
            except ClaudeMaxError as error:
                self._check("go away", error, set())
                return
        self.outcomes["go away", "gone"] += 1

    async def bring_a_history(self, client: ClaudeMaxClient) -> None:
        """A conversation that no process holds."""
        say, messages = self._word(), list[Json]()
        for at in range(self.random.randint(1, 30)):
            messages.append(
                {"role": "user", "content": f"Question {at} of {say}: {'x' * self.random.randint(1, 2000)}"}
            )
            messages.append({"role": "assistant", "content": f"Answer {at}."})
        await self._insist(client, "history", say, messages=[*messages, {"role": "user", "content": f"say={say}"}])

    async def _insist(self, client: ClaudeMaxClient, kind: str, say: str | None, **arguments: Any) -> AskResult | None:
        """Ask, and ask the same again as long as that may help; None if it did not."""
        right = None if say is None else f"{say} w0"
        for _ in range(8):
            if (answer := await self._ask(client, kind, right, {"answered"}, **arguments)) is not None:
                return answer
            await anyio.sleep(0.3)
        return None

    async def _ask(
        self, client: ClaudeMaxClient, kind: str, right: str | None, expected: set[str], **arguments: Any
    ) -> AskResult | None:
        """Ask once, and judge what becomes of it; the answer, if there is one."""
        self.asked += 1
        try:
            with anyio.fail_after(LONGEST):
                async with client.stream(stream="events", **arguments) as answer:
                    heard = "".join([_text(piece) async for piece in answer])
                    result = await answer.outcome()
        except ClaudeMaxError as error:  # a timeout of the client's own is one too
            self._check(kind, error, expected)
            return None
        except TimeoutError:
            self._note(kind, "hung", expected)
            return None
        if result.error is not None:
            self._note(kind, result.error.code, expected)
            self._judge(kind, result.error.code, result.error.retryable)
            return None
        self._note(kind, "answered", expected)
        if right is not None and not result.response == heard == right:
            self.wrong.append(f"{kind}: {result.response[:60]!r}, streamed {heard[:60]!r}, is not {right!r}")
        return result

    def _check(self, kind: str, error: ClaudeMaxError, expected: set[str]) -> None:
        self._note(kind, error.code, expected)
        self._judge(kind, error.code, error.retryable)

    def _note(self, kind: str, outcome: str, expected: set[str]) -> None:
        self.outcomes[kind, outcome] += 1
        if outcome not in expected | AT_ANY_TIME:
            self.wrong.append(f"{kind}: {outcome} instead of {', '.join(sorted(expected))}")

    def _judge(self, kind: str, code: str, retryable: bool) -> None:
        if RETRYABLE.get(code) is not retryable:
            self.wrong.append(f"{kind}: {code} is said to be {'' if retryable else 'not '}retryable")

    def _word(self) -> str:
        return f"w{self.random.getrandbits(48):x}"


def _content(answer: AskResult) -> list[Json]:
    message: Any = answer.message
    return message["content"]


def _text(piece: str) -> str:
    event = json.loads(piece)
    return event["delta"].get("text", "") if event["type"] == "content_block_delta" else ""


@dataclass
class Measured:
    """What the soak found."""

    asked: int
    outcomes: dict[str, int]
    wrong: list[str]
    faults: dict[str, int]
    starts: int
    afterwards: int
    exit_code: int
    orphans: int
    files: list[str]
    grown: Held


async def measure(seed: int, seconds: float, requests: int) -> Measured:
    """Let it run; half of the time the server itself may end, then it has to last."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="claude-max-bench-") as name:
        home = Path(name)
        async with standin(name) as upstream:
            there = Standing(upstream, home, SETTINGS)
            chaos = Chaos(there, chance, calm=1.0)
            soak = Soak(there.url, chance, requests)
            async with there.kept_up():
                await _rage(soak, chaos, seconds / 2, requests // 2)
                chaos.ends = False
                await _rage(soak, chaos, 10, soak.asked + 60)  # the last server's memory has its size now
                before = await Held.settled(await there.up())
                await _rage(soak, chaos, seconds / 2, requests)
                there.clock.write_text("+0")
                afterwards = await _all_well(soak, there.url)
                after = await Held.settled(await there.up())
                files = _files(home, "history-*")
                code = await there.end(signal.SIGTERM, again=False)
        grown = Held(after.descriptors - before.descriptors, after.megabytes - before.megabytes)
        files += _files(home, "claude-max-*")
        outcomes = {f"{kind}: {outcome}": count for (kind, outcome), count in sorted(soak.outcomes.items())}
        return Measured(
            soak.asked,
            outcomes,
            soak.wrong,
            dict(chaos.did),
            there.starts,
            afterwards,
            code,
            len(orphans(home)),
            files,
            grown,
        )


async def _rage(soak: Soak, chaos: Chaos, seconds: float, until: int) -> None:
    """Callers and faults at once, for so long or until so many requests were made; callers end what they are at."""
    most, soak.most = soak.most, min(soak.most, until)
    with Console(stderr=True).status(f"{soak.asked} requests"):
        async with anyio.create_task_group() as raging:
            raging.start_soon(chaos.rage)
            with anyio.move_on_after(seconds):
                async with anyio.create_task_group() as callers:
                    for _ in range(CALLERS):
                        callers.start_soon(soak.call)
            raging.cancel_scope.cancel()
    soak.most = most


async def _all_well(soak: Soak, url: str) -> int:
    """Requests that succeed now that nothing is wrong any more; what does not is noted."""
    good = 0
    async with ClaudeMaxClient(url) as client:
        for number in range(AFTERWARDS):
            try:
                good += (await client.ask(f"say=after{number}", timeout=30.0)).response == f"after{number} w0"
            except ClaudeMaxError as error:
                soak.outcomes["after the faults", error.code] += 1
    return good


def _files(home: Path, pattern: str) -> list[str]:
    return [str(path.relative_to(home)) for path in (home / "tmp").rglob(pattern)]


def verdicts(found: Measured) -> list[Verdict]:
    return [
        Verdict("requests that ended wrong", len(found.wrong), 0, ""),
        Verdict(
            f"of {AFTERWARDS} requests after the faults, answered", found.afterwards, AFTERWARDS, "", at_least=True
        ),
        Verdict("orphan processes", found.orphans, 0, ""),
        Verdict("files left", len(found.files), 0, ""),
        Verdict("exit code of the server", found.exit_code, 0, ""),
        Verdict("growth of file descriptors", found.grown.descriptors, 5, ""),
        Verdict("growth of memory", found.grown.megabytes, 25, "MB"),
    ]


def main(
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="How long the faults go on at most.")] = 120,
    requests: Annotated[int, typer.Option("--n", min=1, help="Requests.")] = 1000,
    seed: Annotated[int, typer.Option(help="Decides what happens; the machine decides when.")] = 1,
    file: Annotated[Path | None, typer.Option("--json", help="Also write what was found to this file.")] = None,
) -> None:
    """Let a server suffer, and see what becomes of its callers. Needs no login, and Linux."""
    forget_login()
    interruptible()

    async def benchmark() -> tuple[Measured, Facts]:
        facts = Facts.now()
        with anyio.fail_after(seconds * 3 + 120):
            return await measure(seed, seconds, requests), facts

    found, facts = anyio.run(benchmark)
    judged = verdicts(found)
    further = [
        f"seed {seed}, {found.asked} requests, {found.starts} starts of the server",
        "faults: " + ", ".join(f"{name} {count}" for name, count in sorted(found.faults.items())),
        *([] if FAKETIME else ["no clock jumps: libfaketime is not installed (Debian: faketime)"]),
        *sorted(set(found.wrong))[:20],
    ]
    show(table("What became of the requests", ("", "requests"), found.outcomes.items()), facts, judged, further)
    write(file, facts, judged, **vars(found))


if __name__ == "__main__":
    typer.run(main)
