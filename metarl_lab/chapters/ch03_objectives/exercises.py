"""Chapter 03, objectives: the exact return, the return after adaptation, the sign of a loss, the right interval."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Wrong, diagnose, numbers

TRANSITION = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.0, 1.0]]])  # P(s' | s, a), (S, A, S)
REWARD = np.array([[1.0, 0.0], [2.0, 5.0]])  # R(s, a), (S, A)
POLICY = np.array([[0.3, 0.7], [0.6, 0.4]])  # pi(a | s), (S, A)
STEPS = 4


def backward(policy, steps, greedy=False):
    """Value of every state, `steps` steps before the end, (S,)."""
    value = np.zeros(2)
    for _ in range(steps):
        q = REWARD + TRANSITION @ value
        value = q.max(1) if greedy else (policy * q).sum(1)
    return value


def check_exact_j(answer):
    got = numbers(answer(TRANSITION, REWARD, POLICY, STEPS), (), "exact_j(transition, reward, policy, horizon)")
    right, best = backward(POLICY, STEPS), backward(POLICY, STEPS, greedy=True)
    stay = STEPS * (POLICY * REWARD).sum(1)
    mistakes = {
        "That is the best policy's return: average over actions with pi(a|s), take no maximum.": best[0],
        "You stay in state 0: the state moves, so the rewards of later states come in through P.": stay[0],
        "One step is missing: back up `horizon` times, starting from zeros.": backward(POLICY, STEPS - 1)[0],
        "That is the mean over states; the episode starts in state 0.": right.mean(),
        "The policy is missing: you weigh all actions alike.": backward(np.full((2, 2), 0.5), STEPS)[0],
    }
    return diagnose(got, right[0], mistakes, "Not the exact return from state 0.")


TARGETS = np.array([[1.0, 0.0], [-0.5, 2.0], [0.3, -0.7]])  # one optimum per task, (T, 2)
CURVATURE = np.array([1.0, 0.5, 2.0])  # how steep each task is, (T,)
THETA, ALPHA = np.array([0.2, -0.4]), 0.3


def value_of(i, theta):
    return -0.5 * CURVATURE[i] * ((np.asarray(theta) - TARGETS[i]) ** 2).sum()


def gradient_of(i, theta):
    return -CURVATURE[i] * (np.asarray(theta) - TARGETS[i])


def check_meta_objective(answer):
    tasks = [(lambda t, i=i: value_of(i, t), lambda t, i=i: gradient_of(i, t)) for i in range(3)]
    got = numbers(answer(THETA.copy(), tasks, ALPHA), (), "meta_objective(theta, tasks, alpha)")
    carried, chained = THETA, []
    for i in range(3):
        carried = carried + ALPHA * gradient_of(i, carried)
        chained.append(value_of(i, carried))

    def mean_value(steps):
        return np.mean([value_of(i, THETA + step) for i, step in enumerate(steps)])

    up = ALPHA * np.array([gradient_of(i, THETA) for i in range(3)])
    right = mean_value(up)
    mistakes = {
        "That is the multi-task objective, before adaptation: take the inner step first.": mean_value(0 * up),
        "Your inner step descends: a return is to be maximised, so add alpha times the gradient.": mean_value(-up),
        "You adapt to the mean gradient: each task has its own step.": mean_value([up.mean(0)] * 3),
        "You carry the adapted parameters on to the next task: every task starts from theta.": np.mean(chained),
        "That is the sum over tasks: the expectation is their mean.": 3 * right,
    }
    return diagnose(got, right, mistakes, "Not the mean return after one inner step.")


BEFORE, AFTER = np.array([0.1, 0.6, -0.3]), np.array([0.9, 0.4, 0.7])  # returns of each task, (T,)


def check_outer_loss(answer):
    got = numbers(answer(BEFORE.copy(), AFTER.copy()), (), "outer_loss(before, after)")
    gain = (AFTER - BEFORE).mean()
    mistakes = {
        "The sign is wrong: Adam would minimise this, and so make the return as small as it can.": AFTER.mean(),
        "That reads the returns from before adaptation: nothing would reward adapting well.": -BEFORE.mean(),
        "That is the improvement: one gets it by starting badly. Score the end, not the climb.": -gain,
        "That is one task's return: the objective is the mean over tasks.": -AFTER.max(),
        "That is the sum: it makes the step size depend on the number of tasks. Take the mean.": -AFTER.sum(),
    }
    return diagnose(got, -AFTER.mean(), mistakes, "Not the loss whose minimum is the best return after adaptation.")


SCORES = np.array([[0.5, 0.9, 0.1], [0.2, 0.6, 0.7], [1.0, 0.8, 0.6], [0.4, 0.3, -0.1], [0.7, 0.9, 0.2]])  # (5, tasks)
T_QUANTILE = 2.776  # of Student's t with 4 degrees of freedom, 0.975


def bounds(values, quantile=T_QUANTILE, ddof=1, error=True):
    """Mean -+ quantile s / sqrt(n), (2,)."""
    half = quantile * values.std(ddof=ddof) / (np.sqrt(len(values)) if error else 1)
    return np.array([values.mean() - half, values.mean() + half])


def check_seed_interval(answer):
    got = numbers(answer(SCORES.copy()), (2,), "seed_interval(scores)")
    seeds, pooled, tasks = SCORES.mean(1), SCORES.reshape(-1), SCORES.mean(0)
    mistakes = {
        "You pool all scores: those of one seed go up and down together. Average over tasks first.": bounds(pooled),
        "You pool all scores, with 1.96: average over tasks first, and take the t quantile.": bounds(pooled, 1.96),
        "That is an interval over tasks: it speaks of these agents. Average over tasks, use the seeds.": bounds(tasks),
        "1.96 is for many values: with five seeds take the t quantile, 2.776.": bounds(seeds, 1.96),
        "Divide by n - 1 in the standard deviation: np.std needs ddof=1.": bounds(seeds, ddof=0),
        "That is the spread of seeds, not of their mean: divide by sqrt(5).": bounds(seeds, error=False),
    }
    return diagnose(got, bounds(seeds), mistakes, "Not mean -+ t s / sqrt(n) over the five seeds.", tolerance=1e-3)


def loop(update, steps="horizon", result="value[0]"):
    """Source of an exact_j whose one line of back-up is `update`."""
    return (
        "def exact_j(transition, reward, policy, horizon):\n    value = np.zeros(len(reward))  # (S,)\n"
        f"    for _ in range({steps}):\n        value = {update}\n    return {result}"
    )


def over_tasks(value):
    """Source of a meta_objective that averages `value` over tasks, whose functions are v and g."""
    return f"def meta_objective(theta, tasks, alpha):\n    return np.mean([{value} for v, g in tasks])"


def interval(x="scores.mean(1)", quantile="2.776", deviation="x.std(ddof=1)", root=" / np.sqrt(len(x))"):
    """Source of a seed_interval with the parts given."""
    return (
        f"def seed_interval(scores):\n    x = {x}\n"
        f"    half = {quantile} * {deviation}{root}\n    return x.mean() - half, x.mean() + half"
    )


BACK_UP = "(policy * (reward + transition @ value)).sum(1)"

EXERCISES = (
    Exercise(
        id="03.1",
        name="exact_j",
        task="write exact_j(transition, reward, policy, horizon): (S, A, S), (S, A), (S, A), steps -> the return",
        check=check_exact_j,
        hints=(
            "Start at the end, where nothing is left to earn, and go back one step at a time.",
            "V(s) = sum_a pi(a|s) [R(s, a) + sum_s' P(s'|s, a) V_next(s')]",
            f"value = {BACK_UP}",
        ),
        solution=loop(BACK_UP),
        wrong=(
            Wrong(loop("(reward + transition @ value).max(1)"), "best policy's return"),
            Wrong(loop("value + (policy * reward).sum(1)"), "stay in state 0"),
            Wrong(loop(BACK_UP, steps="horizon - 1"), "One step is missing"),
            Wrong(loop(BACK_UP, result="value.mean()"), "mean over states"),
            Wrong(loop("(reward + transition @ value).mean(1)"), "policy is missing"),
        ),
    ),
    Exercise(
        id="03.2",
        name="meta_objective",
        task="write meta_objective(theta, tasks, alpha): (P,), list of (value, gradient), step size -> a number",
        check=check_meta_objective,
        hints=(
            "Each task gets its own copy of theta, improved on that task alone.",
            "J_meta = mean over tasks of value(theta + alpha gradient(theta))",
            "return np.mean([v(theta + alpha * g(theta)) for v, g in tasks])",
        ),
        solution=over_tasks("v(theta + alpha * g(theta))"),
        wrong=(
            Wrong(over_tasks("v(theta)"), "before adaptation"),
            Wrong(over_tasks("v(theta - alpha * g(theta))"), "inner step descends"),
            Wrong(over_tasks("v(theta + alpha * np.mean([h(theta) for _, h in tasks], axis=0))"), "mean gradient"),
            Wrong(over_tasks("v(theta := theta + alpha * g(theta))"), "carry the adapted parameters"),
            Wrong(over_tasks("len(tasks) * v(theta + alpha * g(theta))"), "sum over"),
        ),
    ),
    Exercise(
        id="03.3",
        name="outer_loss",
        task="write outer_loss(before, after): returns of each task (T,), (T,) -> the number to minimise",
        check=check_outer_loss,
        hints=(
            "What should be large when training went well? And what does Adam do with it?",
            "L = - mean over tasks of the return after adaptation",
            "return -after.mean()",
        ),
        solution="def outer_loss(before, after):\n    return -after.mean()",
        wrong=(
            Wrong("outer_loss = lambda before, after: after.mean()", "sign is wrong"),
            Wrong("outer_loss = lambda before, after: -before.mean()", "before adaptation"),
            Wrong("outer_loss = lambda before, after: -(after - before).mean()", "improvement"),
            Wrong("outer_loss = lambda before, after: -after.max()", "one task's return"),
            Wrong("outer_loss = lambda before, after: -after.sum()", "the sum"),
        ),
    ),
    Exercise(
        id="03.4",
        name="seed_interval",
        task="write seed_interval(scores): (5 seeds, tasks) -> (low, high), 95% for the algorithm's mean score",
        check=check_seed_interval,
        hints=(
            "How many independent training runs are there? That many values make the interval.",
            "mean -+ t s / sqrt(n), n = 5 seed means, s with n - 1",
            "x = scores.mean(1); half = 2.776 * x.std(ddof=1) / np.sqrt(5)",
        ),
        solution=interval(),
        wrong=(
            Wrong(interval(x="scores.reshape(-1)"), "pool all scores"),
            Wrong(interval(x="scores.mean(0)"), "interval over tasks"),
            Wrong(interval(quantile="1.96"), "1.96 is for many"),
            Wrong(interval(deviation="x.std()"), "ddof=1"),
            Wrong(interval(root=""), "spread of seeds"),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "03.a",
        "Agent A scores 0.5 before adapting and 0.5 after; agent B scores 0.0 before and 0.8 after. Which is better?",
        (
            Option("A: it is never bad", "Only if no adaptation is coming, or if the first episodes count for much."),
            Option("B: it ends higher", "Only if adaptation is coming, and its first episodes cost little."),
            Option(
                "It depends on which objective was asked for",
                "Each is the best of its kind. Weighing every episode would say when B has paid off.",
                right=True,
            ),
        ),
    ),
    Quiz(
        "03.b",
        "Which line of *Break it* is the shipped bug, and how do the finite differences show it?",
        (
            Option(
                "A: `history[steps - 1]`, its row equals the gradient before adaptation",
                "`history` has steps + 1 entries, the last is `history[steps]`. A trains the multi-task policy.",
                right=True,
            ),
            Option(
                "B: it differentiates through `adapt`, its row equals neither",
                "Look again: B's row equals the finite differences after one step. It is the right one.",
            ),
            Option(
                "C: `.detach()`, its row equals the gradient before adaptation",
                "C is first-order: it equals neither row, since it drops how the start moves the end. It is an "
                "approximation (chapter 07), not the bug.",
            ),
        ),
    ),
)
