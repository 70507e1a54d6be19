"""Pendulum: Gymnasium's step for step at any physics, tasks that can be swung up, and halves that no policy serves."""

from __future__ import annotations

import itertools
import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from pendulum_grid import grid_values
from torch import Tensor

import metarl_lab as ml
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.pendulum import Pendulum, PendulumState, PendulumTasks

FAMILY = Pendulum()
NOTHING = torch.zeros(1, 1, 0)
STANDARD = torch.tensor([10.0, 1.0, 1.0])


def gymnasium_with(tasks: PendulumTasks, t: int) -> Any:
    """Gymnasium's Pendulum-v1 with the physics of one task, without its time limit."""
    env: Any = gym.make("Pendulum-v1").unwrapped
    env.g, env.m, env.l = (float(x[t]) for x in tasks[:3])
    return env


def theirs(env: Any, start: Tensor, actions: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Observations (H, 3) after each step, and rewards (H,). actions (H, 1)."""
    env.reset(seed=0)
    env.state = start.double().numpy()
    seen, rewards = [], []
    for action in actions.numpy():
        observation, reward, terminated, truncated, _ = env.step(action)
        assert not (terminated or truncated)
        seen.append(observation)
        rewards.append(reward)
    return np.array(seen), np.array(rewards)


def ours(tasks: PendulumTasks, start: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
    """Observations (T, E, H, 3) after each step, and rewards (T, E, H). actions (T, E, H, 1)."""
    state, seen, rewards = PendulumState(start), [], []
    for h in range(actions.shape[2]):
        state, reward, terminated = FAMILY.step(tasks, state, actions[:, :, h], NOTHING)
        assert not terminated.any()
        seen.append(FAMILY.observe(tasks, state))
        rewards.append(reward)
    return torch.stack(seen, 2), torch.stack(rewards, 2)


@pytest.mark.parametrize("physics", ["standard", "train", "ood"])
def test_random_episodes_are_gymnasiums_step_for_step(physics: str) -> None:
    chance = seeded_generator("cpu", 11)
    standard = physics == "standard"
    tasks = FAMILY.standard_tasks(10) if standard else FAMILY.sample_tasks(10, physics, chance)
    start = FAMILY.reset(tasks, torch.rand(10, 3, 2, generator=chance)).motion
    # beyond the box too, so that the clip and its cost count; long pushes, so that some rods turn over
    actions = torch.empty(10, 3, 25, 1).uniform_(-3, 3, generator=chance).repeat_interleave(4, 2)
    seen, rewards = ours(tasks, start, actions)
    assert (seen[..., 0] > 0.5).any() and (seen[..., 2].abs() > 7).any()
    for t, e in itertools.product(range(10), range(3)):
        env = gym.make("Pendulum-v1").unwrapped if standard else gymnasium_with(tasks, t)
        observation, reward = theirs(env, start[t, e], tasks.direction[t] * actions[t, e])
        np.testing.assert_allclose(seen[t, e], observation, atol=2e-3)  # float32 beside float64, near the top unstable
        np.testing.assert_allclose(rewards[t, e], reward, atol=1e-2)


def test_long_episodes_are_gymnasiums_to_the_last_digits() -> None:
    """In float64, where a wrapped angle and one that counts its turns must still agree after many turns."""
    tasks = PendulumTasks(*torch.tensor([[10.0, 1.0, 1.0, 1.0]], dtype=torch.float64).T)
    start = torch.tensor([[[3.0, 7.5]]], dtype=torch.float64)
    actions = torch.full((1, 1, 400, 1), 2.0, dtype=torch.float64)
    seen, rewards = ours(tasks, start, actions)
    observation, reward = theirs(gym.make("Pendulum-v1").unwrapped, start[0, 0], actions[0, 0])
    np.testing.assert_allclose(rewards[0, 0], reward, atol=1e-7)
    np.testing.assert_allclose(seen[0, 0], observation, atol=1e-6)  # theirs are rounded to float32
    assert (seen[0, 0, 1:, 0] * seen[0, 0, :-1, 0] < 0).sum() > 20


def test_a_step_by_hand() -> None:
    """At rest, level: 3 g / (2 l) down, and a torque of 2 N m pays 0.004; the angle moves by the new speed."""
    tasks = PendulumTasks(*torch.tensor([[8.0, 2.0, 0.5, -1.0]]).T)
    state, reward, _ = FAMILY.step(
        tasks, PendulumState(torch.tensor([[[math.pi / 2, 0.0]]])), torch.full((1, 1, 1), 5.0), NOTHING
    )
    speed = 0.05 * (3 * 8 / (2 * 0.5) - 3 / (2 * 0.25) * 2)
    torch.testing.assert_close(state.motion, torch.tensor([[[math.pi / 2 + 0.05 * speed, speed]]]))
    torch.testing.assert_close(reward, torch.tensor([[-((math.pi / 2) ** 2) - 0.004]]))


def test_every_corner_of_physics_can_be_swung_up() -> None:
    """Hanging for 200 steps costs 1974. Best play from rest is up before half of the episode is over."""
    corners = torch.tensor(list(itertools.product((1 / 1.3, 1.3), repeat=3))) * STANDARD
    best = grid_values(PendulumTasks(*corners.T, direction=torch.ones(8)), 40, 41, 5)
    assert best[:, 0, 20].min() > -800
    assert best[:, 20, 20].max() > -1


def test_what_swings_up_one_half_brings_the_other_to_rest() -> None:
    tasks = FAMILY.sample_tasks(100, "test", seeded_generator("cpu", 4))
    mistaken = tasks._replace(direction=-tasks.direction)
    agent = ml.make_reference("swing_up", FAMILY)
    up, returns = [], []
    for believed in (tasks, mistaken):
        episodes, _ = collect(agent, FAMILY, tasks, begin(agent, FAMILY, believed, 4), seeded_generator("cpu", 5))
        up.append((episodes.final_observation[..., 0] > 0.9).float().mean())
        returns.append(episodes.returns.mean())
    random = ml.evaluate(ml.make_reference("random", FAMILY), FAMILY, tasks=tasks).mean[0]
    assert up[0] > 0.95 and up[1] < 0.02
    assert returns[1] < random - 300 and random == pytest.approx(-1240, abs=60)


def test_tasks_are_where_the_docstring_says() -> None:
    factors = {}
    for split in ("train", "test", "ood"):
        tasks = torch.stack(FAMILY.sample_tasks(4000, split, seeded_generator("cpu", 3)), 1)
        assert set(tasks[:, 3].tolist()) == {-1.0, 1.0} and abs(tasks[:, 3].mean().item()) < 0.08
        factors[split] = (tasks[:, :3] / STANDARD).log()
    for split in ("train", "test"):  # log-uniform within a factor of 1.2
        assert factors[split].abs().max() <= math.log(1.2) + 1e-6
        torch.testing.assert_close(factors[split].mean(0), torch.zeros(3), atol=0.01, rtol=0)
        torch.testing.assert_close(factors[split].std(0), torch.full((3,), math.log(1.2) / 3**0.5), atol=3e-3, rtol=0)
    distance = factors["ood"].abs()
    assert distance.min() >= math.log(1.2) - 1e-6 and distance.max() <= math.log(1.3) + 1e-6
    assert (factors["ood"] > 0).float().mean(0).sub(0.5).abs().max() < 0.04
    plain = Pendulum(flip=False).sample_tasks(50, "train", seeded_generator("cpu", 3))
    assert (plain.direction == 1).all()


def test_starts_fill_the_circle() -> None:
    ends = FAMILY.reset(FAMILY.standard_tasks(), torch.tensor([[[0.0, 1.0], [0.75, 0.25]]])).motion
    torch.testing.assert_close(ends, torch.tensor([[[-math.pi, 1.0], [math.pi / 2, -0.5]]]))


def test_the_state_behind_an_observation() -> None:
    tasks = FAMILY.standard_tasks(3)
    state = FAMILY.reset(tasks, torch.rand(3, 50, 2, generator=seeded_generator("cpu", 1)))
    behind = FAMILY.state_of(tasks, FAMILY.observe(tasks, state), 0)
    torch.testing.assert_close(behind.motion, state.motion, atol=2e-6, rtol=1e-6)


def test_an_episode_lasts_the_horizon_and_pays_every_step() -> None:
    tasks = FAMILY.standard_tasks(4)
    agent = ml.make_reference("random", FAMILY)
    episodes, _ = collect(agent, FAMILY, tasks, begin(agent, FAMILY, tasks, 2), seeded_generator("cpu", 1))
    assert episodes.mask.all() and episodes.truncated[..., -1].all() and episodes.mask.shape[-1] == 200
    cos, sin, speed = episodes.observation.unbind(-1)
    cost = torch.atan2(sin, cos) ** 2 + 0.1 * speed**2 + 0.001 * episodes.action[..., 0].clamp(-2, 2) ** 2
    torch.testing.assert_close(episodes.reward, -cost, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"spread": 1.0}, {"ood_spread": 1.4}, {"spread": 1.3, "ood_spread": 1.2}])
def test_spreads_that_leave_rods_hanging_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="1 < spread < ood_spread <= 1.3"):
        ml.make_family("pendulum", **wrong)
    with pytest.raises(ValueError, match="horizon=0"):
        ml.make_family("pendulum", horizon=0)
