"""Exercises and quizzes of chapter 01: what ordinary RL cannot do."""

from __future__ import annotations

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Rejected, Wrong, diagnose, numbers

# 01.1: a curve that rises from a floor below zero, dips once, and one that never gets there
CURVE = np.array([-40.0, -30.0, -19.0, -22.0, -12.0, -9.0])
FLAT = np.array([-40.0, -39.0, -38.0])
EVERY, FLOOR, CEILING, SHARE = 10, -40.0, 0.0, 0.5


def check_episodes_to(answer):
    call = "episodes_to(curve, every, floor, ceiling, share)"
    got = numbers(answer(CURVE, EVERY, FLOOR, CEILING, SHARE), (), call)
    mistakes = {
        "That is a share of the ceiling: the gap starts at the floor, floor + share * (ceiling - floor).": 0,
        "That is the number of the checkpoint: there are `every` episodes between two.": 2,
        "That is the last checkpoint below the bar: the bar was first reached one later.": 30,
        "That is where the curve stays above the bar: the first time is asked for.": 40,
        "That is a share of the whole gap only, forgetting the floor, so it is never reached.": -1,
    }
    wrong = diagnose(got, 20, mistakes, "Not the first checkpoint at or above floor + share * (ceiling - floor).")
    if wrong:
        return wrong
    never = numbers(answer(FLAT, EVERY, FLOOR, CEILING, SHARE), (), call)
    if never == 0:
        return "A curve that never gets there costs -1, not 0 episodes: `argmax` of all False is 0."
    return None if never == -1 else "Return -1 for a curve that never gets there."


# 01.2: four transitions: ordinary, terminated, truncated by the horizon, both at once
REWARD = np.array([1.0, 2.0, -1.0, 0.5])
NEXT = np.array([10.0, 20.0, 30.0, 40.0])
TERMINATED = np.array([False, True, False, True])
TRUNCATED = np.array([False, False, True, True])
GAMMA = 0.9


def check_td_target(answer):
    got = numbers(
        answer(REWARD, NEXT, TERMINATED, TRUNCATED, GAMMA),
        (4,),
        "td_target(reward, best_next, terminated, truncated, gamma)",
    )
    mistakes = {
        "You treat truncation as termination: the horizon stopped the clock, the world went on, so bootstrap there.": (
            REWARD + GAMMA * NEXT * ~(TERMINATED | TRUNCATED)
        ),
        "You bootstrap through termination: after it there is nothing left to earn.": REWARD + GAMMA * NEXT,
        "The two flags are swapped: bootstrap where the episode was truncated, not where it terminated.": (
            REWARD + GAMMA * NEXT * ~TRUNCATED
        ),
        "The discount gamma is missing.": REWARD + NEXT * ~TERMINATED,
        "You drop the reward of terminal steps: only what follows is zero.": (REWARD + GAMMA * NEXT) * ~TERMINATED,
    }
    return diagnose(got, REWARD + GAMMA * NEXT * ~TERMINATED, mistakes, "Not r + gamma max Q(s', .), 0 after the end.")


# 01.3: two arms that are played unevenly
MEANS, PULLED = np.array([0.2, 0.9, 0.5]), np.array([0, 1, 1, 2, 1])


def check_regret(answer):
    got = numbers(answer(MEANS, PULLED), (), "regret(means, pulled)")
    lost = MEANS.max() - MEANS[PULLED]
    mistakes = {
        "That is the mean regret per pull: sum over pulls.": lost.mean(),
        "The sign is wrong: regret is what was lost, best minus got.": -lost.sum(),
        "You compare with the average arm: regret compares with the best one.": (MEANS.mean() - MEANS[PULLED]).sum(),
        "That is the expected reward: subtract it from what the best arm would have paid.": MEANS[PULLED].sum(),
        "That counts pulls of wrong arms: weigh each by what it lost.": float((lost > 0).sum()),
    }
    return diagnose(got, lost.sum(), mistakes, "Not the sum over pulls of (best mean - mean of the arm pulled).")


META, ALONE, ADAPTED = 1_000_000, 16_000, 1_200


def check_break_even(answer):
    got = numbers(answer(META, ALONE, ADAPTED), (), "break_even(meta_steps, alone, adapted)")
    saved = META / (ALONE - ADAPTED)
    mistakes = {
        "You divide by the whole cost of a task: only the difference, alone - adapted, is saved.": META / ALONE,
        "You round up, and still divide by the whole cost: only the difference is saved.": np.ceil(META / ALONE),
        "You round down: after so many tasks it is not yet paid for.": np.floor(saved),
        "A number of tasks is whole: round up.": saved,
        "That is the share of a task that is saved, not a number of tasks.": 1 - ADAPTED / ALONE,
    }
    wrong = diagnose(got, np.ceil(saved), mistakes, "Not meta_steps / (alone - adapted), rounded up.")
    if wrong:
        return wrong
    try:
        never = numbers(answer(META, 1000, 1200), (), "break_even(1000000, 1000, 1200)")
    except Rejected:
        return "Where adapting costs as much as learning alone, nothing is ever saved: return -1."
    return None if never == -1 else "Where adapting costs as much as learning alone, nothing is ever saved: return -1."


EXERCISES = (
    Exercise(
        id="01.1",
        name="episodes_to",
        task="write episodes_to(curve, every, floor, ceiling, share): curve (N,), a value every `every` episodes "
        "from 0 on -> the episodes after which `share` of the gap is first closed, -1 if never",
        check=check_episodes_to,
        hints=(
            "Returns can be negative: where does the gap start?",
            "first n with curve[n] >= floor + share (ceiling - floor); episodes = n * every",
            "hit = curve >= floor + share * (ceiling - floor); return every * hit.argmax() if hit.any() else -1",
        ),
        solution="""
            def episodes_to(curve, every, floor, ceiling, share):
                hit = curve >= floor + share * (ceiling - floor)
                return every * hit.argmax() if hit.any() else -1
        """,
        wrong=(
            Wrong(
                "episodes_to = lambda c, e, f, g, s: e * (c >= f + s * (g - f)).argmax()", "`argmax` of all False is 0"
            ),
            Wrong("episodes_to = lambda c, e, f, g, s: (c >= f + s * (g - f)).argmax()", "number of the checkpoint"),
            Wrong(
                "episodes_to = lambda c, e, f, g, s: e * (c >= s * f + f).argmax()",
                "share of the ceiling",
            ),
            Wrong("episodes_to = lambda c, e, f, g, s: e * (c < f + s * (g - f)).nonzero()[0][-1]", "last checkpoint"),
            Wrong(
                "def episodes_to(c, e, f, g, s):\n    hit = c >= s * (g - f)\n"
                "    return e * hit.argmax() if hit.any() else -1",
                "forgetting the floor",
            ),
        ),
    ),
    Exercise(
        id="01.2",
        name="td_target",
        task="write td_target(reward, best_next, terminated, truncated, gamma): arrays (N,), best_next is "
        "max_a Q(s', a) -> the N targets of Q-learning",
        check=check_td_target,
        hints=(
            "After which of the two flags is there truly nothing left to earn?",
            "y = r + gamma * max_a Q(s', a) * (1 - terminated)",
            "return reward + gamma * best_next * ~terminated",
        ),
        solution="""
            def td_target(reward, best_next, terminated, truncated, gamma):
                return reward + gamma * best_next * ~terminated
        """,
        wrong=(
            Wrong("td_target = lambda r, v, d, t, g: r + g * v * ~(d | t)", "treat truncation as termination"),
            Wrong("td_target = lambda r, v, d, t, g: r + g * v", "bootstrap through termination"),
            Wrong("td_target = lambda r, v, d, t, g: r + g * v * ~t", "flags are swapped"),
            Wrong("td_target = lambda r, v, d, t, g: r + v * ~d", "gamma is missing"),
            Wrong("td_target = lambda r, v, d, t, g: (r + g * v) * ~d", "drop the reward"),
        ),
    ),
    Exercise(
        id="01.3",
        name="regret",
        task="write regret(means, pulled): means (k,) probabilities of the arms, pulled (N,) arm numbers -> expected "
        "reward lost over the N pulls against always pulling the best arm",
        check=check_regret,
        hints=(
            "What would the best arm have paid, pull by pull?",
            "regret = sum_n (max_i p_i - p_{a_n})",
            "return (means.max() - means[pulled]).sum()",
        ),
        solution="""
            def regret(means, pulled):
                return (means.max() - means[pulled]).sum()
        """,
        wrong=(
            Wrong("regret = lambda m, a: (m.max() - m[a]).mean()", "mean regret per pull"),
            Wrong("regret = lambda m, a: (m[a] - m.max()).sum()", "sign is wrong"),
            Wrong("regret = lambda m, a: (m.mean() - m[a]).sum()", "average arm"),
            Wrong("regret = lambda m, a: m[a].sum()", "expected reward"),
            Wrong("regret = lambda m, a: (a != m.argmax()).sum()", "counts pulls of wrong arms"),
        ),
    ),
    Exercise(
        id="01.4",
        name="break_even",
        task="write break_even(meta_steps, alone, adapted): env steps of meta-training, and per task without and "
        "with it -> how many tasks until meta-training has paid for itself, -1 if never",
        check=check_break_even,
        hints=(
            "What does each new task save?",
            "n = ceil(meta_steps / (alone - adapted)), and -1 where nothing is saved",
            "return math.ceil(meta_steps / (alone - adapted)) if adapted < alone else -1",
        ),
        solution="""
            def break_even(meta_steps, alone, adapted):
                return math.ceil(meta_steps / (alone - adapted)) if adapted < alone else -1
        """,
        wrong=(
            Wrong("break_even = lambda m, a, b: m / a", "divide by the whole cost"),
            Wrong("break_even = lambda m, a, b: math.ceil(m / a)", "round up, and still divide by the whole cost"),
            Wrong("break_even = lambda m, a, b: m // (a - b)", "round down"),
            Wrong("break_even = lambda m, a, b: m / (a - b)", "whole: round up"),
            Wrong("break_even = lambda m, a, b: math.ceil(m / (a - b))", "nothing is ever saved: return -1"),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "01.a",
        "A Q-learner starts each of ten unrelated tasks with an empty table. What does the tenth cost?",
        (
            Option(
                "Less than the first: it has had practice", "It kept nothing of that practice: its table was emptied."
            ),
            Option(
                "The same as the first, up to luck",
                "Each start is the same, so each cost has the same distribution.",
                right=True,
            ),
            Option("More: it must unlearn the ninth", "There is nothing to unlearn in an empty table."),
        ),
    ),
    Quiz(
        "01.b",
        "Why does greedy play do so well when the arms are tied?",
        (
            Option(
                "Greedy never explores, so it is always best over few pulls", "It lost to a small bonus at 10 pulls."
            ),
            Option(
                "Each pull tells about both arms whichever it is, so choosing an arm *in order to learn* buys nothing",
                "With nothing to gain from exploring, the arm that looks better now is the best choice.",
                right=True,
            ),
            Option("It was told that the arms are tied", "It believes the arms independent, and only happens to fit."),
        ),
    ),
)
