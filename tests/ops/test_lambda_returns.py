"""Lambda-returns: numbers worked out by hand, their two ends, ends of episodes, and gradients."""

from __future__ import annotations

import pytest
import torch

from metarl_lab.ops.lambda_returns import lambda_returns
from metarl_lab.ops.returns import gae

REWARD = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
NEXT = torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64)  # V(s_1), V(s_2), V(s_3)
NO = torch.zeros(3, dtype=torch.bool)
LAST = torch.tensor([False, False, True])
EARLY = torch.tensor([False, True, False])


def test_by_hand_at_a_truncation() -> None:
    """discount 1/2, lambda 1/4: G_2 = 4 + 15; G_1 = 2 + (0.75 20 + 0.25 19) / 2; G_0 = 1 + (0.75 10 + 0.25 G_1) / 2."""
    g = lambda_returns(REWARD, NEXT, LAST, NO, 0.5, 0.25)
    assert g.tolist() == [1 + (7.5 + 0.25 * 11.875) / 2, 11.875, 19.0]


def test_a_terminal_state_is_worth_nothing_and_a_truncated_one_its_value() -> None:
    over = lambda_returns(REWARD, NEXT, EARLY, EARLY, 0.5, 0.5)
    assert over[1] == 2.0 and over[0] == 1 + (0.5 * 10 + 0.5 * 2) / 2
    cut = lambda_returns(REWARD, NEXT, EARLY, NO, 0.5, 0.5)
    assert cut[1] == 2 + 20 / 2, "bootstraps from the state that followed, whatever lambda"
    later = lambda_returns(REWARD.clone().index_fill_(0, torch.tensor([2]), 99.0), NEXT, EARLY, NO, 0.5, 0.5)
    assert torch.equal(later[:2], cut[:2]), "what comes after the end of an episode is another episode's"


def test_lambda_0_is_one_step_and_lambda_1_is_monte_carlo() -> None:
    assert torch.equal(lambda_returns(REWARD, NEXT, LAST, NO, 0.9, 0.0), REWARD + 0.9 * NEXT)
    whole = lambda_returns(REWARD, NEXT, LAST, LAST, 0.9, 1.0)
    assert torch.allclose(whole, torch.tensor([1 + 0.9 * (2 + 0.9 * 4), 2 + 0.9 * 4, 4.0], dtype=torch.float64))


def test_minus_the_value_it_is_the_generalised_advantage() -> None:
    generator = torch.Generator().manual_seed(0)
    reward, value, after = torch.randn(3, 7, 5, generator=generator, dtype=torch.float64)
    ended = torch.rand(7, 5, generator=generator) < 0.3
    ended[-1] = True
    terminated = ended & (torch.rand(7, 5, generator=generator) < 0.5)
    after = torch.where(ended, after, torch.cat((value[1:], after[-1:])))  # V(s_{t+1}) is the next row's V(s_t)
    g = lambda_returns(reward, after, ended, terminated, 0.8, 0.6)
    assert torch.allclose(g - value, gae(reward, value, after, ended, terminated, 0.8, 0.6))


def test_gradients_reach_discount_lambda_reward_and_values() -> None:
    eta = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.7, 0.4)]
    inputs = [REWARD.clone().requires_grad_(), NEXT.clone().requires_grad_(), *eta]

    def returns(reward, after, discount, lam):
        return lambda_returns(reward, after, LAST, NO, discount, lam)

    assert torch.autograd.gradcheck(returns, inputs)


def test_a_discount_of_every_task() -> None:
    both = lambda_returns(
        *(x.unsqueeze(1).expand(3, 2) for x in (REWARD, NEXT, LAST, NO)), torch.tensor([0.5, 0.9]), 0.3
    )
    for i, discount in enumerate((0.5, 0.9)):
        assert torch.allclose(both[:, i], lambda_returns(REWARD, NEXT, LAST, NO, torch.tensor(discount), 0.3))


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        lambda_returns(REWARD, NEXT[:2], LAST, NO, 0.9, 0.9)
