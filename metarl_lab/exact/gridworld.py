"""Exact play of a search for one hidden goal, equally likely in each of n cells of a grid where moves are certain.

Until the goal is met nothing is seen but that it is not here, so a policy is a fixed *plan* up to that moment, and the
shortest way to a known goal after it. A goal first met at step h = 1..H of episode k = 0..K-1, at distance d from the
start, then costs, against knowing it from the first step on,

    (paid - lost) [k (H + 1 - d) + h - d],        and (paid - lost) K (H + 1 - d) if it is never met,

``paid`` being the reward of a step that ends on the goal and ``lost`` that of any other; goals with d > H cost nothing.
The best plan has the least sum of these whole numbers over the goals (a travelling repairman's problem).
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

MAX_STATES = 100_000
"""States visited at the most, unless told otherwise: about 10 s. The published 5 x 5 grid needs about 100."""

_State = tuple[int, int, int]  # steps done in the trial, cell, bits of the goals not yet ruled out
_BITS = 62  # goals in a set, which is one int64
_FAR = 10**6  # steps to a cell that cannot be reached


class Search(NamedTuple):
    """Which grid, which goals, how long."""

    successor: np.ndarray  # (S, A) int: the cell that each action leads to
    goals: list[int]
    start: int
    horizon: int
    episodes: int
    paid: float = 1.0
    lost: float = -0.1


class Plan(NamedTuple):
    """The best search. ``actions`` (K, H) are taken until the goal is met, zeros once no goal is left to rule out."""

    value: float  # expected total reward of the trial
    per_episode: np.ndarray  # (K,) the same, episode by episode
    actions: np.ndarray
    states: int  # how many the program visited


def distances(successor: np.ndarray) -> np.ndarray:
    """Fewest steps from every cell to every cell, (S, S) int64: breadth first; 10^6 where there is no way."""
    table = np.full((len(successor), len(successor)), _FAR)
    for origin, row in enumerate(table):
        row[origin], queue = 0, [origin]
        for cell in queue:
            for after in successor[cell].tolist():
                if row[after] == _FAR:
                    row[after] = row[cell] + 1
                    queue.append(after)
    return table


def known_value(search: Search, goal: int, near: np.ndarray) -> float:
    """Reward of one episode with the goal known, ``near`` (S,) being distances from the start."""
    return paid_after(search, min(int(near[goal]) - 1, search.horizon))


def paid_after(search: Search, steps: int) -> float:
    """Reward of an episode whose first ``steps`` steps miss the goal and whose others are on it."""
    return search.paid * (search.horizon - steps) + search.lost * steps


def search_plan(search: Search, max_states: int = MAX_STATES) -> Plan:
    """The plan of the greatest expected total reward, by dynamic programming over (time, cell, goals not ruled out).

    States are visited in the order of cost so far plus a lower bound of the cost to come (A*: Hart, Nilsson and Raphael
    1968), so that the first finished plan is optimal: every state that was not visited is bounded by no less.
    """
    check_search(search)
    problem = _Problem(search)
    first: _State = (0, search.start, (1 << len(problem.goals)) - 1)
    # among equal bounds the latest state first, and the newest of these: straight to the end where the bound is tight
    queue: list[tuple[int, int, int, _State, int, tuple[_State, int] | None]] = [(0, 0, 0, first, 0, None)]
    parent: dict[_State, tuple[_State, int] | None] = {}
    pushed = 0
    while True:
        _, _, _, state, cost, came = heapq.heappop(queue)
        if state in parent:
            continue
        parent[state] = came
        if state[0] == search.episodes * search.horizon or state[2] == 0:
            return _finish(search, parent, state)
        if len(parent) > max_states:
            raise ValueError(
                f"searching {len(problem.goals)} cells in {search.episodes} episodes of {search.horizon} steps visits "
                f"more than max_states={max_states} states; give a smaller grid, or more max_states"
            )
        for action, after, paid in problem.successors(state):
            if after not in parent:
                least = cost + paid + problem.bound(after)
                pushed += 1
                heapq.heappush(queue, (least, -after[0], -pushed, after, cost + paid, (state, action)))


class _Problem:
    """Costs in units of paid - lost, and their bounds."""

    def __init__(self, search: Search) -> None:
        self.search, self.table = search, distances(search.successor)
        self.near = self.table[search.start].tolist()
        self.goals = [g for g in search.goals if self.near[g] <= search.horizon]
        self.bit = {goal: 1 << i for i, goal in enumerate(self.goals)}

    def successors(self, state: _State) -> list[tuple[int, _State, int]]:
        """(action, state after it, cost that it settles) for every cell one step away."""
        time, cell, left = state
        k, h = divmod(time, self.search.horizon)
        found = []
        # dict: of several actions that lead to one cell, one is enough
        for after, action in {int(c): a for a, c in reversed(list(enumerate(self.search.successor[cell])))}.items():
            bit = self.bit.get(after, 0) & left
            cost = k * (self.search.horizon + 1 - self.near[after]) + h + 1 - self.near[after] if bit else 0
            place = self.search.start if h + 1 == self.search.horizon else after
            found.append((action, (time + 1, place, left & ~bit), cost))
        return found

    def bound(self, state: _State) -> int:
        """No plan from here costs less: steps are as short as the grid allows, and one goal is ruled out a step.

        What cannot be met in this episode is met in the next one, at no more than its own distance, or never.
        """
        time, cell, left = state
        horizon = self.search.horizon
        k, h = divmod(time, horizon)
        goals = [goal for goal, bit in self.bit.items() if bit & left]
        cost = sum(k * (horizon + 1 - self.near[goal]) for goal in goals)
        if k == self.search.episodes:
            return cost
        slot = h
        for soonest in sorted(h + int(self.table[cell, goal]) for goal in goals):
            slot = max(slot + 1, soonest)
            cost += min(slot, horizon + 1)
        return cost - sum(self.near[goal] for goal in goals)


def _finish(search: Search, parent: dict[_State, tuple[_State, int] | None], state: _State) -> Plan:
    """The plan that led to a finished state."""
    actions: list[int] = []
    before = parent[state]
    while before is not None:
        state, action = before
        actions.append(action)
        before = parent[state]
    padding = [0] * (search.episodes * search.horizon - len(actions))
    plan = np.array(actions[::-1] + padding).reshape(search.episodes, search.horizon)
    per_episode = plan_returns(search, plan).mean(0)
    return Plan(float(per_episode.sum()), per_episode, plan, len(parent))


def plan_returns(search: Search, actions: np.ndarray) -> np.ndarray:
    """Reward of every episode (goals, K) if ``actions`` (K, H) are taken until the goal is met, then the best ones."""
    near = distances(search.successor)[search.start]
    returns = np.empty((len(search.goals), len(actions)))
    for i, goal in enumerate(search.goals):
        met = False
        for k, episode in enumerate(actions):
            if met:
                returns[i, k] = known_value(search, goal, near)
                continue
            cells = walk(search, episode)
            met = goal in cells
            returns[i, k] = paid_after(search, cells.index(goal) if met else search.horizon)
    return returns


def walk(search: Search, actions: np.ndarray) -> list[int]:
    """The cells of an episode, one after each action."""
    cells, cell = [], search.start
    for action in actions.tolist():
        cell = int(search.successor[cell, action])
        cells.append(cell)
    return cells


def check_search(search: Search) -> None:
    """Raise ValueError for what these programs cannot hold."""
    if not 0 < len(search.goals) <= _BITS:
        raise ValueError(f"{len(search.goals)} goals are not allowed; give 1 to {_BITS}")
    if search.start in search.goals:
        raise ValueError(f"goal {search.start} is the start itself; give goals that are at least one step away")
    if search.horizon < 1 or search.episodes < 1:
        raise ValueError(
            f"horizon={search.horizon}, episodes={search.episodes} are not allowed; give 1 or more of both"
        )
