"""Every reference in the tasks of "Learning to reinforcement learn", beside the exact figures.

    python tools/results/wang.py     # data/results/wang_references.csv, about 15 seconds on one idle core

Tasks and noise follow from the seeds below, so the same command writes the same file on the same machine. `--tasks 200`
makes a quick trial of it. Regret is the oracle's expected return less the agent's, task by task.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.exact.bernoulli_bandit import two_armed_value
from metarl_lab.exact.correlated_bandit import oracle_value
from metarl_lab.ops.regret import regret
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import seeded_generator

RESULTS = Path(__file__).resolve().parents[2] / "data" / "results"
SEED = 1611  # chunk number i has seed SEED + i, whatever the reference: all see the same tasks
CHUNK = 2000  # tasks acted at once
TASKS = 20_000
SIMPLE = ["random", "bayes_optimal", "oracle"]
# Acting out exact play of two independent arms and 100 pulls needs a table of 2.2 million states:
# its exact value stands in the row of `bayes_optimal`, without a measurement.
INDEPENDENT = ["random", "greedy", "thompson", "ucb1", "gittins", "oracle"]
ROWS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("bernoulli_bandit", {"arms": 2, "horizon": 100}, INDEPENDENT),
    ("correlated_bandit", {"kind": "uniform"}, SIMPLE),
    ("correlated_bandit", {"kind": "easy"}, SIMPLE),
    ("correlated_bandit", {"kind": "medium"}, SIMPLE),
    ("correlated_bandit", {"kind": "hard"}, SIMPLE),
    ("informative_bandit", {}, SIMPLE),
    ("two_step", {}, SIMPLE),
    ("two_step", {"common": 0.75, "reversal": 0.0}, SIMPLE),
]


def measure(agent: Any, family: Any, n_tasks: int) -> tuple[np.ndarray, torch.Tensor]:
    """Return of one trial of each of n held-out tasks, and the oracle's on the same tasks, (n,) each."""
    returns, best = [], []
    for i in range(0, n_tasks, CHUNK):
        n = min(CHUNK, n_tasks - i)
        tasks = family.sample_tasks(n, "test", seeded_generator("cpu", SEED + i, 0))
        returns.append(ml.evaluate(agent, family, tasks=tasks, seed=SEED + i).per_task[:, 0])
        best.append(family.oracle(tasks))
    return np.concatenate(returns), torch.cat(best)


def exact_oracle(family: Any) -> float:
    """The oracle's expected return over the prior."""
    if family.name == "bernoulli_bandit":
        return family.horizon * family.arms / (family.arms + 1)  # the mean of the largest of k uniform numbers
    if family.name == "correlated_bandit":
        return oracle_value(family.horizon, family.low)
    return float(family.oracle(family.sample_tasks(1, "test", seeded_generator("cpu", 1)))[0])


def exact_random(family: Any) -> float:
    """Random play's expected return."""
    if family.name == "informative_bandit":
        m = family.arms - 1
        return family.horizon * ((m - 1) + 5 + (m + 1) / (2 * m)) / family.arms
    return family.horizon / 2


def row(name: str, options: dict[str, Any], reference: str, n_tasks: int) -> dict[str, Any]:
    """One measurement, with what is exact beside it."""
    family = ml.make_family(name, **options)
    agent: Any = ml.make_reference(reference, family)
    returns, best = measure(agent, family, n_tasks)
    mean, low, high = mean_interval(returns)
    lost = regret(best, returns)
    known = {"random": exact_random, "oracle": exact_oracle, "bayes_optimal": lambda _: agent.value}
    exact = known[reference](family) if reference in known else None
    return {
        "family": name, "options": json.dumps(options), "reference": reference, "tasks": n_tasks,
        "mean": f"{mean:.4f}", "low": f"{low:.4f}", "high": f"{high:.4f}",
        "regret": f"{lost.mean:.4f}", "regret_low": f"{lost.low:.4f}", "regret_high": f"{lost.high:.4f}",
        **exact_columns(family, exact),
    }  # fmt: skip


def exact_columns(family: Any, exact: float | None) -> dict[str, str]:
    """The exact return and regret, where they are known."""
    if exact is None:
        return {"exact": "", "exact_regret": ""}
    return {"exact": f"{exact:.4f}", "exact_regret": f"{exact_oracle(family) - exact:.4f}"}


def table(n_tasks: int) -> list[dict[str, Any]]:
    """One row for each family and reference."""
    rows = []
    for name, options, references in tqdm(ROWS):
        rows += [row(name, options, reference, n_tasks) for reference in references]
        if name == "bernoulli_bandit":
            family = ml.make_family(name, **options)
            solved = {"family": name, "options": json.dumps(options), "reference": "bayes_optimal", "tasks": 0}
            rows.append({**solved, **exact_columns(family, two_armed_value(family.horizon))})
    return rows


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=TASKS, help="tasks per row")
    parser.add_argument("--out", type=Path, default=RESULTS / "wang_references.csv")
    options = parser.parse_args()
    rows = table(options.tasks)
    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(options.out.read_text())


if __name__ == "__main__":
    main()
