"""A learned update rule: a recurrent network that reads a trajectory backwards and says how the agent should change."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarl_lab.nets.recurrent import GRUCore

_INPUTS = 5  # reward, going on, pi(a|s), embedded y(s), embedded y(s')


class Targets(NamedTuple):
    """What the rule says to each step of T tasks' N episodes."""

    pi_hat: Tensor  # (T, N, H): how much to raise log pi(a_t | s_t), negative to lower it
    log_y_hat: Tensor  # (T, N, H, m): log of the categorical that y(s_t) should become


class UpdateRule(nn.Module):
    """(r_t, going on, pi(a_t | s_t), e(y(s_t)), e(y(s_{t+1}))) read from the last step to the first -> pi_hat, y_hat.

    A GRU runs backwards over each episode, from a zero state at its last live step: what it says about step t depends
    on step t and later, and nothing crosses from one episode into another. The embedding e: m -> 1 is shared between
    both predictions; that of s_{t+1} is 0 after a termination. The network meets neither states nor actions, only the
    probability of the one that was taken, so one rule serves every number of states and actions.

    Parameters
    ----------
    categories : int
        m, the size of the agents' predictions. What they mean is for the rule to invent.
    hidden : int
        GRU units.
    embedding : int
        Units of the hidden layer of e.
    span : float
        Steps that the slowest unit remembers at first: update gates start at tau / (1 + tau), tau spread evenly from 1
        (half is gone per step) to ``span`` over the units; chrono initialisation, Tallec & Ollivier 2018, arXiv
        1804.11188.
    """

    def __init__(self, categories: int, hidden: int, embedding: int, span: float = 1.0) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(categories, embedding), nn.Tanh(), nn.Linear(embedding, 1))
        self.core = GRUCore(_INPUTS, hidden)
        self.core.reset_parameters()
        with torch.no_grad():  # torch's order of gates: reset, update, new; h = (1 - z) n + z h
            self.core.gru.all_weights[0][2][hidden : 2 * hidden] = torch.linspace(1, span, hidden).log()
        self.to_pi_hat = nn.Linear(hidden, 1)
        self.to_y_hat = nn.Linear(hidden, categories)
        for head in (self.to_pi_hat, self.to_y_hat):  # at first agents hardly move
            with torch.no_grad():
                head.weight.mul_(0.1)
                head.bias.zero_()

    def forward(
        self, reward: Tensor, terminated: Tensor, live: Tensor, pi: Tensor, y: Tensor, y_next: Tensor
    ) -> Targets:
        """reward, terminated, live, pi (T, N, H); y, y_next (T, N, H, m), probabilities -> ``Targets``."""
        going_on = (~terminated).to(reward.dtype)
        # in units of the uniform categorical, where every agent starts
        here, ahead = (self.embed(p * p.shape[-1]).squeeze(-1) for p in (y, y_next))
        x = torch.stack((reward, going_on, pi, here, ahead * going_on), -1)  # (T, N, H, 5)
        rows, there = x.flatten(0, 1).transpose(0, 1), backwards(live.flatten(0, 1))  # (H, B, 5), (H, B)
        flipped = rows.gather(0, there.unsqueeze(-1).expand_as(rows))
        out, _ = self.core.unroll(flipped, self.core.initial(rows.shape[1]))
        out = out.gather(0, there.unsqueeze(-1).expand_as(out))  # the order is its own inverse
        out = out.transpose(0, 1).unflatten(0, live.shape[:2])  # (T, N, H, hidden)
        return Targets(self.to_pi_hat(out).squeeze(-1), self.to_y_hat(out).log_softmax(-1))


def backwards(live: Tensor) -> Tensor:
    """The order that turns each row's live steps round and leaves the others in place, (H, B); live (B, H), live first.

    Step 0 of the result is the last live step, wherever that is: a recurrence over it starts afresh in every row.
    """
    length = live.sum(1)  # (B,)
    step = torch.arange(live.shape[1], device=live.device).unsqueeze(1)  # (H, 1)
    return torch.where(step < length, length - 1 - step, step)
