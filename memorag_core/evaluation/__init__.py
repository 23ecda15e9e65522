"""Evaluation: labelled questions, baselines beside the engine, scores with confidence intervals.

In data order: datasets → case, systems → metrics, checks → records → report → render; `run` is the way through.
"""
