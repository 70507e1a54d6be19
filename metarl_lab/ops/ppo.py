"""Proximal policy optimisation over whole trials (Schulman et al. 2017, arXiv 1707.06347): formulas, no loop."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl_lab.ops.distributions import Distribution
from metarl_lab.ops.returns import gae


class PPOTerms(NamedTuple):
    """Means over live steps, scalars: what a PPO loss is made of."""

    policy_loss: Tensor  # minus the clipped gain
    value_loss: Tensor  # squared error, in the units of ``value``
    entropy: Tensor  # nats per step
    kl: Tensor  # estimate of KL(acted, current), nats per step


def ppo_terms(
    policy: Distribution,
    value: Tensor,
    action: Tensor,
    acted_log_prob: Tensor,
    advantage: Tensor,
    target: Tensor,
    live: Tensor,
    clip: float,
) -> PPOTerms:
    """Equation 7 of the paper, -mean min(rho A, clip(rho, 1 -+ clip) A), and the terms that go with it.

    All (L, B) but ``action`` (L, B[, A]); rho is the probability of the action now over what it was when acting; steps
    that are not ``live`` count nowhere.
    """
    if not value.shape == acted_log_prob.shape == advantage.shape == target.shape == live.shape:
        raise ValueError("ppo_terms: value, acted_log_prob, advantage, target and live must have one shape, (L, B)")
    weight = live.to(value.dtype) / live.sum()  # a sum by it is a mean over live steps
    log_ratio = policy.log_prob(action) - acted_log_prob
    ratio = log_ratio.exp()
    clipped_ratio = ratio.clamp(1 - clip, 1 + clip)
    gain = torch.minimum(ratio * advantage, clipped_ratio * advantage)  # nothing is gained by leaving the clip's range
    return PPOTerms(
        policy_loss=-(gain * weight).sum(),
        value_loss=((value - target).square() * weight).sum(),
        entropy=(policy.entropy() * weight).sum(),
        kl=((ratio - 1 - log_ratio) * weight).sum(),  # unbiased and never negative (Schulman 2020)
    )


def trial_advantages(reward: Tensor, value: Tensor, live: Tensor, discount: float, lam: float) -> Tensor:
    """GAE over a whole trial, (L, B), live steps first: credit crosses episodes and stops where the trial ends.

    The trial is over for good after its last live step, which is where the objective stops: nothing bootstraps there.
    """
    follows = torch.cat((live[1:], torch.zeros_like(live[:1])))  # (L, B), another live step of the trial
    next_value = torch.cat((value[1:], torch.zeros_like(value[:1])))
    return gae(reward, value, next_value, ended=~follows, terminated=~follows, discount=discount, lam=lam)


def normalised(advantage: Tensor, live: Tensor) -> Tensor:
    """Mean 0 and deviation 1 over live steps."""
    inside = advantage[live]
    return (advantage - inside.mean()) / (inside.std() + 1e-8)


def follow_spread(scale: Tensor, targets: Tensor, first: bool) -> None:
    """The critic's unit, in place: the deviation of the returns that it is fitted to, which is not known beforehand.

    The first batch sets it; later ones move it by a fiftieth of the way, because each step changes what the critic's
    outputs mean. In units of it the value error is of order 1 in every family, and one weight serves them all.

    Parameters
    ----------
    scale : Tensor ()
    targets : Tensor (N,)
        Returns of live steps, in units of reward.
    first : bool
        Whether this is the first batch.
    """
    spread = targets.std().clamp_min(1e-3)  # above 0 where all returns are alike
    scale.lerp_(spread, 1.0 if first else 0.02)
