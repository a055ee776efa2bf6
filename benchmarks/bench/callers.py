"""Ways to ask for an answer, each timed to its first text.

In: a client of one kind, and what to ask. Out: an `Asked`: seconds to the first text, and the answer. The CLI, MCP and
Pydantic AI are real; what answers is the stand-in.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, TypeAlias

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from bench.processes import Environment, process
from claude_max_mcp.claude.launch import find_cli
from claude_max_mcp.events import Event, is_known
from claude_max_mcp.results import AskResult
from claude_max_mcp.service.service import Service
from claude_max_mcp.wire import parse_request

Json: TypeAlias = dict[str, Any]
Sample: TypeAlias = Callable[[], Awaitable[float]]
"""Asks once, and gives the seconds until the first text."""

PROMPT = "Say hello."
MODEL = "sonnet"
ERA = "2026-07-28"
"""The MCP version spoken."""

SPAWN = (
    "--print",
    *("--output-format", "stream-json"),
    "--include-partial-messages",
    "--verbose",
    *("--tools", ""),
    *("--setting-sources", ""),
    "--strict-mcp-config",
    "--no-session-persistence",
    *("--model", MODEL),
)
"""The leanest way to start one process for one request."""

TOOL: Json = {"name": "step", "description": "Make a step.", "input_schema": {"type": "object", "properties": {}}}


class Stopwatch:
    """Runs from its creation to the first call of `text`."""

    def __init__(self) -> None:
        self._began = perf_counter()
        self._first: float | None = None

    @property
    def stopped(self) -> bool:
        return self._first is not None

    def text(self) -> None:
        if self._first is None:
            self._first = perf_counter() - self._began

    @property
    def seconds(self) -> float:
        if self._first is None:
            raise RuntimeError("there was an answer without any text")
        return self._first


async def direct(client: httpx2.AsyncClient, upstream: str, prompt: str = PROMPT) -> float:
    """The control: the streaming request itself, to the stand-in."""
    messages = [{"role": "user", "content": prompt}]
    body = {"model": MODEL, "max_tokens": 1024, "stream": True, "messages": messages}
    watch = Stopwatch()
    async with client.stream("POST", f"{upstream}/v1/messages", json=body) as response:
        await _read(response.raise_for_status().aiter_bytes(), watch)
    return watch.seconds


@dataclass
class Conversation:
    """What one caller has said and heard so far, over MCP; each `ask` is one more turn of it."""

    client: Client
    options: Json = field(default_factory=dict[str, Any])
    messages: list[Json] = field(default_factory=list[Json])

    async def ask(self, content: str | list[Json], on_first: Callable[[], object] = lambda: None) -> float:
        """Say something; the seconds until the first text or call comes back, which `on_first` is told of."""
        self.messages.append({"role": "user", "content": content})
        watch = Stopwatch()

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            if message and "content_block_delta" in message:
                if not watch.stopped:
                    on_first()
                watch.text()

        arguments = {"messages": self.messages, "stream": "events", **self.options}
        result = await self.client.call_tool("ask_claude", arguments, progress_callback=on_progress)
        answer = AskResult.model_validate(result.structured_content)
        if answer.message is None:
            raise RuntimeError(f"the server answered with an error: {answer.error}")
        self.messages.append({"role": "assistant", "content": answer.message["content"]})
        return watch.seconds

    def results(self) -> list[Json]:
        """The results of the calls in the latest answer."""
        calls = [block for block in self.messages[-1]["content"] if block["type"] == "tool_use"]
        return [{"type": "tool_result", "tool_use_id": call["id"], "content": "made"} for call in calls]


async def through_mcp(client: Client) -> float:
    """A new conversation over MCP."""
    return await Conversation(client).ask(PROMPT)


async def as_text(client: Client) -> float:
    """The same as people and assistants ask: by `prompt`, and each progress message is text."""
    watch = Stopwatch()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        watch.text()

    result = await client.call_tool("ask_claude", {"prompt": PROMPT}, progress_callback=on_progress)
    answer = AskResult.model_validate(result.structured_content)
    if answer.error is not None:
        raise RuntimeError(f"the server answered with an error: {answer.error.message}")
    return watch.seconds


async def engine(service: Service) -> float:
    """What is below MCP and HTTP, in this process."""
    watch = Stopwatch()

    def on_event(event: Event) -> None:
        if is_known(event) and event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
            watch.text()

    result = await service.ask(parse_request({"prompt": PROMPT}), on_event)
    if result.error is not None:
        raise RuntimeError(f"the engine answered with an error: {result.error.message}")
    return watch.seconds


async def spawned(environment: Environment, folder: str, prompt: str = PROMPT) -> float:
    """A process for this request alone, started and asked as every script does it."""
    watch = Stopwatch()
    async with process(str(find_cli()), *SPAWN, environment=environment, folder=folder) as cli:
        assert cli.stdin is not None and cli.stdout is not None
        await cli.stdin.send(prompt.encode())
        await cli.stdin.aclose()
        await _read(cli.stdout, watch)
        await cli.wait()
    return watch.seconds


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Client]:
    """A client that lets any number of requests run."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64)
    async with (
        httpx2.AsyncClient(limits=limits, timeout=httpx2.Timeout(5, read=120, pool=None), trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http, max_sse_event_size=None), mode=ERA) as client,
    ):
        yield client


@asynccontextmanager
async def pydantic_ai(url: str) -> AsyncGenerator[Sample]:
    """A Pydantic AI agent on the provider, with the session that an entered agent keeps."""
    from pydantic_ai import Agent

    from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider

    agent = Agent(ClaudeMaxModel(MODEL, provider=ClaudeMaxProvider(base_url=url)))

    async def sample() -> float:
        watch = Stopwatch()
        async with agent.run_stream(PROMPT) as answer:
            async for _ in answer.stream_text(delta=True, debounce_by=None):
                watch.text()
        return watch.seconds

    async with agent:
        yield sample


async def _read(chunks: AsyncIterable[bytes], watch: Stopwatch) -> None:
    """Read stream events, of whatever framing, to their end."""
    seen = b""
    async for chunk in chunks:
        seen += chunk
        if b'"text_delta"' in seen:
            watch.text()
