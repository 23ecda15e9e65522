"""Measurements under version control: each module runs with `python -m benchmarks.NAME`."""
