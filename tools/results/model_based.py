"""Env steps to a stated return, with and without a model of the dynamics: data/results/model_based.csv.

    python tools/results/model_based.py                                    # what is not there yet: about 30 CPU-minutes
    python tools/results/model_based.py --families pendulum --seeds 0 1
    python tools/results/model_based.py --summary                          # env steps to each level, from the table

Two levels per family, stated before any run: half and three quarters of the way from random play to the anchor that
knows the task (the exact oracle; the classical swing-up for the pendulum). A learner reaches a level at the first
evaluation on held-out tasks that is not below it. The x axis counts real env steps of meta-training; imagined steps
are free there, and paid for in CPU seconds. What a trial may see of the test task before it is scored differs, and
stands beside (``test_steps``): gradient-based learners one batch of ten episodes, the others a first episode.
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
from metarl_lab.learners.base import GradientLearner, MetaLearner
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.base import TaskFamily

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "results" / "model_based.csv"
KEYS = ["family", "learner", "seed"]
SEEDS = (0, 1, 2, 3, 4)
LEVELS = (0.5, 0.75)  # of the way from random play to the anchor
TEST_TASKS = {"point_navigation": 40, "pendulum": 20}
EVALUATION_SEED = 1


@dataclasses.dataclass(frozen=True)
class Run:
    """One learner on one family."""

    options: dict[str, Any]
    iterations: int
    every: int  # iterations between evaluations


FAMILIES: dict[str, dict[str, Any]] = {"point_navigation": {"horizon": 50}, "pendulum": {"horizon": 100}}
ANCHORS = {"point_navigation": "oracle", "pendulum": "swing_up"}
_SMALL = {"hidden": (32, 32)}
RUNS: dict[str, dict[str, Run]] = {
    "point_navigation": {
        "mb_mpo": Run({**_SMALL, "episodes": 10}, 8, 1),
        "grbal": Run({"episodes": 2}, 6, 3),
        "maml": Run({**_SMALL, "episodes": 10}, 40, 4),
        "rl2": Run({"hidden": 32, "meta_batch": 40, "episodes": 2}, 120, 12),
        "pearl": Run({"episodes": 2}, 20, 5),
    },
    "pendulum": {
        "grbal": Run({"meta_batch": 5, "plan_horizon": 20, "candidates": 48, "elites": 6, "rounds": 2}, 15, 5),
        "rl2": Run({"hidden": 32, "meta_batch": 40}, 50, 10),
        "mb_mpo": Run({**_SMALL, "episodes": 10, "discount": 0.97}, 4, 2),
    },
}


def held_out(learner: MetaLearner, family: TaskFamily) -> tuple[float, float]:
    """Held-out return of a trial's last batch, and the test steps per task before it."""
    episodes = 10 if isinstance(learner, GradientLearner) else 1
    tasks = family.sample_tasks(TEST_TASKS[family.name], "test", seeded_generator("cpu", 17, 1))
    curve = ml.evaluate(learner, family, episodes=episodes, batches=2, seed=EVALUATION_SEED, tasks=tasks)
    return float(curve.mean[-1]), float(curve.env_steps[-1])


def measured(family_name: str, name: str, seed: int) -> list[dict[str, Any]]:
    """Meta-train one learner, with evaluations on the way."""
    family, run = ml.make_family(family_name, **FAMILIES[family_name]), RUNS[family_name][name]
    learner = ml.make_learner(name, family, seed=seed, **run.options)
    chance, rows, env_steps, cpu = seeded_generator("cpu", seed, 5, 1), [], 0, 0.0
    for iteration in range(run.iterations + 1):
        if iteration % run.every == 0:
            mean, test_steps = held_out(learner, family)
            at = {"iteration": iteration, "env_steps": env_steps, "cpu_seconds": round(cpu, 1)}
            rows.append({"family": family_name, "learner": name, "seed": seed, **at, "test_steps": test_steps})
            rows[-1]["mean"] = round(mean, 3)
        if iteration < run.iterations:
            start = time.process_time()
            tasks = family.sample_tasks(learner.config.meta_batch, "train", chance)
            env_steps += int(learner.update(family, tasks, chance).values["env_steps"])
            cpu += time.process_time() - start
    return rows


def anchors(family_name: str) -> list[dict[str, Any]]:
    """Random play and the agents that know the task; seed -1."""
    family = ml.make_family(family_name, **FAMILIES[family_name])
    tasks = family.sample_tasks(TEST_TASKS[family.name], "test", seeded_generator("cpu", 17, 1))
    names = ["random", ANCHORS[family_name]] + ["model_predictive"] * (family_name == "pendulum")
    rows = []
    for name in names:
        options = {"plan_horizon": 20} if name == "model_predictive" else {}
        made = ml.make_reference(name, family, **options)
        mean = ml.evaluate(made, family, episodes=20, seed=EVALUATION_SEED, tasks=tasks).mean[0]
        at = {"iteration": 0, "env_steps": 0, "cpu_seconds": 0.0, "test_steps": 0.0, "mean": round(float(mean), 3)}
        rows.append({"family": family_name, "learner": name, "seed": -1, **at})
    return rows


def store(rows: list[dict[str, Any]]) -> None:
    """Add rows to the table, in a fixed order, whole or not at all."""
    table = pd.DataFrame(rows)
    if TABLE.exists():
        table = pd.concat([pd.read_csv(TABLE), table])
    part = TABLE.with_suffix(".part")
    table.sort_values([*KEYS, "iteration"]).to_csv(part, index=False)
    part.replace(TABLE)


def levels(table: pd.DataFrame, family_name: str) -> dict[float, float]:
    """{share of the way from random play to the anchor: return}."""
    fixed = table[(table.family == family_name) & (table.seed == -1)].set_index("learner")["mean"]
    low, high = fixed["random"], fixed[ANCHORS[family_name]]
    return {share: low + share * (high - low) for share in LEVELS}


def reached(curves: pd.DataFrame, level: float) -> pd.DataFrame:
    """Of each seed: env steps and CPU seconds at the first evaluation not below the level, infinite without one."""
    rows = []
    for seed, curve in curves.sort_values("iteration").groupby("seed"):
        there = curve[curve["mean"] >= level]
        at = there.iloc[0] if len(there) else {"env_steps": np.inf, "cpu_seconds": np.inf}
        rows.append({"seed": seed, "env_steps": at["env_steps"], "cpu_seconds": at["cpu_seconds"]})
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Median, least and most over seeds of the env steps to each level, and the median CPU seconds."""
    rows = []
    for (family_name, name), curves in table[table.seed >= 0].groupby(["family", "learner"]):
        last = curves[curves.iteration == curves.iteration.max()]
        for share, level in levels(table, family_name).items():
            found = reached(curves, level)
            steps, n = found.env_steps, len(found)
            spread = {"seeds": n, "reached": int(np.isfinite(steps).sum()), "median": np.median(steps)}
            ends = {"least": steps.min(), "most": steps.max(), "cpu_seconds": np.median(found.cpu_seconds)}
            final = {
                "budget": last.env_steps.mean(),
                "final": last["mean"].mean(),
                "test_steps": last.test_steps.mean(),
            }
            of = {"family": family_name, "learner": name, "share": share, "level": level}
            rows.append({**of, **spread, **ends, **final})
    return pd.DataFrame(rows).sort_values(["family", "share", "median"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--learners", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--summary", action="store_true", help="print env steps to each level and stop")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.summary:
        print(summary(pd.read_csv(TABLE)).to_string(index=False, float_format="{:.6g}".format))
        return
    for family_name in options.families:
        done = set(map(tuple, pd.read_csv(TABLE)[KEYS].to_numpy())) if TABLE.exists() else set()
        if (family_name, "random", -1) not in done:
            store(anchors(family_name))
        for seed in options.seeds:
            for name in options.learners or RUNS[family_name]:
                if (family_name, name, seed) not in done:
                    start = time.process_time()
                    rows = measured(family_name, name, seed)
                    store(rows)
                    cpu = round(time.process_time() - start)
                    print(family_name, name, seed, [row["mean"] for row in rows], f"{cpu} CPU-seconds", flush=True)


if __name__ == "__main__":
    main()
