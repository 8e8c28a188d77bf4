"""Benchmarks: what a bill run costs in time and memory, beside the same work in hand-written SQL."""
