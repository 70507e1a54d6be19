"""The exact posterior over a hidden goal cell: a visited cell that did not pay is out, one that paid is the goal.

For grids where moves are certain, reward above 0 is paid at the goal only, and the goal rests for a whole trial.
Bayes' rule with likelihoods 0 and 1: p(g | history) is p(g) over the cells not ruled out, divided by its sum.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl_lab.ops.transitions import next_observations
from metarl_lab.types import Episodes


class GoalBelief(NamedTuple):
    """What is believed before the next action, and where it will be taken."""

    probability: Tensor  # (T, E, S): that the goal is in each cell
    cell: Tensor  # (T, E) int64


def nothing_visited(prior: Tensor, n_tasks: int, copies: int) -> GoalBelief:
    """The belief before the first step of a trial. prior (S,)."""
    probability = prior.expand(n_tasks, copies, len(prior)).clone()
    return GoalBelief(probability, torch.zeros(n_tasks, copies, dtype=torch.int64, device=prior.device))


def take_in(belief: GoalBelief, cell: Tensor, action: Tensor, reward: Tensor, successor: Tensor) -> GoalBelief:
    """The belief after the last action (-1: none yet) and its reward, now in ``cell``; all (T, E).

    successor (S, A) gives the cell that an action leads to. It is needed because an agent is never shown the cell in
    which an episode was cut off: at the first step of the next one it sees the start again, but the reward it sees was
    paid for the cell before.
    """
    visited = successor[belief.cell, action.clamp_min(0)]  # (T, E)
    after = _update(belief.probability, visited, reward)
    return GoalBelief(torch.where((action >= 0).unsqueeze(-1), after, belief.probability), cell)


def goal_posteriors(prior: Tensor, episodes: Episodes) -> Tensor:
    """The belief before every step of a trial, and the one after its last step: (T, E, K H + 1, S).

    For episodes whose observation is the cell, one-hot: what an encoder's belief, or a probe of a memory, is compared
    with. prior (S,).
    """
    after, _ = next_observations(episodes)
    visited, reward = after.argmax(-1).flatten(2), episodes.reward.flatten(2)  # (T, E, K H), in the order acted
    beliefs = [prior.expand(*visited.shape[:2], len(prior))]
    for i in range(visited.shape[-1]):
        beliefs.append(_update(beliefs[-1], visited[..., i], reward[..., i]))
    return torch.stack(beliefs, 2)


def sample_goal(belief: GoalBelief, noise: Tensor) -> Tensor:
    """A cell drawn from the belief, (T, E) int64. noise (T, E) uniform."""
    cdf = belief.probability.cumsum(-1)
    # below the whole by a part that rounding cannot bridge: cells of probability 0 at the end are never drawn
    wanted = noise.unsqueeze(-1) * cdf[..., -1:] * (1 - 1e-6)
    return (cdf <= wanted).sum(-1)


def known_goal(belief: GoalBelief) -> tuple[Tensor, Tensor]:
    """The likeliest cell, (T, E) int64, and whether it is certain, (T, E) bool."""
    probability, cell = belief.probability.max(-1)
    return cell, probability > 1 - 1e-5


def towards(goal: Tensor, cell: Tensor, successor: Tensor, distance: Tensor) -> Tensor:
    """Which actions lead to the goal in the fewest steps, 1 or 0 each, (T, E, A).

    goal, cell (T, E); successor (S, A); distance (S, S) in steps. At the goal these are the actions that stay.
    """
    left = distance[successor[cell], goal.unsqueeze(-1)]  # (T, E, A)
    return (left == left.amin(-1, keepdim=True)).float()


def _update(probability: Tensor, visited: Tensor, reward: Tensor) -> Tensor:
    """Bayes' rule for one visit. probability (T, E, S); visited, reward (T, E)."""
    cells = torch.arange(probability.shape[-1], device=probability.device)
    here = (visited.unsqueeze(-1) == cells).to(probability.dtype)
    kept = probability * (1 - here)
    total = kept.sum(-1, keepdim=True)
    # nothing left: the goal is known and has not paid this time (it may pay once only)
    missed = torch.where(total > 0, kept / total, probability)
    return torch.where(reward.unsqueeze(-1) > 0, here, missed)
