"""All gradient-based learners on four families at one budget: data/results/gradient_family.csv and its anchors.

    python tools/results/gradient_family.py                        # what is not there yet, every family, five seeds
    python tools/results/gradient_family.py --families tabular_mdp --seeds 0 1

Every learner acts the same number of episodes of the same number of tasks (those that act more batches an iteration
make fewer iterations), with the same network (64 x 64; 32 on the last two). The step sizes it trains with stand in
``SETTINGS``. At test time the first inner step is the best of the setting's ``factors`` times that (later ones in
proportion), chosen on 40 *training* tasks by the mean return after steps 1 to 3; the curve is then measured on 200
held-out tasks. Rows already in the table are kept, so that a run that was cut short goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import metarl_lab as ml
from metarl_lab.learners.base import MetaLearner
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.base import TaskFamily

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "results" / "gradient_family.csv"
KEYS = ["label", "family", "seed"]
SEEDS = (0, 1, 2, 3, 4)
STEPS = 3
CHOICE_TASKS, TEST_TASKS, EVALUATION_SEED = 40, 200, 1


@dataclasses.dataclass(frozen=True)
class Setting:
    """One family: its options, and the budget of every learner on it."""

    family: dict[str, Any]
    learner: dict[str, Any]  # of all learners
    iterations: int  # of a learner that acts two batches of each task an iteration
    inner_step: float  # of most learners; the first and the later ones alike
    context_step: float  # CAVIA's
    plain_step: float  # Reptile's, whose every inner step is a step of training
    factors: tuple[float, ...]  # first inner steps tried at test time, in units of the one trained with


SETTINGS = {
    "point_navigation": Setting({}, {"meta_batch": 20, "episodes": 10}, 50, 0.5, 5.0, 0.5, (0.1, 0.25, 0.5, 1.0, 2.0)),
    "tabular_mdp": Setting(
        {"states": 5, "actions": 3}, {"meta_batch": 20, "episodes": 20}, 100, 2.0, 10.0, 1.0, (0.5, 1.0, 2.0, 4.0, 8.0)
    ),
    "cartpole": Setting(
        {}, {"hidden": (32,), "meta_batch": 20, "episodes": 10}, 20, 1.0, 10.0, 1.0, (0.1, 0.25, 0.5, 1.0, 2.0)
    ),
    "corner_navigation": Setting(
        {}, {"hidden": (32,), "meta_batch": 20, "episodes": 20}, 60, 0.5, 5.0, 0.5, (0.25, 0.5, 1.0, 2.0, 4.0)
    ),
}
# label: learner, its own options, batches of each task that it acts an iteration
LEARNERS: dict[str, tuple[str, dict[str, Any], int]] = {
    "scratch": ("scratch", {}, 1),
    "finetune": ("finetune", {}, 2),
    "maml": ("maml", {}, 2),
    "maml, first order": ("maml", {"first_order": True}, 2),
    "maml, dice": ("maml", {"surrogate": "dice"}, 2),
    "maml, ppo": ("maml", {"outer": "ppo", "learning_rate": 3e-3}, 2),
    "reptile": ("reptile", {}, 2),
    "emaml": ("emaml", {}, 2),
    "promp": ("promp", {"learning_rate": 3e-3}, 2),
    "anil": ("anil", {}, 2),
    "cavia": ("cavia", {}, 2),
    "meta_sgd": ("meta_sgd", {}, 2),
    "hypernetwork": ("hypernetwork", {}, 3),
}


def learner_of(label: str, setting: Setting, family: TaskFamily, seed: int) -> tuple[MetaLearner, int]:
    """The untrained learner and its iterations."""
    name, options, batches = LEARNERS[label]
    size = {"cavia": setting.context_step, "reptile": setting.plain_step}.get(name, setting.inner_step)
    options = {**setting.learner, "inner_step": size, "later_inner_step": size, **options}
    if name == "finetune":  # one batch of twice the episodes
        options["episodes"] = 2 * setting.learner["episodes"]
    iterations = 0 if name == "scratch" else round(2 * setting.iterations / batches)
    return ml.make_learner(name, family, seed=seed, **options), iterations


def curve_of(learner: MetaLearner, family: TaskFamily, setting: Setting, split: str, n_tasks: int) -> ml.Curve:
    tasks = family.sample_tasks(n_tasks, split, seeded_generator("cpu", 17, 1))
    episodes = setting.learner["episodes"]
    return ml.evaluate(learner, family, episodes=episodes, batches=STEPS + 1, seed=EVALUATION_SEED, tasks=tasks)


def measured(label: str, family_name: str, seed: int) -> list[dict[str, Any]]:
    """Train one learner and measure its adaptation curve."""
    setting = SETTINGS[family_name]
    family = ml.make_family(family_name, **setting.family)
    learner, iterations = learner_of(label, setting, family, seed)
    cpu, env_steps = time.process_time(), 0
    if iterations:
        env_steps = ml.train(learner, family, iterations=iterations, seed=seed, device="cpu", progress=False).env_steps
    cpu = time.process_time() - cpu
    tried, trained_with = {}, learner.config

    def set_steps(factor: float) -> None:
        sizes = {k: factor * getattr(trained_with, k) for k in ("inner_step", "later_inner_step")}
        learner.config = dataclasses.replace(trained_with, **sizes)

    for factor in setting.factors:
        set_steps(factor)
        tried[factor] = curve_of(learner, family, setting, "train", CHOICE_TASKS).mean[1:].mean()
    set_steps(max(tried, key=lambda f: tried[f] if np.isfinite(tried[f]) else -np.inf))
    curve = curve_of(learner, family, setting, "test", TEST_TASKS)
    fixed = {"learner": LEARNERS[label][0], "label": label, "family": family_name, "seed": seed}
    cost = {"env_steps": env_steps, "cpu_seconds": round(cpu, 1), "test_step_size": learner.config.inner_step}
    return [{**fixed, "batch": k, "mean": round(float(curve.mean[k]), 4), **cost} for k in range(STEPS + 1)]


def anchors(family_name: str) -> list[dict[str, Any]]:
    """Random play, and the oracle where there is one; seed -1."""
    setting = SETTINGS[family_name]
    family = ml.make_family(family_name, **setting.family)
    tasks = family.sample_tasks(TEST_TASKS, "test", seeded_generator("cpu", 17, 1))
    random = ml.evaluate(ml.make_reference("random", family), family, episodes=20, seed=EVALUATION_SEED, tasks=tasks)
    found = {"random": float(random.mean[0])}
    best = family.oracle(tasks)
    if best is not None:
        found["oracle"] = best.mean().item()
    fixed = {"family": family_name, "seed": -1, "batch": 0, "env_steps": 0, "cpu_seconds": 0.0}
    return [{"learner": k, "label": k, "mean": round(x, 4), **fixed} for k, x in found.items()]


def store(rows: list[dict[str, Any]]) -> None:
    """Add rows to the table, in a fixed order, whole or not at all."""
    table = pd.DataFrame(rows)
    if TABLE.exists():
        table = pd.concat([pd.read_csv(TABLE), table])
    order = {label: i for i, label in enumerate([*LEARNERS, "random", "oracle"])}
    table = table.sort_values(
        ["family", "label", "seed", "batch"], key=lambda c: c.map(order) if c.name == "label" else c
    )
    part = TABLE.with_suffix(".part")
    table.to_csv(part, index=False)
    part.replace(TABLE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--labels", nargs="+", choices=list(LEARNERS), default=list(LEARNERS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for family in arguments.families:
        there = set(map(tuple, pd.read_csv(TABLE)[KEYS].to_numpy())) if TABLE.exists() else set()
        if ("random", family, -1) not in there:
            store(anchors(family))
        for seed in arguments.seeds:
            for label in arguments.labels:
                if (label, family, seed) not in there:
                    rows = measured(label, family, seed)
                    store(rows)
                    print(family, seed, label, [row["mean"] for row in rows], rows[0], flush=True)


if __name__ == "__main__":
    main()
