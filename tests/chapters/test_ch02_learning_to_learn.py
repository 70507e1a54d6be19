"""Chapter 02: answers to its exercises, its experiments, its figures and its widget."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from answers import Answers, Wrong, answer_tests
from pages import of_page

import metarl_lab as ml
from metarl_lab.chapters.ch02_learning_to_learn import experiments, figures
from metarl_lab.chapters.ch02_learning_to_learn.figures import side_by_side
from metarl_lab.chapters.ch02_learning_to_learn.widget import LAST, memory_stepper, record_gradient, record_recurrent
from metarl_lab.rollout import seeded_generator

MOMENTS = 12

test_answers = answer_tests(
    "02",
    {
        "02.1": Answers(
            right=(
                """
                def absorb_counts(counts, action, reward):
                    new = counts.clone()
                    for arm, paid in zip(action, reward):
                        new[arm, 0] += paid
                        new[arm, 1] += 1 - paid
                    return new
                """,
                """
                def absorb_counts(counts, action, reward):
                    pulled = torch.nn.functional.one_hot(action, len(counts)).to(counts)  # (N, k)
                    return counts + torch.einsum("nk,no->ko", pulled, torch.stack((reward, 1 - reward), dim=1))
                """,
                """
                def absorb_counts(counts, action, reward):
                    arms = len(counts)
                    paid = np.bincount(action, weights=reward, minlength=arms)
                    pulls = np.bincount(action, minlength=arms)
                    return counts + np.column_stack([paid, pulls - paid])
                """,
                """
                def absorb_counts(counts, action, reward):
                    new = [[float(paid), float(failed)] for paid, failed in counts]
                    for arm, paid in zip(action.tolist(), reward.tolist()):
                        new[arm][0 if paid else 1] += 1
                    return new
                """,
                """
                def absorb_counts(counts, action, reward):
                    return counts.index_add(0, action, torch.stack([reward, 1 - reward], dim=-1))
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def absorb_counts(counts, action, reward):
                        new = np.zeros_like(counts)
                        np.add.at(new, action, np.stack((reward, 1 - reward), 1))
                        return new
                    """,
                    "forget what came before",
                ),
                Wrong(
                    """
                    def absorb_counts(counts, action, reward):
                        new = np.array(counts)
                        np.add.at(new, action, np.stack((1 - reward, reward), 1))
                        return new
                    """,
                    "columns are swapped",
                ),
                Wrong(
                    """
                    def absorb_counts(counts, action, reward):
                        new = np.array(counts)
                        np.add.at(new, action, np.stack((reward, np.ones_like(reward)), 1))
                        return new
                    """,
                    "counts pulls",
                ),
                Wrong(
                    """
                    def absorb_counts(counts, action, reward):
                        new = np.array(counts)
                        np.add.at(new[:, 0], action, reward)
                        return new
                    """,
                    "failures are missing",
                ),
                Wrong(
                    """
                    def absorb_counts(counts, action, reward):
                        new = np.array(counts)
                        new[action[-1]] += [reward[-1], 1 - reward[-1]]
                        return new
                    """,
                    "Only the last pull",
                ),
                Wrong(
                    """
                    def absorb_counts(counts, action, reward):
                        new = np.array(counts)
                        new[action] += np.stack((reward, 1 - reward), 1)
                        return new
                    """,
                    "Repeated pulls of one arm",
                ),
                Wrong("absorb_counts = lambda counts, action, reward: counts", "Nothing was absorbed"),
            ),
            looks_right=(
                # three arms, hard-coded
                """
                def absorb_counts(counts, action, reward):
                    new = np.array(counts)
                    for arm in range(3):
                        new[arm] += [reward[action == arm].sum(), (1 - reward)[action == arm].sum()]
                    return new
                """,
                # five pulls, hard-coded
                """
                def absorb_counts(counts, action, reward):
                    new = np.array(counts)
                    for n in range(5):
                        new[action[n]] += [reward[n], 1 - reward[n]]
                    return new
                """,
                # the first pull is left out
                """
                def absorb_counts(counts, action, reward):
                    new = np.array(counts)
                    np.add.at(new, action[1:], np.stack((reward, 1 - reward), 1)[1:])
                    return new
                """,
            ),
        ),
        "02.2": Answers(
            right=(
                "changes = lambda batches, episodes, steps: (batches, batches * episodes * steps, 0)",
                "changes = lambda batches, episodes, steps: np.array([1, episodes * steps, 0]) * batches",
                "changes = lambda batches, episodes, steps: torch.tensor([batches, batches * episodes * steps, 0])",
                """
                def changes(batches, episodes, steps):
                    maml = rl2 = 0
                    for batch in range(batches):
                        for episode in range(episodes):
                            for step in range(steps):
                                rl2 += 1
                        maml += 1
                    return [maml, rl2, 0]
                """,
            ),
            wrong=(
                Wrong(
                    "changes = lambda batches, episodes, steps: [batches * episodes * steps] * 2 + [0]",
                    "not change at every step",
                ),
                Wrong(
                    "changes = lambda batches, episodes, steps: [batches * episodes, batches * episodes * steps, 0]",
                    "not change at every episode",
                ),
                Wrong("changes = lambda batches, episodes, steps: [batches, batches, 0]", "not once per batch"),
                Wrong(
                    "changes = lambda batches, episodes, steps: [batches, batches * episodes, 0]",
                    "not once per episode",
                ),
                Wrong(
                    "changes = lambda batches, episodes, steps: [batches, episodes * steps, 0]", "one batch of RL2's"
                ),
                Wrong("changes = lambda batches, episodes, steps: [batches, steps, 0]", "one episode of RL2's"),
                Wrong(
                    "changes = lambda batches, episodes, steps: [batches, batches * episodes * steps, steps]",
                    "carries nothing",
                ),
                Wrong(
                    "changes = lambda batches, episodes, steps: [batches - 1, batches * episodes * steps, 0]",
                    "last batch too",
                ),
            ),
            looks_right=(
                "changes = lambda batches, episodes, steps: [3, 600, 0]",
                "changes = lambda batches, episodes, steps: [batches, 2 * batches * steps, 0]",
                "changes = lambda batches, episodes, steps: [batches, batches * episodes * steps - 1, 0]",
            ),
        ),
        "02.3": Answers(
            right=(
                """
                def adaptation_gain(per_task):
                    each = torch.diff(per_task[:, [0, -1]], dim=1).squeeze(1)
                    return torch.stack((each.mean(), each.std() / len(each) ** 0.5))
                """,
                """
                def adaptation_gain(per_task):
                    import statistics
                    each = [float(row[-1] - row[0]) for row in per_task]
                    return statistics.mean(each), statistics.stdev(each) / math.sqrt(len(each))
                """,
                """
                def adaptation_gain(per_task):
                    from scipy import stats
                    each = np.asarray(per_task)[:, -1] - np.asarray(per_task)[:, 0]
                    return [np.mean(each), stats.sem(each)]
                """,
                """
                def adaptation_gain(per_task):
                    n, gain = len(per_task), (per_task[:, -1] - per_task[:, 0]).mean()
                    squares = ((per_task[:, -1] - per_task[:, 0] - gain) ** 2).sum()
                    return np.array([gain, np.sqrt(squares / (n - 1) / n)])
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def adaptation_gain(per_task):
                        each = per_task[:, 0] - per_task[:, -1]
                        return each.mean(), each.std(ddof=1) / np.sqrt(len(each))
                    """,
                    "sign is reversed",
                ),
                Wrong(
                    """
                    def adaptation_gain(per_task):
                        first, last = per_task[:, 0], per_task[:, -1]
                        spread = np.sqrt(first.var(ddof=1) + last.var(ddof=1))
                        return (last - first).mean(), spread / np.sqrt(len(first))
                    """,
                    "the same ones",
                ),
                Wrong(
                    """
                    def adaptation_gain(per_task):
                        each = per_task[:, -1] - per_task[:, 0]
                        return each.mean(), each.std(ddof=1)
                    """,
                    "standard deviation",
                ),
                Wrong(
                    """
                    def adaptation_gain(per_task):
                        each = per_task[:, -1] - per_task[:, 0]
                        return each.mean(), each.std() / np.sqrt(len(each))
                    """,
                    "ddof=1",
                ),
                Wrong(
                    """
                    def adaptation_gain(per_task):
                        each = per_task[:, 1] - per_task[:, 0]
                        return each.mean(), each.std(ddof=1) / np.sqrt(len(each))
                    """,
                    "first absorb only",
                ),
                Wrong(
                    """
                    def adaptation_gain(per_task):
                        each = per_task[:, -1] - per_task[:, -2]
                        return each.mean(), each.std(ddof=1) / np.sqrt(len(each))
                    """,
                    "last absorb only",
                ),
                Wrong("adaptation_gain = lambda per_task: (per_task[:, -1] - per_task[:, 0]).mean()", "shape"),
            ),
            looks_right=(
                # four tasks, hard-coded
                """
                def adaptation_gain(per_task):
                    each = per_task[:, -1] - per_task[:, 0]
                    return each.mean(), each.std(ddof=1) / 2
                """,
                # three batches, hard-coded
                """
                def adaptation_gain(per_task):
                    each = per_task[:, 2] - per_task[:, 0]
                    return each.mean(), each.std(ddof=1) / np.sqrt(len(each))
                """,
                # over batches in place of tasks
                """
                def adaptation_gain(per_task):
                    each = per_task[-1] - per_task[0]
                    return each.mean(), each.std(ddof=1) / np.sqrt(len(each))
                """,
            ),
        ),
        "02.4": Answers(
            right=(
                """
                def seen_at_starts(action, reward):
                    seen = [(-1, 0.0)]
                    for k in range(1, len(action)):
                        seen.append((action[k - 1][-1], reward[k - 1][-1]))
                    return seen
                """,
                """
                def seen_at_starts(action, reward):
                    before = torch.tensor([[-1.0, 0.0]]).to(reward)
                    last = torch.stack((action[:-1, -1].to(reward), reward[:-1, -1]), dim=1)
                    return torch.cat((before, last), dim=0)
                """,
                """
                def seen_at_starts(action, reward):
                    seen = np.roll(np.stack([action[:, -1], reward[:, -1]], axis=-1), 1, axis=0)
                    seen[0] = -1, 0
                    return seen
                """,
                """
                def seen_at_starts(action, reward):
                    seen = np.empty((len(action), 2))
                    seen[1:, 0], seen[1:, 1] = action[:-1, -1], reward[:-1, -1]
                    seen[0] = (-1, 0)
                    return seen
                """,
            ),
            wrong=(
                Wrong(
                    "seen_at_starts = lambda action, reward: np.tile([-1.0, 0.0], (len(action), 1))", "the reset bug"
                ),
                Wrong(
                    "seen_at_starts = lambda action, reward: np.stack((action[:, -1], reward[:, -1]), 1)",
                    "not happened yet",
                ),
                Wrong(
                    """
                    def seen_at_starts(action, reward):
                        return np.roll(np.stack((action[:, -1], reward[:, -1]), 1), 1, 0)
                    """,
                    "cross trials",
                ),
                Wrong(
                    """
                    def seen_at_starts(action, reward):
                        first = np.stack((action[:, 0], reward[:, 0]), 1)
                        return np.concatenate(([[-1, 0]], first[:-1]))
                    """,
                    "take its last",
                ),
                Wrong(
                    """
                    def seen_at_starts(action, reward):
                        return np.stack((np.r_[-1, action[:-1, -1]], np.zeros(len(action))), 1)
                    """,
                    "last reward is lost",
                ),
                Wrong(
                    """
                    def seen_at_starts(action, reward):
                        last = np.stack((action[:, -1], reward[:, -1]), 1)
                        return np.concatenate(([[0, 0]], last[:-1]))
                    """,
                    "no last action",
                ),
                Wrong(
                    """
                    def seen_at_starts(action, reward):
                        last = np.stack((reward[:, -1], action[:, -1]), 1)
                        return np.concatenate(([[0, -1]], last[:-1]))
                    """,
                    "columns are swapped",
                ),
            ),
            looks_right=(
                # three episodes, hard-coded
                """
                def seen_at_starts(action, reward):
                    return [[-1, 0], [action[0, -1], reward[0, -1]], [action[1, -1], reward[1, -1]]]
                """,
                # three steps, hard-coded
                """
                def seen_at_starts(action, reward):
                    last = np.stack((action[:, 2], reward[:, 2]), 1)
                    return np.concatenate(([[-1, 0]], last[:-1]))
                """,
                # the best reward of the episode before, in place of the last
                """
                def seen_at_starts(action, reward):
                    last = np.stack((action[:, -1], reward.max(1)), 1)
                    return np.concatenate(([[-1, 0]], last[:-1]))
                """,
            ),
        ),
    },
)


def test_the_counter_of_the_page_earns_what_the_page_computes_exactly():
    page = of_page("02", "Counter", "exact", ARMS=5, PULLS=10)
    bandit = ml.make_family("bernoulli_bandit", arms=5, horizon=10)
    for bonus in (0.1, 1.0):
        played = ml.evaluate(page.Counter(bonus), bandit, n_tasks=10_000)
        assert played.mean[0] == pytest.approx(page.exact(bonus), abs=0.06)


def test_the_cliff_of_the_bonus_is_at_a_third_as_the_page_says():
    exact = of_page("02", "exact", ARMS=5, PULLS=10).exact
    assert exact(1 / 3 - 0.001) - exact(1 / 3 + 0.001) > 0.3


def test_the_wrapper_of_the_page_hides_what_came_before_an_episode_and_nothing_else():
    wrapped = of_page("02", "CleanStart").CleanStart(
        ml.make_learner("rl2", ml.make_family("bernoulli_bandit"), hidden=8)
    )
    for new_episode in (True, False):
        failed, paid = (experiments.after_first_pull(wrapped, reward, new_episode)[0] for reward in (0.0, 1.0))
        assert torch.equal(failed, paid) == new_episode
    failed, paid = (experiments.after_first_pull(wrapped.agent, reward, new_episode=True)[0] for reward in (0.0, 1.0))
    assert not torch.equal(failed, paid)


def test_sizes_count_the_outer_and_the_inner_numbers():
    bandit = ml.make_family("bernoulli_bandit", arms=5)
    rl2 = ml.make_learner("rl2", bandit, hidden=7)
    assert experiments.sizes(rl2) == (sum(p.numel() for p in rl2.parameters()), 7)
    nav = ml.make_family("point_navigation")
    outer, inner = experiments.sizes(ml.make_learner("maml", nav, hidden=(6,)))
    assert outer == inner == (2 * 6 + 6) + (6 * 2 + 2) + 2  # two layers, and the width of the noise


def test_reward_by_pull_is_the_mean_of_each_pull_over_tasks():
    bandit = ml.make_family("bernoulli_bandit", arms=5, horizon=10)
    curve = experiments.reward_by_pull(ml.make_reference("bayes_optimal", bandit), bandit, n_tasks=2000)
    assert curve.per_task.shape == (2000, 10) and set(np.unique(curve.per_task)) == {0.0, 1.0}
    np.testing.assert_allclose(curve.mean, curve.per_task.mean(0))
    assert curve.mean[0] == pytest.approx(0.5, abs=0.05) and curve.mean[-1] > 0.68


def test_another_task_in_one_place_changes_the_memory_of_that_task_alone():
    nav, bandit = ml.make_family("point_navigation", horizon=5), ml.make_family("bernoulli_bandit")
    maml, rl2 = ml.make_learner("maml", nav, hidden=(8,)), ml.make_learner("rl2", bandit, hidden=8)
    for agent, family, field in ((maml, nav, "goal"), (rl2, bandit, "mean")):
        tasks = family.sample_tasks(3, "test", seeded_generator("cpu", 7))
        other = experiments.with_another_task(tasks, field, place=1)
        changed = (getattr(other, field) != getattr(tasks, field)).flatten(1).any(1)
        assert changed.tolist() == [False, True, False]
        first, second = (experiments.memory_after_a_trial(agent, family, x) for x in (tasks, other))
        assert (first != second).any(1).tolist() == [False, True, False]
        assert torch.equal(first, experiments.memory_after_a_trial(agent, family, tasks))


def test_value_of_bonus_draws_the_curve_and_what_was_visited():
    ax = figures.value_of_bonus(np.array([0.0, 1.0]), np.array([6.6, 5.9]), [(1.0, 5.9), (0.2, 6.6)], {"random": 5.0})
    curve, visited = ax.lines[:2]
    np.testing.assert_allclose(curve.get_ydata(), [6.6, 5.9])
    np.testing.assert_allclose(visited.get_xydata(), [(1.0, 5.9), (0.2, 6.6)])
    assert [t.get_text() for t in ax.texts] == ["random play"] and ax.get_xlabel() and ax.get_ylabel()


def test_within_a_trial_an_untrained_copy_looks_like_its_learner_but_dotted():
    def curve(*mean):
        mean = np.array(mean)
        return SimpleNamespace(mean=mean, low=mean - 0.1, high=mean + 0.1)

    walks = {"maml": curve(-20, -8), "maml, untrained": curve(-30, -27)}
    pulls = {"rl2": curve(0.5, 0.6, 0.7), "bayes_optimal": curve(0.5, 0.7, 0.75)}
    left, right = figures.within_a_trial(walks, {"oracle": -1.0}, pulls, {"random": 0.5}).axes
    trained, untrained = left.lines[:2]
    np.testing.assert_allclose(untrained.get_ydata(), [-30, -27])
    assert trained.get_color() == untrained.get_color() and trained.get_linestyle() != untrained.get_linestyle()
    assert [t.get_text() for t in left.get_legend().get_texts()] == ["MAML", "MAML, untrained"]
    assert [t.get_text() for t in right.get_legend().get_texts()] == ["RL2", "Bayes-optimal"]
    assert [t.get_text() for t in right.texts] == ["random play"] and len(right.collections) == 2


def trials():
    rng = np.random.default_rng(0)
    moved = np.where(np.isin(np.arange(MOMENTS), (3, 6, 9)), 0.5, 0.0)
    captions = [f"moment {m}" for m in range(MOMENTS)]
    gradient = SimpleNamespace(
        goal=np.array([0.3, 0.2]),
        reach=1.0,
        paths=[rng.normal(0, 0.1, (5, 4, 2)) for _ in range(MOMENTS)],
        strip=rng.normal(0, 0.1, (40, MOMENTS)),
        limit=0.3,
        moved=moved,
        captions=captions,
    )
    recurrent = SimpleNamespace(
        truth=np.array([0.1, 0.9, 0.4]),
        probability=rng.dirichlet(np.ones(3), MOMENTS),
        posterior=np.tile([0.5, 0.05, 0.95], (MOMENTS, 3, 1)),
        strip=rng.uniform(-1, 1, (32, MOMENTS)),
        moved=rng.uniform(0.5, 1, MOMENTS),
        captions=captions,
    )
    return gradient, recurrent


def test_each_panel_draws_the_recorded_numbers_of_its_moment():
    gradient, recurrent = trials()
    axes = side_by_side(gradient, recurrent, 4).axes
    np.testing.assert_allclose(axes[0].lines[0].get_xydata(), gradient.paths[4][0])
    heights = [bar.get_height() for bar in axes[2].patches]
    np.testing.assert_allclose(heights, gradient.moved[:5])
    np.testing.assert_allclose([bar.get_height() for bar in axes[3].patches], recurrent.probability[4])
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in axes)


def test_moments_to_come_are_blank():
    gradient, recurrent = trials()
    image = np.ma.filled(side_by_side(gradient, recurrent, 4).axes[4].images[0].get_array(), np.nan)
    assert np.isnan(image[:, 5:]).all()
    np.testing.assert_allclose(image[:, :5], recurrent.strip[:, :5])


@pytest.fixture(scope="module")
def recorded():
    nav = ml.make_family("point_navigation", horizon=20)
    bandit = ml.make_family("bernoulli_bandit")
    maml, rl2 = ml.make_learner("maml", nav, hidden=(8,)), ml.make_learner("rl2", bandit, hidden=16)
    return record_gradient(maml, nav, 2), record_recurrent(rl2, bandit, 2)


def test_maml_moves_only_at_absorb_and_rl2_at_every_pull(recorded):
    gradient, recurrent = recorded
    for trial in gradient:
        assert set(np.flatnonzero(trial.moved)) == {3, 6, 9}
        assert all(("absorb" in trial.captions[m]) == (m in (3, 6, 9)) for m in range(LAST + 1))
    for trial in recurrent:
        assert set(np.flatnonzero(trial.moved)) == set(range(1, LAST))


def test_the_next_trial_begins_like_the_first(recorded):
    for trial in (*recorded[0], *recorded[1]):
        np.testing.assert_array_equal(trial.strip[:, 0], 0)
        np.testing.assert_array_equal(trial.strip[:, LAST], 0)
        assert len(trial.captions) == LAST + 1


def test_posterior_knows_the_pulls_before_the_moment_and_no_later_one(recorded):
    trial = recorded[1][0]
    np.testing.assert_allclose(trial.posterior[:2, :, 0], 0.5)  # nothing seen before pull 1
    np.testing.assert_allclose(trial.posterior[LAST, :, 0], 0.5)
    arm, paid = int(trial.captions[1].split("arm ")[1][0]), "which pays" in trial.captions[1]
    expected = np.full(5, 0.5)
    expected[arm] = 2 / 3 if paid else 1 / 3
    np.testing.assert_allclose(trial.posterior[2, :, 0], expected)


def test_paths_start_at_the_origin_and_grow(recorded):
    trial = recorded[0][0]
    assert [p.shape[1] for p in trial.paths] == [1, 11, 21, 21, 11, 21, 21, 11, 21, 21, 11, 1]
    assert all((p[:, 0] == 0).all() for p in trial.paths)


def test_the_slider_steps_through_the_trial(recorded):
    explorer = memory_stepper(*recorded)
    assert explorer._end == {"moment": 10}
    seen = {explorer.picture}
    for moment in (0, 1, 3, LAST):
        explorer.controls["moment"].value = moment
        seen.add(explorer.picture)
    explorer.controls["task"].value = 2
    assert len(seen | {explorer.picture}) == 6
    explorer.controls["task"].value, explorer.controls["moment"].value = 1, 3
    explorer.controls["moment"].value = 1  # drawn before: kept
    assert explorer.picture in seen
