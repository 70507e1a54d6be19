"""Pendulum with varied physics: swing up with a motor too weak to lift, and nobody says which way it turns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.ops.sampling import log_uniform, log_uniform_beyond
from metarl_lab.tasks.base import TaskFamily, check_positive, check_spreads, split_uniform
from metarl_lab.types import Spec

# Gymnasium 1.x, classic_control/pendulum.py
_STANDARD = (10.0, 1.0, 1.0)  # m/s^2, kg, m: in the order of PendulumTasks
_STEP = 0.05  # s between states
_MAX_SPEED = 8.0  # rad/s: the rod turns no faster
_MAX_TORQUE = 2.0  # N m
_START_SPEED = 1.0  # rad/s: a first speed is uniform on +- this, a first angle on the whole circle
_SPEED_COST, _TORQUE_COST = 0.1, 0.001  # per (rad/s)^2, per (N m)^2; an angle costs 1 per rad^2

# every task whose physics are within this factor of the standard ones can be swung up (tested); at 1.4 the speed limit
# leaves a short, heavy rod in strong gravity hanging
_WIDEST = 1.3


class PendulumTasks(NamedTuple):
    """The physics, each (T,). What reaches the rod is ``direction`` times the torque asked for."""

    gravity: Tensor  # m/s^2
    mass: Tensor  # kg
    length: Tensor  # m, of a uniform rod
    direction: Tensor  # 1., or -1. where the motor turns the other way


class PendulumState(NamedTuple):
    """``motion`` (T, E, 2): angle (rad, -pi to pi, 0 is up), angular velocity (rad/s)."""

    motion: Tensor


@dataclass(frozen=True)
class Pendulum(TaskFamily):
    """Swing a rod up and hold it there; reward -(angle^2 + 0.1 speed^2 + 0.001 torque^2) per step, before the move.

    Dynamics, limits, start states and reward are those of Gymnasium's Pendulum-v1 (semi-implicit Euler steps of
    0.05 s); a test holds the two equal step for step. One sees (cos angle, sin angle, speed) and asks for a torque of
    +-2 N m, which is too weak to lift the rod from where it hangs: it has to be swung. The task is the physics, of
    which nothing is observed:

    ==========  ========  =========================  ==================================
    quantity    standard  train, test (x 0.833-1.2)  ood (down to x 0.769, up to x 1.3)
    ==========  ========  =========================  ==================================
    gravity     10        8.33 .. 12 m/s^2           7.69 .. 8.33 or 12 .. 13 m/s^2
    mass        1         0.833 .. 1.2 kg            0.769 .. 0.833 or 1.2 .. 1.3 kg
    length      1         0.833 .. 1.2 m             0.769 .. 0.833 or 1.2 .. 1.3 m
    ==========  ========  =========================  ==================================

    Each is log-uniform and independent of the others; out of distribution, *every* quantity is outside its range. The
    motion tells only two numbers of them: 3 g / (2 l), how fast the rod falls, and 3 / (m l^2), how hard a torque turns
    it. The rest is ``flip``: in half of the tasks, and nobody says in which, the motor turns the other way.

    A policy without memory cannot serve both halves. To first order in the torque, the energy that it adds over one
    swing is the integral of its torque over the angle along the free swing, times the direction: what swings the rod up
    in the one half brings it to rest in the other. (Once up, such a policy could hold both, leaning to one side or the
    other, as in ``cartpole``.)

    The best return has no closed form, so there is no ``oracle``. Dynamic programming on a fine grid finds -138 for
    Pendulum-v1; the classical controller that knows the physics, the reference ``swing_up``, returns -150 there and
    -153 on test tasks; random play returns -1240.
    """

    name: ClassVar[str] = "pendulum"
    source: ClassVar[str] = "Pendulum-v1 of Gymnasium (Furuta's swing-up); physics varied here"

    flip: bool = True
    """Whether the motor turns the other way in half of the tasks."""
    spread: float = 1.2
    """Largest factor by which a quantity is above or below its standard value in training and testing, above 1."""
    ood_spread: float = 1.3
    """The same out of distribution, where it is at least ``spread``; at most 1.3."""
    horizon: int = 200
    """H, steps per episode (0.05 s each); Pendulum-v1 truncates at 200."""
    episodes: int = 2
    """K, episodes per trial: one to find out which way the motor turns, and one to use it."""

    def __post_init__(self) -> None:
        check_positive("pendulum", horizon=self.horizon, episodes=self.episodes)
        check_spreads("pendulum", self.spread, self.ood_spread, _WIDEST)

    @property
    def spec(self) -> Spec:
        high = np.array([1, 1, _MAX_SPEED], np.float32)
        torque = gym.spaces.Box(-_MAX_TORQUE, _MAX_TORQUE, (1,), np.float32)
        seen = gym.spaces.Box(-high, high, dtype=np.float32)
        return Spec(seen, torque, horizon=self.horizon, episodes=self.episodes, reset_noise=2)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> PendulumTasks:
        u = split_uniform((n, 4), split, generator)  # (T, 4): three quantities and the direction
        if split == "ood":
            factor = log_uniform_beyond(u[:, :3], self.spread, self.ood_spread)
        else:
            factor = log_uniform(u[:, :3], self.spread)
        physics = torch.tensor(_STANDARD, device=u.device) * factor  # (T, 3)
        direction = torch.where((u[:, 3] < 0.5) & self.flip, -1.0, 1.0)
        gravity, mass, length = physics.unbind(1)
        return PendulumTasks(gravity, mass, length, direction)

    def standard_tasks(self, n: int = 1, device: torch.device | str = "cpu") -> PendulumTasks:
        """Pendulum-v1 itself, n times."""
        return PendulumTasks(*torch.tensor((*_STANDARD, 1.0), device=device).expand(n, 4).unbind(1))

    def reset(self, tasks: PendulumTasks, noise: Tensor) -> PendulumState:
        return PendulumState((2 * noise - 1) * noise.new_tensor([math.pi, _START_SPEED]))

    def step(
        self, tasks: PendulumTasks, state: PendulumState, action: Tensor, noise: Tensor
    ) -> tuple[PendulumState, Tensor, Tensor]:
        """theta'' = 3 g / (2 l) sin(theta) + 3 / (m l^2) direction u, of a uniform rod turning about its end."""
        gravity, mass, length, direction = (x.unsqueeze(1) for x in tasks)  # (T, 1)
        angle, speed = state.motion.unbind(-1)  # (T, E)
        torque = action.squeeze(-1).clamp(-_MAX_TORQUE, _MAX_TORQUE)  # N m, as asked for: this is what costs
        cost = angle**2 + _SPEED_COST * speed**2 + _TORQUE_COST * torque**2
        turn = 3 * gravity / (2 * length) * angle.sin() + 3 / (mass * length**2) * direction * torque  # rad/s^2
        speed = (speed + turn * _STEP).clamp(-_MAX_SPEED, _MAX_SPEED)
        angle = _wrapped(angle + speed * _STEP)  # by the new speed
        return PendulumState(torch.stack((angle, speed), -1)), -cost, torch.zeros_like(cost, dtype=torch.bool)

    def observe(self, tasks: PendulumTasks, state: PendulumState) -> Tensor:
        angle, speed = state.motion.unbind(-1)
        return torch.stack((angle.cos(), angle.sin(), speed), -1)

    def state_of(self, tasks: PendulumTasks, observation: Tensor, step: int) -> PendulumState:
        """The state behind an observation: where a planner that knows the task starts."""
        cos, sin, speed = observation.unbind(-1)
        return PendulumState(torch.stack((torch.atan2(sin, cos), speed), -1))


def _wrapped(angle: Tensor) -> Tensor:
    """The same angle, from -pi to pi."""
    return (angle + math.pi).remainder(2 * math.pi) - math.pi
