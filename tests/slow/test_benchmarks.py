"""Each benchmark runs in its shortest form and judges what it measured; what the verdict is does not matter here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.bench.proxy import MISSING, installed

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

SHORTEST = {
    "cost": ["--n", "2", "--calls", "2"],
    "latency": ["--n", "1"],
    "memory": ["--n", "1", "--watch", "0.2"],
    "replicas": ["--n", "1", "--agents", "2", "--calls", "2"],
    "soak": ["--n", "20", "--seconds", "6"],
    "streams": ["--n", "2", "--words", "20"],
    "throughput": ["--n", "1", "--crowd", "6"],
}
"""The arguments that make each one as short as can be."""


@pytest.mark.parametrize("name", sorted(path.stem for path in BENCHMARKS.glob("*.py")))
def test_a_benchmark_runs_and_writes_what_it_measured(name: str, tmp_path: Path) -> None:
    measured = tmp_path / "measured.json"
    done = subprocess.run(
        [sys.executable, BENCHMARKS / f"{name}.py", "--json", measured, *SHORTEST[name]],
        env={"PATH": os.defpath, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(measured.read_text(encoding="utf-8"))
    assert written["facts"]["cores"] > 0
    assert written["verdicts"] or (name == "replicas" and installed() is None and MISSING in done.stdout)
    assert all(verdict["what"] in done.stdout for verdict in written["verdicts"])
