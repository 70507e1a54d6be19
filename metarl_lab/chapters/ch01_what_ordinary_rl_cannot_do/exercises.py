"""Exercises and quizzes of chapter 01: what ordinary RL cannot do."""

from __future__ import annotations

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Rejected, diagnose, numbers

# (curve, every, floor, ceiling, share): returns above zero, where the floor matters; then below zero
RISING_CURVES = (
    (np.array([9.0, 16.0, 17.0, 19.5, 18.6, 17.0, 20.5, 21.0]), 4, 10.0, 22.0, 0.7),
    (np.array([-40.0, -30.0, -19.0, -15.0, -23.0, -12.0, -9.0]), 10, -40.0, -4.0, 0.5),
)
FLAT_CURVE = (np.array([-40.0, -39.0, -38.0]), 10, -40.0, 0.0, 0.5)


def episodes_until(reached: np.ndarray, every: int) -> int:
    """Episodes at the first True of (N,) measurements; -1 if there is none."""
    return every * int(reached.argmax()) if reached.any() else -1


def check_episodes_to(answer):
    call = "episodes_to(curve, every, floor, ceiling, share)"
    for curve, every, floor, ceiling, share in RISING_CURVES:
        bar = floor + share * (ceiling - floor)
        right = episodes_until(curve >= bar, every)
        last_below = every * int(np.flatnonzero(curve < bar)[-1])
        mistakes = {
            "That is the number of the checkpoint: there are `every` episodes between two.": right / every,
            "You forget the floor: the bar is floor + share * (ceiling - floor).": episodes_until(
                curve >= share * (ceiling - floor), every
            ),
            "That is a share of the ceiling: the gap starts at the floor, floor + share * (ceiling - floor).": (
                episodes_until(curve >= share * ceiling, every)
            ),
            "You wait for the whole gap: only `share` of it must be closed.": episodes_until(curve >= ceiling, every),
            "That is the last checkpoint below the bar: the first at or above it is asked for.": last_below,
            "That is where the curve stays above the bar: the first time is asked for.": last_below + every,
            "One checkpoint too late: the first entry of the curve is after 0 episodes.": right + every,
            "That is the checkpoint before the bar was reached.": right - every,
        }
        got = numbers(answer(curve, every, floor, ceiling, share), (), call)
        otherwise = (
            "Not the first checkpoint at or above floor + share * (ceiling - floor), times `every`. "
            "All five arguments count: nothing about one curve is true of the next."
        )
        if message := diagnose(got, right, mistakes, otherwise):
            return message
    never = numbers(answer(*FLAT_CURVE), (), call)
    if never == 0:
        return "A curve that never gets there costs -1, not 0 episodes: `argmax` of all False is 0."
    return None if never == -1 else "Return -1 for a curve that never gets there."


# (reward, best_next, terminated, truncated, gamma), of four kinds: ordinary, terminated, truncated, both at once
TRANSITIONS = (
    (
        np.array([1.0, 2.0, -1.0, 0.5]),
        np.array([10.0, 20.0, 30.0, 40.0]),
        np.array([False, True, False, True]),
        np.array([False, False, True, True]),
        0.9,
    ),
    (
        np.array([0.0, -2.0, 3.0, 1.0, 4.0, 0.5]),
        np.array([8.0, -3.0, 5.0, 12.0, 2.0, -6.0]),
        np.array([True, False, False, False, True, False]),
        np.array([True, True, False, True, False, False]),
        0.5,
    ),
)


def check_td_target(answer):
    for reward, best_next, terminated, truncated, gamma in TRANSITIONS:
        call = "td_target(reward, best_next, terminated, truncated, gamma)"
        got = numbers(answer(reward, best_next, terminated, truncated, gamma), reward.shape, call)
        mistakes = {
            "You treat truncation as termination: the horizon stopped the clock, the world went on, so bootstrap "
            "there.": reward + gamma * best_next * ~(terminated | truncated),
            "You bootstrap through termination: after it there is nothing left to earn.": reward + gamma * best_next,
            "The two flags are swapped: bootstrap where the episode was truncated, not where it terminated.": reward
            + gamma * best_next * ~truncated,
            "You bootstrap where the episode terminated, and nowhere else: it is the other way round.": reward
            + gamma * best_next * terminated,
            "The discount gamma is missing.": reward + best_next * ~terminated,
            "You drop the reward of terminal steps: only what follows is zero.": (reward + gamma * best_next)
            * ~terminated,
            "That is the reward alone: what follows is worth gamma times best_next.": reward,
        }
        right = reward + gamma * best_next * ~terminated
        if message := diagnose(got, right, mistakes, "Not r + gamma max Q(s', .), with nothing after the end."):
            return message
    return None


# (means, pulled): arms played unevenly; then a best arm that is never pulled
PULLS = (
    (np.array([0.2, 0.9, 0.5]), np.array([0, 1, 1, 2, 1, 0])),
    (np.array([0.35, 0.6, 0.1, 0.8]), np.array([0, 1, 2, 1, 0, 1, 2])),
)


def check_regret(answer):
    for means, pulled in PULLS:
        got = numbers(answer(means, pulled), (), "regret(means, pulled)")
        earned = means[pulled]
        lost = means.max() - earned
        mistakes = {
            "That is the mean regret per pull: sum over pulls.": lost.mean(),
            "The sign is wrong: regret is what was lost, best minus got.": -lost.sum(),
            "You compare with the average arm: regret compares with the best one.": (means.mean() - earned).sum(),
            "That is the expected reward: subtract it from what the best arm would have paid.": earned.sum(),
            "That is what the best arm would have paid: subtract what was pulled.": len(pulled) * means.max(),
            "That counts pulls of wrong arms: weigh each by what it lost.": float((lost > 0).sum()),
            "You sum over arms: sum over pulls, an arm as often as it was pulled.": (means.max() - means).sum(),
        }
        if earned.max() < means.max():
            mistakes["You compare with the best arm that was pulled: the best of all is one that was never tried."] = (
                earned.max() - earned
            ).sum()
        otherwise = "Not the sum over pulls of (best mean - mean of the arm pulled)."
        if message := diagnose(got, lost.sum(), mistakes, otherwise):
            return message
    return None


# (meta_steps, alone, adapted): a fraction of a task above and below one half, and none at all
PRICES = ((1_000_000, 16_000, 1_200), (530_000, 9_000, 1_000), (600_000, 12_000, 2_000))
NOTHING_SAVED = ((1_000_000, 1_000, 1_200), (50_000, 700, 700))


def check_break_even(answer):
    call = "break_even(meta_steps, alone, adapted)"
    for meta_steps, alone, adapted in PRICES:
        got = numbers(answer(meta_steps, alone, adapted), (), call)
        needed = meta_steps / (alone - adapted)
        right = np.ceil(needed)
        mistakes = {
            "You divide by the whole cost of a task: only the difference, alone - adapted, is saved.": meta_steps
            / alone,
            "You round up, and still divide by the whole cost: only the difference is saved.": np.ceil(
                meta_steps / alone
            ),
            "You divide by what adapting costs: the difference, alone - adapted, is what is saved.": meta_steps
            / adapted,
            "That is the share of a task that is saved, not a number of tasks.": 1 - adapted / alone,
            "One task too many: it is paid for after a whole number of tasks, and then no more are needed.": right + 1,
        }
        if needed != right:
            mistakes["You round down: after so many tasks it is not yet paid for."] = np.floor(needed)
            mistakes["A number of tasks is whole: round up."] = needed
        if message := diagnose(got, right, mistakes, "Not meta_steps / (alone - adapted), rounded up."):
            return message
    for meta_steps, alone, adapted in NOTHING_SAVED:
        try:
            says_never = numbers(answer(meta_steps, alone, adapted), (), call) == -1
        except Rejected:  # a division by zero among them
            says_never = False
        if not says_never:
            return "Where adapting costs as much as learning alone, or more, nothing is ever saved: return -1."
    return None


EXERCISES = (
    Exercise(
        id="01.1",
        name="episodes_to",
        task="""
            Write episodes_to(curve, every, floor, ceiling, share): after how many episodes a learner first closed a
            share of its gap.

              curve    (N,) return per episode, measured after 0, every, 2 every, ... episodes of practice
              every    episodes between two measurements, a whole number
              floor    return of random play, a number (it may be negative)
              ceiling  return of perfect play, a number above the floor
              share    the share of the gap from floor to ceiling that is to be closed, between 0 and 1
              returns  a number of episodes, the first at which the curve is there; -1 if it never is
        """,
        check=check_episodes_to,
        hints=(
            "Returns can be negative: where does the gap start, and how high is the bar?",
            "The first n with curve[n] >= floor + share (ceiling - floor); then n times `every` episodes.",
            "hit = curve >= ...; what is hit.argmax() when nothing was hit?",
        ),
        solution="""
            def episodes_to(curve, every, floor, ceiling, share):
                hit = curve >= floor + share * (ceiling - floor)
                return every * hit.argmax() if hit.any() else -1
        """,
    ),
    Exercise(
        id="01.2",
        name="td_target",
        task="""
            Write td_target(reward, best_next, terminated, truncated, gamma): the targets of Q-learning for N
            transitions.

              reward      (N,) what each step paid
              best_next   (N,) max over actions of Q in the next state
              terminated  (N,) true or false: the task ended with this step
              truncated   (N,) true or false: the clock stopped the episode with this step
              gamma       the discount per step, between 0 and 1
              returns     (N,)
        """,
        check=check_td_target,
        hints=(
            "After which of the two flags is there truly nothing left to earn?",
            "y = r + gamma max_a Q(s', a), and the second term counts only where the task went on.",
            "return reward + gamma * best_next * ...",
        ),
        solution="""
            def td_target(reward, best_next, terminated, truncated, gamma):
                return reward + gamma * best_next * ~terminated
        """,
    ),
    Exercise(
        id="01.3",
        name="regret",
        task="""
            Write regret(means, pulled): the expected reward that a sequence of pulls lost, against pulling the best
            arm every time.

              means    (k,) the probability that each arm pays 1
              pulled   (N,) which arm each pull took, whole numbers from 0 to k - 1
              returns  a number, in units of reward, summed over the N pulls
        """,
        check=check_regret,
        hints=(
            "What would the best arm have paid, pull by pull?",
            "regret = sum over pulls n of (max_i p_i - p of the arm pulled)",
            "return (... - means[pulled]).sum()",
        ),
        solution="""
            def regret(means, pulled):
                return (means.max() - means[pulled]).sum()
        """,
    ),
    Exercise(
        id="01.4",
        name="break_even",
        task="""
            Write break_even(meta_steps, alone, adapted): after how many tasks meta-training has paid for itself.

              meta_steps  env steps that meta-training cost, once
              alone       env steps that each task costs without it
              adapted     env steps that each task costs after it
              returns     the smallest whole number of tasks by which at least meta_steps have been saved; -1 if
                          that never happens
        """,
        check=check_break_even,
        hints=(
            "What does each new task save?",
            "n tasks save n (alone - adapted): the smallest whole n that reaches meta_steps, and -1 if nothing is "
            "saved.",
            "saved = alone - adapted; return math.ceil(...) if saved > 0 else ...",
        ),
        solution="""
            def break_even(meta_steps, alone, adapted):
                return math.ceil(meta_steps / (alone - adapted)) if adapted < alone else -1
        """,
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
            Option("More than the first: it must unlearn", "There is nothing to unlearn in an empty table."),
            Option(
                "As much as the first, up to luck",
                "Each start is the same, so each cost has the same distribution.",
                right=True,
            ),
        ),
    ),
    Quiz(
        "01.b",
        "Why does greedy play do so well when the arms are tied?",
        (
            Option(
                "A pull of either arm tells as much about both, so no arm is worth pulling just to learn",
                "With nothing to gain from exploring, the arm that looks better now is nearly always the best choice.",
                right=True,
            ),
            Option(
                "With only ten pulls there is no time to explore, so greedy play is best in any bandit",
                "Five independent arms and ten pulls: there a small bonus beats it, if only by half a percent.",
            ),
            Option(
                "It was built for tied arms: what it believes of one arm moves with the other's pay",
                "It believes the arms independent. That its choices fit all the same is luck.",
            ),
        ),
    ),
)
