"""The widget of chapter 10, driven through its values."""

import time

import numpy as np
import torch

import metarl_lab as ml
from metarl_lab.rollout import seeded_generator
from metarl_lab.widgets.in_context import attention_stepper, record_attention


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
