"""Exact bandit values: the stored table, enumeration of tiny cases, a second program, and by hand."""

from __future__ import annotations

import csv
from functools import cache
from math import comb
from pathlib import Path

import numpy as np
import pytest

from metarl_lab.exact.bernoulli_bandit import count_states, index_policy_value, pair_code, solve_bandit, two_armed_value

PUBLISHED = Path(__file__).resolve().parents[2] / "data" / "published"
ROWS = [(int(r["k"]), int(r["n"]), float(r["bayes_optimal_total_reward"]))
        for r in csv.DictReader((PUBLISHED / "bandits_exact.csv").open())]  # fmt: skip


@pytest.mark.parametrize("arms, pulls, value", ROWS)
def test_equals_the_stored_table(arms: int, pulls: int, value: float) -> None:
    ours = two_armed_value(pulls) if (arms, pulls) == (2, 200) else solve_bandit(arms, pulls).value
    assert ours == pytest.approx(value, abs=1e-4)


def test_two_arms_two_pulls_by_hand() -> None:
    """First pull: 1/2. It paid (1/2): stay, 2/3. It failed: switch, 1/2. In all 1/2 + 1/2 (2/3 + 1/2) = 13/12."""
    assert solve_bandit(2, 2).value == pytest.approx(13 / 12, abs=1e-12)
    assert two_armed_value(2) == pytest.approx(13 / 12, abs=1e-12)


def enumerated_value(arms: int, pulls: int) -> float:
    """The same optimum over ordered tuples of (successes, failures), nothing exploited."""

    @cache
    def value(state: tuple[tuple[int, int], ...], left: int) -> float:
        if left == 0:
            return 0.0
        worth = []
        for i, (s, f) in enumerate(state):
            p = (1 + s) / (2 + s + f)
            paid = (*state[:i], (s + 1, f), *state[i + 1 :])
            failed = (*state[:i], (s, f + 1), *state[i + 1 :])
            worth.append(p + p * value(paid, left - 1) + (1 - p) * value(failed, left - 1))
        return max(worth)

    return value(((0, 0),) * arms, pulls)


@pytest.mark.parametrize("arms, pulls", [(1, 4), (2, 6), (3, 5), (4, 4), (6, 3)])
def test_equals_enumeration(arms: int, pulls: int) -> None:
    assert solve_bandit(arms, pulls).value == pytest.approx(enumerated_value(arms, pulls), abs=1e-12)


@pytest.mark.parametrize("pulls", [3, 17, 50])
def test_two_programs_agree(pulls: int) -> None:
    assert solve_bandit(2, pulls).value == pytest.approx(two_armed_value(pulls), abs=1e-10)


def test_number_of_states_by_hand() -> None:
    """Two arms, two pulls made: one arm with (2,0), (1,1) or (0,2); two arms with one of 3 multisets of {S, F}: 6."""
    assert count_states(2, 3) == [1, 2, 6]
    # one arm: m + 1 pairs with m pulls; many arms and 3 pulls: 4 + 3 * 2 + C(4, 3) = 14
    assert count_states(1, 5) == [1, 2, 3, 4, 5]
    assert count_states(9, 4)[3] == 4 + 3 * 2 + comb(4, 3)


def test_index_policies_have_the_values_they_must() -> None:
    """Random play gets 1/2 a pull. Greedy with two pulls is optimal. Nothing beats the optimum; the worst is below."""
    mean = lambda s, f, left: (s + 1) / (s + f + 2)  # noqa: E731
    assert index_policy_value(4, 6, lambda s, f, left: 0 * s) == pytest.approx(3.0, abs=1e-12)
    assert index_policy_value(2, 2, mean) == pytest.approx(13 / 12, abs=1e-12)
    best = solve_bandit(3, 8).value
    assert index_policy_value(3, 8, lambda s, f, left: -mean(s, f, left)) < 4.0 < index_policy_value(3, 8, mean) < best


def test_equal_arms_share_the_choice() -> None:
    """Greedy, three arms, the first pull fails: two arms with mean 1/2 are left; it must not matter which is where.

    By hand, with 2 pulls: 1/2 + 1/2 2/3 + 1/2 1/2 = 13/12 for any number of arms above one.
    """
    mean = lambda s, f, left: (s + 1) / (s + f + 2)  # noqa: E731
    for arms in (2, 3, 7):
        assert index_policy_value(arms, 2, mean) == pytest.approx(13 / 12, abs=1e-12)


def test_the_first_answer_is_to_stay_with_a_winner() -> None:
    """After one success the optimal arm is the one that paid, after one failure another one."""
    solution = solve_bandit(3, 5)
    winner, loser = (int(pair_code(np.array(s), np.array(1 - s))) for s in (1, 0))
    assert sorted(solution.best[1].tolist()) == sorted([winner, 0]) and loser not in solution.best[1]


def test_what_is_too_large_is_refused_with_its_size() -> None:
    with pytest.raises(ValueError, match=r"5 arms and 100 pulls has 3\.63e\+11 states"):
        solve_bandit(5, 100)
    with pytest.raises(ValueError, match="more than"):
        solve_bandit(5, 1000)
    with pytest.raises(ValueError, match="arms=0"):
        solve_bandit(0, 5)
