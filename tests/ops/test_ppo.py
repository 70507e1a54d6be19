"""PPO's terms on numbers worked out by hand: what the clip binds, what masked steps say, where credit stops."""

import math

import pytest
import torch

from metarl_lab.ops.distributions import Categorical
from metarl_lab.ops.ppo import follow_spread, normalised, ppo_terms, trial_advantages


def test_the_clip_keeps_a_gain_from_growing_and_never_a_loss_from_showing() -> None:
    """Ratios 2 and 1/2 with a clip of 0.2, each at an advantage of 1 and of -1.

    min(2, 1.2) = 1.2; min(0.5, 0.8) = 0.5; min(-2, -1.2) = -2; min(-0.5, -0.8) = -0.8: their mean is -0.275.
    """
    logits = torch.zeros(4, 1, 2)  # both actions now have probability 1/2
    acted = torch.tensor([0.25, 1.0, 0.25, 1.0]).log().unsqueeze(1)
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0]).unsqueeze(1)
    value, target, live = torch.zeros(4, 1), torch.full((4, 1), 3.0), torch.ones(4, 1, dtype=torch.bool)
    action = torch.zeros(4, 1, dtype=torch.int64)
    terms = ppo_terms(Categorical(logits), value, action, acted, advantage, target, live, clip=0.2)
    assert terms.policy_loss.item() == pytest.approx(0.275)
    assert terms.value_loss.item() == pytest.approx(9.0)
    assert terms.entropy.item() == pytest.approx(math.log(2))
    # r - 1 - log r at 2 and at 1/2
    assert terms.kl.item() == pytest.approx(((1 - math.log(2)) + (-0.5 + math.log(2))) / 2)


def test_masked_steps_count_nowhere() -> None:
    """One live step in the place of four: each term is its own, whatever stands in the others."""
    live = torch.tensor([[True], [False]])
    logits = torch.tensor([[[0.0, 0.0]], [[5.0, -5.0]]])
    acted = torch.tensor([[0.5], [1e-6]]).log()
    advantage, target = torch.tensor([[2.0], [100.0]]), torch.tensor([[3.0], [-100.0]])
    action = torch.zeros(2, 1, dtype=torch.int64)
    terms = ppo_terms(Categorical(logits), torch.zeros(2, 1), action, acted, advantage, target, live, clip=0.2)
    assert terms.policy_loss.item() == pytest.approx(-2.0)
    assert terms.value_loss.item() == pytest.approx(9.0)
    assert terms.entropy.item() == pytest.approx(math.log(2))
    assert terms.kl.item() == pytest.approx(0.0, abs=1e-6)
    assert normalised(torch.tensor([1.0, 3.0, 99.0]), torch.tensor([True, True, False]))[:2].tolist() == pytest.approx(
        [-(0.5**0.5), 0.5**0.5]
    )


def test_advantages_bootstrap_inside_the_trial_and_stop_at_its_last_live_step() -> None:
    """Discount 1/2 and lambda 1: returns 1 + 2/2 + 4/4 = 3, 2 + 4/2 = 4 and 4, less the values; lambda 0: one step."""
    reward = torch.tensor([[1.0], [2.0], [4.0], [0.0]])
    value = torch.tensor([[10.0], [20.0], [30.0], [99.0]])
    live = torch.tensor([[True], [True], [True], [False]])
    whole = trial_advantages(reward, value, live, discount=0.5, lam=1.0)[:3, 0]
    one_step = trial_advantages(reward, value, live, discount=0.5, lam=0.0)[:3, 0]
    assert whole.tolist() == pytest.approx([3 - 10, 4 - 20, 4 - 30])
    assert one_step.tolist() == pytest.approx([1 + 10 - 10, 2 + 15 - 20, 4 - 30])


def test_the_first_batch_sets_the_critics_unit_and_later_ones_move_it_by_a_fiftieth() -> None:
    scale = torch.ones(())
    follow_spread(scale, torch.tensor([0.0, 6.0, 0.0, 6.0]), first=True)
    assert scale.item() == pytest.approx(12**0.5)  # 36 / 3: the unbiased variance
    follow_spread(scale, torch.full((4,), 7.0), first=False)  # no spread at all: the floor
    assert scale.item() == pytest.approx(12**0.5 + (0.001 - 12**0.5) / 50)
