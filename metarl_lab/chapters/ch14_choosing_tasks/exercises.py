"""Chapter 14: whom to choose, what to replay, a return that does not flatter, calibration, and the whole loop."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, as_array, close, diagnose, numbers

# --- 14.1 choose ------------------------------------------------------------------------------------------------------


def softmax(x):
    weight = np.exp(x - x.max())
    return weight / weight.sum()


def chances(gain, doubt, bonus, temperature, explore):
    return (1 - explore) * softmax((gain + bonus * doubt) / temperature) + explore / len(gain)


CHOICES = (  # gain, doubt, bonus, temperature, explore
    (np.array([0.2, 3.0, -1.0, 0.0]), np.array([0.1, 0.4, 0.0, 1.5]), 2.0, 0.8, 0.25),
    (np.array([1.0, -0.5, 0.3, 0.0, 2.0, 1.2]), np.array([0.7, 1.1, 0.2, 0.9, 0.1, 0.4]), 0.6, 1.7, 0.1),
)


def check_choose(answer):
    for gain, doubt, bonus, temperature, explore in CHOICES:
        n, best = len(gain), gain + bonus * doubt
        what = "choose(gain, doubt, bonus, temperature, explore)"
        got = numbers(answer(gain.copy(), doubt.copy(), bonus, temperature, explore), (n,), what)
        right = chances(gain, doubt, bonus, temperature, explore)
        mistakes = {
            "Doubt is subtracted: that avoids what is not known. Optimism adds it.": (
                chances(gain, doubt, -bonus, temperature, explore)
            ),
            "The bonus is missing: a task of which little is known then gets no more than its predicted gain.": (
                chances(gain, doubt, 0.0, temperature, explore)
            ),
            "`bonus` is added as it is, to all tasks alike: it is to be multiplied by each task's doubt.": (
                chances(gain, doubt * 0 + 1, bonus, temperature, explore)
            ),
            "The temperature is missing: divide u by it.": chances(gain, doubt, bonus, 1.0, explore),
            "You multiply by the temperature: a high one must make the choice more even.": (
                chances(gain, doubt, bonus, 1 / temperature, explore)
            ),
            "Only the gain is divided by the temperature: divide the sum of gain and bonus times doubt.": (
                chances(gain / temperature, doubt, bonus, 1.0, explore)
            ),
            "You divide by the spread of u too. The package's sampler does so; here the temperature is all.": (
                chances(gain, doubt, bonus, temperature * best.std(), explore)
            ),
            "Nothing explores: mix in the uniform distribution.": chances(gain, doubt, bonus, temperature, 0.0),
            "The shares are swapped: `explore` is the uniform part.": (
                chances(gain, doubt, bonus, temperature, 1 - explore)
            ),
            "It does not sum to 1: the softmax must shrink to the share 1 - explore.": (
                chances(gain, doubt, bonus, temperature, 0.0) + explore / n
            ),
            "The uniform part of each task is explore / N, not explore.": right - explore / n + explore,
            "That is the weight before it is divided by the sum of all.": (
                (1 - explore) * np.exp(best / temperature) + explore / n
            ),
        }
        otherwise = "Not (1 - explore) softmax((gain + bonus doubt) / temperature) + explore / N."
        if message := diagnose(got, right, mistakes, otherwise):
            return message
    return None


# --- 14.2 replay ------------------------------------------------------------------------------------------------------


def ranks(priority):
    """1 for the highest of them, no two being equal."""
    return 1 + np.argsort(np.argsort(-priority))


def share(weight):
    return weight / weight.sum()


REPLAYS = (  # priority, waited, beta, rho
    (np.array([0.5, 4.0, -2.0, 1.0, 0.7]), np.array([0.0, 2.0, 6.0, 0.0, 2.0]), 0.5, 0.3),
    (np.array([2.0, -1.0, 3.5, 0.1, 1.0, 0.6, 5.0]), np.array([3.0, 1.0, 0.0, 4.0, 0.0, 9.0, 2.0]), 1.6, 0.1),
)


def check_replay(answer):
    for priority, waited, beta, rho in REPLAYS:
        n = len(priority)
        got = numbers(answer(priority.copy(), waited.copy(), beta, rho), (n,), "replay(priority, waited, beta, rho)")
        by_rank = share(ranks(priority) ** (-1 / beta))
        by_age = share(waited)
        order = 1.0 + np.argsort(-priority)  # which task is first, second, ...
        right = (1 - rho) * by_rank + rho * by_age
        mistakes = {
            "Your ranks run the wrong way: rank 1 is the highest priority.": (
                (1 - rho) * share(ranks(-priority) ** (-1 / beta)) + rho * by_age
            ),
            "argsort is not the rank: it says which task is k-th, not how good task i is. Apply it twice.": (
                (1 - rho) * share(order ** (-1 / beta)) + rho * by_age
            ),
            "The exponent is -1 / beta, not -beta.": (1 - rho) * share(ranks(priority) ** -beta) + rho * by_age,
            "The exponent is -1 / beta, not -1: beta is ignored.": (
                (1 - rho) * share(1 / ranks(priority)) + rho * by_age
            ),
            "That is a softmax of the priorities: their ranks count, not their sizes.": (
                (1 - rho) * softmax(priority / beta) + rho * by_age
            ),
            "Staleness is missing: a task whose score was unlucky once is never seen again.": by_rank,
            "Staleness runs the wrong way: who has waited longest comes first.": (
                (1 - rho) * by_rank + rho * share(1 / (1 + waited))
            ),
            "Staleness must be normalised too: divide by its sum.": (1 - rho) * by_rank + rho * waited,
            "The weights of the ranks must be normalised: divide by their sum.": (
                (1 - rho) * ranks(priority) ** (-1 / beta) + rho * by_age
            ),
            "The shares are swapped: rho is the part that goes by staleness.": rho * by_rank + (1 - rho) * by_age,
        }
        otherwise = "Not (1 - rho) rank^(-1 / beta) / its sum + rho waited / its sum."
        if message := diagnose(got, right, mistakes, otherwise):
            return message
    return None


# --- 14.3 a return that does not flatter ------------------------------------------------------------------------------

DRAWN = (  # scores and q of the tasks drawn, and of how many candidates
    (np.array([4.0, 0.0, 3.0, 1.0]), np.array([0.02, 0.001, 0.01, 0.004]), 200),
    (np.array([-1.0, 2.5, 0.5, 6.0, 2.5, 3.0]), np.array([0.05, 0.01, 0.03, 0.08, 0.01, 0.002]), 50),
)


def check_fair_return(answer):
    for scores, q, n in DRAWN:
        got = numbers(answer(scores.copy(), q.copy(), n), (), "fair_return(scores, q, n)")
        weight = 1 / (n * q)
        mistakes = {
            "That is the mean over the tasks that were chosen: E_q, which flatters.": scores.mean(),
            "Upside down: a task drawn too often must count less. The weight is p / q.": (scores / weight).mean(),
            "p is missing: each of n candidates had the chance 1 / n.": (scores / q).mean(),
            "That is the sum: divide by the number of tasks drawn.": (weight * scores).sum(),
            "You divide by the number of candidates: the mean is over the tasks drawn.": (weight * scores).sum() / n,
            "p is 1 / n, of all candidates: you took one over the number of tasks drawn.": (
                (scores / (len(scores) * q)).mean()
            ),
            "Divided by the sum of the weights: less noisy and biased. Here: the unbiased form, divided by the number "
            "of tasks drawn.": (weight * scores).sum() / weight.sum(),
            "That weighs by q once more: tasks drawn with the chances q come up in proportion to q already.": (
                (scores * q).sum()
            ),
        }
        if message := diagnose(got, (weight * scores).mean(), mistakes, "Not the mean of scores / (n q)."):
            return message
    return None


# --- 14.4 calibration -------------------------------------------------------------------------------------------------

WIDTH = 1.645
# (std, error in standard deviations): some errors lie close to the ends of the interval, on both sides of it, so that a
# width of 1.6 or 1.7 counts others; and each mistake that is named below gives another share
PROMISES = (
    (
        np.array([0.4, 0.5, 0.5, 3.0, 3.0, 0.4, 1.5, 1.5, 0.2, 0.3, 0.8, 0.4, 0.5, 0.3, 0.4, 0.4, 0.8, 0.6]),
        np.array(
            [-1.1, -0.3, -1.63, -3.0, -1.4, -2.2, 0.2, 3.0, 3.0, 2.2, 0.8, -2.8, 3.0, -1.8, 2.8, -2.5, -1.55, -1.66]
        ),
    ),
    (
        np.array([0.4, 0.2, 0.8, 0.1, 0.6, 0.5, 0.1, 0.6, 0.1, 0.3, 0.5, 0.5, 3.0, 2.0, 0.5, 0.3]),
        np.array([-2.8, -3.0, -1.67, -1.9, -0.1, 1.62, -2.8, 2.8, 2.5, -1.35, -2.5, -2.8, 1.57, 1.2, -3.0, -2.2]),
    ),
)


def check_coverage(answer):
    for std, relative in PROMISES:
        gain, error = np.linspace(-1.0, 4.0, len(std)), relative * std
        given = gain.copy(), std.copy(), gain + error
        got = numbers(answer(*given), (), "coverage(gain, std, realised)")
        within = np.abs(error) <= WIDTH * std
        mistakes = {
            "That counts only one side: an interval has two, so take the absolute error.": error <= WIDTH * std,
            "That is the share outside.": ~within,
            "One standard deviation covers 68%, not 90%.": np.abs(relative) <= 1,
            "1.28 standard deviations either side cover 80%: a tenth lies beyond each end.": np.abs(relative) <= 1.28,
            "1.5 standard deviations either side cover 87%, not 90%.": np.abs(relative) <= 1.5,
            "1.96 or 2 standard deviations either side cover 95%, not 90%.": np.abs(relative) <= 1.96,
            "The limit is 1.645 standard deviations, no rounder number.": np.abs(relative) <= 1.6,
            "The limit is 1.645 standard deviations, not 1.7.": np.abs(relative) <= 1.7,
            "One width for all tasks: each has a standard deviation of its own.": np.abs(error) <= WIDTH * std.mean(),
            "You took `std` for a variance: it is a standard deviation.": np.abs(error) <= WIDTH * np.sqrt(std),
            "The error is not divided by its standard deviation: 1.645 counts standard deviations.": (
                np.abs(error) <= WIDTH
            ),
        }
        shares = {message: inside.mean() for message, inside in mistakes.items()}
        shares["That is a number of tasks: divide by how many there are."] = within.sum()
        shares["That is a number in percent: give a share between 0 and 1."] = 100 * within.mean()
        otherwise = "Not the share of tasks with |realised - gain| <= 1.645 std."
        if message := diagnose(got, within.mean(), shares, otherwise):
            return message
    return None


# --- 14.5 the whole loop ----------------------------------------------------------------------------------------------


class School:
    """A model, a draw and a learner that keep in which order they were asked, and what for. All numbers are made up.

    The model predicts from what it was last fitted to; the learner's scores change with every iteration, so that
    yesterday's scores, or another task's, are other numbers.
    """

    def __init__(self, seed, drawn):
        self.rng = np.random.default_rng(seed)
        self.drawn = drawn  # tasks in an iteration
        self.calls = []  # (what was asked, its arguments)
        self.heard = 0.0

    def functions(self):
        """What an answer is given: predict, draw, train, fit, as plain functions."""
        return (
            lambda x: self.predict(x),
            lambda q: self.draw(q),
            lambda x: self.train(x),
            lambda x, scores: self.fit(x, scores),
        )

    def predict(self, x):
        x = as_array(x)
        self.calls.append(("predict", x))
        return x.sum(1) + self.heard * x[:, 0], 0.3 + np.abs(x[:, -1])

    def draw(self, q):
        q = as_array(q).astype(float)
        self.calls.append(("draw", q))
        return self.rng.choice(len(q), self.drawn, p=np.abs(q) / np.abs(q).sum())

    def train(self, x):
        x = as_array(x)
        self.calls.append(("train", x))
        times = sum(name == "train" for name, *_ in self.calls)
        before = 0.5 * np.cos(x).sum(1)
        return np.stack((before, before + times + x[:, 0] ** 2), 1)

    def fit(self, x, scores):
        x, scores = as_array(x), as_array(scores)
        self.calls.append(("fit", x, scores))
        self.heard = float((scores[:, 1] - scores[:, 0]).mean() * x.mean()) if scores.ndim == 2 else 0.0
        return self.heard


CLASSES = (  # candidates of each iteration (I, N, F), drawn, bonus, temperature, explore
    (np.random.default_rng(1).normal(size=(3, 6, 2)).round(2), 4, 0.5, 0.9, 0.2),
    (np.random.default_rng(2).normal(size=(4, 9, 3)).round(2), 5, 1.5, 1.4, 0.4),
)


def run_curriculum(candidates, school, settings, fair=True):
    """The right loop, and what it reports: the fair return of each iteration, or the mean of the chosen."""
    reported = []
    for x in candidates:
        gain, doubt = school.predict(x)
        q = chances(gain, doubt, *settings)
        chosen = school.draw(q)
        scores = school.train(x[chosen])
        school.fit(x[chosen], scores)
        after = scores[:, 1]
        reported.append((after / (len(x) * q[chosen])).mean() if fair else after.mean())
    return np.array(reported)


def check_curriculum(answer):
    for seed, (candidates, drawn, *settings) in enumerate(CLASSES):
        school, ours = School(seed, drawn), School(seed, drawn)
        given = list(candidates), *school.functions(), *settings
        what = "curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore)"
        got = numbers(answer(*given), (len(candidates),), what)
        right = run_curriculum(candidates, ours, settings)
        if message := judge_order(school, ours):
            return message
        chosen = run_curriculum(candidates, School(seed, drawn), settings, fair=False)
        q = [asked[1] for asked in ours.calls if asked[0] == "draw"]
        scores = [asked[2] for asked in ours.calls if asked[0] == "fit"]
        rng = np.random.default_rng(seed)
        places = [rng.choice(len(x), drawn, p=x / x.sum()) for x in q]
        n = candidates.shape[1]
        mistakes = {
            "You report the mean over the tasks chosen, which flatters: weigh each by (1 / N) / q.": chosen,
            "You report the return *before* adaptation: take the second column of the scores.": np.array(
                [(s[:, 0] / (n * x[i])).mean() for s, x, i in zip(scores, q, places, strict=True)]
            ),
            "You report the gain: what is asked for is the return after adaptation.": np.array(
                [((s[:, 1] - s[:, 0]) / (n * x[i])).mean() for s, x, i in zip(scores, q, places, strict=True)]
            ),
            "p is missing: a candidate's chance under p is 1 / N.": n * right,
            "That is the sum over the tasks drawn: divide by their number.": drawn * right,
        }
        if message := diagnose(got, right, mistakes, "The tasks are chosen well; what is reported of them is wrong."):
            return message
    return None


def judge_order(school, ours):
    """What is wrong with the calls that an answer made, beside those of the right loop."""
    made, wanted = [name for name, *_ in school.calls], [name for name, *_ in ours.calls]
    if "fit" not in made:
        return "The model never hears of the scores: call fit(...) with what was trained on."
    if made.count("predict") == 1:
        return "You predict once for all iterations: the learner moves, so ask anew for each set of candidates."
    if made != wanted:
        said = ", ".join(made[:8])
        return f"In each iteration, in this order: predict, draw, train, fit. Yours begins: {said}."
    for mine, theirs in zip(school.calls, ours.calls, strict=True):
        if message := judge_call(mine, theirs):
            return message
    return None


def judge_call(mine, theirs):
    """What is wrong with the arguments of one call."""
    name = mine[0]
    if all(a.shape == b.shape and close(a, b, 1e-4) for a, b in zip(mine[1:], theirs[1:], strict=True)):
        return None
    if name == "draw":
        n = len(theirs[1])
        if mine[1].shape != (n,):
            return f"draw(q) got q of shape {mine[1].shape}: it wants one chance for each candidate, ({n},)."
        if close(mine[1], np.full(n, 1 / n), 1e-4):
            return "You draw by chance: q must favour large predicted gain, as in 14.1."
        return "The q that you give to draw(q) is not that of 14.1: check gain, doubt and the three settings."
    if name == "train":
        return "train(x) must get the tasks that were drawn, (m, F), out of this iteration's candidates."
    if name == "fit":
        return "fit(x, scores) must get the tasks that were trained on, (m, F), and their scores, (m, 2), as they are."
    return "predict(x) must get this iteration's candidates, all of them."


EXERCISES = (
    Exercise(
        id="14.1",
        name="choose",
        task="""
            Write choose(gain, doubt, bonus, temperature, explore): the chance q of each of N candidates to be taken.

              gain         (N,) predicted gain of each, in units of return
              doubt        (N,) standard deviation of that prediction, in units of return
              bonus        kappa, how many standard deviations of doubt are added to the gain, a number
              temperature  lambda, in units of return, above 0: the larger, the more even the choice
              explore      epsilon, the share of the choice that is uniform, between 0 and 1
              returns      (N,) chances that sum to 1
        """,
        check=check_choose,
        hints=(
            "Optimism first, then a softmax, then a share for chance.",
            "q = (1 - explore) softmax((gain + bonus doubt) / temperature) + explore / N",
            "u = (gain + bonus * doubt) / temperature  # then w = np.exp(u - ...), and two steps more",
        ),
        solution="""
            def choose(gain, doubt, bonus, temperature, explore):
                u = (gain + bonus * doubt) / temperature
                weight = np.exp(u - u.max())  # the largest is 1: nothing overflows
                by_gain = weight / weight.sum()
                return (1 - explore) * by_gain + explore / len(gain)
        """,
    ),
    Exercise(
        id="14.2",
        name="replay",
        task="""
            Write replay(priority, waited, beta, rho): the chance of each of N kept tasks to be played again.

              priority  (N,) last score of each, in units of return; no two are equal, and the highest has rank 1
              waited    (N,) iterations since each was last played, 0 or more; some task has waited
              beta      temperature of the ranks, above 0
              rho       the share that goes by staleness, between 0 and 1
              returns   (N,) chances that sum to 1, in the order of the arguments
        """,
        check=check_replay,
        hints=(
            "Ranks of the priorities make one distribution, the time waited another.",
            "P = (1 - rho) rank^(-1 / beta) / its sum + rho waited / its sum",
            "rank = 1 + np.argsort(np.argsort(-priority))  # (N,), 1 for the highest",
        ),
        solution="""
            def replay(priority, waited, beta, rho):
                rank = 1.0 + np.argsort(np.argsort(-priority))  # 1 for the highest
                by_score = rank ** (-1 / beta)
                by_score = by_score / by_score.sum()
                by_age = waited / waited.sum()
                return (1 - rho) * by_score + rho * by_age
        """,
    ),
    Exercise(
        id="14.3",
        name="fair_return",
        task="""
            Write fair_return(scores, q, n): an unbiased estimate of the mean score over all n candidates, from m tasks
            that were drawn from them, each by itself, with the chances q.

              scores   (m,) mean return of each task that was drawn
              q        (m,) the chance that this task had in each draw
              n        how many candidates there were; under p each has the chance 1 / n
              returns  a number, in units of return: the mean over the m drawn, weighed by p / q
        """,
        check=check_fair_return,
        hints=(
            "A task that was drawn ten times too often must count a tenth.",
            "E_p[R] = E_q[(p / q) R], p = 1 / n",
            "weight = (1 / n) / q  # (m,); what is the mean of weighted scores?",
        ),
        solution="""
            def fair_return(scores, q, n):
                weight = (1 / n) / q  # p / q of each task drawn
                return (weight * scores).mean()
        """,
    ),
    Exercise(
        id="14.4",
        name="coverage",
        task="""
            Write coverage(gain, std, realised): the share of N tasks whose realised gain lies in its 90% interval,
            which reaches 1.645 standard deviations to either side of the predicted gain.

              gain      (N,) predicted gain of each task, in units of return
              std       (N,) the standard deviation that the model states for each, in units of return
              realised  (N,) the gain that each task then had, in units of return
              returns   a number between 0 and 1
        """,
        check=check_coverage,
        hints=(
            "How many of the predictions kept their word?",
            "Count the tasks whose error, up or down, is at most 1.645 of their own standard deviations.",
            "error = np.abs(realised - gain)  # (N,); which of them are small enough?",
        ),
        solution="""
            def coverage(gain, std, realised):
                error = np.abs(realised - gain)  # (N,)
                return (error <= 1.645 * std).mean()
        """,
    ),
    Exercise(
        id="14.5",
        name="curriculum",
        task="""
            Write curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore): meta-training on
            chosen tasks. In each iteration, predict the gain of every candidate, choose (14.1), draw, train on the
            tasks drawn, fit the model to their scores, and note the fair return (14.3) after adaptation. You may call
            choose and fair_return.

              candidates   a list with one entry an iteration: (N, F), candidate tasks, F numbers each
              predict      a function: predict(x) gives gain and doubt, (N,) each, of tasks x (N, F)
              draw         a function: draw(q) draws m tasks, each by itself, with chances q (N,), and gives (m,) places
              train        a function: train(x) trains the learner on tasks x (m, F) and gives their scores, (m, 2):
                           mean return before adaptation, and after it
              fit          a function: fit(x, scores) tells the model of tasks trained on (m, F), and scores (m, 2)
              bonus        as in 14.1, a number
              temperature  as in 14.1, a number
              explore      as in 14.1, a number
              returns      a list with one number an iteration: the mean return after adaptation over all its
                           candidates, estimated without bias from those drawn
        """,
        check=check_curriculum,
        hints=(
            "One pass of the loop has four calls, in the order of the task's second sentence.",
            "q = choose(...); places = draw(q); what is trained on is x[places], with the chances q[places]",
            "for x in candidates: gain, doubt = predict(x); ...",
        ),
        solution="""
            def curriculum(candidates, predict, draw, train, fit, bonus, temperature, explore):
                reported = []
                for x in candidates:
                    gain, doubt = predict(x)
                    u = (gain + bonus * doubt) / temperature
                    weight = np.exp(u - u.max())
                    q = (1 - explore) * weight / weight.sum() + explore / len(x)
                    places = draw(q)
                    scores = train(x[places])
                    fit(x[places], scores)
                    weight = 1 / (len(x) * q[places])  # p / q
                    reported.append((weight * scores[:, 1]).mean())
                return reported
        """,
    ),
)

QUIZZES = (
    Quiz(
        "14.a",
        "The sampler asks for the largest *predicted gain*. Which tasks will it leave out?",
        (
            Option(
                "Impossible ones, and those already mastered",
                "Where nothing can be earned, or the start already earns what there is, adaptation has nothing to add. "
                "Whether that matters depends on what the test will ask.",
                right=True,
            ),
            Option(
                "Impossible ones, and nothing else",
                "Their gain is 0, true. But is theirs the only gain of 0?",
            ),
            Option(
                "Hard ones, whose returns are low at first",
                "A low return is no low gain: the gain is after minus before.",
            ),
        ),
    ),
    Quiz(
        "14.b",
        "Why do two of the five tasks never come back?",
        (
            Option(
                "Their scores are too low for the softmax to choose them",
                "They are worth 3 and the others 1: with honest scores they would be played most.",
            ),
            Option(
                "A first score is halved, so latecomers never catch up",
                "Half of 3 is 1.5, and the others' scores never exceed 1. Look at what is stored.",
            ),
            Option(
                "The mask was written into the stored scores themselves",
                "Basic slicing in NumPy gives a view and copies nothing. From then on every average with -inf is -inf.",
                right=True,
            ),
        ),
    ),
)
