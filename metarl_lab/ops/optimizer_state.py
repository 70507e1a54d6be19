"""An optimiser's state as flat named tensors, for files that hold nothing but tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def optimizer_slots(optimizer: torch.optim.Optimizer, name: str) -> dict[str, Tensor]:
    """``NAME.INDEX.SLOT`` -> tensor: what the optimiser keeps of each of its parameters (Adam: step and two moments).

    Not copied. A parameter that has not moved yet has nothing.
    """
    found: dict[str, Tensor] = {}
    for index, slots in optimizer.state_dict()["state"].items():
        for slot, value in slots.items():
            if value is not None:  # SGD without momentum
                found[f"{name}.{index}.{slot}"] = torch.as_tensor(value)
    return found


def load_optimizer_slots(optimizer: torch.optim.Optimizer, name: str, state: dict[str, Tensor]) -> None:
    """Inverse of ``optimizer_slots``: those of this name, copied; what else ``state`` holds is passed over."""
    whole = optimizer.state_dict()
    whole["state"] = {}
    for full_name, value in state.items():
        parts = full_name.split(".")
        if len(parts) == 3 and parts[0] == name:
            index, slot = int(parts[1]), parts[2]
            whole["state"].setdefault(index, {})[slot] = value.clone()
    optimizer.load_state_dict(whole)
