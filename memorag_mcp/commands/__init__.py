"""The commands of `memorag`, one file a group."""
