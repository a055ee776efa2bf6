"""What the benchmarks share: processes to measure, ways to ask, and figures to show."""
