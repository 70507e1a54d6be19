"""Action distributions against torch.distributions, and sampling from given noise against the exact law."""

import math

import torch
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Independent, Normal, kl_divergence

from metarl_lab.ops.distributions import Categorical, DiagonalGaussian, standard_normal

G = torch.Generator().manual_seed(0)
LOGITS, OTHER = torch.randn(2, 4, 3, 5, generator=G, dtype=torch.float64)
MEAN, OTHER_MEAN = torch.randn(2, 4, 3, 2, generator=G, dtype=torch.float64)
LOG_STD, OTHER_LOG_STD = torch.tensor([[-1.0, 0.5], [0.3, -0.2]], dtype=torch.float64)


def test_categorical_equals_torch() -> None:
    ours, theirs = Categorical(LOGITS), TorchCategorical(logits=LOGITS)
    action = torch.randint(0, 5, (4, 3), generator=G)
    torch.testing.assert_close(ours.log_prob(action), theirs.log_prob(action))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    torch.testing.assert_close(ours.kl(Categorical(OTHER)), kl_divergence(theirs, TorchCategorical(logits=OTHER)))


def test_gaussian_equals_torch_summed_over_action_dimensions() -> None:
    ours = DiagonalGaussian(MEAN, LOG_STD)
    theirs = Independent(Normal(MEAN, LOG_STD.exp()), 1)  # the joint density: a sum of logs, not a mean
    action = torch.randn(4, 3, 2, generator=G, dtype=torch.float64)
    torch.testing.assert_close(ours.log_prob(action), theirs.log_prob(action))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    other = Independent(Normal(OTHER_MEAN, OTHER_LOG_STD.exp()), 1)
    torch.testing.assert_close(ours.kl(DiagonalGaussian(OTHER_MEAN, OTHER_LOG_STD)), kl_divergence(theirs, other))


def test_categorical_sampling_is_the_inverse_cdf() -> None:
    """p = (1/2, 1/4, 1/4): noise below 1/2 gives 0, below 3/4 gives 1, above gives 2; even 1 stays inside."""
    policy = Categorical(torch.tensor([0.5, 0.25, 0.25]).log().expand(6, 3))
    noise = torch.tensor([[0.0], [0.49], [0.51], [0.74], [0.76], [1.0]])
    assert policy.sample(noise).tolist() == [0, 0, 1, 1, 2, 2]


def test_gaussian_sampling_is_the_inverse_cdf() -> None:
    policy = DiagonalGaussian(torch.tensor([[1.0, 2.0]]), torch.tensor([0.0, math.log(2)]))
    one_sigma = 0.8413447  # Phi(1)
    torch.testing.assert_close(policy.sample(torch.tensor([[0.5, one_sigma]])), torch.tensor([[1.0, 4.0]]))
    assert standard_normal(torch.tensor([0.0, 1.0])).abs().max() < 6  # the ends are finite
