"""The walker: its physics by hand, when and what weakens, and what knowing it is worth."""

from __future__ import annotations

import math

import pytest
import torch

from metarl_lab.references.model_predictive import ModelPredictive
from metarl_lab.references.random import Random
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.weakening_leg import WeakeningLeg, WeakeningLegState, WeakeningLegTasks

FAMILY = WeakeningLeg()
SOUND = WeakeningLegTasks(torch.ones(1, 4), torch.tensor([100]), torch.tensor([5.0]), torch.tensor([1.0]))


def state(*motion: float, step: int = 0) -> WeakeningLegState:
    return WeakeningLegState(torch.tensor([[motion]]), torch.tensor([[step]]))


def stepped(now: WeakeningLegState, *action: float, tasks: WeakeningLegTasks = SOUND) -> tuple[list[float], float]:
    after, reward, terminated = FAMILY.step(
        tasks, now, torch.tensor([[action]], dtype=torch.float32), torch.zeros(1, 1, 0)
    )
    assert not terminated.any() and after.step.item() == now.step.item() + 1
    return after.motion[0, 0].tolist(), reward.item()


def test_one_step_by_hand() -> None:
    # front left alone at half push: 3 N, 45 degrees to the right of where it looks, here 0.5 rad to the left
    push, angle = 3.0, 0.5 - math.pi / 4
    inertia = 5 * (0.25**2 + 0.2**2) / 3
    torque = -3 * math.sqrt(0.5) * (0.25 + 0.2)  # ahead of and to the left of the centre, pushing ahead and right
    rate = (0.3 + 0.2 * torque / inertia) / (1 + 0.2 * 0.5 / inertia)
    along = (1.0 + 0.2 * push * math.cos(angle) / 5) / (1 + 0.2 * 4 / 5)
    across = (-0.4 + 0.2 * push * math.sin(angle) / 5) / (1 + 0.2 * 4 / 5)
    heading = 0.5 + 0.2 * rate
    motion, reward = stepped(state(1.0, -0.4, 0.5, 0.3), 0.5, 0, 0, 0)
    assert motion == pytest.approx([along, across, heading, rate], rel=1e-5)
    assert reward == pytest.approx(along - 2 * across**2 - 2 * (1 - math.cos(heading)), rel=1e-5)


@pytest.mark.parametrize(
    ("action", "moves"),
    [((1, 1, 1, 1), (0,)), ((-1, 1, 1, -1), (1,)), ((-1, 1, -1, 1), (2, 3)), ((1, 1, -1, -1), ())],
)
def test_legs_together_drive_one_motion_each(action: tuple[float, ...], moves: tuple[int, ...]) -> None:
    motion, _ = stepped(state(0, 0, 0, 0), *action)
    assert {i for i, x in enumerate(motion) if abs(x) > 1e-6} == set(moves)
    assert all(motion[i] > 0 for i in moves)


def test_a_leg_weakens_at_its_step_and_its_neighbour_can_make_up_for_it() -> None:
    weak = SOUND._replace(strength=torch.tensor([[0.25, 1, 1, 1]]), onset=torch.tensor([30]))
    now = (0.0, 0.0, 0.0, 0.0)
    assert stepped(state(*now, step=29), 1, 1, 1, 1, tasks=weak) == stepped(state(*now), 1, 1, 1, 1)
    bent, _ = stepped(state(*now, step=30), 1, 1, 1, 1, tasks=weak)
    assert bent[3] > 0.5  # turns to the left, where the weak leg pushed away from
    straight, _ = stepped(state(*now, step=30), 1, 0.25, 1, 1, tasks=weak)
    assert straight[0] > 0 and all(abs(x) < 1e-6 for x in straight[1:])


def test_the_state_behind_an_observation() -> None:
    now = WeakeningLegState(torch.randn(3, 2, 4), torch.full((3, 2), 7))
    tasks = FAMILY.sample_tasks(3, "train", seeded_generator("cpu", 1))
    back = FAMILY.state_of(tasks, FAMILY.observe(tasks, now), 7)
    torch.testing.assert_close(back.motion, now.motion)
    assert torch.equal(back.step, now.step)


def test_what_is_drawn() -> None:
    for split in ("train", "test"):
        tasks = FAMILY.sample_tasks(4000, split, seeded_generator("cpu", 2))
        never = tasks.onset == 100
        assert never.float().mean() == pytest.approx(0.25, abs=0.03)
        assert tasks.onset[~never].min() >= 20 and tasks.onset[~never].max() < 60
        weak = tasks.strength < 1
        assert (weak.sum(1) == 1).all() and torch.allclose(weak.float().mean(0), torch.tensor(0.25), atol=0.03)
        assert tasks.strength.min() > 0 and tasks.strength[weak].max() < 0.3
        assert tasks.mass.min() >= 4 and tasks.mass.max() <= 6
    ood = FAMILY.sample_tasks(4000, "ood", seeded_generator("cpu", 2))
    weak = ood.strength < 1
    assert set(weak.sum(1).tolist()) == {1, 2}
    assert (ood.strength[weak.sum(1) == 1].amin(1) == 0).all()  # one that fails, fails wholly
    assert all(row in ([0, 2], [1, 3]) for row in [r.nonzero().flatten().tolist() for r in weak if r.sum() == 2])
    assert ((ood.mass < 4) | (ood.mass > 6)).all() and ((ood.friction < 0.8) | (ood.friction > 1.2)).all()


def test_knowing_the_task_pays() -> None:
    tasks = FAMILY.sample_tasks(8, "test", seeded_generator("cpu", 3))
    tasks = tasks._replace(onset=tasks.onset.clamp_max(59))  # all weaken
    planner = ModelPredictive(FAMILY, candidates=64, rounds=4)
    told = begin(planner, FAMILY, tasks)
    wrong = told._replace(memory=tasks._replace(onset=torch.full_like(tasks.onset, 100)))  # believes all legs sound
    score = [collect(planner, FAMILY, tasks, t, seeded_generator("cpu", 4))[0].returns.mean() for t in (told, wrong)]
    random = Random(FAMILY)
    floor = collect(random, FAMILY, tasks, begin(random, FAMILY, tasks), seeded_generator("cpu", 4))[0].returns.mean()
    assert score[0] > score[1] + 8 > floor
