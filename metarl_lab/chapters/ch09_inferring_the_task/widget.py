"""Chapter 09: a trial of any agent in the gridworld, with the exact belief and the one that VariBAD decodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarl_lab.chapters.ch09_inferring_the_task.figures import belief_pair
from metarl_lab.exact.goal_beliefs import goal_posteriors
from metarl_lab.nets.trial_decoder import trial_rows
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.gridworld import GridTasks, GridWorld
from metarl_lab.teach.widgets import Explorer, choice, slider
from metarl_lab.types import Episodes, Spec

SAMPLES = 64  # draws of m behind a decoded belief
ALT = (
    "Two pictures of a 5 x 5 grid, shaded by how likely the goal is in each cell: the exact posterior and VariBAD's; "
    "the agent's way on both, and beside them the distance between the two beliefs, step by step"
)


class Trials(NamedTuple):
    """One trial for every goal, at each of its L = K H steps *before* the action is taken."""

    goal: np.ndarray  # (G,) cells
    cell: np.ndarray  # (G, L) where the agent is
    reward: np.ndarray  # (G, L) what the step then pays
    exact: np.ndarray  # (G, L, S) posterior over cells
    decoded: np.ndarray  # (G, L, S) VariBAD's belief, given the same trial to read
    horizon: int

    @property
    def distance(self) -> np.ndarray:
        """Total variation between the two beliefs, (G, L)."""
        return total_variation(self.exact, self.decoded)


def total_variation(p: Any, q: Any) -> np.ndarray:
    """Half of sum |p - q| over the last axis: the probability that must be moved to make p of q; 0 to 1."""
    return 0.5 * np.abs(np.asarray(p) - np.asarray(q)).sum(-1)


@torch.no_grad()
def decoded_belief(model: Any, spec: Spec, episodes: Episodes, samples: int = SAMPLES) -> Tensor:
    """What a ``TrialModel`` believes of the goal before every step of trials that anybody acted, (B, L, S)."""
    mean, log_var = model.encoder(trial_rows(spec, episodes)["x"].movedim(1, 0))  # (L, B, M)
    noise = torch.randn(samples, mean.shape[-1], generator=seeded_generator("cpu", 9, 1))
    return model.belief(mean, log_var, torch.eye(spec.observation_size), noise).movedim(0, 1)


def record(agent: Any, model: Any, family: GridWorld, seed: int = 1) -> Trials:
    """Act out one trial for each goal of the prior, and read it with the exact filter and with VariBAD's model."""
    tasks = GridTasks(torch.tensor(family.goals("test")))
    generator = seeded_generator("cpu", seed, 2)
    acted, _ = collect(agent, family, tasks, begin(agent, family, tasks), generator, family.episodes)
    exact = goal_posteriors(family.prior, acted)[:, 0, :-1]
    cells, reward = acted.observation.argmax(-1).flatten(1), acted.reward.flatten(1)
    decoded = decoded_belief(model, family.spec, acted)
    goal, cell, paid, truth, read = (x.numpy() for x in (tasks.goal, cells, reward, exact, decoded))
    return Trials(goal, cell, paid, truth, read, family.spec.horizon)


def caption(trials: Trials, task: int, moment: int) -> str:
    """Where the trial stands, in a line."""
    episode, step = divmod(moment, trials.horizon)
    so_far = trials.reward[task, :moment]
    met = "goal met" if (so_far > 0).any() else "goal not met yet"
    return f"episode {episode + 1}, {step} of {trials.horizon} steps done; {met}; {so_far.sum():.1f} points so far"


def belief_stepper(recorded: Mapping[str, Trials], size: int) -> Explorer:
    """The widget: a slider over the steps of a trial, the goal, and whose trial it is; {agent: Trials}."""
    first = next(iter(recorded.values()))
    places = [(f"row {g // size + 1}, column {g % size + 1}", i) for i, g in enumerate(first.goal.tolist())]
    controls = {
        "moment": slider("steps done", 0, first.cell.shape[1] - 1, 1, 7),
        "agent": choice("agent", list(recorded)),
        "task": choice("goal", places, value=len(places) // 2),
    }

    def draw(moment: int, agent: str, task: int) -> Any:
        trials = recorded[agent]
        start = moment - moment % trials.horizon
        path, exact, decoded = trials.cell[task, start : moment + 1], trials.exact[task], trials.decoded[task]
        goal, line = int(trials.goal[task]), f"{agent}: {caption(trials, task, moment)}"
        return belief_pair(exact[moment], decoded[moment], path, goal, trials.distance[task], moment, line)

    return Explorer("09 belief stepper", draw, controls, alt=ALT)
