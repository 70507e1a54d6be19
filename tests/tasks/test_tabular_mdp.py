"""The tabular MDP family: its prior, its dynamics and its oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

import metarl_lab as ml
from metarl_lab.exact.planning import policy_evaluation
from metarl_lab.tasks.tabular_mdp import MDPState, TabularMDP


def draw(n: int, split: str = "train", seed: int = 0, **fields: float) -> tuple:
    family = TabularMDP(**fields)
    return family, family.sample_tasks(n, split, torch.Generator().manual_seed(seed))


def test_the_published_protocol_is_the_default() -> None:
    family = ml.make_family("tabular_mdp")
    spec = family.spec
    assert (spec.observation_size, spec.action_size, spec.horizon, spec.episodes) == (10, 5, 10, 10)
    assert (family.reward_mean, family.reward_std, family.reward_noise) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("split", ["train", "test"])
def test_tasks_follow_the_prior(split: str) -> None:
    """R ~ N(1, 1); each P(s' | s, a) ~ Beta(1, 9), the marginal of Dirichlet(1) on ten states."""
    _, tasks = draw(400, split)
    assert stats.kstest(tasks.reward.flatten().numpy(), stats.norm(1, 1).cdf).pvalue > 1e-3
    torch.testing.assert_close(tasks.transition.sum(-1), torch.ones(400, 10, 5))
    assert stats.kstest(tasks.transition[..., 3].flatten().numpy(), stats.beta(1, 9).cdf).pvalue > 1e-3


def test_the_ood_prior_is_what_its_docstring_says() -> None:
    _, tasks = draw(400, "ood")
    assert tasks.reward.mean().item() == pytest.approx(0, abs=4 / (400 * 50) ** 0.5)
    assert tasks.transition.amax(-1).mean().item() == pytest.approx(0.69, abs=0.01)


def test_no_task_is_in_two_splits() -> None:
    """The same seed is the hard case: the splits are then neighbours on the lattice of ``split_uniform``."""
    whole = [torch.cat([x.flatten(1) for x in draw(300, split, seed=5)[1]], 1) for split in ("train", "test", "ood")]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert not (whole[i][:, None] == whole[j][None]).all(-1).any()


def test_moves_and_rewards_follow_the_task() -> None:
    family, tasks = draw(2, reward_noise=0.5)
    copies = 40_000
    state = MDPState(torch.full((2, copies), 4))
    noise = torch.rand(2, copies, 2, generator=torch.Generator().manual_seed(1))
    after, reward, terminated = family.step(tasks, state, torch.full((2, copies), 3), noise)
    assert not terminated.any()
    for t in range(2):
        share = torch.bincount(after.state[t], minlength=10) / copies
        assert (share - tasks.transition[t, 4, 3]).abs().max() < 4 * 0.5 / copies**0.5
        assert reward[t].mean().item() == pytest.approx(tasks.reward[t, 4, 3].item(), abs=4 * 0.5 / copies**0.5)
        assert reward[t].std().item() == pytest.approx(0.5, rel=0.02)
    assert abs(np.corrcoef(after.state[0].numpy(), reward[0].numpy())[0, 1]) < 4 / copies**0.5


def test_episodes_start_in_state_zero_and_show_the_state_one_hot() -> None:
    family, tasks = draw(3)
    state = family.reset(tasks, torch.rand(3, 2, 0))
    seen = family.observe(tasks, state)
    assert seen.shape == (3, 2, 10) and (seen.sum(-1) == 1).all() and (seen[..., 0] == 1).all()


def test_the_oracle_is_the_value_of_the_best_action_and_about_the_published_one() -> None:
    """Published: 218.3 for ten episodes (a Monte Carlo figure). Standard deviation of V* over tasks: 2.3."""
    family, tasks = draw(5000, "test")
    v = family.oracle(tasks)
    assert 10 * v.mean().item() == pytest.approx(218.3, abs=0.05 + 3 * 10 * 2.3 * (1 / 5000 + 1 / 5000) ** 0.5)
    states = torch.eye(10).expand(5000, 10, 10)  # every state as a copy
    policy = torch.stack([family.best_action(tasks, states, h) for h in range(10)])  # (H, T, S)
    _, value = policy_evaluation(*tasks, torch.nn.functional.one_hot(policy, 5).float())
    torch.testing.assert_close(value[0, :, 0], v)


def test_fields_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="states=0"):
        TabularMDP(states=0)
    with pytest.raises(ValueError, match="reward_noise=0"):
        TabularMDP(reward_noise=0.0)
    with pytest.raises(ValueError, match="'valid' is not known"):
        draw(1, "valid")
