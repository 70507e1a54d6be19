"""Contrast: which way round the KL runs, where it is zero, which policy is nearest to many, what N sets tell."""

import math

import pytest
import torch
from torch import Tensor

from metarl_lab.ops.contrast import (
    arithmetic_average,
    cosine_scores,
    gaussian_average,
    geometric_average,
    info_nce,
    information_bound,
    kl_k3,
    log_ratio,
)
from metarl_lab.ops.distributions import Categorical, DiagonalGaussian

P, Q = torch.tensor([0.5, 0.5], dtype=torch.float64), torch.tensor([0.9, 0.1], dtype=torch.float64)
FORWARD = math.log(0.5 / 0.3)  # 0.5 log(0.5/0.9) + 0.5 log(0.5/0.1) = log(0.5 / sqrt(0.09))
REVERSE = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)


def pair() -> tuple[Categorical, Categorical]:
    return Categorical(P.log().expand(2, 2)), Categorical(Q.log().expand(2, 2))


def random_policies(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Three policies of four actions in two states, and their visits, which differ: (3, 2, 4), (3, 2)."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(3, 2, 4, generator=generator, dtype=torch.float64)
    return logits.softmax(-1), torch.rand(3, 2, generator=generator, dtype=torch.float64)


def total_kl(policies: Tensor, visits: Tensor, logits: Tensor, reverse: bool) -> Tensor:
    """sum_i sum_s d_i(s) KL(pi_i || pi), or KL(pi || pi_i)."""
    many, one = Categorical(policies.log()), Categorical(logits.expand_as(policies))
    return (visits * (one.kl(many) if reverse else many.kl(one))).sum()


def test_the_mean_log_ratio_is_the_kl_from_the_policy_that_drew_the_actions() -> None:
    p, q = pair()
    ratio = log_ratio(p, q, torch.arange(2))
    assert (P * ratio).sum().item() == pytest.approx(FORWARD)
    assert (Q * -ratio).sum().item() == pytest.approx(REVERSE)
    assert abs(FORWARD - REVERSE) > 0.1
    torch.testing.assert_close(log_ratio(p, p, torch.arange(2)), torch.zeros(2, dtype=torch.float64))


def test_k3_is_unbiased_exactly() -> None:
    p, q = pair()
    assert (P * kl_k3(log_ratio(p, q, torch.arange(2)))).sum().item() == pytest.approx(FORWARD)
    assert (Q * kl_k3(log_ratio(q, p, torch.arange(2)))).sum().item() == pytest.approx(REVERSE)


def test_k3_is_never_negative_and_its_spread_is_second_order() -> None:
    """Standard deviations for p = N(0, 1), q = N(g, 1): g of the log-ratio; about g^2 / sqrt 2 of k3."""
    noise = torch.linspace(0, 1, 40_003, dtype=torch.float64)[1:-1].unsqueeze(-1)
    spreads = []
    for gap in (0.05, 0.1):
        p = DiagonalGaussian(torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
        q = p._replace(mean=p.mean + gap)
        ratio = log_ratio(p, q, p.sample(noise))
        assert (kl_k3(ratio) >= 0).all() and (ratio < 0).any()
        assert kl_k3(ratio).mean().item() == pytest.approx(gap**2 / 2, rel=1e-2)
        spreads.append((ratio.std().item() / gap, kl_k3(ratio).std().item() / gap**2 * math.sqrt(2)))
    assert spreads == [pytest.approx((1, 1), rel=0.03)] * 2


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_each_average_is_the_stationary_and_lowest_point_of_its_own_kl(reverse: bool) -> None:
    policies, visits = random_policies()
    average = (geometric_average if reverse else arithmetic_average)(policies, visits)
    other = (arithmetic_average if reverse else geometric_average)(policies, visits)
    torch.testing.assert_close(average.sum(-1), torch.ones(2, dtype=torch.float64))
    logits = average.log().requires_grad_()
    total = total_kl(policies, visits, logits, reverse)
    (gradient,) = torch.autograd.grad(total, logits)
    assert gradient.abs().max() < 1e-12
    away = other.log().requires_grad_()
    (gradient,) = torch.autograd.grad(total_kl(policies, visits, away, reverse), away)
    assert gradient.abs().max() > 0.01
    for seed in range(10):
        near = average.log() + 0.1 * torch.randn(2, 4, generator=torch.Generator().manual_seed(seed)).double()
        assert total_kl(policies, visits, near, reverse) > total


def test_visits_weigh_each_state_by_itself() -> None:
    """Only policy 0 comes to state 0, and both come to state 1, one three times as often."""
    policies = torch.tensor([[[0.9, 0.1], [0.8, 0.2]], [[0.3, 0.7], [0.4, 0.6]]])
    visits = torch.tensor([[2.0, 3.0], [0.0, 1.0]])
    torch.testing.assert_close(arithmetic_average(policies, visits), torch.tensor([[0.9, 0.1], [0.7, 0.3]]))
    odds = 4**0.75 * (2 / 3) ** 0.25  # 0.8 / 0.2 and 0.4 / 0.6
    expected = torch.tensor([[0.9, 0.1], [odds / (1 + odds), 1 / (1 + odds)]])
    torch.testing.assert_close(geometric_average(policies, visits), expected)


def test_the_gaussian_average_is_as_wide_as_the_policies_lie_apart() -> None:
    policies = DiagonalGaussian(torch.tensor([[-1.0, 2.0], [3.0, 2.0]]), torch.tensor([[0.0, 0.0], [0.0, math.log(2)]]))
    average = gaussian_average(policies)
    torch.testing.assert_close(average.mean, torch.tensor([1.0, 2.0]))
    torch.testing.assert_close((2 * average.log_std).exp(), torch.tensor([1.0 + 4.0, 2.5]))
    leaves = [x.clone().requires_grad_() for x in average]
    found = torch.autograd.grad(policies.kl(DiagonalGaussian(*leaves)).sum(), leaves)
    assert max(x.abs().max().item() for x in found) < 1e-6


def test_info_nce_by_hand_and_its_ceiling() -> None:
    scores = torch.tensor([[math.log(3), 0.0], [0.0, math.log(7)]])
    assert info_nce(scores).item() == pytest.approx((math.log(4 / 3) + math.log(8 / 7)) / 2)
    for n in (2, 16):
        blind = info_nce(torch.zeros(n, n))
        assert blind.item() == pytest.approx(math.log(n)) and abs(float(information_bound(blind, n))) < 1e-5
        sure = info_nce(100 * torch.eye(n))
        assert float(information_bound(sure, n)) == pytest.approx(math.log(n))
        worse = info_nce(torch.randn(n, n, generator=torch.Generator().manual_seed(n)))
        assert float(information_bound(worse, n)) < math.log(n)


def test_info_nce_bounds_the_true_information_from_below() -> None:
    """x one of four symbols, y = x with probability 0.7: with the best score, log p(y|x)/p(y), the mean estimate stays
    below I(x; y), and rises towards it with N."""
    keep = torch.full((4, 4), 0.1) + 0.6 * torch.eye(4)
    information = (keep / 4 * (4 * keep).log()).sum().item()
    generator, found = torch.Generator().manual_seed(0), []
    for n in (4, 64):
        batches = []
        for _ in range(200):
            x = torch.randint(4, (n,), generator=generator)
            y = torch.multinomial(keep[x], 1, generator=generator).squeeze(1)
            batches.append(float(information_bound(info_nce((4 * keep).log()[x][:, y]), n)))
        found.append(sum(batches) / len(batches))
    assert found[0] < found[1] < information + 0.01 and found[1] > information - 0.05


def test_cosine_scores_know_no_length() -> None:
    x, y = torch.tensor([[3.0, 0.0], [0.0, 0.2]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    expected = torch.tensor([[1.0, 2**-0.5], [0.0, 2**-0.5]]) / 0.5
    torch.testing.assert_close(cosine_scores(x, y, 0.5), expected)


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="diagonal"):
        info_nce(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="twice"):
        cosine_scores(torch.zeros(2, 3), torch.zeros(3, 3), 1.0)
    for average in (arithmetic_average, geometric_average):
        with pytest.raises(ValueError, match="belong"):
            average(torch.ones(2, 3, 4), torch.ones(2, 4))


def test_the_documents_loss_has_no_gradient() -> None:
    """Its 5.2, in torch, with its shapes mended: the cross-entropy of held logits against themselves."""
    layer = torch.nn.Linear(2, 1)
    state = torch.tensor([[0.3, -0.7]])
    logits = torch.sigmoid(layer(state)).detach()  # tf.stop_gradient
    logits = torch.cat((logits, torch.zeros_like(logits)), -1)
    loss = -(logits.softmax(-1) * logits.log_softmax(-1)).sum()
    assert not loss.requires_grad and loss > 0  # a number that no parameter can change
    held = torch.sigmoid(layer(state))
    held = torch.cat((held, torch.zeros_like(held)), -1)
    mended = Categorical(torch.tensor([[2.0, 0.0]])).kl(Categorical(held)).sum()
    assert torch.autograd.grad(mended, layer.weight)[0].abs().max() > 0.01
