"""One question's path: recall → search → answer | summarize, with citations that are checked."""
