"""Chapter 10: its figures and its widget."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import metarl_lab as ml
from metarl_lab.chapters.ch10_in_context_rl import figures
from metarl_lab.chapters.ch10_in_context_rl.widget import AttentionTrial, attention_stepper, record_attention
from metarl_lab.rollout import seeded_generator

# 2 x 2 room, goal in the lower right: right, down, none, none | right, ...
TRIAL = AttentionTrial(
    2, 4, 3, np.array([0, 1, 3, 3, 0, 1]), np.array([2, 3, 0, 0, 2, 3]), np.array([0.0, 1, 1, 1, 0, 1]),
    np.zeros((1, 1, 6, 6)),
)  # fmt: skip


def curve(mean):
    mean = np.asarray(mean, dtype=float)
    return SimpleNamespace(mean=mean, low=mean - 1, high=mean + 1)


def test_attention_falls_on_the_cells_and_steps_that_it_is_given_for():
    weights = np.array([0.1, 0.2, 0.3, 0.15, 0.25])
    room, row, history = figures.attention_step(TRIAL, 4, weights, "Layer 1").axes
    np.testing.assert_allclose(room.images[0].get_array(), [[0.35, 0.2], [0.0, 0.45]])
    bars = {round(bar.get_x() + bar.get_width() / 2): bar for bar in row.patches}
    np.testing.assert_allclose([bars[i].get_height() for i in range(5)], weights)
    orange = {i for i, bar in bars.items() if bar.get_facecolor()[0] > 0.5}
    assert orange == {2, 3, 4}, "a step is orange when the step before it was paid"
    seen = [line for line in history.lines if len(line.get_xdata()) and line.get_linestyle() == "None"]
    points = {(int(x), int(y)) for line in seen for x, y in line.get_xydata()}
    assert points == {(1, 2), (2, 3), (3, 0), (4, 0)}, "the last action, at the step that saw it"


def test_calibration_has_a_diagonal_and_a_panel_each():
    figure = figures.calibration(
        {"early": (np.array([0.2, 0.8]), np.array([0.3, 0.7])), "late": (np.ones(1), np.ones(1))}
    )
    first = figure.axes[0]
    np.testing.assert_allclose(first.lines[0].get_xydata(), [[0.2, 0.3], [0.8, 0.7]])
    np.testing.assert_allclose(first.lines[1].get_xydata(), [[0, 0], [1, 1]])


def test_longer_trials_shades_what_is_longer_than_trained():
    ax = figures.longer_trials({"agent": curve([1, 2, 3, 4])}, {"random": 0.5}, trained=2)
    assert ax.patches[0].get_x() == 1.5 and "episode" in ax.get_xlabel()


def test_window_returns_draw_each_band_and_need_an_anchor():
    bands = {"episode 1": (np.array([1.0, 2.0]), np.array([0.5, 1.5]), np.array([1.5, 2.5]))}
    ax = figures.window_returns([2, 50], bands, {"random": 0.4}, 10)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1, 2])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["2", "50"]
    with pytest.raises(ValueError, match="no anchors"):
        figures.window_returns([2], bands, {}, 10)


def recorded():
    room = ml.make_family("dark_room", size=3, horizon=4, episodes=2)
    learner = ml.make_learner("in_context", room, seed=0, hidden=8, heads=2)
    tasks = room.sample_tasks(2, "test", seeded_generator("cpu", 0))
    return room, tasks, record_attention(learner, learner.core, room, tasks)


def test_a_recorded_trial_is_what_happened():
    room, tasks, trials = recorded()
    for goal, trial in zip(tasks.goal.tolist(), trials, strict=True):
        assert trial.weights.shape == (2, 2, 8, 8) and trial.goal == goal and (trial.size, trial.horizon) == (3, 4)
        np.testing.assert_allclose(trial.weights.sum(-1), 1, rtol=1e-5)
        assert not np.triu(trial.weights[0, 0], 1).any(), "a step reads a later one"
        assert (trial.cell[[0, 4]] == 4).all(), "episodes start in the centre"
        after = room.successor[torch.from_numpy(trial.cell), torch.from_numpy(trial.action)].numpy()
        np.testing.assert_array_equal(after[:3], trial.cell[1:4])
        np.testing.assert_array_equal(trial.reward, after == goal)


def test_every_control_changes_the_picture_and_its_alt_text():
    explorer = attention_stepper(recorded()[2], 3, name="test attention")
    for name, value in {"step": 6, "task": 2, "layer": 2, "head": 1}.items():
        picture, alt = explorer.picture, explorer.alt_text
        begun = time.process_time()
        explorer.controls[name].value = value
        assert time.process_time() - begun < 1.0, "a redraw takes 0.15 s on an idle machine"
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""
