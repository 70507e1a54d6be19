"""Explorers of chapter 03, driven through their values."""

import time

import numpy as np
import torch

from metarl_lab.widgets.objectives import landscape_explorer, trial_explorer

SIDE = np.linspace(-4, 4, 21)


def landscape():
    """Best at the left edge without steps; with steps, at the right edge if the spread is 1."""
    left, right = np.meshgrid(-SIDE / 8, SIDE / 4, indexing="ij")[0], np.meshgrid(SIDE / 4, SIDE, indexing="ij")[0]
    return {
        (spread, alpha, n): right if n and spread == 1.0 else left * (1 + spread)
        for spread in (0.0, 0.5, 1.0)
        for alpha in (1, 5, 9)
        for n in range(4)
    }


def test_landscape_moves_with_every_control_and_says_where_the_best_is():
    explorer = landscape_explorer(SIDE, landscape(), lambda score: int(torch.as_tensor(score).argmax()))
    seen = [explorer.picture]
    assert "another place" in explorer.alt_text and "after 1 inner steps the best is 1.00" in explorer.alt_text
    for key, value in (("steps", 0), ("spread", 0.5), ("steps", 3)):
        explorer.controls[key].value = value
        seen.append(explorer.picture)
    assert "the same place" in explorer.alt_text
    explorer.controls["alpha"].value = 9
    assert len(set(seen)) == 4
    assert explorer._status.value == ""


def test_landscape_survives_a_slider_value_that_is_nearly_on_the_grid():
    explorer = landscape_explorer(SIDE, landscape(), lambda score: int(torch.as_tensor(score).argmax()))
    explorer.controls["spread"].value = 0.5 + 1e-12
    assert explorer._status.value == ""


def test_trial_shows_what_the_chapters_own_planner_says():
    asked = []

    def plan(weights, credit, shock):
        asked.append((tuple(weights), credit, shock))
        return [0.5] * len(weights)

    explorer = trial_explorer(plan)
    explorer.controls["episodes"].value = 3
    explorer.controls["credit"].value = 0.5
    explorer.controls["shock"].value = 2
    assert {((1, 1, 1), 0.5, 2), ((0, 0, 1), 0.5, 2)} <= set(asked)
    assert "whole trial 1.5, final episode 1.5" in explorer.alt_text
    assert explorer._status.value == ""


def test_trial_draws_within_the_time_of_a_slider_move():
    explorer = trial_explorer(lambda weights, credit, shock: [0.5] * len(weights))
    spent = []
    for episodes in range(2, 8):
        start = time.process_time()
        explorer.controls["episodes"].value = episodes
        spent.append(time.process_time() - start)
    assert min(spent) < 1.0, "a look-up and a drawing, no training"
