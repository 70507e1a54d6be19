"""The widget of chapter 08, driven by its buttons as a reader drives it."""

import time

import numpy as np
import pytest
import torch

import metarl_lab as ml
from metarl_lab.ops.probe import Probe
from metarl_lab.widgets.rl2 import SAMPLE, Players, PullAndWatch, describe, first_is_larger


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
