"""Chapter 13, model-based: fit a proposal to its elites, adapt a model to a window, cut windows at resets, cost."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Wrong, diagnose, numbers

RNG = np.random.default_rng(13)
CANDIDATES, RETURNS = RNG.normal(size=(12, 4)), RNG.permutation(12).astype(float)
BEST = CANDIDATES[np.argsort(-RETURNS)[:3]]


def check_refit(answer):
    got = numbers(answer(CANDIDATES.copy(), RETURNS.copy(), 3), (2, 4), "refit(candidates, returns, k)")
    worst = CANDIDATES[np.argsort(RETURNS)[:3]]
    mistakes = {
        "Those are the k worst: a return is to be maximised, so sort downwards.": [worst.mean(0), worst.std(0)],
        "That std is of all candidates: the proposal then never narrows.": [BEST.mean(0), CANDIDATES.std(0)],
        "You fit all candidates: the elites are the k best of them.": [CANDIDATES.mean(0), CANDIDATES.std(0)],
        "That is the single best candidate: a proposal needs the mean of the k best.": [BEST[0], BEST.std(0)],
        "You return the variance, not the standard deviation.": [BEST.mean(0), BEST.var(0)],
    }
    right = np.stack([BEST.mean(0), BEST.std(0)])
    return diagnose(got, right, {k: np.stack(v) for k, v in mistakes.items()}, "Not mean and std of the k best.")


W, ALPHA = np.array([0.5, -1.0]), 0.2
X, Y = RNG.normal(size=(5, 2)), RNG.normal(size=5)
VALID = np.array([False, False, True, True, True])


def stepped(valid=VALID, alpha=ALPHA, size=5, factor=2.0):
    residual = (X @ W - Y) * valid
    return W - alpha * factor * X.T @ residual / size


def check_adapt_model(answer):
    arguments = (W.copy(), X.copy(), Y.copy(), VALID.copy(), ALPHA)
    got = numbers(answer(*arguments), (2,), "adapt_model(w, x, y, valid, alpha)")
    everything = np.ones(5)
    mistakes = {
        "That is ascent: an error is to be minimised, so subtract alpha times the gradient.": stepped(alpha=-ALPHA),
        "Places of the window that hold no transition count too: multiply by `valid`.": stepped(everything),
        "You divide by how many are valid: the sum is over M, so that a short window moves less.": stepped(size=3),
        "The factor 2 of the square's derivative is missing.": stepped(factor=1.0),
        "You sum: divide by M, the window's length.": stepped(size=1),
        "You return the step, not the new weights.": stepped() - W,
    }
    return diagnose(got, stepped(), mistakes, "Not w - alpha * gradient of sum(valid * (x w - y)^2) / M.")


START = np.array([1, 0, 0, 0, 0, 1, 0, 0, 1, 0], dtype=bool)  # first steps of episodes


def usable(start=START, size=3, cut=True, off=0):
    """Of each step, which of the `size` transitions before it lie in its episode, oldest first."""
    out = np.zeros((len(start), size), dtype=bool)
    for t in range(len(start)):
        begun = max(i for i in range(t + 1) if start[i]) if cut else 0
        for place in range(size):
            first = t - size + place + off  # the transition leads from step `first` to the next one
            out[t, place] = begun <= first < t + off
    return out


def check_in_window(answer):
    got = numbers(answer(START.copy(), 3), (10, 3), "in_window(start, size)")
    bogus = usable()
    for t in range(1, 10):
        begun = max(i for i in range(t + 1) if START[i])
        if begun and t - begun < 3:
            bogus[t, 3 - (t - begun) - 1] = True
    mistakes = {
        "Windows reach into the episode before: empty them at every start.": usable(cut=False),
        "You count the step from an episode's last observation to the next one's first: no action led there.": bogus,
        "Newest first: the oldest transition has place 0.": usable()[:, ::-1],
        "The step that is about to be acted is in your window: its outcome is not yet known.": usable(off=1),
        "You mark what does not count.": ~usable(),
    }
    return diagnose(got, usable(), {k: np.asarray(v, float) for k, v in mistakes.items()}, "Not the window's mask.")


STEPS = np.arange(1000.0, 7000.0, 1000.0)
CURVES = np.array(  # (seeds, n)
    [[0, 6, 7, 8, 12, 8], [0, 1, 6, 6, 7, 7], [0, 1, 2, 6, 4, 7], [-5, -4, -2, 0, 2, 6], [-9, -8, -6, -2, 3, 4]], float
)
GOAL = 5.0


def first_reached(curves, goal=GOAL):
    return np.array([STEPS[np.argmax(c >= goal)] if (c >= goal).any() else np.inf for c in curves])


def check_steps_to(answer):
    got = numbers(answer(STEPS.copy(), CURVES.copy(), GOAL), (), "steps_to(steps, curves, goal)")
    each = first_reached(CURVES)
    reached = each[np.isfinite(each)]
    last = [STEPS[np.flatnonzero(c < GOAL).max() + 1] if c[-1] >= GOAL else np.inf for c in CURVES]
    mistakes = {
        "A seed that never gets there is left out: it counts as infinity, or failing would make a learner look fast.": (
            np.median(reached)
        ),
        "That is the mean curve's crossing: one good seed carries the others over.": first_reached([CURVES.mean(0)])[0],
        "That is the luckiest seed: take the median.": each.min(),
        "A seed that never gets there counts as the last step, in a mean: that flatters it. Take the median.": np.mean(
            np.minimum(each, STEPS[-1])
        ),
        "That is when it stays above for good: asked is when it is first reached.": np.median(last),
    }
    return diagnose(got, np.median(each), mistakes, "Not the median over seeds of the first step at the goal.")


def refit(rank="returns", pick="best.mean(0), best.std(0)", order="-"):
    return (
        "def refit(candidates, returns, k):\n"
        f"    best = candidates[np.argsort({order}{rank})[:k]]\n    return np.stack([{pick}])"
    )


def adapted(expression):
    return f"adapt_model = lambda w, x, y, valid, alpha: {expression}"


def window(begin="t if start[t] else begin", test="begin <= first < t", first="t - size + place", flip=""):
    return (
        "def in_window(start, size):\n    out, begin = np.zeros((len(start), size), bool), 0\n"
        f"    for t in range(len(start)):\n        begin = {begin}\n"
        f"        for place in range(size):\n            first = {first}\n            out[t, place] = {test}\n"
        f"    return {flip}out"
    )


def crossing(reduce, never="np.inf", each="steps[np.argmax(c >= goal)] if (c >= goal).any() else"):
    return (
        "def steps_to(steps, curves, goal):\n"
        f"    each = np.array([{each} {never} for c in curves])\n    return {reduce}"
    )


EXERCISES = (
    Exercise(
        id="13.1",
        name="refit",
        task="write refit(candidates, returns, k): (N, H), (N,), number -> (2, H): mean and std of the k best",
        check=check_refit,
        hints=(
            "Which candidates are the elites, and over which axis do they vary?",
            "mean and standard deviation over the k candidates of highest return, step by step",
            "best = candidates[np.argsort(-returns)[:k]]; return np.stack([best.mean(0), best.std(0)])",
        ),
        solution=refit(),
        wrong=(
            Wrong(refit(order=""), "k worst"),
            Wrong(refit(pick="best.mean(0), candidates.std(0)"), "never narrows"),
            Wrong(refit(pick="candidates.mean(0), candidates.std(0)"), "You fit all"),
            Wrong(refit(pick="best[0], best.std(0)"), "single best"),
            Wrong(refit(pick="best.mean(0), best.var(0)"), "variance"),
        ),
    ),
    Exercise(
        id="13.2",
        name="adapt_model",
        task="write adapt_model(w, x, y, valid, alpha): (P,), (M, P), (M,), bool (M,), number -> (P,)",
        check=check_adapt_model,
        hints=(
            "One step of gradient descent on the window's error; what is that error's gradient?",
            "w' = w - alpha * 2/M * sum_m valid_m (x_m w - y_m) x_m",
            "return w - alpha * 2 * x.T @ (valid * (x @ w - y)) / len(y)",
        ),
        solution=adapted("w - alpha * 2 * x.T @ (valid * (x @ w - y)) / len(y)"),
        wrong=(
            Wrong(adapted("w + alpha * 2 * x.T @ (valid * (x @ w - y)) / len(y)"), "ascent"),
            Wrong(adapted("w - alpha * 2 * x.T @ (x @ w - y) / len(y)"), "no transition"),
            Wrong(adapted("w - alpha * 2 * x.T @ (valid * (x @ w - y)) / valid.sum()"), "short window"),
            Wrong(adapted("w - alpha * x.T @ (valid * (x @ w - y)) / len(y)"), "factor 2"),
            Wrong(adapted("w - alpha * 2 * x.T @ (valid * (x @ w - y))"), "divide by M"),
        ),
    ),
    Exercise(
        id="13.3",
        name="in_window",
        task="write in_window(start, size): bool (N,), number -> bool (N, size)",
        check=check_in_window,
        hints=(
            "For each step t: where did its episode begin, and which transitions lie between?",
            "place p stands for the transition from step t - size + p; it counts if that step is in t's episode",
            "out[t, p] = begin <= t - size + p, with begin the latest start up to t",
        ),
        solution=window(),
        wrong=(
            Wrong(window(begin="0"), "episode before"),
            Wrong(window(test="max(begin - 1, 0) <= first < t"), "no action led there"),
            Wrong(window(first="t - 1 - place"), "Newest first"),
            Wrong(window(first="t - size + place + 1", test="begin <= first <= t"), "not yet known"),
            Wrong(window(flip="~"), "does not count"),
        ),
    ),
    Exercise(
        id="13.4",
        name="steps_to",
        task="write steps_to(steps, curves, goal): (n,), (seeds, n), number -> a number, perhaps np.inf",
        check=check_steps_to,
        hints=(
            "When does each seed get there, and what of one that never does?",
            "median over seeds of min{steps_j: curve_j >= goal}, with infinity where there is none",
            "each = [steps[np.argmax(c >= goal)] if (c >= goal).any() else np.inf for c in curves]; np.median(each)",
        ),
        solution=crossing("np.median(each)"),
        wrong=(
            Wrong(crossing("np.median(each[np.isfinite(each)])"), "left out"),
            Wrong(
                "def steps_to(steps, curves, goal):\n    c = curves.mean(0)\n    return steps[np.argmax(c >= goal)]",
                "mean curve",
            ),
            Wrong(crossing("each.min()"), "luckiest"),
            Wrong(crossing("np.mean(each)", never="steps[-1]"), "flatters"),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "13.a",
        "The planner has a model that is wrong in a few places. What will it do?",
        (
            Option("Avoid those places", "It cannot: the model does not know where it is wrong."),
            Option(
                "Seek out those where the model promises too much",
                "It takes the *best* imagined return, so errors in its favour are what it finds.",
                right=True,
            ),
            Option("Nothing special: errors cancel", "They would in a mean. A maximum picks the favourable ones."),
        ),
    ),
    Quiz(
        "13.b",
        "What went wrong at the start of the second episode?",
        (
            Option("The model was trained too little", "Then the first episode's start would be as bad."),
            Option("The window is too short", "A longer one would keep the old episode's steps longer still."),
            Option(
                "The window still held the last episode's steps, and the jump to the start",
                "The model adapted to a weak leg that is sound again, and to a 'transition' that no action made.",
                right=True,
            ),
            Option("The inner step is too large", "Then every step of the first episode would suffer as well."),
        ),
    ),
)
