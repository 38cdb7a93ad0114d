"""Benchmarks: each prints a table of ratios against a peer or a limit, in one run."""
