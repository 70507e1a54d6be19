"""GrBAL: what acts is the adapted model, and only this episode's steps adapt it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.learners.grbal import GrBAL, GrBALMemory
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import Seen

SMALL = {"hidden": (16,), "window": 4, "future": 2, "latent": 4, "candidates": 16, "elites": 4, "rounds": 2}


def made(name: str = "weakening_leg", horizon: int = 12, **options: Any) -> tuple[TaskFamily, GrBAL]:
    family = ml.make_family(name, horizon=horizon)
    learner = ml.make_learner("grbal", family, seed=0, **{**SMALL, **options})
    assert isinstance(learner, GrBAL)
    return family, learner


def walked(learner: GrBAL, family: TaskFamily, steps: int, copies: int = 2) -> tuple[GrBALMemory, Seen, list[Tensor]]:
    """The memory after acting ``steps`` steps of an episode of 3 tasks, what is seen next, and the observations."""
    tasks, g = family.sample_tasks(3, "train", seeded_generator("cpu", 1)), seeded_generator("cpu", 2)
    state = family.reset(tasks, torch.rand(3, copies, family.spec.reset_noise, generator=g))
    memory, shown = learner.begin(3, copies), []
    seen = Seen(
        family.observe(tasks, state), torch.zeros(3, copies, 4), torch.zeros(3, copies), torch.ones(3, copies) > 0, 0
    )
    for h in range(steps):
        shown.append(seen.observation)
        action, memory = learner.act(memory, seen, torch.rand(3, copies, learner.noise_size, generator=g))
        state, reward, _ = family.step(tasks, state, action, torch.zeros(3, copies, 0))
        seen = Seen(family.observe(tasks, state), action, reward, torch.zeros(3, copies) > 0, h + 1)
    return memory, seen, shown


def test_the_window_holds_the_last_steps_of_this_episode() -> None:
    family, learner = made()
    memory, seen, shown = walked(learner, family, 7)
    memory = learner.take_in(memory, seen)
    assert memory.recent.valid.all()
    for i in range(4):
        assert torch.equal(memory.recent.observation[:, :, i], shown[3 + i])
    assert torch.equal(memory.recent.after[:, :, 3], seen.observation)
    assert torch.equal(memory.recent.action[:, :, 3], seen.action)
    assert torch.equal(memory.recent.reward[:, :, 3], seen.reward)
    again = learner.take_in(memory, seen._replace(start=~seen.start))
    fresh = learner.begin(3, 2)
    assert not again.recent.valid.any()
    assert torch.equal(again.start.mean, fresh.start.mean) and not torch.equal(memory.start.mean, fresh.start.mean)


def test_a_new_episode_acts_as_a_new_trial_does() -> None:
    for form in ("gradient", "recurrent"):
        family, learner = made(form=form)
        memory, seen, _ = walked(learner, family, 7)
        start, noise = seen._replace(start=~seen.start), torch.rand(3, 2, learner.noise_size)
        old, _ = learner.act(memory, start, noise)
        new, _ = learner.act(learner.begin(3, 2), start, noise)
        assert torch.equal(old, new)


@pytest.mark.parametrize(("form", "changes"), [("gradient", True), ("recurrent", True), ("none", False)])
@pytest.mark.parametrize("planner", ["cem", "random_shooting"])
def test_plans_use_what_was_adapted(form: str, changes: bool, planner: str) -> None:
    family, learner = made(form=form, planner=planner, inner_step=1.0, window=6)
    learner.update(family, family.sample_tasks(10, "train", seeded_generator("cpu", 4)), seeded_generator("cpu", 5))
    memory, seen, _ = walked(learner, family, 5)
    other = memory._replace(
        recent=memory.recent._replace(reward=memory.recent.reward + 5), latent=memory.latent + 0.5 * (form != "none")
    )
    key = torch.rand(3, 2, 2)
    values = [learner.plan(learner.take_in(m, seen), key).value for m in (memory, other)]
    assert bool((values[0] != values[1]).all()) is changes


def test_each_copy_adapts_to_its_own_window() -> None:
    family, learner = made()
    memory, seen, _ = walked(learner, family, 6)
    memory = learner.take_in(memory, seen)
    rows = memory.recent.rows()
    whole = learner.dynamics.adapt(rows, rows["valid"])
    for b in range(6):
        alone = learner.dynamics.adapt({k: x[b : b + 1] for k, x in rows.items()}, rows["valid"][b : b + 1])
        for k, w in whole.items():
            torch.testing.assert_close(w[b], alone[k][0])


def test_the_first_iterations_act_at_random_and_the_model_learns_to_adapt() -> None:
    family, learner = made(
        horizon=30, hidden=(32,), window=8, future=4, random_iterations=2, gradient_steps=60, inner_step=0.3
    )
    g, seen = seeded_generator("cpu", 6), []
    for _ in range(4):
        seen.append(learner.update(family, family.sample_tasks(10, "train", g), g).values)
    tasks = family.sample_tasks(20, "test", g)
    random = ml.make_reference("random", family)
    floor = collect(random, family, tasks, begin(random, family, tasks), g)[0].returns.mean().item()
    assert seen[0]["return"] < floor + 15 and seen[1]["return"] < floor + 15  # a sound plan earns far more
    assert seen[3]["return"] > floor + 15
    assert seen[3]["error_after"] < 0.5 * seen[0]["error_after"]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="'cem' or 'random_shooting'"):
        made(planner="ilqr")
    with pytest.raises(ValueError, match="'gradient', 'recurrent', 'none'"):
        made(form="both")
    with pytest.raises(ValueError, match="window=0"):
        made(window=0)
