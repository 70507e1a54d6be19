"""Chapter 05: two tasks of one number, exactly. Task A is flat, task B is three times as steep.

J_i(theta) = -(k_i / 2) (theta - c_i)^2, with k = (1, 3) and c = (0, 1). One inner step shrinks the distance to a
task's optimum by the factor 1 - alpha k_i, so everything about MAML here is a line of school algebra.
"""

from __future__ import annotations

import numpy as np

STEEPNESS = np.array([1.0, 3.0])  # k, of tasks A and B
OPTIMUM = np.array([0.0, 1.0])  # c
NAMES = ("task A", "task B")


def returns(theta: np.ndarray) -> np.ndarray:
    """J_A and J_B at theta (...,): returns (..., 2)."""
    return -0.5 * STEEPNESS * (np.asarray(theta)[..., None] - OPTIMUM) ** 2


def adapted(theta: np.ndarray, alpha: float) -> np.ndarray:
    """theta_A' and theta_B' after one inner step from theta (...,): returns (..., 2)."""
    theta = np.asarray(theta)[..., None]
    return theta - alpha * STEEPNESS * (theta - OPTIMUM)


def after_step(theta: np.ndarray, alpha: float) -> np.ndarray:
    """J_A(theta_A') and J_B(theta_B') from theta (...,): returns (..., 2)."""
    return -0.5 * STEEPNESS * (adapted(theta, alpha) - OPTIMUM) ** 2


def resting_places(alpha: float) -> dict[str, float]:
    """Where each way of choosing a start comes to rest; infinite where it runs away.

    Each follows the mean over tasks of w_i k_i (c_i - theta): pre-training with w_i = 1, first order with
    w_i = 1 - alpha k_i, MAML with its square. All rest at the mean of the optima weighed by w_i k_i.
    """
    shrink = 1 - alpha * STEEPNESS
    found = {}
    for name, weight in (("pre-training", np.ones(2)), ("first-order MAML", shrink), ("MAML", shrink**2)):
        pull = (weight * STEEPNESS).sum()
        # where the pull towards the resting place has turned around, every step leads further away
        found[name] = float((weight * STEEPNESS * OPTIMUM).sum() / pull) if pull > 1e-9 else float("inf")
    return found
