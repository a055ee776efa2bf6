"""Every behaviour that a strict reviewer would look for has a test, here or next door."""

import re
from pathlib import Path

BEHAVIOURS = """
1 the same parts from `request` and `request_stream`
2 parallel tool calls keep ids and order
3 tool results first, by their calls
4 `ModelRetry` and bad arguments reach the model as results with `is_error`
5 denied and failed tools
6 an output tool ends the run in one step
7 `[str, X]` leaves text allowed
8 a native output schema is strict
9 the template of prompted output
10 an output mode that is not supported is refused before any request
11 a forced `tool_choice` is refused
12 `tool_choice` none, auto, some
13 order of system prompt and instructions
14 a system prompt in the middle
15 thinking with its signature, streamed and not
16 one's own signature is replayed verbatim
17 another's thinking is text, and never a signature
18 redacted thinking
19 the levels of `thinking`
20 images, PDF, text documents
21 sound and film are refused by name
22 files that tools return
23 an uploaded file of another provider is refused
24 usage with cache, growing while streamed
25 finish reasons
26 id, address and time of a response
27 a refusal is an error
28 an answer that is cut off
29 an empty answer is asked for again
30 each HTTP status has its exception
31 an error inside an open stream
32 no connection, and a fallback for it
33 a malformed answer
34 three time limits
35 three ways of cancelling reach upstream
36 new event loops, `run_sync` again, `async with agent`
37 `ALLOW_MODEL_REQUESTS`
38 settings that are not supported never reach the wire
39 history as JSON, and from another provider
40 a prompt prefix that stays
"""

TESTS = Path(__file__).parents[2]


def test_each_of_the_forty_behaviours_is_shown_by_a_test() -> None:
    wanted = {int(number) for number in re.findall(r"^(\d+) ", BEHAVIOURS, re.MULTILINE)}
    assert wanted == set(range(1, 41))
    sources = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    shown = {int(number) for marks in re.findall(r"@behaviour\(([\d, ]+)\)", sources) for number in marks.split(",")}
    assert wanted - shown == set()
