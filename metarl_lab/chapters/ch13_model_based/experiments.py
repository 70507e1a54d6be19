"""What chapter 13 computes around its ideas: positions, walkers that fail, imagined paths, stored runs, env steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

import metarl_lab as ml
from metarl_lab.chapters.ch13_model_based.widget import Imagination
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.ops.windows import nothing_recent, push
from metarl_lab.rollout import seeded_generator
from metarl_lab.runs.files import find_folder
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.teach.figures import display_name
from metarl_lab.types import Episodes, Seen

# (model, observations (B, D + 1, O), actions (B, D, A)) -> an imagined path (B, D + 1, O) from the first observation on
Imagine = Callable[[Any, Tensor, Tensor], Tensor]

STEP_SECONDS = 0.2  # between two observations of the walker
TURN = 2  # place of the rate of turn among the observations

# --- paths ------------------------------------------------------------------------------------------------------------


def positions(observation: Tensor) -> Tensor:
    """Where a walker goes: observations (..., D + 1, 5) -> (..., D + 1, 2), metres from its first position.

    Observed are velocities ahead and to the left (m/s), the rate of turn, cosine and sine of the heading. The walker's
    simulator moves with the velocity *after* each step, and so does this.
    """
    ahead, aside, _, cosine, sine = observation.unbind(-1)
    over_ground = torch.stack((ahead * cosine - aside * sine, ahead * sine + aside * cosine), -1)
    moves = STEP_SECONDS * over_ground[..., 1:, :]
    return torch.cat((torch.zeros_like(over_ground[..., :1, :]), moves.cumsum(-2)), -2)


@torch.no_grad()
def path_errors(imagine: Imagine, model: Any, episodes: Episodes, ahead: int = 10, every: int = 5) -> np.ndarray:
    """Mean distance of the imagined position from the real one after 1 to `ahead` steps, (ahead,), metres.

    Paths begin at every `every`-th step of each task's first episode; the actions are those that were really taken.
    """
    observation, action = episodes.observation[:, 0, 0], episodes.action[:, 0, 0]  # (T, H, ...)
    found = []
    for start in range(0, action.shape[1] - ahead, every):
        real = observation[:, start : start + ahead + 1]
        path = imagine(model, real, action[:, start : start + ahead])
        found.append((positions(path) - positions(real)).norm(dim=-1).mean(0)[1:])
    return torch.stack(found).mean(0).numpy()


# --- the stored runs of three forms -----------------------------------------------------------------------------------

# How the stored table calls them -> their names in the chapter.
FORMS = {"none": "no adaptation", "gradient": "GrBAL", "recurrent": "ReBAL"}
TRUE, SOUND = "true dynamics", "true dynamics of sound legs"
KNOWING = {"true model": TRUE, "true model of a sound walker": SOUND}


def adaptation_runs() -> pd.DataFrame:
    """Return the stored runs of the three forms on the weakening leg, and of what knows more (seed -1).

    Columns: agent (by its name in the chapter), seed, split, quantity, x (env steps, or steps since the leg weakened),
    value. data/README.md says what each quantity is.
    """
    table = pd.read_csv(find_folder("data/results") / "13_online_adaptation.csv")
    return table.assign(agent=table.agent.replace(FORMS | KNOWING))


def around_the_failure(runs: pd.DataFrame, quantity: str, agents: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Of each agent a table of held-out means: a row a seed, a column a step since the leg weakened."""
    rows = runs[(runs.quantity == f"{quantity} around") & (runs.split == "test")]
    return {name: rows[rows.agent == name].pivot(index="seed", columns="x", values="value") for name in agents}


def in_spans(curves: Mapping[str, pd.DataFrame], spans: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """Means over spans of steps, both ends included: rows (span, seed), a column an agent."""
    parts = {
        span: pd.DataFrame({name: curve.loc[:, first:last].mean(axis=1) for name, curve in curves.items()})
        for span, (first, last) in spans.items()
    }
    return pd.concat(parts, names=["steps", "seed"])


def returns_by_seed(runs: pd.DataFrame, agents: Iterable[str]) -> pd.DataFrame:
    """Return per episode: rows (split, seed), a column an agent; "held out" stands before "ood"."""
    rows = runs[(runs.quantity == "return") & runs.agent.isin(list(agents))]
    rows = rows.assign(split=rows.split.replace({"test": "held out"}))
    wide = rows.pivot(index=["split", "seed"], columns="agent", values="value")
    return wide[list(agents)]


def with_intervals(returns: pd.DataFrame) -> pd.DataFrame:
    """Of each split and agent the mean over seeds with its 95% interval, as text; the mean alone where one row is."""

    def told(values: pd.Series) -> str:
        if len(values) == 1:
            return f"{values.iloc[0]:.0f}"
        mean, low, high = mean_interval(values.to_numpy())
        return f"{mean:.0f} [{low:.0f}, {high:.0f}]"

    return returns.groupby(level="split", sort=False).agg(told).T.rename_axis(index=None, columns=None)


def steps_of_learning(runs: pd.DataFrame, agent: str) -> pd.DataFrame:
    """Errors on new tasks before and after the inner step while meta-training: rows (seed, env steps)."""
    names = {"learning error_before": "error before", "learning error_after": "error after"}
    rows = runs[(runs.agent == agent) & runs.quantity.isin(list(names))]
    wide = rows.pivot(index=["seed", "x"], columns="quantity", values="value")
    return wide.rename(columns=names).rename_axis(index=["seed", "env steps"])


# --- the stored models, and what they imagine -------------------------------------------------------------------------


def trained_forms(family: TaskFamily, n_iterations: int) -> dict[str, np.ndarray]:
    """Meta-train each form of `grbal` with seed 0, as the stored runs were: its parameters, and its units."""
    arrays: dict[str, np.ndarray] = {}
    for form in FORMS:
        agent: Any = ml.make_learner("grbal", family, seed=0, form=form)
        noise = seeded_generator("cpu", 0, 31)
        for _ in range(n_iterations):
            agent.update(family, family.sample_tasks(10, "train", noise), noise)
        model = agent.dynamics.model
        arrays[form] = parameters_to_vector(agent.parameters()).detach().numpy()
        arrays[f"{form} inputs"] = model.input_moments.numpy()
        arrays[f"{form} targets"] = model.target_moments.numpy()
    return arrays


def with_stored_weights(family: TaskFamily, form: str, arrays: Mapping[str, np.ndarray]) -> Any:
    """A learner `grbal` of this form with the parameters and the units that `trained_forms` gave."""
    agent: Any = ml.make_learner("grbal", family, form=form)
    vector_to_parameters(torch.tensor(arrays[form], dtype=torch.float32), agent.parameters())
    model = agent.dynamics.model
    for name in ("input", "target"):
        model.get_buffer(f"{name}_moments").copy_(torch.tensor(arrays[f"{form} {name}s"]))
    return agent


def failing_walkers(family: Any, n: int = 40) -> Tasks:
    """n held-out walkers whose leg does weaken; the first four are one of each leg, in the order of LEGS."""
    pool = family.sample_tasks(max(2 * n, 80), "test", seeded_generator("cpu", 9, 1))
    failing = torch.where(pool.onset < family.horizon)[0].tolist()
    weakest = pool.strength.argmin(1)
    first = [next(task for task in failing if weakest[task] == leg) for leg in range(4)]
    others = [task for task in failing if task not in first]
    chosen = torch.tensor((first + others)[:n])
    return type(pool)(*(column[chosen] for column in pool))


@torch.no_grad()
def imagined_paths(
    learner: Any,
    imagine: Imagine,
    onset: Tensor,
    episodes: Episodes,
    moments: Sequence[int],
    windows: Sequence[int],
    ahead: int,
) -> Imagination:
    """Paths that the model imagines, adapted to windows of several lengths, beside the ones that were walked.

    Parameters
    ----------
    learner : a `grbal`, whose dynamics adapt.
    imagine : makes a path of a model and actions, see `Imagine`.
    onset : (T,) step at which each walker's leg weakens.
    episodes : one episode of each walker.
    moments : S, steps since the leg weakened at which a path begins.
    windows : W, numbers of past steps that the model adapts to; 0 leaves it as it is.
    ahead : D, imagined steps; the actions are those that were really taken.
    """
    rows = {name: x[:, 0, 0] for name, x in episodes._asdict().items() if name in ("observation", "action", "reward")}
    rows["after"] = torch.cat((rows["observation"][:, 1:], episodes.final_observation[:, 0]), 1)
    each = torch.arange(len(onset)).unsqueeze(1)

    def cut(name: str, start: Tensor, length: int) -> Tensor:
        """Steps start (T,) to start + length - 1 of each walker, (T, length, ...)."""
        return rows[name][each, start.unsqueeze(1) + torch.arange(length)]

    walked, imagined = [], []
    for moment in moments:
        now = onset + moment
        observation, action = cut("observation", now, ahead + 1), cut("action", now, ahead)
        walked.append(positions(observation))
        by_window = []
        for window in windows:
            length = max(window, 1)  # an empty window has one place, in which there is nothing
            past = {name: cut(name, (now - window).clamp_min(0), length) for name in rows}
            known = (now >= window).unsqueeze(1) & (torch.arange(length) < window)
            model = learner.dynamics.imagine(past, known, torch.zeros(len(onset), 1))
            by_window.append(positions(imagine(model, observation, action)))
        imagined.append(torch.stack(by_window))
    return Imagination(torch.stack(walked).numpy(), torch.stack(imagined).numpy())


@torch.no_grad()
def turn_errors(learner: Any, episodes: Episodes, is_start: Callable[[int], bool], steps: range) -> np.ndarray:
    """Mean error of the next rate of turn (rad/s) at these steps of trials laid end to end, (len(steps),).

    The learner adapts at every step to the last 16 transitions; `is_start(t)` is what it is told of step t: that an
    episode begins there.
    """
    observation, action, reward = (x.flatten(2, 3) for x in (episodes.observation, episodes.action, episodes.reward))
    n_tasks = len(reward)
    recent = nothing_recent(learner.spec, n_tasks, 1, 16, torch.device("cpu"))
    found = []
    for t in steps:
        told = torch.full((n_tasks, 1), is_start(t))
        seen = Seen(observation[:, :, t], action[:, :, t - 1], reward[:, :, t - 1], told, t)
        recent = push(recent, observation[:, :, t - 1], seen)
        rows = recent.rows()
        model = learner.dynamics.imagine(rows, rows["valid"], torch.zeros(n_tasks, 1))
        here = (observation[:, 0, t : t + 1], torch.ones(n_tasks, 1))
        (then, _), _ = model(here, action[:, 0, t : t + 1])
        found.append((then[:, 0, TURN] - observation[:, 0, t + 1, TURN]).abs().mean().item())
    return np.array(found)


# --- env steps to a return --------------------------------------------------------------------------------------------

KNOWS = {"point_navigation": "oracle", "pendulum": "swing_up"}  # the agent that knows the task
LEARNERS = ("mb_mpo", "grbal", "maml", "rl2", "pearl")
SHARES = {"half way": 0.5, "three quarters": 0.75}  # of the way from random play to the agent that knows the task


def model_based_runs() -> pd.DataFrame:
    """Return the stored evaluations: family, learner, seed (-1: a reference), env_steps, cpu_seconds, mean return."""
    return pd.read_csv(find_folder("data/results") / "model_based.csv")


def steps_to_goals(runs: pd.DataFrame) -> pd.DataFrame:
    """Env steps of meta-training until held-out tasks first return a goal, a row a family, goal, learner and seed.

    Columns: family, share (a name in SHARES), goal (return per episode), learner (as the book calls it), seed,
    env_steps (infinite where the goal was never reached), ran (env steps of the whole run).
    """
    found = []
    for family, knowing in KNOWS.items():
        of_family = runs[runs.family == family]
        low, high = (of_family[of_family.learner == name]["mean"].iloc[0] for name in ("random", knowing))
        for share, part in SHARES.items():
            goal = low + part * (high - low)
            for learner in LEARNERS:
                for seed, run in of_family[of_family.learner == learner].groupby("seed"):
                    there = run.env_steps[run["mean"] >= goal]
                    found.append(
                        {
                            "family": family.replace("_", " "),
                            "share": share,
                            "goal": goal,
                            "learner": display_name(learner),
                            "seed": seed,
                            "env_steps": float(there.min()) if len(there) else np.inf,
                            "ran": run.env_steps.max(),
                        }
                    )
    return pd.DataFrame(found)


def medians(needed: pd.DataFrame) -> pd.DataFrame:
    """The median over seeds of `steps_to_goals` and how many seeds got there, as text; a column a learner."""
    learners = list(dict.fromkeys(needed.learner))

    def told(steps: pd.Series) -> str:
        there = f"({np.isfinite(steps).sum()} of {len(steps)})"
        middle = np.median(steps)
        return f"{middle:,.0f} {there}" if np.isfinite(middle) else f"never {there}"

    goals = needed.goal.map("{:.1f}".format)
    text = needed.assign(goal=goals).groupby(["family", "goal", "learner"], sort=False).env_steps.agg(told)
    return text.unstack("learner")[learners].fillna("not run").rename_axis(columns=None)


def cost_of_a_step(runs: pd.DataFrame) -> pd.DataFrame:
    """What whole runs took: env steps and CPU seconds, means over seeds, and CPU milliseconds for each env step."""
    whole = runs[runs.seed >= 0].groupby(["family", "learner", "seed"])[["env_steps", "cpu_seconds"]].max()
    mean = whole.groupby(["family", "learner"]).mean().reset_index()
    mean = mean.assign(family=mean.family.str.replace("_", " "), learner=mean.learner.map(display_name))
    table = mean.set_index(["family", "learner"]).rename(columns={"env_steps": "env steps", "cpu_seconds": "CPU s"})
    table["env steps"] = table["env steps"].round().astype(int)
    return table.assign(**{"CPU ms a step": 1000 * table["CPU s"] / table["env steps"]})
