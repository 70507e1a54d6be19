"""Actions in units of half the action box: what policies and Q-functions over box actions speak in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_lab.ops.soft import action_box
from metarl_lab.types import Spec


class UnitBox(nn.Module):
    """u = (a - centre) / half width, and back, for each dimension of a box action a; indices pass as they are.

    A bounded dimension becomes (-1, 1), one without bounds stays as it is. Centre and half width are buffers, so that
    they follow the network to its device and type; checkpoints do not hold them, the family's spaces say them.
    """

    centre: Tensor
    half_width: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.discrete = spec.discrete
        if spec.discrete:
            centre, half_width = torch.zeros(()), torch.ones(())  # never read
        else:
            centre, half_width = action_box(spec)
        self.register_buffer("centre", centre, persistent=False)
        self.register_buffer("half_width", half_width, persistent=False)

    def to_unit(self, action: Tensor) -> Tensor:
        """Actions of the family (..., A), or indices (...), as networks take them."""
        return action if self.discrete else (action - self.centre) / self.half_width

    def from_unit(self, unit: Tensor) -> Tensor:
        """Inverse of ``to_unit``: what a network chose, as the family takes it."""
        return unit if self.discrete else self.centre + self.half_width * unit
