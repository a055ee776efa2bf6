"""The caller's tools with a record of what the CLI asks of them."""

import anyio

from claude_max_mcp.claude.caller_tools import CallerTools
from tests.samples import Json


class Asked(CallerTools):
    """Tools that remember every message of the CLI."""

    def __init__(self, *definitions: Json) -> None:
        super().__init__(definitions)
        self.asked: list[Json] = []
        self._heard = anyio.Event()

    def answer(self, request_id: str, message: Json) -> Json | None:
        self.asked.append(message)
        self._heard.set()
        self._heard = anyio.Event()
        return super().answer(request_id, message)

    @property
    def calls(self) -> list[Json]:
        """What the calls said, in their order."""
        return [message["params"] for message in self.asked if message.get("method") == "tools/call"]

    async def called(self, count: int = 1) -> list[Json]:
        """Wait until there were so many calls."""
        while len(self.calls) < count:
            await self._heard.wait()
        return self.calls


def text(content: str) -> Json:
    """An MCP result."""
    return {"content": [{"type": "text", "text": content}], "isError": False}
