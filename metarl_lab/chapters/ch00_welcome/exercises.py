"""Exercises and quizzes of chapter 00: regret, the posterior mean of an arm, and what a look ahead is worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Wrong, diagnose, numbers

MEANS, PULLS = np.array([0.2, 0.9, 0.5]), [0, 0, 2, 2]  # the best arm is not pulled at all


def check_regret(answer: Any) -> str | None:
    got = numbers(answer(MEANS, PULLS), (), "regret(means, pulls)")
    chosen = MEANS[PULLS]
    mistakes = {
        "That is the reward to be expected, not what was missed: take it from 4 times the best mean.": chosen.sum(),
        "The sign is turned: regret is what the best arm would have given, minus what was had.": chosen.sum() - 3.6,
        "That is regret per pull, an average; regret is the sum over the pulls.": 0.9 - chosen.mean(),
        "You compare with the best arm that was *pulled*; compare with the best arm of all.": (0.5 - chosen).sum(),
        "You compare with an average arm; compare with the best one.": (MEANS.mean() - chosen).sum(),
    }
    return diagnose(got, (0.9 - chosen).sum(), mistakes, "Not the sum over pulls of (best mean - mean of the arm).")


def check_posterior_mean(answer: Any) -> str | None:
    unseen = numbers(answer(0, 0), (), "posterior_mean(0, 0)")
    got = numbers(answer(3, 1), (), "posterior_mean(3, 1)")
    mistakes = {
        "That is the frequency s / (s + f): the prior is missing, one success and one failure.": 3 / 4,
        "The prior counts as two pulls, one success and one failure: the denominator is 2 + s + f.": 4 / 5,
        "The denominator is right; the prior's success is missing above it.": 3 / 6,
        "That is the probability of paying *nothing*: 1 + s belongs above the line.": 2 / 6,
    }
    if said := diagnose(got, 4 / 6, mistakes, "Not the mean of Beta(1 + s, 1 + f), which is a / (a + b)."):
        return said
    return diagnose(unseen, 0.5, {}, "Right after four pulls; but an arm that was never pulled has mean 1/2.")


def check_try_first(answer: Any) -> str | None:
    got = numbers([answer(p) for p in (0.5, 0.2, 0.8)], (3,), "try_first at p = 0.5, 0.2, 0.8")
    p = np.array([0.5, 0.2, 0.8])
    paid, failed = np.maximum(p, 2 / 3), np.maximum(p, 1 / 3)
    mistakes = {
        "You never look at what the first pull paid: after a success the unknown arm's mean is 2/3, "
        "after a failure 1/3.": 0.5 + np.maximum(p, 0.5),
        "You always stay with the unknown arm; after a look you may go back to the known one.": np.ones(3),
        "You always go back to the known arm; after a success the unknown one may be better.": 0.5 + p,
        "The first pull itself pays 1/2 on average; you count only the second.": 0.5 * paid + 0.5 * failed,
        "The two outcomes have probability 1/2 each; you add them up without.": 0.5 + paid + failed,
        "After one success the mean is 2/3, not 1; after one failure 1/3, not 0.": 0.5 + 0.5 + 0.5 * p,
    }
    want = 0.5 + 0.5 * paid + 0.5 * failed
    return diagnose(got, want, mistakes, "Not 1/2 + 1/2 max(p, 2/3) + 1/2 max(p, 1/3): pay of pull 1, then the better.")


EXERCISES = (
    Exercise(
        id="00.1",
        name="regret",
        task="write regret(means, pulls): array (A,) and a list of arm indices -> one number, in pay-offs",
        check=check_regret,
        hints=(
            "What would somebody who knows `means` have expected from as many pulls?",
            "R = sum over pulls of (max_i p_i - p of the arm pulled)",
            "return sum(means.max() - means[a] for a in pulls)",
        ),
        solution="def regret(means, pulls):\n    return sum(means.max() - means[a] for a in pulls)",
        wrong=(
            Wrong("regret = lambda m, a: m[a].sum()", "not what was missed"),
            Wrong("regret = lambda m, a: (m[a] - m.max()).sum()", "sign is turned"),
            Wrong("regret = lambda m, a: (m.max() - m[a]).mean()", "regret per pull"),
            Wrong("regret = lambda m, a: (m[a].max() - m[a]).sum()", "best arm that was *pulled*"),
            Wrong("regret = lambda m, a: (m.mean() - m[a]).sum()", "an average arm"),
        ),
    ),
    Exercise(
        id="00.2",
        name="posterior_mean",
        task="write posterior_mean(s, f): successes and failures of an arm -> its mean, prior U(0, 1)",
        check=check_posterior_mean,
        hints=(
            "What should it say for an arm that was never pulled?",
            "The posterior is Beta(1 + s, 1 + f), and Beta(a, b) has mean a / (a + b)",
            "return (1 + s) / (2 + s + f)",
        ),
        solution="def posterior_mean(s, f):\n    return (1 + s) / (2 + s + f)",
        wrong=(
            Wrong("posterior_mean = lambda s, f: s / (s + f) if s + f else 0.5", "the prior is missing"),
            Wrong("posterior_mean = lambda s, f: (1 + s) / (1 + s + f)", "denominator is 2 + s + f"),
            Wrong("posterior_mean = lambda s, f: s / (2 + s + f)", "prior's success is missing"),
            Wrong("posterior_mean = lambda s, f: (1 + f) / (2 + s + f)", "paying *nothing*"),
            Wrong("posterior_mean = lambda s, f: (1 + s) / (2 + s + f) if s else 0.0", "never pulled has mean 1/2"),
        ),
    ),
    Exercise(
        id="00.3",
        name="try_first",
        task="write try_first(p): expected total of two pulls, first the unknown arm, then the better one",
        check=check_try_first,
        hints=(
            "The first pull pays or not, with chance 1/2 each. What do you pull next in either case?",
            "1/2 + 1/2 max(p, 2/3) + 1/2 max(p, 1/3)",
            "return 0.5 + 0.5 * max(p, 2 / 3) + 0.5 * max(p, 1 / 3)",
        ),
        solution="def try_first(p):\n    return 0.5 + 0.5 * max(p, 2 / 3) + 0.5 * max(p, 1 / 3)",
        wrong=(
            Wrong("try_first = lambda p: 0.5 + max(p, 0.5)", "never look at what the first pull paid"),
            Wrong("try_first = lambda p: 1.0", "always stay with the unknown arm"),
            Wrong("try_first = lambda p: 0.5 + p", "always go back to the known arm"),
            Wrong("try_first = lambda p: 0.5 * max(p, 2 / 3) + 0.5 * max(p, 1 / 3)", "you count only the second"),
            Wrong("try_first = lambda p: 0.5 + max(p, 2 / 3) + max(p, 1 / 3)", "add them up without"),
            Wrong("try_first = lambda p: 0.5 + 0.5 * max(p, 1) + 0.5 * max(p, 0)", "2/3, not 1"),
        ),
    ),
)
QUIZZES = (
    Quiz(
        "00.a",
        "One game's total varies with a standard deviation of about 2.2. How many games does it take before the 95% "
        "interval of a player's mean is no wider than 0.05 to either side?",
        (
            Option("About 10", "Ten games give 1.96 * 2.2 / sqrt(10) = 1.4 to either side: luck, and little else."),
            Option("About 90", "Then it is 0.45 to either side: dividing by n instead of by its square root?"),
            Option("About 7,500", "N = (1.96 * 2.2 / 0.05)^2 = 7,437.", right=True),
            Option("No number is enough", "The width falls as 1 / sqrt(n), slowly, but as far as you like."),
        ),
    ),
    Quiz(
        "00.b",
        "The wrapped RL2 has its trained weights and keeps its hidden state. Why does it play like chance?",
        (
            Option(
                "Its hidden state is reset at every pull", "Look at `act`: `memory` goes in and comes out untouched."
            ),
            Option(
                "It never sees what it pulled and what that paid",
                "Every pull starts an 'episode', the wrapper hands the agent zeros at the start of an episode, "
                "and so the last transition is lost every time. Nothing that it does can then depend on the arms.",
                right=True,
            ),
            Option("Its weights need more training", "They are the weights that just scored close to the optimum."),
            Option("It had bad luck", "20,000 games; the interval is about 0.04 to either side."),
        ),
    ),
)
