"""Delayed chain: episodes by hand, noise and bait, the tabular state, its splits."""

from __future__ import annotations

import pytest
import torch

from metarl_lab.catalog import make_family, make_reference
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.chain import Chain, ChainTasks


def walked(family: Chain, tasks: ChainTasks, actions: list[int], noise: float = 0.9):
    """(reward, terminated, observation index after) of each step of one copy of one task."""
    state, out = family.reset(tasks, torch.zeros(1, 1, 0)), []
    for action in actions:
        state, reward, ended = family.step(tasks, state, torch.tensor([[action]]), torch.full((1, 1, 1), noise))
        out.append((reward.item(), ended.item(), family.observe(tasks, state).argmax().item()))
    return [list(x) for x in zip(*out, strict=True)]


@pytest.mark.parametrize(("first", "final"), [(1, 1.0), (0, -1.0)])
def test_the_first_action_decides_the_last_reward_whatever_follows(first, final):
    family = Chain(shortest=2, longest=4, horizon=5)
    tasks = ChainTasks(torch.tensor([1]), torch.tensor([4]))
    for rest in ([0, 0, 0], [1, 0, 1], [1, 1, 1]):
        rewards, ended, cells = walked(family, tasks, [first, *rest])
        assert rewards == [0, 0, 0, final] and ended == [False, False, False, True]
        assert cells == [1 + first, 3 + first, 5 + first, 7 + first]  # start 0, then (steps, first action)


def test_noise_is_on_the_way_only_and_bait_at_the_first_step():
    family = Chain(shortest=2, longest=4, horizon=5, noise=1.0, bait=0.5)
    tasks = ChainTasks(torch.tensor([1]), torch.tensor([3]))
    assert walked(family, tasks, [1, 0, 0])[0] == [1, 1, 1] and walked(family, tasks, [1, 0, 0], 0.1)[0] == [-1, -1, 1]
    assert walked(family, tasks, [0, 0, 0])[0] == [1.5, 1, -1]
    one_step = tasks._replace(length=torch.tensor([1]))
    assert walked(family, one_step, [0])[0] == [-0.5] and walked(family, one_step, [1])[0] == [1]


def test_without_the_branch_the_observation_is_the_number_of_steps():
    family = Chain(shortest=2, longest=4, horizon=5, show_branch=False)
    tasks = ChainTasks(torch.tensor([1]), torch.tensor([4]))
    assert walked(family, tasks, [0, 1, 1, 1])[2] == walked(family, tasks, [1, 0, 0, 0])[2] == [1, 2, 3, 4]
    assert family.spec.observation_size == 6


def test_every_episode_has_its_tasks_length():
    family = Chain()
    tasks = family.sample_tasks(60, "test", seeded_generator("cpu", 4))
    agent = make_reference("random", family)
    episodes, _ = collect(agent, family, tasks, begin(agent, family, tasks, 3), seeded_generator("cpu", 5), 2)
    assert (episodes.mask.sum(-1) == tasks.length[:, None, None]).all() and not episodes.truncated.any()
    assert (episodes.returns.abs() == 1).all()


def test_splits_are_uniform_over_actions_and_lengths():
    family = Chain(shortest=2, longest=4, horizon=6, actions=3)
    for split, lengths in (("train", [2, 3, 4]), ("test", [2, 3, 4]), ("ood", [5, 6])):
        tasks = family.sample_tasks(30_000, split, seeded_generator("cpu", 1))
        share = torch.bincount(tasks.right * 7 + tasks.length, minlength=21).view(3, 7) / 30_000
        assert (share[:, lengths] * 3 * len(lengths) - 1).abs().max() < 0.1
        torch.testing.assert_close(share[:, lengths].sum(), torch.tensor(1.0))


def test_configuration_is_checked():
    for fields, message in (
        ({"longest": 41}, "shortest <= longest <= horizon"),
        ({"actions": 1}, "actions=1 leaves nothing to decide"),
        ({"bait": 2.0}, "0 <= bait < 2"),
    ):
        with pytest.raises(ValueError, match=message):
            make_family("chain", **fields)
    with pytest.raises(ValueError, match="no ood split"):
        Chain(longest=40).sample_tasks(2, "ood", seeded_generator("cpu", 1))
