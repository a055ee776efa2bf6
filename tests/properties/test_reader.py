"""Whatever a process says, its reader goes on with the next line; `said_by_the_cli.jsonl` is what the real one says."""

import json
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import JsonValue
from pydantic_core import from_json

from claude_max_mcp.claude.process import ClaudeProcess
from claude_max_mcp.claude.protocol import (
    ControlRequest,
    HookCallback,
    HostRequest,
    McpMessage,
    Other,
    OtherRequest,
    Output,
    StreamEvent,
    parse_output,
)
from claude_max_mcp.claude.worker import Worker
from claude_max_mcp.engine.conversation import Conversation
from claude_max_mcp.engine.options import Options
from claude_max_mcp.engine.workspace import Workspace
from claude_max_mcp.errors import ServiceError
from claude_max_mcp.messages import Message
from claude_max_mcp.pool.pool import Loan
from tests.properties.recorded_process import RecordedProcess, make_recording
from tests.properties.values import VALUES, Json, find_places, replace_at
from tests.virtual import in_virtual_asyncio_time

LINES = (Path(__file__).parent / "said_by_the_cli.jsonl").read_bytes().splitlines()
REQUESTS = [line for line in LINES if b'"control_request"' in line]
LAST = b'{"type":"the_last_line"}\n'

STRANGE: st.SearchStrategy[JsonValue] = VALUES | st.sampled_from(
    ["stream_event", "control_request", "mcp_message", "hook_callback", "tools/call", "Read", "/dev/null/\0", "~"]
)


@st.composite
def other_values(draw: st.DrawFn, lines: Sequence[bytes] = LINES) -> bytes:
    """A line in which something else stands at one place, or several."""
    message: JsonValue = from_json(draw(st.sampled_from(lines)))
    for value in draw(st.lists(STRANGE, min_size=1, max_size=3)):
        message = replace_at(message, draw(st.sampled_from(find_places(message))), value)
    return json.dumps(message).encode()


@st.composite
def other_bytes(draw: st.DrawFn) -> bytes:
    """A line of which a part is missing, or is something else."""
    line = draw(st.sampled_from(LINES))
    start, end = sorted(draw(st.tuples(st.integers(0, len(line)), st.integers(0, len(line)))))
    return line[:start] + draw(st.binary(max_size=3)).replace(b"\n", b"") + line[end:]


DAMAGED = other_values() | other_bytes()


def test_what_the_cli_says_is_understood() -> None:
    messages = [parse_output(from_json(line)) for line in LINES]
    assert [message.type for message in messages if isinstance(message, Other)] == ["user"]


def test_an_event_goes_on_as_it_was_sent() -> None:
    said = [from_json(line) for line in LINES]
    events = [message for message in map(parse_output, said) if isinstance(message, StreamEvent)]
    assert [event.model_dump() for event in events] == [
        {"type": "stream_event", "event": message["event"]} for message in said if message["type"] == "stream_event"
    ]


def test_a_request_of_the_cli_is_of_its_own_kind_or_keeps_its_name() -> None:
    asked = [parse_output(from_json(line)) for line in [*REQUESTS, make_request({"subtype": "of_a_later_cli"})]]
    kinds = {type(message.request): message.request.subtype for message in asked if isinstance(message, ControlRequest)}
    assert kinds == {McpMessage: "mcp_message", HookCallback: "hook_callback", OtherRequest: "of_a_later_cli"}


@given(line=DAMAGED)
@example(line=b'{"type":[]}')
@example(line=b'{"type":{}}')
def test_what_is_no_message_is_an_error_of_its_value(line: bytes) -> None:
    try:
        message = parse_output(from_json(line))
    except ValueError:
        return
    assert message.type


class Listener:
    """A host that answers nothing and keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Output] = []
        self.lost: list[ServiceError] = []

    def hear(self, message: Output) -> None:
        self.heard.append(message)

    def answer(self, request_id: str, asked: HostRequest) -> Json | None:
        raise LookupError(asked.subtype)

    def lose(self, error: ServiceError) -> None:
        self.lost.append(error)


@contextmanager
def working(*said: bytes) -> Generator[Worker]:
    """A worker of a process that says some lines."""
    worker = Worker(ClaudeProcess(RecordedProcess(*(line + b"\n" for line in said), LAST)))
    try:
        yield worker
    finally:
        worker.close()


@given(lines=st.lists(DAMAGED, max_size=3))
@in_virtual_asyncio_time
async def test_a_line_that_is_no_message_keeps_nobody_from_hearing_the_next(lines: list[bytes]) -> None:
    with working(*lines) as worker:
        worker.serve(listener := Listener())
        await worker.read()
    assert listener.heard[-1] == Other(type="the_last_line")
    assert len(listener.lost) == 1


def make_request(request: Json) -> bytes:
    return json.dumps({"type": "control_request", "request_id": "1", "request": request}).encode()


def call_of(tool_use: JsonValue) -> Json:
    return {"method": "tools/call", "params": {"_meta": {"claudecode/toolUseId": tool_use}}}


def check_of(path: JsonValue) -> Json:
    return {"tool_name": "Read", "tool_input": {"file_path": path}}


TOOL: Json = {"name": "get_weather", "input_schema": {"type": "object"}}


@given(
    lines=st.lists(DAMAGED | other_values(REQUESTS) | st.sampled_from(LINES), max_size=6),
    schema=st.sampled_from([None, {}]),
)
@example(
    lines=[make_request({"subtype": "mcp_message", "message": {"method": "tools/call", "params": "a"}})], schema=None
)
@example(lines=[make_request({"subtype": "mcp_message", "message": call_of([])})], schema=None)
@example(lines=[make_request({"subtype": "hook_callback", "input": check_of("/a\0b")})], schema=None)
@example(lines=[make_request({"subtype": "hook_callback", "input": check_of(["a"])})], schema=None)
@in_virtual_asyncio_time
async def test_no_line_ends_the_reader_of_a_conversation(lines: list[bytes], schema: Json | None) -> None:
    with tempfile.TemporaryDirectory() as folder, working(*lines) as worker:
        options = Options("sonnet", tools=(TOOL,), schema=schema, workspace=Workspace(Path(folder)))
        conversation = Conversation(
            Loan(worker, anyio.Event()), options, make_recording(), blank=True, prompt_sent=True
        )
        await worker.read()
        with suppress(Exception):
            await conversation.ask(Message(role="user", content=[]), lambda event: None)
