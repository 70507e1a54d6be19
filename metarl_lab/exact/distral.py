"""Distral's best task policies where the tasks are known tables (Teh et al. 2017, arXiv 1707.04175, section 2.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl_lab.ops.distral import boltzmann, sharpness


class SoftPlan(NamedTuple):
    """What is still to come at step h under the best regularised policy, and that policy."""

    q: Tensor  # (H, T, S, A)
    v: Tensor  # (H, T, S), the regularisers from step h on included
    log_policy: Tensor  # (H, T, S, A)


def soft_value_iteration(
    transition: Tensor,
    reward: Tensor,
    log_shared: Tensor,
    horizon: int,
    kl_weight: float,
    entropy_weight: float,
    discount: float = 1.0,
) -> SoftPlan:
    """Distral's task policies in known tabular MDPs, by backward induction (1707.04175, section 2.2).

    Q_h(s, a) = R(s, a) + discount sum_s' P(s' | s, a) V_{h+1}(s'),  V_h(s) = (1 / beta) log sum_a pi_0(a|s)^alpha
    exp(beta Q_h(s, a)),  V_H = 0,  pi_h(a|s) = pi_0(a|s)^alpha exp(beta (Q_h - V_h)).

    Parameters
    ----------
    transition, reward : Tensor (T, S, A, S), (T, S, A)
        As in ``exact.planning.value_iteration``.
    log_shared : Tensor (S, A) or (T, S, A)
        log pi_0(a|s), the same at every step.
    kl_weight, entropy_weight : float
        c_KL and c_Ent, reward per nat.
    """
    n, states, actions = reward.shape
    if transition.shape != (n, states, actions, states) or horizon < 1:
        raise ValueError(
            f"soft_value_iteration: transition {tuple(transition.shape)}, reward {tuple(reward.shape)}, horizon "
            f"{horizon}; give (T, S, A, S), (T, S, A) and a horizon of 1 or more"
        )
    alpha, beta = sharpness(kl_weight, entropy_weight)
    after = reward.new_zeros(n, states)  # V_H
    qs, vs, log_policies = [], [], []  # from the last step to the first
    for _ in range(horizon):
        expected = transition.reshape(n, states * actions, states) @ after.unsqueeze(-1)
        q = reward + discount * expected.reshape(n, states, actions)
        log_policy, after = boltzmann(log_shared.expand_as(q), q, alpha, beta)
        qs.append(q)
        vs.append(after)
        log_policies.append(log_policy)
    return SoftPlan(torch.stack(qs[::-1]), torch.stack(vs[::-1]), torch.stack(log_policies[::-1]))
