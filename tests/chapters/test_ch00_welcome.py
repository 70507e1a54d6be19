"""Chapter 00: its figures and its widget."""

import time

import numpy as np
import pytest
import torch

import metarl_lab as ml
from metarl_lab.chapters.ch00_welcome import figures
from metarl_lab.chapters.ch00_welcome.widget import BanditGame, Deal, deal, play, regret_of
from metarl_lab.rollout import seeded_generator

MEANS = [0.2, 0.9, 0.5]
PLAYED = {"you": ([0, 1, 1], [0, 1, 0]), "RL2": ([2, 1, 1], [1, 1, 1])}
TOTALS = {"you": (1.0, 0.7), "RL2": (3.0, 0.4)}


def texts(axes):
    return [t.get_text() for t in axes.texts]


def test_board_shows_every_pull_every_total_and_the_best_arm():
    left, right = figures.game_board(MEANS, PLAYED, TOTALS).axes
    assert texts(left) == ["0.20", "0.90 best", "0.50"]
    assert texts(right) == list("ABB") + ["1 paid, regret 0.70"] + list("CBB") + ["3 paid, regret 0.40"]
    paid = [patch.get_facecolor()[:3] != (1, 1, 1) for patch in right.patches]
    assert paid == [False, True, False, True, True, True], "dark where it paid"
    assert [label.get_text() for label in right.get_yticklabels()] == ["you", "RL2"]
    assert left.get_xlabel() and right.get_xlabel()


def test_page_hides_what_is_not_over():
    page = figures.board_html(3, {"you": ([1], [1]), "RL2": ([], [])}, {})
    assert page.count("?") == 3 and "regret" not in page and page.count("<td") == 3 + 3 + 2
    assert 'aria-label="B, paid 1"' in page


def test_page_of_a_finished_game_says_it_all():
    page = figures.board_html(3, PLAYED, TOTALS)
    assert "?" not in page and "1 paid, regret 0.70" in page and "3 paid, regret 0.40" in page
    hidden = figures.probabilities_html(MEANS)
    assert "0.90 best" in hidden and hidden.count("best") == 1


def test_score_is_of_all_games():
    page = figures.score_html({"you": [(4.0, 1.0), (7.0, 2.0)], "RL2": [(6.0, 0.0), (6.0, 1.0)]})
    assert "mean over 2 games" in page and "<td>5.50</td><td>1.50</td>" in page and "<td>6.00</td><td>0.50</td>" in page


def test_picture_of_the_two_loops_names_its_parts():
    (axes,) = figures.meta_rl_picture().axes
    said = " ".join(texts(axes))
    assert all(word in said for word in ("task distribution", "trial", "memory", "weights", "inner loop", "outer loop"))


def test_arm_names():
    assert [figures.arm_name(int(i)) for i in np.arange(3)] == ["A", "B", "C"]


@pytest.fixture(scope="module")
def family():
    return ml.make_family("bernoulli_bandit", arms=5, horizon=10)


@pytest.fixture(scope="module")
def agents(family):
    return {name: ml.make_reference(name, family) for name in ("thompson", "bayes_optimal", "greedy")}


@pytest.fixture
def game(family, agents):
    rivals = {"Thompson": agents["thompson"], "Bayes-optimal": agents["bayes_optimal"]}
    return BanditGame(family, rivals, stand_in=agents["greedy"], name="test bandit game", seed=1)


def press(game, arms):
    for arm in arms:
        game.arms[arm].click()


class Always:
    """Pulls one arm, whatever happens; notes what it is shown."""

    shares_memory, noise_size = False, 1

    def __init__(self, arm):
        self.arm, self.shown = arm, []

    def begin(self, n_tasks, copies):
        return torch.zeros(n_tasks, copies, 1)

    def act(self, memory, seen, noise):
        self.shown.append((seen.action.clone(), seen.reward.clone(), bool(seen.start.all())))
        return torch.full_like(seen.action, self.arm), memory


def test_the_nth_pull_of_an_arm_pays_everybody_alike(family):
    games = deal(family, 50, seeded_generator("cpu", 5))
    _, rewards = play(Always(2), family, games, seeded_generator("cpu", 6))
    torch.testing.assert_close(rewards, (games.coins[:, 2] < games.means[:, [2]]).float())


def test_the_reader_is_paid_by_the_same_coins(game):
    press(game, [3, 1, 3, 3, 0, 1, 2, 4, 3, 1])
    times = [0] * 5
    for arm, paid in zip(game.pulls, game.rewards, strict=True):
        assert paid == int(game.games.coins[0, arm, times[arm]] < game.games.means[0, arm])
        times[arm] += 1


def test_an_agent_sees_its_last_pull_and_what_it_paid(family):
    agent, games = Always(1), deal(family, 3, seeded_generator("cpu", 5))
    _, rewards = play(agent, family, games, seeded_generator("cpu", 6))
    assert [start for *_, start in agent.shown] == [True] + [False] * 9
    assert (agent.shown[0][0] == -1).all() and (agent.shown[0][1] == 0).all()
    for h in range(1, 10):
        assert (agent.shown[h][0] == 1).all()
        torch.testing.assert_close(agent.shown[h][1][:, 0], rewards[:, h - 1])


def test_mean_totals_are_the_exact_ones(family, agents):
    games = deal(family, 20_000, seeded_generator("cpu", 3))
    pulls, rewards = play(agents["bayes_optimal"], family, games, seeded_generator("cpu", 4))
    error = rewards.sum(1).std() / 20_000**0.5
    assert abs(rewards.sum(1).mean() - agents["bayes_optimal"].value) < 4 * error
    # total = pulls x best mean - regret, in expectation
    expected = 10 * games.means.max(1).values.mean() - regret_of(games.means, pulls).mean()
    assert abs(rewards.sum(1).mean() - expected) < 4 * error


def test_regret_by_hand():
    means, pulls = torch.tensor([[0.2, 0.9, 0.5]]), torch.tensor([[0, 1, 2, 2]])
    torch.testing.assert_close(regret_of(means, pulls), torch.tensor([0.7 + 0 + 0.4 + 0.4]))


def test_a_game_from_first_pull_to_the_next_game(game):
    assert "Game 1" in game._status.value and not game.finished
    press(game, [0, 0, 4])
    assert f"Arm A: {sum(game.rewards[:2])} of 2" == game.arms[0].description and game.arms[1].description == "Arm B"
    assert "7 pulls left" in game._status.value and not game._hidden.value
    press(game, [4] * 7)
    assert game.finished and all(button.disabled for button in game.arms)
    assert "What was hidden" in game._hidden.value and game._board.value.count("regret") == 3
    paid, regret = game.history["you"][0]
    assert paid == sum(game.rewards)
    assert regret == pytest.approx(float(regret_of(game.games.means, torch.tensor([game.pulls]))[0]))
    press(game, [1])
    assert len(game.pulls) == 10, "no eleventh pull"
    first = game.games.means.clone()
    game.new.click()
    assert "Game 2" in game._status.value and not game.pulls and not game.arms[0].disabled
    assert not torch.equal(game.games.means, first)


def test_the_running_score_is_the_mean_over_finished_games(game):
    for _ in range(2):
        press(game, range(5))
        press(game, range(5))
        game.new.click()
    press(game, [0, 0, 0])
    game.new.click()  # left unfinished: counts for nobody
    assert [len(games) for games in game.history.values()] == [2, 2, 2]
    assert "mean over 2 games" in game._score.value
    mean = sum(paid for paid, _ in game.history["you"]) / 2
    assert f"<td>{mean:.2f}</td>" in game._score.value


def test_rivals_roll_new_dice_in_each_game_and_a_seed_fixes_all(family):
    class Dice(Always):
        def act(self, memory, seen, noise):
            return (noise[..., 0] * 5).long(), memory

    def boards(seed):
        game = BanditGame(family, {"dice": Dice(0)}, stand_in=Dice(0), name="test dice", seed=seed)
        seen = []
        for _ in range(2):
            press(game, [0] * 10)
            seen.append(game._board.value)
            game.new.click()
        return seen, game.history["dice"]

    (first, second), history = boards(7)
    assert first != second
    assert boards(7)[1] == history and boards(8)[1] != history


def test_a_pull_answers_at_once(game):
    spent = []
    for arm in [0, 1, 2, 3, 4] * 2:
        start = time.process_time()
        game.arms[arm].click()
        spent.append(time.process_time() - start)
    assert max(spent) < 0.2, spent  # seconds of CPU, the last with all rivals' games


def test_output_holds_the_widget_and_a_finished_sample_game(game, monkeypatch):
    sent = {}
    monkeypatch.setattr("IPython.display.display", lambda data, metadata, raw: sent.update(data))
    game.show()
    assert sent["application/vnd.jupyter.widget-view+json"]["model_id"] == game.widget.model_id
    assert sent["image/png"].startswith(b"\x89PNG")
    assert "you (here greedy) pulled" in sent["text/html"] and "Bayes-optimal pulled" in sent["text/html"]
    plain = sent["text/plain"]
    assert plain == ("[game] 5 arms, 10 pulls, against Thompson, Bayes-optimal. Shown: a finished sample game.")


def test_the_test_split_is_dealt(family):
    games = deal(family, 100, seeded_generator("cpu", 1))
    assert isinstance(games, Deal) and games.coins.shape == (100, 5, 10)
    assert ((games.means * 2**24).long() % 4 == 1).all(), "arms of the test split only"
