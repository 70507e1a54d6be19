"""The inner step, surrogates and the sampling term, against clear forms."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from metarl_lab.nets.mlp import MLPPolicy
from metarl_lab.ops.baseline import Samples
from metarl_lab.ops.inner_step import Adaptation, adapt, expand, fresh, inner_step, inner_steps, sampling_term
from metarl_lab.ops.surrogates import SURROGATES, clipped_ratio, dice, lvc, naive, surrogate_named
from metarl_lab.types import Spec

T, N, H = 4, 3, 5
PLANE = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
SPEC = Spec(PLANE, gym.spaces.Box(-0.1, 0.1, (2,), np.float32), H)


def policy_of(seed: int = 0) -> MLPPolicy:
    torch.manual_seed(seed)
    return MLPPolicy(SPEC, (6,)).double()


def samples_of(seed: int) -> Samples:
    torch.manual_seed(seed)
    observation, action = (torch.randn(T, N * H, 2, dtype=torch.float64) for _ in range(2))
    mask = (torch.rand(T, N, H) < 0.8).double()
    score, scale = torch.randn(T).double(), torch.ones(T).double()
    return Samples(observation, 0.1 * action, torch.randn(T, N, H).double() * mask, mask, score, scale)


def clear_step(policy: MLPPolicy, own: dict[str, Tensor], s: Samples, size: float) -> dict[str, Tensor]:
    """One inner step as a chapter writes it: the gradient of one task's objective, and vmap."""

    def objective(p, observation, action, advantage, mask):
        log_prob = functional_call(policy, p, (observation,)).log_prob(action).view(N, H)
        return (log_prob * advantage * mask).sum() / mask.sum()

    g = vmap(grad(objective))(own, s.observation, s.action, s.advantage, s.mask)
    return {k: own[k] + size * g[k] for k in own}


def test_inner_step_equals_the_clear_form_and_climbs():
    policy, s = policy_of(), samples_of(1)
    own = {k: (p + 0.1 * torch.randn(T, *p.shape)).detach().requires_grad_() for k, p in policy.named_parameters()}
    how = Adaptation(policy.per_task, [], naive)
    stepped = inner_step(how, own, s, 0.3, how.rates(own, own), create_graph=True)
    clear = clear_step(policy, own, s, 0.3)
    for k in own:
        torch.testing.assert_close(stepped[k], clear[k])

    def gain(p):
        return (policy.per_task(p, s.observation).log_prob(s.action).view_as(s.mask) * s.advantage).sum()

    assert gain(inner_step(how, own, s, 1e-3, how.rates(own, own), create_graph=False)) > gain(own)


def test_each_task_has_its_own_step_size():
    policy, s = policy_of(), samples_of(1)
    own = expand(policy.parameters_by_name(), T)
    sizes = torch.tensor([0.0, 0.1, 0.2, 0.4], dtype=torch.float64)
    how = Adaptation(policy.per_task, [], naive)
    stepped = inner_step(how, own, s, sizes, how.rates(own, own), create_graph=False)
    unit = inner_step(how, own, s, 1.0, how.rates(own, own), create_graph=False)
    for k, p in policy.named_parameters():
        for i in range(T):
            torch.testing.assert_close(stepped[k][i] - p, sizes[i] * (unit[k][i] - p))


def test_derivative_through_two_steps_equals_autograd_through_the_clear_form():
    policy, batches = policy_of(), [samples_of(1), samples_of(2)]
    theta = policy.parameters_by_name()
    stages = inner_steps(Adaptation(policy.per_task, [0.5, 0.25], naive), theta, batches, T, create_graph=True)
    own = expand(theta, T)
    for s, size in zip(batches, (0.5, 0.25), strict=True):
        own = clear_step(policy, own, s, size)
    for a, b in zip(
        torch.autograd.grad(sum(p.pow(3).sum() for p in stages[-1].values()), list(theta.values())),
        torch.autograd.grad(sum(p.pow(3).sum() for p in own.values()), list(theta.values())),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_without_graph_the_jacobian_is_one():
    policy, s = policy_of(), samples_of(1)
    theta = policy.parameters_by_name()
    stepped = inner_steps(Adaptation(policy.per_task, [0.5], naive), theta, [s], T, create_graph=False)[-1]
    for g in torch.autograd.grad(sum(p.sum() for p in stepped.values()), list(theta.values())):
        torch.testing.assert_close(g, torch.full_like(g, float(T)))


def test_adapt_takes_the_first_size_then_the_later_one_and_leaves_its_argument():
    policy, s = policy_of(), samples_of(1)
    how, theta = Adaptation(policy.per_task, [], naive), policy.parameters_by_name()
    start = fresh(how, theta, T)
    kept = {k: p.clone() for k, p in start.parameters.items()}
    with torch.no_grad():
        first = adapt(how, theta, start, s, (0.5, 0.25))
        later = adapt(how, theta, start._replace(absorbed=start.absorbed + 3), s, (0.5, 0.25))
    for k, p in kept.items():
        assert torch.equal(start.parameters[k], p) and not first.parameters[k].requires_grad
        torch.testing.assert_close(first.parameters[k] - p, 2 * (later.parameters[k] - p))
        assert (first.parameters[k] != p).any()
    assert first.absorbed.tolist() == [1] * T and later.absorbed.tolist() == [4] * T


def test_fresh_is_a_copy_that_training_does_not_move():
    policy = policy_of()
    memory = fresh(Adaptation(policy.per_task, [], naive), policy.parameters_by_name(), T)
    with torch.no_grad():
        policy.weight0.add_(1)
    assert (memory.parameters["weight0"] != policy.weight0).all()
    assert not memory.parameters["weight0"].requires_grad


def test_surrogates_agree_in_the_first_derivative_and_dice_has_the_trajectorys_second():
    torch.manual_seed(0)
    advantage, mask = torch.randn(1, 1, 3).double(), torch.ones(1, 1, 3).double()
    log_prob = torch.randn(1, 1, 3, dtype=torch.float64)
    first = [
        torch.autograd.functional.jacobian(lambda x, f=f: f(x, advantage, mask), log_prob) for f in SURROGATES.values()
    ]
    for other in first[1:]:
        torch.testing.assert_close(first[0], other)
    torch.testing.assert_close(first[0].flatten(), advantage.flatten())
    # d^2 / dl_j dl_k of sum_t (box_{<=t} - box_{<t}) A_t: what remains is t = max(j, k), once
    second = torch.autograd.functional.hessian(lambda x: dice(x, advantage, mask).sum(), log_prob).view(3, 3)
    latest = torch.tensor([[advantage[0, 0, max(j, k)] for k in range(3)] for j in range(3)], dtype=torch.float64)
    torch.testing.assert_close(second, latest)
    # loaded DiCE weighs the dependency of step t on step k by decay^(t-k); low-variance curvature keeps t = k alone
    lag = (torch.arange(3).view(-1, 1) - torch.arange(3)).abs()
    loaded = torch.autograd.functional.hessian(lambda x: dice(x, advantage, mask, decay=0.5).sum(), log_prob)
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for t in range(3):
        weight = torch.tensor([0.5 ** (t - k) if k <= t else 0.0 for k in range(3)], dtype=torch.float64)
        below = weight.clone()
        below[t] = 0.0
        expected += advantage[0, 0, t] * (weight.outer(weight) - below.outer(below))
    torch.testing.assert_close(loaded.view(3, 3), expected)
    torch.testing.assert_close(expected, latest * 0.5**lag)
    own = torch.autograd.functional.hessian(lambda x: lvc(x, advantage, mask).sum(), log_prob).view(3, 3)
    torch.testing.assert_close(own, advantage[0, 0].diag())
    assert (torch.autograd.functional.hessian(lambda x: naive(x, advantage, mask).sum(), log_prob) == 0).all()


def test_masked_steps_reach_no_surrogate():
    advantage, mask = torch.ones(1, 1, 3), torch.tensor([[[1.0, 1.0, 0.0]]])
    for f in SURROGATES.values():
        g = torch.autograd.functional.jacobian(lambda x, f=f: f(x, advantage, mask), torch.zeros(1, 1, 3))
        assert g.flatten().tolist() == [1, 1, 0]


def test_clipped_ratio_by_hand():
    ratio, advantage = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.1]), torch.tensor([1.0, -1.0, 1.0, -1.0, 2.0])
    torch.testing.assert_close(clipped_ratio(ratio, advantage, 0.2), torch.tensor([1.2, -1.5, 0.5, -0.8, 2.2]))


def test_sampling_term_is_the_score_of_all_adaptation_data():
    policy, s = policy_of(), samples_of(1)
    own = expand(policy.parameters_by_name(), T)
    score = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    each = policy.per_task(own, s.observation).log_prob(s.action).view_as(s.mask) * s.mask
    leaves = list(policy.parameters())
    got = torch.autograd.grad(sampling_term(policy.per_task, [own], [s], score).sum(), leaves, retain_graph=True)
    for a, b in zip(got, torch.autograd.grad((score * each.sum((1, 2))).sum(), leaves), strict=True):
        torch.testing.assert_close(a, b)


def test_sampling_term_after_theta_has_moved_weighs_each_step_by_its_ratio_to_what_acted():
    """Worth nothing where it acted, whatever the score; then R sum rho grad log pi, rho to the policy that acted."""
    policy, s = policy_of(), samples_of(1)
    score = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    start = expand(policy.parameters_by_name(), T)
    drawn = policy.per_task(start, s.observation)
    held = s._replace(acted=type(drawn)(*(x.detach() for x in drawn)))
    assert sampling_term(policy.per_task, [start], [held], score).abs().max() == 0
    torch.manual_seed(3)
    moved = {k: (p + 0.2 * torch.randn_like(p)).detach().requires_grad_() for k, p in policy.named_parameters()}
    own = expand(moved, T)
    log_prob = policy.per_task(own, s.observation).log_prob(s.action).view_as(s.mask)
    ratio = (log_prob - held.acted.log_prob(s.action).view_as(s.mask)).exp().detach()
    assert (ratio - 1).abs().max() > 0.2
    expected = torch.autograd.grad((score * (ratio * log_prob * s.mask).sum((1, 2))).sum(), list(moved.values()))
    got = torch.autograd.grad(sampling_term(policy.per_task, [own], [held], score).sum(), list(moved.values()))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_unknown_surrogate():
    with pytest.raises(
        ValueError, match="surrogate 'exact' is not known; choose one of 'naive', 'dice', 'loaded_dice', 'lvc'"
    ):
        surrogate_named("exact")
