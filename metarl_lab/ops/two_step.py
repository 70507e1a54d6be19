"""What an agent does after a reward and a rare transition: the mark of planning in the two-step task."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarl_lab.ops.transitions import next_observations
from metarl_lab.types import Episodes

UNREWARDED, REWARDED = 0, 1
RARE, COMMON = 0, 1


class Stay(NamedTuple):
    """How often the next choice repeats the last one, by the last reward and transition.

    Attributes
    ----------
    probability : ndarray (2, 2)
        ``[reward, transition]``: rows ``UNREWARDED``, ``REWARDED``; columns ``RARE``, ``COMMON``. NaN where that never
        happened.
    choices : ndarray (2, 2)
        From how many choices.
    gaps : ndarray (2,)
        After no reward: rare minus common; after a reward: common minus rare. Who repeats what was rewarded, whatever
        happened on the way, has 0 twice; who knows that a rare transition points to the *other* action has two
        positive numbers.
    error : ndarray (2,)
        Standard error of each gap, over tasks.
    """

    probability: np.ndarray
    choices: np.ndarray
    gaps: np.ndarray
    error: np.ndarray


def reached(episodes: Episodes) -> Tensor:
    """The second-stage state that each choice led to, (T, E, K, H) int64: what the *next* observation shows."""
    after, _ = next_observations(episodes)
    return after.argmax(-1)


def stay_probabilities(episodes: Episodes, straight: bool = True) -> Stay:
    """P(a_{h+1} = a_h | r_h, common or rare_h), over all choices but the last of each episode (Daw et al. 2011).

    Parameters
    ----------
    episodes : Episodes
        Of the family ``two_step``.
    straight : bool
        Whether action i commonly leads to state i; False in the out-of-distribution split.
    """
    if episodes.observation.shape[-1] != 2 or episodes.action.ndim != 4:
        shape = tuple(episodes.observation.shape)
        raise ValueError(
            f"stay_probabilities: observations {shape} are not of the two-step task; give episodes "
            "of the family 'two_step', (T, E, K, H, 2)"
        )
    common = ((reached(episodes) == episodes.action) == straight)[..., :-1]
    cell = 2 * (episodes.reward[..., :-1] > 0).long() + common  # (T, E, K, H - 1), 0..3
    stays = episodes.action[..., 1:] == episodes.action[..., :-1]
    kind = torch.nn.functional.one_hot(cell, 4).double()
    choices = kind.sum((1, 2, 3)).cpu().numpy()  # (T, 4)
    stayed = (kind * stays.unsqueeze(-1)).sum((1, 2, 3)).cpu().numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        p = stayed.sum(0) / choices.sum(0)
        # a ratio of sums over tasks, to first order: its error is that of the mean of these
        part = (stayed - p * choices) / choices.mean(0)  # (T, 4)
    sign = np.array([[1, -1, 0, 0], [0, 0, -1, 1]])  # the two gaps, as sums over the four cells
    spread = np.stack([(part[:, s != 0] * s[s != 0]).sum(1) for s in sign], 1)  # (T, 2)
    error = spread.std(0, ddof=1) / len(part) ** 0.5 if len(part) > 1 else np.full(2, np.nan)
    gaps = np.array([p[0] - p[1], p[3] - p[2]])
    return Stay(p.reshape(2, 2), choices.sum(0).reshape(2, 2), gaps, error)
