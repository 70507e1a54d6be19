"""What best play of a pendulum returns, by dynamic programming on a grid of angles and speeds."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from metarl_lab.tasks.pendulum import Pendulum, PendulumState, PendulumTasks


def grid_values(tasks: PendulumTasks, angles: int, speeds: int, torques: int = 9, horizon: int = 200) -> Tensor:
    """Best return of ``horizon`` steps by dynamic programming on a grid, bilinear between its points: (T, angles,
    speeds); angles from -pi on, speeds from -8 to 8 rad/s."""
    angle, speed = 2 * math.pi * torch.arange(angles) / angles - math.pi, torch.linspace(-8, 8, speeds)
    mesh = torch.cartesian_prod(angle, speed, torch.linspace(-2, 2, torques)).expand(len(tasks.mass), -1, -1)
    state, reward, _ = Pendulum().step(tasks, PendulumState(mesh[..., :2]), mesh[..., 2:], angle)
    x, y = (state.motion[..., 0] + math.pi) / (2 * math.pi) * angles, (state.motion[..., 1] + 8) / 16 * (speeds - 1)
    left, low = x.floor(), y.floor().clamp_max(speeds - 2)
    corners = [
        (
            ((left + i) % angles * speeds + low + j).long(),
            (1 - i - (1 - 2 * i) * (x - left)).abs() * (1 - j - (1 - 2 * j) * (y - low)).abs(),
        )
        for i, j in itertools.product((0, 1), repeat=2)
    ]
    value = torch.zeros(len(mesh), angles * speeds)
    for _ in range(horizon):
        q = reward + sum(weight * value.gather(1, index) for index, weight in corners)
        value = q.unflatten(1, (-1, torques)).amax(2)
    return value.unflatten(1, (angles, speeds))


def expected_return(tasks: PendulumTasks, angles: int, speeds: int) -> Tensor:
    """The best return from the family's first states, (T,): by the trapezoidal rule over speeds -1 to 1 rad/s."""
    value = grid_values(tasks, angles, speeds)
    inside = (speeds - 1) // 16  # points between 0 and 1 rad/s
    middle = value[..., speeds // 2 - inside : speeds // 2 + inside + 1]
    return torch.trapezoid(middle, dim=-1).mean(1) / (2 * inside)
