"""Activation beacons: a model that folds what it reads into key-value pairs, window by window."""
