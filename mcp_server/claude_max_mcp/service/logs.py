"""What the server writes to standard error: one line for each request that ends, and what went wrong.

In: log records, and a request's `Entry`. Out: lines for people (`console`) or for programs (`json`). Never a prompt,
an answer or a secret: an entry has none, and nothing else is said of a request.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from claude_max_mcp.service.journal import Entry
from claude_max_mcp.tracing import find_trace_id

Level: TypeAlias = Literal["debug", "info", "warning", "error"]

logger = logging.getLogger(__name__)


def configure_logging(log_format: Literal["console", "json"], level: Level = "info") -> None:
    """Log to standard error; standard output belongs to MCP over stdio. Of libraries, only warnings and worse."""
    handler = logging.StreamHandler()
    if log_format == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    wanted = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(wanted, logging.WARNING), handlers=[handler])
    logging.getLogger("claude_max_mcp").setLevel(wanted)


def log_request(entry: Entry) -> None:
    """Say in one line what became of a request."""
    first = "none" if entry.first_text_ms is None else f"{entry.first_text_ms} ms"
    fields = entry.model_dump(exclude={"at"}) | ({"trace_id": trace} if (trace := find_trace_id()) else {})
    logger.info(
        "request %s: %s, %s, %d ms, first text %s, tokens %d in, %d out",
        entry.request_id,
        entry.model,
        entry.outcome,
        entry.duration_ms,
        first,
        entry.input_tokens,
        entry.output_tokens,
        extra={"fields": fields},
    )


class JsonLines(logging.Formatter):
    """One JSON object a line, times in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        failure = {"exception": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps(line | failure | getattr(record, "fields", {}))
