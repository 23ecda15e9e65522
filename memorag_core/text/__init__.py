"""Pure text: chunks, words, where they stand, ids, prompts. Nothing here knows a model."""
