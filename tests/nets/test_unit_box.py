"""Actions in units of half the box: ends, middles, bounds that are not there, indices."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch

from metarl_lab.nets.unit_box import UnitBox
from metarl_lab.types import Spec

SEEN = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)


def box(low: list[float], high: list[float]) -> UnitBox:
    space = gym.spaces.Box(np.array(low, np.float32), np.array(high, np.float32))
    return UnitBox(Spec(SEEN, space, horizon=1))


def test_the_ends_of_the_box_are_one_away_from_its_centre_and_back() -> None:
    made = box([-0.5, 0.0, -np.inf], [0.5, 4.0, np.inf])
    action = torch.tensor([[-0.5, 0.0, -7.0], [0.0, 2.0, 0.0], [0.5, 4.0, 3.0]])
    unit = torch.tensor([[-1.0, -1.0, -7.0], [0.0, 0.0, 0.0], [1.0, 1.0, 3.0]])
    torch.testing.assert_close(made.to_unit(action), unit)
    torch.testing.assert_close(made.from_unit(unit), action)


def test_indices_pass_as_they_are() -> None:
    made = UnitBox(Spec(SEEN, gym.spaces.Discrete(4), horizon=1))
    index = torch.tensor([[0, 3], [2, 1]])
    assert made.to_unit(index) is index and made.from_unit(index) is index


def test_it_follows_its_network_and_is_in_no_checkpoint() -> None:
    made = torch.nn.Sequential(box([-1.0], [3.0])).double()
    assert made.state_dict() == {} and made[0].centre.dtype == torch.float64
