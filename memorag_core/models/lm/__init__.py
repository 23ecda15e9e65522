"""A causal language model: prefill, attention, decoding over a memory that a batch shares, key-value storage."""
