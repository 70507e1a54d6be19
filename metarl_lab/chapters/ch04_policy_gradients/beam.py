"""The beam of chapter 04: its model, the exact values of policies on it, and its episodes cut into transitions.

Six states: 0 to 4 are the tilts -2 to +2, and 5 is the floor. Two actions, lean left (0) or right (1). Small enough to
be solved exactly, which is what the chapter measures every estimate against.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl_lab.exact.planning import policy_evaluation

HORIZON = 20  # steps of an episode
GUST = 0.2  # probability that a gust pushes right, whatever was done
START, FALLEN = 2, 5  # the state of tilt 0, and the floor
TILTS, STATES, ACTIONS = 5, 6, 2


def beam() -> tuple[Tensor, Tensor]:
    """The model of the beam.

    Returns
    -------
    transition : Tensor (1, S, A, S)
        P(s' | s, a), for the one task T = 1.
    reward : Tensor (1, S, A)
        1 point for each step begun upright.
    """
    transition = torch.zeros(1, STATES, ACTIONS, STATES, dtype=torch.float64)
    reward = torch.ones(1, STATES, ACTIONS, dtype=torch.float64)
    for state in range(TILTS):
        left = state - 1 if state > 0 else FALLEN
        right = state + 1  # right of the last tilt is the floor, which is state 5
        transition[0, state, 0, left] = 1 - GUST
        transition[0, state, 0, right] = GUST
        transition[0, state, 1, right] = 1.0
    transition[0, FALLEN, :, FALLEN] = 1.0
    reward[0, FALLEN] = 0.0
    return transition, reward


def exact_values(right: Tensor, discount: float = 1.0, steps: int = HORIZON) -> tuple[Tensor, Tensor]:
    """Exact Q and V of policies on the beam, by backward induction (exercise 03.1). Differentiable by `right`.

    Parameters
    ----------
    right : Tensor (T, S)
        Probability of leaning right in each state, of each of T policies.
    discount : float
        Per step.
    steps : int
        H, how many steps are played.

    Returns
    -------
    q : Tensor (H, T, S, A)
        What is to come, in points, from step h on.
    v : Tensor (H, T, S)
    """
    transition, reward = (part.expand(len(right), *part.shape[1:]) for part in beam())
    policy = torch.stack([1 - right, right], -1).expand(steps, -1, -1, -1)
    return policy_evaluation(transition, reward, policy, discount)


class Transitions(NamedTuple):
    """Steps begun upright, of all episodes, one after the other; each (L,)."""

    state: Tensor
    next_state: Tensor
    terminated: Tensor  # bool: the step ended on the floor
    truncated: Tensor  # bool: the step was the last that was watched, and you still stood


def watched_transitions(path: Tensor) -> Transitions:
    """Cut episodes into the steps that a critic learns from; path (N, H + 1), the states visited."""
    state, next_state = path[:, :-1], path[:, 1:]
    upright = state != FALLEN
    last = torch.zeros_like(upright)
    last[:, -1] = True
    terminated = next_state == FALLEN
    return Transitions(state[upright], next_state[upright], terminated[upright], (last & ~terminated)[upright])
