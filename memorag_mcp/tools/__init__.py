"""The tools, one file a group."""
