"""The protocol's edge: the SDK's server with our lists, subscriptions, and standard input."""
