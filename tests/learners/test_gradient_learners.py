"""MAML, fine-tuning and training from scratch as learners: what adaptation reads, and that meta-training works."""

from __future__ import annotations

import pytest
import torch

import metarl_lab as ml
from metarl_lab import inner_loop
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.types import map_tensors

NAMES = ("maml", "finetune", "scratch")
FAMILY = ml.make_family("point_navigation", horizon=20)
BANDIT = ml.make_family("bernoulli_bandit", arms=3, horizon=5)


def tried(name: str, family, copies: int = 6, **options):
    """A learner, its trial after one batch on 4 tasks, and the batch."""
    learner = ml.make_learner(name, family, hidden=(8,), **options)
    generator = seeded_generator("cpu", 0)
    tasks = family.sample_tasks(4, "train", generator)
    episodes, trial = collect(learner, family, tasks, begin(learner, family, tasks, copies), generator)
    return learner, trial, episodes


@pytest.mark.parametrize("family", [FAMILY, BANDIT], ids=["box", "discrete"])
@pytest.mark.parametrize("name", NAMES)
def test_absorbing_moves_only_the_row_of_the_task_that_changed(name, family):
    learner, trial, episodes = tried(name, family)
    reward = episodes.reward.clone()
    reward[3] += torch.randn(reward[3].shape, generator=torch.Generator().manual_seed(1)) * episodes.mask[3]
    kept = map_tensors(lambda x: x.clone(), trial.memory)
    a, b = learner.absorb(trial.memory, episodes), learner.absorb(trial.memory, episodes._replace(reward=reward))
    for k in a.parameters:
        assert torch.equal(a.parameters[k][:3], b.parameters[k][:3])
        assert torch.equal(trial.memory.parameters[k], kept.parameters[k])
    assert any((a.parameters[k][3] != b.parameters[k][3]).any() for k in a.parameters)


@pytest.mark.parametrize("name", NAMES)
def test_absorbing_takes_the_first_step_size_then_the_later_one(name):
    learner, trial, episodes = tried(name, BANDIT, inner_step=0.4, later_inner_step=0.1)
    first = learner.absorb(trial.memory, episodes)
    later = learner.absorb(trial.memory._replace(absorbed=first.absorbed), episodes)
    for k, p in trial.memory.parameters.items():
        torch.testing.assert_close(first.parameters[k] - p, 4 * (later.parameters[k] - p), atol=1e-5, rtol=1e-3)


def test_finished_steps_do_not_reach_adaptation():
    learner, trial, episodes = tried("maml", ml.make_family("point_navigation", horizon=20, tolerance=0.3))
    assert not episodes.mask.all()
    spoiled = episodes._replace(
        observation=torch.where(episodes.mask.unsqueeze(-1), episodes.observation, 7.0),
        action=torch.where(episodes.mask.unsqueeze(-1), episodes.action, -3.0),
    )
    a, b = learner.absorb(trial.memory, episodes), learner.absorb(trial.memory, spoiled)
    for k in a.parameters:
        torch.testing.assert_close(a.parameters[k], b.parameters[k])


@pytest.mark.parametrize("name", NAMES)
def test_one_step_on_a_bandit_raises_the_chance_of_the_better_arm(name):
    """Ascent, not descent, and a baseline that is subtracted."""
    family = ml.make_family("bernoulli_bandit", arms=2, horizon=10)
    learner, trial, episodes = tried(name, family, copies=50)
    adapted = learner.absorb(trial.memory, episodes)
    observation = torch.ones(4, 1, 1)
    paid = [[episodes.reward[i][episodes.action[i] == arm].mean() for arm in (0, 1)] for i in range(4)]
    before, after = (
        learner.network.per_task(m.parameters, observation).logits.softmax(-1) for m in (trial.memory, adapted)
    )
    for i, (left, right) in enumerate(paid):
        best = int(right > left)
        assert after[i, 0, best] > before[i, 0, best]


def test_scratch_is_not_trained():
    learner = ml.make_learner("scratch", BANDIT)
    kept = {k: x.clone() for k, x in learner.state_dict().items()}
    generator = seeded_generator("cpu", 0)
    metrics = learner.update(BANDIT, BANDIT.sample_tasks(5, "train", generator), generator)
    assert all(torch.equal(x, kept[k]) for k, x in learner.state_dict().items())
    assert metrics.scores.shape == (5, 1) and metrics.values["env_steps"] == 5 * 20 * 5


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("maml", {}), ("maml", {"inner_steps": 2}), ("maml", {"first_order": True}),
        ("maml", {"outer": "ppo", "learning_rate": 5e-3}), ("finetune", {}),
    ],
)  # fmt: skip
def test_meta_training_improves_the_return(name, options):
    learner = ml.make_learner(name, FAMILY, hidden=(32,), meta_batch=10, episodes=10, max_kl=0.02, **options)
    run = ml.train(learner, FAMILY, iterations=12, device="cpu", progress=False)
    first, last = (sum(row["return"] for row in rows) / 3 for rows in (run.rows[:3], run.rows[-3:]))
    assert last > first + 0.5, (first, last)
    assert all(row["kl"] <= 0.02 * (1 + 1e-5) for row in run.rows) or options.get("outer") == "ppo"


def test_every_inner_step_of_an_update_reads_what_its_own_policy_acted(monkeypatch):
    learner, log = ml.make_learner("maml", BANDIT, inner_steps=2, meta_batch=3, episodes=4), []
    real_collect, real_outer = inner_loop.collect, inner_loop.trust_region_update

    def collected(agent, family, tasks, trial, generator):
        out = real_collect(agent, family, tasks, trial, generator)
        log.append((trial.memory, out[0]))
        return out

    def outer(how, meta, parts, **settings):
        batches = [torch.cat([part[k].action for part in parts]) for k in range(len(log))]
        assert [torch.equal(b, e.action.flatten(1)) for b, (_, e) in zip(batches, log, strict=True)] == [True] * 3
        return real_outer(how, meta, parts, **settings)

    monkeypatch.setattr(inner_loop, "collect", collected)
    monkeypatch.setattr(inner_loop, "trust_region_update", outer)
    tasks = BANDIT.sample_tasks(3, "train", seeded_generator("cpu", 0))
    learner.update(BANDIT, tasks, seeded_generator("cpu", 1))
    (start, first), (once, second), (twice, _) = log
    for expected, got in ((learner.absorb(start, first), once), (learner.absorb(once, second), twice)):
        for k in got.parameters:
            assert torch.equal(expected.parameters[k], got.parameters[k])


def test_options_are_checked():
    for options, message in [
        ({"outer": "sgd"}, "outer='sgd' is not known"),
        ({"surrogate": "exact"}, "surrogate 'exact' is not known"),
        ({"baseline": "neural"}, "baseline 'neural' is not known"),
        ({"inner_steps": 0}, "inner_steps=0 is not allowed"),
    ]:
        with pytest.raises(ValueError, match=message):
            ml.make_learner("maml", FAMILY, **options)
