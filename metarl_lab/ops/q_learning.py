"""Q-learning: Bellman backups by a known model and by data, and targets that do not overestimate. Formulas, no loop."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def bellman_backup(transition: Tensor, reward: Tensor, q: Tensor, discount: float) -> Tensor:
    """(B Q)(s, a) = R(s, a) + discount sum_s' P(s' | s, a) max_a' Q(s', a')  (Bellman 1957; Puterman 1994, 6.2).

    B moves any two tables at least by the factor ``discount`` closer, in the largest difference of an entry.

    Parameters
    ----------
    transition : Tensor (T, S, A, S)
        P(s' | s, a) of each of T MDPs.
    reward, q : Tensor (T, S, A)

    Returns
    -------
    Tensor (T, S, A)
    """
    if reward.ndim != 3 or transition.shape != (*reward.shape, reward.shape[1]) or q.shape != reward.shape:
        raise ValueError(
            "bellman_backup: give transition (T, S, A, S), reward and q (T, S, A); given "
            f"{tuple(transition.shape)}, {tuple(reward.shape)}, {tuple(q.shape)}"
        )
    return reward + discount * (transition @ q.amax(-1)[:, None, :, None]).squeeze(-1)


def optimal_q(transition: Tensor, reward: Tensor, discount: float, tolerance: float = 1e-6) -> Tensor:
    """Q* = B Q*, the best discounted return of an endless episode, (T, S, A), to ``tolerance`` in every entry.

    The error of n backups from zero is at most discount^n max |R| / (1 - discount).
    """
    if not 0 <= discount < 1:
        raise ValueError(f"optimal_q: discount={discount} has no fixed point to find; give 0 <= discount < 1")
    q, largest = torch.zeros_like(reward), max(float(reward.abs().max()), tolerance)
    backups = 1 if discount == 0 else math.ceil(math.log(tolerance * (1 - discount) / largest) / math.log(discount))
    for _ in range(max(backups, 1)):
        q = bellman_backup(transition, reward, q, discount)
    return q


def sampled_backup(
    q: Tensor, state: Tensor, action: Tensor, reward: Tensor, after: Tensor, ends: Tensor, discount: float
) -> Tensor:
    """Every pair that the data holds becomes the mean of its targets; all others stay. A table's fitted Q iteration.

    Q(s, a) <- mean over {n : s_n = s, a_n = a} of r_n + discount (1 - ends_n) max_a' Q(s'_n, a')  (Ernst, Geurts &
    Wehenkel 2005): one Bellman backup by the empirical model.

    Parameters
    ----------
    q : Tensor (T, S, A)
    state, action, after : int64 Tensor (T, N)
    reward : Tensor (T, N)
    ends : bool Tensor (T, N)
        s' is terminal: nothing follows. Never merely that time was up.

    Returns
    -------
    Tensor (T, S, A)
    """
    columns = (state, action, reward, after, ends)
    if q.ndim != 3 or any(x.ndim != 2 or x.shape != state.shape or len(x) != len(q) for x in columns):
        raise ValueError(
            f"sampled_backup: give q (T, S, A) and data (T, N); given {tuple(q.shape)}, {tuple(state.shape)}"
        )
    target = reward + discount * q.amax(-1).gather(1, after) * ~ends  # (T, N)
    pair = state * q.shape[-1] + action
    flat = q.flatten(1)
    return flat.scatter_reduce(1, pair, target, "mean", include_self=False).view_as(q)


def double_q_target(reward: Tensor, online: Tensor, late: Tensor, terminated: Tensor, discount: float) -> Tensor:
    """y = r + discount (1 - terminated) Q_late(s', argmax_a Q_online(s', a)) (van Hasselt et al. 2016, 1509.06461).

    One network chooses, another one judges, so that noise which made an action look best does not enter its value too.
    With one network for both it is Q-learning's r + discount max_a Q(s', a). Values bootstrap through truncation:
    ``terminated`` says that s' is terminal.

    Parameters
    ----------
    reward, terminated : Tensor (...)
    online, late : Tensor (..., A)
        Both networks' values of all actions in s'.
    """
    if online.shape != late.shape or not reward.shape == terminated.shape == online.shape[:-1]:
        raise ValueError(
            "double_q_target: give reward and terminated (...), online and late (..., A); given "
            f"{tuple(reward.shape)}, {tuple(terminated.shape)}, {tuple(online.shape)}, {tuple(late.shape)}"
        )
    chosen = online.argmax(-1, keepdim=True)
    return reward + discount * late.gather(-1, chosen).squeeze(-1) * ~terminated
