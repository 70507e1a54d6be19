"""Chapter 08: its figures and its widget."""

import time

import numpy as np
import pytest
import torch

import metarl_lab as ml
from metarl_lab.chapters.ch08_rl2 import figures
from metarl_lab.chapters.ch08_rl2.widget import SAMPLE, Players, PullAndWatch, View, describe, first_is_larger
from metarl_lab.ops.probe import Probe


def test_training_draws_the_curve_between_anchors() -> None:
    ax = figures.training({"RL2": (np.array([10, 20]), np.array([5.0, 5.9]))}, {"random": 5.0, "Bayes": 6.02})
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[10, 5.0], [20, 5.9]])
    assert [t.get_text() for t in ax.texts] == ["random", "Bayes"]
    with pytest.raises(ValueError, match="no anchors"):
        figures.training({}, {})


def test_probe_bars_have_one_for_each_source_and_quantity() -> None:
    ax = figures.probe_bars({"trained": [0.9, 0.8], "untrained": [0.5, 0.4]}, ["mean", "pulls"])
    assert [bar.get_height() for bar in ax.patches] == [0.9, 0.8, 0.5, 0.4]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["mean", "pulls"]


def test_stay_bars_put_the_rewarded_choices_first_and_rare_to_the_right() -> None:
    figure = figures.stay_bars({"RL2": np.array([[0.1, 0.2], [0.3, 0.4]]), "other": np.zeros((2, 2))})
    height = {round(bar.get_x() + bar.get_width() / 2, 1): bar.get_height() for bar in figure.axes[0].patches}
    assert height == {-0.2: 0.4, 0.2: 0.3, 0.8: 0.2, 1.2: 0.1}  # rewarded common, rare; unrewarded common, rare
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["rewarded", "unrewarded"]


def test_a_played_trial_marks_the_reading_and_divides_the_bars() -> None:
    hidden = np.full((4, 10), np.nan)
    hidden[:, 0] = 0.5
    view = View(np.ones((2, 81)), np.array([0.5, 0.5]), np.array([0.4, 1.7]), hidden, {"RL2": 0.9, "tie": 0.5})
    left, middle, right = figures.played_trial(view).axes
    markers = [line.get_xdata()[0] for line in left.lines if line.get_marker() in ("o", "v")]
    assert markers == [0.4, 1.0], "a reading outside the axis is drawn at its edge"
    assert np.isnan(middle.images[0].get_array().filled(np.nan)[:, 1:]).all()
    assert [bar.get_width() for bar in right.patches[:2]] == pytest.approx([0.9, 0.1])
    assert [t.get_text() for t in right.texts] == ["A 0.90", "either"]


@pytest.fixture(scope="module")
def players():
    family = ml.make_family("bernoulli_bandit", arms=2, horizon=10)
    agent = ml.make_learner("rl2", family, hidden=8)
    probe = Probe(torch.zeros(8, 2, dtype=torch.float64), torch.tensor([0.25, 0.75], dtype=torch.float64))
    indices = {name: ml.make_reference(name, family) for name in ("gittins", "bayes_optimal")}
    return Players(agent, family, probe, indices)


@pytest.fixture
def game(players):
    return PullAndWatch(players, "test pull and watch", seed=1)


def test_thompson_s_chance_is_that_of_the_larger_draw():
    assert first_is_larger(np.zeros((2, 2))) == pytest.approx(0.5, abs=1e-6)
    # A paid once: density 2x against a uniform, P = integral of 2x * x = 2/3
    assert first_is_larger(np.array([[1, 0], [0, 0]])) == pytest.approx(2 / 3, abs=1e-6)


def test_what_is_exact_in_a_view(players):
    view = players.view([(0, 1), (0, 0), (1, 1)])
    np.testing.assert_allclose(view.mean, [2 / 4, 2 / 3])
    np.testing.assert_allclose(view.density.mean(1), 1, atol=0.03)
    np.testing.assert_allclose(view.reading, [0.25, 0.75])
    assert np.isfinite(view.hidden[:, :4]).all() and np.isnan(view.hidden[:, 4:]).all()
    assert view.chances["bayes_optimal"] == 0.0, "B looks better and is less known"
    assert players.view([])[4]["gittins"] == 0.5, "nothing seen: a tie"


def test_the_hidden_state_is_that_of_the_agent_acting(players):
    family, agent = players.family, players.agent
    memory, last = agent.begin(1, 1), (torch.tensor([[-1]]), torch.zeros(1, 1))
    from metarl_lab.types import Seen

    for step, (arm, paid) in enumerate([(1, 1), (0, 0)]):
        seen = Seen(torch.ones(1, 1, 1), *last, torch.tensor([[step == 0]]), step)
        _, memory = agent.act(memory, seen, torch.full((1, 1, 1), 0.5))
        last = (torch.tensor([[arm]]), torch.tensor([[float(paid)]]))
    shown = players.view([(1, 1), (0, 0)]).hidden[:, 1]
    np.testing.assert_allclose(shown, memory.hidden[0, 0].detach(), atol=1e-6)
    assert family.horizon == 10


def test_buttons_pull_turn_take_back_and_begin_again(game):
    assert game.flip.disabled and game.undo.disabled
    first = game.picture
    begun = time.process_time()
    game.arms[1].click()
    assert time.process_time() - begun < 1.0, "a redraw takes 0.15 s on an idle machine"
    (arm, paid), second = game.pulls[0], game.picture
    assert arm == 1 and second != first
    game.flip.click()
    assert game.pulls == [(1, 1 - paid)] and game.picture != second
    game.undo.click()
    assert game.pulls == [] and game.picture == first and game.undo.disabled
    game.arms[0].click()
    game.new.click()
    assert game.pulls == [] and game.number == 2


def test_nine_pulls_can_be_made_and_then_the_task_is_told(game):
    for _ in range(12):
        game.arms[0].click()
    assert len(game.pulls) == 9 and game.arms[0].disabled and "It was" in game._status.value
    game.undo.click()
    assert not game.arms[0].disabled and "It was" not in game._status.value


def test_alt_text_says_what_was_pulled_and_no_trained_number():
    assert "A paid 1 and failed 1, B paid 2 and failed 0" in describe(list(SAMPLE))


def test_more_arms_are_refused(players):
    family = ml.make_family("bernoulli_bandit", arms=3, horizon=10)
    with pytest.raises(ValueError, match="arms=2"):
        Players(players.agent, family, players.probe, {})
