"""ProMP against a clear form: one task at a time, plain autograd, nothing of the package but the policy network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

import metarl_lab as ml
from metarl_lab.inner_loop import inner_loop
from metarl_lab.learners import promp
from metarl_lab.ops.outer_step import gradient_update, hold, meta_gradient, outer_objective
from metarl_lab.ops.trust_region import flatten
from metarl_lab.rollout import seeded_generator
from metarl_lab.types import map_tensors

FAMILY = ml.make_family("tabular_mdp", states=3, actions=3, horizon=4)
SETTINGS = {"hidden": (5,), "output_gain": 2.0, "episodes": 4, "inner_step": 2.0, "later_inner_step": 1.0}


def tried(name: str = "promp", **options):
    """A learner in float64, what an update would act with it, and its batches with the policies that acted."""
    learner = ml.make_learner(name, FAMILY, **SETTINGS, **options)
    generator = seeded_generator("cpu", 3)
    acted, _ = inner_loop(learner, FAMILY, FAMILY.sample_tasks(3, "train", generator), 1, generator)
    learner = learner.double()
    acted = [map_tensors(lambda x: x.double() if x.is_floating_point() else x, e) for e in acted]
    batches = [learner.samples(e) for e in acted]
    return learner, acted, hold(learner.how, learner.meta_parameters(), batches)


def clear_gradient(learner, batches, inner_clip: float, clip: float, kl_weight: float) -> Tensor:
    """ProMP's gradient (Rothfuss et al. 2019, eqs. 13, 14), written out for one task after another."""
    theta = learner.network.parameters_by_name()
    total = 0.0

    def log_probs(own, batch, i):
        return functional_call(learner.network, own, (batch.observation[i],)).logits.log_softmax(-1)

    def clipped(own, batch, i, bound):
        """Mean over live steps of min(rho A, clip(rho) A), rho to what acted, held."""
        held = batch.acted.logits[i].log_softmax(-1)
        pick = batch.action[i].unsqueeze(-1)
        ratio = (log_probs(own, batch, i) - held).gather(-1, pick).squeeze(-1).exp()
        gain = batch.advantage[i].flatten()
        gains = torch.minimum(ratio * gain, ratio.clamp(1 - bound, 1 + bound) * gain)
        return gains.sum() / batch.mask[i].sum()

    pre, post = batches
    for i in range(len(pre.mask)):
        slopes = torch.autograd.grad(clipped(theta, pre, i, inner_clip), list(theta.values()), create_graph=True)
        adapted = {k: p + 2.0 * g for (k, p), g in zip(theta.items(), slopes, strict=True)}
        held, now = pre.acted.logits[i].log_softmax(-1), log_probs(theta, pre, i)
        kl = (held.exp() * (held - now)).sum(-1).mean()  # of the policy *before* adaptation
        total = total + clipped(adapted, post, i, clip) - kl_weight * kl
    return flatten(torch.autograd.grad(total / len(pre.mask), list(theta.values())))


@pytest.mark.parametrize("inner_clip", [0.05, 0.3])
def test_an_update_of_several_epochs_is_the_clear_form_with_the_acting_policies_held(monkeypatch, inner_clip):
    """Large steps, so that ratios leave both clips and the KL counts."""
    options = {"epochs": 4, "clip": 0.1, "inner_clip": inner_clip, "kl_weight": 0.7}
    learner, acted, batches = tried(**options)
    monkeypatch.setattr(promp, "inner_loop", lambda *_: (acted, batches))
    start = flatten(list(learner.parameters())).detach()
    learner.optimizer = torch.optim.SGD(learner.parameters(), lr=1.5)
    learner.update(FAMILY, None, None)
    got = flatten(list(learner.parameters())).detach() - start
    other, _, _ = tried(**options)
    ratios = []
    for _ in range(4):
        gradient = clear_gradient(other, batches, inner_clip, 0.1, 0.7)
        out = outer_objective(other.how, other.network.parameters_by_name(), batches, differentiate=False)
        new = other.how.policy(out.stages[0], batches[0].observation)
        ratios.append((new.logits.log_softmax(-1) - batches[0].acted.logits.log_softmax(-1)).exp())
        with torch.no_grad():
            position = flatten(list(other.parameters())) + 1.5 * gradient
            torch.nn.utils.vector_to_parameters(position, other.parameters())
    assert (ratios[-1] - 1).abs().max() > 0.3, "the inner clip is in reach"
    torch.testing.assert_close(got, flatten(list(other.parameters())).detach() - start)


def test_at_ratio_one_the_gradient_is_mamls_with_low_variance_curvature():
    learner, _, batches = tried(inner_clip=0.3)
    maml, _, _ = tried("maml", surrogate="lvc")
    (ours, _), (theirs, _) = (
        meta_gradient(one.how, one.meta_parameters(), [batches], clip, weight)
        for one, clip, weight in ((learner, 0.2, 5.0), (maml, None, 0.0))
    )
    torch.testing.assert_close(ours, theirs)
    naive, _, _ = tried("maml")
    other, _ = meta_gradient(naive.how, naive.meta_parameters(), [batches])
    assert (other - ours).abs().max() > 0.05 * ours.abs().max()


def test_the_inner_step_stops_at_its_clip():
    """Where every ratio is beyond the clip on the side that its advantage wants, nothing moves."""
    learner, _, (pre, post) = tried(inner_clip=0.2)
    chosen = torch.nn.functional.one_hot(pre.action, 3) * pre.advantage.sign().flatten(1).unsqueeze(-1)
    far = pre._replace(acted=type(pre.acted)(pre.acted.logits - 3.0 * chosen))  # now likelier, or less, than then
    for clip, moves in ((0.2, False), (0, True)):
        how = tried(inner_clip=clip)[0].how
        out = outer_objective(how, learner.meta_parameters(), [far, post])
        moved = max((out.stages[1][k] - out.stages[0][k]).abs().max().item() for k in out.stages[0])
        assert (moved > 1e-3) == moves and (moves or moved == 0)


@pytest.mark.parametrize(("moved", "factor"), [(0.016, 2.0), (0.014, 1.0), (0.0067, 1.0), (0.0066, 0.5)])
def test_the_kl_weight_doubles_and_halves_around_its_target(monkeypatch, moved, factor):
    learner, acted, batches = tried(kl_weight=0.125, kl_target=0.01)
    learner.kl_weight.fill_(2.0)  # it has risen before
    used = []

    def update(how, meta, parts, optimizer, epochs, clip, weight):
        used.append(weight)
        return {"loss": 0.0, "kl": 9.0, "inner_kl": moved}

    monkeypatch.setattr(promp, "inner_loop", lambda *_: (acted, batches))
    monkeypatch.setattr(promp, "gradient_update", update)
    for _ in range(2):
        assert learner.update(FAMILY, None, None).values["kl_weight"] == used[-1]
    assert used == [2.0, 2.0 * factor] and learner.kl_weight.item() == 2.0 * factor**2
    learner.kl_weight.fill_(0.125)
    learner.update(FAMILY, None, None)
    assert learner.kl_weight.item() == 0.125 * max(factor, 1.0)  # never below its start


def test_the_penalty_holds_the_policies_before_adaptation():
    def kls(weight: float) -> tuple[float, float]:
        learner, _, batches = tried(learning_rate=0.05)
        values = gradient_update(
            learner.how, learner.meta_parameters(), [batches], learner.optimizer, 30, 0.3, kl_weight=weight
        )
        return values["inner_kl"], values["kl"]

    free, held = kls(0.0), kls(50.0)
    assert held[0] < 0.1 * free[0] and free[0] > 0.01
