"""All that is to be shown on a CUDA machine."""
