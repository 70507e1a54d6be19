"""What sets each gradient-based learner apart: what moves, what the outer gradient reaches, what it equals."""

from __future__ import annotations

import pytest
import torch
from tiny_mdp import THETA, H, TinyFamily, learner_with, step_on
from torch import Tensor

import metarl_lab as ml
from metarl_lab.catalog import entries
from metarl_lab.inner_loop import inner_loop
from metarl_lab.learners import reptile
from metarl_lab.nets.mlp import MLPPolicy
from metarl_lab.ops.outer_step import hold, outer_objective
from metarl_lab.ops.trust_region import flatten
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.types import Spec, map_tensors

BOX = ml.make_family("point_navigation", horizon=6)
MDP = ml.make_family("tabular_mdp", states=3, actions=2, horizon=4)
FAMILIES = pytest.mark.parametrize("family", [BOX, MDP], ids=["box", "discrete"])
ADAPTIVE = sorted(name for name in entries("learners") if hasattr(entries("learners")[name], "policy"))
SECOND_ORDER = ("maml", "emaml", "promp", "anil", "cavia", "meta_sgd")


def made(name: str, family, **options):
    settings = {"hidden": (4,), "episodes": 3, "inner_step": 0.4, "later_inner_step": 0.2, "output_gain": 1.0}
    return ml.make_learner(name, family, **{**settings, **options})


def tried(name: str, family, steps: int = 1, **options):
    """A learner in float64, and ``steps`` + 1 batches of 4 tasks with the policies at its parameters as what acted."""
    learner = made(name, family, inner_steps=steps, **options)
    generator = seeded_generator("cpu", 3)
    acted, _ = inner_loop(learner, family, family.sample_tasks(4, "train", generator), steps, generator)
    learner = learner.double()
    acted = [map_tensors(lambda x: x.double() if x.is_floating_point() else x, e) for e in acted]
    torch.manual_seed(7)
    with torch.no_grad():  # away from where it starts: rates that are not 1, biases that are not 0
        for p in learner.parameters():
            p += 0.2 * torch.randn_like(p)
    batches = [learner.samples(e) for e in acted]
    return learner, hold(learner.how, learner.meta_parameters(), batches), acted


def gradient(learner, batches, **how) -> Tensor:
    changed = learner.how._replace(**how)
    meta = learner.meta_parameters()
    total = outer_objective(changed, meta, batches).objective.sum()
    return flatten(torch.autograd.grad(total, list(meta.values()), materialize_grads=True))


@pytest.mark.parametrize("name", SECOND_ORDER)
@FAMILIES
def test_the_outer_gradient_of_every_parameter_is_that_of_differences(name, family):
    """Learned rates, context weights and a body behind a moved head included."""
    learner, batches, _ = tried(name, family, steps=2, **{} if name == "promp" else {"surrogate": "naive"})
    meta = learner.meta_parameters()
    got = gradient(learner, batches)
    torch.manual_seed(1)
    at = 0
    for k, p in meta.items():
        direction = torch.randn_like(p)
        values = []
        for sign in (1, -1):
            moved = meta | {k: (p + sign * 1e-5 * direction).detach().requires_grad_()}
            values.append(outer_objective(learner.how, moved, batches, differentiate=False).objective.sum().item())
        mine = (got[at : at + p.numel()] * direction.flatten()).sum().item()
        assert mine == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4, abs=1e-8), k
        at += p.numel()
    first = gradient(learner, batches, first_order=True)
    assert (first - got).abs().max() > 1e-3 * got.abs().max()


@pytest.mark.parametrize("surrogate", ["naive", "dice"])
@pytest.mark.parametrize("name", [n for n in SECOND_ORDER if n != "promp"])
def test_first_order_gap_shrinks_in_proportion_to_the_inner_step(name, surrogate):
    learner, batches, _ = tried(name, BOX, surrogate=surrogate)

    def gap(alpha: float) -> float:
        full, first = (gradient(learner, batches, step_sizes=[alpha], first_order=f) for f in (False, True))
        return (full - first).norm().item()

    gaps = [gap(alpha) for alpha in (0.01, 0.005, 0.0025)]
    assert gaps[0] > 1e-4
    assert gaps[1] / gaps[0] == pytest.approx(0.5, abs=0.03) and gaps[2] / gaps[1] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("name", "moves"), [("anil", {"weight1", "bias1"}), ("cavia", {"context"})])
@FAMILIES
def test_absorbing_leaves_the_frozen_parts_as_they_are_and_update_moves_them(name, moves, family):
    learner = made(name, family, outer="plain")
    tasks = family.sample_tasks(4, "train", seeded_generator("cpu", 0))
    episodes, trial = collect(learner, family, tasks, begin(learner, family, tasks, 3), seeded_generator("cpu", 1))
    memory = trial.memory
    for _ in range(2):
        memory = learner.absorb(memory, episodes)
    for k, p in trial.memory.parameters.items():
        assert torch.equal(memory.parameters[k], p) == (k not in moves), k
    before = {k: p.detach().clone() for k, p in learner.named_parameters()}
    learner.update(family, tasks, seeded_generator("cpu", 2))
    for k, p in learner.named_parameters():
        assert not torch.equal(before[k], p), k


@FAMILIES
def test_anil_is_maml_where_the_body_cannot_move(family):
    """The head's step is MAML's own; the body's is none."""
    anil, batches, acted = tried("anil", family)
    maml = made("maml", family).double()
    maml.load_state_dict(anil.state_dict())
    fresh = anil.begin(4, 1)
    ours, theirs = anil.absorb(fresh, acted[0]), maml.absorb(fresh, acted[0])
    for k in anil.network.head:
        torch.testing.assert_close(ours.parameters[k], theirs.parameters[k])
    assert not torch.equal(ours.parameters["weight0"], theirs.parameters["weight0"])


@pytest.mark.parametrize("rates", ["parameter", "layer"])
@FAMILIES
def test_meta_sgd_at_rates_of_one_is_maml(rates, family):
    maml, batches, acted = tried("maml", family)
    learner = made("meta_sgd", family, rates=rates).double()
    learner.load_state_dict(learner.state_dict() | maml.state_dict())
    ours, theirs = learner.absorb(learner.begin(4, 1), acted[0]), maml.absorb(maml.begin(4, 1), acted[0])
    for k, p in theirs.parameters.items():
        torch.testing.assert_close(ours.parameters[k], p)
    of_policy = [not k.startswith("rate_") for k, p in learner.meta_parameters().items() for _ in range(p.numel())]
    torch.testing.assert_close(gradient(learner, batches)[torch.tensor(of_policy)], gradient(maml, batches))
    # and with rates of its own every step is multiplied by them, in absorb too
    torch.manual_seed(5)
    with torch.no_grad():
        for k, p in learner.meta_parameters().items():
            if k.startswith("rate_"):
                p.copy_(torch.randn_like(p))
    moved = learner.absorb(learner.begin(4, 1), acted[0]).parameters
    for k, p in theirs.parameters.items():
        start, rate = maml.meta_parameters()[k], learner.meta_parameters()["rate_" + k]
        torch.testing.assert_close(moved[k] - start, rate * (p - start))


@FAMILIES
def test_cavias_context_is_an_input_beside_the_observation(family):
    learner, _, _ = tried("cavia", family)
    spec = family.spec
    wide = type(spec.observation_space)(-1, 1, (spec.observation_size + 5,))
    clear = MLPPolicy(Spec(wide, spec.action_space, spec.horizon), (4,)).double()
    memory = learner.begin(4, 1)
    torch.manual_seed(2)
    memory.parameters["context"].copy_(torch.randn(4, 5))
    seen = torch.randn(4, 7, spec.observation_size, dtype=torch.float64)
    shared = learner.network.parameters_by_name()
    both = torch.cat((shared["weight0"], learner.context_weight))
    clear.load_state_dict({k: p.detach() for k, p in (shared | {"weight0": both}).items()})
    with_context = torch.cat((seen, memory.parameters["context"].unsqueeze(1).expand(4, 7, 5)), -1)
    for ours, theirs in zip(learner.how.policy(memory.parameters, seen), clear(with_context), strict=True):
        torch.testing.assert_close(ours, theirs.expand_as(ours))


def test_reptile_moves_towards_the_mean_of_two_plain_steps_of_each_task(monkeypatch):
    """Every step by hand, in NumPy, on what it acted; the settings of ``tiny_mdp``."""
    plain = learner_with().config
    shared = {k: getattr(plain, k) for k in ("hidden", "discount", "standardize", "baseline")}
    options = shared | {"inner_step": plain.inner_step, "later_inner_step": plain.later_inner_step}
    learner = ml.make_learner("reptile", TinyFamily(), **options, episodes=3, outer_step=0.5)
    with torch.no_grad():
        learner.network.weight0.copy_(torch.as_tensor(THETA[:4].reshape(2, 2)))
        learner.network.bias0.copy_(torch.as_tensor(THETA[4:]))
    log = []
    monkeypatch.setattr(reptile, "collect", lambda *a: (log.append(collect(*a)), log[-1])[1])
    generator = seeded_generator("cpu", 1)
    metrics = learner.update(TinyFamily(), TinyFamily().sample_tasks(2, "train", generator), generator)
    ends = []
    for i in range(2):
        theta = THETA
        for (episodes, _), alpha in zip(log, (1.5, 0.8), strict=True):
            states = episodes.observation[i, :, 0].argmax(-1)  # (E, H)
            data = [
                (a[0].item(), s[1].item(), a[1].item()) for a, s in zip(episodes.action[i, :, 0], states, strict=True)
            ]
            to_go = episodes.reward[i, :, 0].double().flip(-1).cumsum(-1).flip(-1)
            theta = step_on(theta, data, to_go.numpy(), alpha)
        ends.append(theta)
    expected = THETA + 0.5 * (sum(ends) / 2 - THETA)
    got = flatten([learner.network.weight0, learner.network.bias0]).detach().double()
    torch.testing.assert_close(got, torch.as_tensor(expected), atol=1e-5, rtol=1e-5)
    assert abs(expected - THETA).max() > 0.05 and metrics.values["env_steps"] == H * 12


@pytest.mark.parametrize("name", ADAPTIVE)
@FAMILIES
def test_a_tasks_policy_can_be_taken_out(name, family):
    learner = made(name, family)
    tasks = family.sample_tasks(4, "train", seeded_generator("cpu", 0))
    episodes, trial = collect(learner, family, tasks, begin(learner, family, tasks, 3), seeded_generator("cpu", 1))
    memory = learner.absorb(trial.memory, episodes)
    seen = episodes.observation.flatten(1, 3)
    alone, together = learner.policy(memory, task=3), learner.how.policy(memory.parameters, seen)
    assert isinstance(alone, torch.nn.Module)
    for ours, theirs in zip(alone(seen[3]), together, strict=True):
        torch.testing.assert_close(*torch.broadcast_tensors(ours, theirs[3]), atol=1e-5, rtol=1e-4)
    assert (together[0][3] - together[0][0]).abs().max() > 1e-6, "tasks differ, so that the row counts"
    kept = [x.clone() for x in (*memory.parameters.values(), *learner.parameters())]
    with torch.no_grad():
        for p in alone.parameters():
            p.fill_(9.0)
    assert all(
        torch.equal(a, b) for a, b in zip(kept, (*memory.parameters.values(), *learner.parameters()), strict=True)
    )
    for task in (4, -1):
        with pytest.raises(IndexError, match=f"task={task} is not in this memory; give 0 to 3"):
            learner.policy(memory, task=task)
