"""MAML, CAVIA, fine-tuning, training from scratch and the anchors on the MAML authors' 40 navigation goals.

    python tools/data.py maml-point_navigation cavia-point_navigation finetune-point_navigation    # trains, into runs/
    python tools/results/point_navigation.py    # data/results/point_navigation.csv, some ten minutes on one core

The protocol is the authors' (data/published/README.md, section 3): 40 episodes of each goal per inner step, network
100 x 100 ReLU, inner step sizes 0.5 and then 0.25. How well a start adapts depends on those sizes, and the published
ones were made for MAML; so maml and finetune are measured over a range of first sizes, each halved after the first
step, and every one of them is in the table. Nothing is chosen on these goals.
"""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.learners.base import MetaLearner
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.tasks.point_navigation import PointNavigation

ROOT = Path(__file__).resolve().parents[2]
SEEDS = (0, 1, 2)
STEPS, EPISODES, EVALUATION_SEED = 3, 40, 1
PROTOCOL = 0.5
SIZES = {
    "maml": (0.1, 0.2, 0.3, 0.5, 0.7),
    "cavia": (1.0, 2.0, 3.0, 5.0, 7.0),
    "finetune": (0.05, 0.1, 0.15, 0.2, 0.3, 0.5),
    "scratch": (0.5,),
}
# names in the published table, which is for step sizes 0.5 and 0.25
NAMES = {"maml": "maml", "finetune": "pretrained (inferred: file sens0)", "scratch": "random init", "oracle": "oracle"}

Row = tuple[str, float | str, str, int, float, float, float]  # learner, inner_step, seed, step, mean, low, high


def start(name: str, seed: int, family: PointNavigation) -> MetaLearner:
    """A learner as its training left it."""
    if name == "scratch":
        return ml.make_learner("scratch", family, seed=seed, hidden=(100, 100), activation="relu")
    folder = ROOT / "runs" / f"{name}-point_navigation-seed{seed}"
    if not folder.exists():
        raise SystemExit(f"{folder} is not there; first: python tools/data.py {name}-point_navigation")
    return ml.load(folder)[0]


def measured(learner: MetaLearner, name: str, size: float, seed: int, family: PointNavigation) -> list[Row]:
    """The adaptation curve at a first step size, halved after the first step; intervals over goals."""
    learner.config = dataclasses.replace(learner.config, inner_step=size, later_inner_step=size / 2)
    goals = family.published_tasks()
    curve = ml.evaluate(learner, family, episodes=EPISODES, batches=STEPS + 1, seed=EVALUATION_SEED, tasks=goals)
    return [(name, size, str(seed), k, curve.mean[k], curve.low[k], curve.high[k]) for k in range(STEPS + 1)]


def anchors(family: PointNavigation) -> list[Row]:
    """Agents that are not trained, and standing still."""
    goals, rows = family.published_tasks(), list[Row]()
    for name in ("random", "oracle"):
        agent = ml.make_reference(name, family)
        curve = ml.evaluate(agent, family, episodes=EPISODES, seed=EVALUATION_SEED, tasks=goals)
        rows.append((name, "", "", 0, curve.mean[0], curve.low[0], curve.high[0]))
    staying = -family.horizon * goals.goal.norm(dim=1).mean().item()
    return [*rows, ("staying at the origin (exact)", "", "", 0, staying, staying, staying)]


def main() -> None:
    """Write the table."""
    family, rows = PointNavigation(), list[Row]()
    for name, size in tqdm([(name, size) for name, sizes in SIZES.items() for size in sizes]):
        own = [row for seed in SEEDS for row in measured(start(name, seed, family), name, size, seed, family)]
        means = np.array([row[4] for row in own]).reshape(len(SEEDS), STEPS + 1)
        rows += own  # seed "all": Student's interval over seeds
        rows += [(name, size, "all", k, *map(float, x)) for k, x in enumerate(zip(*mean_interval(means), strict=True))]
    rows += anchors(family)
    published = pd.read_csv(ROOT / "data" / "published" / "point_navigation.csv", index_col="method")
    with open(ROOT / "data" / "results" / "point_navigation.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["learner", "inner_step", "seed", "step", "mean", "low", "high", "published"])
        for name, size, seed, step, *numbers in rows:
            told = published.loc[NAMES[name], f"step{step}"] if name in NAMES and size in ("", PROTOCOL) else np.nan
            writer.writerow([name, size, seed, step, *(round(x, 4) for x in numbers), "" if pd.isna(told) else told])


if __name__ == "__main__":
    main()
