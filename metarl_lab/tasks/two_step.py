"""The two-step task: a choice, a common or a rare transition, a reward; which state pays reverses now and then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.tasks.base import TaskFamily, check_positive, check_split, split_uniform
from metarl_lab.types import Spec


class TwoStepTasks(NamedTuple):
    """``good`` (T, H) int64: the second-stage state, 0 or 1, that pays at each choice of the episode. ``straight``
    (T,): the chance that action 0 leads to state 0, and action 1 to state 1."""

    good: Tensor
    straight: Tensor


class TwoStepState(NamedTuple):
    """``second`` (T, E) int64: the second-stage state last reached, -1 before the first choice; ``step`` (T, E)."""

    second: Tensor
    step: Tensor


@dataclass(frozen=True)
class TwoStep(TaskFamily):
    """Choose one of two actions, H times; action i leads to second-stage state i (common), or to the other (rare).

    One env step is one whole two-step choice. With a the action, s the state reached, G the good one, and the defaults
    of the 2018 form:

        P(s = a) = 0.8,    P(r = 1 | s = G) = 0.9,    P(r = 1 | s != G) = 0.1,    P(G reverses) = 0.025,

    the last between any two choices; the first G is either state with chance 1/2. What was reached is the next
    observation (one-hot, zeros at the start), beside the reward. The 2016 form is ``common=0.75, reversal=0``: G stays
    for the whole episode.

    A task is the whole course of G, so that the oracle can know it, and an episode is a trial: a second episode of
    the same task runs the same course again. Courses repeat by chance, so train and test are independent draws from
    one prior (``finite``). Out of distribution rare and common are exchanged: action i leads to the *other* state with
    0.8, which an agent that holds the transitions in its weights cannot know.

    Rewards are 0 or 1 per choice.
    """

    name: ClassVar[str] = "two_step"
    source: ClassVar[str] = (
        "Wang et al. 2018, Prefrontal cortex as a meta-reinforcement learning system, simulation 4; "
        "Wang et al. 2016, arXiv 1611.05763, section 3.2.1; after Daw et al. 2011"
    )
    finite: ClassVar[bool] = True

    common: float = 0.8
    """Probability of the common transition, above 0.5 and at most 1."""
    pays: float = 0.9
    """Probability of a reward in the good state, above 0.5 and at most 1; in the other state, 1 minus this."""
    reversal: float = 0.025
    """Probability that the good state changes between two choices, at least 0 and below 0.5."""
    horizon: int = 100
    """Choices per episode, H."""

    def __post_init__(self) -> None:
        check_positive("two_step", horizon=self.horizon)
        if not (0.5 < self.common <= 1 and 0.5 < self.pays <= 1 and 0 <= self.reversal < 0.5):
            raise ValueError(
                f"two_step: common={self.common!r}, pays={self.pays!r}, reversal={self.reversal!r} is not allowed; "
                "give common and pays above 0.5 and at most 1, and a reversal of at least 0 and below 0.5"
            )

    @property
    def spec(self) -> Spec:
        observation = gym.spaces.Box(0.0, 1.0, (2,), np.float32)
        return Spec(observation, gym.spaces.Discrete(2), horizon=self.horizon, step_noise=2)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> TwoStepTasks:
        check_split(split)
        u = split_uniform((n, self.horizon), split, generator)
        # the first number says which state is good first; each later one whether it reverses before that choice
        limit = torch.full((self.horizon,), self.reversal, device=u.device)
        limit[0] = 0.5
        good = (u < limit).long().cumsum(1) % 2
        straight = 1 - self.common if split == "ood" else self.common
        return TwoStepTasks(good, torch.full((n,), straight, device=u.device))

    def reset(self, tasks: TwoStepTasks, noise: Tensor) -> TwoStepState:
        zeros = torch.zeros(noise.shape[:2], dtype=torch.int64, device=noise.device)
        return TwoStepState(zeros - 1, zeros)

    def step(
        self, tasks: TwoStepTasks, state: TwoStepState, action: Tensor, noise: Tensor
    ) -> tuple[TwoStepState, Tensor, Tensor]:
        goes_straight = noise[..., 0] < tasks.straight.unsqueeze(1)  # (T, E)
        second = torch.where(goes_straight, action, 1 - action)
        good = tasks.good.gather(1, state.step.clamp_max(self.horizon - 1))
        # u < p in the good state, u >= p in the other: chances p and 1 - p
        paid = (noise[..., 1] < self.pays) == (second == good)
        return TwoStepState(second, state.step + 1), paid.float(), torch.zeros_like(paid)

    def observe(self, tasks: TwoStepTasks, state: TwoStepState) -> Tensor:
        return (state.second.unsqueeze(-1) == torch.arange(2, device=state.second.device)).float()

    def oracle(self, tasks: TwoStepTasks) -> Tensor:
        """H (c p + (1 - c)(1 - p)), with the good state known at every choice: 74 in the 2018 form, 70 in that of 2016.

        An action changes nothing but its own reward, so the best is the one that is likelier to reach the good state.
        """
        c, p = self.common, self.pays
        return torch.full_like(tasks.straight, self.horizon * (c * p + (1 - c) * (1 - p)))

    def best_action(self, tasks: TwoStepTasks, observation: Tensor, step: int) -> Tensor:
        good = tasks.good[:, step]
        best = torch.where(tasks.straight > 0.5, good, 1 - good)  # (T,)
        return best.unsqueeze(1).expand(observation.shape[:2])
