"""Lambda-returns that can be differentiated in their discount and lambda, over a time axis that comes first."""

from __future__ import annotations

import torch
from torch import Tensor

from metarl_lab.types import Episodes


def lambda_returns(
    reward: Tensor,
    next_value: Tensor,
    ended: Tensor,
    terminated: Tensor,
    discount: float | Tensor,
    lam: float | Tensor,
) -> Tensor:
    """G_t = r_t + discount ((1 - lam) V(s_{t+1}) + lam G_{t+1}) (Sutton & Barto 2018, eq. 12.2, recursively).

    Where an episode was truncated G_t = r_t + discount V(s_{t+1}); where it terminated, G_t = r_t. lam = 0 is one step
    of temporal difference, lam = 1 the Monte Carlo return. G_t - V(s_t) is the generalised advantage estimate.
    Gradients flow to every argument: Xu, van Hasselt & Silver 2018 (arXiv 1805.09801) differentiate in eta = (discount,
    lam); the caller detaches what is to be held.

    Parameters
    ----------
    reward, next_value : Tensor (L, ...)
        r_t per step; V(s_{t+1}) of the state that followed, also where the episode was truncated.
    ended, terminated : bool Tensor (L, ...)
        The step was the last one (terminated or truncated); it ended in a terminal state. Step L - 1 counts as ended.
    discount, lam : number or Tensor
        0 to 1; a tensor broadcasts to one step (...): () for all, or one per task.
    """
    if not reward.shape == next_value.shape == ended.shape == terminated.shape:
        raise ValueError(
            "lambda_returns: reward, next_value, ended and terminated must have one shape, (L, ...); given "
            f"{[tuple(x.shape) for x in (reward, next_value, ended, terminated)]}"
        )
    next_return = next_value[-1]  # G_L: nothing was acted after the last step, its value stands for it
    returns = []
    for t in reversed(range(len(reward))):
        mixed = (1 - lam) * next_value[t] + lam * next_return
        bootstrapped = torch.where(ended[t], next_value[t], mixed)  # G_{t+1} of an ended episode is another one's
        next_return = reward[t] + discount * torch.where(terminated[t], 0.0, bootstrapped)
        returns.append(next_return)
    return torch.stack(returns[::-1])


def episode_returns(
    episodes: Episodes, reward: Tensor, next_value: Tensor, discount: float | Tensor, lam: float | Tensor
) -> Tensor:
    """``lambda_returns`` along the steps of each episode: reward, next_value and the result (T, E, K, H)."""
    terminated = episodes.terminated.movedim(-1, 0)
    ended = terminated | episodes.truncated.movedim(-1, 0)
    returns = lambda_returns(reward.movedim(-1, 0), next_value.movedim(-1, 0), ended, terminated, discount, lam)
    return returns.movedim(0, -1)
