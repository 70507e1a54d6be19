"""The ELBO's parts, against torch.distributions and by hand."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from metarl_lab.ops.elbo import chain_kl, reward_error, summed_error


def test_the_chain_of_kls_starts_at_the_prior_and_goes_from_each_posterior_to_the_next() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_var = torch.randn(2, 4, 3, 2, generator=generator)  # (L, B, M) each
    found = chain_kl(mean, log_var)

    def normal(t: int) -> Independent:
        if t < 0:
            return Independent(Normal(torch.zeros(3, 2), torch.ones(3, 2)), 1)
        return Independent(Normal(mean[t], (log_var[t] / 2).exp()), 1)

    for t in range(4):
        torch.testing.assert_close(found[t], kl_divergence(normal(t), normal(t - 1)), rtol=1e-5, atol=1e-6)


def test_a_posterior_that_never_leaves_the_prior_costs_nothing() -> None:
    assert torch.equal(chain_kl(torch.zeros(3, 2, 5), torch.zeros(3, 2, 5)), torch.zeros(3, 2))


def test_the_kl_pulls_at_both_ends() -> None:
    """As in the authors' code, q_{t-1} is not detached: it is drawn towards q_t."""
    mean = torch.tensor([[[0.0]], [[1.0]]], requires_grad=True)
    chain_kl(mean, torch.zeros(2, 1, 1))[1].sum().backward()
    assert mean.grad is not None
    assert mean.grad.flatten().tolist() == [-1.0, 1.0]


def test_axes_that_are_missing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(L, B, M\)"):
        chain_kl(torch.zeros(3, 2), torch.zeros(3, 2))


def test_reward_errors_are_negative_log_likelihoods() -> None:
    predicted, reward = torch.tensor([0.3, -2.0, 1.5]), torch.tensor([1.0, -0.1, 0.0])
    exact = -Normal(predicted, 1.0).log_prob(reward) - math.log(2 * math.pi) / 2
    torch.testing.assert_close(reward_error(predicted, reward, binary=False), exact)
    exact = -Bernoulli(logits=predicted).log_prob(torch.tensor([1.0, 0.0, 0.0]))  # 0 is not above 0
    torch.testing.assert_close(reward_error(predicted, reward, binary=True), exact)


def test_the_whole_trial_is_summed_for_every_prefix_but_not_what_was_masked() -> None:
    """Two trials of three steps, the second with two; prefixes that end at steps 0 and 2."""
    error = torch.tensor([[[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]], [[1.0, 1.0, 9.0], [9.0, 9.0, 9.0]]])  # (B, P, L)
    live = torch.tensor([[True, True, True], [True, True, False]])
    # the second trial's second prefix ends in a masked step: it is not one that anybody acted on
    expected = ((1 + 2 + 4) + (8 + 16 + 32) + (1 + 1)) / 3
    assert summed_error(error, live, torch.tensor([0, 2])).item() == pytest.approx(expected)
