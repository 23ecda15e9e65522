"""Cached contexts, their summaries and the prompts, as hosts see them."""
