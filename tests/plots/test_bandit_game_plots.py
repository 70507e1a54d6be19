"""What the pictures of chapter 00 show."""

import numpy as np

from metarl_lab.plots import bandit_game as plots

MEANS = [0.2, 0.9, 0.5]
PLAYED = {"you": ([0, 1, 1], [0, 1, 0]), "RL2": ([2, 1, 1], [1, 1, 1])}
TOTALS = {"you": (1.0, 0.7), "RL2": (3.0, 0.4)}


def texts(axes):
    return [t.get_text() for t in axes.texts]


def test_board_shows_every_pull_every_total_and_the_best_arm():
    left, right = plots.game_board(MEANS, PLAYED, TOTALS).axes
    assert texts(left) == ["0.20", "0.90 best", "0.50"]
    assert texts(right) == list("ABB") + ["1 paid, regret 0.70"] + list("CBB") + ["3 paid, regret 0.40"]
    paid = [patch.get_facecolor()[:3] != (1, 1, 1) for patch in right.patches]
    assert paid == [False, True, False, True, True, True], "dark where it paid"
    assert [label.get_text() for label in right.get_yticklabels()] == ["you", "RL2"]
    assert left.get_xlabel() and right.get_xlabel()


def test_page_hides_what_is_not_over():
    page = plots.board_html(3, {"you": ([1], [1]), "RL2": ([], [])}, {})
    assert page.count("?") == 3 and "regret" not in page and page.count("<td") == 3 + 3 + 2
    assert 'aria-label="B, paid 1"' in page


def test_page_of_a_finished_game_says_it_all():
    page = plots.board_html(3, PLAYED, TOTALS)
    assert "?" not in page and "1 paid, regret 0.70" in page and "3 paid, regret 0.40" in page
    hidden = plots.probabilities_html(MEANS)
    assert "0.90 best" in hidden and hidden.count("best") == 1


def test_score_is_of_all_games():
    page = plots.score_html({"you": [(4.0, 1.0), (7.0, 2.0)], "RL2": [(6.0, 0.0), (6.0, 1.0)]})
    assert "mean over 2 games" in page and "<td>5.50</td><td>1.50</td>" in page and "<td>6.00</td><td>0.50</td>" in page


def test_picture_of_the_two_loops_names_its_parts():
    (axes,) = plots.meta_rl_picture().axes
    said = " ".join(texts(axes))
    assert all(word in said for word in ("task distribution", "trial", "memory", "weights", "inner loop", "outer loop"))


def test_arm_names():
    assert [plots.arm_name(int(i)) for i in np.arange(3)] == ["A", "B", "C"]
