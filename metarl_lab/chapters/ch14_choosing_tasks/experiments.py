"""Chapter 14: what its pages run and need not show. The lights, notes taken while a learner trains, tables by seed.

Shapes: N tasks, described by F = 2 numbers (the goal's place, in units of length); S looks at a run, on a grid of
n x n goals. A return is of an episode of ten steps; a gain is the return after one inner step minus that before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.chapters.ch14_choosing_tasks.widget import Course
from metarl_lab.nets.gain_model import Prediction
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import seeded_generator
from metarl_lab.runs.files import find_folder
from metarl_lab.tasks.uneven_navigation import UnevenTasks

lights: Any = ml.make_family("uneven_navigation")
RINGS = {"easy": lights.glow / 2, "reach": lights.reach}  # radii, in units of length
SIDE = np.linspace(-3, 3, 15)  # coordinates of the grid of goals: somewhat more than the reach
BATCH = 12  # tasks in an iteration
SIZES = {"meta_batch": BATCH, "episodes": 10, "hidden": (32, 32)}
WAYS = {"predicted gain": "predicted_gain", "chance": "uniform", "level replay": "level_replay"}

_places = np.stack(np.meshgrid(SIDE, SIDE, indexing="ij"), -1).reshape(-1, 2)
grid = UnevenTasks(torch.tensor(_places).float())
_test = lights.sample_tasks(1500, "test", seeded_generator("cpu", 7, 1))
held_out = UnevenTasks(_test.goal[lights.kind(_test) < 2][:150])  # within reach
pool = lights.sample_tasks(400, "train", seeded_generator("cpu", 11, 1))  # candidates, as a sampler draws them


def returns_of(learner: Any, tasks: UnevenTasks) -> np.ndarray:
    """Mean return of ten episodes before the inner step, and of ten after it: (N, 2)."""
    return ml.evaluate(learner, lights, tasks=tasks, episodes=10, batches=2).per_task


# --- three live runs --------------------------------------------------------------------------------------------------


class Notes:
    """What is written down while a learner trains: goals and scores of every task, and now and then two maps of gain.

    Parameters
    ----------
    learner : who trains.
    model : a `predicted_gain` sampler, whose predictions are mapped. Where another sampler chooses, this one only
        listens: it hears of the same tasks and scores.
    chooses : whether `model` is the sampler that chooses (and so has heard of the tasks already).
    every : iterations between two maps.
    """

    def __init__(self, learner: Any, model: Any, chooses: bool, every: int) -> None:
        self.learner, self.model, self.chooses, self.every = learner, model, chooses, every
        self.looks: list[np.ndarray] = []  # (tasks, 4) each: goal, return before and after
        self.maps: list[list[np.ndarray]] = []  # predicted and measured gain, (n, n) both

    def __call__(self, iteration: int, tasks: UnevenTasks, scores: Tensor) -> None:
        if not self.chooses:
            if self.model.model is None:  # a sampler makes its model when it is first asked for tasks
                self.model.sample(lights, 1, seeded_generator("cpu", 0, iteration, 3))
            self.model.observe(tasks, scores)
        self.looks.append(torch.cat((tasks.goal, scores), 1).numpy())
        if iteration % self.every == 0:
            measured = np.diff(returns_of(self.learner, grid))
            both = (self.model.predict(grid).gain.numpy(), measured)
            self.maps.append([gain.reshape(len(SIDE), -1) for gain in both])


def looked_at(iterations: int) -> range:
    """After which iterations the maps are drawn: every tenth; of a run that is cut short, at every half."""
    every = min(10, max(1, iterations // 2))
    return range(every, iterations + 1, every)


def three_runs(meta_train: Callable[[Any, Any, Notes], None], iterations: int) -> dict[str, np.ndarray]:
    """MAML trained on tasks chosen in three ways, by the reader's own loop `meta_train(learner, sampler, notes)`.

    Returns
    -------
    For each way: "... looks" (iterations, tasks, 4), "... maps" (S, 2, n, n), "... held out" (150, 2) returns. And of
    the run that chooses by predicted gain, over 400 candidates: "q" (400,), chances of being drawn at the end, and
    "pool" (400,), the return after adaptation.
    """
    found: dict[str, np.ndarray] = {}
    for way, name in WAYS.items():
        learner: Any = ml.make_learner("maml", lights, seed=0, **SIZES)
        sampler: Any = ml.make_sampler(name)
        chooses = way == "predicted gain"
        model = sampler if chooses else ml.make_sampler("predicted_gain", explore=1.0)
        notes = Notes(learner, model, chooses, looked_at(iterations).step)
        meta_train(learner, sampler, notes)
        found[f"{way} looks"], found[f"{way} maps"] = np.stack(notes.looks), np.array(notes.maps)
        found[f"{way} held out"] = returns_of(learner, held_out)
        if chooses:
            found |= {"q": sampler.probabilities(pool).numpy(), "pool": returns_of(learner, pool)[:, 1]}
    return found


def courses_of(runs: Mapping[str, np.ndarray]) -> dict[str, Course]:
    """What the explorer shows of each of the three runs."""
    found = {}
    for way in WAYS:
        maps, goals = runs[f"{way} maps"], runs[f"{way} looks"][..., :2]
        found[way] = Course(maps[:, 0], maps[:, 1], goals.reshape(len(maps), -1, 2))
    return found


def at_the_end(courses: Mapping[str, Course]) -> pd.DataFrame:
    """A row for each way to choose: the tasks chosen last, and both maps of gain, by the goal's distance.

    Columns: share of the tasks since the last look but one that are out of reach; correlation of the two maps; mean
    measured gain over the hard goals of the grid that are nearer than 1.5, over its easy ones, and at the start itself.
    """
    distance = np.linalg.norm(_places, axis=1).reshape(len(SIDE), -1)
    easy, ring = distance < RINGS["easy"], (distance >= RINGS["easy"]) & (distance < 1.5)
    rows = {}
    for way, course in courses.items():
        predicted, measured = course.predicted[-1], course.truth[-1]
        rows[way] = {
            "impossible": (np.linalg.norm(course.picks[-1], axis=1) >= RINGS["reach"]).mean(),
            "correlation": np.corrcoef(predicted.ravel(), measured.ravel())[0, 1],
            "measured, ring": measured[ring].mean(),
            "measured, centre": measured[easy].mean(),
            "measured, start": measured[distance == distance.min()].mean(),
        }
    return pd.DataFrame(rows).T


def by_distance(tasks: UnevenTasks, now: Prediction, realised: np.ndarray, width: float) -> pd.DataFrame:
    """Predictions against what happened, a row for each ring of goals.

    Parameters
    ----------
    tasks : N goals within reach.
    now, realised : the prediction for each of them, and the gain that it had, (N,).
    width : half the width of the intervals, in standard deviations.
    """
    each = pd.DataFrame(
        {
            "ring": pd.cut(
                tasks.goal.norm(dim=1).numpy(),
                [0, RINGS["easy"], 1.0, 1.5, RINGS["reach"]],
                labels=["easy, under 0.5", "0.5 to 1", "1 to 1.5", "1.5 to 2.5"],
            ).astype(str),
            "predicted gain": now.gain.numpy(),
            "realised gain": realised,
            "stated std": now.std.numpy(),
        }
    )
    each["inside"] = (each["realised gain"] - each["predicted gain"]).abs() <= width * each["stated std"]
    rings = each.groupby("ring", sort=False)
    table = rings.mean(numeric_only=False).sort_index()
    table.insert(0, "goals", rings.size())
    return table.loc[["easy, under 0.5", "0.5 to 1", "1 to 1.5", "1.5 to 2.5"]]


# --- ten seeds, stored ------------------------------------------------------------------------------------------------

NAMES = {  # in the stored table -> in the book
    "uniform": "chance",
    "predicted_gain": "predicted gain",
    "predicted_gain, progress": "predicted progress",
    "level_replay": "level replay",
    "uniform, reachable only": "chance, reachable goals only",
}


def stored(name: str) -> pd.DataFrame:
    """The rows of one study in `data/results/task_selection.csv`: "uneven, plain" or "point"."""
    table = pd.read_csv(find_folder("data/results") / "task_selection.csv")
    return table[table.study == name]


def anchors(name: str, quantity: str = "test_after") -> dict[str, float]:
    """Return of random play and of the oracle on the tasks of a study; on its easy ones for "easy_after"."""
    rows = stored(name)
    known = rows[(rows.seed < 0) & (rows.quantity == quantity)].set_index("sampler").value
    return {key: float(known[key]) for key in ("random", "oracle")}


class Study(NamedTuple):
    """Ten seeds of each way to choose tasks, on one family, with one learner and one budget."""

    after: pd.DataFrame
    """Held-out return after one inner step, a row a (sampler, seed), a column an iteration."""
    env_steps: pd.DataFrame
    """Env steps of meta-training until then, of the same shape."""
    anchors: dict[str, float]
    """Return of random play and of the oracle on the same tasks."""
    trained_on: pd.DataFrame
    """A row a (sampler, seed): mean distance of the goals trained on, after the first ten iterations, in units of
    length, and, where there are any, the share of them that is impossible."""


def study(name: str) -> Study:
    """One study, with the samplers named as in the book."""
    rows = stored(name)
    rows = rows[rows.seed >= 0].replace({"sampler": NAMES})
    order = [way for way in NAMES.values() if way in set(rows.sampler)]

    def wide(part: pd.DataFrame, columns: str, values: str) -> pd.DataFrame:
        found = part.pivot_table(index=["sampler", "seed"], columns=columns, values=values)
        return found.loc[order].rename_axis(columns=None)

    after = rows[rows.quantity == "test_after"]
    about_tasks = rows[rows.quantity.isin(["distance", "share_impossible"]) & (rows.iteration > 10)]
    return Study(
        wide(after, "iteration", "value"),
        wide(after, "iteration", "env_steps"),
        anchors(name),
        wide(about_tasks, "quantity", "value").rename(columns={"share_impossible": "impossible"}),
    )


def ways_of(found: Study) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """(sampler, returns (seeds, iterations), env steps (seeds, iterations)) of each way to choose."""
    for way in found.after.index.unique("sampler"):
        yield way, found.after.loc[way], found.env_steps.loc[way]


def curves(found: Study) -> dict[str, tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """{sampler: (env steps, (mean return, low, high))}, with 95% intervals over seeds; for `figures.returns`."""
    return {
        way: (env_steps.mean().to_numpy(), mean_interval(after.to_numpy())) for way, after, env_steps in ways_of(found)
    }


def by_seed(found: Study, threshold: float, early: int) -> pd.DataFrame:
    """A row a (sampler, seed): where its return stands early, at its sampler's best, and at the end.

    Columns: "early", the return after iteration `early`; "peak", the return at the iteration where the *mean* over the
    sampler's seeds is highest, and "peak at", the thousands of env steps until then; "last"; "reached", whether any
    evaluation met the threshold, and "env steps", of the first that did, in thousands (the whole budget where none
    did). "chance, early" and "chance, last" are those of the run of the same seed whose tasks are drawn by chance; then
    the columns of `Study.trained_on`.
    """
    parts = []
    chance = found.after.loc["chance"]
    for way, after, env_steps in ways_of(found):
        met = (after >= threshold).to_numpy()
        first = np.where(met.any(1), met.argmax(1), -1)
        best, last = after.mean().idxmax(), after.columns[-1]
        part = pd.DataFrame(
            {
                "early": after[early],
                "peak": after[best],
                "peak at": env_steps[best] / 1000,
                "last": after[last],
                "reached": met.any(1),
                "env steps": env_steps.to_numpy()[np.arange(len(after)), first] / 1000,
                "chance, early": chance[early],
                "chance, last": chance[last],
            }
        )
        parts.append(pd.concat({way: part}, names=["sampler"]))
    return pd.concat(parts).join(found.trained_on)


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """A row a sampler: mean and 95% interval over seeds of what `by_seed` gives; "reached" counts seeds."""
    rows: dict[str, dict[str, Any]] = {}
    for way in runs.index.unique("sampler"):
        mine = runs.loc[way]
        rows[way] = {"seeds": len(mine), "reached": int(mine.reached.sum())}
        for column in ("early", "peak", "last", "env steps"):
            mean, low, high = mean_interval(mine[column].to_numpy())
            rows[way][column] = f"{mean:.2f} [{low:.2f}, {high:.2f}]"
        rows[way]["peak at"] = f"{mine['peak at'].mean():.0f}"
        for column in ("impossible", "distance"):
            if column in runs:
                rows[way][column] = f"{mine[column].mean():.2f}"
    return pd.DataFrame(rows).T
