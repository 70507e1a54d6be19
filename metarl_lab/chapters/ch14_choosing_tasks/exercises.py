"""Chapter 14, choosing tasks: what to draw, what to replay, how to report a return on chosen tasks, calibration."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Wrong, diagnose, numbers

GAIN, DOUBT = np.array([0.2, 3.0, -1.0, 0.0]), np.array([0.1, 0.4, 0.0, 1.5])
BONUS, TEMPERATURE, EXPLORE = 2.0, 0.8, 0.25


def softmax(x):
    weight = np.exp(x - x.max())
    return weight / weight.sum()


def chosen(bonus=BONUS, temperature=TEMPERATURE, explore=EXPLORE):
    return (1 - explore) * softmax((GAIN + bonus * DOUBT) / temperature) + explore / len(GAIN)


def check_choose(answer):
    got = numbers(
        answer(GAIN.copy(), DOUBT.copy(), BONUS, TEMPERATURE, EXPLORE),
        (4,),
        "choose(gain, doubt, bonus, temperature, explore)",
    )
    mistakes = {
        "Doubt is subtracted: that avoids what is not known. Optimism adds it.": chosen(bonus=-BONUS),
        "The bonus is missing: a task that nobody has tried is then never tried.": chosen(bonus=0.0),
        "You multiply by the temperature: a high one must make the choice more even.": chosen(
            temperature=1 / TEMPERATURE
        ),
        "Nothing explores: mix in the uniform distribution.": chosen(explore=0.0),
        "The shares are swapped: `explore` is the uniform part.": chosen(explore=1 - EXPLORE),
        "It does not sum to 1: the other part must shrink to 1 - explore.": chosen(explore=0.0) + EXPLORE / 4,
    }
    return diagnose(got, chosen(), mistakes, "Not (1 - explore) softmax((gain + bonus doubt) / temperature) + ...")


PRIORITY, WAITED = np.array([0.5, 4.0, -2.0, 1.0, 0.7]), np.array([0.0, 2.0, 6.0, 0.0, 2.0])
BETA, RHO = 0.5, 0.3


def replayed(priority=PRIORITY, beta=BETA, rho=RHO):
    rank = 1 + np.argsort(np.argsort(-priority))
    by_rank = rank ** (-1 / beta)
    return (1 - rho) * by_rank / by_rank.sum() + rho * WAITED / WAITED.sum()


def check_replay(answer):
    got = numbers(answer(PRIORITY.copy(), WAITED.copy(), BETA, RHO), (5,), "replay(priority, waited, beta, rho)")
    by_position = (1 + np.argsort(-PRIORITY)) ** (-1 / BETA)
    fresh = 1 / (1 + WAITED)
    by_rank = replayed(rho=0.0)
    mistakes = {
        "Your ranks run the wrong way: rank 1 is the highest priority.": replayed(priority=-PRIORITY),
        "argsort is not the rank: it says which task is k-th, not how good task i is. Apply it twice.": (1 - RHO)
        * by_position
        / by_position.sum()
        + RHO * WAITED / WAITED.sum(),
        "The exponent is -1 / beta, not -beta.": replayed(beta=1 / BETA),
        "Staleness is missing: a task whose score was unlucky once is never seen again.": by_rank,
        "Staleness runs the wrong way: who has waited longest comes first.": (1 - RHO) * by_rank
        + RHO * fresh / fresh.sum(),
        "Staleness must be normalised too: divide by its sum.": (1 - RHO) * by_rank + RHO * WAITED,
    }
    return diagnose(got, replayed(), mistakes, "Not (1 - rho) rank^(-1 / beta) / Z + rho waited / sum(waited).")


SCORES = np.array([4.0, 0.0, 3.0, 1.0])
DRAWN_WITH = np.array([0.02, 0.001, 0.01, 0.004])  # q of each drawn task
CANDIDATES = 200


def check_fair_return(answer):
    got = numbers(answer(SCORES.copy(), DRAWN_WITH.copy(), CANDIDATES), (), "fair_return(scores, q, n)")
    weight = 1 / (CANDIDATES * DRAWN_WITH)
    right = (weight * SCORES).mean()
    mistakes = {
        "That is the mean over the tasks that were chosen: E_q, which flatters.": SCORES.mean(),
        "Upside down: a task drawn too often must count less. The weight is p / q.": (SCORES / weight).mean(),
        "p is missing: each of n candidates had the chance 1 / n.": (SCORES / DRAWN_WITH).mean(),
        "That is the sum: divide by the number of tasks drawn.": (weight * SCORES).sum(),
        "Divided by the sum of the weights: less noisy and biased. Here: the unbiased form, divided by the number "
        "of tasks drawn.": (weight * SCORES).sum() / weight.sum(),
    }
    return diagnose(got, right, mistakes, "Not the mean of scores / (n q).")


PREDICTED = np.arange(8.0)
SPREAD = np.array([0.1, 0.3, 1.0, 0.2, 0.4, 0.3, 0.8, 1.5])
REALISED = PREDICTED + np.array([0.12, -0.6, 2.5, 0.1, 1.1, 0.2, 1.2, -2.0])


def check_coverage(answer):
    got = numbers(answer(PREDICTED.copy(), SPREAD.copy(), REALISED.copy()), (), "coverage(gain, std, realised)")
    error = REALISED - PREDICTED
    mistakes = {
        "That counts only one side: an interval has two, so take the absolute error.": (error <= 1.645 * SPREAD).mean(),
        "That is the share outside.": (np.abs(error) > 1.645 * SPREAD).mean(),
        "One standard deviation covers 68%, not 90%.": (np.abs(error) <= SPREAD).mean(),
        "One width for all tasks: each has a standard deviation of its own.": (
            np.abs(error) <= 1.645 * SPREAD.mean()
        ).mean(),
    }
    return diagnose(
        got,
        (np.abs(error) <= 1.645 * SPREAD).mean(),
        mistakes,
        "Not the share of tasks with |realised - gain| <= 1.645 std.",
    )


def choosing(
    value="gain + bonus * doubt", scale="/ temperature", last="(1 - explore) * w / w.sum() + explore / len(w)"
):
    return (
        "def choose(gain, doubt, bonus, temperature, explore):\n"
        f"    u = ({value}) {scale}\n    w = np.exp(u - u.max())\n    return {last}"
    )


def replaying(
    rank="1.0 + np.argsort(np.argsort(-priority))",
    weight="rank ** (-1 / beta)",
    age="waited / waited.sum()",
    last="(1 - rho) * w / w.sum() + rho * age",
):
    return (
        "def replay(priority, waited, beta, rho):\n"
        f"    rank = {rank}\n    w = {weight}\n    age = {age}\n    return {last}"
    )


def fair(expression):
    return f"fair_return = lambda scores, q, n: {expression}"


def cover(expression):
    return f"coverage = lambda gain, std, realised: {expression}"


EXERCISES = (
    Exercise(
        id="14.1",
        name="choose",
        task="write choose(gain, doubt, bonus, temperature, explore): (N,), (N,), three numbers -> (N,)",
        check=check_choose,
        hints=(
            "Optimism first, then a softmax, then a share for chance.",
            "q = (1 - explore) softmax((gain + bonus doubt) / temperature) + explore / N",
            "u = (gain + bonus * doubt) / temperature; w = np.exp(u - u.max()); then normalise and mix",
        ),
        solution=choosing(),
        wrong=(
            Wrong(choosing(value="gain - bonus * doubt"), "Doubt is subtracted"),
            Wrong(choosing(value="gain"), "bonus is missing"),
            Wrong(choosing(scale="* temperature"), "multiply by the temperature"),
            Wrong(choosing(last="w / w.sum()"), "Nothing explores"),
            Wrong(choosing(last="explore * w / w.sum() + (1 - explore) / len(w)"), "swapped"),
        ),
    ),
    Exercise(
        id="14.2",
        name="replay",
        task="write replay(priority, waited, beta, rho): (N,), (N,), two numbers -> (N,), summing to 1",
        check=check_replay,
        hints=(
            "Ranks of the priorities make one distribution, the time waited another.",
            "P = (1 - rho) rank^(-1 / beta) / sum + rho waited / sum(waited)",
            "rank = 1 + np.argsort(np.argsort(-priority)); w = rank ** (-1.0 / beta)",
        ),
        solution=replaying(),
        wrong=(
            Wrong(replaying(rank="1.0 + np.argsort(np.argsort(priority))"), "wrong way"),
            Wrong(replaying(rank="1.0 + np.argsort(-priority)"), "argsort is not the rank"),
            Wrong(replaying(weight="rank ** (-beta)"), "exponent"),
            Wrong(replaying(last="w / w.sum()"), "Staleness is missing"),
            Wrong(replaying(age="1 / (1 + waited); age = age / age.sum()"), "waited longest"),
            Wrong(replaying(age="waited"), "normalised"),
        ),
    ),
    Exercise(
        id="14.3",
        name="fair_return",
        task="write fair_return(scores, q, n): scores (m,) of tasks drawn with chances q (m,) out of n -> a number",
        check=check_fair_return,
        hints=(
            "A task that was drawn ten times too often must count a tenth.",
            "E_p[R] = E_q[(p / q) R], p = 1 / n",
            "return (scores / (n * q)).mean()",
        ),
        solution=fair("(scores / (n * q)).mean()"),
        wrong=(
            Wrong(fair("scores.mean()"), "flatters"),
            Wrong(fair("(scores * n * q).mean()"), "Upside down"),
            Wrong(fair("(scores / q).mean()"), "p is missing"),
            Wrong(fair("(scores / (n * q)).sum()"), "the sum"),
            Wrong(fair("(scores / q).sum() / (1 / q).sum()"), "sum of the weights"),
        ),
    ),
    Exercise(
        id="14.4",
        name="coverage",
        task="write coverage(gain, std, realised): all (N,) -> the share of tasks inside their 90% interval",
        check=check_coverage,
        hints=(
            "How many of the predictions kept their word?",
            "share of tasks with |realised - gain| <= 1.645 std",
            "return (np.abs(realised - gain) <= 1.645 * std).mean()",
        ),
        solution=cover("(np.abs(realised - gain) <= 1.645 * std).mean()"),
        wrong=(
            Wrong(cover("(realised - gain <= 1.645 * std).mean()"), "one side"),
            Wrong(cover("(np.abs(realised - gain) > 1.645 * std).mean()"), "outside"),
            Wrong(cover("(np.abs(realised - gain) <= std).mean()"), "One standard deviation"),
            Wrong(cover("(np.abs(realised - gain) <= 1.645 * std.mean()).mean()"), "One width"),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "14.a",
        "The sampler asks for the largest *predicted gain*. Which tasks will it leave out?",
        (
            Option("Impossible ones only", "Their gain is 0, true. But is theirs the only gain of 0?"),
            Option(
                "Impossible ones, and easy ones",
                "Where the start already earns nearly everything, adaptation has nothing to add. Whether that "
                "matters depends on what the test will ask.",
                right=True,
            ),
            Option("Hard ones: their returns are low", "A low return is no low gain: it is after minus before."),
        ),
    ),
    Quiz(
        "14.b",
        "Why do two of the five tasks never come back?",
        (
            Option("Their true scores are the lowest", "Staleness would bring them back; and look at what is stored."),
            Option(
                "`scores` is a view of the store, so the mask was written into it",
                "Basic slicing in NumPy copies nothing. From then on every average with -inf is -inf.",
                right=True,
            ),
            Option("rho is too small", "Any rho above 0 brings everything back in time, if priorities are numbers."),
        ),
    ),
)
