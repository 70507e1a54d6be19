"""The two-step task: its dynamics by hand, the law of its reversals, its oracle."""

from __future__ import annotations

import pytest
import torch

import metarl_lab as ml
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.two_step import TwoStep, TwoStepTasks


def test_four_choices_by_hand() -> None:
    """The good state goes 0, 0, 1, 1. Noise: below .8 the transition is common, below .9 the good state pays."""
    family = TwoStep(horizon=4)
    tasks = TwoStepTasks(torch.tensor([[0, 0, 1, 1]]), torch.tensor([0.8]))
    state = family.reset(tasks, torch.zeros(1, 1, 0))
    assert family.observe(tasks, state).tolist() == [[[0.0, 0.0]]]
    # action, two noises -> state reached, reward
    course = [
        (0, 0.79, 0.89, 0, 1.0),  # common, and the good state pays
        (0, 0.81, 0.89, 1, 0.0),  # rare, to the bad state: it pays only above .9
        (0, 0.81, 0.95, 1, 0.0),  # rare; 1 is the good state now, and this is its tenth
        (1, 0.81, 0.95, 0, 1.0),  # rare, to the bad state, and its tenth
    ]
    for action, u, v, second, reward in course:
        state, paid, terminated = family.step(tasks, state, torch.tensor([[action]]), torch.tensor([[[u, v]]]))
        assert (state.second.item(), paid.item(), terminated.item()) == (second, reward, False)
        assert family.observe(tasks, state)[0, 0].tolist() == [float(second == 0), float(second == 1)]


def test_reversals_follow_their_law_and_the_first_state_is_fair() -> None:
    tasks = TwoStep().sample_tasks(4000, "train", seeded_generator("cpu", 0))
    good = tasks.good.double()
    assert good.unique().tolist() == [0, 1]
    assert good[:, 0].mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 4000**0.5)
    turned = (good[:, 1:] != good[:, :-1]).double()
    assert turned.mean().item() == pytest.approx(0.025, abs=4 * (0.025 * 0.975 / turned.numel()) ** 0.5)
    # not at fixed times: the chance is the same at the first and the last choice
    for part in (turned[:, :20], turned[:, -20:]):
        assert part.mean().item() == pytest.approx(0.025, abs=4 * (0.025 * 0.975 / part.numel()) ** 0.5)
    # and both ways alike
    assert turned[good[:, :-1] == 0].mean().item() == pytest.approx(0.025, abs=0.0025)


def test_the_form_of_2016_never_reverses() -> None:
    tasks = TwoStep(common=0.75, reversal=0.0).sample_tasks(500, "test", seeded_generator("cpu", 0))
    assert torch.equal(tasks.good, tasks.good[:, :1].expand(-1, 100))
    assert tasks.good[:, 0].unique().tolist() == [0, 1]


@pytest.mark.parametrize("fields, exact", [({}, 74.0), ({"common": 0.75, "reversal": 0.0}, 70.0)])
@pytest.mark.parametrize("split", ["test", "ood"])
def test_the_oracle_earns_the_published_figure(fields: dict[str, float], exact: float, split: str) -> None:
    family = TwoStep(**fields)
    tasks = family.sample_tasks(4000, split, seeded_generator("cpu", 1))
    torch.testing.assert_close(family.oracle(tasks), torch.full((4000,), exact))
    played = ml.evaluate(ml.make_reference("oracle", family), family, tasks=tasks).per_task[:, 0]
    assert played.mean() == pytest.approx(exact, abs=3 * played.std() / 4000**0.5)


def test_random_play_earns_half_and_rare_is_rare() -> None:
    family = TwoStep()
    tasks = family.sample_tasks(1000, "test", seeded_generator("cpu", 1))
    agent = ml.make_reference("random", family)
    acted, _ = collect(agent, family, tasks, begin(agent, family, tasks), seeded_generator("cpu", 2))
    assert acted.returns.mean().item() == pytest.approx(50, abs=4 * 5 / 1000**0.5)
    second = acted.observation[..., 1:, :].argmax(-1)
    common = (second == acted.action[..., :-1]).float().mean().item()
    assert common == pytest.approx(0.8, abs=4 * 0.4 / 99_000**0.5)


def test_out_of_distribution_rare_and_common_are_exchanged() -> None:
    family = TwoStep()
    tasks = family.sample_tasks(50, "ood", seeded_generator("cpu", 1))
    assert tasks.straight.tolist() == pytest.approx([0.2] * 50)
    best = family.best_action(tasks, torch.zeros(50, 1, 2), 7)
    assert torch.equal(best[:, 0], 1 - tasks.good[:, 7])


@pytest.mark.parametrize("fields", [{"common": 0.5}, {"pays": 1.1}, {"reversal": 0.5}, {"reversal": -0.1}])
def test_what_has_no_good_choice_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is not allowed; give"):
        TwoStep(**fields)
