"""Policies and critics for several discounts at once, as heads on a sequence core (Grigsby et al. 2023, 2310.09971).

Axes: ``G`` discounts, ``N`` critics of each. What an actor would do is one vector of A numbers, a *choice*: the
probabilities of discrete actions (one-hot for an action taken), or one action u of a box, each dimension in -1..1.
The value of a choice is then one formula: exact, sum_a choice_a Q(a), where actions are discrete, else Q(u).
"""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import one_hot

from metarl_lab.ops.distributions import Categorical
from metarl_lab.ops.soft import SquashedGaussian, action_box, polyak
from metarl_lab.types import Spec

_Module = TypeVar("_Module", bound=nn.Module)
_LOG_STD = (-5.0, 1.0)  # of a box action before it is squashed: outside, sampling or gradients die


class ActorHeads(nn.Module):
    """One hidden layer, then a policy for each discount: out (..., inputs) -> distribution over (..., G[, A])."""

    centre: Tensor
    half_width: Tensor

    def __init__(self, spec: Spec, inputs: int, units: int, discounts: int) -> None:
        super().__init__()
        self.discrete, self.shape = spec.discrete, (discounts, spec.action_size * (1 if spec.discrete else 2))
        last = nn.Linear(units, math.prod(self.shape))
        nn.init.orthogonal_(last.weight, 0.01)  # small: the first policies are close to uniform
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(nn.Linear(inputs, units), nn.ReLU(), last)
        self.choices = (discounts, spec.action_size)  # what a choice for every discount adds to the shape of ``out``
        sizes = (torch.zeros(0), torch.ones(0)) if spec.discrete else action_box(spec)
        self.register_buffer("centre", sizes[0], persistent=False)
        self.register_buffer("half_width", sizes[1], persistent=False)

    def forward(self, out: Tensor) -> Categorical | SquashedGaussian:
        y = self.net(out).unflatten(-1, self.shape)
        if self.discrete:
            return Categorical(y)
        mean, log_std = y.chunk(2, -1)
        low, high = _LOG_STD
        return SquashedGaussian(mean, low + (high - low) * (log_std + 1.4).sigmoid())

    def act(self, out: Tensor, noise: Tensor, at_random: Tensor) -> Tensor:
        """An action of the last discount's policy, or a uniform one where ``at_random`` (...) says so.

        out (..., inputs), noise (..., 1) or (..., A) -> (...) int64 or (..., A), in the units of the family.
        """
        policy = self(out)
        drawn = type(policy)(*(x[..., -1, :] for x in policy)).sample(noise)
        if self.discrete:
            return torch.where(at_random, (noise[..., 0] * self.shape[1]).long(), drawn)
        return self.centre + self.half_width * torch.where(at_random.unsqueeze(-1), 2 * noise - 1, drawn)

    def choice(self, action: Tensor) -> Tensor:
        """The choice (..., A) that an action of the family is."""
        if self.discrete:
            return one_hot(action, self.shape[1]).float()
        return (action - self.centre) / self.half_width


def draw(policy: Categorical | SquashedGaussian, noise: Tensor) -> tuple[Tensor, Tensor]:
    """A choice (..., A) that policy gradients pass through, and the entropy (...), nats (estimated, for a box).

    noise (..., A) is not read where actions are discrete.
    """
    if isinstance(policy, Categorical):
        return policy.logits.softmax(-1), policy.entropy()
    u, log_prob = policy.sample_with_log_prob(noise)
    return u, -log_prob


class CriticHeads(nn.Module):
    """N multilayer perceptrons with one hidden layer, apart from each other: out (..., inputs) and choice -> values.

    Computed as batched products. Weights start uniform on +- 1 / sqrt(inputs), a hundredth of that in the last layer:
    first values are close to zero.
    """

    def __init__(self, spec: Spec, inputs: int, units: int, discounts: int, members: int) -> None:
        super().__init__()
        self.discrete, self.shape = spec.discrete, (discounts, spec.action_size)
        first, last = (
            (inputs, discounts * spec.action_size) if spec.discrete else (inputs + spec.action_size, discounts)
        )
        self.weight0 = nn.Parameter(torch.empty(members, first, units).uniform_(-1, 1) / math.sqrt(first))
        self.bias0 = nn.Parameter(torch.zeros(members, 1, units))
        self.weight1 = nn.Parameter(torch.empty(members, units, last).uniform_(-1, 1) * (0.01 / math.sqrt(units)))
        self.bias1 = nn.Parameter(torch.zeros(members, 1, last))

    def forward(self, out: Tensor, choice: Tensor) -> Tensor:
        """out (..., inputs), choice (..., G, A), or (..., 1, A) when all discounts share it -> (N, ..., G)."""
        if self.discrete:
            return (self._net(out).unflatten(-1, self.shape) * choice).sum(-1)
        shared = out.unsqueeze(-2).expand(*choice.shape[:-1], -1)
        q = self._net(torch.cat((shared, choice), -1))  # (N, ..., G or 1, G)
        return q.squeeze(-2) if choice.shape[-2] == 1 else q.diagonal(dim1=-2, dim2=-1)

    @torch.no_grad()
    def scale_outputs(self, factor: Tensor) -> None:
        """Multiply the values of each discount by its factor, (G,), in place."""
        each = factor.repeat_interleave(self.weight1.shape[-1] // len(factor))
        self.weight1.mul_(each)
        self.bias1.mul_(each)

    def _net(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, -2).expand(len(self.weight0), -1, -1)  # (N, M, first)
        hidden = torch.baddbmm(self.bias0, flat, self.weight0).relu()
        return torch.baddbmm(self.bias1, hidden, self.weight1).unflatten(1, x.shape[:-1])


def imitation(policy: Categorical | SquashedGaussian, best: Tensor) -> Tensor:
    """Cross-entropy of the best choice (..., A), its squared error for a box (a mean, no posterior) -> (..., G)."""
    if isinstance(policy, Categorical):
        return -(policy.logits.log_softmax(-1) * best.unsqueeze(-2)).sum(-1)
    return (policy.mode() - best.unsqueeze(-2)).square().sum(-1)


def judged(critic: CriticHeads, out: Tensor, choice: Tensor) -> Tensor:
    """The critics' values (N, ..., G), whose gradient reaches the choice alone: neither the critics nor ``out``."""
    still = {name: x.detach() for name, x in critic.named_parameters()}
    return functional_call(critic, still, (out.detach(), choice))


def frozen(module: _Module) -> _Module:
    """A copy whose weights are buffers: stored with a learner, and trained by no gradient."""
    own = copy.deepcopy(module)
    for part in list(own.modules()):
        for name, weight in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, weight.detach())
    return own


def follow(target: nn.Module, source: nn.Module, share: float) -> None:
    """Polyak averaging, in place: target += share (source - target); the target was made by ``frozen``."""
    kept = dict(target.named_buffers())
    names, sources = zip(*source.named_parameters(), strict=True)
    polyak([kept[name] for name in names], sources, share)
