"""Does choosing tasks help? MAML under five ways to choose them: data/results/task_selection.csv.

    python tools/results/task_selection.py                          # what is not there yet: some 6 minutes of one core
    python tools/results/task_selection.py --seeds 10 --studies "uneven, plain"

One learner and one budget a study, ten seeds; only the sampler differs.

- ``uneven, plain``: ``uneven_navigation``, where three goals of four are out of reach and their trials teach nothing;
  outer step by Adam (``plain``), six tasks an iteration. Measured on held-out goals within reach (the return under
  p(task) is a quarter of it), on easy goals apart, and for what the predictor says of impossible ones. The anchor
  "uniform, reachable only" trains on a prior without the impossible goals: what it is worth to know them.
- ``point``: ``point_navigation`` with 20 steps, TRPO, eight tasks. Every goal is in reach and pays densely: no task
  is wasted, there is little to gain by choosing and something to lose: training tasks are not those of the test.

Thresholds were set before these runs, from shorter ones with seeds 0 and 1: a return after one inner step of 1.1 on
reachable goals (staying put 0.5, oracle 3.2) and of -3.6 in ``point`` (staying put -7.6, oracle -0.5). Env steps to a
threshold are those of the first evaluation that meets it. The settings too were chosen after first runs: with TRPO's
outer step and four or twelve tasks an iteration, every way to choose had learned all it would within some 30
iterations, and none was clearly better than another.

Calibration of the predictor: its prediction for held-out goals against the gain that 10 episodes before and after then
realise (what it is trained to predict) and against the mean over 20 (``true``).

The table is long: one row a study, sampler, seed, iteration and quantity. Rows there are kept.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.learners.base import MetaLearner
from metarl_lab.rollout import seeded_generator
from metarl_lab.samplers.base import TaskSampler
from metarl_lab.samplers.predicted_gain import PredictedGain
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.tasks.uneven_navigation import KINDS
from metarl_lab.types import map_tensors

TABLE = Path(__file__).resolve().parents[2] / "data" / "results" / "task_selection.csv"
SEEDS = tuple(range(10, 20))
EPISODES = 10
Z90 = 1.6448536  # half width of a normal 90% interval, in standard deviations


class Study(NamedTuple):
    """A family, a learner and a budget."""

    family: str
    options: dict[str, Any]
    learner: dict[str, Any]
    iterations: int
    every: int  # iterations between evaluations
    samplers: tuple[str, ...]


_SIZE = {"episodes": EPISODES, "hidden": (32, 32)}
_PLAIN = {"outer": "plain", "learning_rate": 3e-3}
_THREE = ("uniform", "level_replay", "predicted_gain")
_FIVE = (*_THREE, "uniform, reachable only", "predicted_gain, progress")
STUDIES = {
    "uneven, plain": Study("uneven_navigation", {}, {"meta_batch": 6, **_SIZE, **_PLAIN}, 120, 10, _FIVE),
    "point": Study("point_navigation", {"horizon": 20}, {"meta_batch": 8, **_SIZE}, 40, 5, _THREE),
}
# label: the sampler, its options, the family's other options
SAMPLERS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "uniform": ("uniform", {}, {}),
    "level_replay": ("level_replay", {"start": 24}, {}),
    "predicted_gain": ("predicted_gain", {"start": 24}, {}),
    "predicted_gain, progress": ("predicted_gain", {"start": 24, "signal": "progress"}, {}),
    "uniform, reachable only": ("uniform", {}, {"impossible": 0.0}),
}


def test_tasks(family: TaskFamily, split: str, n: int, kinds: tuple[int, ...]) -> Tasks:
    """n held-out tasks, of these kinds where the family has kinds, spread evenly over the distances that they have."""
    tasks = family.sample_tasks(40 * n, split, seeded_generator("cpu", 23, 1))
    if hasattr(family, "kind"):
        tasks = map_tensors(lambda x: x[torch.isin(family.kind(tasks), torch.tensor(kinds))], tasks)
    order = tasks.goal.norm(dim=1).argsort()
    chosen = order[((torch.arange(n) + 0.5) / n * len(order)).long()]
    return map_tensors(lambda x: x[chosen], tasks)


def sets_of(family: TaskFamily) -> dict[str, Tasks]:
    """What every agent is measured on, by name."""
    if not hasattr(family, "kind"):
        return {"test": test_tasks(family, "test", 120, ())}
    return {
        "test": test_tasks(family, "test", 120, (0, 1)),  # within reach
        "easy": test_tasks(family, "ood", 60, (0,)),
        "impossible": test_tasks(family, "test", 40, (2,)),
    }


class Watched(TaskSampler):
    """A sampler, and a note of the tasks it drew."""

    def __init__(self, sampler: TaskSampler) -> None:
        super().__init__(sampler.config)
        self.sampler, self.drawn = sampler, []

    def sample(self, family: TaskFamily, n: int, generator: torch.Generator) -> Tasks:
        self.drawn.append(self.sampler.sample(family, n, generator))
        return self.drawn[-1]

    def observe(self, tasks: Tasks, scores: Tensor) -> None:
        self.sampler.observe(tasks, scores)

    def state(self) -> dict[str, Tensor]:
        return self.sampler.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        self.sampler.load_state(state)


def scores(learner: MetaLearner, family: TaskFamily, tasks: Tasks, seed: int, episodes: int = EPISODES) -> np.ndarray:
    return ml.evaluate(learner, family, tasks=tasks, episodes=episodes, batches=2, seed=seed).per_task


def calibration(
    sampler: PredictedGain, learner: MetaLearner, family: TaskFamily, sets: dict[str, Tasks], seed: int
) -> dict[str, float]:
    """How well the predictor knows the gain on held-out tasks."""
    found = {}
    for name in sets.keys() & {"test", "impossible"}:
        now = sampler.predict(sets[name])
        gain, std = now.gain.double().numpy(), now.std.double().numpy()
        once = np.diff(scores(learner, family, sets[name], 2000 + seed))[:, 0]
        true = np.diff(scores(learner, family, sets[name], 3000 + seed, 20))[:, 0]
        found |= {
            f"{name}_coverage90": float((abs(once - gain) <= Z90 * std).mean()),
            f"{name}_error": float(abs(true - gain).mean()),
            f"{name}_spread": float(abs(true - true.mean()).mean()),  # the error of a constant that knows the mean
            f"{name}_bias": float((gain - true).mean()),
        }
        if true.std() > 0:
            found[f"{name}_correlation"] = float(np.corrcoef(gain, true)[0, 1])
    return found


def measured(name: str, label: str, seed: int) -> list[dict[str, Any]]:
    """One run: train, and measure as it goes."""
    study = STUDIES[name]
    sampler_name, options, other = SAMPLERS[label]
    trained_on = ml.make_family(study.family, **study.options, **other)
    family = ml.make_family(study.family, **study.options)
    sets = sets_of(family)
    learner = ml.make_learner("maml", family, seed=seed, **study.learner)
    sampler = Watched(ml.make_sampler(sampler_name, **options))
    rows, env_steps, seconds = [], 0, 0.0
    for iteration in range(0, study.iterations + 1, study.every):
        if iteration:
            start, sampler.drawn = time.process_time(), []
            fixed: dict[str, Any] = {"seed": 1000 * seed + iteration, "device": "cpu", "progress": False}
            env_steps += ml.train(learner, trained_on, study.every, sampler=sampler, **fixed).env_steps
            seconds += time.process_time() - start
        found = {"cpu_seconds": seconds}
        for which in sets.keys() - {"impossible"}:
            both = scores(learner, family, sets[which], 1 + seed).mean(0)
            found |= {f"{which}_before": both[0], f"{which}_after": both[1]}
        if iteration:
            found |= shares(family, sampler.drawn)
        if isinstance(sampler.sampler, PredictedGain) and iteration and 4 * iteration % study.iterations == 0:
            found |= calibration(sampler.sampler, learner, family, sets, seed)
        about = {"study": name, "sampler": label, "seed": seed, "iteration": iteration, "env_steps": env_steps}
        rows += [{**about, "quantity": key, "value": round(float(x), 4)} for key, x in sorted(found.items())]
    return rows


def shares(family: TaskFamily, drawn: list[Tasks]) -> dict[str, float]:
    """Mean distance of the goals trained on, and of which kinds they were."""
    goals = torch.cat([tasks.goal for tasks in drawn])
    found = {"distance": goals.norm(dim=1).mean().item()}
    if hasattr(family, "kind"):
        kind = family.kind(drawn[0]._replace(goal=goals))
        found |= {f"share_{k}": (kind == i).float().mean().item() for i, k in enumerate(KINDS)}
    return found


def anchors(name: str) -> list[dict[str, Any]]:
    """Random play, staying at the start, and the oracle, on the same tasks; seed -1."""
    family = ml.make_family(STUDIES[name].family, **STUDIES[name].options)
    rows = []
    for which, tasks in sets_of(family).items():
        random = ml.evaluate(ml.make_reference("random", family), family, tasks=tasks, episodes=40).mean[0]
        state = family.reset(tasks, torch.zeros(len(tasks.goal), 1, 0))
        _, reward, _ = family.step(tasks, state, torch.zeros(len(tasks.goal), 1, 2), torch.zeros(len(tasks.goal), 1, 0))
        best = family.oracle(tasks)
        assert best is not None
        for label, value in (
            ("random", random),
            ("stay", reward.mean().item() * family.spec.horizon),
            ("oracle", best.mean().item()),
        ):
            fixed = {"study": name, "sampler": label, "seed": -1, "iteration": 0, "env_steps": 0}
            rows.append({**fixed, "quantity": f"{which}_after", "value": round(float(value), 4)})
    return rows


def store(rows: list[dict[str, Any]]) -> None:
    """Add rows to the table, whole or not at all."""
    table = pd.DataFrame(rows)
    if TABLE.exists():
        table = pd.concat([pd.read_csv(TABLE), table])
    part = TABLE.with_suffix(".part")
    table.sort_values(["study", "sampler", "seed", "iteration", "quantity"]).to_csv(part, index=False)
    part.replace(TABLE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    parser.add_argument("--samplers", nargs="*", choices=list(SAMPLERS), default=list(SAMPLERS))
    parser.add_argument("--studies", nargs="*", choices=list(STUDIES), default=list(STUDIES))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    done = set()
    if TABLE.exists():
        done = set(pd.read_csv(TABLE)[["study", "sampler", "seed"]].itertuples(index=False, name=None))
    for name in chosen.studies:
        if (name, "oracle", -1) not in done:
            store(anchors(name))
        for seed in chosen.seeds:
            for label in STUDIES[name].samplers:
                if label in chosen.samplers and (name, label, seed) not in done:
                    store(measured(name, label, seed))
                    print(name, label, seed, flush=True)


if __name__ == "__main__":
    main()
