"""Walking on a square grid: cells are row * size + column, moves off the grid stay."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

MOVES = ((0, 0), (-1, 0), (0, 1), (1, 0), (0, -1))  # none, up, right, down, left, as (rows, columns)

STARTS = ("centre", "corner", "random")
"""Where episodes may start: the middle cell, the top left one, or any, drawn anew in every episode."""
ANYWHERE = -1
"""In place of the start cell of a task whose episodes start anywhere."""


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


def moves_between(one: Tensor, other: Tensor, size: int) -> Tensor:
    """The least number of moves from one cell to the other: rows plus columns between them."""
    return (one // size - other // size).abs() + (one % size - other % size).abs()


def start_cell(start: str, size: int, shifted: bool = False) -> int:
    """The cell of one of ``STARTS``, or ``ANYWHERE``; shifted: a start that this one's training never fixed.

    The shift is how a family whose goals are all in training has something out of distribution: the top left corner in
    place of any other start, the centre in place of that corner.
    """
    centre, corner = size // 2 * (size + 1), 0
    if shifted:
        return centre if start == "corner" else corner
    return {"centre": centre, "corner": corner, "random": ANYWHERE}[start]


def first_cell(start: Tensor, noise: Tensor, size: int) -> Tensor:
    """Where each copy's episode starts, (T, E) int64, given the tasks' start cells or ``ANYWHERE``, (T,).

    noise (T, E, 1) uniform, or (T, E, 0) where no task says ``ANYWHERE``.
    """
    cell = start.unsqueeze(1).expand(noise.shape[:2])
    if noise.shape[-1] == 0:
        return cell
    drawn = (noise[..., 0] * size**2).long().clamp_max(size**2 - 1)
    return torch.where(cell == ANYWHERE, drawn, cell)


def from_start(value: Tensor, start: Tensor) -> Tensor:
    """What each task's start is worth, (T,), given values by cell (T, S): their mean where it is ``ANYWHERE``."""
    at_cell = value.gather(1, start.clamp_min(0).unsqueeze(1)).squeeze(1)
    return torch.where(start == ANYWHERE, value.mean(1), at_cell)
