"""The server on many machines, by Ray Serve: fronts without models, replicas of the engine behind them."""
