"""Every reference at the published settings, beside the published and the exact figures.

    python tools/results/references.py bandit     # data/results/bandit_references.csv, about 2 minutes on one core
    python tools/results/references.py tabular    # data/results/tabular_references.csv, about 4 minutes
    python tools/results/references.py gridworld  # data/results/gridworld_references.csv, half a minute
    python tools/results/references.py dark_room  # data/results/dark_room_references.csv, two minutes
    python tools/results/references.py semicircle_navigation   # ..., a few seconds

The same command writes the same file on the same machine: tasks and noise follow from the seeds below. `--tasks 200`
makes a quick trial of it.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.exact.bandits import finite_gittins
from metarl_lab.exact.bernoulli_bandit import Index, index_policy_value, solve_bandit
from metarl_lab.exact.gridworld import Search, search_plan
from metarl_lab.exact.gridworld_psrl import posterior_sampling_returns
from metarl_lab.exact.planning import policy_evaluation
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.tasks.dark_room import DarkRoomTasks
from metarl_lab.tasks.gridworld import GridTasks
from metarl_lab.tasks.semicircle_navigation import SemicircleTasks

DATA = Path(__file__).resolve().parents[2] / "data"
SEED = 2016  # chunk number i of a row has seed SEED + i, whatever the reference: all see the same tasks
CHUNK = 1000  # tasks acted at once: memory stays below 1 GB
TASKS = 20_000

BANDITS = [(2, 10), (5, 10), (10, 10), (5, 100)]  # (arms, pulls)
# reference, options, column of the published table, tasks
BANDIT_ROWS: list[tuple[str, dict[str, Any], str, int]] = [
    ("random", {}, "random", TASKS),
    ("greedy", {}, "greedy", TASKS),
    ("epsilon_greedy", {"epsilon": 0.1}, "", TASKS),
    ("epsilon_greedy", {"epsilon": 0.01}, "eps_greedy", TASKS),
    ("ucb1", {"c": 1.0}, "", TASKS),
    ("ucb1", {"c": 0.2, "pseudo_counts": 1.0}, "ucb1", TASKS),
    ("thompson", {}, "ts", TASKS),
    ("optimistic_thompson", {}, "", TASKS),
    ("optimistic_thompson", {"most_likely_of": 30}, "ots", 2000),
    ("gittins", {}, "gittins", TASKS),
    ("bayes_optimal", {}, "", TASKS),
    ("value_iteration", {}, "", TASKS),
    ("oracle", {}, "", TASKS),
]
WRONG: dict[str, Any] = {"reward_prior_mean": 0.0}
RIGHT: dict[str, Any] = {"reward_prior_mean": 1.0}
TABULAR_ROWS: list[tuple[str, dict[str, Any], str, int]] = [
    ("random", {}, "random", 10_000),
    ("greedy", WRONG, "greedy", 10_000),
    ("greedy", RIGHT, "", 10_000),
    ("greedy", {**WRONG, "replan": True}, "", 5000),
    ("greedy", {**RIGHT, "replan": True}, "", 5000),
    ("epsilon_greedy", {**WRONG, "epsilon": 0.1}, "", 10_000),
    ("epsilon_greedy", {**WRONG, "epsilon": 0.01}, "eps_greedy", 10_000),
    ("epsilon_greedy", {**RIGHT, "epsilon": 0.1}, "", 10_000),
    ("psrl", WRONG, "psrl", 5000),
    ("psrl", RIGHT, "", 5000),
    ("value_iteration", {}, "v_star_mc", 10_000),
    ("oracle", {}, "v_star_mc", 10_000),
]

GRIDWORLD_ROWS = ["random", "psrl", "bayes_optimal", "value_iteration", "oracle"]


def measure(name: str, options: dict[str, Any], family: Any, episodes: int, n_tasks: int) -> np.ndarray:
    """Total reward of a trial of each of n held-out tasks, (n,)."""
    agent = ml.make_reference(name, family, **options)
    totals = [
        ml.evaluate(agent, family, n_tasks=min(CHUNK, n_tasks - i), episodes=episodes, seed=SEED + i).per_task[:, 0]
        for i in range(0, n_tasks, CHUNK)
    ]
    return episodes * np.concatenate(totals)


def exact_value(name: str, options: dict[str, Any], arms: int, pulls: int) -> float | None:
    """Expected total reward where dynamic programming or a formula gives it, else None."""
    if name == "random":
        return pulls / 2
    if name in ("value_iteration", "oracle"):
        return pulls * arms / (arms + 1)  # the mean of the largest of k uniform numbers
    if pulls > 10:
        return None  # 5 arms and 100 pulls: 4e11 states
    if name == "bayes_optimal":
        return solve_bandit(arms, pulls).value
    index: dict[str, Callable[[], Index]] = {
        "greedy": lambda: lambda s, f, left: (s + 1) / (s + f + 2),
        "gittins": lambda: gittins_index(pulls),
        "ucb1": lambda: ucb1_index(pulls, options["c"], options.get("pseudo_counts", 0.0)),
    }
    return index_policy_value(arms, pulls, index[name]()) if name in index else None


def gittins_index(pulls: int) -> Index:
    """The index as a function, from its table."""
    table = finite_gittins(pulls)
    return lambda s, f, left: table[left, s, f]


def ucb1_index(pulls: int, c: float, pseudo: float) -> Index:
    """UCB1's index as a function, in the agent's own precision: its ties must be the same."""

    def index(s: np.ndarray, f: np.ndarray, left: int) -> np.ndarray:
        n = (s + f + 2 * pseudo).astype(np.float32)
        with np.errstate(all="ignore"):
            bonus = np.float32(c) * np.sqrt(2 * np.log(np.float32(max(pulls - left, 1))) / n)
            return np.where(n > 0, (s + np.float32(pseudo)) / n + bonus, np.float32(np.inf))

    return index


def published(table: str, key: dict[str, int], column: str) -> str:
    """The published figure, or nothing."""
    with (DATA / "published" / table).open() as file:
        for row in csv.DictReader(file):
            if column and all(int(row[k]) == v for k, v in key.items()):
                return row[column]
    return ""


def figures(totals: np.ndarray) -> dict[str, str | int]:
    """Columns of a measurement: tasks, mean and its 95% interval over tasks."""
    mean, low, high = (f"{float(x):.4f}" for x in mean_interval(totals))
    return {"tasks": len(totals), "mean": mean, "low": low, "high": high}


def bandit_table(most: int) -> list[dict[str, Any]]:
    """One row for each reference and size; `most` tasks at the most."""
    rows = []
    for arms, pulls in BANDITS:
        family = ml.make_family("bernoulli_bandit", arms=arms, horizon=pulls)
        for name, options, column, n in tqdm(BANDIT_ROWS, f"{arms} arms, {pulls} pulls"):
            if name == "bayes_optimal" and pulls > 10:
                continue  # too large to solve
            exact = exact_value(name, options, arms, pulls)
            rows.append({
                "arms": arms, "pulls": pulls, "reference": name, "options": json.dumps(options),
                **figures(measure(name, options, family, 1, min(n, most))),
                "exact": "" if exact is None else f"{exact:.4f}",
                "published": published("bandits.csv", {"n": pulls, "k": arms}, column),
            })  # fmt: skip
    return rows


def tabular_table(most: int) -> list[dict[str, Any]]:
    """One row for each reference and number of episodes; `most` tasks at the most."""
    rows = []
    for episodes in (10, 25):
        family = ml.make_family("tabular_mdp", episodes=episodes)
        for name, options, column, n in tqdm(TABULAR_ROWS, f"{episodes} episodes"):
            # 25 episodes cost 2.5 times as much, and their totals vary less for their size
            n = min(n, most) if episodes == 10 else min(n // 2, most)
            rows.append({
                "episodes": episodes, "reference": name, "options": json.dumps(options),
                **figures(measure(name, options, family, episodes, n)),
                "published": published("tabular_mdp.csv", {"n": episodes}, column),
            })  # fmt: skip
    return rows


def gridworld_values(family: Any) -> dict[str, np.ndarray]:
    """Expected return of each episode of a trial (K,), of every reference."""
    search = Search(family.successor.numpy(), family.goals("test"), 0, family.horizon, family.episodes)
    tasks = GridTasks(torch.tensor(search.goals))
    transition, reward = family.model(tasks)
    evenly = torch.full((family.horizon, *reward.shape), 1 / reward.shape[-1])
    random = policy_evaluation(transition, reward, evenly)[1][0, :, 0].double().mean().item()
    told = family.oracle(tasks).double().mean().item()
    values = {name: np.full(family.episodes, v) for name, v in (("random", random), ("oracle", told))}
    values["value_iteration"] = values["oracle"]
    return values | {"psrl": posterior_sampling_returns(search), "bayes_optimal": search_plan(search).per_episode}


def gridworld_table(most: int) -> list[dict[str, Any]]:
    """References in the gridworld, each with its exact returns."""
    family: Any = ml.make_family("gridworld")
    rows = trial_table(family, GRIDWORLD_ROWS, gridworld_values(family), most)
    return [{"size": family.size, "horizon": family.horizon, **row} for row in rows]


def dark_room_table(most: int) -> list[dict[str, Any]]:
    """References in the dark room; the known goal's return is exact over all goals."""
    family: Any = ml.make_family("dark_room")
    goal = torch.arange(family.size**2)
    told = family.oracle(DarkRoomTasks(goal, torch.full_like(goal, goal.numel() // 2))).double().mean().item()
    return trial_table(family, ["random", "psrl", "oracle"], {"oracle": np.full(family.episodes, told)}, most)


def semicircle_table(most: int) -> list[dict[str, Any]]:
    """References on the sparse semicircle; the known goal's return is a mean over 100,000 goals, evenly spaced."""
    family: Any = ml.make_family("semicircle_navigation")
    angle = torch.pi * (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    goals = SemicircleTasks(torch.stack((angle.cos(), angle.sin()), 1).float())
    told = family.oracle(goals).double().mean().item()
    return trial_table(family, ["random", "oracle"], {"oracle": np.full(family.episodes, told)}, most)


def trial_table(family: Any, names: list[str], exact: dict[str, np.ndarray], most: int) -> list[dict[str, Any]]:
    """One row for each reference and episode of a trial, and one for the whole trial; `most` tasks at the most."""
    rows, episodes = [], family.spec.episodes
    for name in tqdm(names, family.name):
        agent = ml.make_reference(name, family)
        parts = [
            ml.evaluate(agent, family, n_tasks=min(CHUNK, most - i), batches=episodes, seed=SEED + i).per_task
            for i in range(0, most, CHUNK)
        ]
        each = np.concatenate(parts)  # (tasks, K): a batch is an episode
        columns = [(str(k + 1), each[:, k]) for k in range(episodes)] + [("all", each.sum(1))]
        for k, (episode, returns) in enumerate(columns):
            value = exact.get(name)
            told = "" if value is None else f"{value[k] if k < episodes else value.sum():.4f}"
            rows.append({"episode": episode, "reference": name, **figures(returns), "exact": told})
    return rows


TABLES = {
    "bandit": bandit_table, "tabular": tabular_table, "gridworld": gridworld_table, "dark_room": dark_room_table,
    "semicircle_navigation": semicircle_table,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--tasks", type=int, default=TASKS, help="at most this many tasks a row")
    parser.add_argument("--out", type=Path, default=None, help="file to write instead of the one in data/results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # sums in another order differ in their last digits
    rows = TABLES[arguments.table](arguments.tasks)
    out = arguments.out or DATA / "results" / f"{arguments.table}_references.csv"
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} rows -> {out}")


if __name__ == "__main__":
    main()
