"""Cart-pole: Gymnasium's step for step at any physics, a controller that never drops a pole, and tasks that differ."""

from __future__ import annotations

import itertools
import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.cartpole import CartPole, CartPoleState, CartPoleTasks

FAMILY = CartPole()
NOTHING = torch.zeros(1, 1, 0)
STANDARD = torch.tensor([9.8, 1.0, 0.1, 0.5, 10.0])


def gymnasium_with(tasks: CartPoleTasks, t: int) -> Any:
    """Gymnasium's CartPole-v1 with the physics of one task, without its time limit."""
    env: Any = gym.make("CartPole-v1").unwrapped
    env.gravity, env.masscart, env.masspole, env.length, env.force_mag = (float(x[t]) for x in tasks)
    env.total_mass, env.polemass_length = env.masscart + env.masspole, env.masspole * env.length
    return env


def theirs(env: Any, start: Tensor, actions: Tensor) -> tuple[np.ndarray, list[float]]:
    """States (steps, 4) and rewards of Gymnasium, until it says terminated or the actions run out."""
    env.reset()
    env.state = start.double().numpy()
    states, rewards = [], []
    for action in actions.tolist():
        _, reward, terminated, truncated, _ = env.step(action)
        assert not truncated
        states.append(env.state)
        rewards.append(reward)
        if terminated:
            break
    return np.array(states), rewards


def ours(tasks: CartPoleTasks, start: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """States (T, E, H, 4), rewards and terminations (T, E, H) of the family. actions (T, E, H)."""
    state, out = CartPoleState(start), []
    for h in range(actions.shape[-1]):
        state, reward, terminated = FAMILY.step(tasks, state, actions[..., h], NOTHING)
        out.append((state.motion, reward, terminated))
    motion, reward, terminated = zip(*out, strict=True)
    return torch.stack(motion, 2), torch.stack(reward, 2), torch.stack(terminated, 2)


@pytest.mark.parametrize("physics", ["standard", "train", "ood"])
def test_random_episodes_are_gymnasiums_step_for_step(physics: str) -> None:
    chance = seeded_generator("cpu", 11)
    standard = physics == "standard"
    tasks = FAMILY.standard_tasks(20) if standard else FAMILY.sample_tasks(20, physics, chance)
    start = FAMILY.reset(tasks, torch.rand(20, 10, 4, generator=chance)).motion
    actions = torch.randint(0, 2, (20, 10, 150), generator=chance)
    motion, reward, terminated = ours(tasks, start, actions)
    assert terminated[..., -1].all()
    for t, e in itertools.product(range(20), range(10)):
        env = (
            gym.make("CartPole-v1").unwrapped if standard else gymnasium_with(tasks, t)
        )  # as it comes, or with physics
        states, rewards = theirs(env, start[t, e], actions[t, e])
        n = len(states)
        # an error in the first step has grown about fiftyfold when the pole falls
        np.testing.assert_allclose(motion[t, e, :n], states, atol=2e-5)
        assert terminated[t, e].int().argmax() + 1 == n and rewards == reward[t, e, :n].tolist() == [1.0] * n


def test_long_episodes_are_gymnasiums_to_the_last_digits() -> None:
    """In float64, where five hundred steps leave room for no other integrator, constant or order of operations."""
    tasks = CartPoleTasks(*torch.tensor([[9.8, 1.0, 0.1, 0.5, 10.0]], dtype=torch.float64).T)
    start = torch.tensor([[[0.04, -0.03, 0.02, 0.05]]], dtype=torch.float64)
    state, actions = CartPoleState(start), []
    for h in range(500):
        actions.append(FAMILY.best_action(tasks, state.motion, h))
        state = FAMILY.step(tasks, state, actions[-1], NOTHING)[0]
    states, rewards = theirs(gym.make("CartPole-v1").unwrapped, start[0, 0], torch.stack(actions)[:, 0, 0])
    assert len(rewards) == 500
    np.testing.assert_allclose(state.motion[0, 0], states[-1], atol=1e-9)


@pytest.mark.parametrize(
    ("motion", "over"),
    [
        ((2.39, 0.0, 0.0, 0.0), False), ((2.39, 1.0, 0.0, 0.0), True), ((-2.39, -1.0, 0.0, 0.0), True),
        ((0.0, 0.0, 0.209, 0.0), False), ((0.0, 0.0, 0.209, 0.1), True), ((0.0, 0.0, -0.209, -0.1), True),
    ],
)  # fmt: skip
def test_thresholds(motion: tuple[float, ...], over: bool) -> None:
    """2.4 m, and 12 degrees = 0.2094 rad, either way; an explicit step moves by the *old* velocity, 0.02 s of it."""
    start = torch.tensor([[motion]])
    _, _, terminated = ours(FAMILY.standard_tasks(), start, torch.ones(1, 1, 1, dtype=torch.int64))
    assert terminated.item() is over


def test_an_episode_pays_its_length_and_the_horizon_truncates() -> None:
    family = CartPole(horizon=25)
    tasks = family.sample_tasks(100, "train", seeded_generator("cpu", 0))
    agent = ml.make_reference("random", family)
    episodes, _ = collect(agent, family, tasks, begin(agent, family, tasks, 4), seeded_generator("cpu", 1))
    motion, _, terminated = ours(tasks, episodes.observation[:, :, 0, 0], episodes.action[:, :, 0])
    fell = terminated.any(-1)
    length = torch.where(fell, terminated.int().argmax(-1) + 1, 25)  # the step that falls is paid
    assert fell.any() and not fell.all()
    torch.testing.assert_close(episodes.returns[..., 0], length.float())
    assert torch.equal(episodes.truncated.any(-1)[..., 0], ~fell)
    assert torch.equal(episodes.terminated.any(-1)[..., 0], fell)


def test_a_fallen_pole_stays_inside_the_observation_space() -> None:
    physics = torch.tensor(list(itertools.product((0.5, 1.0, 2.0), repeat=5))) * STANDARD
    actions = torch.ones(243, 8, 300, dtype=torch.int64)
    start = FAMILY.reset(CartPoleTasks(*physics.T), torch.rand(243, 8, 4, generator=seeded_generator("cpu", 2)))
    motion, _, terminated = ours(CartPoleTasks(*physics.T), start.motion, actions)
    high = torch.as_tensor(FAMILY.spec.observation_space.high)
    assert motion.isfinite().all() and (motion.abs() <= high).all()
    assert terminated[..., -1].all()


def balance(tasks: CartPoleTasks, motion: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Largest |x| (m) and |angle| (rad) under ``best_action``, each (T, E)."""
    state, x, angle = CartPoleState(motion), motion[..., 0].abs(), motion[..., 2].abs()
    for h in range(steps):
        state = FAMILY.step(tasks, state, FAMILY.best_action(tasks, state.motion, h), NOTHING)[0]
        x, angle = x.maximum(state.motion[..., 0].abs()), angle.maximum(state.motion[..., 2].abs())
    return x, angle


@pytest.mark.parametrize("sign", [1, -1])
def test_the_feedback_balances_the_corners_of_physics_from_the_corners_of_the_start(sign: int) -> None:
    """Every quantity halved, standard or doubled (243), every corner of the start box (16): half of each threshold."""
    physics = torch.tensor(list(itertools.product((0.5, 1.0, 2.0), repeat=5))) * STANDARD
    tasks = CartPoleTasks(*physics.T)
    corners = 0.05 * torch.tensor(list(itertools.product((-1.0, 1.0), repeat=4)))
    x, angle = balance(tasks._replace(force=sign * tasks.force), corners.expand(243, 16, 4), 1000)
    assert x.max() < 1.2 and angle.max() < math.radians(6)


@pytest.mark.parametrize("split", ["train", "test", "ood"])
def test_the_oracle_is_the_horizon_and_is_played(split: str) -> None:
    family = CartPole(horizon=500)
    settings: dict[str, Any] = {"split": split, "n_tasks": 300, "episodes": 4}
    played = ml.evaluate(ml.make_reference("oracle", family), family, **settings).per_task
    assert (played == 500).all()
    tasks = family.sample_tasks(300, split, seeded_generator("cpu", 1, 0))
    assert (family.oracle(tasks) == 500).all()


def test_the_feedback_of_one_half_overturns_the_other_faster_than_chance() -> None:
    tasks = FAMILY.sample_tasks(400, "test", seeded_generator("cpu", 4))
    wrong = tasks._replace(force=-tasks.force)  # what an agent that is wrong about the swap thinks
    random = ml.evaluate(ml.make_reference("random", FAMILY), FAMILY, tasks=tasks).per_task[:, 0]
    mistaken = begin(oracle := ml.make_reference("oracle", FAMILY), FAMILY, wrong)
    episodes, _ = collect(oracle, FAMILY, tasks, mistaken, seeded_generator("cpu", 5))
    assert 18 < random.mean() < 27
    assert episodes.returns.max() < 25 and episodes.returns.mean() < 13


@pytest.mark.parametrize(("split", "expected"), [("test", 199.7), ("ood", 175.0)])
def test_a_policy_without_memory_can_let_the_motion_remember_the_half(split: str, expected: float) -> None:
    """ "Action 1 where |s| > 0.08" has a stable place for either meaning of the actions: the docstring's numbers."""
    tasks = FAMILY.sample_tasks(1000, split, seeded_generator("cpu", 6))
    state = FAMILY.reset(tasks, torch.rand(1000, 4, 4, generator=seeded_generator("cpu", 7)))
    alive, length = torch.ones(1000, 4, dtype=torch.bool), torch.zeros(1000, 4)
    for _ in range(200):
        s = state.motion @ torch.tensor([0.05, 0.075, 1.0, 0.23])
        state, reward, terminated = FAMILY.step(tasks, state, (s.abs() > 0.08).long(), NOTHING)
        length, alive = length + reward * alive, alive & ~terminated
    assert length.mean().item() == pytest.approx(expected, abs=4 * length.mean(1).std().item() / 1000**0.5)
    halves = [length[sign * tasks.force > 0].mean().item() for sign in (1, -1)]
    assert min(halves) > expected - 8


def test_tasks_are_where_the_docstring_says() -> None:
    factors = {}
    for split in ("train", "test", "ood"):
        tasks = torch.stack(FAMILY.sample_tasks(4000, split, seeded_generator("cpu", 3)), 1)
        assert (tasks[:, 4] < 0).float().mean().item() == pytest.approx(0.5, abs=0.04)
        factors[split] = (tasks.abs() / STANDARD).log()
    for split in ("train", "test"):  # log-uniform within a factor of 1.5
        assert factors[split].abs().max() <= math.log(1.5) + 1e-6
        torch.testing.assert_close(factors[split].mean(0), torch.zeros(5), atol=0.02, rtol=0)
        torch.testing.assert_close(factors[split].std(0), torch.full((5,), math.log(1.5) / 3**0.5), atol=6e-3, rtol=0)
    distance = factors["ood"].abs()
    assert distance.min() >= math.log(1.5) - 1e-6 and distance.max() <= math.log(2) + 1e-6
    assert (factors["ood"] > 0).float().mean(0).sub(0.5).abs().max() < 0.04
    plain = CartPole(flip=False).sample_tasks(50, "train", seeded_generator("cpu", 3))
    assert (plain.force > 0).all()


def test_starts_fill_the_box() -> None:
    ends = FAMILY.reset(FAMILY.standard_tasks(), torch.tensor([[[0.0, 1.0, 0.5, 0.25]]])).motion
    torch.testing.assert_close(ends, torch.tensor([[[-0.05, 0.05, 0.0, -0.025]]]))


@pytest.mark.parametrize("wrong", [{"spread": 1.0}, {"ood_spread": 2.1}, {"spread": 1.8, "ood_spread": 1.7}])
def test_spreads_for_which_the_oracle_is_not_known_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="1 < spread < ood_spread <= 2.0"):
        ml.make_family("cartpole", **wrong)
    with pytest.raises(ValueError, match="horizon=0"):
        ml.make_family("cartpole", horizon=0)
