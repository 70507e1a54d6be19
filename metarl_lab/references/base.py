"""Reference: an agent that is not learned, an anchor to read every result against."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from metarl_lab.exact.bandits import count_pull, no_pulls, posterior_mean
from metarl_lab.exact.model_beliefs import ModelBelief, mean_model, nothing_known, plan, take_in, values_at
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.tasks.bernoulli_bandit import BernoulliBandit
from metarl_lab.tasks.tabular_mdp import TabularMDP
from metarl_lab.types import Episodes, Memory, Seen


class Reference(ABC):
    """An agent built from a family's own structure (its prior, its dynamics), with the same face as a learner.

    A concrete reference is a final class made as ``Reference(family, **options)``; it raises ValueError, naming the
    families it can act in, for one that it cannot. It carries its own memory per copy, with leading axes (T, E).
    """

    name: ClassVar[str] = ""
    source: ClassVar[str] = ""
    shares_memory: bool = False
    noise_size: int = 1
    device: torch.device = torch.device("cpu")

    def __init__(self, family: TaskFamily) -> None:
        self.family = family
        self.spec = family.spec

    def to(self, device: torch.device | str) -> Reference:
        """Make memories on this device from now on."""
        self.device = torch.device(device)
        return self

    @abstractmethod
    def begin(self, n_tasks: int, copies: int) -> Memory:
        """The memory before the first step of a trial."""

    @abstractmethod
    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        """Choose an action for every copy; take in the last action and reward first. noise (T, E, noise_size)."""

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        """Nothing: a reference learns from each transition as it sees it."""
        return memory


class Knowing(Reference):
    """A reference that is told the tasks: ``rollout.begin`` calls ``told``. Its memory has leading axis T, like tasks,
    and acting never changes it."""

    shares_memory = True

    def begin(self, n_tasks: int, copies: int) -> Memory:
        raise ValueError(f"{self.name} must know its tasks; start its trials with metarl_lab.rollout.begin")

    @abstractmethod
    def told(self, tasks: Tasks, copies: int) -> Memory:
        """The memory before the first step of a trial, the tasks known."""


def check_family(name: str, family: TaskFamily, *allowed: type[TaskFamily], hint: str = "") -> None:
    """Raise ValueError if the reference ``name`` cannot act in this family."""
    if not isinstance(family, allowed):
        names = " or ".join(repr(a.name) for a in allowed)
        raise ValueError(f"{name} cannot act in {family.name!r}; give a family {names}{hint and '; ' + hint}")


class PlanMemory(NamedTuple):
    """What is believed of the MDP, and the values planned at the start of the episode, (T, E, H, S, A)."""

    belief: ModelBelief
    q: Tensor


class BestGuess:
    """What every action is worth if the posterior mean is taken for the truth, in a bandit or a tabular MDP.

    Parameters
    ----------
    name : str
        The reference that asks, for its errors.
    reward_prior_mean : float, optional
        Tabular MDP only: the prior mean of a reward, by default the family's own.
    replan : bool
        Tabular MDP only: plan at every step, not only at the first one of an episode.
    """

    def __init__(self, name: str, family: TaskFamily, reward_prior_mean: float | None, replan: bool = False) -> None:
        check_family(name, family, BernoulliBandit, TabularMDP)
        self.family, self.spec, self.replan = family, family.spec, replan
        if isinstance(family, TabularMDP):
            mean = family.reward_mean if reward_prior_mean is None else reward_prior_mean
            self.prior = family.prior._replace(reward_mean=mean)
        elif reward_prior_mean is not None:
            raise ValueError(f"{name}: reward_prior_mean={reward_prior_mean} has no meaning in a bandit; leave it out")

    def begin(self, n_tasks: int, copies: int, device: torch.device) -> Memory:
        """Counts of a bandit, or a ``PlanMemory``, before the first step of a trial."""
        if isinstance(self.family, BernoulliBandit):
            return no_pulls(n_tasks, copies, self.spec.action_size, device)
        belief = nothing_known(n_tasks, copies, self.spec.observation_size, self.spec.action_size, device)
        return PlanMemory(belief, belief.pulls.new_zeros(n_tasks, copies, self.spec.horizon, *belief.pulls.shape[2:]))

    def values(self, memory: Memory, seen: Seen) -> tuple[Tensor, Memory]:
        """Action values (T, E, A), and the memory with the last transition taken in."""
        if isinstance(self.family, BernoulliBandit):
            counts = count_pull(memory, seen.action, seen.reward)
            return posterior_mean(counts), counts
        belief = take_in(memory.belief, seen.observation.argmax(-1), seen.action, seen.reward, seen.start)
        fresh = seen.step == 0 or self.replan
        q = plan(*mean_model(belief, self.prior), self.spec.horizon) if fresh else memory.q
        return values_at(q, seen.step, belief.state), PlanMemory(belief, q)
