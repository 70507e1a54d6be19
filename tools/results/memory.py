"""What the memory of the stored recurrent agents holds, beyond their returns: every training seed, held-out tasks.

    python tools/results/memory.py     # data/results/memory.csv, some two minutes on one core

needs the runs of `python tools/data.py` for the agents below. Metrics: `regret` (the oracle's expected return less the
agent's, per trial); `stay_rewarded`, `stay_unrewarded` (the two gaps of the stay probabilities, `ops.two_step`);
`total_variation` (between VariBAD's decoded belief over the goal and the exact posterior, mean over all steps of a
trial before and after the goal is met).
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.exact.goal_beliefs import goal_posteriors
from metarl_lab.ops.regret import regret
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.ops.two_step import stay_probabilities
from metarl_lab.rollout import begin, collect, seeded_generator

ROOT = Path(__file__).resolve().parents[2]
TASKS, SEED = 20_000, 1
SAMPLES = 64  # of the latent, for a decoded belief
AGENTS = {
    "rl2-bernoulli_bandit-2x100": "regret",
    "rl2-correlated_bandit": "regret",
    "rl2-informative_bandit": "regret",
    "rl2-two_step": "stay",
    "varibad-gridworld": "belief",
}
Row = dict[str, Any]


def regrets(learner: Any, family: Any) -> list[Row]:
    """Regret of one trial, on the tasks that the scores of `agents.csv` were measured on."""
    tasks = family.sample_tasks(TASKS, "test", seeded_generator("cpu", SEED, 0))
    found = regret(family.oracle(tasks), ml.evaluate(learner, family, tasks=tasks, seed=SEED).per_task)
    return [{"metric": "regret", "mean": found.mean, "low": found.low, "high": found.high}]


def acted(learner: Any, family: Any, n: int, episodes: int) -> Any:
    """Trials of n held-out tasks."""
    tasks = family.sample_tasks(n, "test", seeded_generator("cpu", SEED, 0))
    return collect(learner, family, tasks, begin(learner, family, tasks), seeded_generator("cpu", SEED, 1), episodes)[0]


def stays(learner: Any, family: Any) -> list[Row]:
    """The two gaps, with 95% normal intervals over tasks."""
    found = stay_probabilities(acted(learner, family, TASKS, 1))
    rows = zip(("stay_unrewarded", "stay_rewarded"), found.gaps, 1.96 * found.error, strict=True)
    return [{"metric": name, "mean": gap, "low": gap - error, "high": gap + error} for name, gap, error in rows]


def total_variation(learner: Any, family: Any, episodes: Any) -> Tensor:
    """Half the absolute difference of decoded and exact belief, before each step of a trial, (T, K H)."""
    from metarl_lab.nets.base import sequences

    exact = goal_posteriors(family.prior, episodes)[:, 0, :-1]  # (T, K H, S); the last follows the last step
    noise = torch.randn(SAMPLES, learner.config.latent, generator=seeded_generator("cpu", SEED, 2))
    with torch.no_grad():
        mean, log_var = learner.model.encoder(sequences(learner.spec, episodes).x)  # (K H, T, M)
    cells = torch.eye(family.spec.observation_size)
    told = [learner.model.belief(m, v, cells, noise) for m, v in zip(mean, log_var, strict=True)]
    return (torch.stack(told, 1) - exact).abs().sum(-1) / 2


def beliefs(learner: Any, family: Any) -> list[Row]:
    """How far the decoded belief is from the exact one."""
    distance = total_variation(learner, family, acted(learner, family, 2000, family.episodes)).double().numpy()
    mean, low, high = (float(x) for x in mean_interval(distance.mean(1)))
    return [{"metric": "total_variation", "mean": mean, "low": low, "high": high}]


MEASURES = {"regret": regrets, "stay": stays, "belief": beliefs}


def main() -> None:
    """Measure every run that is there."""
    rows: list[Row] = []
    for name, kind in AGENTS.items():
        runs = sorted((ROOT / "runs").glob(f"{name}-seed*"))
        if not runs:
            sys.exit(f"{name}: no runs; make them with  python tools/data.py {name}")
        for run in runs:
            learner, family, _ = ml.load(run)
            for row in MEASURES[kind](learner, family):
                rows.append({"agent": name, "seed": run.name.rsplit("seed", 1)[1], **row})
                print(rows[-1], flush=True)
    with (ROOT / "data" / "results" / "memory.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["agent", "seed", "metric", "mean", "low", "high"], lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


if __name__ == "__main__":
    main()
