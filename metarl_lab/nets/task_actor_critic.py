"""A policy, its value function and a second value function for every task, all tasks in one batched product a layer."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from metarl_lab.nets.batched_mlp import BatchedMLP, Weights
from metarl_lab.nets.mlp import MLPPolicy
from metarl_lab.ops.distributions import Distribution
from metarl_lab.ops.inner_step import expand
from metarl_lab.types import Episodes, Spec, map_tensors

_TINY = 1e-12  # below the square of any gradient that matters: the root of 0 has no derivative


class ActorCritic(NamedTuple):
    """Every task's own weights, each (T, ...)."""

    policy: Weights
    value: Weights
    outer_value: Weights


class TaskActorCritic(nn.Module):
    """The networks, and the initial weights that all tasks start from.

    Parameters
    ----------
    spec : Spec
        The family's spaces.
    hidden : tuple of int
        Units of each hidden layer, of all three alike; () is tabular, for one-hot observations.
    activation : "tanh" or "relu"
    """

    def __init__(self, spec: Spec, hidden: tuple[int, ...], activation: str) -> None:
        super().__init__()
        self.actor = MLPPolicy(spec, hidden, activation, output_gain=0.1)
        sizes = (spec.observation_size, *hidden, 1)
        self.critic = BatchedMLP(sizes, activation=activation, output_gain=0.1)
        self.outer_critic = BatchedMLP(sizes, activation=activation, output_gain=0.1)

    def initial(self, n_tasks: int) -> ActorCritic:
        """The initial weights as every task's own, without a copy."""
        return ActorCritic(
            policy=expand(self.actor.parameters_by_name(), n_tasks),
            value=_for_every_task(self.critic, n_tasks),
            outer_value=_for_every_task(self.outer_critic, n_tasks),
        )

    def policy(self, weights: Weights, observation: Tensor) -> Distribution:
        """What each task's own policy does: observation (T, N, O)."""
        return self.actor.per_task(weights, observation)

    def values(self, weights: Weights, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """V(s_t) and V(s_{t+1}) by each task's own weights, (T, E, K, H) each; s_H is ``final_observation``."""
        final = episodes.final_observation.unsqueeze(3)
        states = torch.cat((episodes.observation, final), 3)  # (T, E, K, H + 1, O)
        values = self.critic(states.flatten(1, 3), weights).view(states.shape[:-1])  # (T, E, K, H + 1)
        return values[..., :-1], values[..., 1:]


def _for_every_task(critic: BatchedMLP, n_tasks: int) -> Weights:
    """The weights of one network as n_tasks views of them, (T, in, out) each."""
    return {name: weight.expand(n_tasks, *weight.shape[1:]) for name, weight in critic.weights().items()}


class Kept(nn.Module):
    """The agents' weights as buffers, so that they survive a resume."""

    def __init__(self, agent: ActorCritic) -> None:
        super().__init__()
        for part, weights in agent._asdict().items():
            for name, weight in weights.items():
                self.register_buffer(f"{part}_{name}", weight.detach().clone())

    def __len__(self) -> int:
        """T, the number of agents."""
        return len(next(self.buffers()))

    def load(self) -> ActorCritic:
        """What was saved last; copies."""
        return ActorCritic(
            policy=self._copies("policy"), value=self._copies("value"), outer_value=self._copies("outer_value")
        )

    def save(self, agent: ActorCritic) -> None:
        """Overwrite in place."""
        for part, weights in agent._asdict().items():
            for name, weight in weights.items():
                self.get_buffer(f"{part}_{name}").copy_(weight)

    def _copies(self, part: str) -> Weights:
        """The weights of one part, by their own names."""
        prefix = f"{part}_"  # no part's name begins another's
        copies: Weights = {}
        for buffer_name, weight in self.named_buffers():
            if buffer_name.startswith(prefix):
                copies[buffer_name.removeprefix(prefix)] = weight.clone()
        return copies


def held(agent: Any, trainable: bool = False) -> Any:
    """The same weights, cut off from how they came about."""
    return map_tensors(lambda weight: weight.detach().requires_grad_(trainable), agent)


def live_share(episodes: Episodes) -> Tensor:
    """The weight of each live step in its task's mean, (T, E, K, H): 1 over their number, and 0 where not live."""
    return episodes.mask / episodes.mask.sum((1, 2, 3), keepdim=True)


def steps_along(weights: Weights, size: float, longest: float, *terms: tuple[Tensor, Tensor]) -> Weights:
    """w + size g, g = sum over terms (y, c) of sum c dy/dw; each task's g cut down to norm ``longest``.

    c is a constant to this gradient, and whatever c depends on (a learned discount) may be differentiated in the
    result. y and c have the task axis first; a task's y depends on its own row of the weights alone.
    """
    outputs = [output for output, _ in terms]
    coefficients = [coefficient for _, coefficient in terms]
    gradients = torch.autograd.grad(outputs, list(weights.values()), coefficients, create_graph=True)

    squares = [gradient.flatten(1).square().sum(1) for gradient in gradients]  # (T,) of each weight
    norm = torch.stack(squares).sum(0).clamp_min(_TINY).sqrt()  # (T,)
    scale = size * (longest / norm).clamp_max(1.0)  # (T,)

    stepped: Weights = {}
    for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
        own_scale = scale.view(-1, *[1] * (weight.ndim - 1))  # (T, 1, ...)
        stepped[name] = weight + own_scale * gradient
    return stepped
