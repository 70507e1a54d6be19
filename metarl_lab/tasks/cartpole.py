"""Cart-pole with varied physics: the same balancing act, but which action pushes which way, and how hard, is hidden."""

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

# Gymnasium 1.x, classic_control/cartpole.py
_STANDARD = (9.8, 1.0, 0.1, 0.5, 10.0)  # m/s^2, kg, kg, m, N: in the order of CartPoleTasks
_STEP = 0.02  # s between states
_MAX_X = 2.4  # m: further out, the episode terminates
_MAX_ANGLE = 12 * 2 * math.pi / 360  # rad: 12 degrees
_START = 0.05  # all four numbers of a first state are uniform on +- this (m, m/s, rad, rad/s)

_FEEDBACK = (0.05, 0.075, 1.0, 0.23)  # per m, per m/s, per rad, per rad/s: push towards the side where this sum points
_WIDEST = 2.0  # the feedback is tested to balance every task whose physics are within this factor of the standard ones


class CartPoleTasks(NamedTuple):
    """The physics, each (T,). ``force`` is what action 1 pushes with; action 0 pushes with its negative."""

    gravity: Tensor  # m/s^2
    cart_mass: Tensor  # kg
    pole_mass: Tensor  # kg
    half_length: Tensor  # m, from the joint to the pole's centre
    force: Tensor  # N; below zero where the actions are swapped


class CartPoleState(NamedTuple):
    """``motion`` (T, E, 4): cart position (m), its velocity (m/s), pole angle (rad, 0 is up), its velocity (rad/s)."""

    motion: Tensor


@dataclass(frozen=True)
class CartPole(TaskFamily):
    """Balance a pole on a cart by pushing left or right; reward 1 per step, the one on which it falls included.

    Dynamics, thresholds, start states and reward are those of Gymnasium's CartPole-v1 (explicit Euler steps of 0.02 s);
    a test holds the two equal step for step. The task is the physics, of which nothing is observed:

    =============  ========  =======================  =================================
    quantity       standard  train, test (x 2/3-1.5)  ood (down to x 1/2, or up to x 2)
    =============  ========  =======================  =================================
    gravity        9.8       6.53 .. 14.7 m/s^2       4.9 .. 6.53 or 14.7 .. 19.6 m/s^2
    cart mass      1.0       0.667 .. 1.5 kg          0.5 .. 0.667 or 1.5 .. 2.0 kg
    pole mass      0.1       0.0667 .. 0.15 kg        0.05 .. 0.0667 or 0.15 .. 0.2 kg
    half length    0.5       0.333 .. 0.75 m          0.25 .. 0.333 or 0.75 .. 1.0 m
    force          10.0      6.67 .. 15 N             5.0 .. 6.67 or 15 .. 20 N
    =============  ========  =======================  =================================

    Each is log-uniform and independent of the others; out of distribution, *every* quantity is outside its range.

    One linear feedback balances all of these tasks, so varied physics alone would leave nothing to adapt to. Hence
    ``flip``: in half of the tasks, and nobody says in which, the actions are swapped. The feedback of the one half
    overturns the other within ten steps or so, and no linear policy serves both.

    A policy without memory can, all the same: the motion remembers for it. With the sum s of the feedback, "action 1
    where |s| > 0.08" has two places to rest, s = 0.08 for the one half and s = -0.08 for the other, and balances both
    for 199.7 of 200 steps in training and test tasks (175 out of distribution). Plain pre-training finds such policies,
    slowly; what adaptation buys here is the time until then, and the last steps.
    """

    name: ClassVar[str] = "cartpole"
    source: ClassVar[str] = "Barto, Sutton & Anderson 1983, as CartPole-v1 of Gymnasium; physics varied here"

    flip: bool = True
    """Swap the two actions in half of the tasks; without it, one linear policy is best for every task."""
    spread: float = 1.5
    """Train and test: each quantity is within this factor of its standard value, either way."""
    ood_spread: float = 2.0
    """Out of distribution: each quantity is between ``spread`` and this factor away from its standard value."""
    horizon: int = 200
    """H, steps per episode of 0.02 s: 200 as in CartPole-v0; CartPole-v1 has 500."""

    def __post_init__(self) -> None:
        check_positive("cartpole", horizon=self.horizon)
        check_spreads("cartpole", self.spread, self.ood_spread, _WIDEST)

    @property
    def spec(self) -> Spec:
        # as in Gymnasium: twice the thresholds, so that the state in which an episode ends is inside
        high = np.array([2 * _MAX_X, np.inf, 2 * _MAX_ANGLE, np.inf], np.float32)
        observation = gym.spaces.Box(-high, high, dtype=np.float32)
        return Spec(observation, gym.spaces.Discrete(2), horizon=self.horizon, reset_noise=4, terminates=True)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> CartPoleTasks:
        u = split_uniform((n, 6), split, generator)  # (T, 6): five quantities and the swap
        if split == "ood":
            factor = log_uniform_beyond(u[:, :5], self.spread, self.ood_spread)
        else:
            factor = log_uniform(u[:, :5], self.spread)
        physics = torch.tensor(_STANDARD, device=u.device) * factor  # (T, 5)
        if self.flip:
            swap = torch.where(u[:, 5] < 0.5, -1.0, 1.0)
            physics = torch.cat((physics[:, :4], physics[:, 4:] * swap.unsqueeze(1)), 1)
        return CartPoleTasks(*physics.unbind(1))

    def standard_tasks(self, n: int = 1, device: torch.device | str = "cpu") -> CartPoleTasks:
        """CartPole-v1 itself, n times."""
        return CartPoleTasks(*torch.tensor(_STANDARD, device=device).expand(n, 5).unbind(1))

    def reset(self, tasks: CartPoleTasks, noise: Tensor) -> CartPoleState:
        return CartPoleState(_START * (2 * noise - 1))

    def step(
        self, tasks: CartPoleTasks, state: CartPoleState, action: Tensor, noise: Tensor
    ) -> tuple[CartPoleState, Tensor, Tensor]:
        """Florian 2007, "Correct equations for the dynamics of the cart-pole system", without friction."""
        gravity, cart, pole, length, force = (x.unsqueeze(1) for x in tasks)  # (T, 1)
        x, velocity, angle, spin = state.motion.unbind(-1)  # (T, E)
        total, sin, cos = cart + pole, angle.sin(), angle.cos()
        push = torch.where(action == 1, force, -force)
        drive = (push + pole * length * spin**2 * sin) / total
        turn = (gravity * sin - cos * drive) / (length * (4 / 3 - pole * cos**2 / total))  # rad/s^2
        slide = drive - pole * length * turn * cos / total  # m/s^2
        rates = torch.stack((velocity, slide, spin, turn), -1)  # all from the old state: explicit Euler
        # a fallen pole lies where it fell: the rollout steps finished copies on, and Euler steps of a whirling pole
        # would carry them out of float32
        over = _fallen(state.motion)
        motion = torch.where(over.unsqueeze(-1), state.motion, state.motion + _STEP * rates)
        return CartPoleState(motion), torch.ones_like(x), _fallen(motion)

    def observe(self, tasks: CartPoleTasks, state: CartPoleState) -> Tensor:
        return state.motion

    def oracle(self, tasks: CartPoleTasks) -> Tensor:
        """The horizon: no episode can return more, and ``best_action`` returns it in every task (tested)."""
        return torch.full_like(tasks.force, float(self.horizon))

    def best_action(self, tasks: CartPoleTasks, observation: Tensor, step: int) -> Tensor:
        """One linear feedback for all physics; of the task it reads only which action pushes which way."""
        gains = torch.tensor(_FEEDBACK, dtype=observation.dtype, device=observation.device)
        right = (observation * gains).sum(-1) > 0  # (T, E)
        return (right == (tasks.force > 0).unsqueeze(1)).long()


def _fallen(motion: Tensor) -> Tensor:
    """Whether the cart or the pole is past its threshold, (T, E). motion (T, E, 4)."""
    return (motion[..., 0].abs() > _MAX_X) | (motion[..., 2].abs() > _MAX_ANGLE)
