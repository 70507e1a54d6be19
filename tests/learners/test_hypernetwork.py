"""The hypernetwork: what its context reads, what each batch does to memory, and its gradient against differences."""

from __future__ import annotations

import pytest
import torch

import metarl_lab as ml
from metarl_lab.inner_loop import inner_loop
from metarl_lab.ops.inner_step import Adapted
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.types import map_tensors

NAVIGATION = ml.make_family("point_navigation", horizon=12, tolerance=0.3)  # some copies arrive, some do not
MDP = ml.make_family("tabular_mdp", states=3, actions=2, horizon=4)
SMALL = {"hidden": (6,), "context": 3, "units": 5, "episodes": 4}


def tried(family, **options):
    """A learner whose contexts matter, its trial after one batch on 4 tasks, and the batch."""
    learner = ml.make_learner("hypernetwork", family, **SMALL, **options)
    with torch.no_grad():
        learner.generator[-1].weight.mul_(3)
    generator = seeded_generator("cpu", 0)
    tasks = family.sample_tasks(4, "train", generator)
    episodes, trial = collect(learner, family, tasks, begin(learner, family, tasks, 4), generator)
    return learner, trial.memory, episodes


def furthest(a: Adapted, b: Adapted) -> float:
    return max((a.parameters[k] - p).abs().max().item() for k, p in b.parameters.items())


def test_the_context_is_a_mean_over_live_steps_in_any_order():
    learner, memory, episodes = tried(NAVIGATION)
    assert not episodes.mask.all()
    generated = learner.absorb(memory, episodes)
    shuffled = type(episodes)(*(x[:, [2, 0, 3, 1]] for x in episodes[:-1]), episodes.before)
    assert furthest(generated, learner.absorb(memory, shuffled)) < 1e-5
    live = episodes.mask
    spoiled = episodes._replace(
        observation=torch.where(live.unsqueeze(-1), episodes.observation, 7.0),
        action=torch.where(live.unsqueeze(-1), episodes.action, -3.0),
    )
    assert furthest(generated, learner.absorb(memory, spoiled)) < 1e-5
    assert furthest(generated, learner.absorb(memory, episodes._replace(reward=2 * episodes.reward))) > 1e-3
    # by hand, for the first task
    rows = [r for r, m in zip(learner.transitions(episodes)[0], live[0].flatten(), strict=True) if m]
    by_hand = torch.stack([learner.encoder(r) for r in rows]).mean(0)
    context = learner.encode(learner.transitions(episodes), learner.samples(episodes).mask)
    torch.testing.assert_close(context[0], by_hand)


def test_a_transition_ends_where_the_step_led():
    learner, _, episodes = tried(NAVIGATION)
    rows = learner.transitions(episodes).view(*episodes.mask.shape, 7)
    here, action, reward, after = rows.split([2, 2, 1, 2], -1)
    live = episodes.mask.unsqueeze(-1)
    # the action in units of the box: a step of the point is at most 0.1
    torch.testing.assert_close((here + 0.1 * action.clamp(-1, 1)) * live, after * live)
    assert torch.equal(reward.squeeze(-1), episodes.reward)


@pytest.mark.parametrize("family", [NAVIGATION, MDP], ids=["box", "discrete"])
def test_the_first_batch_generates_and_the_later_ones_are_policy_gradient_steps(family):
    learner, memory, episodes = tried(family, inner_step=0.5, later_inner_step=0.2)
    first = learner.absorb(memory, episodes)
    generated = learner.generate(learner.encode(learner.transitions(episodes), learner.samples(episodes).mask))
    assert furthest(first, Adapted({k: p.detach() for k, p in generated.items()}, first.absorbed)) < 1e-6
    maml = ml.make_learner("maml", family, hidden=(6,), inner_step=0.5, later_inner_step=0.2)
    second, third = (
        learner.absorb(first, episodes),
        learner.absorb(first._replace(absorbed=first.absorbed + 1), episodes),
    )
    assert furthest(second, maml.absorb(first._replace(absorbed=0 * first.absorbed), episodes)) < 1e-6
    assert furthest(third, maml.absorb(first, episodes)) < 1e-6 < furthest(second, third)


@pytest.mark.parametrize("surrogate", ["naive", "dice"])
@pytest.mark.parametrize("family", [NAVIGATION, MDP], ids=["box", "discrete"])
def test_the_gradient_is_that_of_all_stages_through_encoder_generator_and_inner_steps(family, surrogate):
    learner = tried(family, inner_steps=2, clip=10.0, surrogate=surrogate)[0]
    generator = seeded_generator("cpu", 2)
    acted, batches = inner_loop(learner, family, family.sample_tasks(3, "train", generator), 3, generator)
    kl = learner.objective(learner.transitions(acted[0]), batches)[1]
    assert kl.max() < 1e-6, "before an update every stage is the policy that acted"
    learner = learner.double()
    acted = [map_tensors(lambda x: x.double() if x.is_floating_point() else x, e) for e in acted]
    rows, drawn = learner.transitions(acted[0]), [b.acted for b in batches]
    batches = [
        learner.samples(e)._replace(acted=type(d)(*(x.double() for x in d))) for e, d in zip(acted, drawn, strict=True)
    ]
    leaves = list(learner.parameters())
    torch.manual_seed(0)
    direction = [torch.randn_like(p) for p in leaves]

    def slope(of: torch.Tensor) -> float:
        found = torch.autograd.grad(of, leaves, materialize_grads=True)
        return float(sum((g * d).sum() for g, d in zip(found, direction, strict=True)))

    def moved(size: float) -> float:
        with torch.no_grad():
            for p, d in zip(leaves, direction, strict=True):
                p += size * d
        value = learner.objective(rows, batches)[0].sum().item()
        with torch.no_grad():
            for p, d in zip(leaves, direction, strict=True):
                p -= size * d
        return value

    full = slope(learner.objective(rows, batches)[0].sum())
    assert full == pytest.approx((moved(1e-5) - moved(-1e-5)) / 2e-5, rel=1e-4)
    # every stage counts, the first one at the empty context too
    silent = [b._replace(advantage=0 * b.advantage) for b in batches]
    for k in range(4):
        one = [b if i == k else s for i, (b, s) in enumerate(zip(batches, silent, strict=True))]
        assert abs(slope(learner.objective(rows, one)[0].sum())) > 1e-6
    learner.how = learner.how._replace(first_order=True)
    assert slope(learner.objective(rows, batches)[0].sum()) != pytest.approx(full, rel=1e-3)


def test_meta_training_improves_the_return_and_the_policy_can_be_taken_out():
    family = ml.make_family("point_navigation", horizon=20)
    learner = ml.make_learner("hypernetwork", family, hidden=(32,), meta_batch=10, episodes=10, epochs=5)
    run = ml.train(learner, family, iterations=12, device="cpu", progress=False)
    first, last = (sum(row["return"] for row in rows) / 3 for rows in (run.rows[:3], run.rows[-3:]))
    assert last > first + 1, (first, last)
    assert {"return_before", "return_generated", "loss", "kl"} <= run.rows[0].keys()
    learner, memory, episodes = tried(NAVIGATION)
    memory = learner.absorb(memory, episodes)
    seen = episodes.observation.flatten(1, 3)
    alone = learner.policy(memory, task=3)(seen[3])
    torch.testing.assert_close(alone.mean, learner.how.policy(memory.parameters, seen).mean[3])
    with pytest.raises(IndexError, match="task=4 is not in this memory; give 0 to 3"):
        learner.policy(memory, task=4)


def test_without_inner_steps_the_generator_alone_is_trained():
    learner = ml.make_learner("hypernetwork", MDP, **SMALL, inner_steps=0)
    generator = seeded_generator("cpu", 1)
    metrics = learner.update(MDP, MDP.sample_tasks(3, "train", generator), generator)
    assert metrics.values["env_steps"] == 2 * 3 * 4 * 4
    assert metrics.values["return"] == pytest.approx(metrics.values["return_generated"])
    with pytest.raises(ValueError, match="inner_steps=-1 is not allowed"):
        ml.make_learner("hypernetwork", MDP, inner_steps=-1)
