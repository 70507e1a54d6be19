"""Two arms with p1 + p2 = 1: the prior of each kind, pay by hand, and what random play and the oracle earn."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

import metarl_lab as ml
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.correlated_bandit import CorrelatedBandit, CorrelatedTasks


@pytest.mark.parametrize("kind", ["uniform", "easy", "medium", "hard"])
def test_chances_add_up_to_one_except_out_of_distribution(kind: str) -> None:
    family = CorrelatedBandit(kind=kind)
    for split in ("train", "test"):
        mean = family.sample_tasks(2000, split, seeded_generator("cpu", 0)).mean
        torch.testing.assert_close(mean.sum(1), torch.ones(2000))
        if kind == "uniform":
            assert stats.kstest(mean[:, 0].numpy(), "uniform").pvalue > 1e-3
        else:
            low = {"easy": 0.1, "medium": 0.25, "hard": 0.4}[kind]
            assert mean.unique().tolist() == pytest.approx([low, 1 - low])
            assert (mean[:, 0] < 0.5).double().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 2000**0.5)
    other = family.sample_tasks(2000, "ood", seeded_generator("cpu", 0)).mean
    assert torch.corrcoef(other.T)[0, 1].abs() < 0.1  # independent: in the others it is -1


def test_an_arm_pays_where_the_noise_is_below_its_chance() -> None:
    family, tasks = CorrelatedBandit(), CorrelatedTasks(torch.tensor([[0.3, 0.7]]))
    state = family.reset(tasks, torch.zeros(1, 4, 0))
    noise = torch.tensor([[[0.29], [0.31], [0.69], [0.71]]])
    _, reward, terminated = family.step(tasks, state, torch.tensor([[0, 0, 1, 1]]), noise)
    assert reward.tolist() == [[1.0, 0.0, 1.0, 0.0]] and not terminated.any()


@pytest.mark.parametrize("kind, regret", [("uniform", 25), ("easy", 40), ("medium", 25), ("hard", 10)])
def test_random_play_has_the_published_regret(kind: str, regret: float) -> None:
    family = CorrelatedBandit(kind=kind)
    tasks = family.sample_tasks(4000, "test", seeded_generator("cpu", 3))
    played = ml.evaluate(ml.make_reference("random", family), family, tasks=tasks).per_task[:, 0]
    lost = family.oracle(tasks).double().numpy() - played
    assert lost.mean() == pytest.approx(regret, abs=3 * lost.std() / 4000**0.5)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'impossible' is not known; choose one of uniform, easy, medium, hard"):
        CorrelatedBandit(kind="impossible")
