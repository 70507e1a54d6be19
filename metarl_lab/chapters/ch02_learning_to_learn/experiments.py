"""Chapter 02: what its pages measure of agents, and need not show: rewards pull by pull, memories after a trial."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarl_lab.evaluate import Curve
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.types import Seen


def tensors_of(memory: Any) -> list[Tensor]:
    """The numbers that a trial carries: a recurrent learner's hidden state, or every task's own parameters."""
    return [memory.hidden] if hasattr(memory, "hidden") else list(memory.parameters.values())


def sizes(learner: Any) -> tuple[int, int]:
    """How many numbers meta-training changes, and how many the memory of one trial holds."""
    outer = sum(x.numel() for x in learner.parameters())
    inner = sum(x.numel() for x in tensors_of(learner.begin(1, 1)))
    return outer, inner


def reward_by_pull(agent: Any, family: TaskFamily, n_tasks: int = 4000) -> Curve:
    """Mean reward of each pull of an episode, with its 95% interval over held-out bandits."""
    tasks = family.sample_tasks(n_tasks, "test", seeded_generator("cpu", 5, 1))
    acted, _ = collect(agent, family, tasks, begin(agent, family, tasks), seeded_generator("cpu", 5, 2))
    per_task = acted.reward[:, 0, 0].double().numpy()  # (T, H)
    pulls = np.arange(family.spec.horizon)
    return Curve(getattr(agent, "name", ""), "test", per_task, *mean_interval(per_task), env_steps=pulls)


def with_another_task(tasks: Tasks, field: str, place: int) -> Tasks:
    """The same tasks, but for one: what `field` says of the task at `place` is turned from x into 1 - x."""
    changed = getattr(tasks, field).clone()
    changed[place] = 1 - changed[place]
    return tasks._replace(**{field: changed})


def memory_after_a_trial(agent: Any, family: TaskFamily, tasks: Tasks) -> Tensor:
    """What five copies of each task left in the memory, (T, numbers). The noise is the same in every call."""
    trial = begin(agent, family, tasks, copies=5)
    acted, trial = collect(agent, family, tasks, trial, seeded_generator("cpu", 8))
    return torch.cat([x.flatten(1) for x in tensors_of(agent.absorb(trial.memory, acted))], 1)


def after_first_pull(agent: Any, reward: float, new_episode: bool = False) -> tuple[Tensor, int]:
    """One pull that pays `reward`; then the agent's hidden state as it chooses its second pull, and the arm it pulled.

    `new_episode` : whether an episode begins between the two pulls. The noise of both pulls is the same in every call.
    """
    observation, noise = torch.ones(1, 1, 1), torch.full((1, 1, 1), 0.5)
    memory, no_arm = agent.begin(1, 1), torch.tensor([[-1]])
    before = Seen(observation, no_arm, torch.tensor([[0.0]]), torch.tensor([[True]]), 0)
    arm, memory = agent.act(memory, before, noise)
    after = Seen(observation, arm, torch.tensor([[reward]]), torch.tensor([[new_episode]]), 0 if new_episode else 1)
    _, memory = agent.act(memory, after, noise)
    return memory.hidden, int(arm)
