"""Exact play of the correlated and the informative bandit against other programs, and regret."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from metarl_lab.exact.correlated_bandit import bayes_value, count_evidence, no_evidence, oracle_value, posterior_means
from metarl_lab.exact.informative_bandit import all_possible, rule_out, search_value, solve_informative
from metarl_lab.ops.regret import expected_regret, regret

LOW = {"uniform": None, "easy": 0.1, "medium": 0.25, "hard": 0.4}
CPU = torch.device("cpu")


@pytest.mark.parametrize("kind, exact", [("uniform", 1.221), ("easy", 0.625), ("medium", 1.000), ("hard", 2.312)])
def test_the_published_regrets(kind: str, exact: float) -> None:
    assert oracle_value(100, LOW[kind]) - bayes_value(100, LOW[kind]) == pytest.approx(exact, abs=5e-4)


@pytest.mark.parametrize("low", [None, 0.1, 0.4])
def test_greedy_is_optimal_by_a_programme_that_may_choose(low: float | None) -> None:
    """Backward induction over (paid, failed) of each arm on a grid of p1: what the arms share is not used."""
    p = (np.arange(2000) + 0.5) / 2000 if low is None else np.array([low, 1 - low])

    @cache
    def value(s1: int, f1: int, s2: int, f2: int, left: int) -> float:
        if left == 0:
            return 0.0
        weight = p ** (s1 + f2) * (1 - p) ** (f1 + s2)
        one = float(weight @ p / weight.sum())
        first = one * (1 + value(s1 + 1, f1, s2, f2, left - 1)) + (1 - one) * value(s1, f1 + 1, s2, f2, left - 1)
        other = (1 - one) * (1 + value(s1, f1, s2 + 1, f2, left - 1)) + one * value(s1, f1, s2, f2 + 1, left - 1)
        return max(first, other)

    assert bayes_value(8, low) == pytest.approx(value(0, 0, 0, 0, 8), abs=1e-5)


def test_evidence_and_posterior_by_hand() -> None:
    """Arm 1 pays, arm 2 fails: twice for arm 1. Arm 2 pays: once for arm 2."""
    evidence = no_evidence(1, 1, CPU)
    for action, reward in ((-1, 0.0), (0, 1.0), (1, 0.0), (1, 1.0)):
        evidence = count_evidence(evidence, torch.tensor([[action]]), torch.tensor([[reward]]))
    assert evidence.flatten().tolist() == [2.0, 1.0]
    assert posterior_means(evidence, None).flatten().tolist() == pytest.approx([3 / 5, 2 / 5])
    # .9 .9 .1 against .1 .1 .9: nine to one for p1 = .9
    assert posterior_means(evidence, 0.1).flatten().tolist() == pytest.approx([0.82, 0.18])


def test_the_informative_bandits_published_values() -> None:
    solution = solve_informative(11, 5)
    assert solution.value == pytest.approx(20.55) and search_value(11, 5) == pytest.approx(11.0)
    assert solution.ask[5, 10] and not solution.ask[1, 10]  # with one pull left there is nothing to tell for


@pytest.mark.parametrize("arms, pulls, pay", [(11, 5, 5.0), (4, 3, 5.0), (6, 4, 1.2), (7, 6, 1.05), (4, 2, 1.4)])
def test_no_order_and_no_plan_does_better(arms: int, pulls: int, pay: float) -> None:
    """Every action, whatever is known, over sets of arms that may be the target."""
    m = arms - 1

    @cache
    def value(possible: frozenset[int], left: int) -> float:
        if left == 0:
            return 0.0
        n = len(possible)
        told = sum((i + 1) / m + value(frozenset({i}), left - 1) for i in possible) / n
        options = [told]
        for arm in range(m):
            if arm in possible:
                hit = pay + value(frozenset({arm}), left - 1)
                miss = 1 + value(possible - {arm}, left - 1) if n > 1 else 0.0
                options.append(hit / n + (1 - 1 / n) * miss)
            else:
                options.append(1 + value(possible, left - 1))
        return max(options)

    expected = value(frozenset(range(m)), pulls)
    assert solve_informative(arms, pulls, pay).value == pytest.approx(expected, abs=1e-12)


def test_ruling_out_by_hand() -> None:
    start = all_possible(1, 4, 4, CPU)  # three possible targets
    action, reward = torch.tensor([[-1, 1, 1, 3]]), torch.tensor([[0.0, 1.0, 5.0, 1.0]])
    after = rule_out(start, action, reward)
    # nothing yet; arm 1 is not it; arm 1 is it; arm 3 tells the third, though it pays 1 like any other
    assert after[0].long().tolist() == [[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_regret_is_paired_with_its_tasks() -> None:
    oracle = torch.tensor([90.0, 60.0, 75.0])
    result = regret(oracle, np.array([[88.0, 90.0], [58.0, 58.0], [74.0, 74.0]]))  # losses 1, 2, 1
    half = 4.302653 * np.std([1, 2, 1], ddof=1) / 3**0.5
    assert result == pytest.approx((4 / 3, 4 / 3 - half, 4 / 3 + half), abs=1e-5)
    with pytest.raises(ValueError, match="not of the same tasks"):
        regret(oracle, np.zeros((2, 1)))


def test_expected_regret_counts_the_gap_of_each_pull() -> None:
    mean = torch.tensor([[0.9, 0.1], [0.25, 0.75]])
    action = torch.tensor([[0, 1, 1], [1, 1, 0]]).reshape(2, 1, 1, 3)
    assert expected_regret(mean, action).flatten().tolist() == pytest.approx([1.6, 0.5])
