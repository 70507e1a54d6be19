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
        critics = (
            {k: w.expand(n_tasks, *w.shape[1:]) for k, w in net.weights().items()}
            for net in (self.critic, self.outer_critic)
        )
        return ActorCritic(expand(self.actor.parameters_by_name(), n_tasks), *critics)

    def policy(self, weights: Weights, observation: Tensor) -> Distribution:
        """What each task's own policy does: observation (T, N, O)."""
        return self.actor.per_task(weights, observation)

    def values(self, weights: Weights, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """V(s_t) and V(s_{t+1}) by each task's own weights, (T, E, K, H) each; s_H is ``final_observation``."""
        seen = torch.cat((episodes.observation, episodes.final_observation.unsqueeze(3)), 3)  # (T, E, K, H + 1, O)
        v = self.critic(seen.flatten(1, 3), weights).view(seen.shape[:-1])
        return v[..., :-1], v[..., 1:]


class Kept(nn.Module):
    """A nesting of weights as buffers, so that it survives a resume."""

    def __init__(self, agent: ActorCritic) -> None:
        super().__init__()
        for part, weights in agent._asdict().items():
            for key, w in weights.items():
                self.register_buffer(f"{part}_{key}", w.detach().clone())

    def __len__(self) -> int:
        return len(next(self.buffers()))

    def load(self) -> ActorCritic:
        """What was saved last; copies."""
        parts: dict[str, Weights] = {}
        for name, w in self.named_buffers():
            part, key = name.rsplit("_", 1)
            parts.setdefault(part, {})[key] = w.clone()
        return ActorCritic(**parts)

    def save(self, agent: ActorCritic) -> None:
        """Overwrite in place."""
        for part, weights in agent._asdict().items():
            for key, w in weights.items():
                self.get_buffer(f"{part}_{key}").copy_(w)


def held(agent: Any, trainable: bool = False) -> Any:
    """The same weights, cut off from how they came about."""
    return map_tensors(lambda w: w.detach().requires_grad_(trainable), agent)


def live_share(episodes: Episodes) -> Tensor:
    """Of each live step in its task's mean, (T, E, K, H)."""
    return episodes.mask / episodes.mask.sum((1, 2, 3), keepdim=True)


def steps_along(weights: Weights, size: float, longest: float, *terms: tuple[Tensor, Tensor]) -> Weights:
    """w + size g, g = sum over terms (y, c) of sum c dy/dw; each task's g cut down to norm ``longest``.

    c is a constant to this gradient, and whatever c depends on (a learned discount) may be differentiated in the
    result. y and c have the task axis first; a task's y depends on its own row of the weights alone.
    """
    outputs, by = zip(*terms, strict=True)
    slopes = torch.autograd.grad(outputs, list(weights.values()), by, create_graph=True)
    norm = torch.stack([g.flatten(1).square().sum(1) for g in slopes]).sum(0).clamp_min(1e-12).sqrt()  # (T,)
    scale = size * (longest / norm).clamp_max(1.0)
    return {k: w + scale.view(-1, *[1] * (w.ndim - 1)) * g for (k, w), g in zip(weights.items(), slopes, strict=True)}
