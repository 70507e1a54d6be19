"""What is believed of an unknown tabular MDP: independent Dirichlet transitions and normal mean rewards."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl_lab.exact.planning import value_iteration
from metarl_lab.ops.distributions import standard_normal
from metarl_lab.ops.sampling import KEY_NOISE, dirichlet, spread

MODEL_NOISE = 2 * KEY_NOISE
"""How many uniform numbers ``sample_model`` takes: one key for the transitions, one for the rewards."""


class Prior(NamedTuple):
    """R(s, a) ~ N(reward_mean, reward_std^2); a reward seen ~ N(R, reward_noise^2); P(. | s, a) ~ Dirichlet."""

    reward_mean: float
    reward_std: float
    reward_noise: float
    concentration: float  # of each successor state; 1 is uniform on the simplex


class ModelBelief(NamedTuple):
    """Sufficient statistics of what was seen, and the state where the next action will be taken."""

    moves: Tensor  # (T, E, S, A, S) times that s' followed (s, a)
    pulls: Tensor  # (T, E, S, A) rewards seen of (s, a)
    total: Tensor  # (T, E, S, A) their sum
    state: Tensor  # (T, E) int64


def nothing_known(n_tasks: int, copies: int, states: int, actions: int, device: torch.device) -> ModelBelief:
    """The belief before the first step of a trial."""
    pair = (n_tasks, copies, states, actions)
    return ModelBelief(
        torch.zeros(*pair, states, device=device),
        torch.zeros(pair, device=device),
        torch.zeros(pair, device=device),
        torch.zeros(n_tasks, copies, dtype=torch.int64, device=device),
    )


def take_in(belief: ModelBelief, state: Tensor, action: Tensor, reward: Tensor, start: Tensor) -> ModelBelief:
    """The belief after the last action (-1: none yet), its reward, and the state it led to; all (T, E).

    At the first step of an episode the state comes from a reset, so the last action of an episode teaches its reward
    but not where it led: an agent is never shown the state in which an episode is cut off.
    """
    actions, states = belief.pulls.shape[-1], belief.pulls.shape[-2]
    acted = (action >= 0).to(reward.dtype)
    pair = (belief.state * actions + action.clamp_min(0)).unsqueeze(-1)  # (T, E, 1), index of (s, a)
    triple = pair * states + state.unsqueeze(-1)  # (T, E, 1), index of (s, a, s')
    moved = acted * (~start).to(reward.dtype)
    return ModelBelief(
        _add(belief.moves, triple, moved),
        _add(belief.pulls, pair, acted),
        _add(belief.total, pair, acted * reward),
        state,
    )


def reward_posterior(belief: ModelBelief, prior: Prior) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of R(s, a), (T, E, S, A) each: the conjugate normal posterior (Gelman et al., 2.5).

    1 / var = 1 / reward_std^2 + n / reward_noise^2,  mean = var (reward_mean / reward_std^2 + total / reward_noise^2).
    """
    own, each = prior.reward_std**-2, prior.reward_noise**-2
    precision = own + belief.pulls * each
    return (prior.reward_mean * own + belief.total * each) / precision, precision.rsqrt()


def mean_model(belief: ModelBelief, prior: Prior) -> tuple[Tensor, Tensor]:
    """Posterior means of P (T, E, S, A, S) and R (T, E, S, A)."""
    weight = belief.moves + prior.concentration
    return weight / weight.sum(-1, keepdim=True), reward_posterior(belief, prior)[0]


def sample_model(belief: ModelBelief, prior: Prior, noise: Tensor) -> tuple[Tensor, Tensor]:
    """One draw of P (T, E, S, A, S) and R (T, E, S, A) from the posterior. noise (T, E, MODEL_NOISE)."""
    mean, std = reward_posterior(belief, prior)
    pairs = mean.shape[-2] * mean.shape[-1]
    z = standard_normal(spread(noise[..., KEY_NOISE:], pairs)).reshape(mean.shape)
    return dirichlet(belief.moves + prior.concentration, noise[..., :KEY_NOISE]), mean + std * z


def plan(transition: Tensor, reward: Tensor, horizon: int) -> Tensor:
    """Optimal Q (T, E, H, S, A) of models with axes (T, E): ``value_iteration`` of all of them at once."""
    lead = reward.shape[:2]
    q, _ = value_iteration(transition.flatten(0, 1), reward.flatten(0, 1), horizon)  # (H, T E, S, A)
    return q.movedim(0, 1).unflatten(0, lead)


def values_at(q: Tensor, step: int, state: Tensor) -> Tensor:
    """Q_step(state, .) of a plan (T, E, H, S, A) for states (T, E): (T, E, A)."""
    index = state[..., None, None].expand(*state.shape, 1, q.shape[-1])
    return q[:, :, step].gather(2, index).squeeze(2)


def _add(table: Tensor, index: Tensor, amount: Tensor) -> Tensor:
    """A new table with ``amount`` (T, E) added at the flat ``index`` (T, E, 1) of each copy."""
    return table.flatten(2).scatter_add(2, index, amount.unsqueeze(-1)).reshape(table.shape)
