"""Exact play in the two-step task, the correlated and the informative bandit earns what was computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import metarl_lab as ml
from metarl_lab.exact.two_step import bayes_value
from metarl_lab.ops.regret import expected_regret
from metarl_lab.ops.two_step import stay_probabilities
from metarl_lab.rollout import begin, collect, seeded_generator

N = 4000


def play(name: str, options: dict[str, Any], tasks: Any = None) -> tuple[Any, Any, Any]:
    """The reference, its tasks and its episodes."""
    family = ml.make_family(name, **options)
    agent = ml.make_reference("bayes_optimal", family)
    tasks = family.sample_tasks(N, "test", seeded_generator("cpu", 21)) if tasks is None else tasks
    acted, _ = collect(agent, family, tasks, begin(agent, family, tasks), seeded_generator("cpu", 22))
    return agent, tasks, acted


@pytest.mark.parametrize("options, exact", [({}, 70.59), ({"common": 0.75, "reversal": 0.0}, 69.69)])
def test_two_step_play_earns_its_value_and_shows_its_stays(options: dict[str, Any], exact: float) -> None:
    agent, tasks, acted = play("two_step", options)
    assert agent.value == pytest.approx(exact, abs=0.005)
    # pay expected at each choice, the good state known: the same mean as the return, with less noise
    family = agent.family
    right = acted.action[:, 0, 0] == tasks.good
    better = family.common * family.pays + (1 - family.common) * (1 - family.pays)
    total = torch.where(right, better, 1 - better).sum(1).double()
    assert total.mean().item() == pytest.approx(agent.value, abs=3 * total.std().item() / N**0.5)
    returns = acted.returns.double()
    assert returns.mean().item() == pytest.approx(agent.value, abs=3 * returns.std().item() / N**0.5)
    stay = bayes_value(100, family.common, family.pays, family.reversal).stay
    np.testing.assert_allclose(stay_probabilities(acted).probability, stay, atol=0.01)


@pytest.mark.parametrize("kind, regret", [("uniform", 1.221), ("easy", 0.625), ("medium", 1.0), ("hard", 2.312)])
def test_correlated_play_has_the_published_regret(kind: str, regret: float) -> None:
    _, tasks, acted = play("correlated_bandit", {"kind": kind})
    lost = expected_regret(tasks.mean, acted.action).double()
    assert lost.mean().item() == pytest.approx(regret, abs=3 * lost.std().item() / N**0.5 + 5e-4)


@pytest.mark.parametrize("options", [{}, {"horizon": 1}, {"horizon": 2}, {"arms": 3, "horizon": 4}, {"arms": 5}])
def test_informative_play_earns_its_value_on_every_task(options: dict[str, Any]) -> None:
    family: Any = ml.make_family("informative_bandit", **options)
    agent, _, acted = play("informative_bandit", options, family.all_tasks())
    assert acted.returns.mean().item() == pytest.approx(agent.value, abs=1e-5)
    if not options:
        assert agent.value == pytest.approx(20.55) and (acted.action[..., 0] == 10).all()


@pytest.mark.parametrize("name", ["two_step", "correlated_bandit", "informative_bandit"])
def test_options_of_other_families_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="episodes=3 has no meaning in"):
        ml.make_reference("bayes_optimal", ml.make_family(name), episodes=3)
