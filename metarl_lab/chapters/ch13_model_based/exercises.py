"""Chapter 13, model-based: a round of the search, adapt a model, cut windows at resets, cost, all of the adaptation."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Rejected, as_array, close, diagnose, numbers

RNG = np.random.default_rng(13)

# --- 13.1 one round of the cross-entropy method -----------------------------------------------------------------------

ROUNDS = (  # candidates (N, H), scores (N,), k
    (RNG.normal(size=(12, 4)), RNG.permutation(12).astype(float), 3),
    (RNG.normal(size=(9, 2)) - 1.0, RNG.permutation(9) - 20.0, 5),
)


def check_refit(answer):
    for candidates, scores, k in ROUNDS:
        got = numbers(answer(candidates.copy(), scores.copy(), k), (2, candidates.shape[1]), "refit")
        best = candidates[np.argsort(-scores)[:k]]
        worst = candidates[np.argsort(scores)[:k]]
        first = candidates[:k]
        mean, std = best.mean(0), best.std(0)
        mistakes = {
            "Those are the k worst: a return is to be maximised.": (worst.mean(0), worst.std(0)),
            "Those are the first k candidates: take the k of the highest return.": (first.mean(0), first.std(0)),
            "You fit all candidates: the elites are the k best of them.": (candidates.mean(0), candidates.std(0)),
            "That std is of all candidates: the proposal then never narrows.": (mean, candidates.std(0)),
            "That is the single best candidate: a proposal needs the mean of the k best.": (best[0], std),
            "You return the variance, not the standard deviation.": (mean, best.var(0)),
            "You divide by k - 1. Asked is the spread of these k themselves, divided by k: NumPy's std divides so, "
            "torch's does with correction=0.": (mean, best.std(0, ddof=1)),
            "Mean and standard deviation are swapped: the mean comes first.": (std, mean),
            "One number for all steps: each step of the plan has a mean and a standard deviation of its own.": (
                np.full_like(mean, best.mean()),
                np.full_like(std, best.std()),
            ),
        }
        wrong = {message: np.stack(value) for message, value in mistakes.items()}
        otherwise = "Not the mean and the standard deviation of the k best, step by step."
        if message := diagnose(got, np.stack([mean, std]), wrong, otherwise):
            return message
    return None


# --- 13.2 one inner step of a linear model ----------------------------------------------------------------------------


def adapted(w, x, y, valid, alpha, *, size=None, factor=2.0):
    """Weights after one step; the check names variants by what they divide by, and by the factor of the square."""
    residual = (x @ w - y) * valid
    return w - alpha * factor * x.T @ residual / (len(y) if size is None else size)


WINDOWS = (  # w (P,), x (M, P), y (M,), valid (M,), alpha
    (
        np.array([0.5, -1.0]),
        RNG.normal(size=(5, 2)),
        RNG.normal(size=5),
        np.array([False, False, True, True, True]),
        0.25,
    ),
    (
        np.array([1.0, 0.0, -2.0]),
        RNG.normal(size=(4, 3)),
        RNG.normal(size=4),
        np.array([False, True, False, True]),
        0.5,
    ),
)


def check_adapt_model(answer):
    what = "adapt_model(w, x, y, valid, alpha)"
    for w, x, y, valid, alpha in WINDOWS:
        got = numbers(answer(w.copy(), x.copy(), y.copy(), valid.copy(), alpha), w.shape, what)
        right = adapted(w, x, y, valid, alpha)
        mistakes = {
            "That is ascent: an error is to be minimised, so subtract alpha times the gradient.": (
                adapted(w, x, y, valid, -alpha)
            ),
            "Places of the window that hold no transition count too: multiply by `valid`.": (
                adapted(w, x, y, np.ones(len(y)), alpha)
            ),
            "You divide by how many are valid: the sum is over M, so that a short window moves less.": (
                adapted(w, x, y, valid, alpha, size=valid.sum())
            ),
            "The factor 2 of the square's derivative is missing.": adapted(w, x, y, valid, alpha, factor=1.0),
            "You sum: divide by M, the window's length.": adapted(w, x, y, valid, alpha, size=1),
            "You return the step, not the new weights.": right - w,
            "You return the gradient: subtract alpha times it from the weights.": (w - right) / alpha,
            "Alpha has no effect: the step is alpha times the gradient.": adapted(w, x, y, valid, 1.0),
        }
        otherwise = "Not w - alpha * gradient of sum(valid * (x w - y)^2) / M."
        if message := diagnose(got, right, mistakes, otherwise):
            return message
    w, x, y, valid, alpha = WINDOWS[0]
    nothing = numbers(answer(w.copy(), x.copy(), y.copy(), np.zeros_like(valid), alpha), w.shape, what)
    if not close(nothing, w):
        return "An empty window must leave the weights as they are."
    return None


# --- 13.3 windows end where episodes do -------------------------------------------------------------------------------


def window_mask(start, size):
    """Of each step, which of the `size` transitions before it lie in its own episode, oldest first: bool (N, size)."""
    steps = np.arange(len(start))
    begun = np.maximum.accumulate(np.where(start, steps, 0))  # (N,) where each step's episode began
    first = steps[:, None] - size + np.arange(size)  # the transition leads from this step to the next one
    return first >= begun[:, None]


STARTS = (  # which steps begin an episode, (N,); the window's size
    (np.array([1, 0, 0, 0, 0, 1, 0, 0, 1, 0], dtype=bool), 3),
    (np.array([1, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0], dtype=bool), 4),
)


def check_in_window(answer):
    for start, size in STARTS:
        n = len(start)
        got = numbers(answer(start.copy(), size), (n, size), "in_window(start, size)")
        right = window_mask(start, size)
        steps = np.arange(n)[:, None]
        first = steps - size + np.arange(size)
        begun = np.maximum.accumulate(np.where(start, np.arange(n), 0))[:, None]
        late = np.concatenate([begun[:1], begun[:-1]])  # the start is noticed a step too late
        mistakes = {
            "Windows reach into the episode before: empty them at every start.": first >= 0,
            "You count the step from an episode's last observation to the next one's first: no action led there.": (
                first >= np.maximum(begun - 1, 0)
            ),
            "An episode's first step still has the window of the one before: empty it there already.": first >= late,
            "Newest first: the oldest transition has place 0.": right[:, ::-1],
            "The step that is about to be acted is in your window: its outcome is not yet known.": first + 1 >= begun,
            "You mark what does not count.": ~right,
            "The newest transition is missing: it led to this very step.": right & (first < steps - 1),
        }
        wrong = {message: np.asarray(value, dtype=float) for message, value in mistakes.items()}
        otherwise = "Not which of the transitions before each step belong to its own episode."
        if message := diagnose(got, right, wrong, otherwise):
            return message
    return None


# --- 13.4 env steps to a return ---------------------------------------------------------------------------------------

STEPS = 1000.0 * np.array([1, 2, 3, 5, 7, 10, 14, 20, 28, 40])
# (seeds, n); chosen so that every mistake below gives a number of its own with the goal 5
FIVE = np.array(
    [
        [-1, 5, 0, 3, 1, 1, 1, 6, 4, 4],
        [-1, -5, -2, -1, 3, 6, 6, 2, 10, 9],
        [-10, -6, -3, -5, 0, -1, 3, 2, 3, 3],
        [-2, 0, 8, 0, 4, 5, 6, 3, 3, 7],
        [-1, 2, 0, 2, 0, 4, 5, 10, 9, 10],
    ],
    dtype=float,
)
FOUR = np.array(
    [[-9, -2, -1, -3, -1, -1], [-9, -8, -7, -2, -4, -3], [-9, -9, -1, -5, -6, -5], [-9, -6, -9, -8, -2, -1]],
    dtype=float,
)
FEW = np.array([[0, 0, 2, 3, 3, 3], [0, 1, 1, 1, 1, 1], [2, 1, 0, 1, 1, 1]], dtype=float)  # one of three gets there
REACHED = ((STEPS, FIVE, 5.0), (STEPS[:6] / 10, FOUR, -2.0))  # steps, curves, goal


def first_reached(steps, curves, goal):
    """Env steps at which each seed first reaches the goal, (seeds,); infinite for one that never does."""
    return np.array([steps[np.argmax(curve >= goal)] if (curve >= goal).any() else np.inf for curve in curves])


def check_steps_to(answer):
    what = "steps_to(steps, curves, goal)"
    for steps, curves, goal in REACHED:
        got = numbers(answer(steps.copy(), curves.copy(), goal), (), what)
        each = first_reached(steps, curves, goal)
        there = each[np.isfinite(each)]
        for_good = [
            steps[np.flatnonzero(curve < goal).max(initial=-1) + 1] if curve[-1] >= goal else np.inf for curve in curves
        ]
        places = np.array([np.argmax(curve >= goal) if (curve >= goal).any() else np.inf for curve in curves])
        found = {
            "A seed that never gets there is left out: it counts as infinity, or failing would make a learner look "
            "fast.": np.median(there),
            "A seed that never gets there counts as the first evaluation: `argmax` of nothing is 0.": np.median(
                [steps[np.argmax(curve >= goal)] for curve in curves]
            ),
            "That is the mean curve's crossing: one good seed carries the others over.": first_reached(
                steps, [curves.mean(0)], goal
            )[0],
            "That is the median curve's crossing: take each seed's own crossing, then their median.": first_reached(
                steps, [np.median(curves, 0)], goal
            )[0],
            "That is the luckiest seed: take the median.": each.min(),
            "That is a mean: one slow seed would decide. Take the median.": np.mean(np.minimum(each, steps[-1])),
            "That is when it stays there for good: asked is when the goal is first reached.": np.median(for_good),
            "A return equal to the goal has reached it: compare with >=.": np.median(
                first_reached(steps, curves, np.nextafter(goal, np.inf))
            ),
            "Those are places in the list of evaluations: asked are env steps.": np.median(places),
            "Of an even number of seeds the median is the mean of the two in the middle; torch.median takes the lower "
            "one.": np.sort(each)[(len(each) - 1) // 2],
        }
        right = np.median(each)
        # some mistakes show in one of the two inputs only, and some give infinity
        mistakes = {message: x for message, x in found.items() if np.isfinite(x) and not close(x, right, 1e-4)}
        otherwise = "Not the median over seeds of the env steps at which each first reaches the goal."
        if message := diagnose(got, right, mistakes, otherwise):
            return message
    return judge_failure(answer(STEPS[:6].copy(), FEW.copy(), 2.5))


def judge_failure(value):
    """What is wrong with the answer where most seeds never get there."""
    got = as_array(value)
    if got.shape != ():
        raise Rejected(f"steps_to(steps, curves, goal) has shape {got.shape}; one number is needed.")
    if np.isnan(got):
        return "Where most seeds never get there it is NaN: between two infinite numbers nothing can be interpolated."
    if got != np.inf:
        return (
            f"Where two of three seeds never get there it is {got:g}: a seed that never does counts as infinity, not "
            "as the last env step, so that the median is np.inf."
        )
    return None


# --- 13.5 all of the online adaptation --------------------------------------------------------------------------------


def online(w, x, y, known, alpha, *, carry=False, shift=0, size=None):
    """Predictions (N,), each after one step on the window before it; the check names variants by the keywords.

    known (N, M); `carry` starts each step from the last adapted weights, `shift` moves the window, and `size` says
    what the window's error is divided by, given how many places are known.
    """
    now, found = w, []
    for t in range(len(x)):
        places = np.arange(t - known.shape[1], t) + shift
        rows = np.clip(places, 0, len(x) - 1)
        divide = None if size is None else size(known[t])
        now = adapted(now if carry else w, x[rows], y[rows], known[t], alpha, size=divide)
        found.append(x[t] @ now)
    return np.array(found)


STREAMS = (  # w (P,), x (N, P), y (N,), start (N,), size, alpha
    (
        np.array([0.5, -1.0]),
        RNG.normal(size=(8, 2)),
        RNG.normal(size=8),
        np.array([1, 0, 0, 0, 0, 1, 0, 0], dtype=bool),
        3,
        0.3,
    ),
    (
        np.array([1.0, 0.0, -2.0]),
        RNG.normal(size=(11, 3)),
        RNG.normal(size=11),
        np.array([1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0], dtype=bool),
        4,
        0.1,
    ),
)


def check_predict_online(answer):
    what = "predict_online(w, x, y, start, size, alpha)"
    for w, x, y, start, size, alpha in STREAMS:
        got = numbers(answer(w.copy(), x.copy(), y.copy(), start.copy(), size, alpha), (len(x),), what)
        known = window_mask(start, size)
        steps = np.arange(len(x))[:, None]
        first = steps - size + np.arange(size)
        begun = np.maximum.accumulate(np.where(start, steps[:, 0], 0))[:, None]
        right = online(w, x, y, known, alpha)
        mistakes = {
            "You go on from the weights that were adapted at the step before: every step starts from w again.": (
                online(w, x, y, known, alpha, carry=True)
            ),
            "It never adapts: that is the prediction of w itself.": x @ w,
            "The window reaches into the episode before.": online(w, x, y, first >= 0, alpha),
            "You adapt to the very step that you predict: its outcome is not yet known.": (
                online(w, x, y, first + 1 >= begun, alpha, shift=1)
            ),
            "The window counts places that hold no transition of this episode: use the mask of 13.3.": (
                online(w, x, y, np.ones_like(known), alpha)
            ),
            "You divide by how many are valid: divide by the window's size, as in 13.2.": (
                online(w, x, y, known, alpha, size=lambda places: max(places.sum(), 1))
            ),
            "You adapt to everything seen in the episode: the window holds the last `size` transitions only.": (
                online(w, x, y, window_mask(start, len(x)), alpha, size=lambda places, size=size: size)
            ),
            "That is ascent: the adapted model is worse on the window than w.": online(w, x, y, known, -alpha),
            "You return the errors: asked are the predictions.": right - y,
        }
        otherwise = "Not x_t times the weights that 13.2 makes of w and the window of step t."
        if message := diagnose(got, right, mistakes, otherwise):
            return message
    return None


EXERCISES = (
    Exercise(
        id="13.1",
        name="refit",
        task="""
            Write refit(candidates, scores, k): what the next candidates are drawn from.

              candidates  (N, H) plans, each of H actions (one number a step)
              scores      (N,) imagined return of each plan, no two alike
              k           how many plans are elites: those of the highest scores
              returns     (2, H): the mean of the k elites at each step, and their standard deviation, the root of the
                          mean square over these k (divided by k, not by k - 1)
        """,
        check=check_refit,
        hints=(
            "Which candidates are the elites, and over which axis do they vary?",
            "Sort by return and keep the k last; then the mean and the spread over them, at each step by itself.",
            "order = scores.argsort()  # the lowest first: where are the k best?",
        ),
        solution="""
            def refit(candidates, scores, k):
                best = candidates[scores.argsort()[-k:]]  # (k, H)
                return np.stack([best.mean(0), best.std(0)])
        """,
    ),
    Exercise(
        id="13.2",
        name="adapt_model",
        task="""
            Write adapt_model(w, x, y, valid, alpha): the weights of a linear model y = x w after one gradient step on
            the window's error sum_m valid_m (x_m w - y_m)^2 / M.

              w        (P,) weights before the step
              x        (M, P) inputs of the window's M places
              y        (M,) what followed each of them
              valid    (M,) true where there is a transition; what the other places hold is of no meaning
              alpha    the step size, a number
              returns  (P,) weights after the step
        """,
        check=check_adapt_model,
        hints=(
            "One step of gradient descent on the window's error; what is that error's gradient?",
            "w' = w - alpha * 2/M * sum_m valid_m (x_m w - y_m) x_m",
            "residual = (x @ w - y) * valid  # (M,); the gradient is a sum of rows of x, weighed by it",
        ),
        solution="""
            def adapt_model(w, x, y, valid, alpha):
                residual = (x @ w - y) * valid  # (M,)
                gradient = 2 * x.T @ residual / len(y)
                return w - alpha * gradient
        """,
    ),
    Exercise(
        id="13.3",
        name="in_window",
        task="""
            Write in_window(start, size): for each of N steps, which of the `size` transitions before it belong to its
            own episode. A transition leads from one step to the next one of the same episode.

              start    (N,) true where a step begins an episode; the first step does
              size     M, the number of places of the window
              returns  (N, size) true or false; place p of step t stands for the transition from step t - size + p to
                       the next one, so the oldest is first and the last place is the transition that led to step t
        """,
        check=check_in_window,
        hints=(
            "For each step t: where did its episode begin, and which transitions lie between?",
            "Place p of step t counts if step t - size + p is in the episode of step t.",
            "begun = t if start[t] else begun  # inside a loop over t",
        ),
        solution="""
            def in_window(start, size):
                known = np.zeros((len(start), size), dtype=bool)
                for t in range(len(start)):
                    if start[t]:
                        begun = t
                    for place in range(size):
                        known[t, place] = t - size + place >= begun
                return known
        """,
    ),
    Exercise(
        id="13.4",
        name="steps_to",
        task="""
            Write steps_to(steps, curves, goal): the median over seeds of the env steps at which each seed first
            reaches the goal. A seed that never does needs infinitely many.

              steps    (n,) env steps at each evaluation, increasing
              curves   (seeds, n) return of each seed at each evaluation
              goal     the return to be reached; a return equal to it has reached it
              returns  env steps, a number; np.inf where the median is infinite. Of an even number of seeds the median
                       is the mean of the two in the middle
        """,
        check=check_steps_to,
        hints=(
            "When does each seed get there, and what of one that never does?",
            "First a number for each seed, the smallest step whose return is at the goal or above; then their median.",
            "there = steps[curve >= goal]  # of one seed; it may be empty",
        ),
        solution="""
            def steps_to(steps, curves, goal):
                each = []
                for curve in curves:
                    there = steps[curve >= goal]
                    each.append(there[0] if len(there) else np.inf)
                return np.median(each)
        """,
    ),
    Exercise(
        id="13.5",
        name="predict_online",
        task="""
            Write predict_online(w, x, y, start, size, alpha): at every step t, adapt the linear model of 13.2 to the
            last `size` transitions before t that belong to its episode (13.3), and predict what follows x_t. Every
            step adapts w itself, by one gradient step. You may call adapt_model and in_window.

              w        (P,) the weights that meta-training found
              x        (N, P) input of each step: what is known before its outcome
              y        (N,) outcome of each step: what followed; at step t those of the steps before t are known
              start    (N,) true where a step begins an episode; the first step does
              size     M, the number of places of the window, by which its error is divided as in 13.2
              alpha    the step size, a number
              returns  (N,) the prediction for each step
        """,
        check=check_predict_online,
        hints=(
            "At each step three things: cut the window, adapt w to it, predict with what came out.",
            "Where places t - size to t - 1 lie before the first step, any row will do: the mask leaves it out.",
            "for t in range(len(x)): rows = ...  # the window's places; then adapt, then predict",
        ),
        solution="""
            def predict_online(w, x, y, start, size, alpha):
                predictions, begun = [], 0
                for t in range(len(x)):
                    if start[t]:
                        begun = t  # what lies before it is another episode's
                    first = max(begun, t - size)
                    residual = x[first:t] @ w - y[first:t]
                    gradient = 2 * x[first:t].T @ residual / size
                    predictions.append(x[t] @ (w - alpha * gradient))
                return np.array(predictions)
        """,
    ),
)

QUIZZES = (
    Quiz(
        "13.a",
        "The planner has a model that is wrong in a few places. What will it do?",
        (
            Option(
                "Avoid those places, because its predictions fail there",
                "It cannot: the model does not know where it is wrong.",
            ),
            Option(
                "Seek out those where the model promises too much",
                "It takes the *best* imagined return, so errors in its favour are what it finds.",
                right=True,
            ),
            Option(
                "Act as with a right model, because errors cancel",
                "They would in a mean. A maximum picks the favourable ones.",
            ),
        ),
    ),
    Quiz(
        "13.b",
        "What went wrong at the start of the second episode?",
        (
            Option(
                "The model was trained on too few episodes to know the start",
                "Then the first episode's start would be as bad.",
            ),
            Option(
                "The window is too short to tell a sound leg from a weak one",
                "A longer one would keep the old episode's steps longer still.",
            ),
            Option(
                "The inner step is too large for a window of so few steps",
                "Then every step of the first episode would suffer as well.",
            ),
            Option(
                "The window still held what was seen in the last episode",
                "The model adapted to a weak leg that is sound again, and to a 'transition' from the end to the start "
                "that no action made.",
                right=True,
            ),
        ),
    ),
)
