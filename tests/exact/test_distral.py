"""Distral's best task policy: closed form, fixed point of the regularised gradient, and the limits of its weights."""

import pytest
import torch
from torch import Tensor

from metarl_lab.exact.distral import soft_value_iteration
from metarl_lab.exact.planning import value_iteration
from metarl_lab.ops.distral import boltzmann, regularised_reward, sharpness

H, DISCOUNT = 4, 0.9


def problem(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Two MDPs of three states and three actions, and a shared policy (S, A)."""
    generator = torch.Generator().manual_seed(seed)
    transition = torch.rand(2, 3, 3, 3, generator=generator, dtype=torch.float64)
    reward = torch.randn(2, 3, 3, generator=generator, dtype=torch.float64)
    shared = torch.randn(3, 3, generator=generator, dtype=torch.float64).log_softmax(-1)
    return transition / transition.sum(-1, keepdim=True), reward, shared


def value_of(logits: Tensor, shared: Tensor, transition: Tensor, reward: Tensor, c_kl: float, c_ent: float) -> Tensor:
    """The regularised objective of any policies (H, T, S, A) from every state, (T, S), by plain recursion."""
    log_policy, after = logits.log_softmax(-1), torch.zeros_like(reward[..., 0])
    for h in reversed(range(H)):
        log_pi = log_policy[h]
        paid = regularised_reward(reward, log_pi, shared.expand_as(log_pi), c_kl, c_ent)
        after = (log_pi.exp() * (paid + DISCOUNT * torch.einsum("tsap,tp->tsa", transition, after))).sum(-1)
    return after


@pytest.mark.parametrize(("c_kl", "c_ent"), [(0.5, 0.2), (0.3, 0.0), (0.0, 0.4)])
def test_the_closed_form_is_where_the_regularised_gradient_vanishes(c_kl: float, c_ent: float) -> None:
    transition, reward, shared = problem()
    plan = soft_value_iteration(transition, reward, shared, H, c_kl, c_ent, DISCOUNT)
    logits = plan.log_policy.clone().requires_grad_()
    value = value_of(logits, shared, transition, reward, c_kl, c_ent)
    torch.testing.assert_close(value, plan.v[0])
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert gradient.abs().max() < 1e-12
    for seed in range(5):
        other = plan.log_policy + 0.2 * torch.randn(
            plan.log_policy.shape, generator=torch.Generator().manual_seed(seed)
        )
        assert (value_of(other, shared, transition, reward, c_kl, c_ent) < value).all()


def test_there_every_advantage_is_zero_whatever_the_action() -> None:
    transition, reward, shared = problem()
    plan = soft_value_iteration(transition, reward, shared, H, 0.5, 0.2, DISCOUNT)
    after = torch.cat((plan.v[1:], torch.zeros_like(plan.v[:1])))
    to_come = DISCOUNT * torch.einsum("tsap,htp->htsa", transition, after)
    log_shared = shared.expand_as(plan.log_policy)
    paid = regularised_reward(reward.expand_as(plan.q), plan.log_policy, log_shared, 0.5, 0.2)
    torch.testing.assert_close(paid + to_come, plan.v.unsqueeze(-1).expand_as(plan.q))


def test_one_step_by_hand() -> None:
    """c_KL 1, c_Ent 1: alpha 1/2, beta 1/2. pi_0 = (0.8, 0.2), q = (0, 2 log 2): pi prop. to (sqrt 0.8, 2 sqrt 0.2)."""
    assert sharpness(1.0, 1.0) == (0.5, 0.5)
    assert sharpness(0.3, 0.1) == pytest.approx((0.75, 2.5))
    shared = torch.tensor([0.8, 0.2]).log()
    q = torch.tensor([0.0, 2 * torch.log(torch.tensor(2.0)).item()])
    log_policy, value = boltzmann(shared, q, 0.5, 0.5)
    weight = torch.tensor([0.8**0.5, 2 * 0.2**0.5])
    torch.testing.assert_close(log_policy.exp(), weight / weight.sum())
    assert value.item() == pytest.approx(2 * weight.sum().log().item())


def test_the_limits_are_the_shared_policy_and_the_greedy_one() -> None:
    transition, reward, shared = problem()
    held = soft_value_iteration(transition, reward, shared, H, 1e6, 0.0, DISCOUNT)
    torch.testing.assert_close(held.log_policy, shared.expand_as(held.log_policy), atol=1e-4, rtol=0)
    free = soft_value_iteration(transition, reward, shared, H, 1e-6, 0.0, DISCOUNT)
    q, v = value_iteration(transition, reward, H, DISCOUNT)
    torch.testing.assert_close(free.v, v, atol=1e-4, rtol=0)
    assert torch.equal(free.log_policy.argmax(-1), q.argmax(-1))
    blind = soft_value_iteration(transition, reward, shared, H, 0.0, 0.4, DISCOUNT)
    other = soft_value_iteration(transition, reward, shared.flip(-1), H, 0.0, 0.4, DISCOUNT)
    torch.testing.assert_close(blind, other)  # without the KL the shared policy is nowhere


def test_mistakes_are_refused() -> None:
    transition, reward, shared = problem()
    for weights in ((0.0, 0.0), (-0.1, 0.2)):
        with pytest.raises(ValueError, match="beta"):
            sharpness(*weights)
    with pytest.raises(ValueError, match="horizon"):
        soft_value_iteration(transition, reward, shared, 0, 1.0, 0.0)
    with pytest.raises(ValueError, match="one shape"):
        regularised_reward(reward, shared, shared, 0.1, 0.1)
