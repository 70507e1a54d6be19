"""Chapter 01: answers to its exercises, its experiments, figures and widgets, and the proofs of what its pages show."""

from functools import partial

import numpy as np
import pytest
import torch
from answers import Answers, Wrong, answer_tests
from pages import of_page

import metarl_lab as ml
from metarl_lab.chapters.ch01_what_ordinary_rl_cannot_do import experiments, figures
from metarl_lab.chapters.ch01_what_ordinary_rl_cannot_do.widget import Walks, sample_counter, task_changer
from metarl_lab.exact.planning import policy_evaluation
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import begin, collect, seeded_generator

test_answers = answer_tests(
    "01",
    {
        "01.1": Answers(
            right=(
                """
                def episodes_to(curve, every, floor, ceiling, share):
                    for checkpoint, value in enumerate(curve):
                        if (value - floor) / (ceiling - floor) >= share:
                            return checkpoint * every
                    return -1
                """,
                """
                def episodes_to(curve, every, floor, ceiling, share):
                    reached = torch.nonzero(curve >= floor + share * (ceiling - floor)).flatten()
                    return reached[0] * every if len(reached) else torch.tensor(-1)
                """,
                """
                def episodes_to(curve, every, floor, ceiling, share):
                    closed = (np.asarray(curve) - floor) / (ceiling - floor)
                    places = np.flatnonzero(closed >= share)
                    return -1 if places.size == 0 else int(places.min()) * every
                """,
                """
                def episodes_to(curve, every, floor, ceiling, share):
                    bar = (1 - share) * floor + share * ceiling
                    return next((every * n for n, value in enumerate(curve.tolist()) if value >= bar), -1)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def episodes_to(curve, every, floor, ceiling, share):
                        return every * (curve >= floor + share * (ceiling - floor)).argmax()
                    """,
                    "`argmax` of all False is 0",
                ),
                Wrong(
                    """
                    def episodes_to(curve, every, floor, ceiling, share):
                        hit = curve >= floor + share * (ceiling - floor)
                        return hit.argmax() if hit.any() else -1
                    """,
                    "number of the checkpoint",
                ),
                Wrong(
                    """
                    def episodes_to(curve, every, floor, ceiling, share):
                        hit = curve >= share * (ceiling - floor)
                        return every * hit.argmax() if hit.any() else -1
                    """,
                    "forget the floor",
                ),
                Wrong(
                    """
                    def episodes_to(curve, every, floor, ceiling, share):
                        hit = curve >= share * ceiling
                        return every * hit.argmax() if hit.any() else -1
                    """,
                    "share of the ceiling",
                ),
                Wrong(
                    """
                    def episodes_to(curve, every, floor, ceiling, share):
                        return every * (curve < floor + share * (ceiling - floor)).nonzero()[0][-1]
                    """,
                    "last checkpoint below",
                ),
                Wrong(
                    """
                    def episodes_to(curve, every, floor, ceiling, share):
                        below = (curve < floor + share * (ceiling - floor)).nonzero()[0]
                        return every * (below[-1] + 1)
                    """,
                    "stays above",
                ),
                Wrong(
                    """
                    def episodes_to(curve, every, floor, ceiling, share):
                        hit = curve >= floor + share * (ceiling - floor)
                        return every * (hit.argmax() + 1) if hit.any() else -1
                    """,
                    "too late",
                ),
            ),
            looks_right=(
                # the share of the first curve, hard-coded
                """
                def episodes_to(curve, every, floor, ceiling, share):
                    hit = curve >= floor + 0.7 * (ceiling - floor)
                    return every * hit.argmax() if hit.any() else -1
                """,
                # the spacing of the first curve, hard-coded
                """
                def episodes_to(curve, every, floor, ceiling, share):
                    hit = curve >= floor + share * (ceiling - floor)
                    return 4 * hit.argmax() if hit.any() else -1
                """,
                # the whole gap, so that `share` has no effect
                """
                def episodes_to(curve, every, floor, ceiling, share):
                    hit = curve >= ceiling
                    return every * hit.argmax() if hit.any() else -1
                """,
                # the right place, and the wrong word for "never"
                """
                def episodes_to(curve, every, floor, ceiling, share):
                    hit = curve >= floor + share * (ceiling - floor)
                    return every * hit.argmax() if hit.any() else every * len(curve)
                """,
            ),
        ),
        "01.2": Answers(
            right=(
                """
                def td_target(reward, best_next, terminated, truncated, gamma):
                    return np.where(terminated, reward, reward + gamma * best_next)
                """,
                """
                def td_target(reward, best_next, terminated, truncated, gamma):
                    return torch.where(terminated, reward, torch.add(reward, best_next, alpha=gamma))
                """,
                """
                def td_target(reward, best_next, terminated, truncated, gamma):
                    target = []
                    for r, q, over in zip(reward, best_next, terminated):
                        target.append(r if over else r + gamma * q)
                    return target
                """,
                """
                def td_target(reward, best_next, terminated, truncated, gamma):
                    return reward + gamma * best_next * (1 - terminated.astype(float))
                """,
                """
                def td_target(reward, best_next, terminated, truncated, gamma):
                    return reward + gamma * best_next.masked_fill(terminated, 0)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def td_target(reward, best_next, terminated, truncated, gamma):
                        return reward + gamma * best_next * ~(terminated | truncated)
                    """,
                    "treat truncation as termination",
                ),
                Wrong(
                    """
                    def td_target(reward, best_next, terminated, truncated, gamma):
                        return reward + gamma * best_next
                    """,
                    "bootstrap through termination",
                ),
                Wrong(
                    """
                    def td_target(reward, best_next, terminated, truncated, gamma):
                        return reward + gamma * best_next * ~truncated
                    """,
                    "flags are swapped",
                ),
                Wrong(
                    """
                    def td_target(reward, best_next, terminated, truncated, gamma):
                        return reward + best_next * ~terminated
                    """,
                    "gamma is missing",
                ),
                Wrong(
                    """
                    def td_target(reward, best_next, terminated, truncated, gamma):
                        return (reward + gamma * best_next) * ~terminated
                    """,
                    "drop the reward",
                ),
                Wrong(
                    """
                    def td_target(reward, best_next, terminated, truncated, gamma):
                        return reward + gamma * best_next * terminated
                    """,
                    "the other way round",
                ),
            ),
            looks_right=(
                # the discount of the first batch, hard-coded
                """
                def td_target(reward, best_next, terminated, truncated, gamma):
                    return reward + 0.9 * best_next * ~terminated
                """,
                # the size of the first batch, hard-coded
                """
                def td_target(reward, best_next, terminated, truncated, gamma):
                    return [reward[n] + gamma * best_next[n] * (not terminated[n]) for n in range(4)]
                """,
                # a mean over the batch in place of each transition's own
                """
                def td_target(reward, best_next, terminated, truncated, gamma):
                    return reward + gamma * best_next.mean() * ~terminated
                """,
            ),
        ),
        "01.3": Answers(
            right=(
                """
                def regret(means, pulled):
                    best = max(means)
                    return sum(best - means[arm] for arm in pulled)
                """,
                """
                def regret(means, pulled):
                    return torch.sum(means.amax(dim=0) - means.index_select(0, pulled))
                """,
                """
                def regret(means, pulled):
                    times = np.bincount(pulled, minlength=len(means))
                    return times @ (np.max(means) - means)
                """,
                """
                def regret(means, pulled):
                    return len(pulled) * means.max() - np.take(means, pulled).sum()
                """,
            ),
            wrong=(
                Wrong("regret = lambda means, pulled: (means.max() - means[pulled]).mean()", "mean regret per pull"),
                Wrong("regret = lambda means, pulled: (means[pulled] - means.max()).sum()", "sign is wrong"),
                Wrong("regret = lambda means, pulled: (means.mean() - means[pulled]).sum()", "average arm"),
                Wrong("regret = lambda means, pulled: means[pulled].sum()", "expected reward"),
                Wrong("regret = lambda means, pulled: (pulled != means.argmax()).sum()", "counts pulls of wrong arms"),
                Wrong("regret = lambda means, pulled: (means.max() - means).sum()", "sum over arms"),
                Wrong(
                    "regret = lambda means, pulled: (means[pulled].max() - means[pulled]).sum()", "best arm that was"
                ),
            ),
            looks_right=(
                "regret = lambda means, pulled: (0.9 - means[pulled]).sum()",
                "regret = lambda means, pulled: (means.max() - means[pulled][:5]).sum()",
                "regret = lambda means, pulled: (means[1] - means[pulled]).sum()",
                "regret = lambda means, pulled: (means.max() - means[pulled[1:]]).sum()",
            ),
        ),
        "01.4": Answers(
            right=(
                """
                def break_even(meta_steps, alone, adapted):
                    saved = alone - adapted
                    return -1 if saved <= 0 else -(-meta_steps // saved)
                """,
                """
                def break_even(meta_steps, alone, adapted):
                    if alone <= adapted:
                        return -1
                    return int(np.ceil(meta_steps / (alone - adapted)))
                """,
                """
                def break_even(meta_steps, alone, adapted):
                    tasks, paid = 0, meta_steps
                    if adapted >= alone:
                        return -1
                    while paid > 0:
                        tasks, paid = tasks + 1, paid - (alone - adapted)
                    return tasks
                """,
                """
                def break_even(meta_steps, alone, adapted):
                    saved = torch.tensor(alone - adapted, dtype=torch.float64)
                    return torch.where(saved > 0, torch.ceil(meta_steps / saved), -1.0)
                """,
            ),
            wrong=(
                Wrong("break_even = lambda meta, alone, adapted: meta / alone", "divide by the whole cost"),
                Wrong(
                    "break_even = lambda meta, alone, adapted: math.ceil(meta / alone)",
                    "round up, and still divide by the whole cost",
                ),
                Wrong("break_even = lambda meta, alone, adapted: meta // (alone - adapted)", "round down"),
                Wrong("break_even = lambda meta, alone, adapted: meta / (alone - adapted)", "whole: round up"),
                Wrong(
                    "break_even = lambda meta, alone, adapted: math.ceil(meta / (alone - adapted))",
                    "nothing is ever saved: return -1",
                ),
            ),
            looks_right=(
                # rounds to the nearest: right above one half only
                """
                def break_even(meta_steps, alone, adapted):
                    return round(meta_steps / (alone - adapted)) if adapted < alone else -1
                """,
                # one more than rounding down: wrong where nothing is left over
                """
                def break_even(meta_steps, alone, adapted):
                    return meta_steps // (alone - adapted) + 1 if adapted < alone else -1
                """,
                # divides by zero where nothing is saved
                """
                def break_even(meta_steps, alone, adapted):
                    return math.ceil(meta_steps / (alone - adapted)) if adapted <= alone else -1
                """,
                # the price of meta-training, hard-coded
                """
                def break_even(meta_steps, alone, adapted):
                    return math.ceil(1_000_000 / (alone - adapted)) if adapted < alone else -1
                """,
            ),
        ),
    },
)


def test_the_exact_value_of_the_page_is_the_packages():
    page = of_page("01", "value", STEPS=10)
    mdp = ml.make_family("tabular_mdp")
    tasks = mdp.sample_tasks(4, "test", seeded_generator("cpu", 0, 1))
    policy = torch.rand(4, 10, 5, generator=torch.Generator().manual_seed(0)).softmax(-1)
    every_step = policy.expand(10, -1, -1, -1)
    theirs = policy_evaluation(tasks.transition, tasks.reward, every_step)[1][0, :, 0]
    ours = page.value(policy.numpy(), tasks.transition.numpy(), tasks.reward.numpy())
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_the_q_learning_of_the_page_finds_the_best_policy_of_a_task_with_one_answer():
    page = of_page("01", "q_learning", "greedy", "value", STEPS=10, experiments=experiments)
    P = np.full((3, 10, 5, 10), 0.1)  # whatever is done, any state may be next
    R = np.zeros((3, 10, 5))
    for task, best in enumerate((4, 0, 2)):
        R[task, :, best] = 5.0
    q, curve = page.q_learning(P, R, np.zeros_like(R), 200, np.random.default_rng(0), alpha=0.1, epsilon=1.0)
    assert (q.argmax(-1) == np.array([4, 0, 2])[:, None]).all()
    np.testing.assert_allclose(curve[:, -1], 50.0)  # 10 steps at 5
    assert curve.shape == (3, 21)
    # an entry bootstraps: it is on its way to 5 / (1 - 0.9) = 50, and far above the reward of one step
    assert 10 < q.max(-1).mean() < 50


def test_the_policy_gradient_step_of_the_page_is_what_scratch_absorbs():
    nav = ml.make_family("point_navigation", horizon=20)
    agent = ml.make_learner("scratch", nav, seed=3, hidden=(16,), inner_step=0.2, later_inner_step=0.2)
    step = of_page("01", "policy_gradient_step", agent=agent).policy_gradient_step
    tasks = experiments.goal_tasks([(0.5, 0.0), (-0.2, 0.3), (0.03, 0.0)])  # near the last one episodes end early
    trial = begin(agent, nav, tasks, experiments.EPISODES)
    episodes, _ = collect(agent, nav, tasks, trial, seeded_generator("cpu", 0, 1))
    theirs = agent.absorb(trial.memory, episodes).parameters
    ours = step(trial.memory.parameters, episodes)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert not torch.allclose(value, trial.memory.parameters[name]), name
        torch.testing.assert_close(value, theirs[name])


def test_states_are_drawn_by_their_probabilities():
    probability = np.tile([0.2, 0.0, 0.5, 0.3], (40_000, 1))
    drawn = experiments.draw_states(probability, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 40_000, [0.2, 0.0, 0.5, 0.3], atol=0.01)
    rows = np.eye(3)
    assert experiments.draw_states(rows, np.random.default_rng(1)).tolist() == [0, 1, 2]


def test_practice_takes_as_many_steps_as_batches_and_no_task_feels_the_others():
    nav = ml.make_family("point_navigation", horizon=5)
    agent = ml.make_learner("scratch", nav, hidden=(4,))
    taken = []

    def step(parameters, episodes):
        taken.append(episodes)
        return {name: x + 0.1 for name, x in parameters.items()}

    goals = [(0.5, 0.0), (0.0, 0.4)]
    start = agent.begin(2, 1).parameters
    last, returns, kept = experiments.practise(agent, nav, start, goals, 3, step, seed=1, keep=[0, 3])
    assert len(taken) == 3 and returns.shape == (2, 4) and set(kept) == {0, 3}
    for name, x in start.items():
        torch.testing.assert_close(last[name], x + 0.3)
    one = {name: x[:1] for name, x in start.items()}
    alone = experiments.practise(agent, nav, one, goals[:1], 3, step, seed=1)[1]
    np.testing.assert_allclose(alone[0], returns[0], rtol=1e-6)
    assert experiments.walked(kept[0]).shape == (2, experiments.SHOWN, 5, 2)


def posterior_rule(successes, failures, pulls_left):
    """Who knows that the arms are tied: a success of arm 1 and a failure of arm 2 are the same evidence."""
    for_1, for_2 = successes[0] + failures[1], successes[1] + failures[0]
    best = np.array([for_1 >= for_2, for_2 >= for_1])
    return best / best.sum()


def test_the_best_play_of_tied_arms_is_that_of_the_rule_that_knows_the_tie():
    for pulls in (1, 2, 7, 10):
        exact = experiments.value_on_tied_arms(posterior_rule, pulls)
        assert exact == pytest.approx(experiments.best_on_tied_arms(pulls))
    assert experiments.value_on_tied_arms(lambda *counts: np.array([0.5, 0.5]), 10) == pytest.approx(5.0)


def test_exact_values_on_tied_arms_are_those_that_play_gives():
    family = ml.make_family("bernoulli_bandit", arms=2, horizon=10)
    p = torch.rand(20_000, 1, generator=torch.Generator().manual_seed(0))
    tied = type(family.sample_tasks(1, "test", torch.Generator()))(torch.cat([p, 1 - p], 1))
    ucb = of_page("01", "ucb").ucb
    greedy = experiments.by_index(partial(ucb, 0.0))
    for name, options, rule in (
        ("greedy", {}, greedy),
        ("ucb1", {"c": 0.3, "pseudo_counts": 1.0}, experiments.by_index(partial(ucb, 0.3))),
        ("epsilon_greedy", {"epsilon": 0.2}, experiments.sometimes_random(greedy, 0.2)),
        ("thompson", {}, experiments.thompson),
    ):
        played = ml.evaluate(ml.make_reference(name, family, **options), family, tasks=tied)
        assert experiments.value_on_tied_arms(rule, 10) == pytest.approx(played.mean[0], abs=0.04), name


def test_thompson_sampling_on_two_arms_is_the_chance_that_one_belief_exceeds_the_other():
    rng = np.random.default_rng(0)
    for counts in ((0, 0, 0, 0), (3, 1, 0, 2), (0, 5, 4, 1)):
        s, f = np.array(counts[::2]), np.array(counts[1::2])
        draws = rng.beta(1 + s, 1 + f, size=(200_000, 2))
        assert experiments.thompson(s, f, 5)[0] == pytest.approx((draws[:, 0] > draws[:, 1]).mean(), abs=0.005)


def band(mean):
    mean = np.asarray(mean, dtype=float)
    return mean, mean - 1, mean + 1


def labelled(ax):
    return {line.get_label(): line for line in ax.lines}


def test_gap_curves_have_env_steps_on_the_axis_and_both_anchors():
    ax = figures.gap_curves(np.array([0, 10, 20]), {"Q-learning": band([0, 50, 80]), "psrl": band([0, 90])}, mark=100)
    lines = labelled(ax)
    np.testing.assert_allclose(lines["Q-learning"].get_xdata(), [0, 100, 200])
    np.testing.assert_allclose(lines["posterior sampling"].get_xdata(), [0, 100])
    assert {t.get_text() for t in ax.texts} == {"perfect play", "random play"}
    assert len(ax.collections) == 2 and "env steps" in ax.get_xlabel() and "%" in ax.get_ylabel()


def test_cost_by_task_counts_tasks_from_one():
    ax = figures.cost_by_task({"fresh": band([100, 110, 90])}, most=200)
    np.testing.assert_allclose(labelled(ax)["fresh"].get_xdata(), [1, 2, 3])
    assert ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > 200


def test_practice_curves_draw_intervals_and_anchors():
    ax = figures.practice_curves(np.array([0, 400]), {"from scratch": band([-11, -9])}, {"oracle": -1.0})
    np.testing.assert_allclose(labelled(ax)["from scratch"].get_ydata(), [-11, -9])
    assert [t.get_text() for t in ax.texts] == ["oracle"] and len(ax.collections) == 1


def test_walks_draw_every_episode_both_goals_and_name_returns_once():
    path = np.random.default_rng(0).normal(size=(3, 5, 2)) / 9
    paths, returns = {"specialist": path, "scratch": path + 0.1}, {"specialist": -12.34, "scratch": -5.0}
    ax = figures.walks(paths, (0.0, 0.5), (0.5, 0.0), returns, {"scratch": ", 400 env steps"})
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["specialist: return -12.3", "from scratch, 400 env steps: return -5.0", "old goal", "new goal"]
    assert len(ax.lines) == 8 and ax.get_aspect() == 1 and "units" in ax.get_xlabel()


def test_share_of_best_rings_the_best():
    ax = figures.share_of_best((0.0, 0.1, 1.0), {"10 pulls": [99, 99.9, 80]})
    rings = [line for line in ax.lines if line.get_markersize() == 13]
    assert [(float(r.get_xdata()[0]), float(r.get_ydata()[0])) for r in rings] == [(0.1, 99.9)]


DISTANCES, ANGLES = (0.2, 0.35, 0.5), tuple(range(0, 360, 45))


def make_counter():
    rng = np.random.default_rng(0)
    closed = {"from nothing": rng.uniform(0, 100, (6, 4, 5)), "carried": rng.uniform(0, 100, (6, 4, 5))}
    return sample_counter(np.arange(0, 50, 10), closed, mean_interval, name="test counter")


def make_changer():
    rng = np.random.default_rng(1)
    count = len(DISTANCES) * len(ANGLES)

    def walk():
        return Walks(rng.normal(size=(count, 4, 21, 2)) / 9, rng.normal(size=count))

    return task_changer(
        DISTANCES, ANGLES, {"specialist": walk()}, {0: walk(), 400: walk()}, (0.5, 0.0), name="test changer"
    )


@pytest.mark.parametrize(
    ("make", "moves"),
    [
        (make_counter, {"before": 3, "practised": 400}),
        (make_changer, {"distance": 0.5, "angle": 180, "steps": 0}),
    ],
)
def test_every_control_changes_the_picture_and_its_alt_text(make, moves):
    explorer = make()
    assert set(explorer.controls) == set(moves)
    for name, value in moves.items():
        picture, alt = explorer.picture, explorer.alt_text
        explorer.controls[name].value = value
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""


def test_every_stop_of_the_goal_sliders_is_a_goal():
    explorer = make_changer()
    for distance in (0.2, 0.35000000000000003, 0.5):  # as browsers send them
        for angle in ANGLES:
            explorer.controls["distance"].value, explorer.controls["angle"].value = distance, angle
            assert explorer._status.value == ""


def test_goals_that_no_slider_can_stop_at_are_refused():
    with pytest.raises(ValueError, match="evenly spaced"):
        task_changer((0.2, 0.3, 0.5), ANGLES, {}, {0: None}, (0.5, 0.0), name="test uneven")
