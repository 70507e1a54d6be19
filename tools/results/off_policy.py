"""MQL against PEARL at equal environment steps, and what MQL's test-time adaptation adds: data/results/off_policy.csv.

    python tools/results/off_policy.py             # what is not there yet, five seeds; some six minutes of one core
    python tools/results/off_policy.py --seeds 1   # one of them

One continuous family: ``point_navigation`` in ten moves of up to 0.25 per axis, tolerance 0.05, three episodes a trial.
Both learners have 64 x 64 heads, 50 updates an iteration, discount 0.9, and the settings below, chosen in six short
runs (four of PEARL, two of MQL) of seed 0 on other test tasks; the seeds here are others. At each checkpoint the
learner acts six episodes of every held-out task. MQL's variants differ in what they do after the third: nothing ("no
adaptation"), steps on the new data only, on new and old data all weighed alike ("no propensity"), or as in the paper
("mql"). The size of these steps is the best of ``RATES`` on 40 *training* tasks, by the mean return of episodes 4 to 6.
Rows already in the table are kept, so that a run that was cut short goes on. ``env_steps`` is what was really acted: to
the end of the first iteration that reaches the checkpoint.
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
from metarl_lab.rollout import begin, collect, seeded_generator

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "results" / "off_policy.csv"
FAMILY = ("point_navigation", {"horizon": 10, "max_step": 0.25, "tolerance": 0.05})
SEEDS = (1, 2, 3, 4, 5)
CHECKPOINTS = (12_000, 24_000, 36_000)
EPISODES = 3  # of a trial in meta-training, and of a batch in testing
RATES = (1e-4, 3e-4, 1e-3)
CHOICE_TASKS, TEST_TASKS, EVALUATION_SEED = 40, 100, 7
COMMON = {"episodes": EPISODES, "gradient_steps": 50, "discount": 0.9, "learning_rate": 2e-3}
LEARNERS: dict[str, dict[str, Any]] = {
    "mql": {"meta_batch": 32, "batch_tasks": 32, "target_rate": 0.02, "exploration": 0.3},
    "pearl": {"meta_batch": 16, "copies": 2, "kl_weight": 1e-4, "temperature": 0.02},
}
# of mql, at test time; the first two at every checkpoint, all at the last
VARIANTS: dict[str, dict[str, Any]] = {
    "mql, no adaptation": {"new_steps": 0, "old_steps": 0},
    "mql": {},
    "mql, new data only": {"old_steps": 0},
    "mql, no propensity": {"propensity": False},
}


def episode_returns(agent: Any, family: Any, split: str, n_tasks: int) -> np.ndarray:
    """Mean return of each episode of two batches of a trial, (2 K,)."""
    tasks = family.sample_tasks(n_tasks, split, seeded_generator("cpu", EVALUATION_SEED, 0))
    trial, found = begin(agent, family, tasks), []
    for batch in range(2):
        episodes, trial = collect(
            agent, family, tasks, trial, seeded_generator("cpu", EVALUATION_SEED, 1 + batch), EPISODES
        )
        found.append(episodes.returns.mean((0, 1)))
        trial = trial._replace(memory=agent.absorb(trial.memory, episodes)) if batch == 0 else trial
    return torch.cat(found).double().numpy()


def chosen_rate(learner: Any, family: Any, config: Any) -> float:
    """The step size of adaptation that does best on training tasks."""
    tried = {}
    for rate in RATES:
        learner.config = dataclasses.replace(config, adapt_rate=rate)
        tried[rate] = episode_returns(learner, family, "train", CHOICE_TASKS)[EPISODES:].mean()
    return max(tried, key=lambda rate: float(tried[rate]))


def tested(learner: Any, family: Any, name: str, last: bool) -> list[dict[str, Any]]:
    """Every variant on held-out tasks; at the last checkpoint out of distribution too."""
    trained_with, rows = learner.config, []
    variants = VARIANTS if name == "mql" else {name: {}}
    for label, options in list(variants.items())[: None if last else 2]:
        config, rate = dataclasses.replace(trained_with, **options), float("nan")
        if name == "mql" and label != "mql, no adaptation":
            rate = chosen_rate(learner, family, config)
            config = dataclasses.replace(config, adapt_rate=rate)
        learner.config = config
        for split in ("test", "ood") if last else ("test",):
            returns = episode_returns(learner, family, split, TEST_TASKS)
            fixed = {"label": label, "split": split, "adapt_rate": rate}
            rows += [{**fixed, "episode": k + 1, "mean": round(float(x), 4)} for k, x in enumerate(returns)]
    learner.config = trained_with
    return rows


def measured(name: str, seed: int) -> list[dict[str, Any]]:
    """Meta-train one learner, tested at each checkpoint."""
    family = ml.make_family(FAMILY[0], **FAMILY[1])
    learner = ml.make_learner(name, family, seed=seed, **COMMON, **LEARNERS[name])
    cpu, env_steps, iteration, rows = 0.0, 0, 0, []
    for checkpoint in CHECKPOINTS:
        began = time.process_time()
        while env_steps < checkpoint:
            tasks = family.sample_tasks(learner.config.meta_batch, "train", seeded_generator("cpu", seed, iteration, 1))
            env_steps += int(
                learner.update(family, tasks, seeded_generator("cpu", seed, iteration, 2)).values["env_steps"]
            )
            iteration += 1
        cpu += time.process_time() - began
        fixed = {"learner": name, "seed": seed, "checkpoint": checkpoint, "env_steps": env_steps}
        fixed["cpu_seconds"] = round(cpu, 1)
        rows += [{**fixed, **row} for row in tested(learner, family, name, checkpoint == CHECKPOINTS[-1])]
        print(name, seed, env_steps, f"{cpu:.0f} s", [r["mean"] for r in rows[-6:]], flush=True)
    return rows


def anchors() -> list[dict[str, Any]]:
    """Random play and the oracle on the same tasks; seed -1."""
    family, rows = ml.make_family(FAMILY[0], **FAMILY[1]), []
    for split in ("test", "ood"):
        tasks = family.sample_tasks(TEST_TASKS, split, seeded_generator("cpu", EVALUATION_SEED, 0))
        found = {
            "random": episode_returns(ml.make_reference("random", family), family, split, TEST_TASKS).mean(),
            "oracle": family.oracle(tasks).mean().item(),
        }
        fixed = {"split": split, "seed": -1, "checkpoint": 0, "env_steps": 0, "episode": 0, "cpu_seconds": 0.0}
        rows += [{"learner": k, "label": k, "mean": round(float(x), 4), **fixed} for k, x in found.items()]
    return rows


def store(rows: list[dict[str, Any]]) -> None:
    """Add rows to the table, in a fixed order, whole or not at all."""
    table = pd.DataFrame(rows)
    if TABLE.exists():
        table = pd.concat([pd.read_csv(TABLE), table])
    columns = ["learner", "label", "seed", "checkpoint", "env_steps", "split", "episode", "mean", "adapt_rate"]
    table = table.reindex(columns=[*columns, "cpu_seconds"])
    table = table.sort_values(["split", "label", "seed", "checkpoint", "episode"])
    part = TABLE.with_suffix(".part")
    table.to_csv(part, index=False)
    part.replace(TABLE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not TABLE.exists():
        store(anchors())
    for seed in arguments.seeds:
        for name in LEARNERS:
            there = pd.read_csv(TABLE)
            if not ((there.learner == name) & (there.seed == seed)).any():
                store(measured(name, seed))


if __name__ == "__main__":
    main()
