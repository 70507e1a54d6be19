"""Planning in a known tabular MDP with a finite horizon, for a whole batch of MDPs at once."""

from __future__ import annotations

import torch
from torch import Tensor


def value_iteration(transition: Tensor, reward: Tensor, horizon: int, discount: float = 1.0) -> tuple[Tensor, Tensor]:
    """Optimal values by backward induction (Puterman 1994, section 4.5).

    Q_h(s, a) = R(s, a) + discount sum_s' P(s' | s, a) V_{h+1}(s'),  V_h(s) = max_a Q_h(s, a),  V_H = 0.

    Parameters
    ----------
    transition : Tensor (T, S, A, S)
        P(s' | s, a) of each of T MDPs; sums to 1 over the last axis.
    reward : Tensor (T, S, A)
        Mean reward of a step.
    horizon : int
        H, steps of one episode.
    discount : float
        Per step.

    Returns
    -------
    q : Tensor (H, T, S, A)
        ``q[h]`` is what is still to come at step h, H - h steps before the end.
    v : Tensor (H, T, S)
    """
    _check_model(transition, reward, horizon)
    q = reward.new_empty(horizon, *reward.shape)
    v = reward.new_empty(horizon, *reward.shape[:2])
    after = torch.zeros_like(v[0])  # (T, S)
    for h in reversed(range(horizon)):
        q[h] = _backup(transition, reward, after, discount)
        v[h] = after = q[h].amax(-1)
    return q, v


def policy_evaluation(
    transition: Tensor, reward: Tensor, policy: Tensor, discount: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Values of a given policy by backward induction (Puterman 1994, section 4.2).

    Q_h(s, a) = R(s, a) + discount sum_s' P(s' | s, a) V_{h+1}(s'),  V_h(s) = sum_a pi_h(a | s) Q_h(s, a),  V_H = 0.

    Parameters
    ----------
    transition, reward : Tensor (T, S, A, S), (T, S, A)
        As in ``value_iteration``.
    policy : Tensor (H, T, S, A)
        pi_h(a | s), sums to 1 over the last axis.

    Returns
    -------
    q, v : Tensor (H, T, S, A), (H, T, S)
    """
    _check_model(transition, reward, len(policy))
    if policy.shape[1:] != reward.shape:
        raise ValueError(f"policy has shape {tuple(policy.shape)}; give (H, T, S, A) = (H, {tuple(reward.shape)})")
    q, v = [], []
    after = reward.new_zeros(reward.shape[:2])  # (T, S)
    for pi in policy.flip(0):
        q.append(_backup(transition, reward, after, discount))
        after = (pi * q[-1]).sum(-1)
        v.append(after)
    return torch.stack(q[::-1]), torch.stack(v[::-1])


def _backup(transition: Tensor, reward: Tensor, after: Tensor, discount: float) -> Tensor:
    """R + discount P V: one matrix product per MDP, (T, S A, S) @ (T, S, 1)."""
    n, states, actions = reward.shape
    expected = transition.reshape(n, states * actions, states) @ after.unsqueeze(-1)
    return reward + discount * expected.reshape(n, states, actions)


def _check_model(transition: Tensor, reward: Tensor, horizon: int) -> None:
    """Raise ValueError for shapes that do not fit together."""
    if reward.ndim != 3 or transition.shape != (*reward.shape, reward.shape[1]):
        raise ValueError(
            f"transition {tuple(transition.shape)} and reward {tuple(reward.shape)} do not fit together; "
            "give transition (T, S, A, S) and reward (T, S, A)"
        )
    if horizon < 1:
        raise ValueError(f"horizon={horizon} is not allowed; give a whole number of at least 1 step")
