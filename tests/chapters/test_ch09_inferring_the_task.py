"""Chapter 09: its figures and its widget."""

import numpy as np
import pytest
import torch

import metarl_lab as ml
from metarl_lab.chapters.ch09_inferring_the_task.figures import belief_pair, distances, walks_on_arc, ways
from metarl_lab.chapters.ch09_inferring_the_task.widget import belief_stepper, caption, record, total_variation


def test_a_belief_is_drawn_row_by_row_with_agent_and_goal_in_their_cells():
    exact, decoded = np.full(9, 1 / 9), np.eye(9)[5]
    figure = belief_pair(exact, decoded, np.array([0, 1, 4]), 5, np.linspace(0, 1, 60), 20, "a line")
    left, middle, right = figure.axes
    np.testing.assert_allclose(np.square(middle.images[0].get_array()), decoded.reshape(3, 3))
    assert [text.get_text() for text in middle.texts] == ["100"] and len(left.texts) == 9
    path, agent, goal = (line.get_xydata() for line in left.lines[:3])
    np.testing.assert_array_equal(path, [[0, 0], [1, 0], [1, 1]])  # (column, row)
    np.testing.assert_array_equal((agent[0], goal[0]), ([1, 1], [2, 1]))
    assert len(right.lines[0].get_xdata()) == 21  # moments to come are blank


def test_ways_has_a_row_an_agent_and_a_column_an_episode():
    paths = {"a": np.array([[0, 1, 2], [0, 3, 6]]), "b": np.array([[0, 0, 0], [0, 1, 4]])}
    axes = ways(paths, 8, 3).axes
    assert len(axes) == 4 and [ax.get_ylabel() for ax in axes] == ["a", "", "b", ""]
    for ax, way in zip(axes, [row for cells in paths.values() for row in cells], strict=True):
        drawn = ax.lines[0].get_xydata()
        np.testing.assert_allclose(drawn, np.stack((way % 3, way // 3), 1), atol=0.2)


def test_walks_end_where_they_end():
    position = np.random.default_rng(0).normal(size=(2, 3, 5, 2))
    axes = walks_on_arc(position, np.array([[1.0, 0.0], [0.0, 1.0]]), 0.2).axes
    assert len(axes) == 6
    np.testing.assert_allclose(axes[4].lines[1].get_xydata(), position[1, 1])


def test_distances_draws_each_curve_from_step_zero():
    ax = distances({"a": [0.1, 0.2], "b": [0.3, 0.1]}, "steps")
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [[0, 0.3], [1, 0.1]])
    assert ax.get_xlabel() == "steps" and ax.get_ylabel() == "total variation"


@pytest.fixture(scope="module")
def recorded():
    grid = ml.make_family("gridworld", size=3, horizon=5, episodes=3)
    options = {"hidden": 8, "latent": 3, "units": 8, "reward_model": "binary", "reward_reads": "next"}
    torch.manual_seed(0)
    varibad = ml.make_learner("varibad", grid, **options, transition_weight=0.0)
    return {name: record(ml.make_reference(name, grid), varibad.model, grid) for name in ("bayes_optimal", "psrl")}


def test_every_goal_has_a_trial_and_beliefs_are_distributions(recorded):
    for trials in recorded.values():
        assert trials.goal.tolist() == [2, 5, 6, 7, 8]
        assert trials.exact.shape == trials.decoded.shape == (5, 15, 9)
        for belief in (trials.exact, trials.decoded):
            np.testing.assert_allclose(belief.sum(-1), 1, atol=1e-5)


def test_the_exact_belief_knows_the_steps_before_the_moment_and_no_later_one(recorded):
    for trials in recorded.values():
        np.testing.assert_allclose(trials.exact[:, 0], np.tile(trials.exact[0, 0], (5, 1)))  # the prior
        for exact, reward, goal in zip(trials.exact, trials.reward, trials.goal, strict=True):
            if not (reward[:-1] > 0).any():
                continue
            met = int(np.argmax(reward > 0))  # the step that first pays
            assert exact[met].max() < 1 or np.count_nonzero(exact[met]) == 1
            assert exact[met + 1, goal] == 1


def test_every_episode_begins_at_the_start(recorded):
    for trials in recorded.values():
        assert (trials.cell[:, ::5] == 0).all()


def test_the_caption_counts_what_is_done(recorded):
    trials = recorded["bayes_optimal"]
    assert caption(trials, 0, 0) == "episode 1, 0 of 5 steps done; goal not met yet; 0.0 points so far"
    line = caption(trials, 0, 7)
    assert line.startswith("episode 2, 2 of 5 steps done") and f"{trials.reward[0, :7].sum():.1f} points" in line


def test_total_variation_is_the_mass_to_be_moved():
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
    assert total_variation(p, q) == pytest.approx(0.5)
    assert total_variation([1.0, 0.0], [0.0, 1.0]) == 1
    assert total_variation(p, p) == 0


def test_the_controls_step_through_the_trial(recorded):
    explorer = belief_stepper(recorded, 3)
    seen = {explorer.picture}
    explorer.controls["moment"].value = 12
    seen.add(explorer.picture)
    explorer.controls["agent"].value = "psrl"
    seen.add(explorer.picture)
    explorer.controls["task"].value = 0
    assert len(seen | {explorer.picture}) == 4
    assert explorer.controls["moment"].max == 14
