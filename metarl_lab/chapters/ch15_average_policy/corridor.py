"""The world of chapter 15: a corridor of four cells, a fork, and two tasks with the goal at one of the fork's ends.

Task A pays 1 for going up at the fork, task B for going down; every episode starts in cell 1. Where a wall or the end
of the world is, a move leads nowhere; the two ends are never left.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

STATES = ("1", "2", "3", "4", "fork", "upper end", "lower end")
ACTIONS = ("up", "down", "left", "right")
SEEN = 5  # states in which an action matters: all but the two ends
HORIZON = 10  # steps of an episode
FORK, UPPER_END, LOWER_END = 4, 5, 6

# the state that each action (column, in the order of ACTIONS) leads to, from each state (row)
NEXT_STATE = (
    (0, 0, 0, 1),
    (1, 1, 0, 2),
    (2, 2, 1, 3),
    (3, 3, 2, 4),
    (UPPER_END, LOWER_END, 3, FORK),
    (UPPER_END,) * 4,
    (LOWER_END,) * 4,
)
TASKS, N_STATES, N_ACTIONS = 2, len(STATES), len(ACTIONS)

# P(s' | s, a), the same in both tasks: (T, S, A, S)
TRANSITION = F.one_hot(torch.tensor(NEXT_STATE), N_STATES).double().expand(TASKS, N_STATES, N_ACTIONS, N_STATES)

REWARD = torch.zeros(TASKS, N_STATES, N_ACTIONS, dtype=torch.float64)  # points for an action: (T, S, A)
REWARD[0, FORK, ACTIONS.index("up")] = 1.0  # task A
REWARD[1, FORK, ACTIONS.index("down")] = 1.0  # task B

START = F.one_hot(torch.zeros(TASKS, dtype=torch.int64), N_STATES).double()  # (T, S): cell 1
