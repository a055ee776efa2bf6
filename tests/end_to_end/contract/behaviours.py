"""The forty behaviours that a strict reviewer of a model would look for, and by which routes each is shown."""

import re

import pytest

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

ALL = {int(number) for number in re.findall(r"^(\d+) ", BEHAVIOURS, re.MULTILINE)}

EMBEDDED_TOO = {
    1: "events are the one thing that the route carries back: all kinds of parts",
    2: "a call waits in the engine until its result comes by another request",
    8: "a schema goes with the request, and its output comes back as text",
    22: "files go along in a request that is made by itself, in the midst of a run",
    24: "usage grows as events arrive: none is held back to the end",
    26: "the address is the route's own",
    30: "an error is a result of the route before it is an HTTP status",
    31: "the same after the first events",
    34: "a time limit must end the call, which is no connection here",
    35: "so must whoever cancels",
    36: "the engine lives in an event loop of the program, and must end with it",
    40: "the process that holds the conversation is found again",
}
"""The behaviours that are shown without a server in between as well, each with what of it the route could change.

Both routes carry the same MCP call to the same engine: over HTTP, or in memory. All others are decided before it, in
the model and in Pydantic AI, or behind it, in the engine; for them one route is enough.
"""


def behaviour(*numbers: int) -> pytest.MarkDecorator:
    """Which of the forty behaviours a test shows."""
    return pytest.mark.behaviour(*numbers)


def routes(numbers: set[int]) -> list[str]:
    """The routes by which a test of these behaviours goes."""
    return ["http", "embedded"] if numbers & EMBEDDED_TOO.keys() else ["http"]
