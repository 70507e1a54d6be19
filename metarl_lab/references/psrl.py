"""Posterior sampling for reinforcement learning: Thompson sampling with a plan."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from metarl_lab.exact.goal_beliefs import GoalBelief, known_goal, nothing_visited, sample_goal, towards
from metarl_lab.exact.goal_beliefs import take_in as take_in_visit
from metarl_lab.exact.gridworld import distances
from metarl_lab.exact.model_beliefs import (
    MODEL_NOISE,
    ModelBelief,
    nothing_known,
    plan,
    sample_model,
    take_in,
    values_at,
)
from metarl_lab.ops.sampling import random_argmax
from metarl_lab.references.base import Reference, check_family
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.tasks.dark_room import DarkRoom
from metarl_lab.tasks.gridworld import GridWorld
from metarl_lab.tasks.tabular_mdp import TabularMDP
from metarl_lab.types import Memory, Seen


class PSRLMemory(NamedTuple):
    """What is believed of the MDP, and the values of the MDP drawn for this episode, (T, E, H, S, A)."""

    belief: ModelBelief
    q: Tensor


class DrawnGoal(NamedTuple):
    """What is believed of a gridworld's goal, and the goal drawn for this episode, (T, E) int64."""

    belief: GoalBelief
    goal: Tensor


class PSRL(Reference):
    """At the start of each episode, draw a task from the posterior; act optimally in it to the episode's end.

    One draw for a whole episode is what lets it explore in depth. All MDPs of a batch are drawn and planned at once.
    In a gridworld the draw is a goal: the agent goes there by a shortest way, every step that shortens it being equally
    likely, and waits. Where the goal is met on the way it stays. ``exact.gridworld_psrl`` computes what it
    earns, exactly.

    Parameters
    ----------
    family : TabularMDP, GridWorld or DarkRoom
    reward_prior_mean : float, optional
        Tabular MDP only: the prior mean of a reward, by default the family's own (1). The published figures of Duan et
        al. 2016 are matched by 0.
    """

    name: ClassVar[str] = "psrl"
    source: ClassVar[str] = "Strens 2000; Osband, Russo and Van Roy 2013, algorithm 1"
    noise_size: int = MODEL_NOISE

    def __init__(self, family: TaskFamily, reward_prior_mean: float | None = None) -> None:
        super().__init__(family)
        check_family(self.name, family, TabularMDP, GridWorld, DarkRoom, hint="for bandits, use 'thompson'")
        self._play: _Model | _Goal
        if isinstance(family, DarkRoom) and family.once:
            raise ValueError(
                "psrl: in a dark room with once=True a second visit would rule out the goal; use once=False"
            )
        if isinstance(family, GridWorld | DarkRoom):
            if reward_prior_mean is not None:
                raise ValueError(f"psrl: reward_prior_mean={reward_prior_mean} has no meaning in a gridworld; omit it")
            self._play, self.noise_size = _Goal(family), 2
        else:
            assert isinstance(family, TabularMDP)
            self._play = _Model(family, reward_prior_mean)

    def begin(self, n_tasks: int, copies: int) -> Memory:
        return self._play.begin(n_tasks, copies, self.device)

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        return self._play.act(memory, seen, noise)


class _Model:
    """Its memory: ``PSRLMemory``."""

    def __init__(self, family: TabularMDP, reward_prior_mean: float | None) -> None:
        self.spec, self.prior = family.spec, family.prior
        if reward_prior_mean is not None:
            self.prior = self.prior._replace(reward_mean=reward_prior_mean)

    def begin(self, n_tasks: int, copies: int, device: torch.device) -> PSRLMemory:
        belief = nothing_known(n_tasks, copies, self.spec.observation_size, self.spec.action_size, device)
        return PSRLMemory(belief, belief.pulls.new_zeros(n_tasks, copies, self.spec.horizon, *belief.pulls.shape[2:]))

    def act(self, memory: PSRLMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, PSRLMemory]:
        belief = take_in(memory.belief, seen.observation.argmax(-1), seen.action, seen.reward, seen.start)
        q = plan(*sample_model(belief, self.prior, noise), self.spec.horizon) if seen.step == 0 else memory.q
        return values_at(q, seen.step, belief.state).argmax(-1), PSRLMemory(belief, q)


class _Goal:
    """Its memory: ``DrawnGoal``."""

    def __init__(self, family: GridWorld | DarkRoom) -> None:
        self._prior, self._successor = family.prior, family.successor
        self._distance = torch.from_numpy(distances(self._successor.numpy()))

    def begin(self, n_tasks: int, copies: int, device: torch.device) -> DrawnGoal:
        self._prior = self._prior.to(device)
        self._successor, self._distance = self._successor.to(device), self._distance.to(device)
        belief = nothing_visited(self._prior, n_tasks, copies)
        return DrawnGoal(belief, torch.zeros_like(belief.cell))

    def act(self, memory: DrawnGoal, seen: Seen, noise: Tensor) -> tuple[Tensor, DrawnGoal]:
        cell = seen.observation.argmax(-1)
        belief = take_in_visit(memory.belief, cell, seen.action, seen.reward, self._successor)
        # met on the way; a goal that is known because all others are ruled out waits for the next draw
        goal = torch.where(seen.reward > 0, known_goal(belief)[0], memory.goal)
        goal = torch.where(seen.start, sample_goal(belief, noise[..., 0]), goal)
        action = random_argmax(towards(goal, cell, self._successor, self._distance), noise[..., 1])
        return action, DrawnGoal(belief, goal)
