"""Imagined tasks: a perfect model's episodes are the real ones, and what a model says is taken as it was said."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from metarl_lab.nets.dynamics import Imagined
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.imagined import ImaginedFamily, ImaginedTasks
from metarl_lab.tasks.pendulum import Pendulum, PendulumState, PendulumTasks
from metarl_lab.tasks.point_navigation import NavigationState, NavigationTasks, PointNavigation
from metarl_lab.types import Episodes, Seen, Spec


class Tape:
    """An agent that plays given actions (T, E, H, A)."""

    shares_memory, noise_size = True, 0

    def __init__(self, actions: Tensor) -> None:
        self.actions = actions

    def begin(self, n_tasks: int, copies: int) -> Any:
        return ()

    def act(self, memory: Any, seen: Seen, noise: Tensor) -> tuple[Tensor, Any]:
        return self.actions[:, :, seen.step], memory

    def absorb(self, memory: Any, episodes: Episodes) -> Any:
        return memory


class Navigating:
    """The true dynamics of point navigation, as a model; its weights are the goals."""

    def __init__(self, family: PointNavigation) -> None:
        self.family = family

    def predict(self, observation: Tensor, action: Tensor, weights: Any = None) -> Imagined:
        state, reward, over = self.family.step(
            NavigationTasks(weights["goal"]), NavigationState(observation), action, action
        )
        return Imagined(state.position, reward, 1 - over.float())


class Swinging:
    """The true dynamics of the pendulum, as a model; its weights are the physics."""

    def predict(self, observation: Tensor, action: Tensor, weights: Any = None) -> Imagined:
        cos, sin, speed = observation.unbind(-1)
        tasks, state = PendulumTasks(**weights), PendulumState(torch.stack((torch.atan2(sin, cos), speed), -1))
        after, reward, _ = Pendulum().step(tasks, state, action, action)
        return Imagined(Pendulum().observe(tasks, after), reward, torch.ones_like(reward))


def replayed(family: Any, model: Any) -> tuple[Episodes, Episodes]:
    """The same actions in five real tasks and in the model; every copy starts where the real one did."""
    tasks = family.sample_tasks(5, "train", seeded_generator("cpu", 1))
    high = float(family.spec.action_space.high[0])
    draw = torch.rand(5, 3, family.spec.horizon, family.spec.action_size, generator=seeded_generator("cpu", 2))
    actions = 1.5 * high * (2 * draw - 1)  # beyond the box now and then
    agent = Tape(actions)
    real, _ = collect(agent, family, tasks, begin(agent, family, tasks, 3), seeded_generator("cpu", 3))
    made, imagined = ImaginedFamily(model, family.spec), []
    for e in range(3):
        agent, told = Tape(actions[:, e : e + 1]), ImaginedTasks(real.observation[:, e, :, 0], tasks._asdict())
        imagined.append(collect(agent, made, told, begin(agent, made, told), seeded_generator("cpu", 4))[0])
    both = [torch.cat([getattr(i, name) for i in imagined], 1) for name in Episodes._fields[:-1]]
    return real, Episodes(*both, before=real.before)


def test_a_perfect_model_imagines_the_real_episodes_terminations_included() -> None:
    family = PointNavigation(horizon=30, tolerance=0.3)
    real, imagined = replayed(family, Navigating(family))
    assert real.terminated.any() and real.truncated.any()
    for name in ("reward", "terminated", "truncated", "mask", "final_observation"):
        assert torch.equal(getattr(imagined, name), getattr(real, name)), name
    assert torch.equal(imagined.observation[real.mask], real.observation[real.mask])


def test_a_perfect_model_of_the_pendulum_too() -> None:
    real, imagined = replayed(Pendulum(horizon=25), Swinging())
    torch.testing.assert_close(imagined.observation, real.observation, atol=1e-4, rtol=0)
    torch.testing.assert_close(imagined.reward, real.reward, atol=1e-3, rtol=0)


class Telling:
    """A model that says the same of every step, and notes what it was asked."""

    def __init__(self, observation: float, live: float) -> None:
        self.observation, self.live = observation, live
        self.asked: list[Tensor] = []

    def predict(self, observation: Tensor, action: Tensor, weights: Any = None) -> Imagined:
        self.asked.append(action)
        ones = torch.ones(observation.shape[:2])
        return Imagined(torch.full_like(observation, self.observation), -ones, self.live * ones)


def boxes(terminates: bool) -> Spec:
    return Spec(
        gym.spaces.Box(-2, 3, (2,), np.float32), gym.spaces.Box(-0.5, 0.1, (1,), np.float32), 4, terminates=terminates
    )


def test_actions_and_observations_stay_in_their_boxes() -> None:
    model = Telling(7.0, 1.0)
    made, tasks = ImaginedFamily(model, boxes(False)), ImaginedTasks(torch.zeros(1, 1, 2), {})
    agent = Tape(torch.tensor([-9.0, 9.0, 0.05, -0.05]).view(1, 1, 4, 1))
    acted, _ = collect(agent, made, tasks, begin(agent, made, tasks), seeded_generator("cpu", 0))
    torch.testing.assert_close(torch.cat(model.asked).flatten(), torch.tensor([-0.5, 0.1, 0.05, -0.05]))
    assert (acted.observation[..., 1:, :] == 3).all() and (acted.final_observation == 3).all()


@pytest.mark.parametrize("live", [0.0, 0.8, 1.0])
def test_episodes_go_on_with_the_probability_that_the_model_says(live: float) -> None:
    made, tasks = ImaginedFamily(Telling(0.0, live), boxes(True)), ImaginedTasks(torch.zeros(1, 1, 2), {})
    agent = Tape(torch.zeros(1, 4000, 4, 1))
    acted, _ = collect(agent, made, tasks, begin(agent, made, tasks, 4000), seeded_generator("cpu", 0))
    lasted = acted.mask.sum(-1).float()
    assert lasted.mean().item() == pytest.approx(sum(live**k for k in range(4)), abs=0.08)
    assert acted.truncated.any(-1).float().mean().item() == pytest.approx(live**4, abs=0.04)


def test_episodes_begin_where_the_tasks_own_did_each_as_often() -> None:
    made = ImaginedFamily(Telling(0.0, 1.0), boxes(False))
    start = torch.arange(12.0).view(2, 3, 2)
    begun = made.reset(ImaginedTasks(start, {}), torch.rand(2, 9000, 1, generator=seeded_generator("cpu", 0)))
    for t in range(2):
        rows, counts = begun.observation[t].unique(dim=0, return_counts=True)
        assert torch.equal(rows, start[t]) and (counts > 2800).all()
    last = made.reset(ImaginedTasks(start, {}), torch.full((2, 1, 1), 1 - 2**-24))
    assert torch.equal(last.observation[:, 0], start[:, 2])


def test_its_tasks_are_not_drawn() -> None:
    with pytest.raises(ValueError, match="build ImaginedTasks"):
        ImaginedFamily(Telling(0.0, 1.0), boxes(False)).sample_tasks(1, "train", seeded_generator("cpu", 0))
