"""Pictures of beliefs: what is drawn is what was given, in the right cell."""

import numpy as np

from metarl_lab.plots.inference import belief_pair, distances, walks_on_arc, ways


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
