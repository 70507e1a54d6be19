"""A walker one of whose legs weakens on the way: which, when, and by how much is hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.tasks.base import TaskFamily, check_positive, split_uniform
from metarl_lab.types import Spec

LEGS = ("front left", "front right", "rear left", "rear right")
_STEP = 0.2  # s between states
_LENGTH, _WIDTH = 0.25, 0.2  # m, from the centre to a leg, forward and to the left
_PUSH = 6.0  # N, the most one sound leg pushes
_MASS = 5.0  # kg, standard body
_DRAG = 4.0  # N s/m, standard friction of the ground
_TURN_DRAG = 0.5  # N m s, for the standard friction
_START = (0.1, 0.1, 0.1, 0.2)  # a first state is uniform on +- this: m/s, m/s, rad, rad/s
_DRIFT, _HEADING = 2.0, 2.0  # reward lost per (m/s)^2 to the side, and per 1 - cos(heading)

_HALF = 0.5**0.5
_FORWARD = (_HALF, _HALF, _HALF, _HALF)  # each leg pushes forward and, toed in or out by 45 degrees, to one side
_SIDE = (-_HALF, _HALF, _HALF, -_HALF)
_X, _Y = (_LENGTH, _LENGTH, -_LENGTH, -_LENGTH), (_WIDTH, -_WIDTH, _WIDTH, -_WIDTH)
_TORQUE = tuple(x * s - y * f for x, y, f, s in zip(_X, _Y, _FORWARD, _SIDE, strict=True))  # m, per N of push


class WeakeningLegTasks(NamedTuple):
    """``strength``: share of its push that each leg keeps from step ``onset`` on; mass and friction of the task."""

    strength: Tensor  # (T, 4), 0 to 1, in the order of LEGS
    onset: Tensor  # (T,) step of the episode, int64; the horizon where nothing ever happens
    mass: Tensor  # (T,) kg
    friction: Tensor  # (T,) of the standard


class WeakeningLegState(NamedTuple):
    """``motion`` (T, E, 4): velocity along the road and across it to the left (m/s), heading (rad, 0 is along the road,
    more is to the left), its rate (rad/s); ``step`` (T, E) int64, steps since the episode began."""

    motion: Tensor
    step: Tensor


@dataclass(frozen=True)
class WeakeningLeg(TaskFamily):
    """Run straight ahead on four legs; within the episode one of them weakens, and nobody says so.

    A rigid body in the plane, a leg at each corner. Leg i pushes with f_i = strength_i 6 N a_i, a_i in [-1, 1], forward
    and at 45 degrees to one side, as the rollers of a Mecanum wheel do, so that three motions share four legs:

        m V' = R(theta) sum_i d_i f_i - b V      J w' = sum_i tau_i f_i - k w      theta' = w

    V: velocity over ground; theta: heading, w its rate; d_i = (cos 45, -+ sin 45) degrees the direction of a leg, tau_i
    its torque about the centre; J = m (0.25^2 + 0.2^2) / 3. Semi-implicit Euler steps of 0.2 s: drag at the new rates,
    heading with the new rate of turn, forces along the old heading. Reward per step: V_x - 2 V_y^2 - 2 (1 - cos theta)
    after it: speed along the road, less for drifting and for looking aside.

    Legs at the ends of a diagonal push to opposite sides and turn the body opposite ways to the other diagonal's. One
    that weakens therefore bends the path unless its neighbour at the same end holds back as much: the cure costs
    speed, but less than a bent path, and which leg to spare must be found out on the way.

    =========  ==============================  =====================================================
    quantity   train, test                     ood
    =========  ==============================  =====================================================
    leg        one of four                     one of four fails wholly, or two on one side weaken
    strength   0 .. 0.3 of its push            0, or 0 .. 0.3
    onset      0.2 .. 0.6 of the horizon;      0.2 .. 0.6 of the horizon
               never in a quarter of them
    mass       4 .. 6 kg                       3 .. 4 or 6 .. 7 kg
    friction   0.8 .. 1.2 of the standard      0.6 .. 0.8 or 1.2 .. 1.4
    =========  ==============================  =====================================================

    Each episode of a trial starts sound, and the leg weakens again at the same step. The clock is not observed. The
    physics is that of no real machine; it keeps what the idea needs (a fault within the episode that other legs can
    make up for), as the crippled ant and the six-legged robot of the paper do.
    """

    name: ClassVar[str] = "weakening_leg"
    source: ClassVar[str] = "after the crippled leg of Nagabandi, Clavera et al. 2019, arXiv 1803.11347, section 6"

    horizon: int = 100
    """H, steps per episode of 0.2 s."""

    def __post_init__(self) -> None:
        check_positive("weakening_leg", horizon=self.horizon)

    @property
    def spec(self) -> Spec:
        seen = gym.spaces.Box(-np.inf, np.inf, (5,), np.float32)
        return Spec(seen, gym.spaces.Box(-1, 1, (4,), np.float32), horizon=self.horizon, reset_noise=4)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> WeakeningLegTasks:
        u = split_uniform((n, 6), split, generator)  # (T, 6): leg, strength, onset, whether at all, mass, friction
        legs = torch.arange(4, device=u.device)
        chosen = legs == (4 * u[:, :1]).long()  # (T, 4)
        left = 0.3 * u[:, 1:2]
        onset = (self.horizon * (0.2 + 0.4 * u[:, 2])).long()
        signed = 2 * u[:, 4:] - 1
        off = 0.2 * signed  # (T, 2) of the standard
        if split == "ood":
            both = legs % 2 == (2 * u[:, :1]).long()  # the two legs on one side
            two = u[:, 3:4] < 0.5
            chosen, left = torch.where(two, both, chosen), torch.where(two, left, torch.zeros_like(left))
            off = signed.sign() * (0.2 + 0.2 * signed.abs())
        else:
            onset = torch.where(u[:, 3] < 0.25, self.horizon, onset)
        strength = torch.where(chosen, left, torch.ones_like(left))
        return WeakeningLegTasks(strength, onset, _MASS * (1 + off[:, 0]), 1 + off[:, 1])

    def reset(self, tasks: WeakeningLegTasks, noise: Tensor) -> WeakeningLegState:
        start = torch.tensor(_START, device=noise.device)
        return WeakeningLegState(
            start * (2 * noise - 1), torch.zeros(noise.shape[:2], dtype=torch.int64, device=noise.device)
        )

    def step(
        self, tasks: WeakeningLegTasks, state: WeakeningLegState, action: Tensor, noise: Tensor
    ) -> tuple[WeakeningLegState, Tensor, Tensor]:
        along, across, heading, rate = state.motion.unbind(-1)
        mass, friction = tasks.mass.unsqueeze(1), tasks.friction.unsqueeze(1)  # (T, 1)
        geometry = torch.tensor((_FORWARD, _SIDE, _TORQUE), dtype=action.dtype, device=action.device)  # (3, 4)
        push = _PUSH * self.strength(tasks, state.step) * action.clamp(-1, 1)  # (T, E, 4) N
        ahead, aside, torque = (push @ geometry.T).unbind(-1)
        force = _turned(ahead, aside, heading)
        drag, turn_drag = _DRAG * friction, _TURN_DRAG * friction
        inertia = mass * (_LENGTH**2 + _WIDTH**2) / 3
        rate = (rate + _STEP * torque / inertia) / (1 + _STEP * turn_drag / inertia)
        heading = heading + _STEP * rate
        along = (along + _STEP * force[0] / mass) / (1 + _STEP * drag / mass)
        across = (across + _STEP * force[1] / mass) / (1 + _STEP * drag / mass)
        reward = along - _DRIFT * across.square() - _HEADING * (1 - heading.cos())
        motion = torch.stack((along, across, heading, rate), -1)
        return WeakeningLegState(motion, state.step + 1), reward, torch.zeros_like(reward, dtype=torch.bool)

    def observe(self, tasks: WeakeningLegTasks, state: WeakeningLegState) -> Tensor:
        """Velocity forward and to the left of the body (m/s), rate of turn (rad/s), cosine and sine of the heading."""
        along, across, heading, rate = state.motion.unbind(-1)
        return torch.stack((*_turned(along, across, -heading), rate, heading.cos(), heading.sin()), -1)

    def state_of(self, tasks: WeakeningLegTasks, observation: Tensor, step: int) -> WeakeningLegState:
        """The state behind an observation at step 0..H-1, for those who plan with the true dynamics."""
        ahead, aside, rate, cos, sin = observation.unbind(-1)
        heading = torch.atan2(sin, cos)
        motion = torch.stack((*_turned(ahead, aside, heading), heading, rate), -1)
        return WeakeningLegState(motion, torch.full(rate.shape, step, dtype=torch.int64, device=rate.device))

    def strength(self, tasks: WeakeningLegTasks, step: Tensor) -> Tensor:
        """What each leg keeps of its push at a step, (T, E, 4); step (T, E) int64."""
        weak = (step >= tasks.onset.unsqueeze(1)).unsqueeze(-1)
        return torch.where(weak, tasks.strength.unsqueeze(1), torch.ones_like(tasks.strength).unsqueeze(1))


def _turned(x: Tensor, y: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """A vector turned to the left by an angle (rad)."""
    cos, sin = angle.cos(), angle.sin()
    return x * cos - y * sin, x * sin + y * cos
