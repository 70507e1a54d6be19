"""Walking on a square grid: cells are row * size + column, moves off the grid stay."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

MOVES = ((0, 0), (-1, 0), (0, 1), (1, 0), (0, -1))  # none, up, right, down, left, as (rows, columns)


@cache
def tables(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Successor of every (cell, action), (size^2, 5), and the one-hot rows (size^2, size^2)."""
    places = [(row, column) for row in range(size) for column in range(size)]
    after = [
        [min(max(r + dr, 0), size - 1) * size + min(max(c + dc, 0), size - 1) for dr, dc in MOVES] for r, c in places
    ]
    return torch.tensor(after, device=device), torch.eye(size**2, device=device)


@cache
def one_hot_rows(states: int, device: torch.device) -> Tensor:
    """The one-hot row of each tabular state, (S, S); to look up is cheaper than to build."""
    return torch.eye(states, device=device)


def shortest_move(cell: Tensor, goal: Tensor, size: int) -> Tensor:
    """The first action of a shortest way from cell to goal: along the columns, then along the rows; there, none."""
    down, right = goal // size - cell // size, goal % size - cell % size
    vertical = torch.where(down > 0, 3, torch.where(down < 0, 1, 0))
    return torch.where(right > 0, 2, torch.where(right < 0, 4, vertical))
