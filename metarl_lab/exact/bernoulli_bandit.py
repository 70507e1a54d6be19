"""Exact values of Bernoulli bandits with k arms from U(0, 1): Bayes-optimal play and index policies.

Arms are exchangeable, so a state is not a tuple but a *multiset* of the arms' (successes, failures). Each pair has a
number, its code; the key of a state is the sum of random 64-bit numbers, one per code, modulo 2^64. Pulling an arm
takes one number away and adds another, so successors are found by arithmetic and a search in a sorted list, and no
state is ever sorted into canonical form. That no two states share a key is checked: the number of distinct keys after
m pulls must be the number of multisets, which is known in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

MAX_STATES = 3_000_000
"""Largest program solved unless told otherwise: about 10 s and 0.5 GB."""

Index = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""An index policy: (successes, failures, pulls left including this one) -> index of an arm, elementwise."""


class Level(NamedTuple):
    """All N states after m pulls, in the order of their keys."""

    key: np.ndarray  # (N,) int64
    code: np.ndarray  # (N, k) int32: the code of each arm, zeros for arms not pulled, in no particular order


class Solution(NamedTuple):
    """Bayes-optimal play of n pulls."""

    value: float  # expected total reward of n pulls
    key: list[np.ndarray]  # for m = 0..n-1 pulls made: (N_m,) int64, sorted
    best: list[np.ndarray]  # for the same states: the code of the arm to pull, (N_m,) int32


def pair_code(successes: Any, failures: Any) -> Any:
    """The number of a pair: t (t + 1) / 2 + s with t = s + f; 0 is the arm that was never pulled. Arrays or tensors."""
    t = successes + failures
    return t * (t + 1) // 2 + successes


def code_weights(pulls: int) -> np.ndarray:
    """The random 64-bit number of each code that n pulls can reach, int64; 0 for code 0. The same on every machine."""
    rng = np.random.Generator(np.random.PCG64(20161109))
    weight = rng.integers(-(2**63), 2**63, size=(pulls + 1) * (pulls + 2) // 2, dtype=np.int64)
    weight[0] = 0
    return weight


def count_states(arms: int, pulls: int) -> list[int]:
    """Number of states after m = 0..n-1 pulls: multisets of at most k pairs (s, f) != (0, 0) with m pulls in total.

    The coefficient of x^m, summed over powers of y up to k, of prod_t (1 - y x^t)^-(t + 1): t + 1 pairs have t pulls,
    and j arms take C(t + j, j) multisets of them.
    """
    count = [[0] * pulls for _ in range(arms + 1)]  # [arms used][pulls used]
    count[0][0] = 1
    for t in range(1, pulls):
        grown = [[0] * pulls for _ in range(arms + 1)]
        for used in range(arms + 1):
            for m in range(pulls):
                if count[used][m]:
                    for j in range(min(arms - used, (pulls - 1 - m) // t) + 1):
                        grown[used + j][m + j * t] += count[used][m] * math.comb(t + j, j)
        count = grown
    return [sum(row[m] for row in count) for m in range(pulls)]


def solve_bandit(arms: int, pulls: int, max_states: int = MAX_STATES) -> Solution:
    """Bayes-optimal play by backward induction over multisets.

    V_m(x) = max over arms i of  p_i + p_i V_{m+1}(x with s_i + 1) + (1 - p_i) V_{m+1}(x with f_i + 1),
    p_i = (1 + s_i) / (2 + s_i + f_i),  V_n = 0  (Bellman 1956; Duff 2002, section 1.3).

    Raises
    ------
    ValueError
        If there are more than ``max_states`` states (each about 200 bytes, and 3 microseconds).
    """
    # more arms than pulls change nothing: one that was never pulled is always left
    levels = _enumerate_states(min(arms, pulls), pulls, max_states)
    weight, after = code_weights(pulls), np.zeros(0)
    best: list[np.ndarray] = []
    for m in reversed(range(pulls)):
        q = _play_once(levels, m, weight, after)  # (N, k), -inf for an arm equal to the one before it
        slot = q.argmax(1)
        rows = np.arange(len(q))
        after = q[rows, slot]
        best.append(levels[m].code[rows, slot])
    return Solution(float(after[0]), [level.key for level in levels], best[::-1])


def index_policy_value(arms: int, pulls: int, index: Index, max_states: int = MAX_STATES) -> float:
    """Exact expected total reward of pulling the arm of the largest index, equal ones with equal chance.

    The same recursion as ``solve_bandit`` with the maximum replaced by the policy's own choice.
    """
    levels = _enumerate_states(arms, pulls, max_states)
    weight, after = code_weights(pulls), np.zeros(0)
    for m in reversed(range(pulls)):
        successes, failures = _pairs(levels[m].code)
        score = index(successes, failures, pulls - m)
        chosen = score == score.max(1, keepdims=True)
        q = _play_once(levels, m, weight, after, skip_equal=False)
        after = (q * chosen).sum(1) / chosen.sum(1)
    return float(after[0])


def two_armed_value(pulls: int) -> float:
    """Bayes-optimal expected total reward with two arms, on plain arrays: another program for ``solve_bandit(2, n)``.

    ``value[t][s1, s2]``: arm one had t pulls, the other one m - t. Much the faster one for hundreds of pulls.
    """
    value = [np.zeros((t + 1, pulls - t + 1)) for t in range(pulls + 1)]
    for m in reversed(range(pulls)):
        new = []
        for t in range(m + 1):
            p1 = ((np.arange(t + 1) + 1) / (t + 2))[:, None]
            p2 = ((np.arange(m - t + 1) + 1) / (m - t + 2))[None, :]
            q1 = p1 * (1 + value[t + 1][1:]) + (1 - p1) * value[t + 1][:-1]
            q2 = p2 * (1 + value[t][:, 1:]) + (1 - p2) * value[t][:, :-1]
            new.append(np.maximum(q1, q2))
        value = new
    return float(value[0][0, 0])


def _enumerate_states(arms: int, pulls: int, max_states: int) -> list[Level]:
    """Every state after m = 0..n-1 pulls, from those after m - 1."""
    if arms < 1 or pulls < 1:
        raise ValueError(f"arms={arms}, pulls={pulls} is not allowed; give at least 1 of each")
    # the two-armed count alone passes 1e8 at 300 pulls: do not spend minutes on counting what cannot be solved
    counts = count_states(arms, min(pulls, 300))
    if sum(counts) > max_states or pulls > 300:
        many = f"more than {sum(counts):.3g}" if pulls > 300 else f"{sum(counts):.3g}"
        raise ValueError(
            f"exact play of {arms} arms and {pulls} pulls has {many} states, and at most {max_states:.3g} are allowed; "
            "give fewer arms or pulls, or use the reference 'gittins', which is close to exact and cheap"
        )
    weight = code_weights(pulls)
    levels = [Level(np.zeros(1, np.int64), np.zeros((1, arms), np.int32))]
    for m in range(1, pulls):
        level = levels[-1]
        parent, slot = np.nonzero(_first_of_equals(level.code))
        code = level.code[parent, slot]
        lost = level.key[parent] - weight[code]
        key, which = np.unique(np.concatenate([lost + weight[c] for c in _successors(code)]), return_index=True)
        if len(key) != counts[m]:  # two states with one key; not seen for any size that fits in memory
            raise RuntimeError(
                f"{len(key)} keys for {counts[m]} states of {arms} arms; change the seed of code_weights"
            )
        paid = which < len(parent)
        source = which % len(parent)
        child = level.code[parent[source]]
        gained, failed = _successors(code[source])
        child[np.arange(len(key)), slot[source]] = np.where(paid, gained, failed)
        levels.append(Level(key, child))
    return levels


def _play_once(
    levels: list[Level], m: int, weight: np.ndarray, after: np.ndarray, skip_equal: bool = True
) -> np.ndarray:
    """Expected reward of each arm and of what follows, (N, k). after (N_{m+1},): values after one pull more."""
    code = levels[m].code
    q = np.full(code.shape, -np.inf)
    row, slot = np.nonzero(_first_of_equals(code)) if skip_equal else np.nonzero(np.ones_like(code))
    c = code[row, slot]
    successes, failures = _pairs(c)
    p = (successes + 1) / (successes + failures + 2)
    worth = p.copy()
    if m + 1 < len(levels):
        lost = levels[m].key[row] - weight[c]
        gained, failed = _successors(c)
        find = levels[m + 1].key.searchsorted
        worth += p * after[find(lost + weight[gained])] + (1 - p) * after[find(lost + weight[failed])]
    q[row, slot] = worth
    return q


def _first_of_equals(code: np.ndarray) -> np.ndarray:
    """Which arms of a state are not equal to an arm before them, (N, k) bool: equal arms need one look only."""
    first = np.ones(code.shape, dtype=bool)
    for i in range(1, code.shape[1]):
        first[:, i] = (code[:, :i] != code[:, i : i + 1]).all(1)
    return first


def _pairs(code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The (successes, failures) of codes: t is the largest whole number with t (t + 1) / 2 <= code."""
    c = code.astype(np.int64)
    t = ((np.sqrt(8 * c + 1) - 1) // 2).astype(np.int64)
    successes = c - t * (t + 1) // 2
    return successes, t - successes


def _successors(code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The codes after one more success, and after one more failure."""
    successes, failures = _pairs(code)
    return pair_code(successes + 1, failures).astype(np.int32), pair_code(successes, failures + 1).astype(np.int32)
