"""The server over HTTP, for a team: application, addresses, tokens, metrics."""
