"""The set encoder: a product of Gaussians in any order, and what a transition shows of itself."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from metarl_lab.nets.set_encoder import Factors, SetEncoder, context_size, encode_transition
from metarl_lab.ops.distributions import DiagonalGaussian
from metarl_lab.types import Spec


def encoder(features: int = 4, latent: int = 3) -> SetEncoder:
    torch.manual_seed(0)
    return SetEncoder(features, (16,), latent).double()


def test_the_product_of_gaussians_by_hand() -> None:
    """N(0, 1) N(2, 1/4) N(-1, 1/2), as precisions 1, 4, 2: precision 7, mean (4 * 2 - 2 * 1) / 7."""
    total = Factors(torch.tensor([4.0 + 2.0]), torch.tensor([4.0 * 2.0 + 2.0 * -1.0]))
    posterior = encoder().posterior(total)
    assert posterior.mean.item() == pytest.approx(6 / 7)
    assert posterior.log_std.exp().item() == pytest.approx(7**-0.5)


def test_the_posterior_is_the_normalised_product_of_prior_and_factors() -> None:
    """On a grid: the densities multiplied out, whatever the network says of each transition."""
    net = encoder(latent=1)
    x = torch.randn(5, 4).double()
    precision, weighted = net.factors(x)
    grid = torch.linspace(-6, 6, 4001).double()
    log_density = torch.distributions.Normal(0.0, 1.0).log_prob(grid)
    for p, w in zip(precision, weighted, strict=True):
        log_density = log_density + torch.distributions.Normal(w / p, p.rsqrt()).log_prob(grid)
    density = (log_density - log_density.max()).exp()
    density /= density.sum()
    posterior = net(x, torch.ones(5))
    mean = (density * grid).sum()
    assert posterior.mean.item() == pytest.approx(mean.item(), abs=1e-6)
    assert posterior.log_std.exp().item() == pytest.approx((density * (grid - mean) ** 2).sum().sqrt().item(), rel=1e-5)


def test_no_context_is_the_prior() -> None:
    posterior = encoder()(torch.randn(2, 5, 4).double(), torch.zeros(2, 5, dtype=torch.bool))
    assert (posterior.mean == 0).all() and (posterior.log_std == 0).all()


def test_order_does_not_matter_and_what_is_masked_does_not_count() -> None:
    net, x = encoder(), torch.randn(2, 6, 4).double()
    mask = torch.tensor([[True, False, True, True, False, True], [True] * 6])
    first = net(x, mask)
    shuffled = torch.randperm(6)
    torch.testing.assert_close(net(x[:, shuffled], mask[:, shuffled]), first)
    torch.testing.assert_close(net(torch.where(mask.unsqueeze(-1), x, 99.0), mask), first)
    torch.testing.assert_close(net(x[:1, mask[0]], mask[:1, mask[0]]), DiagonalGaussian(*(y[:1] for y in first)))


def test_sums_of_parts_are_the_whole() -> None:
    """Acting adds one transition at a time, training reads all at once: one posterior."""
    net, x = encoder(), torch.randn(7, 4).double()
    total = Factors(torch.zeros(3).double(), torch.zeros(3).double())
    for row in x:
        total = Factors(*(a + b for a, b in zip(total, net.factors(row), strict=True)))
    torch.testing.assert_close(net.posterior(total), net(x, torch.ones(7)))


def test_every_transition_adds_certainty_and_the_kl_is_torchs() -> None:
    net, x = encoder(), torch.randn(7, 4).double()
    posteriors = [net(x[:n], torch.ones(n)) for n in range(8)]
    for before, after in zip(posteriors[:-1], posteriors[1:], strict=True):
        assert (after.log_std < before.log_std).all()
    last = posteriors[-1]
    ours = last.kl(DiagonalGaussian(torch.zeros(3), torch.zeros(3)))
    normal = torch.distributions.Normal(last.mean, last.log_std.exp())
    theirs = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(-1)
    assert ours.item() == pytest.approx(theirs.item())


def test_a_transition_hides_what_followed_the_last_step() -> None:
    box = gym.spaces.Box(-1, 1, (2,), np.float32)
    spec = Spec(box, gym.spaces.Discrete(3), 5)
    after, reward = torch.tensor([[7.0, 8.0]] * 2), torch.tensor([0.5, -0.5])
    x = encode_transition(spec, after - 7, torch.tensor([2, 0]), reward, after, torch.tensor([True, False]))
    assert x.shape == (2, context_size(spec))
    assert x[0].tolist() == [0, 1, 0, 0, 1, 0.5, 7, 8, 1] and x[1].tolist() == [0, 1, 1, 0, 0, -0.5, 0, 0, 0]


def test_mistaken_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="mask"):
        encoder()(torch.zeros(2, 5, 4), torch.zeros(2, 4))
