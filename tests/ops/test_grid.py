"""A square grid: where episodes start, what a start is worth, and how far it is from cell to cell."""

from __future__ import annotations

import torch

from metarl_lab.ops.grid import (
    ANYWHERE,
    STARTS,
    first_cell,
    from_start,
    moves_between,
    shortest_move,
    start_cell,
    tables,
)


def test_the_distance_is_the_number_of_moves_that_the_shortest_way_takes() -> None:
    size, cells = 4, torch.arange(16)
    cell, goal = cells.view(-1, 1).expand(16, 16).clone(), cells.view(1, -1).expand(16, 16)
    distance, taken = moves_between(cell, goal, size), torch.zeros(16, 16, dtype=torch.int64)
    assert (
        distance[0, 15] == 6 and distance[5, 5] == 0 and distance[3, 4] == 4
    )  # a row's end is not the next one's start
    for _ in range(6):
        taken += cell != goal
        cell = tables(size, torch.device("cpu"))[0][cell, shortest_move(cell, goal, size)]
    assert torch.equal(cell, goal) and torch.equal(taken, distance)


def test_starts_and_what_they_are_shifted_to_out_of_distribution() -> None:
    assert [start_cell(start, 9) for start in STARTS] == [40, 0, ANYWHERE]
    assert [start_cell(start, 9, shifted=True) for start in STARTS] == [0, 40, 0]
    assert start_cell("centre", 4) == 10  # of an even size, the third row and column


def test_an_episode_starts_where_the_task_says_or_anywhere_with_equal_chance() -> None:
    start = torch.tensor([7, ANYWHERE])
    fixed = first_cell(torch.tensor([7, 2]), torch.zeros(2, 3, 0), 3)
    assert fixed.tolist() == [[7, 7, 7], [2, 2, 2]]
    noise = ((torch.arange(9) + 0.5) / 9).view(1, 9, 1).expand(2, 9, 1)
    assert first_cell(start, noise, 3).tolist() == [[7] * 9, list(range(9))]
    assert first_cell(start, torch.ones(2, 1, 1), 3).tolist() == [[7], [8]]  # 1 itself is still inside


def test_a_start_anywhere_is_worth_the_mean_over_the_cells() -> None:
    value = torch.tensor([[1.0, 2.0, 6.0], [1.0, 2.0, 6.0]])
    assert from_start(value, torch.tensor([2, ANYWHERE])).tolist() == [6.0, 3.0]
