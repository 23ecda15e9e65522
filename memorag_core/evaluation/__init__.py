"""Evaluation: labelled questions, baselines beside the engine, scores with confidence intervals.

datasets → systems → run → report; nothing but the engine's public methods is measured.
"""

from memorag_core.evaluation.datasets import EvalSet, Question, Split, choose, read_sets, split_of
from memorag_core.evaluation.report import Report, summarized
from memorag_core.evaluation.run import Plan, evaluate

__all__ = [
    "EvalSet",
    "Plan",
    "Question",
    "Report",
    "Split",
    "choose",
    "evaluate",
    "read_sets",
    "split_of",
    "summarized",
]
