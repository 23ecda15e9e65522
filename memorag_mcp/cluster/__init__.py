"""The server on many machines, by Ray Serve: fronts without models, replicas of the engine behind them."""

PROXIES = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_HAPROXY_RETRIES": "10",
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response\n    option http-buffer-request",
}
"""Variables that Ray's processes need: HAProxy before the fronts, which gives what a lost front had to another one.

It can do so only with a request that it has as a whole before it passes its first byte on, and many clients send
heads and bodies apart. Ray has no variable for the option that makes HAProxy wait; it stands on a line of its own below
the conditions. A client's connection whose retries are used up is closed without a word.
"""
