"""Chapter 11: what its pages run and need not show. The grid and its goals, batches of play, trained starts, tables.

Shapes: T = 12 tasks, one for each goal cell; S = 16 cells, A = 5 actions; M transitions of a task. A return is of an
episode of 15 steps, undiscounted; values are discounted, and of an endless episode.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.ops.propensity import density_ratio, effective_sample_size, logistic_regression
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.ops.transitions import Rows, transition_rows
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.runs.files import find_folder
from metarl_lab.tasks.gridworld import GridTasks
from metarl_lab.teach.figures import display_name
from metarl_lab.types import Episodes

grid: Any = ml.make_family("gridworld", size=4)
goals: list[int] = grid.goals("train")  # the cell of each task's goal
tasks = GridTasks(torch.tensor(goals))  # each goal once: means over them are exact means over the prior
STATES, ACTIONS = grid.size**2, grid.spec.action_size
meta: Any = ml.make_learner("meta_q", grid, seed=0)  # fresh: acts at random before its first step


def anchors() -> dict[str, float]:
    """Return of an episode, goals alike: of random play, and of the oracle, who knows the goal."""
    random = ml.evaluate(ml.make_reference("random", grid), grid, episodes=50).mean[0]
    return {"random": float(random), "oracle": float(grid.oracle(tasks).mean())}


def random_batch(seed: int, episodes: int = 10) -> Rows:
    """The transitions of some episodes of random play in every task, (T, M, ...) with M = 15 episodes."""
    acted, _ = collect(meta, grid, tasks, begin(meta, grid, tasks, episodes), seeded_generator("cpu", seed, 11))
    return transition_rows(acted, acted.reward)


def greedy_return(q: Tensor) -> Tensor:
    """The return of an episode of always the best action by q (T, S, A), in each task: (T,)."""
    reward = grid.model(tasks)[1]
    task = torch.arange(len(goals))
    cell, total = torch.zeros(len(goals), dtype=torch.int64), torch.zeros(len(goals))
    for _ in range(grid.horizon):
        action = q[task, cell].argmax(-1)
        total, cell = total + reward[task, cell, action], grid.successor[cell, action]
    return total


# --- trained starts ---------------------------------------------------------------------------------------------------

FORMS = {"meta_q": "maml", "shared": "shared"}  # name in the book -> the package's option `form`
FRESH = "a fresh network"


def train_both(seeds: int, rounds: int) -> dict[str, np.ndarray]:
    """Train the meta-learned start and the shared Q, from some seeds, for `rounds` iterations of 8 tasks each.

    Returns {"maml 0": weights and log rates, in one row of numbers, ...}.
    """
    found = {}
    for form in FORMS.values():
        for seed in tqdm(range(seeds)):
            learner: Any = ml.make_learner("meta_q", grid, seed=seed, form=form)
            ml.train(learner, grid, rounds, seed=seed, device="cpu")
            vector = torch.cat([parameters_to_vector(learner.net.parameters()), learner.log_rates])
            found[f"{form} {seed}"] = vector.detach().numpy()
    return found


def learners_of(stored: Mapping[str, np.ndarray]) -> dict[tuple[str, int], Any]:
    """{(name, seed): learner} of what `train_both` gave, and as many fresh networks as there are seeds.

    The step sizes of a meta-learned start were learned with it. The others get the best of three, by the return after
    the steps on *training* tasks.
    """
    found: dict[tuple[str, int], Any] = {}
    for name, form in FORMS.items():
        for key, vector in stored.items():
            if key.startswith(form):
                found[name, int(key.split()[1])] = restored(form, vector)
    for _, seed in [key for key in found if key[0] == "shared"]:
        found[FRESH, seed] = ml.make_learner("meta_q", grid, seed=seed, form="shared")
    for (name, _), learner in found.items():
        if name != "meta_q":
            after = {}
            for rate in (0.1, 0.5, 2.0):
                learner.log_rates.fill_(np.log(rate))
                after[rate] = two_batches(learner, "train", seed=2)[1]
            learner.log_rates.fill_(np.log(max(after, key=lambda rate: after[rate])))
    return found


def restored(form: str, vector: np.ndarray) -> Any:
    """The learner whose weights and log rates `train_both` put in one row."""
    learner: Any = ml.make_learner("meta_q", grid, form=form)
    own, numbers = list(learner.net.parameters()), torch.as_tensor(vector, dtype=torch.float32)
    vector_to_parameters(numbers[: -len(own)], own)
    learner.log_rates.data.copy_(numbers[-len(own) :])
    return learner


def two_batches(
    learner: Any, split: str = "test", seed: int = 1, explore: float = 1.0, episodes: int = 10
) -> np.ndarray:
    """Mean return over 60 tasks of a first batch of episodes, and of a second, after the steps on the first: (2,).

    `explore` is the share of random actions in the first batch.
    """
    learner.config = dataclasses.replace(learner.config, explore_first=explore)
    played = ml.evaluate(learner, grid, split, n_tasks=60, episodes=episodes, batches=2, seed=seed)
    learner.config = dataclasses.replace(learner.config, explore_first=1.0)
    return played.mean


def after_the_steps(learners: Mapping[tuple[str, int], Any], episodes: int = 10) -> pd.DataFrame:
    """Return after five steps on one random batch of `episodes` episodes: a row a seed, a column a start."""
    after = {key: two_batches(learner, episodes=episodes)[1] for key, learner in learners.items()}
    return pd.Series(after).rename_axis(["learner", "seed"]).unstack("learner")[[*FORMS, FRESH]]


def by_share(learners: Mapping[tuple[str, int], Any], shares: Sequence[float]) -> pd.DataFrame:
    """Of each meta-learned start and share of random actions in the first batch: the returns of both batches."""
    rows = {}
    for (name, seed), learner in learners.items():
        if name == "meta_q":
            for share in shares:
                first, second = two_batches(learner, explore=share)
                rows[seed, share] = {"first batch": first, "second batch": second}
    return pd.DataFrame(rows).T.rename_axis(["seed", "share"])


# --- backups, one by one ----------------------------------------------------------------------------------------------


def values_of(weights: Any) -> Tensor:
    """Q of every cell and action by a network of each task: (T, S, A)."""
    return meta.net.values(weights, torch.eye(STATES).expand(len(goals), -1, -1))


def course(learner: Any, rows: Rows, steps: int = 8) -> Tensor:
    """Q after 0, 1, ... `steps` Q-learning steps on each task's rows, (T, steps + 1, S, A)."""
    trained_for, found = learner.config.inner_steps, []
    for n in range(steps + 1):
        learner.config = dataclasses.replace(learner.config, inner_steps=n)
        found.append(values_of(learner.adapted(learner.begin(len(goals), 1).weights, rows, graph=False)).detach())
    learner.config = dataclasses.replace(learner.config, inner_steps=trained_for)
    return torch.stack(found, 1)


def earned_along(courses: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Return of greedy play by each table on the way: {name: (T, steps + 1)}."""
    return {k: torch.stack([greedy_return(x) for x in q.unbind(1)], 1).numpy() for k, q in courses.items()}


def who_arrives(courses: Mapping[int, Mapping[str, Tensor]], steps: int = 5) -> pd.DataFrame:
    """A row for each seed, start and goal: how many moves away it is, and whether play reaches it after the steps.

    `courses` holds for each seed what `course` gives of each start. An episode that never reaches its goal earns -0.1
    at each step.
    """
    rows = {}
    for seed, by_start in courses.items():
        for start, earned in earned_along(by_start).items():
            for goal, value in zip(goals, earned[:, steps], strict=True):
                reached = bool(value > -0.1 * grid.horizon + 0.05)
                rows[seed, start, goal] = {"moves": sum(divmod(goal, grid.size)), "reached": reached}
    return pd.DataFrame(rows).T.rename_axis(["seed", "start", "goal"]).infer_objects()


# --- propensity, and the stored runs of MQL ---------------------------------------------------------------------------


def shares_of_gaussians(distances: Sequence[float]) -> pd.DataFrame:
    """What share of 20,000 draws of one Gaussian counts for another, some way apart: by regression, and exactly."""
    draws = torch.Generator().manual_seed(0)
    old = torch.randn(20_000, 1, generator=draws)
    rows = {}
    for apart in distances:
        new = torch.randn(1, 20_000, 1, generator=draws) + apart
        weights = logistic_regression(new, torch.ones(1, 20_000, dtype=torch.bool), old, ridge=1e-4)
        share = effective_sample_size(density_ratio(weights, old, clip=1e9)).item()
        rows[apart] = {"estimated": share, "exact": float(np.exp(-(apart**2)))}
    return pd.DataFrame(rows).T.rename_axis("apart")


VARIANTS = {
    "mql": "MQL",
    "mql, new data only": "MQL, new data only",
    "mql, no propensity": "MQL, no propensity",
    "mql, no adaptation": "MQL, no adaptation",
    "pearl": display_name("pearl"),
}


def off_policy() -> tuple[pd.DataFrame, dict[str, float]]:
    """Mean return of episodes 4 to 6 on held-out tasks, a row a seed, and what random play and the oracle earn."""
    stored = pd.read_csv(find_folder("data/results") / "off_policy.csv")
    held_out = stored[stored.split == "test"]
    last = held_out[(held_out.checkpoint == held_out.checkpoint.max()) & (held_out.episode > 3)]
    per_seed = last.groupby(["seed", "label"])["mean"].mean().unstack().rename(columns=VARIANTS)[[*VARIANTS.values()]]
    lines = held_out[held_out.seed == -1].set_index("label")["mean"]
    return per_seed.rename_axis(columns=None), {name: float(lines[name]) for name in ("random", "oracle")}


def with_interval(by_seed: pd.DataFrame) -> pd.DataFrame:
    """A row for each column of a table of seeds: mean, and 95% interval over seeds (low, high)."""
    mean, low, high = mean_interval(by_seed.to_numpy())
    return pd.DataFrame({"mean": mean, "low": low, "high": high}, index=by_seed.columns)


# --- break it ---------------------------------------------------------------------------------------------------------


def rows_of_random_play(horizon: int, done: Callable[[Episodes], Tensor]) -> Rows:
    """2,000 random episodes of `horizon` steps towards the first goal; `done` says after which steps nothing follows.

    Rows (1, M, ...).
    """
    world, near = dataclasses.replace(grid, horizon=horizon), GridTasks(torch.tensor(goals[:1]))
    acted, _ = collect(meta, world, near, begin(meta, world, near, 2000), seeded_generator("cpu", 5, 1))
    rows = transition_rows(acted, acted.reward)
    rows["terminated"] = done(acted).flatten(1, 3)
    return rows
