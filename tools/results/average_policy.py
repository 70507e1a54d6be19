"""The average policy against initialisations that adapt: data/results/average_policy.csv and its anchors.

    python tools/results/average_policy.py                         # what is not there yet, every family, five seeds
    python tools/results/average_policy.py --families cartpole --seeds 0 1

Budget, networks, step sizes, the choice of the test-time step on training tasks and the held-out tasks are those of
``gradient_family.py``, whose rows of the other learners are taken over. Rows already in the table are kept.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import gradient_family as budget
import numpy as np
import pandas as pd
import torch

import metarl_lab as ml
from metarl_lab.learners.base import MetaLearner
from metarl_lab.tasks.base import TaskFamily

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "results" / "average_policy.csv"
KEYS = ["label", "family", "seed"]
BEST_SCRATCH_STEP = {"cartpole": 2.0, "tabular_mdp": 4.0}  # that ``gradient_family.py`` chose for an untrained policy
INNER_STEPS = 3  # of the average policy, as many as are measured

FAMILIES = ("cartpole", "tabular_mdp")
ABLATED = "tabular_mdp"  # where other weights of the KL are tried
OTHERS = ("scratch", "finetune", "maml", "reptile")
AVERAGES: dict[str, dict[str, Any]] = {
    "average policy": {},
    "average, c_KL 0": {"kl_weight": 0.0},
    "average, c_KL 30": {"kl_weight": 30.0},
}


def learner_of(label: str, family: TaskFamily, seed: int) -> tuple[MetaLearner, int]:
    """The untrained learner and its iterations: all learners act the same number of episodes."""
    setting, size = budget.SETTINGS[family.name], BEST_SCRATCH_STEP[family.name]
    options = {**setting.learner, "inner_step": size, "later_inner_step": size, "inner_steps": INNER_STEPS}
    learner = ml.make_learner("average_policy", family, seed=seed, **options, **AVERAGES[label])
    return learner, round(2 * setting.iterations / (INNER_STEPS + 1))


def measured(label: str, name: str, seed: int) -> list[dict[str, Any]]:
    """Train one learner, choose its test-time step on training tasks, and measure its curve on held-out ones."""
    setting = budget.SETTINGS[name]
    family = ml.make_family(name, **setting.family)
    learner, iterations = learner_of(label, family, seed)
    cpu = time.process_time()
    env_steps = ml.train(learner, family, iterations=iterations, seed=seed, device="cpu", progress=False).env_steps
    cpu = time.process_time() - cpu
    tried, trained_with = {}, learner.config
    for factor in setting.factors:
        learner.config = stepping(trained_with, factor)
        chosen_on = budget.curve_of(learner, family, setting, "train", budget.CHOICE_TASKS)
        tried[factor] = float(np.nan_to_num(chosen_on.mean[1:].mean(), nan=-np.inf))
    learner.config = stepping(trained_with, max(tried, key=lambda f: tried[f]))
    curve = budget.curve_of(learner, family, setting, "test", budget.TEST_TASKS)
    fixed = {"learner": learner.name, "label": label, "family": name, "seed": seed}
    cost = {"env_steps": env_steps, "cpu_seconds": round(cpu, 1), "test_step_size": learner.config.inner_step}
    return [{**fixed, "batch": k, "mean": round(float(x), 4), **cost} for k, x in enumerate(curve.mean)]


def stepping(config: Any, factor: float) -> Any:
    """The config with its inner steps multiplied."""
    sizes = {key: factor * getattr(config, key) for key in ("inner_step", "later_inner_step")}
    return dataclasses.replace(config, **sizes)


def taken_over(name: str) -> pd.DataFrame:
    """The other learners' rows of ``gradient_family.csv``, and its anchors."""
    table = pd.read_csv(budget.TABLE)
    return table[(table.family == name) & table.label.isin([*OTHERS, "random", "oracle"])]


def store(rows: pd.DataFrame) -> None:
    """Add rows to the table, in a fixed order, whole or not at all."""
    table = pd.concat([pd.read_csv(TABLE), rows]) if TABLE.exists() else rows
    order = {x: i for i, x in enumerate([*FAMILIES, *OTHERS, *AVERAGES, "random", "oracle"])}
    by = ["family", "label", "seed", "batch"]
    table = table.sort_values(by, key=lambda c: c.map(order) if c.name in ("family", "label") else c)
    part = TABLE.with_suffix(".part")
    table.to_csv(part, index=False)
    part.replace(TABLE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--labels", nargs="+", choices=list(AVERAGES), default=list(AVERAGES))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(budget.SEEDS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.families:
        there = set(map(tuple, pd.read_csv(TABLE)[KEYS].to_numpy())) if TABLE.exists() else set()
        if ("random", name, -1) not in there:
            store(taken_over(name))
        for seed in arguments.seeds:
            for label in arguments.labels:
                if (label, name, seed) not in there and (label == "average policy" or name == ABLATED):
                    rows = measured(label, name, seed)
                    store(pd.DataFrame(rows))
                    print(name, seed, label, [row["mean"] for row in rows], rows[0], flush=True)


if __name__ == "__main__":
    main()
