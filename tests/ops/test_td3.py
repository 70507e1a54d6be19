"""TD3's formulas on numbers worked out by hand."""

import pytest
import torch

from metarl_lab.ops.td3 import clipped_double_q, distance_from, epsilon_greedy, explored


def test_the_target_takes_the_smaller_q_and_ends_at_termination() -> None:
    q = torch.tensor([[4.0, 1.0, 5.0], [2.0, 3.0, 6.0]])
    target = clipped_double_q(torch.tensor([1.0, 1.0, 1.0]), q, torch.tensor([False, False, True]), 0.5)
    assert target.tolist() == [2.0, 1.5, 1.0]


def test_noise_is_clipped_and_then_the_action() -> None:
    high = 0.977249868  # Phi(2)
    action, noise = torch.tensor([[0.0, 0.9, -0.9]]), torch.tensor([[high, high, 0.5]])
    torch.testing.assert_close(explored(action, noise, 0.2, 0.3), torch.tensor([[0.3, 1.0, -0.9]]))
    torch.testing.assert_close(explored(action, noise, 0.1, 0.3), torch.tensor([[0.2, 1.0, -0.9]]), rtol=0, atol=1e-5)
    torch.testing.assert_close(explored(action, noise, 0.4), torch.tensor([[0.8, 1.0, -0.9]]), rtol=0, atol=1e-5)


def test_epsilon_of_the_actions_are_random_and_uniform() -> None:
    noise = (torch.arange(9000) + 0.5) / 9000
    chosen = epsilon_greedy(torch.full((9000,), 1), noise, 0.3, 3)
    assert torch.bincount(chosen).tolist() == [900, 900 + 6300, 900]
    assert (epsilon_greedy(torch.full((9000,), 1), noise, 0.0, 3) == 1).all()


def test_the_distance_is_half_the_square_over_all_weights_of_a_task() -> None:
    anchor = {"a": torch.zeros(1, 2, 3), "b": torch.ones(1, 2)}
    weights = {"a": torch.stack((torch.zeros(2, 3), torch.full((2, 3), 2.0))), "b": torch.tensor([[1.0, 4.0], [1, 1]])}
    assert distance_from(weights, anchor).tolist() == [4.5, 12.0]


def test_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match="q must be"):
        clipped_double_q(torch.zeros(3), torch.zeros(3), torch.zeros(3, dtype=torch.bool), 0.9)
    with pytest.raises(ValueError, match="one shape"):
        explored(torch.zeros(3, 1), torch.zeros(3), 0.1)
