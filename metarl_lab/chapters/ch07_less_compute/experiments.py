"""What chapter 07 measures: learners of one budget of arithmetic, their return against three kinds of cost.

The table `data/results/07_budget.csv` was made by `budget_table`; the chapter reads it at the speeds peek and quick,
and makes it anew at full.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

import metarl_lab as ml
from metarl_lab.learners.base import MetaLearner
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import seeded_generator
from metarl_lab.runs.files import find_folder
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.teach.figures import display_name
from metarl_lab.teach.speed import MOST, most_iterations
from metarl_lab.types import Metrics

PLAIN = {"outer": "plain", "learning_rate": 0.003}  # one Adam step an iteration
LEARNERS: dict[str, tuple[str, dict[str, Any]]] = {  # what the book calls it -> name in the catalog, options
    "MAML": ("maml", PLAIN),
    "first-order MAML": ("maml", PLAIN | {"first_order": True}),
    "Reptile": ("reptile", {}),
    "ANIL": ("anil", PLAIN),
    "CAVIA": ("cavia", PLAIN),
    "Meta-SGD": ("meta_sgd", PLAIN),
    "fine-tuning": ("finetune", PLAIN),
}
INNER_STEP = {"point_navigation": 0.5, "tabular_mdp": 2.0}  # step size; some learners have their own:
OWN_STEP = {("point_navigation", "CAVIA"): 5.0, ("tabular_mdp", "CAVIA"): 10.0, ("point_navigation", "Reptile"): 0.25}

SEEDS = 3
ITERATIONS = 60  # of MAML; the others make as many as its arithmetic buys
STOPS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)  # of its iterations, where a learner is scored
TABLE = "07_budget"
COSTS = {"env_steps": "env steps", "flops": "GFLOPs", "cpu_seconds": "CPU seconds"}

Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # mean, low, high


def families() -> dict[str, TaskFamily]:
    """The two small families of the chapter: walks of 20 moves, and random MDPs of 5 states and 3 actions."""
    return {
        "point_navigation": ml.make_family("point_navigation", horizon=20),
        "tabular_mdp": ml.make_family("tabular_mdp", states=5, actions=3),
    }


def make(label: str, family: TaskFamily, seed: int = 0) -> MetaLearner:
    """A learner of `LEARNERS`, untrained, with the inner step size of this family."""
    name, options = LEARNERS[label]
    size = OWN_STEP.get((family.name, label), INNER_STEP[family.name])
    learner: MetaLearner = ml.make_learner(name, family, seed, inner_step=size, later_inner_step=size, **options)
    return learner


def one_update(learner: MetaLearner, family: TaskFamily, seed: int, iteration: int) -> Metrics:
    """One meta-training iteration, on tasks and noise that (seed, iteration) fix."""
    n_tasks = learner.config.meta_batch
    tasks = family.sample_tasks(n_tasks, "train", seeded_generator("cpu", seed, iteration, 0))
    return learner.update(family, tasks, seeded_generator("cpu", seed, iteration, 1))


def cpu_seconds(program: Callable[[], Any], repeats: int = 4) -> float:
    """CPU time of a call, the least of some: other programs can only add to it."""
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        program()
        taken.append(time.process_time() - began)
    return min(taken)


def own_numbers(label: str, family: TaskFamily) -> int:
    """How many numbers the learner keeps for each task: what an inner step moves."""
    learner: Any = make(label, family)
    parameters = learner.begin(1, 1).parameters
    if label == "ANIL":  # the rest is shared
        parameters = {name: parameters[name] for name in learner.network.head}
    if label == "CAVIA":
        parameters = {"context": parameters["context"]}
    return sum(p.numel() for p in parameters.values())


def bill(flops: Mapping[str, Mapping[str, float]], share: pd.Series) -> pd.DataFrame:
    """The arithmetic of one update, a row a learner, and what it keeps for a task on the first of the families.

    flops : {family: {learner: FLOPs}}; share : learner -> its part of MAML's.
    """
    first = next(iter(families().values()))
    table = (pd.DataFrame(flops) / 1e9).round(2).add_prefix("GFLOPs, ")
    table["of MAML's, %"] = (100 * share).round().astype(int)
    table["numbers of a task's own"] = [own_numbers(label, first) for label in table.index]
    return table


def anchors(family: TaskFamily) -> dict[str, float]:
    """Return per episode of random play and of the oracle, on the 40 test tasks of the table."""
    tasks = family.sample_tasks(40, "test", seeded_generator("cpu", 1, 0))
    play = ml.evaluate(ml.make_reference("random", family), family, tasks=tasks, episodes=100)
    best = family.oracle(tasks)
    assert best is not None, "both families of the chapter know their oracle"
    return {"random": float(play.mean[0]), "oracle": best.mean().item()}


# --- the table --------------------------------------------------------------------------------------------------------


def with_inner_step(learner: MetaLearner, size: float) -> MetaLearner:
    """The same learner, its inner steps of this size."""
    learner.config = dataclasses.replace(learner.config, inner_step=size, later_inner_step=size)
    return learner


def measure(learner: MetaLearner, family: TaskFamily) -> tuple[float, np.ndarray]:
    """The best of five step sizes on 20 training tasks, and with it the return per episode on 40 test tasks.

    Returns
    -------
    size, and returns (2,) before and after one inner step from 20 episodes.
    """
    trained, tried = learner.config.inner_step, {}
    for size in trained * np.array([0.25, 0.5, 1.0, 2.0, 4.0]):
        curve = ml.evaluate(with_inner_step(learner, size), family, "train", 20, episodes=20, batches=2, seed=7)
        tried[size] = curve.mean[1]
    best = max(tried, key=lambda size: tried[size])
    curve = ml.evaluate(with_inner_step(learner, best), family, n_tasks=40, episodes=20, batches=2)
    with_inner_step(learner, trained)
    return best, curve.mean


def budget_run(
    label: str, family: TaskFamily, flops: float, seed: int, iterations: int, stops: Sequence[float] = STOPS
) -> list[dict[str, Any]]:
    """Train one learner and score it at some stops; a row for each stop and each batch of a trial.

    flops : of one update, which PyTorch counted once.
    """
    learner, steps, spent = make(label, family, seed), 0, 0.0
    rows: list[dict[str, Any]] = []
    scored_at = set((iterations * np.array(stops)).round().astype(int).tolist())
    for i in tqdm(range(iterations + 1), desc=label, leave=False):
        if i in scored_at:
            size, returns = measure(learner, family)
            for batch, mean in enumerate(returns):
                rows.append(
                    {
                        "learner": learner.name,
                        "label": label,
                        "family": family.name,
                        "seed": seed,
                        "iteration": i,
                        "batch": batch,
                        "mean": mean.round(4),
                        "env_steps": steps,
                        "flops": i * flops,
                        "cpu_seconds": round(spent, 3),
                        "test_step_size": size,
                    }
                )
        began = time.process_time()
        steps += int(one_update(learner, family, seed, i).values["env_steps"])
        spent += time.process_time() - began
    return rows


def sweep(flops: Mapping[str, Mapping[str, float]], iterations: int, seeds: int = SEEDS) -> pd.DataFrame:
    """Every learner on every family, with the arithmetic of so many MAML iterations; flops {family: {label: n}}."""
    rows = []
    for name, family in families().items():
        for label in LEARNERS:
            updates = round(iterations * flops[name]["MAML"] / flops[name][label])
            for seed in range(seeds):
                rows += budget_run(label, family, flops[name][label], seed, updates)
    return pd.DataFrame(rows)


def budget_table(live: Callable[[], pd.DataFrame] | None) -> pd.DataFrame:
    """The table of all runs after one inner step, its costs named as the chapter names them.

    live : makes the table anew (full speed), which METARL_STORE=07_budget then keeps; None: read the stored one.
    """
    file = find_folder("data/results") / f"{TABLE}.csv"
    if live is None:
        table = pd.read_csv(file)
    else:
        table = live()
        if os.environ.get("METARL_STORE") == TABLE:
            if most_iterations() is not None:
                raise ValueError(f"{MOST} cuts training short, and METARL_STORE would store that; unset one")
            table.to_csv(file, index=False)
    table = table[table["batch"] == 1].rename(columns=COSTS)
    table["GFLOPs"] = table["GFLOPs"] / 1e9
    table["label"] = table["label"].replace({"first order": "first-order MAML"})  # its name when the table was stored
    return table.reset_index(drop=True)


# --- read off the table -----------------------------------------------------------------------------------------------


def of_each_seed(table: pd.DataFrame, family: str, label: str, cost: str) -> tuple[np.ndarray, np.ndarray]:
    """Cost and return at each stop, both (seeds, stops)."""
    rows = table[(table["family"] == family) & (table["label"] == label)].sort_values(["seed", "iteration"])
    seeds = rows["seed"].nunique()
    return rows[cost].to_numpy().reshape(seeds, -1), rows["mean"].to_numpy().reshape(seeds, -1)


def cost_curve(table: pd.DataFrame, family: str, label: str, cost: str) -> tuple[np.ndarray, Band]:
    """Mean cost (stops - 1,), and mean, low, high of the return over seeds; without the first stop, which is free."""
    spent, returns = of_each_seed(table, family, label, cost)
    mean, low, high = mean_interval(returns)
    return spent.mean(0)[1:], (mean[1:], low[1:], high[1:])


def cost_curves(table: pd.DataFrame, family: str) -> dict[str, dict[str, tuple[np.ndarray, Band]]]:
    """{kind of cost: {learner: its `cost_curve`}}."""
    return {cost: {label: cost_curve(table, family, label, cost) for label in LEARNERS} for cost in COSTS.values()}


def whole_run(table: pd.DataFrame, family: str, label: str) -> dict[str, float]:
    """{kind of cost: what this learner's whole run cost}, mean over seeds."""
    return {cost: float(cost_curve(table, family, label, cost)[0][-1]) for cost in COSTS.values()}


def at_budget(table: pd.DataFrame, family: str, cost: str, amount: float) -> dict[str, np.ndarray]:
    """{learner: return of each seed (seeds,)} for so much cost, on the line between its two nearest stops."""
    found = {}
    for label in LEARNERS:
        spent, returns = of_each_seed(table, family, label, cost)
        found[label] = np.array([np.interp(amount, x, y) for x, y in zip(spent, returns, strict=True)])
    return found


def price(table: pd.DataFrame, family: str, label: str, cost: str, target: float) -> float:
    """What it costs until the mean over seeds first reaches a return; NaN if it never does."""
    x, (mean, _, _) = cost_curve(table, family, label, cost)
    hit = int(np.argmax(mean >= target))
    if mean[hit] < target:
        return float("nan")
    before = max(hit - 1, 0)
    return float(np.interp(target, mean[[before, hit]], x[[before, hit]]))


def prices(table: pd.DataFrame, targets: Mapping[str, float]) -> pd.DataFrame:
    """`price` of every learner, a row each, and a column for each (family and its target, kind of cost)."""
    columns = {
        (f"{family}: {target}", cost): {label: price(table, family, label, cost, target) for label in LEARNERS}
        for family, target in targets.items()
        for cost in COSTS.values()
    }
    return pd.DataFrame(columns).rename_axis("learner")


def price_in_words(price: float) -> str:
    """`never` for NaN, three digits below a hundred, else whole with commas."""
    if np.isnan(price):
        return "never"
    return f"{price:,.3g}" if price < 100 else f"{price:,.0f}"


def ends(table: pd.DataFrame) -> pd.DataFrame:
    """Return of each seed at the end of its run, at its best stop and before training; a row a run."""
    runs = table.sort_values("iteration", kind="stable").groupby(["family", "label", "seed"], sort=False)["mean"]
    found = pd.DataFrame({"untrained": runs.first(), "best": runs.max(), "end": runs.last()})
    return found.reset_index().rename(columns={"label": "learner"})


def mean_with_interval(values: np.ndarray) -> str:
    """`-3.3 [-3.5, -3.1]`, or the number alone where there is one; values (seeds,)."""
    if len(values) < 2:
        return f"{values[0]:.1f}"
    mean, low, high = mean_interval(np.asarray(values))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


# --- everybody, on four families --------------------------------------------------------------------------------------

NAMES = {  # in the stored table -> in the book, where that is not a learner's own name
    "maml, first order": "first-order MAML",
    "maml, dice": "MAML, DiCE",
    "maml, ppo": "MAML, outer PPO",
}


def everybody() -> pd.DataFrame:
    """Return per episode after one inner step of every gradient-based learner: family, learner, seed, return.

    From `data/results/gradient_family.csv`; the anchors, which take no step, have seed -1.
    """
    table = pd.read_csv(find_folder("data/results") / "gradient_family.csv")
    one = table[(table["batch"] == 1) | table["label"].isin(["random", "oracle"])]
    found = one[["family", "label", "seed", "mean"]].rename(columns={"label": "learner", "mean": "return"})
    found["learner"] = [NAMES.get(name) or display_name(name) for name in found["learner"]]
    return found.reset_index(drop=True)


def by_family(table: pd.DataFrame) -> pd.DataFrame:
    """A row a learner, a column a family: mean over seeds with its interval, as text; columns as `everybody` gives."""
    cells = {
        (learner, family): mean_with_interval(rows["return"].to_numpy())
        for (family, learner), rows in table.groupby(["family", "learner"], sort=False)
    }
    return pd.Series(cells).unstack(sort=False)


def side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """A row a family and seed, a column a learner, for claims that compare two learners seed by seed."""
    seeds = table[table["seed"] >= 0]
    return seeds.pivot(index=["family", "seed"], columns="learner", values="return").reset_index("family")
