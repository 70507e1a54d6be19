"""Bandit agents: the exact value of their own play, hand-computed cases, and the published table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from exact_play import exact_play

import metarl_lab as ml
from metarl_lab.exact.bandits import finite_gittins
from metarl_lab.exact.bernoulli_bandit import index_policy_value, solve_bandit
from metarl_lab.references.base import Reference
from metarl_lab.types import Seen

TABLE = {(int(r["n"]), int(r["k"])): r for r in csv.DictReader(
    (Path(__file__).resolve().parents[2] / "data" / "published" / "bandits.csv").open())}  # fmt: skip
BANDIT_AGENTS = ["greedy", "epsilon_greedy", "ucb1", "thompson", "optimistic_thompson", "gittins", "bayes_optimal"]
SPREAD = 2.3  # standard deviation over tasks of the total of 10 pulls, any good agent


def make(name: str, arms: int, pulls: int, **options: float) -> Reference:
    return ml.make_reference(name, ml.make_family("bernoulli_bandit", arms=arms, horizon=pulls), **options)


@pytest.mark.parametrize("arms, pulls", [(2, 2), (3, 8), (2, 10), (5, 10), (10, 10)])
def test_bayes_optimal_plays_the_optimum(arms: int, pulls: int) -> None:
    agent = make("bayes_optimal", arms, pulls)
    value, _ = exact_play(agent, pulls, copies=2)
    assert value == pytest.approx(solve_bandit(arms, pulls).value, abs=1e-6)
    assert agent.value == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("arms, pulls", [(2, 2), (3, 8), (2, 10), (5, 10)])
def test_gittins_plays_its_index(arms: int, pulls: int) -> None:
    table = finite_gittins(pulls)
    value, error = exact_play(make("gittins", arms, pulls), pulls, copies=20)
    expected = index_policy_value(arms, pulls, lambda s, f, left: table[left, s, f])
    assert value == pytest.approx(expected, abs=4 * error + 1e-6)
    assert value < solve_bandit(arms, pulls).value + 4 * error + 1e-6


@pytest.mark.parametrize("arms, pulls", [(2, 8), (5, 8)])
def test_greedy_plays_the_posterior_mean(arms: int, pulls: int) -> None:
    value, error = exact_play(make("greedy", arms, pulls), pulls, copies=200)
    expected = index_policy_value(arms, pulls, lambda s, f, left: (s + 1) / (s + f + 2))
    assert value == pytest.approx(expected, abs=4 * error + 1e-6) and error < 2e-3


@pytest.mark.parametrize("c, pseudo", [(1.0, 0.0), (0.2, 1.0), (0.5, 1.0)])
def test_ucb1_plays_its_index(c: float, pseudo: float) -> None:
    def index(s: np.ndarray, f: np.ndarray, left: int) -> np.ndarray:
        n, t = s + f + 2 * pseudo, max(8 - left, 1)
        with np.errstate(all="ignore"):
            return np.where(n > 0, (s + pseudo) / n + c * np.sqrt(2 * np.log(t) / n), np.inf).astype(np.float32)

    value, error = exact_play(make("ucb1", 3, 8, c=c, pseudo_counts=pseudo), 8, copies=200)
    assert value == pytest.approx(index_policy_value(3, 8, index), abs=4 * error + 1e-6) and error < 2e-3


@pytest.mark.parametrize("name, expected", [
    # two arms, two pulls. First: 1/2. With which chance does it stay after a success (mean 2/3), after a failure (1/3)?
    # Thompson: P(Beta(2,1) > U) = 2/3 and 1/3: 1/2 + 1/2 (2/3 2/3 + 1/3 1/2) + 1/2 (1/3 1/3 + 2/3 1/2) = 37/36
    ("thompson", 37 / 36),
    # optimistic: max(Beta(2,1), 2/3) > max(U, 1/2): 2/3 + 8/81 = 62/81; max(Beta(1,2), 1/3) > max(U, 1/2): 1/8 + 1/24
    ("optimistic_thompson", 0.5 + 0.5 * (62 / 81 * 2 / 3 + 19 / 81 / 2) + 0.5 * (1 / 6 / 3 + 5 / 6 / 2)),
    # staying after a success: 13/12, of which epsilon = 0.1 is random: 1/2 of it stays, for 7/12 instead of 2/3
    ("epsilon_greedy", 0.5 + 0.5 * (0.9 * 2 / 3 + 0.1 * 7 / 12) + 0.5 * (0.9 / 2 + 0.1 * 5 / 12)),
])  # fmt: skip
def test_two_arms_two_pulls_by_hand(name: str, expected: float) -> None:
    value, error = exact_play(make(name, 2, 2), 2, copies=50_000)
    assert value == pytest.approx(expected, abs=4 * error) and error < 1e-3


@pytest.mark.parametrize("name", ["random", "greedy", "gittins", "bayes_optimal"])
@pytest.mark.parametrize("arms", [5, 10])
def test_collected_returns_match_exact_values(name: str, arms: int) -> None:
    """Through ``collect`` and ``evaluate``: 20,000 held-out tasks, three standard errors (0.05)."""
    exact = {
        "random": 5.0,
        "greedy": index_policy_value(arms, 10, lambda s, f, left: (s + 1) / (s + f + 2)),
        "gittins": solve_bandit(arms, 10).value,  # equal to the optimum to nine digits at these sizes
        "bayes_optimal": solve_bandit(arms, 10).value,
    }[name]
    agent = make(name, arms, 10)
    returns = ml.evaluate(agent, agent.family, n_tasks=20_000, seed=11).per_task[:, 0]
    assert returns.mean() == pytest.approx(exact, abs=3 * returns.std() / 20_000**0.5)


@pytest.mark.parametrize("n, k, name, column, options", [
    (10, 5, "gittins", "gittins", {}), (10, 10, "gittins", "gittins", {}), (100, 5, "gittins", "gittins", {}),
    (10, 5, "thompson", "ts", {}), (10, 10, "thompson", "ts", {}), (100, 5, "thompson", "ts", {}),
    (10, 5, "greedy", "greedy", {}), (10, 10, "greedy", "greedy", {}), (100, 5, "greedy", "greedy", {}),
    (10, 5, "ucb1", "ucb1", {"c": 0.2, "pseudo_counts": 1}), (100, 5, "ucb1", "ucb1", {"c": 0.2, "pseudo_counts": 1}),
    (100, 5, "random", "random", {}),
])  # fmt: skip
def test_the_published_table(n: int, k: int, name: str, column: str, options: dict[str, float]) -> None:
    """Three standard errors of the difference, the published mean being one of 1,000 trials, and 0.05 of rounding.

    UCB1's constant was tuned there and not printed; 0.2 is what is best here.
    """
    agent = make(name, k, n, **options)
    returns = ml.evaluate(agent, agent.family, n_tasks=20_000 if n == 10 else 5_000, seed=12).per_task[:, 0]
    error = (returns.var() / len(returns) + returns.var() / 1000) ** 0.5
    assert returns.mean() == pytest.approx(float(TABLE[n, k][column]), abs=0.05 + 3 * error)


def test_memory_is_carried_over_the_episodes_of_a_trial() -> None:
    """Two episodes of five pulls, the agent told of ten: the optimum of ten pulls (6.660), not twice that of five."""
    family = ml.make_family("bernoulli_bandit", arms=5, horizon=5)
    agent = ml.make_reference("bayes_optimal", family, pulls=10)
    together = ml.evaluate(agent, family, n_tasks=20_000, episodes=2, seed=13).per_task[:, 0] * 2
    in_turn = ml.evaluate(agent, family, n_tasks=20_000, batches=2, seed=13).per_task.sum(1)
    for total in (together, in_turn):
        assert total.mean() == pytest.approx(solve_bandit(5, 10).value, abs=3 * total.std() / 20_000**0.5)


@pytest.mark.parametrize("name", ["gittins", "bayes_optimal"])
def test_after_the_pulls_it_was_told_of_it_is_greedy(name: str) -> None:
    """Told of 3, acting 8: its value is that of a rule worse than being told of 8, and it never fails."""
    value, _ = exact_play(make(name, 3, 3), 8, copies=50)
    greedy_then = index_policy_value(3, 8, lambda s, f, left: (s + 1) / (s + f + 2))
    assert greedy_then - 0.05 < value < solve_bandit(3, 8).value


@pytest.mark.parametrize("name", BANDIT_AGENTS)
def test_the_first_arm_is_any_arm(name: str) -> None:
    agent, copies = make(name, 4, 5), 20_000
    seen = Seen(torch.ones(1, copies, 1), torch.full((1, copies), -1), torch.zeros(1, copies), torch.ones(1, copies), 0)
    noise = torch.rand(1, copies, agent.noise_size, generator=torch.Generator().manual_seed(2))
    action, _ = agent.act(agent.begin(1, copies), seen, noise)
    share = torch.bincount(action[0], minlength=4) / copies
    assert (share - 0.25).abs().max() < 4 * (3 / 16 / copies) ** 0.5


def test_ots_as_published_is_near_its_figures() -> None:
    """Its number of draws is not printed; with 30 the total of 10 pulls is within three standard errors of it."""
    agent = make("optimistic_thompson", 5, 10, most_likely_of=30)
    mean = ml.evaluate(agent, agent.family, n_tasks=2000, seed=14).mean[0]
    assert mean == pytest.approx(float(TABLE[10, 5]["ots"]), abs=0.05 + 3 * SPREAD / 1000**0.5)


@pytest.mark.parametrize("name", BANDIT_AGENTS)
def test_families_they_cannot_act_in_are_refused(name: str) -> None:
    family = (
        ml.make_family("point_navigation") if name in ("greedy", "epsilon_greedy") else ml.make_family("tabular_mdp")
    )
    with pytest.raises(ValueError, match=f"{name} cannot act in '{family.name}'; give a family 'bernoulli_bandit'"):
        ml.make_reference(name, family)


def test_options_out_of_range_are_refused() -> None:
    for name, options, message in [
        ("epsilon_greedy", {"epsilon": 1.5}, "epsilon=1.5"),
        ("ucb1", {"c": -1.0}, "c=-1.0"),
        ("optimistic_thompson", {"most_likely_of": -1}, "most_likely_of=-1"),
        ("greedy", {"reward_prior_mean": 0.0}, "no meaning in a bandit"),
        ("gittins", {"pulls": 0}, "pulls=0"),
        ("bayes_optimal", {"pulls": 500}, "more than"),
    ]:
        with pytest.raises(ValueError, match=message):
            ml.make_reference(name, ml.make_family("bernoulli_bandit"), **options)
