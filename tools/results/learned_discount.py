"""The course of a learned discount and lambda, beside discounts set by hand: data/results/learned_discount.csv.

    python tools/results/learned_discount.py                         # what is not there yet, ten seeds: 5 CPU-minutes
    python tools/results/learned_discount.py --families chain --seeds 0 1

Families whose right discount is known or can be tried out. ``chain``: six steps, a wrong first action pays 0.5 at once
and costs 2 at the end, so that a discount below 0.25^(1/5) = 0.76 prefers it. ``tabular_mdp``: random moves and noisy
rewards, four episodes a batch; there Monte Carlo returns of a large discount are noise. ``short_chain``: four steps,
and outer returns that bootstrap (lambda' = 0.3), to tell the two outer value functions apart.

Every label has one setting a family (``SETTINGS``), ten seeds, and the same held-out tasks: 200 of the test split, the
return per episode of the batch after ten inner steps, and the mean over the ten. A discount set by hand is not trained:
its agents start from the same initial weights. Rows already in the table are kept.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import metarl_lab as ml
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.base import TaskFamily

TABLE = Path(__file__).resolve().parents[2] / "data" / "results" / "learned_discount.csv"
KEYS = ["family", "label", "seed"]
SEEDS = tuple(range(10))
TEST_TASKS, TEST_STEPS, EVALUATION_SEED = 200, 10, 1
# family: its name and options, the learner's options, iterations
CHAIN: dict[str, Any] = {"bait": 0.5}
SETTINGS: dict[str, tuple[str, dict[str, Any], dict[str, Any], int]] = {
    "chain": (
        "chain",
        CHAIN | {"shortest": 6, "longest": 6, "horizon": 6},
        {"inner_step": 10.0, "value_step": 3.0, "episodes": 10, "inner_steps": 10, "learning_rate": 0.05},
        30,
    ),
    "tabular_mdp": (
        "tabular_mdp",
        {"states": 5, "actions": 3},
        {"inner_step": 3.0, "value_step": 3.0, "episodes": 4, "inner_steps": 10, "learning_rate": 0.05},
        40,
    ),
    "short_chain": (
        "chain",
        CHAIN | {"shortest": 4, "longest": 4, "horizon": 4},
        {"inner_step": 5.0, "value_step": 5.0, "episodes": 20, "inner_steps": 20, "learning_rate": 0.05}
        | {"outer_lambda": 0.3},
        12,
    ),
}
NONE = {"learn_discount": False, "learn_lambda": False, "lam": 1.0}
FIXED = {f"discount {d:g}": NONE | {"discount": d} for d in (0.0, 0.5, 0.9, 0.99, 1.0)}
ONE = {"learn_lambda": False, "lam": 1.0}
LABELS: dict[str, dict[str, dict[str, Any]]] = {
    "chain": FIXED
    | {f"learned from {d:g}": ONE | {"discount": d} for d in (0.2, 0.5, 0.9)}
    | {"learned with lambda": {"discount": 0.5, "lam": 0.9}},
    "short_chain": FIXED
    | {f"{v} from {d:g}": ONE | {"discount": d, "outer_value": v} for v in ("own", "inner") for d in (0.2, 0.5, 0.8)},
}
LABELS["tabular_mdp"] = LABELS["chain"]


def measured(family_name: str, label: str, seed: int) -> list[dict[str, Any]]:
    """Train one learner, row by row of its course, and test it."""
    name, options, settings, iterations = SETTINGS[family_name]
    family = ml.make_family(name, **options)
    learner = ml.make_learner("meta_gradient", family, seed=seed, hidden=(), **(settings | LABELS[family_name][label]))
    cpu = time.process_time()
    first = {"iteration": 0, **dict(zip(("discount", "lambda"), (x.item() for x in learner.eta()), strict=True))}
    rows: list[dict[str, Any]] = [first]
    if label not in FIXED:
        run = ml.train(learner, family, iterations=iterations, seed=seed, device="cpu", progress=False)
        rows += [{"iteration": i + 1, **{k: r[k] for k in ("discount", "lambda")}} for i, r in enumerate(run.rows)]
    rows[-1] |= tested(learner, family, settings["episodes"]) | {"cpu_seconds": round(time.process_time() - cpu, 1)}
    return [{"family": family_name, "label": label, "seed": seed, **row} for row in rows]


def tested(agent: Any, family: TaskFamily, episodes: int) -> dict[str, float]:
    """Return per episode on held-out tasks: after the last inner step, and the mean over all of them."""
    tasks = family.sample_tasks(TEST_TASKS, "test", seeded_generator("cpu", 17, 1))
    curve = ml.evaluate(agent, family, episodes=episodes, batches=TEST_STEPS + 1, seed=EVALUATION_SEED, tasks=tasks)
    return {"test_return": float(curve.mean[-1]), "test_mean": float(curve.mean[1:].mean())}


def anchors(family_name: str) -> list[dict[str, Any]]:
    """Random play and the oracle; seed -1."""
    name, options, settings, _ = SETTINGS[family_name]
    family = ml.make_family(name, **options)
    tasks = family.sample_tasks(TEST_TASKS, "test", seeded_generator("cpu", 17, 1))
    played = ml.evaluate(ml.make_reference("random", family), family, episodes=20, seed=EVALUATION_SEED, tasks=tasks)
    best = family.oracle(tasks)
    assert best is not None
    fixed = {"family": family_name, "seed": -1, "iteration": 0}
    return [
        {**fixed, "label": "random", "test_return": float(played.mean[0])},
        {**fixed, "label": "oracle", "test_return": best.mean().item()},
    ]


def store(rows: list[dict[str, Any]]) -> None:
    """Add rows to the table, whole or not at all."""
    table = pd.DataFrame(rows)
    if TABLE.exists():
        table = pd.concat([pd.read_csv(TABLE), table])
    part = TABLE.with_suffix(".part")
    table.sort_values([*KEYS, "iteration"]).round(4).to_csv(part, index=False)
    part.replace(TABLE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for family in arguments.families:
        there = set(map(tuple, pd.read_csv(TABLE)[KEYS].to_numpy())) if TABLE.exists() else set()
        if (family, "random", -1) not in there:
            store(anchors(family))
        for seed in arguments.seeds:
            for label in LABELS[family]:
                if (family, label, seed) not in there:
                    rows = measured(family, label, seed)
                    store(rows)
                    print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
