"""Meta-RL Lab: real, tested meta-reinforcement-learning algorithms for the workbook and for research."""

from metarl_lab.catalog import make_family, make_learner, make_reference, make_sampler
from metarl_lab.evaluate import Curve, evaluate
from metarl_lab.runs.agents import load
from metarl_lab.train import Interrupted, Run, resume, train

__version__ = "0.1.0"
__all__ = [
    "Curve",
    "Interrupted",
    "Run",
    "evaluate",
    "load",
    "make_family",
    "make_learner",
    "make_reference",
    "make_sampler",
    "resume",
    "train",
]
