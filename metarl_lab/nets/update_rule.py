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
    """(r_t, going on, pi(a_t | s_t), e(y(s_t)), e(y(s_{t+1}))) read from the last step to the first -> pi_hat, y_hat
    (Oh et al. 2020, arXiv 2007.08794, section 3.1 and appendix B.1; theirs reads the discount too).

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
        # What the network reads of each step: x_t = [r_t, d_t, pi(a_t | s_t), e(y(s_t)), e(y(s_{t+1}))].
        going_on = (~terminated).to(reward.dtype)
        categories = y.shape[-1]  # predictions in units of the uniform categorical, where every agent starts
        here = self.embed(y * categories).squeeze(-1)
        ahead = self.embed(y_next * categories).squeeze(-1) * going_on  # nothing follows a termination
        x = torch.stack((reward, going_on, pi, here, ahead), -1)  # (T, N, H, 5)

        # Each episode turned round, from its last live step to its first; B = T N episodes.
        rows = x.flatten(0, 1).transpose(0, 1)  # (H, B, 5)
        order = backwards(live.flatten(0, 1)).unsqueeze(-1)  # (H, B, 1)
        reversed_rows = rows.gather(0, order.expand_as(rows))
        read, _ = self.core.unroll(reversed_rows, self.core.initial(rows.shape[1]))  # (H, B, hidden)

        # Back in the order acted (turning round twice changes nothing), the two targets of each step.
        read = read.gather(0, order.expand_as(read))
        read = read.transpose(0, 1).unflatten(0, live.shape[:2])  # (T, N, H, hidden)
        return Targets(self.to_pi_hat(read).squeeze(-1), self.to_y_hat(read).log_softmax(-1))


def backwards(live: Tensor) -> Tensor:
    """The order that turns each row's live steps round and leaves the others in place, (H, B); live (B, H), live first.

    Step 0 of the result is the last live step, wherever that is: a recurrence over it starts afresh in every row.
    """
    length = live.sum(1)  # (B,)
    step = torch.arange(live.shape[1], device=live.device).unsqueeze(1)  # (H, 1)
    return torch.where(step < length, length - 1 - step, step)
