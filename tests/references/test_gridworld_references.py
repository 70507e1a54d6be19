"""Agents in the gridworld: the exact optimum, exact posterior sampling, and that nobody does better."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.catalog import entries
from metarl_lab.exact.gridworld import Search, search_plan
from metarl_lab.exact.gridworld_psrl import posterior_sampling_returns
from metarl_lab.references.base import Knowing
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.gridworld import GridTasks, GridWorld
from metarl_lab.types import Seen

ORACLE = 11.0714


def search(family: GridWorld) -> Search:
    return Search(family.successor.numpy(), family.goals("train"), 0, family.horizon, family.episodes)


def returns(name: str, family: GridWorld, tasks: GridTasks, episodes: int, seed: int = 5) -> Tensor:
    """(T, K)."""
    agent = ml.make_reference(name, family)
    acted, _ = collect(agent, family, tasks, begin(agent, family, tasks), seeded_generator("cpu", seed), episodes)
    return acted.returns[:, 0]


def test_the_optimum_is_the_published_one() -> None:
    plan = search_plan(search(GridWorld()))
    assert plan.per_episode == pytest.approx([4.0, ORACLE, ORACLE, ORACLE], abs=1e-3)
    assert plan.value == pytest.approx(37.214, abs=1e-3)


@pytest.mark.parametrize(
    "fields", [{}, {"size": 3, "horizon": 4, "episodes": 3}, {"size": 4, "horizon": 8, "episodes": 3}]
)
def test_bayes_optimal_earns_its_value_on_the_prior_exactly(fields: dict[str, Any]) -> None:
    """Each goal once: the mean over them is the expectation, with no sampling error."""
    family = GridWorld(**fields)
    agent: Any = ml.make_reference("bayes_optimal", family)
    played = returns("bayes_optimal", family, GridTasks(torch.tensor(family.goals("test"))), family.episodes)
    assert played.sum(1).mean().item() == pytest.approx(agent.value, abs=1e-4)
    assert played.mean(0).numpy() == pytest.approx(search_plan(search(family)).per_episode, abs=1e-4)


@pytest.mark.parametrize("name", ["oracle", "value_iteration"])
def test_agents_that_know_the_goal_earn_the_oracle_s_value(name: str) -> None:
    family = GridWorld(horizon=7)  # some goals are out of reach
    tasks = GridTasks(torch.arange(2, 25))
    torch.testing.assert_close(returns(name, family, tasks, 2), family.oracle(tasks).unsqueeze(1).expand(-1, 2))


@pytest.mark.parametrize("fields", [{}, {"size": 3, "horizon": 4, "episodes": 3}])
def test_posterior_sampling_is_what_the_exact_sum_says(fields: dict[str, Any]) -> None:
    """Three standard errors: 0.1 a episode in the published protocol."""
    family, n = GridWorld(**fields), 20_000
    tasks = family.sample_tasks(n, "test", seeded_generator("cpu", 3))
    played = returns("psrl", family, tasks, family.episodes).double()
    error = played.std(0) / n**0.5
    assert ((played.mean(0) - torch.from_numpy(posterior_sampling_returns(search(family)))).abs() < 3 * error).all()


def test_posterior_sampling_is_the_figure_of_an_independent_program() -> None:
    """0.504 / 2.262 / 3.842 / 5.198 came from another program's simulation: standard errors as of 20,000 trials."""
    exact = posterior_sampling_returns(search(GridWorld()))
    assert abs(exact - [0.504, 2.262, 3.842, 5.198]) == pytest.approx(0, abs=2 * 0.047)


def unknowing() -> list[str]:
    """All references that can act here and are not told the goal."""
    names = []
    for name, kind in entries("references").items():
        try:
            ml.make_reference(name, GridWorld())
        except ValueError:
            continue
        if not issubclass(kind, Knowing):
            names.append(name)
    return names


@pytest.mark.parametrize("name", unknowing())
def test_nobody_beats_the_optimum(name: str) -> None:
    family, n = GridWorld(), 4000
    tasks = family.sample_tasks(n, "test", seeded_generator("cpu", 4))
    total = returns(name, family, tasks, 4).sum(1)
    assert total.mean() < search_plan(search(family)).value + 4 * total.std() / n**0.5


def test_they_remember_a_goal_met_with_the_last_step_of_an_episode() -> None:
    """The start is seen next, and the reward was paid elsewhere: the goal is where the last action led."""
    family = GridWorld(horizon=5)
    successor = family.successor
    for name in ("bayes_optimal", "psrl"):
        agent = ml.make_reference(name, family)
        memory = agent.begin(1, 1)
        action, reward, cell = torch.full((1, 1), -1), torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.int64)
        for step in range(10):
            if step == 5:
                goal, reward, cell = int(cell), torch.ones(1, 1), torch.zeros_like(cell)
            observation = torch.nn.functional.one_hot(cell, 25).float()
            seen = Seen(observation, action, reward, torch.full((1, 1), step % 5 == 0), step % 5)
            action, memory = agent.act(memory, seen, torch.full((1, 1, agent.noise_size), 0.3))
            cell, reward = successor[cell, action], torch.full((1, 1), -0.1)
            if step >= 5 and int(cell) == goal:
                break
        assert step - 4 == goal // 5 + goal % 5, "straight to the goal"


def test_a_trial_longer_than_was_planned_for_still_searches() -> None:
    family = GridWorld(horizon=8)
    agent = ml.make_reference("bayes_optimal", family, episodes=1)
    curve = ml.evaluate(agent, family, n_tasks=200, episodes=3)
    assert curve.per_task.shape == (200, 1)


@pytest.mark.parametrize("name, options, message", [
    ("bayes_optimal", {"pulls": 5}, "pulls=5 has no meaning in a gridworld; give episodes"),
    ("bayes_optimal", {"max_states": 10}, "more than max_states=10"),
    ("psrl", {"reward_prior_mean": 0.0}, "has no meaning in a gridworld"),
])  # fmt: skip
def test_options_that_do_not_fit_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ml.make_reference(name, GridWorld(), **options)
    with pytest.raises(ValueError, match="episodes=3 has no meaning in a bandit"):
        ml.make_reference("bayes_optimal", ml.make_family("bernoulli_bandit"), episodes=3)
