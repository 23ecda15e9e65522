"""The server on many machines, by Ray Serve: fronts without models, replicas of the engine behind them."""

PROXIES = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response"}
"""Variables that Ray's processes need: HAProxy before the fronts, which gives what a lost front had to another one."""
