"""Twin delayed deterministic policy gradients (TD3), and staying near where one began. Formulas, no loop.

Fujimoto, van Hoof & Meger 2018, arXiv 1802.09477.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from metarl_lab.ops.distributions import standard_normal


def explored(action: Tensor, noise: Tensor, std: float, clip: float = float("inf")) -> Tensor:
    """clip(u + clip(std e, -c, c), -1, 1), e standard normal: an action of the unit box with noise on it.

    To explore (c infinite), and to smooth the target (1802.09477, section 5.3). action and noise (..., A), the noise
    uniform.
    """
    if action.shape != noise.shape:
        raise ValueError(f"explored: action {tuple(action.shape)} and noise {tuple(noise.shape)} must have one shape")
    return (action + (std * standard_normal(noise)).clamp(-clip, clip)).clamp(-1, 1)


def epsilon_greedy(best: Tensor, noise: Tensor, epsilon: float, actions: int) -> Tensor:
    """Any of the ``actions`` where noise < epsilon, else ``best``; all (...), noise uniform and used for both."""
    any_action = (noise / max(epsilon, 1e-9) * actions).long().clamp_max(actions - 1)
    return torch.where(noise < epsilon, any_action, best)


def clipped_double_q(reward: Tensor, q: Tensor, terminated: Tensor, discount: float) -> Tensor:
    """y = r + discount (1 - terminated) min_i Q_i(s', a'): 1802.09477, eq. 10. q (2, ...), all others (...).

    Values bootstrap through truncation: ``terminated`` says that s' is terminal, never that time was up.
    """
    if len(q) != 2 or not reward.shape == q.shape[1:] == terminated.shape:
        raise ValueError(
            f"clipped_double_q: q must be (2, ...) with reward and terminated (...); given {tuple(q.shape)}, "
            f"{tuple(reward.shape)}, {tuple(terminated.shape)}"
        )
    return reward + discount * q.amin(0) * ~terminated


def distance_from(weights: Mapping[str, Tensor], anchor: Mapping[str, Tensor]) -> Tensor:
    """1/2 |theta_b - theta|^2 over all parameters: weights (B, ...) each, anchor (1, ...) or (B, ...) -> (B,)."""
    squares = [(weight - anchor[name]).square().flatten(1).sum(1) for name, weight in weights.items()]  # (B,) each
    return torch.stack(squares).sum(0) / 2
