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

from metarl_lab.nets.unit_box import UnitBox
from metarl_lab.ops.distributions import Categorical
from metarl_lab.ops.soft import SquashedGaussian, polyak
from metarl_lab.types import Spec

Policy = Categorical | SquashedGaussian
_Module = TypeVar("_Module", bound=nn.Module)
_LOG_STD = (-5.0, 1.0)  # of a box action before it is squashed: outside, sampling or gradients die
_FIRST_LOG_STD = 1.4  # before the sigmoid: at first a log deviation of -0.2, so that nearly all of the box is tried


class ActorHeads(nn.Module):
    """One hidden layer, then a policy for each discount: out (..., inputs) -> distribution over (..., G[, A])."""

    def __init__(self, spec: Spec, inputs: int, units: int, discounts: int) -> None:
        super().__init__()
        self.discrete = spec.discrete
        self.actions = spec.action_size
        self.choices = (discounts, self.actions)  # what a choice for every discount adds to the shape of ``out``
        if spec.discrete:
            self.shape = (discounts, self.actions)  # a logit for each
        else:
            self.shape = (discounts, 2 * self.actions)  # mean and spread of each dimension

        last = nn.Linear(units, math.prod(self.shape))
        nn.init.orthogonal_(last.weight, 0.01)  # small: the first policies are close to uniform
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(nn.Linear(inputs, units), nn.ReLU(), last)
        self.box = UnitBox(spec)

    def forward(self, out: Tensor) -> Policy:
        """The policy of every discount."""
        numbers = self.net(out).unflatten(-1, self.shape)  # (..., G, A or 2 A)
        if self.discrete:
            return Categorical(numbers)
        mean, raw_log_std = numbers.chunk(2, -1)
        low, high = _LOG_STD
        log_std = low + (high - low) * (raw_log_std + _FIRST_LOG_STD).sigmoid()
        return SquashedGaussian(mean, log_std)

    def act(self, out: Tensor, noise: Tensor, at_random: Tensor) -> Tensor:
        """An action of the last discount's policy, or a uniform one where ``at_random`` (...) says so.

        out (..., inputs), noise (..., 1) or (..., A) -> (...) int64 or (..., A), in the units of the family.
        """
        policy = self(out)
        if isinstance(policy, Categorical):
            of_last = Categorical(policy.logits[..., -1, :])
            uniform_index = (noise[..., 0] * self.actions).long()
            return torch.where(at_random, uniform_index, of_last.sample(noise))
        of_last_box = SquashedGaussian(policy.mean[..., -1, :], policy.log_std[..., -1, :])
        uniform = 2 * noise - 1  # on the whole box
        chosen = torch.where(at_random.unsqueeze(-1), uniform, of_last_box.sample(noise))
        return self.box.from_unit(chosen)

    def choice(self, action: Tensor) -> Tensor:
        """The choice (..., A) that an action of the family is."""
        if self.discrete:
            return one_hot(action, self.actions).float()
        return self.box.to_unit(action)


def draw(policy: Policy, noise: Tensor) -> tuple[Tensor, Tensor]:
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
        self.discrete = spec.discrete
        self.shape = (discounts, spec.action_size)
        if spec.discrete:
            reads = inputs
            values = discounts * spec.action_size  # Q of each action
        else:
            reads = inputs + spec.action_size  # the action is an input
            values = discounts
        self.weight0 = nn.Parameter(torch.empty(members, reads, units).uniform_(-1, 1) / math.sqrt(reads))
        self.bias0 = nn.Parameter(torch.zeros(members, 1, units))
        self.weight1 = nn.Parameter(torch.empty(members, units, values).uniform_(-1, 1) * (0.01 / math.sqrt(units)))
        self.bias1 = nn.Parameter(torch.zeros(members, 1, values))

    def forward(self, out: Tensor, choice: Tensor) -> Tensor:
        """out (..., inputs), choice (..., G, A), or (..., 1, A) when all discounts share it -> (N, ..., G)."""
        if self.discrete:
            of_actions = self._net(out).unflatten(-1, self.shape)  # (N, ..., G, A)
            return (of_actions * choice).sum(-1)
        beside_each_choice = out.unsqueeze(-2).expand(*choice.shape[:-1], -1)
        q = self._net(torch.cat((beside_each_choice, choice), -1))  # (N, ..., G or 1 choices, G critics)
        if choice.shape[-2] == 1:
            return q.squeeze(-2)
        return q.diagonal(dim1=-2, dim2=-1)  # of each discount's own choice

    @torch.no_grad()
    def scale_outputs(self, factor: Tensor) -> None:
        """Multiply the values of each discount by its factor, (G,), in place."""
        outputs_of_each = self.weight1.shape[-1] // len(factor)  # A where actions are discrete, else 1
        of_outputs = factor.repeat_interleave(outputs_of_each)
        self.weight1.mul_(of_outputs)
        self.bias1.mul_(of_outputs)

    def _net(self, x: Tensor) -> Tensor:
        """The perceptrons' outputs, x (..., reads) -> (N, ..., values)."""
        members = len(self.weight0)
        flat = x.flatten(0, -2).expand(members, -1, -1)
        hidden = torch.baddbmm(self.bias0, flat, self.weight0).relu()
        values = torch.baddbmm(self.bias1, hidden, self.weight1)
        return values.unflatten(1, x.shape[:-1])


def imitation(policy: Policy, best: Tensor) -> Tensor:
    """Cross-entropy of the best choice (..., A), its squared error for a box (a mean, no posterior) -> (..., G)."""
    if isinstance(policy, Categorical):
        return -(policy.logits.log_softmax(-1) * best.unsqueeze(-2)).sum(-1)
    return (policy.mode() - best.unsqueeze(-2)).square().sum(-1)


def judged(critic: CriticHeads, out: Tensor, choice: Tensor) -> Tensor:
    """The critics' values (N, ..., G), whose gradient reaches the choice alone: neither the critics nor ``out``."""
    constants = {name: weight.detach() for name, weight in critic.named_parameters()}
    return functional_call(critic, constants, (out.detach(), choice))


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
    followers = dict(target.named_buffers())
    sources = dict(source.named_parameters())
    polyak([followers[name] for name in sources], list(sources.values()), share)
