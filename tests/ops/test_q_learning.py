"""Bellman backups against value iteration, backups by data against those by the model, and the bias of a maximum."""

import itertools

import pytest
import torch

from metarl_lab.catalog import make_family
from metarl_lab.exact.planning import value_iteration
from metarl_lab.ops.q_learning import bellman_backup, double_q_target, optimal_q, sampled_backup
from metarl_lab.rollout import seeded_generator


def mdps():
    tasks = make_family("tabular_mdp", states=5, actions=3).sample_tasks(4, "train", seeded_generator("cpu", 1))
    return tasks.transition.double(), tasks.reward.double()


def test_n_backups_from_zero_are_value_iteration_over_n_steps():
    transition, reward = mdps()
    transition = transition / transition.sum(-1, keepdim=True)
    q = torch.zeros_like(reward)
    planned, _ = value_iteration(transition, reward, horizon=7, discount=0.8)
    for n in range(7):
        q = bellman_backup(transition, reward, q, 0.8)
        torch.testing.assert_close(q, planned[6 - n])


def test_a_backup_contracts_and_its_fixed_point_is_found():
    transition, reward = mdps()
    transition = transition / transition.sum(-1, keepdim=True)
    a, b = torch.randn(2, *reward.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    apart = [
        (x - y).abs().amax((1, 2)) for x, y in ((a, b), [bellman_backup(transition, reward, z, 0.8) for z in (a, b)])
    ]
    assert (apart[1] <= 0.8 * apart[0] + 1e-12).all() and (apart[1] > 0).all()
    best = optimal_q(transition, reward, 0.8, tolerance=1e-8)
    torch.testing.assert_close(bellman_backup(transition, reward, best, 0.8), best, rtol=0, atol=1e-7)
    # by hand: a state that pays 1 for ever is worth 1 / (1 - 0.9) = 10, the step into it 0.9 of that
    move = torch.zeros(1, 2, 1, 2, dtype=torch.float64)
    move[0, :, 0, 1] = 1
    pay = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
    torch.testing.assert_close(
        optimal_q(move, pay, 0.9).flatten(), torch.tensor([9.0, 10.0], dtype=torch.float64), rtol=0, atol=1e-5
    )


def test_a_sampled_backup_is_the_exact_one_where_data_holds_everything_in_proportion():
    """Moves of probability 1/4 and 3/4, as one row and three rows of data; a pair without data stays as it was."""
    transition = torch.tensor([[[[0.25, 0.75], [1.0, 0.0]], [[0.0, 1.0], [0.75, 0.25]]]])
    reward = torch.tensor([[[1.0, 0.0], [2.0, -1.0]]])
    q = torch.tensor([[[3.0, 4.0], [7.0, 5.0]]])
    rows = [
        (s, a, n)
        for s, a in itertools.product(range(2), range(2))
        for n, times in enumerate((4 * transition[0, s, a]).long().tolist())
        for _ in range(times)
        if (s, a) != (1, 1)
    ]
    s, a, after = (torch.tensor(x).unsqueeze(0) for x in zip(*rows, strict=True))
    none = torch.zeros_like(s, dtype=torch.bool)
    got = sampled_backup(q, s, a, reward[0][s, a], after, none, 0.9)
    expected = bellman_backup(transition, reward, q, 0.9)
    expected[0, 1, 1] = 5.0
    torch.testing.assert_close(got, expected)
    ended = sampled_backup(q, s, a, reward[0][s, a], after, ~none, 0.9)
    torch.testing.assert_close(ended[0, 0], reward[0, 0])  # nothing follows a terminal state


def test_the_maximum_overestimates_and_the_double_target_does_not():
    """Two actions worth 0, estimates -1 or 1 by a fair coin: E max = 1/2; chosen by one, judged by another: 0."""
    corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=4)))
    online, late = corners[:, :2], corners[:, 2:]
    zero, going = torch.zeros(16), torch.zeros(16, dtype=torch.bool)
    assert double_q_target(zero, online, online, going, 1.0).mean() == 0.5
    assert double_q_target(zero, online, late, going, 1.0).mean() == 0.0


def test_the_double_target_by_hand_and_nothing_after_a_terminal_state():
    reward, ends = torch.tensor([1.0, 1.0]), torch.tensor([False, True])
    online, late = torch.tensor([[5.0, 2.0]]).expand(2, 2), torch.tensor([[3.0, 9.0]]).expand(2, 2)
    assert double_q_target(reward, online, late, ends, 0.5).tolist() == [2.5, 1.0]


def test_wrong_shapes_say_what_to_give():
    transition, reward = mdps()
    with pytest.raises(ValueError, match=r"\(T, S, A, S\)"):
        bellman_backup(transition[0], reward, reward, 0.9)
    with pytest.raises(ValueError, match="discount=1"):
        optimal_q(transition, reward, 1.0)
    with pytest.raises(ValueError, match=r"online and late \(\.\.\., A\)"):
        double_q_target(torch.zeros(3, 1), torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, dtype=torch.bool), 0.9)
    with pytest.raises(ValueError, match=r"data \(T, N\)"):
        index = torch.zeros(3, dtype=torch.int64)
        sampled_backup(reward, index, index, torch.zeros(3), index, index.bool(), 0.9)
