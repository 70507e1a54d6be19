"""Conjugate gradients, the curvature of the adapted policies, and the outer steps made of them."""

from __future__ import annotations

import itertools

import gymnasium as gym
import numpy as np
import pytest
import torch

from metarl_lab.learners.cavia import with_context
from metarl_lab.nets.mlp import MLPPolicy
from metarl_lab.ops.baseline import Samples, pieces
from metarl_lab.ops.distributions import Categorical
from metarl_lab.ops.inner_step import RATE, Adaptation, expand, inner_steps
from metarl_lab.ops.meta_curvature import mean_kl, meta_curvature
from metarl_lab.ops.outer_step import check_outer, gradient_update, hold, outer_objective, trust_region_update
from metarl_lab.ops.surrogates import SURROGATES, naive
from metarl_lab.ops.trust_region import conjugate_gradient, flatten, line_search, trust_region_step, unflatten
from metarl_lab.types import Spec

T, N, H = 3, 4, 5
PLANE = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
SPECS = {
    "box": Spec(PLANE, gym.spaces.Box(-1, 1, (2,), np.float32), H),
    "discrete": Spec(PLANE, gym.spaces.Discrete(3), H),
}
FORMS = ("maml", "anil", "cavia", "meta_sgd", "meta_sgd_layer")


def policy_of(kind: str) -> MLPPolicy:
    torch.manual_seed(0)
    return MLPPolicy(SPECS[kind], (3,)).double()


def form_of(form: str, policy: MLPPolicy, sizes: list[float], surrogate=naive, first_order: bool = False):
    """(Adaptation, meta-parameters) of the learner of that name, away from where it starts."""
    meta, extra = policy.parameters_by_name(), {}
    torch.manual_seed(5)
    if form == "anil":
        extra["moved"] = policy.head
    if form == "cavia":
        meta["context_weight"] = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
        extra |= {"moved": ("context",), "zeros": {"context": (2,)}, "fold": with_context}
    if form.startswith("meta_sgd"):
        shapes = {k: p.shape if form == "meta_sgd" else [1] * p.ndim for k, p in meta.items()}
        meta |= {RATE + k: torch.randn(*s, dtype=torch.float64, requires_grad=True) for k, s in shapes.items()}
    return Adaptation(policy.per_task, sizes, surrogate, first_order, **extra), meta


def samples_of(seed: int, kind: str) -> Samples:
    """Standard-normal states, actions and advantages, a fifth of the steps masked."""
    torch.manual_seed(seed)
    action = torch.randn(T, N * H, 2, dtype=torch.float64) if kind == "box" else torch.randint(0, 3, (T, N * H))
    mask = (torch.rand(T, N, H) < 0.8).double()
    advantage = torch.randn(T, N, H).double() * mask
    observation, ones = torch.randn(T, N * H, 2, dtype=torch.float64), torch.ones(T, dtype=torch.float64)
    return Samples(observation, action, advantage, mask, ones, ones)


def test_conjugate_gradient_solves_systems_side_by_side():
    torch.manual_seed(0)
    a = torch.randn(3, 6, 6, dtype=torch.float64)
    a = a @ a.mT + 0.5 * torch.eye(6)
    b = torch.randn(3, 6, dtype=torch.float64)
    b[2] = 0  # solved before it starts
    x, residual = conjugate_gradient(lambda v: (a @ v.unsqueeze(-1)).squeeze(-1), b, 30)
    torch.testing.assert_close(x, torch.linalg.solve(a, b))
    assert residual.abs().max() < 1e-8
    early, left = conjugate_gradient(lambda v: (a @ v.unsqueeze(-1)).squeeze(-1), b, 2)
    torch.testing.assert_close(left, b - (a @ early.unsqueeze(-1)).squeeze(-1))


@pytest.mark.parametrize("iterations", [2, 30])
def test_trust_region_step_reaches_the_bound_exactly(iterations):
    torch.manual_seed(0)
    a = torch.randn(6, 6, dtype=torch.float64)
    a, g = a @ a.mT + 0.5 * torch.eye(6), torch.randn(6, dtype=torch.float64)
    step = trust_region_step(lambda v: a @ v, g, 0.01, iterations)
    assert (step @ a @ step / 2).item() == pytest.approx(0.01)
    assert g @ step > 0


def test_line_search_takes_the_first_fraction_that_gains_inside_the_bound():
    def evaluate(fraction):  # gains below 0.7, inside the bound below 0.5
        return torch.tensor(1.0 if fraction < 0.7 else -1.0), torch.tensor(0.01 * fraction / 0.5)

    fraction, objective, kl = line_search(evaluate, torch.tensor(0.0), 0.01, 0.8, 15)
    assert fraction == pytest.approx(0.8**4) and objective == 1 and kl <= 0.01
    assert line_search(evaluate, torch.tensor(2.0), 0.01, 0.8, 15) == (0.0, 2.0, 0.0)


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize(
    ("form", "steps"),
    [("maml", 0), *itertools.product(("maml", "anil", "cavia", "meta_sgd", "meta_sgd_layer"), (1, 2))],
)
def test_meta_curvature_is_the_hessian_of_the_kl(kind, surrogate, form, steps):
    policy, batches = policy_of(kind), [samples_of(s, kind) for s in range(steps + 1)]
    how, theta = form_of(form, policy, [2.0, 1.0][:steps] if form == "cavia" else [0.5, 0.25][:steps])
    how = how._replace(surrogate=SURROGATES[surrogate])
    like = list(theta.values())
    held = hold(how, theta, batches)

    def kl(flat):
        moved = dict(zip(theta, unflatten(flat, like), strict=True))
        return outer_objective(how, moved, held).kl.sum()

    flat = flatten(like).detach()
    assert kl(flat.requires_grad_()).item() == pytest.approx(0, abs=1e-12)
    torch.manual_seed(9)
    vectors = torch.randn(6, len(flat), dtype=torch.float64)
    (slope,) = torch.autograd.grad(kl(flat), flat, create_graph=True)
    exact = torch.stack([torch.autograd.grad(slope, flat, v, retain_graph=True)[0] for v in vectors])
    stages = inner_steps(how, theta, batches[:-1], T, create_graph=False)
    product = meta_curvature(how, theta, stages, batches)
    torch.testing.assert_close(torch.stack([product(v) for v in vectors]), exact)
    if steps:  # a curvature that forgets the inner step is another one
        first = meta_curvature(how._replace(first_order=True), theta, stages, batches)
        assert (torch.stack([first(v) for v in vectors]) - exact).abs().max() > 1e-3
    if form.startswith("meta_sgd"):
        assert exact[:, -1].abs().max() > 1e-6, "the rates have a curvature too"


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize(
    ("form", "bound"),
    [("maml", 1e-4), *itertools.product(("maml", "anil", "cavia", "meta_sgd", "meta_sgd_layer"), [0.01])],
)
def test_trpo_raises_the_objective_and_keeps_the_kl_within_its_bound(kind, first_order, form, bound):
    policy, batches = policy_of(kind), [samples_of(1, kind), samples_of(2, kind)]
    how, theta = form_of(form, policy, [0.3], first_order=first_order)
    batches = hold(how, theta, batches)
    before = outer_objective(how, theta, batches)
    cut = pieces(batches, 1)  # one task a part
    values = trust_region_update(how, theta, cut, bound, 10, 1e-5, episodes=N)
    after = outer_objective(how, theta, batches)
    assert 0.2 * bound < after.kl.mean() <= bound * (1 + 1e-6)
    assert after.objective.mean() > before.objective.mean()
    assert values["kl"] == pytest.approx(after.kl.mean().item())
    assert values["gain"] == pytest.approx((after.objective - before.objective).mean().item())


def test_outer_objective_reads_post_adaptation_advantages_only():
    policy, (pre, post) = policy_of("box"), (samples_of(1, "box"), samples_of(2, "box"))
    theta, how = policy.parameters_by_name(), Adaptation(policy.per_task, [0.3], naive)
    leaves = list(theta.values())

    def gradient(a, b):
        return flatten(torch.autograd.grad(outer_objective(how, theta, [a, b]).objective.sum(), leaves))

    silent = post._replace(advantage=torch.zeros_like(post.advantage))
    assert (gradient(pre, silent) == 0).all()
    torch.testing.assert_close(gradient(pre, post._replace(advantage=2 * post.advantage)), 2 * gradient(pre, post))
    # nothing to adapt on: the ordinary policy gradient on the second batch
    log_prob = policy.per_task(expand(theta, T), post.observation).log_prob(post.action).view_as(post.mask)
    plain = ((log_prob * post.advantage).sum((1, 2)) / post.live).sum()
    still = pre._replace(advantage=torch.zeros_like(pre.advantage))
    torch.testing.assert_close(gradient(still, post), flatten(torch.autograd.grad(plain, leaves)))


def test_ppo_stops_at_its_clip_and_plain_ascends():
    policy, batches = policy_of("discrete"), [samples_of(1, "discrete"), samples_of(2, "discrete")]
    theta, how = policy.parameters_by_name(), Adaptation(policy.per_task, [0.3], naive)
    batches = hold(how, theta, batches)
    before = outer_objective(how, theta, batches)
    gradient_update(how, theta, [batches], torch.optim.SGD(list(theta.values()), lr=0.01))
    assert outer_objective(how, theta, batches).objective.mean() > before.objective.mean()
    batches = hold(how, theta, batches)
    plain = outer_objective(how, theta, batches)
    optimizer = torch.optim.Adam(list(theta.values()), lr=0.05)
    gradient_update(how, theta, [batches], optimizer, epochs=200, clip=0.2)
    # the clipped objective cannot exceed what ratios of 1.2 and 0.8 give
    after = outer_objective(how, theta, batches, clip=0.2)
    ceiling = ((batches[1].advantage * batches[1].advantage.sign() * 0.2).sum((1, 2)) / batches[1].live).mean()
    assert 0 < (after.objective - plain.objective).mean() <= ceiling + 1e-9


def test_mean_kl_counts_live_steps_of_each_task():
    old = Categorical(torch.tensor([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 2.0], [0.0, 0.0]]]))
    new = Categorical(torch.zeros(2, 2, 2))
    p = torch.tensor([[0.5, 0.5], [0.7310586, 0.2689414], [0.1192029, 0.8807971]])
    kl = (p * (2 * p).log()).sum(1)  # to an even chance of two
    mask = torch.tensor([[[1.0, 1.0]], [[1.0, 0.0]]])  # the second task's last step was not live
    torch.testing.assert_close(mean_kl(old, new, mask), torch.stack(((kl[0] + kl[1]) / 2, kl[2])))


def test_unknown_outer_step():
    with pytest.raises(ValueError, match="outer='sgd' is not known; choose one of 'trpo', 'ppo', 'plain'"):
        check_outer("sgd")
