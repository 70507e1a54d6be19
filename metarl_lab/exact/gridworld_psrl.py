"""Posterior sampling in a search for one hidden goal: its expected reward, by an exact sum over what may happen."""

from __future__ import annotations

import numpy as np

from metarl_lab.exact.gridworld import Search, check_search, distances, known_value, paid_after


def posterior_sampling_returns(search: Search) -> np.ndarray:
    """Expected reward of every episode (K,) under posterior sampling (``psrl``), exactly.

    At the start of each episode a goal is drawn from those not ruled out; the agent goes there by a shortest way, each
    step being one of those that shorten it with equal chance, and waits; it stays wherever the goal is met. The
    program follows the probability of every set of cells not ruled out, the goal not yet met.
    """
    check_search(search)
    near = distances(search.successor)[search.start]
    return_if_known = np.array([known_value(search, goal, near) for goal in search.goals])
    ways_to = [_ways(search, goal) for goal in search.goals]
    n_goals = len(search.goals)

    # What is believed while the goal has not been met: the set of goals still possible, as bits, each equally likely.
    left: np.ndarray = np.array([(1 << n_goals) - 1])  # the sets that occur
    chance: np.ndarray = np.ones(1)  # of each of them, and that the goal is not met yet
    met = np.zeros(n_goals)  # probability that the goal is this one and was met in an earlier episode
    returns = np.zeros(search.episodes)
    for episode in range(search.episodes):
        returns[episode] = met @ return_if_known
        size = _count(left)
        sets_after, chances_after = [], []
        for drawn, ways in enumerate(ways_to):
            for visits, probability in ways.items():
                # this goal drawn from the posterior, and this shortest way to it walked
                walked = chance * (left >> drawn & 1) / size * probability
                some = walked > 0
                walked, rest, walked_by_each = walked[some], left[some], (walked / size)[some]
                # either the true goal lies on the way ...
                for goal, step in visits:
                    is_there = walked_by_each @ (rest >> goal & 1)
                    returns[episode] += is_there * paid_after(search, step - 1)
                    met[goal] += is_there
                # ... or it does not, and the goals on the way are ruled out
                rest = rest & ~sum(1 << goal for goal, _ in visits)
                missed = walked * _count(rest) / size[some]
                returns[episode] += missed.sum() * paid_after(search, search.horizon)
                sets_after.append(rest[missed > 0])
                chances_after.append(missed[missed > 0])
        left, place = np.unique(np.concatenate(sets_after), return_inverse=True)
        chance = np.bincount(place, np.concatenate(chances_after), len(left))
    return returns


def _count(sets: np.ndarray) -> np.ndarray:
    """How many bits are set."""
    return np.bitwise_count(sets).astype(float)


def _ways(search: Search, goal: int) -> dict[tuple[tuple[int, int], ...], float]:
    """Shortest ways from the start to a goal, cut off at H: ((index of a goal on it, step), ...) -> probability."""
    table = distances(search.successor)
    index = {g: i for i, g in enumerate(search.goals)}
    ways: dict[tuple[tuple[int, int], ...], float] = {}
    stack: list[tuple[int, int, tuple[tuple[int, int], ...], float]] = [(search.start, 0, (), 1.0)]
    while stack:
        cell, step, visits, chance = stack.pop()
        if cell == goal or step == search.horizon:
            ways[visits] = ways.get(visits, 0.0) + chance
            continue
        # actions, not cells: each of those that shorten the way is equally likely
        steps = [c for c in search.successor[cell].tolist() if table[c, goal] == table[cell, goal] - 1]
        for after in steps:
            here = ((index[after], step + 1),) if after in index else ()
            stack.append((after, step + 1, visits + here, chance / len(steps)))
    return ways
