"""A recurrent actor-critic: what was seen -> GRU -> action distribution and value."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarl_lab.ops.distributions import Categorical, DiagonalGaussian, Distribution
from metarl_lab.ops.gru import gru_unroll
from metarl_lab.types import Episodes, Seen, Spec


class Sequences(NamedTuple):
    """Trials as the recurrent network reads them: L = K H steps, B = T E trials, live steps first."""

    x: Tensor  # (L, B, I) what was seen, encoded
    action: Tensor  # (L, B) or (L, B, A)
    reward: Tensor  # (L, B), 0 where not live
    live: Tensor  # (L, B) bool


class RecurrentActorCritic(nn.Module):
    """GRU over (observation, last action, last reward, episode start), a policy head and a value head.

    Everything is step-major: inputs (L, B, I) with L steps and B trials; hidden states (B, hidden).
    """

    def __init__(self, spec: Spec, hidden: int) -> None:
        super().__init__()
        self.discrete = spec.discrete
        self.action_size = spec.action_size
        self.core = nn.GRU(spec.observation_size + spec.action_size + 2, hidden)
        self.policy = nn.Linear(hidden, spec.action_size)
        self.value = nn.Linear(hidden, 1)
        self.log_std = nn.Parameter(torch.zeros(0 if spec.discrete else spec.action_size))
        for name, weight in self.core.named_parameters():
            if "weight" in name:
                for gate in weight.chunk(3):  # one orthogonal block per gate
                    nn.init.orthogonal_(gate)
            else:
                nn.init.zeros_(weight)
        # small: the first policy is close to uniform, the first value close to zero
        nn.init.orthogonal_(self.policy.weight, 0.01)
        nn.init.orthogonal_(self.value.weight, 0.01)
        nn.init.zeros_(self.policy.bias)
        nn.init.zeros_(self.value.bias)

    def encode(self, seen: Seen) -> Tensor:
        """The network's input, (..., I); the missing action before the first step of a trial is all zeros."""
        if self.discrete:
            classes = torch.arange(self.action_size, device=seen.action.device)
            action = (seen.action.unsqueeze(-1) == classes).float()
        else:
            action = seen.action
        rest = torch.stack((seen.reward, seen.start.to(seen.reward.dtype)), -1)
        return torch.cat((seen.observation, action, rest), -1)

    def step(self, x: Tensor, hidden: Tensor) -> Tensor:
        """One step: x (B, I), hidden (B, hidden) -> the next hidden state."""
        return torch.gru_cell(x, hidden, *self.core.all_weights[0])

    def unroll(self, x: Tensor, hidden: Tensor) -> Tensor:
        """All steps: x (L, B, I), the hidden state (B, hidden) before the first -> hidden states (L, B, hidden)."""
        return gru_unroll(x, hidden, self.core)

    def distribution(self, hidden: Tensor) -> Distribution:
        """The action distribution that a hidden state stands for."""
        out = self.policy(hidden)
        return Categorical(out) if self.discrete else DiagonalGaussian(out, self.log_std)


def sequences(net: RecurrentActorCritic, episodes: Episodes) -> Sequences:
    """Lay K episodes of a trial end to end, (L, B, ...), exactly as the network saw them while acting.

    The last transition before step t is the previous *live* step's, also across episodes; steps after a termination
    are moved behind the live ones, so that a plain unroll passes through the hidden states that acted.
    """

    def steps_first(y: Tensor) -> Tensor:  # (T, E, K, H, ...) -> (K H, T E, ...)
        return y.movedim((2, 3), (0, 1)).flatten(0, 1).flatten(1, 2)

    start = torch.zeros_like(episodes.mask)
    start[..., 0] = True
    fields = [steps_first(y) for y in (episodes.observation, episodes.action, episodes.reward, start, episodes.mask)]
    live = fields[-1]
    if not bool(live.all()):
        order = torch.argsort((~live).to(torch.int8), dim=0, stable=True)
        fields = [y.gather(0, order.reshape(order.shape + (1,) * (y.ndim - 2)).expand_as(y)) for y in fields]
    observation, action, reward, start, live = fields
    first_action, first_reward = (y.flatten(0, 1).unsqueeze(0) for y in episodes.before)
    last_action, last_reward = torch.cat((first_action, action[:-1])), torch.cat((first_reward, reward[:-1]))
    x = net.encode(Seen(observation, last_action, last_reward, start, 0))
    return Sequences(x, action, reward, live)
