"""Tasks that are models: episodes acted out in learned dynamics, by the same rollout as real ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import gymnasium as gym
import torch
from torch import Tensor

from metarl_lab.nets.batched_mlp import Weights
from metarl_lab.nets.dynamics import Imagined
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import Spec


class Model(Protocol):
    """What ``ImaginedFamily`` needs of learned dynamics; ``nets.dynamics.DynamicsEnsemble`` answers to it."""

    def predict(self, observation: Tensor, action: Tensor, weights: Weights | None = None) -> Imagined: ...


class ImaginedTasks(NamedTuple):
    """T models, and where their episodes begin."""

    start: Tensor  # (T, S, O) observations in which real episodes of the task began; one of them is drawn
    weights: Weights  # of each task's model, (T, ...)


class ImaginedState(NamedTuple):
    """``observation`` (T, E, O): all that is known of a state."""

    observation: Tensor


@dataclass(frozen=True)
class ImaginedFamily(TaskFamily):
    """Episodes that a model makes up. A task is the weights of one model, so a meta-learner that adapts to tasks adapts
    to models.

    Spaces and horizon are the real family's. Actions are clipped to its action box and observations to its observation
    box, which a real step would not leave either. It is in no catalog: its tasks are not drawn, but built from weights.
    """

    model: Model
    """The shape of the networks, and the units of their inputs and outputs."""
    real: Spec
    """The spec of the family that is imagined."""

    @property
    def spec(self) -> Spec:
        return replace(self.real, reset_noise=1, step_noise=int(self.real.terminates))

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> ImaginedTasks:
        raise ValueError("imagined tasks are not drawn; build ImaginedTasks(start, weights) from fitted models")

    def reset(self, tasks: ImaginedTasks, noise: Tensor) -> ImaginedState:
        count = tasks.start.shape[1]
        chosen = (noise[..., 0] * count).long().clamp_max(count - 1)  # (T, E)
        return ImaginedState(tasks.start[torch.arange(len(chosen), device=chosen.device).unsqueeze(1), chosen])

    def step(
        self, tasks: ImaginedTasks, state: ImaginedState, action: Tensor, noise: Tensor
    ) -> tuple[ImaginedState, Tensor, Tensor]:
        told = self.model.predict(state.observation, inside(self.real.action_space, action), tasks.weights)
        over = noise[..., 0] >= told.live if self.real.terminates else torch.zeros_like(told.live, dtype=torch.bool)
        return ImaginedState(inside(self.real.observation_space, told.observation)), told.reward, over

    def observe(self, tasks: ImaginedTasks, state: ImaginedState) -> Tensor:
        return state.observation


def inside(space: gym.spaces.Box | gym.spaces.Discrete, x: Tensor) -> Tensor:
    """The nearest point of a box, (..., dimensions); an index stays as it is."""
    if isinstance(space, gym.spaces.Discrete):
        return x
    low, high = (torch.as_tensor(bound, device=x.device) for bound in (space.low, space.high))
    return x.maximum(low).minimum(high)
