"""One step of an optimiser."""

from __future__ import annotations

import torch
from torch import Tensor


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, longest: float) -> None:
    """One step down the gradient of ``loss``, which is first scaled down to ``longest`` where it is longer.

    The norm is that of the optimiser's own parameters: another optimiser's stay out of it, and keep no gradient.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], longest)
    optimizer.step()
