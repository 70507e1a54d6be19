"""Chapter 05, MAML: inner steps, the meta-gradient, one matmul for all tasks, an inner rate that is chosen fairly."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Wrong, diagnose, numbers

THETA, ALPHA = np.array([0.2, -0.4]), 0.3
CURVATURE = np.array([1.0, 0.5, 2.0])  # k, how steep each task is, (T,)
TARGET = np.array([[1.0, 0.0], [-0.5, 2.0], [0.3, -0.7]])  # c, each task's optimum, (T, 2)


def slope(theta):
    """A gradient that changes along the way, (2,) -> (2,)."""
    return np.array([1.0 - theta[0] ** 2, theta[0] - 2 * theta[1]])


def climb(steps, alpha=ALPHA, where=slope):
    theta = THETA
    for _ in range(steps):
        theta = theta + alpha * where(theta)
    return theta


def check_adapt(answer):
    got = numbers(answer(THETA.copy(), slope, ALPHA, 3), (2,), "adapt(theta, gradient, alpha, steps)")
    mistakes = {
        "That is descent: the return is to be maximised, so add alpha times the gradient.": climb(3, -ALPHA),
        "Every step of yours takes the gradient at the start: take it where you now are.": THETA
        + 3 * ALPHA * slope(THETA),
        "One step only: the loop must carry theta on from step to step.": climb(1),
        "One step is missing: take `steps` of them.": climb(2),
        "The inner rate is missing.": climb(3, 1.0),
        "You return the way travelled, not the parameters reached.": climb(3) - THETA,
    }
    return diagnose(got, climb(3), mistakes, "Not theta after `steps` steps of theta + alpha * gradient(theta).")


def check_meta_gradient(answer):
    got = numbers(answer(THETA.copy(), ALPHA, CURVATURE.copy(), TARGET.copy()), (2,), "meta_gradient(...)")
    k = CURVATURE[:, None]
    here = -k * (THETA - TARGET)  # gradient of each task at theta, (T, 2)
    there = -k * (THETA + ALPHA * here - TARGET)  # and at its own adapted parameters
    right = ((1 - ALPHA * k) * there).mean(0)
    mistakes = {
        "That is first-order: theta_i' itself moves with theta, by the factor 1 - alpha k_i.": there.mean(0),
        "Those are gradients at theta, before adaptation: the outer gradient is taken at theta_i'.": here.mean(0),
        "The sign of the curvature is wrong: the second derivative of J_i is minus k_i.": (
            (1 + ALPHA * k) * there
        ).mean(0),
        "That is the sum over tasks: the objective is their mean.": ((1 - ALPHA * k) * there).sum(0),
        "The sign is wrong: this is the gradient of a loss. J is a return, to be ascended.": -right,
    }
    return diagnose(got, right, mistakes, "Not the mean over tasks of (1 - alpha k_i) grad J_i(theta_i').")


RNG = np.random.default_rng(5)
X, WEIGHT, BIAS = RNG.normal(size=(3, 4, 2)), RNG.normal(size=(3, 2, 5)), RNG.normal(size=(3, 5))


def check_per_task(answer):
    got = numbers(answer(X.copy(), WEIGHT.copy(), BIAS.copy()), (3, 4, 5), "per_task(x, weight, bias)")
    right = X @ WEIGHT + BIAS[:, None]
    mistakes = {
        "Task 0's weights serve all tasks: each row of x needs its own.": X @ WEIGHT[0] + BIAS[0],
        "You average the weights over tasks: then no task has parameters of its own.": X @ WEIGHT.mean(0)
        + BIAS.mean(0),
        "The bias is missing.": X @ WEIGHT,
        "Task 0's bias serves all tasks: give bias an axis for the observations.": X @ WEIGHT + BIAS[0],
        "Weights go to the wrong task: the order of the task axis is not kept.": X @ WEIGHT[::-1] + BIAS[::-1, None],
    }
    return diagnose(got, right, mistakes, "Not x[i] @ weight[i] + bias[i] for every task i.")


# returns (rates, tasks)
ON_TRAINING = np.array([[-19.0, -17.0, -18.0], [-4.0, -6.0, -5.0], [-3.0, -5.0, -4.5], [-20.0, -2.0, -9.0]])
ON_TEST = np.array([[-8.0, -9.5], [-3.0, -4.0], [-5.0, -4.0], [-1.0, -30.0]])


def check_fair_score(answer):
    got = numbers(answer(ON_TRAINING.copy(), ON_TEST.copy()), (), "fair_score(on_training, on_test)")
    right = ON_TEST[ON_TRAINING.mean(1).argmax()].mean()
    lucky = ON_TEST[ON_TRAINING.max(1).argmax()].mean()
    mistakes = {
        "You chose the rate on the tasks that score it: the best of several draws is too good.": ON_TEST.mean(1).max(),
        "Every test task gets its own best rate: no learner could know it.": ON_TEST.max(0).mean(),
        "That is the score on the training tasks: choose there, report on the test tasks.": ON_TRAINING.mean(1).max(),
        "That is the worst rate: a return is to be maximised.": ON_TEST[ON_TRAINING.mean(1).argmin()].mean(),
        "One lucky training task chose the rate: average over tasks first.": lucky,
        "That is the mean over rates: choose one of them.": ON_TEST.mean(),
    }
    return diagnose(got, right, mistakes, "Not the mean test return at the rate that is best on the training tasks.")


def stepping(update, count="steps", result="theta"):
    """Source of an adapt whose loop does `update`."""
    return (
        "def adapt(theta, gradient, alpha, steps):\n    start, here = theta, theta\n"
        f"    for _ in range({count}):\n        {update}\n    return {result}"
    )


def outer(there="t + a * g(t)", factor="(1 - a * k[:, None])", reduce=".mean(0)", sign=""):
    """Source of a meta_gradient with the parts given; g(t) is every task's gradient at t."""
    return (
        "def meta_gradient(t, a, k, c):\n    g = lambda x: -k[:, None] * (x - c)\n"
        f"    return {sign}({factor} * g({there})){reduce}"
    )


def lambda_of(expression):
    return f"per_task = lambda x, weight, bias: {expression}"


def score(expression):
    return f"fair_score = lambda on_training, on_test: {expression}"


EXERCISES = (
    Exercise(
        id="05.1",
        name="adapt",
        task="write adapt(theta, gradient, alpha, steps): (P,), function (P,) -> (P,), rate, count -> (P,)",
        check=check_adapt,
        hints=(
            "Each step starts where the last one ended, and asks for the gradient there.",
            "theta <- theta + alpha * gradient(theta), `steps` times",
            "for _ in range(steps): theta = theta + alpha * gradient(theta)",
        ),
        solution=stepping("theta = theta + alpha * gradient(theta)"),
        wrong=(
            Wrong(stepping("theta = theta - alpha * gradient(theta)"), "descent"),
            Wrong(stepping("theta = theta + alpha * gradient(start)"), "at the start"),
            Wrong(stepping("theta = start + alpha * gradient(start)"), "One step only"),
            Wrong(stepping("theta = theta + alpha * gradient(theta)", count="steps - 1"), "One step is missing"),
            Wrong(stepping("theta = theta + gradient(theta)"), "rate is missing"),
            Wrong(stepping("theta = theta + alpha * gradient(theta)", result="theta - start"), "way travelled"),
        ),
    ),
    Exercise(
        id="05.2",
        name="meta_gradient",
        task="write meta_gradient(theta, alpha, k, c): (P,), rate, (T,), (T, P) -> (P,)",
        check=check_meta_gradient,
        hints=(
            "Two factors: how J_i changes at the adapted parameters, and how those move when theta moves.",
            "mean_i (1 - alpha k_i) grad J_i(theta_i'), theta_i' = theta + alpha grad J_i(theta), "
            "grad J_i(x) = -k_i (x - c_i)",
            "g = lambda x: -k[:, None] * (x - c); ((1 - alpha * k[:, None]) * g(theta + alpha * g(theta))).mean(0)",
        ),
        solution=outer(),
        wrong=(
            Wrong(outer(factor="1"), "first-order"),
            Wrong(outer(there="t", factor="1"), "before adaptation"),
            Wrong(outer(factor="(1 + a * k[:, None])"), "sign of the curvature"),
            Wrong(outer(reduce=".sum(0)"), "sum over tasks"),
            Wrong(outer(sign="-"), "gradient of a loss"),
        ),
    ),
    Exercise(
        id="05.3",
        name="per_task",
        task="write per_task(x, weight, bias): (T, N, I), (T, I, O), (T, O) -> (T, N, O)",
        check=check_per_task,
        hints=(
            "`@` multiplies the last two axes, and pairs off the axes before them.",
            "y_i = x_i W_i + b_i for every task i",
            "return x @ weight + bias[:, None]",
        ),
        solution=lambda_of("x @ weight + bias[:, None]"),
        wrong=(
            Wrong(lambda_of("x @ weight[0] + bias[0]"), "Task 0's weights"),
            Wrong(lambda_of("x @ weight.mean(0) + bias.mean(0)"), "average the weights"),
            Wrong(lambda_of("x @ weight"), "bias is missing"),
            Wrong(lambda_of("x @ weight + bias[0]"), "Task 0's bias"),
            Wrong(lambda_of("x @ weight[::-1] + bias[::-1, None]"), "wrong task"),
        ),
    ),
    Exercise(
        id="05.4",
        name="fair_score",
        task="write fair_score(on_training, on_test): returns (rates, tasks), (rates, tasks) -> a number",
        check=check_fair_score,
        hints=(
            "Which tasks may have a say in the choice?",
            "r* = arg max_r mean over training tasks; score = mean over test tasks at r*",
            "return on_test[on_training.mean(1).argmax()].mean()",
        ),
        solution=score("on_test[on_training.mean(1).argmax()].mean()"),
        wrong=(
            Wrong(score("on_test.mean(1).max()"), "tasks that score it"),
            Wrong(score("on_test.max(0).mean()"), "its own best rate"),
            Wrong(score("on_training.mean(1).max()"), "score on the training tasks"),
            Wrong(score("on_test[on_training.mean(1).argmin()].mean()"), "worst rate"),
            Wrong(score("on_test[on_training.max(1).argmax()].mean()"), "lucky training task"),
            Wrong(score("on_test.mean()"), "mean over rates"),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "05.a",
        "What is MAML with inner rate 0?",
        (
            Option(
                "Training from scratch on each task",
                "The outer step still trains theta, on the mean of all tasks.",
            ),
            Option(
                "Multi-task pre-training: the baseline `finetune`",
                "Theta_i' = theta, so the meta-objective is the mean return of one shared policy.",
                right=True,
            ),
            Option(
                "First-order MAML",
                "First-order takes the inner step and drops the second derivative. Here there is no step.",
            ),
        ),
    ),
    Quiz(
        "05.b",
        "Why does this program never improve?",
        (
            Option("Its step size is too small", "Then the parameters would still move a little. Print how far."),
            Option("20 iterations are too few", "`meta_train` has gained several points by then: look at its figure."),
            Option(
                "The gradient goes to the copy, the optimiser holds the original",
                "`deepcopy` makes new leaves. `backward` fills their `.grad`; those of `policy` stay None, and "
                "Adam skips parameters without a gradient.",
                right=True,
            ),
            Option(
                "Ten tasks are too few",
                "Noise moves parameters about; it does not hold them still. Print how far they moved.",
            ),
        ),
    ),
)
