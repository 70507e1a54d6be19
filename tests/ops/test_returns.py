"""Returns and GAE against numbers worked out by hand."""

import pytest
import torch

from metarl_lab.ops.returns import discounted_returns, gae


def test_discounted_returns_by_hand() -> None:
    # G_2 = 4 + .5 * 8 = 8, G_1 = 2 + .5 * 8 = 6, G_0 = 1 + .5 * 6 = 4
    reward = torch.tensor([1.0, 2.0, 4.0])
    assert discounted_returns(reward, 0.5, carry=torch.tensor(8.0)).tolist() == [4.0, 6.0, 8.0]


def test_gae_with_termination_and_truncation_by_hand() -> None:
    """Two episodes in one stream: steps 0-1 end in a terminal state, steps 2-3 are cut off by the horizon.

    discount 1/2, lambda 1/2. delta_t = r_t + V(s_{t+1}) / 2 - V(s_t), without the middle term where terminal:
    delta_1 = 2 - 4 = -2 (its next value, 100, must not count), delta_0 = 1 + 4/2 - 2 = 1;
    delta_3 = 4 + 8/2 - 2 = 6 (truncated: its next value does count), delta_2 = 3 + 2/2 - 6 = -2.
    A_3 = 6, A_2 = -2 + 6/4 = -1/2; A_1 = -2 (nothing of the next episode), A_0 = 1 - 2/4 = 1/2.
    """
    reward = torch.tensor([1.0, 2.0, 3.0, 4.0])
    value = torch.tensor([2.0, 4.0, 6.0, 2.0])
    next_value = torch.tensor([4.0, 100.0, 2.0, 8.0])
    ended = torch.tensor([False, True, False, True])
    terminated = torch.tensor([False, True, False, False])
    advantage = gae(reward, value, next_value, ended, terminated, discount=0.5, lam=0.5)
    assert advantage.tolist() == [0.5, -2.0, -0.5, 6.0]


def test_lambda_one_is_the_return_minus_the_value() -> None:
    g = torch.Generator().manual_seed(0)
    reward, value = torch.randn(2, 7, 3, generator=g, dtype=torch.float64)
    next_value = torch.cat((value[1:], torch.zeros(1, 3, dtype=torch.float64)))
    last = torch.zeros(7, 3, dtype=torch.bool)
    last[-1] = True
    advantage = gae(reward, value, next_value, last, last, discount=0.9, lam=1.0)
    torch.testing.assert_close(advantage, discounted_returns(reward, 0.9) - value)


def test_shapes_must_agree() -> None:
    x = torch.zeros(4, 1)
    with pytest.raises(ValueError, match="one shape"):
        gae(x, x[:, 0], x, x.bool(), x.bool(), 0.9, 0.9)
