"""Agents in tabular MDPs: the published table with the wrong prior, and what the right one gives."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

import metarl_lab as ml
from metarl_lab.evaluate import seeded_generator
from metarl_lab.rollout import begin, collect
from metarl_lab.types import Seen

TABLE = {int(r["n"]): r for r in csv.DictReader(
    (Path(__file__).resolve().parents[2] / "data" / "published" / "tabular_mdp.csv").open())}  # fmt: skip
FAMILY = ml.make_family("tabular_mdp")


def total(name: str, n_tasks: int, **options: float) -> tuple[float, float]:
    """Mean total reward of ten episodes, and the variance of one trial's."""
    agent = ml.make_reference(name, FAMILY, **options)
    returns = 10 * ml.evaluate(agent, FAMILY, n_tasks=n_tasks, episodes=10, seed=21).per_task[:, 0]
    return returns.mean(), returns.var()


@pytest.mark.parametrize("name, column, options, n_tasks", [
    ("psrl", "psrl", {"reward_prior_mean": 0.0}, 1000),
    ("greedy", "greedy", {"reward_prior_mean": 0.0}, 3000),
    ("value_iteration", "v_star_mc", {}, 3000),
    ("random", "random", {}, 3000),
])  # fmt: skip
def test_the_published_table(name: str, column: str, options: dict[str, float], n_tasks: int) -> None:
    """Three standard errors of the difference, the published mean being one of 1,000 trials, and 0.05 of rounding."""
    mean, variance = total(name, n_tasks, **options)
    assert mean == pytest.approx(float(TABLE[10][column]), abs=0.05 + 3 * (variance / n_tasks + variance / 1000) ** 0.5)


def test_greedy_with_the_right_prior() -> None:
    """154.4, measured with another program on other tasks to 0.5: far above every published greedy figure."""
    mean, variance = total("greedy", 3000)
    assert mean == pytest.approx(154.4, abs=0.5 + 3 * (variance / 3000) ** 0.5)
    assert mean > float(TABLE[10]["greedy"]) + 10


def test_value_iteration_gets_the_oracle_s_value_on_each_task() -> None:
    """Against the task's own V*, over 400 copies: the noise of tasks drops out."""
    agent = ml.make_reference("value_iteration", FAMILY)
    tasks = FAMILY.sample_tasks(200, "test", seeded_generator("cpu", 1))
    acted, _ = collect(agent, FAMILY, tasks, begin(agent, FAMILY, tasks, 400), seeded_generator("cpu", 2))
    returns = acted.returns[..., 0]  # (T, E)
    error = (returns.mean(1) - FAMILY.oracle(tasks)) / (returns.std(1) / 400**0.5)
    assert abs(error.mean().item()) < 4 / 200**0.5 and error.std().item() == pytest.approx(1, abs=0.2)


def test_value_iteration_counts_the_steps_that_are_left() -> None:
    """At the last step only its own reward matters: a plan read at another step fails here, if hardly elsewhere."""
    agent = ml.make_reference("value_iteration", FAMILY)
    tasks = FAMILY.sample_tasks(100, "test", seeded_generator("cpu", 8))
    every_state = torch.eye(10).expand(100, 10, 10)  # as copies
    seen = Seen(every_state, torch.zeros(100, 10), torch.zeros(100, 10), torch.zeros(100, 10), step=9)
    action, _ = agent.act(agent.told(tasks, 10), seen, torch.rand(100, 10, 1))
    assert (action == tasks.reward.argmax(-1)).all()


def test_value_iteration_knows_the_best_arm_of_a_bandit() -> None:
    family = ml.make_family("bernoulli_bandit", arms=3, horizon=4)
    agent = ml.make_reference("value_iteration", family)
    tasks = family.sample_tasks(50, "test", seeded_generator("cpu", 3))
    acted, _ = collect(agent, family, tasks, begin(agent, family, tasks, 2), seeded_generator("cpu", 4))
    assert (acted.action == tasks.mean.argmax(1)[:, None, None, None]).all()


@pytest.mark.parametrize("name", ["psrl", "greedy"])
def test_with_enough_seen_it_plays_the_optimum(name: str) -> None:
    """A small MDP, little reward noise, 150 episodes: the last ones get within 2% of V*; the first does not."""
    family = ml.make_family("tabular_mdp", states=3, actions=2, horizon=5, reward_noise=0.2)
    agent = ml.make_reference(name, family)
    tasks = family.sample_tasks(300, "test", seeded_generator("cpu", 5))
    acted, _ = collect(agent, family, tasks, begin(agent, family, tasks), seeded_generator("cpu", 6), episodes=150)
    share = acted.returns.mean((0, 1)) / family.oracle(tasks).mean()
    bar = {"psrl": 0.97, "greedy": 0.93}[name]  # greedy never finds out about what looks bad
    assert share[-30:].mean() > bar > share[0]


def test_psrl_keeps_its_draw_for_a_whole_episode() -> None:
    """Actions depend on the noise of an episode's first step only."""
    agent = ml.make_reference("psrl", FAMILY)
    memory = agent.begin(4, 2)
    observation = torch.eye(10)[:8].reshape(4, 2, 10)
    action, reward = torch.full((4, 2), -1), torch.zeros(4, 2)
    noise = torch.rand(3, 4, 2, agent.noise_size, generator=torch.Generator().manual_seed(7))

    def act(step: int, which: int, memory: object) -> tuple[torch.Tensor, object]:
        seen = Seen(observation, action, reward, torch.full((4, 2), step == 0), step)
        return agent.act(memory, seen, noise[which])

    _, memory = act(0, 0, memory)
    assert (act(1, 1, memory)[0] == act(1, 2, memory)[0]).all()
    assert (act(0, 1, memory)[0] != act(0, 2, memory)[0]).any()


def test_a_wrong_prior_mean_is_worth_less_to_greedy_and_more_to_psrl() -> None:
    """The lesson of the published baselines: a prior mean of 0 keeps greedy on what it knows, which costs it 17;
    for PSRL it cuts short exploration that ten episodes do not repay, and it gains 4."""
    gains = {name: total(name, 600)[0] - total(name, 600, reward_prior_mean=0.0)[0] for name in ("greedy", "psrl")}
    assert gains["greedy"] > 10 and gains["psrl"] < 0


def test_psrl_in_a_bandit_is_refused() -> None:
    with pytest.raises(ValueError, match="psrl cannot act in 'bernoulli_bandit'.*use 'thompson'"):
        ml.make_reference("psrl", ml.make_family("bernoulli_bandit"))
