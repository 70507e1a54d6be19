"""Chapter 00: answers to its exercises, the games and how they are played, its figures and its widget."""

import numpy as np
import pandas as pd
import pytest
import torch
from answers import Answers, Wrong, answer_tests

import metarl_lab as ml
from metarl_lab.chapters.ch00_welcome import exercises, figures, games
from metarl_lab.chapters.ch00_welcome.widget import ArmGame, picture, play_rivals
from metarl_lab.exact.informative_bandit import search_value, solve_informative
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.types import Seen

SEARCH = """
def never_asking(pulls, machines, jackpot, other):
    total = 0
    for n in range(1, {upto}):
        total += ({first} + {then}) / machines
    return total + {rest}
"""
PLAYER = """
def next_machine(history, numbers):
    {first}
    for name, paid in history:
        if name == "?":
            return str({named})
    {otherwise}
"""


def search(upto="pulls + 1", first="(n - 1) * other", then="(pulls - n + 1) * jackpot", rest="REST"):
    rest = rest.replace("REST", "(machines - pulls) / machines * pulls * other")
    return SEARCH.format(upto=upto, first=first, then=then, rest=rest)


def player(first="pass", named="round(paid * numbers)", otherwise='return "?"'):
    return PLAYER.format(first=first, named=named, otherwise=otherwise)


NEVER_ASKS = """
def next_machine(history, numbers):
    for name, paid in history:
        if paid > 1:
            return name
    return str(len(history) + 1)
"""

test_answers = answer_tests(
    "00",
    {
        "00.1": Answers(
            right=(
                search(),
                "def never_asking(pulls, machines, jackpot, other):\n    n = np.arange(1, machines + 1)\n"
                "    found = (n - 1) * other + (pulls - n + 1) * jackpot\n"
                "    return np.where(n <= pulls, found, pulls * other).mean()",
                "def never_asking(pulls, machines, jackpot, other):\n    n = torch.arange(1.0, pulls + 1)\n"
                "    gain = ((pulls - n + 1) * (jackpot - other)).sum() / machines\n    return pulls * other + gain",
                "def never_asking(pulls, machines, jackpot, other):\n    if pulls == 0:\n        return 0\n"
                "    def value(left, u):\n        if left == 0:\n            return 0\n"
                "        miss = other + value(left - 1, u - 1) if u > 1 else 0\n"
                "        return left * jackpot / u + (1 - 1 / u) * miss\n    return value(pulls, machines)",
            ),
            wrong=(
                Wrong(search(rest="0"), "never found are missing"),
                Wrong(search(then="jackpot"), "count it once"),
                Wrong(search(first="0"), "before the jackpot is found pay too"),
                Wrong(
                    "never_asking = lambda pulls, machines, jackpot, other: "
                    "pulls * (jackpot + (machines - 1) * other) / machines",
                    "stay with the jackpot",
                ),
                Wrong(search(then="(pulls - n) * jackpot"), "One pull too few"),
                Wrong(
                    "never_asking = lambda pulls, machines, jackpot, other: "
                    "(pulls - 1) * jackpot + (machines + 1) / 2 / machines",
                    "That is asking",
                ),
            ),
            looks_right=(
                "never_asking = lambda pulls, machines, jackpot, other: 11.0",
                search(upto="6"),
                search(rest="0.5 * pulls * other"),
                search(first="(n - 1)", rest="(machines - pulls) / machines * pulls"),
            ),
        ),
        "00.2": Answers(
            right=(
                "regret = lambda means, pulls: (means.max() - means[pulls]).sum()",
                "def regret(means, pulls):\n    means = torch.as_tensor(means)\n"
                "    return (means.max() - means[pulls]).sum(dim=0)",
                "def regret(means, pulls):\n    total = 0.0\n"
                "    for pull in pulls:\n        total += max(means) - means[pull]\n"
                "    return total",
                "regret = lambda means, pulls: len(pulls) * np.max(means) - np.sum(np.take(means, pulls))",
            ),
            wrong=(
                Wrong("regret = lambda means, pulls: means[pulls].sum()", "not what was missed"),
                Wrong("regret = lambda means, pulls: (means[pulls] - means.max()).sum()", "sign is turned"),
                Wrong("regret = lambda means, pulls: (means.max() - means[pulls]).mean()", "regret per pull"),
                Wrong("regret = lambda means, pulls: (means[pulls].max() - means[pulls]).sum()", "best of all"),
                Wrong("regret = lambda means, pulls: (means.mean() - means[pulls]).sum()", "average machine"),
                Wrong(
                    "regret = lambda means, pulls: (means.max() - means[list(set(pulls))]).sum()", "as often as each"
                ),
            ),
            looks_right=(
                "regret = lambda means, pulls: (0.9 - means[pulls]).sum()",
                "regret = lambda means, pulls: (means.max() - means[pulls[:4]]).sum()",
                "regret = lambda means, pulls: (means[1] - means[pulls]).sum()",
                "regret = lambda means, pulls: abs(means[1] - means[pulls]).sum()",
            ),
        ),
        "00.3": Answers(
            right=(
                "try_first = lambda p: 0.5 + (max(p, 2 / 3) + max(p, 1 / 3)) / 2",
                "try_first = lambda p: 0.5 + np.mean(np.maximum(p, [2 / 3, 1 / 3]))",
                "try_first = lambda p: 0.5 + torch.tensor([2 / 3, 1 / 3]).clamp(min=p).mean()",
                "def try_first(p):\n    if p < 1 / 3:\n        return 1.0\n"
                "    if p < 2 / 3:\n        return 0.5 + 1 / 3 + p / 2\n"
                "    return 0.5 + p",
            ),
            wrong=(
                Wrong("try_first = lambda p: 0.5 + max(p, 0.5)", "choose once for both outcomes"),
                Wrong("try_first = lambda p: 1.0", "always stay"),
                Wrong("try_first = lambda p: 0.5 + p", "always go back"),
                Wrong("try_first = lambda p: 0.5 * max(p, 2 / 3) + 0.5 * max(p, 1 / 3)", "only the second"),
                Wrong("try_first = lambda p: 0.5 + max(p, 2 / 3) + max(p, 1 / 3)", "without"),
                Wrong("try_first = lambda p: 1.0 + 0.5 * p", "2/3, not 1"),
            ),
            looks_right=(
                "try_first = lambda p: 0.5 + 1 / 3 + p / 2",
                "try_first = lambda p: 1.0833333333333333",
                "try_first = lambda p: max(1.0833, 0.5 + p)",
            ),
        ),
        "00.4": Answers(
            right=(
                player(),
                "def next_machine(history, numbers):\n    if not history:\n        return '?'\n"
                "    return f'{history[0][1] * numbers:.0f}'",
                "def next_machine(history, numbers):\n    said = dict(history)\n"
                "    return str(int(np.rint(said['?'] * numbers))) if '?' in said else '?'",
                "def next_machine(history, numbers):\n    for name, paid in history:\n        if paid > 1:\n"
                "            return name\n    return str(int(history[-1][1] * numbers + 0.5)) if history else '?'",
            ),
            wrong=(
                Wrong(NEVER_ASKS, "never ask"),
                Wrong("next_machine = lambda history, numbers: '?'", "more than once"),
                Wrong(player(first="if not history:\n        return '1'"), "ask late"),
                Wrong(player(named="round(paid * numbers) - 1 or 1"), "beside the one that was named"),
                # the last machine makes the question mark pay 1, as much as any that is no jackpot
                Wrong(player(named="round(paid * numbers) if paid < 1 else 1"), "do not go to the machine that was"),
                Wrong(
                    "def next_machine(history, numbers):\n    for name, paid in history:\n"
                    "        if name == '?' and paid < 1:\n            return str(round(paid * numbers))\n"
                    "    return '?'",
                    "more than once",
                ),
                Wrong(player(named="round(paid * numbers) if len(history) < 2 else 1"), "leave the jackpot"),
                Wrong("next_machine = lambda history, numbers: 99", "give the name of a machine"),
            ),
            looks_right=(
                player(named="round(paid * 10)"),
                player(named="int(paid * numbers)"),
                player(named="min(round(paid * numbers), 9)"),
            ),
        ),
    },
)


# The games.


@pytest.fixture(scope="module")
def jackpots():
    return games.jackpot_rules()


@pytest.fixture(scope="module")
def coins():
    return games.coin_rules()


def references(rules, *names):
    return {name: ml.make_reference(name, rules.family) for name in names}


def test_the_numbers_of_the_worked_example():
    assert games.never_asking() == pytest.approx(11.0) == pytest.approx(search_value(11, 5))
    assert exercises.never_asking(5, 10, 5, 1) == pytest.approx(11.0)
    assert solve_informative(11, 5).value == pytest.approx(20.55)
    assert exercises.never_asking(3, 8, 4.0, 0.5) == pytest.approx(search_value(9, 3, 4.0, 0.5))


def test_no_rule_that_never_asks_does_better_than_eleven():
    """Whatever the order in which untried machines are tried, and wherever one stays: by trying all of a small game."""
    best = {}

    def value(tried, left, machines=4):
        if left == 0:
            return 0.0
        options = []
        for machine in range(machines):
            if machine in tried:
                continue
            u = machines - len(tried)
            options.append(left * 5 / u + (1 - 1 / u) * (1 + value((*tried, machine), left - 1)))
        options.append(left * 1.0)  # stay with one that pays 1
        best[tried, left] = max(options)
        return best[tried, left]

    assert value((), 3) == pytest.approx(games.never_asking(pulls=3, machines=4))


@pytest.mark.parametrize("which", ["jackpots", "coins"])
def test_playing_many_games_is_the_packages_rollout(which, request):
    """Mean totals agree with `collect` of the family itself, which draws its own luck."""
    rules = request.getfixturevalue(which)
    agent = references(rules, "bayes_optimal")["bayes_optimal"]
    dealt = rules.deal(20_000, seeded_generator("cpu", 3, 1))
    _, pay = games.play_many(agent, rules, dealt, seeded_generator("cpu", 4, 1))
    tasks = rules.family.sample_tasks(20_000, "test", seeded_generator("cpu", 5, 1))
    acted, _ = collect(agent, rules.family, tasks, begin(agent, rules.family, tasks, 1), seeded_generator("cpu", 6, 1))
    ours, theirs = pay.sum(1), acted.returns[:, 0, 0]
    error = ((ours.var() + theirs.var()) / 20_000) ** 0.5
    assert abs(ours.mean() - theirs.mean()) < 4 * error
    assert abs(ours.mean() - agent.value) < 4 * error


class Always:
    """Pulls one machine, whatever happens; notes what it is shown."""

    shares_memory, noise_size = False, 1

    def __init__(self, machine):
        self.machine, self.shown = machine, []

    def begin(self, n_tasks, copies):
        return torch.zeros(n_tasks, copies, 1)

    def act(self, memory, seen, noise):
        self.shown.append((seen.action.clone(), seen.reward.clone(), bool(seen.start.all())))
        return torch.full_like(seen.action, self.machine), memory + 1


def test_the_nth_pull_of_a_machine_pays_everybody_alike(coins):
    dealt = coins.deal(50, seeded_generator("cpu", 5))
    _, pay = games.play_many(Always(2), coins, dealt, seeded_generator("cpu", 6))
    torch.testing.assert_close(pay, (dealt.coins[:, 2] < dealt.chance[:, [2]]).float())


def test_an_agent_sees_its_last_pull_and_what_it_paid(coins):
    agent, dealt = Always(1), coins.deal(3, seeded_generator("cpu", 5))
    _, pay = games.play_many(agent, coins, dealt, seeded_generator("cpu", 6))
    assert [start for *_, start in agent.shown] == [True] + [False] * 9
    assert (agent.shown[0][0] == -1).all() and (agent.shown[0][1] == 0).all()
    for h in range(1, 10):
        assert (agent.shown[h][0] == 1).all()
        torch.testing.assert_close(agent.shown[h][1][:, 0], pay[:, h - 1])


def test_one_game_by_names_is_the_same_game(jackpots):
    agent = references(jackpots, "bayes_optimal")["bayes_optimal"]
    for jackpot in range(1, 11):
        game, one = games.jackpot_game(jackpot), games.Player(agent, jackpots)
        memory, machine, paid, said = one.begin(), None, 0.0, []
        for pull in range(5):
            machine, memory = one.act(memory, machine, paid, pull)
            paid = game.pull(machine)
            said.append((machine, paid))
        assert said == [("?", jackpot / 10)] + 4 * [(str(jackpot), 5.0)]
    with pytest.raises(ValueError, match="no machine is called '11'"):
        games.jackpot_game(3).pull("11")


def test_the_jackpot_pays_five_the_mark_a_tenth_and_all_others_one(jackpots):
    dealt = jackpots.deal(200, seeded_generator("cpu", 1))
    for row in dealt.high:
        (jackpot,) = (row[:10] == 5).nonzero().flatten().tolist()
        assert row[10].item() == pytest.approx((jackpot + 1) / 10) and (row[:10] == 1).sum() == 9
    changed = jackpots.deal(200, seeded_generator("cpu", 1), split="ood")
    named = (changed.high[:, 10] * 10).round().long() - 1
    assert (named == (changed.high[:, :10].argmax(1) + 1) % 10).all()


def test_a_tournament_has_every_player_on_the_same_games(coins):
    players = references(coins, "random", "bayes_optimal")
    found = games.tournament(players, coins, 4000)
    assert list(found.table.index) == ["random", "bayes_optimal"]
    for name, row in found.table.iterrows():
        totals = found.totals[name]
        assert row.total == pytest.approx(totals.mean()) and row.low < row.total < row.high
        assert row.high - row.total == pytest.approx(1.96 * totals.std() / 4000**0.5, rel=0.01)
        last = found.by_pull[(found.by_pull.learner == name) & (found.by_pull.x == 10)]
        assert last["low"].item() < last["mean"].item() < last["high"].item()
    # total = pulls x best mean - regret, in expectation
    dealt = coins.deal(4000, seeded_generator("cpu", 0, 1))
    assert found.table.total["random"] == pytest.approx(5, abs=0.15)
    best = 10 * dealt.chance.max(1).values.mean().item()
    expected = best - found.table.regret["bayes_optimal"]
    assert found.table.total["bayes_optimal"] == pytest.approx(expected, abs=0.1)


def test_regret_by_hand():
    dealt = games.Deal(torch.tensor([[0.2, 0.9, 0.5]]), torch.ones(1, 3), torch.zeros(1, 3, 4))
    torch.testing.assert_close(games.regret_of(dealt, torch.tensor([[0, 1, 2, 2]])), torch.tensor([1.5]))


def test_what_rl2_misses_with_its_second_pull_is_a_neighbour(jackpots):
    """The text says so: 0.7 and 0.8 are close together for a network."""
    rl2, _, _ = ml.load("data/checkpoints/rl2-informative_bandit")
    dealt = jackpots.deal(5000, seeded_generator("cpu", 1))
    pulls, _ = games.play_many(rl2, jackpots, dealt, seeded_generator("cpu", 2))
    jackpot = dealt.high[:, :10].argmax(1)
    missed = pulls[:, 1] != jackpot
    near = ((pulls[:, 1] - jackpot).abs() == 1)[missed]
    assert (pulls[:, 0] == 10).all() and 0.005 < missed.float().mean() < 0.05 and near.float().mean() > 0.8


# Figures.


def texts(axes):
    return [t.get_text() for t in axes.texts]


NAMES, HIDDEN = ("A", "B", "C"), np.array([0.2, 0.9, 0.5])
PLAYED = {"you": ([0, 1, 1], [0.0, 1.0, 0.0]), "RL2": ([2, 1, 1], [1.0, 1.0, 1.0])}
ENDS = {"you": "1 in all", "RL2": "3 in all"}


def test_the_board_shows_every_pull_every_total_and_the_best_machine():
    left, right = figures.board(NAMES, HIDDEN, "mean pay", PLAYED, ENDS, most=1.0).axes
    assert texts(left) == ["0.20", "0.90 best", "0.50"]
    assert texts(right) == ["A", "0", "B", "1", "B", "0", "1 in all", "C", "1", "B", "1", "B", "1", "3 in all"]
    paid = [patch.get_facecolor()[:3] != (1, 1, 1) for patch in right.patches]
    assert paid == [False, True, False, True, True, True], "dark where it paid"
    assert [label.get_text() for label in right.get_yticklabels()] == ["you", "RL2"]
    assert left.get_xlabel() and right.get_xlabel()


def test_three_shades_tell_the_most_from_something_and_from_nothing():
    assert len({figures.shade(5.0, 5.0), figures.shade(0.7, 5.0), figures.shade(0.0, 5.0)}) == 3
    assert [figures.paid_word(x) for x in (5.0, 1.0, 0.0, 0.7, 20.9)] == ["5", "1", "0", "0.7", "20.9"]


def test_a_page_hides_the_rivals_until_the_game_is_over():
    page = figures.board_html(NAMES, 3, {"you": ([1], [1.0]), "RL2": ([], [])}, {}, 1.0)
    assert page.count("?") == 3 and 'aria-label="B, paid 1"' in page and "in all" not in page
    page = figures.board_html(NAMES, 3, PLAYED, ENDS, 1.0)
    assert "?" not in page and page.count("in all") == 2 and page.count("<td") == 8
    hidden = figures.hidden_html(NAMES, HIDDEN, "mean pay")
    assert hidden.count("best") == 1 and "0.90 best" in hidden
    assert "<td>4.50</td>" in figures.score_html({"you": [4.0, 5.0], "RL2": [6.0, 6.0]})


def test_both_loops_are_named_and_every_arrow_says_what_flows():
    (axes,) = figures.two_loops().axes
    said = " ".join(texts(axes))
    for word in (
        "inner loop",
        "outer loop",
        "memory",
        "weights",
        "thrown away",
        "was it a\ngood game?",
        "how to\nremember",
    ):
        assert word in said, word


def test_bars_stand_between_their_anchors_with_intervals():
    table = pd.DataFrame({"total": [6.6, 20.4], "low": [6.5, 20.3], "high": [6.7, 20.5]}, index=["random", "rl2"])
    ax = figures.totals(table, {"never asking": 11.0}, "total")
    assert [t.get_text() for t in ax.get_yticklabels()] == ["random play", "RL2"]
    assert "never asking" in texts(ax) and [bar.get_width() for bar in ax.patches] == [6.6, 20.4]


# The widget.


@pytest.fixture
def game(coins):
    agents = references(coins, "thompson", "bayes_optimal", "greedy")
    rivals = {"Thompson": agents["thompson"], "perfect play": agents["bayes_optimal"]}
    return ArmGame(coins, rivals, ("greedy", agents["greedy"]), name="test bandit game", seed=1)


def press(game, machines):
    for machine in machines:
        game.arms[machine].click()


def test_the_reader_is_paid_by_the_same_coins(game):
    press(game, [3, 1, 3, 3, 0, 1, 2, 4, 3, 1])
    times = [0] * 5
    for machine, paid in zip(game.pulls, game.pay, strict=True):
        assert paid == float(game.deal.coins[0, machine, times[machine]] < game.deal.chance[0, machine])
        times[machine] += 1


def test_a_game_from_first_pull_to_the_next_game(game):
    assert "Game 1" in game._status.value and not game.finished
    press(game, [0, 0, 4])
    assert f"A: {sum(game.pay[:2]):.0f} of 2" == game.arms[0].description and game.arms[1].description == "B"
    assert "7 pulls left" in game._status.value and not game._hidden.value
    press(game, [4] * 7)
    assert game.finished and all(button.disabled for button in game.arms)
    assert "What was hidden" in game._hidden.value and game._board.value.count("in all") == 3
    assert game.history["you"] == [sum(game.pay)]
    press(game, [1])
    assert len(game.pulls) == 10, "no eleventh pull"
    first = game.deal.chance.clone()
    game.new.click()
    assert "Game 2" in game._status.value and not game.pulls and not game.arms[0].disabled
    assert not torch.equal(game.deal.chance, first)


def test_the_running_score_is_the_mean_over_finished_games(game):
    for _ in range(2):
        press(game, range(5))
        press(game, range(5))
        game.new.click()
    press(game, [0, 0, 0])
    game.new.click()  # left unfinished: counts for nobody
    assert [len(totals) for totals in game.history.values()] == [2, 2, 2]
    assert f"<td>{np.mean(game.history['you']):.2f}</td>" in game._score.value


def test_the_question_mark_is_a_button_and_pays_what_the_deal_says(jackpots):
    agents = references(jackpots, "bayes_optimal", "random")
    rivals = {"perfect play": agents["bayes_optimal"]}
    game = ArmGame(jackpots, rivals, ("random play", agents["random"]), name="test jackpot game", seed=2)
    assert [button.description for button in game.arms] == [*map(str, range(1, 11)), "?"]
    press(game, [10, 0, 1, 2, 3])
    assert game.pay[0] == pytest.approx(float(game.deal.high[0, 10])) and "perfect play" in game._score.value
    assert game.history["perfect play"][0] == pytest.approx(20 + game.pay[0])


def test_the_stored_picture_says_what_it_shows(coins):
    agents = references(coins, "greedy", "bayes_optimal")
    deal = coins.deal(1, seeded_generator("cpu", 4))
    played = play_rivals(coins, {"greedy": agents["greedy"]}, deal, 4)
    page, png = picture(coins, deal, played)
    assert "greedy pulled" in page and "Mean pay of the machines: A " in page and png.startswith(b"\x89PNG")


def test_in_the_changed_world_the_question_mark_names_the_machine_after_the_jackpot():
    rl2, _, _ = ml.load("data/checkpoints/rl2-informative_bandit")
    table = games.changed_world(rl2, 2000)
    assert table.named.to_dict() == {jackpot: jackpot % 10 + 1 for jackpot in range(1, 11)}
    assert ((table >= 0).all().all()) and (table[["goes there", "again", "finds it"]] <= 1).all().all()
    assert table.total.mean() < 11 and (table["goes there"] > 0.8).all()
    # who never meets the jackpot collects 1 with each pull but the question
    poor = table[table["finds it"] < 0.02]
    assert len(poor) and (abs(poor.total - (poor.named / 10 + 4)) < 0.3).all()


def test_a_classic_rule_weighs_what_a_machine_paid_itself_and_how_often_it_was_tried():
    def choice(c):
        agent = games.ByItsOwnPay(2, c, 0.5)
        memory = torch.tensor([[[[2.0, 3.0], [1.0, 1.0]]]])  # means 1.5 and 1; bonuses of 1.048 and 1.482 at c = 1
        nothing = Seen(torch.ones(1, 1, 1), torch.tensor([[-1]]), torch.zeros(1, 1), torch.tensor([[False]]), 3)
        return int(agent.act(memory, nothing, torch.zeros(1, 1, 1))[0])

    assert [choice(c) for c in (0.0, 1.0, 2.0)] == [0, 0, 1]


def test_greedy_stays_with_the_first_machine_that_pays_one_and_ucb1_tries_five(jackpots):
    dealt = jackpots.deal(3000, seeded_generator("cpu", 3))
    rules = games.classic_rules(jackpots)
    pulls, pay = games.play_many(rules["greedy"], jackpots, dealt, seeded_generator("cpu", 4))
    stays = pay[:, 0] >= 0.6  # more than the half that an untried machine counts
    leaves = pay[:, 0] < 0.45
    assert (pulls[stays] == pulls[stays][:, :1]).all() and not (pulls[leaves][:, 1] == pulls[leaves][:, 0]).any()
    pulls, _ = games.play_many(rules["ucb1"], jackpots, dealt, seeded_generator("cpu", 4))
    assert all(len(set(row)) == 5 for row in pulls.tolist())


def test_exact_totals_are_those_that_the_players_earn(coins):
    exact = games.exact_totals()
    small = ml.make_reference("ucb1", coins.family, c=0.2, pseudo_counts=1.0)
    players = {"greedy": references(coins, "greedy")["greedy"], "UCB1, a fifth of the bonus": small}
    found = games.tournament(players, coins, 20_000)
    for name, row in found.table.iterrows():
        assert row.total == pytest.approx(exact[name], abs=4 * row.spread / 20_000**0.5)
    mean, low, high = games.paired(found.totals, *players)
    assert mean == pytest.approx((found.totals["greedy"] - found.totals["UCB1, a fifth of the bonus"]).mean())
    width = 2 * 1.96 * (found.totals["greedy"] - found.totals["UCB1, a fifth of the bonus"]).std() / 20_000**0.5
    assert low < mean < high and high - low == pytest.approx(width, rel=0.01)


def test_rl2_without_the_bonus_for_variety_gave_up_asking():
    table = games.without_variety()
    assert len(table) == 3 and (table["asks"] < 0.001).all()
    sigma = (table.high - table.low) / (2 * 1.96)
    assert (abs(table.total - games.never_asking()) < 4 * sigma).all()
