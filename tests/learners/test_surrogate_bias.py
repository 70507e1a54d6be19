"""Bias and variance of the surrogates against the exact gradient of J(theta + alpha grad J(theta)).

The step is the package's own, on N trajectories of the tiny MDP; what follows it is exact, so that what is seen is the
surrogate's. An infinite batch holds every trajectory in its exact proportion: all surrogates are linear in the
advantage, which carries the weight.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_mdp import MOVE, PAY, THETA, TRAJECTORIES, H, expected_return, learner_with, policy
from torch import Tensor

from metarl_lab.ops.baseline import Samples
from metarl_lab.ops.inner_step import inner_step
from metarl_lab.ops.surrogates import SURROGATES

ALPHA = 1.5


def exact(steps: int = H) -> Tensor:
    """The gradient (6,) of J(theta + alpha grad J(theta) / steps), by autograd through the exact value, twice."""
    theta = torch.tensor(THETA)[None].requires_grad_()
    (slope,) = torch.autograd.grad(expected_return(theta, steps).sum(), theta, create_graph=True)
    after = expected_return(theta + ALPHA / steps * slope, steps)
    return torch.autograd.grad(after.sum(), theta)[0][0]


def chances() -> Tensor:
    """The probability of each of the 8 trajectories."""
    pi = policy(THETA)
    return torch.tensor([pi[0, a] * (MOVE[0, a] if s else 1 - MOVE[0, a]) * pi[s, b] for a, s, b in TRAJECTORIES])


def gradients(surrogate: str, drawn: Tensor, weight: Tensor | None = None, steps: int = H) -> Tensor:
    """The surrogate's meta-gradient (R, 6) for each of R batches of N trajectories. drawn (R, N): which of the 8."""
    learner = learner_with(surrogate=surrogate, inner_step=ALPHA)
    a0, s1, a1 = torch.tensor(TRAJECTORIES)[drawn].unbind(-1)  # (R, N)
    state, action = torch.stack((torch.zeros_like(s1), s1), -1), torch.stack((a0, a1), -1)
    mask = (torch.arange(H) < steps).double().expand(*drawn.shape, H)
    reward = torch.as_tensor(PAY)[state, action] * mask
    to_go = reward.flip(-1).cumsum(-1).flip(-1) * mask
    advantage = to_go if weight is None else to_go * weight.unsqueeze(-1)
    ones = torch.ones(len(drawn), dtype=torch.float64)
    observation = torch.nn.functional.one_hot(state, 2).double().flatten(1, 2)
    samples = Samples(observation, action.flatten(1), advantage, mask, ones, ones)
    own = {k: p.detach().expand(len(drawn), *p.shape).clone() for k, p in learner.meta_parameters().items()}
    own = {k: p.requires_grad_() for k, p in own.items()}
    stepped = inner_step(learner.how, own, samples, ALPHA, learner.how.rates(own, own), create_graph=True)
    value = expected_return(torch.cat((stepped["weight0"].flatten(1), stepped["bias0"]), 1), steps)
    found = torch.autograd.grad(value.sum(), [own["weight0"], own["bias0"]])
    return torch.cat((found[0].flatten(1), found[1]), 1)


def of_an_infinite_batch(surrogate: str, steps: int = H) -> Tensor:
    return gradients(surrogate, torch.arange(8)[None], 8 * chances(), steps)[0]


def draws(surrogate: str, batches: int, size: int) -> Tensor:
    """Gradients for ``batches`` batches of ``size`` trajectories that theta drew; the same ones for all surrogates."""
    generator = torch.Generator().manual_seed(size)
    drawn = torch.multinomial(chances(), batches * size, replacement=True, generator=generator)
    return gradients(surrogate, drawn.view(batches, size))


def test_dice_is_exact_in_the_limit_and_the_others_are_biased_by_what_they_leave_out():
    error = {name: of_an_infinite_batch(name) - exact() for name in SURROGATES}
    size = {name: e.abs().max() / exact().abs().max() for name, e in error.items()}
    assert size["dice"] < 1e-10
    assert size["naive"] > 0.1 and size["naive"] > 1.5 * size["lvc"] and size["lvc"] > 0.02
    # of two steps there is one cross term: lvc drops it, loaded DiCE keeps 0.95 of it
    torch.testing.assert_close(error["loaded_dice"], 0.05 * error["lvc"])


def test_lvc_is_exact_for_one_step_and_naive_is_not():
    for name in ("lvc", "dice", "loaded_dice"):
        torch.testing.assert_close(of_an_infinite_batch(name, steps=1), exact(1))
    assert (of_an_infinite_batch("naive", steps=1) - exact(1)).abs().max() > 0.1 * exact(1).abs().max()


def test_the_mean_of_many_draws_of_dice_is_within_its_standard_error_and_of_naive_is_far():
    def deviation(name: str) -> tuple[float, float]:
        """Largest distance of the mean from the exact gradient, in standard errors and in its own size."""
        found = draws(name, 60, 3000)
        gap = (found.mean(0) - exact()).abs()
        error = found.std(0) / len(found) ** 0.5
        return (gap / error).max().item(), (gap.max() / exact().abs().max()).item()

    errors = {name: deviation(name) for name in SURROGATES}
    assert errors["dice"][0] < 4 and errors["dice"][1] < 0.01, errors
    assert errors["naive"][0] > 100 and errors["lvc"][0] > 20, errors
    assert errors["dice"][1] < errors["loaded_dice"][1] < errors["lvc"][1] < errors["naive"][1], errors


@pytest.mark.parametrize("name", SURROGATES)
def test_the_bias_tends_to_its_limit_and_the_variance_to_zero_as_the_sample_grows(name):
    bias, variance = [], []
    for size in (4, 16, 64):
        found = draws(name, 8000, size)
        bias.append(found.mean(0) - exact())
        variance.append(found.var(0).sum().item())
    limit = of_an_infinite_batch(name) - exact()
    gaps = [(b - limit).norm().item() for b in bias]
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2], gaps  # about 1 / N
    np.testing.assert_allclose([variance[0] / variance[1], variance[1] / variance[2]], 4, rtol=0.4)


def test_what_keeps_more_of_the_second_derivative_varies_more():
    spread = {name: draws(name, 4000, 16).var(0).sum().item() for name in SURROGATES}
    assert spread["naive"] < spread["lvc"] < spread["loaded_dice"] < spread["dice"], spread
