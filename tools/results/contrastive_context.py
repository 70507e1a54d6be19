"""PEARL's encoder trained by the critic's error or by a contrast: data/results/contrastive_context.csv.

    python tools/results/contrastive_context.py                    # what is not there yet, three seeds

Same family, env steps, networks and seeds; only ``encoder_learns`` differs. At each stop: return of the first episode
of a trial (ten pulls of five arms, z from the prior) and of the second, on 400 held-out tasks; and how much of the
arms' probabilities a linear probe reads off the posterior's mean given ten *random* pulls (R^2, mean over arms; fitted
on 800 training tasks, read on the held-out ones). Stop 0 is the untrained agent.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.set_encoder import encode_transition
from metarl_lab.ops.probe import fit_probe, r_squared
from metarl_lab.ops.transitions import transition_rows
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.base import TaskFamily

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "results" / "contrastive_context.csv"
LABELS, SEEDS, STOPS = ("critic", "contrast"), (0, 1, 2), (0, 10, 20, 40)
FAMILY: dict[str, Any] = {"arms": 5, "horizon": 10}
LEARNER: dict[str, Any] = {"episodes": 2, "gradient_steps": 40, "discount": 0.5}


@torch.no_grad()
def read_from_random_play(learner: MetaLearner, family: TaskFamily, tasks: Any) -> Tensor:
    """The posterior's mean, (T, Z), given ten random pulls: what the encoder tells, however the agent explores."""
    random = ml.make_reference("random", family)
    episodes, _ = collect(random, family, tasks, begin(random, family, tasks), seeded_generator("cpu", 17, 2))
    rows = transition_rows(episodes, episodes.reward)
    columns = (rows[key] for key in ("observation", "action", "reward", "after", "followed"))
    return learner.encoder(encode_transition(family.spec, *columns), rows["mask"]).mean


def measured(learner: MetaLearner, family: TaskFamily) -> dict[str, float]:
    """Returns of both episodes on held-out tasks, and what a linear probe reads of their arms."""
    known, tasks = (
        family.sample_tasks(n, k, seeded_generator("cpu", 17, 1)) for n, k in ((800, "train"), (400, "test"))
    )
    played = ml.evaluate(learner, family, tasks=tasks, batches=2, seed=1).mean
    probe = fit_probe(read_from_random_play(learner, family, known), known.mean)
    share = r_squared(tasks.mean, probe.read(read_from_random_play(learner, family, tasks)).float()).mean().item()
    return {"first": round(float(played[0]), 3), "second": round(float(played[1]), 3), "probe": round(share, 4)}


def rows_of(label: str, seed: int) -> list[dict[str, Any]]:
    """Train one agent and measure it at each stop."""
    family = ml.make_family("bernoulli_bandit", **FAMILY)
    learner = ml.make_learner("pearl", family, seed=seed, encoder_learns=label, **LEARNER)
    rows, spent, steps = [], 0.0, 0
    for i in range(max(STOPS) + 1):
        if i in STOPS:
            fixed = {"label": label, "seed": seed, "iteration": i, "env_steps": steps, "cpu_seconds": round(spent, 1)}
            rows.append(fixed | measured(learner, family))
            print(rows[-1], flush=True)
        began = time.process_time()
        tasks = family.sample_tasks(learner.config.meta_batch, "train", seeded_generator("cpu", seed, i, 0))
        steps += int(learner.update(family, tasks, seeded_generator("cpu", seed, i, 1)).values["env_steps"])
        spent += time.process_time() - began
    return rows


def anchors() -> list[dict[str, Any]]:
    """Random play and the oracle; seed -1."""
    family = ml.make_family("bernoulli_bandit", **FAMILY)
    tasks = family.sample_tasks(400, "test", seeded_generator("cpu", 17, 1))
    random = ml.evaluate(ml.make_reference("random", family), family, tasks=tasks, episodes=20).mean[0]
    oracle = family.oracle(tasks)
    assert oracle is not None
    found = {"random": float(random), "oracle": oracle.mean().item()}
    return [{"label": k, "seed": -1, "first": round(x, 3), "second": round(x, 3)} for k, x in found.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(anchors())
    for seed in arguments.seeds:
        for label in LABELS:
            if not ((table.label == label) & (table.seed == seed)).any():
                table = pd.concat([table, pd.DataFrame(rows_of(label, seed))])
                part = TABLE.with_suffix(".part")
                table.sort_values(["seed", "label"], kind="stable").to_csv(part, index=False)
                part.replace(TABLE)


if __name__ == "__main__":
    main()
