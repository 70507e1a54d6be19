"""Chapter 10: what its pages run and need not show. Trials acted out, attention added up, windows and idle episodes.

Shapes: T tasks, K episodes of H steps, L = K H steps of a trial.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.chapters.ch10_in_context_rl.widget import AttentionTrial
from metarl_lab.learners.in_context import InContext
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.tasks.dark_room import DarkRoom, DarkRoomTasks
from metarl_lab.types import Agent, Episodes, Memory, Seen


def play(actor: Agent, family: TaskFamily, tasks: Tasks, seed: int = 3) -> Episodes:
    """Act out one whole trial of each task, (T, 1, K, H, ...)."""
    noise = seeded_generator("cpu", seed, 1)
    acted, _ = collect(actor, family, tasks, begin(actor, family, tasks), noise, family.spec.episodes)
    return acted


def first_paid(trial: AttentionTrial) -> int:
    """Number of the step, from 0, at which a trial was first paid; its length if it never was."""
    paid = np.flatnonzero(trial.reward)
    return int(paid[0]) if len(paid) else len(trial.reward)


def rewarded_attention(trials: Sequence[AttentionTrial], after: int) -> tuple[np.ndarray, float]:
    """How much of its attention an agent gives to the steps that saw a reward, from step `after` on.

    Returns
    -------
    attention : (layers,) share of each layer's attention, the mean over heads, over steps and over trials.
    share : the share of those steps among the steps that could be read: what attention without a preference gives.
    """
    attention, share = [], []
    for trial in trials:
        saw = np.append(0, trial.reward[:-1]) > 0  # step t sees what step t - 1 was paid
        rows = trial.weights.mean(1)[:, after:]  # (layers, steps, L), over heads
        attention.append((rows * saw).sum(-1).mean(-1))
        share.append(np.mean([saw[: t + 1].mean() for t in range(after, len(saw))]))
    return np.mean(attention, 0), float(np.mean(share))


def untrained(agent: InContext, family: TaskFamily, seed: int = 0) -> InContext:
    """A network like the agent's, with the weights that training begins with."""
    learner = ml.make_learner("in_context", family, seed, **dataclasses.asdict(agent.config))
    assert isinstance(learner, InContext)
    return learner


def with_window(agent: InContext, family: TaskFamily, window: int) -> InContext:
    """The same weights, looking back over `window` steps."""
    settings = dataclasses.asdict(agent.config) | {"context": window}
    other = ml.make_learner("in_context", family, **settings)
    assert isinstance(other, InContext)
    other.load_state_dict(agent.state_dict())
    return other


class Idle:
    """Sees all that the actor sees, in the actor's memory, and does nothing (action 0)."""

    shares_memory = False

    def __init__(self, actor: Agent) -> None:
        self.actor, self.noise_size = actor, actor.noise_size

    def begin(self, n_tasks: int, copies: int) -> Memory:
        return self.actor.begin(n_tasks, copies)

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        return torch.zeros_like(seen.action), self.actor.act(memory, seen, noise)[1]

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return self.actor.absorb(memory, episodes)


def after_idling(
    agent: InContext, room: DarkRoom, tasks: DarkRoomTasks, windows: Sequence[int], idle: Sequence[int]
) -> pd.DataFrame:
    """Return of the episode after some idle ones: three episodes are played, the agent is held still, one is played.

    Counted are the tasks where the agent stood on the goal when it was taken away, and where the goal is not the cell
    in which episodes start, on which an idle agent would stand and be paid.

    Parameters
    ----------
    windows : steps that attention looks back over, its own among them.
    idle : numbers of episodes in which the agent is held still at the start.

    Returns
    -------
    A row for each number of idle episodes and each window (the levels `idle` and `window` of the index), with columns
    `earned`, `low`, `high` (mean return and its 95% interval over tasks), `known` (what an agent that knows the goal
    earns in the same tasks, exact) and `tasks` (how many are counted).
    """
    known = room.oracle(tasks)  # (T,)
    rows = {}
    for held in idle:
        for window in windows:
            actor = with_window(agent, room, window)
            trial, noise = begin(actor, room, tasks), seeded_generator("cpu", 7, 1)
            rewards = []  # of each episode, (T, H)
            players: list[Agent] = [*[actor] * 3, *[Idle(actor)] * held, actor]
            for player in players:
                episode, trial = collect(player, room, tasks, trial, noise)
                rewards.append(episode.reward[:, 0, 0])
            counted = (rewards[2][:, -1] > 0) & (tasks.goal != tasks.start)
            returns = rewards[-1].sum(1)[counted].double().numpy()
            mean, low, high = np.ravel(mean_interval(returns[:, None]))
            rows[held, window] = (mean, low, high, known[counted].mean().item(), len(returns))
    columns = ["earned", "low", "high", "known", "tasks"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).set_index(
        pd.MultiIndex.from_tuples(list(rows), names=["idle", "window"])
    )
