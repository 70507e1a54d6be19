"""Adaptation curves: how well an agent does, batch after batch of a trial, on tasks held out from training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metarl_lab.learners.base import MetaLearner
from metarl_lab.ops.allocator import keep_pages
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.references.base import Reference
from metarl_lab.rollout import begin, collect, first_tensor, seeded_generator
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.train import check_fit
from metarl_lab.types import Agent


@dataclass(frozen=True)
class Curve:
    """Return per episode after each batch of a trial.

    Attributes
    ----------
    per_task : ndarray (tasks, batches)
        Mean undiscounted return per episode, over the episodes of a batch.
    mean, low, high : ndarray (batches,)
        Mean over tasks, and its 95% interval (Student's t over tasks).
    env_steps : ndarray (batches,)
        Environment steps per task *before* each batch: what the agent had learned from.
    """

    agent: str
    split: str
    per_task: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    env_steps: np.ndarray

    def __repr__(self) -> str:
        rows = "; ".join(f"{m:.4g} [{a:.4g}, {b:.4g}]" for m, a, b in zip(self.mean, self.low, self.high, strict=True))
        return f"Curve({self.agent}, {len(self.per_task)} {self.split} tasks, return per episode by batch: {rows})"


def check_finite(learner: MetaLearner) -> None:
    """Raise ValueError, naming the first one, where a weight is NaN or infinite."""
    for name, weight in learner.named_parameters():
        if not weight.isfinite().all():
            raise ValueError(
                f"{name} of this {learner.name} is not finite, so a score says nothing; load an earlier checkpoint"
            )


def check_tasks(tasks: Tasks, family: TaskFamily, device: torch.device) -> None:
    """Raise ValueError for no tasks, for those of another family, and for those on another device than the agent."""
    kind = type(family.sample_tasks(1, "train", seeded_generator("cpu", 0, 0)))
    if type(tasks) is not kind:
        raise ValueError(f"tasks are {type(tasks).__name__}, those of {family.name} are {kind.__name__}; give these")
    first = first_tensor(tasks)
    if len(first) == 0:
        raise ValueError("there are no tasks; give one at least")
    if first.device != device:
        raise ValueError(f"tasks are on {first.device}, the agent on {device}; move one of them")


def evaluate(
    agent: Agent,
    family: TaskFamily,
    split: str = "test",
    n_tasks: int = 100,
    episodes: int = 1,
    batches: int = 1,
    seed: int = 1,
    tasks: Tasks | None = None,
) -> Curve:
    """Act out a trial of each held-out task: ``episodes`` episodes, absorb them, and again, ``batches`` times.

    Parameters
    ----------
    agent
        A learner or a reference; acts on the device it is on.
    split : "train", "test" or "ood"
        Which tasks. Where ``tasks`` gives them, the curve's split is "given".
    n_tasks, episodes, batches : int
        Tasks; episodes per batch; batches per trial.
    seed : int
        Fixes the tasks and all noise. The same seed gives every agent the same tasks.
    tasks : optional
        These tasks instead of drawn ones (a published set of goals, say).

    Returns
    -------
    Curve

    Raises
    ------
    ValueError
        Before anything is acted: sizes that are not positive, an agent that was made for other spaces than the
        family's, weights that are not finite, tasks that are not of this family or not on the agent's device.
    """
    keep_pages()
    check_positive("evaluate", n_tasks=n_tasks, episodes=episodes, batches=batches)
    if isinstance(agent, MetaLearner | Reference):
        check_fit(agent, family)
    if isinstance(agent, MetaLearner):
        check_finite(agent)
    device = getattr(agent, "device", torch.device("cpu"))
    if tasks is None:
        tasks = family.sample_tasks(n_tasks, split, seeded_generator(device, seed, 0))
    else:
        split = "given"
        check_tasks(tasks, family, device)
    # where acting never changes memory, the episodes of a batch are acted side by side
    copies, in_turn = (episodes, 1) if agent.shares_memory else (1, episodes)
    trial = begin(agent, family, tasks, copies)
    returns: list[Tensor] = []
    steps: list[float] = [0.0]
    for batch in range(batches):
        # a generator of its own for every batch: its noise depends on the seed, never on how much was drawn before
        acted, trial = collect(agent, family, tasks, trial, seeded_generator(device, seed, 1 + batch), in_turn)
        returns.append(acted.returns.mean((1, 2)))
        steps.append(steps[-1] + acted.mask.float().sum((1, 2, 3)).mean().item())
        if batch + 1 < batches:
            trial = trial._replace(memory=agent.absorb(trial.memory, acted))
    per_task = torch.stack(returns, 1).double().cpu().numpy()
    name = getattr(agent, "name", type(agent).__name__)
    return Curve(name, split, per_task, *mean_interval(per_task), env_steps=np.array(steps[:-1]))
