"""The service in numbers, for Prometheus.

In: each request as it ends, and how the service is at the moment somebody looks. Out: a registry of its own, which
whoever serves it turns into text. Names of models that callers invent become `other`, so that they cannot grow it.
"""

from collections.abc import Callable, Iterable
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from claude_max_mcp.engine.transcripts import TranscriptStats
from claude_max_mcp.models import ALIASES, to_cli_model, to_full_id
from claude_max_mcp.pool.pool import PoolHistory
from claude_max_mcp.results import Health
from claude_max_mcp.service.journal import Entry, Journal

FIRST_TEXT = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
WHOLE = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 150.0, 300.0, 900.0, 3600.0)
"""Upper ends of the histograms' buckets, in seconds; a request may take an hour."""


class Metrics:
    """Counts requests from now on, and reads the rest when it is looked at.

    Args:
        journal: tells of each request that ends.
        health: how the service is, from what is known.
        workers: what the pool has done since it started.
        reused: conversations that began in a used process.
        kept: what is kept of conversations on disk, and what was looked for there.
    """

    def __init__(
        self,
        journal: Journal,
        health: Callable[[], Health],
        workers: Callable[[], PoolHistory],
        reused: Callable[[], int],
        kept: Callable[[], TranscriptStats],
    ) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._add_counter("claude_max_requests", "Requests that ended.", "model", "outcome")
        self._tokens = self._add_counter("claude_max_tokens", "Tokens of answered requests.", "model", "direction")
        self._first = self._add_histogram(
            "claude_max_first_text_seconds", "Until the first text of an answer.", FIRST_TEXT
        )
        self._whole = self._add_histogram("claude_max_answer_seconds", "Until the answer was whole.", WHOLE)
        self._models = set(ALIASES.values())
        self.registry.register(_Now(health, workers, reused, kept))
        journal.listen(self._count)

    def _add_counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _add_histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, ("model",), registry=self.registry, buckets=buckets)

    def _count(self, entry: Entry) -> None:
        answered = entry.outcome == "answered"
        model = self._bound_model(entry.model, answered=answered)
        self._requests.labels(model, entry.outcome).inc()
        self._tokens.labels(model, "input").inc(entry.input_tokens)
        self._tokens.labels(model, "output").inc(entry.output_tokens)
        if answered:
            self._whole.labels(model).observe(entry.duration_ms / 1000)
        if answered and entry.first_text_ms is not None:
            self._first.labels(model).observe(entry.first_text_ms / 1000)

    def _bound_model(self, name: str | None, *, answered: bool) -> str:
        """The full id of a model that exists, as far as is known: it has answered, or the CLI has a name for it."""
        model = to_full_id(to_cli_model(name or ""))
        if answered:
            self._models.add(model)
        return model if model in self._models else "other"


class _Now(Collector):
    """What is read at the moment of looking."""

    def __init__(
        self,
        health: Callable[[], Health],
        workers: Callable[[], PoolHistory],
        reused: Callable[[], int],
        kept: Callable[[], TranscriptStats],
    ) -> None:
        self._health = health
        self._workers = workers
        self._reused = reused
        self._kept = kept

    def collect(self) -> Iterable[Metric]:
        now, workers = self._health(), self._workers()
        versions = (version("claude-max-mcp"), now.cli_version or "")
        yield _make_gauge("info", "Versions.", [(versions, 1)], "version", "cli")
        states = ("healthy", "degraded", "unhealthy")
        yield _make_gauge(
            "status", "1 for what it is.", [((state,), state == now.status) for state in states], "status"
        )
        yield _make_gauge("uptime_seconds", "Since the server started.", [((), now.uptime)])
        yield _make_gauge("in_flight", "Requests that run.", [((), now.in_flight)])
        yield _make_gauge("queued", "Requests that wait.", [((), now.queued)])
        pool = [((state,), count) for state, count in now.pool.model_dump(exclude={"size"}).items()]
        yield _make_gauge("workers", "CLI processes.", pool, "state")
        windows = now.rate_limit.windows.items() if now.rate_limit else ()
        used = [((name,), window.utilization) for name, window in windows]
        yield _make_gauge("usage_ratio", "How much of a usage window is used, 0 to 1.", used, "window")
        resets = [((name,), window.resets_at) for name, window in windows]
        yield _make_gauge("usage_reset_timestamp_seconds", "When a usage window opens anew.", resets, "window")
        yield CounterMetricFamily("claude_max_worker_starts", "CLI processes started.", workers.started)
        yield CounterMetricFamily("claude_max_worker_restarts", "Replaced before any request.", workers.replaced)
        yield CounterMetricFamily("claude_max_worker_failures", "Starts that failed.", workers.failed)
        yield CounterMetricFamily("claude_max_worker_reuses", "Conversations begun in a used one.", self._reused())
        yield from _describe_kept(self._kept())


def _describe_kept(kept: TranscriptStats) -> Iterable[Metric]:
    lookups = CounterMetricFamily(
        "claude_max_transcript_lookups", "Conversations looked for that no process holds.", labels=("outcome",)
    )
    for outcome, number in (("found", kept.found), ("missing", kept.missing), ("unusable", kept.unusable)):
        lookups.add_metric((outcome,), number)
    yield lookups
    yield _make_gauge("kept_files", "Files of conversations on disk.", [((), kept.files)])
    yield _make_gauge("kept_bytes", "What they take.", [((), kept.bytes)])
    yield CounterMetricFamily("claude_max_kept_evictions", "Files removed as there was no room.", kept.evicted)


def _make_gauge(name: str, text: str, samples: Iterable[tuple[tuple[str, ...], float | None]], *labels: str) -> Metric:
    gauge = GaugeMetricFamily(f"claude_max_{name}", text, labels=labels)
    for values, number in samples:
        if number is not None:
            gauge.add_metric(values, number)
    return gauge
