"""Threads share a device here: its fair queue, cancellation, and LRU caches."""
