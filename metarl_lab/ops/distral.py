"""Distral: task policies held to a shared one by KL, and to chance by entropy (Teh et al. 2017, arXiv 1707.04175).

Task i's policy maximises  E_{pi_i}[ sum_t discount^t ( r - c_KL log(pi_i / pi_0) - c_Ent log pi_i ) ].  With
alpha = c_KL / (c_KL + c_Ent) and beta = 1 / (c_KL + c_Ent) the bracket is  r + (alpha / beta) log pi_0 - (1 / beta) log
pi_i  (idem, eq. 1), and the best policy is  pi_i prop. to pi_0^alpha exp(beta Q)  (eqs. 2 to 4).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Sharpness(NamedTuple):
    """The same two weights as exponents."""

    alpha: float  # of the shared policy, 0 to 1
    beta: float  # of the values, per unit of reward


def sharpness(kl_weight: float, entropy_weight: float) -> Sharpness:
    """alpha = c_KL / (c_KL + c_Ent), beta = 1 / (c_KL + c_Ent)."""
    total = kl_weight + entropy_weight
    if kl_weight < 0 or entropy_weight < 0 or total == 0:
        raise ValueError(
            f"kl_weight={kl_weight!r}, entropy_weight={entropy_weight!r} have no finite beta; give two numbers of 0 or "
            "more, one of them above 0"
        )
    return Sharpness(kl_weight / total, 1 / total)


def regularised_reward(
    reward: Tensor, log_task: Tensor, log_shared: Tensor, kl_weight: float, entropy_weight: float
) -> Tensor:
    """r - c_KL (log pi_i(a|s) - log pi_0(a|s)) - c_Ent log pi_i(a|s), of actions drawn from pi_i; all (...).

    Its policy gradient, log-probabilities held constant, is the gradient of the regularised objective: what they add
    by their own dependence on the parameters is E[grad log pi_i] = 0. At the best policy every advantage of it is 0.
    """
    if not reward.shape == log_task.shape == log_shared.shape:
        raise ValueError("regularised_reward: reward, log_task and log_shared must have one shape")
    return reward - kl_weight * (log_task - log_shared) - entropy_weight * log_task


def boltzmann(log_shared: Tensor, q: Tensor, alpha: float, beta: float) -> tuple[Tensor, Tensor]:
    """log pi = alpha log pi_0 + beta (q - v), v = (1 / beta) log sum_a pi_0^alpha exp(beta q);
    (..., A) -> (..., A) and (...)."""
    energy = alpha * log_shared + beta * q
    return energy.log_softmax(-1), energy.logsumexp(-1) / beta
