"""Swing-up: the classical controller of a pendulum whose physics are known."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.references.base import Knowing, check_family
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.tasks.pendulum import Pendulum, PendulumTasks
from metarl_lab.types import Seen

_STIFFNESS, _DAMPING = 20.0, 9.0  # 1/s^2, 1/s: of the loop that holds the rod up; both poles on the left of -2.9
_CATCH = 0.25  # rad: nearer to the top than this the loop takes over


class SwingUp(Knowing):
    """Add energy by pushing along the motion, as fast as the motor can, until standing up is in reach; then hold.

    With a = 3 g / (2 l) and b = 3 / (m l^2), the energy per moment of inertia is w = speed^2 / 2 + a (cos angle - 1), 0
    at rest at the top. Below it the torque is +-max along the speed, above it against; within 0.25 rad of the top it is
    -(a + 20) / b angle - 9 / b speed, clipped. Not optimal (the time spent upright is not traded against torque or
    speed), but near: a test holds it against dynamic programming on a grid.
    """

    name: ClassVar[str] = "swing_up"
    source: ClassVar[str] = "Astrom & Furuta 2000, Swinging up a pendulum by energy control, Automatica 36"

    def __init__(self, family: TaskFamily) -> None:
        super().__init__(family)
        check_family(self.name, family, Pendulum)

    def told(self, tasks: Tasks, copies: int) -> Tasks:
        return tasks

    def act(self, memory: PendulumTasks, seen: Seen, noise: Tensor) -> tuple[Tensor, PendulumTasks]:
        gravity, mass, length, direction = (x.unsqueeze(1) for x in memory)  # (T, 1)
        cos, sin, speed = seen.observation.unbind(-1)  # (T, E)
        angle = torch.atan2(sin, cos)
        fall, push = 3 * gravity / (2 * length), 3 / (mass * length**2)  # 1/s^2, 1/s^2 per N m
        energy = speed**2 / 2 + fall * (cos - 1)
        limit = float(self.spec.action_space.high[0])  # type: ignore[union-attr]
        along = torch.where(speed >= 0, limit, -limit)  # at rest either way will do
        swing = torch.where(energy < 0, along, -along)
        hold = -((fall + _STIFFNESS) * angle + _DAMPING * speed) / push
        torque = torch.where(angle.abs() < _CATCH, hold.clamp(-limit, limit), swing)
        return (direction * torque).unsqueeze(-1), memory
