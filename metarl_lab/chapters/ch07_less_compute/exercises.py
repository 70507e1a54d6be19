"""Chapter 07, less compute: the first-order gradient, Reptile's move, what adapts to a task, learners at a budget."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Wrong, diagnose, numbers

OPTIMA = np.array([[1.0, 0.0], [-0.5, 2.0], [0.3, -0.7]])  # one optimum per task, (T, 2)
STEEP = np.array([1.0, 0.5, 2.0])  # how steep each task is, (T,)
START, ALPHA, EPSILON = np.array([0.2, -0.4]), 0.3, 0.5


def slope_of(i, theta):
    """Gradient of task i's return, (2,)."""
    return -STEEP[i] * (np.asarray(theta) - OPTIMA[i])


def three_tasks():
    return [lambda theta, i=i: slope_of(i, theta) for i in range(3)]


def after(i, steps, sign=1.0):
    """Parameters of task i after so many inner steps from START, (2,)."""
    theta = START
    for _ in range(steps):
        theta = theta + sign * ALPHA * slope_of(i, theta)
    return theta


def check_first_order(answer):
    got = numbers(answer(START.copy(), three_tasks(), ALPHA), (2,), "first_order_gradient(theta, gradients, alpha)")
    right = np.array([slope_of(i, after(i, 1)) for i in range(3)])
    before = np.array([slope_of(i, START) for i in range(3)])
    down = np.array([slope_of(i, after(i, 1, -1.0)) for i in range(3)])
    full = (1 - ALPHA * STEEP)[:, None] * right
    mistakes = {
        "That is the gradient before adaptation: take it at each task's own parameters.": before.mean(0),
        "Your inner step descends: a return is to be maximised, so add alpha times the gradient.": down.mean(0),
        "That is the full meta-gradient: first order drops the factor that the Hessian gives.": full.mean(0),
        "That is the sum over tasks: the objective is their mean.": right.sum(0),
    }
    return diagnose(got, right.mean(0), mistakes, "Not the mean of the gradients at the adapted parameters.")


def check_reptile(answer):
    asked = "reptile_step(theta, gradients, alpha, steps, epsilon)"
    got = numbers(answer(START.copy(), three_tasks(), ALPHA, 3, EPSILON), (2,), asked)
    ends = np.array([after(i, 3) for i in range(3)])
    one = np.array([after(i, 1) for i in range(3)])
    chained = START
    for i in range(3):
        for _ in range(3):
            chained = chained + ALPHA * slope_of(i, chained)

    part_of_the_way = lambda end: START + EPSILON * (end - START)  # noqa: E731
    mistakes = {
        "That goes all the way: epsilon says which part of it.": ends.mean(0),
        "Only one inner step: that is joint training, not Reptile. Take `steps` of them.": part_of_the_way(one.mean(0)),
        "You walk away from where the tasks end: the move is (mean of the ends) minus theta.": (
            START - EPSILON * (ends.mean(0) - START)
        ),
        "You return the move, not the new theta.": EPSILON * (ends.mean(0) - START),
        "You carry one task's end on to the next: every task starts from theta.": part_of_the_way(chained),
    }
    return diagnose(got, part_of_the_way(ends.mean(0)), mistakes, "Not theta + epsilon (mean of the ends - theta).")


SIZES, CONTEXT = (6, 32, 16, 3), 4  # observation, two hidden layers, action; context numbers


def check_own_numbers(answer):
    got = numbers(answer(SIZES, CONTEXT), (3,), "own_numbers(sizes, context)")
    weights = [a * b for a, b in zip(SIZES[:-1], SIZES[1:], strict=True)]
    every, head = sum(weights) + sum(SIZES[1:]), weights[-1] + SIZES[-1]
    mistakes = {
        "The biases are missing.": (sum(weights), weights[-1], CONTEXT),
        "The head has a bias too.": (every, weights[-1], CONTEXT),
        "The matrix that reads the context is shared, not the task's own.": (every, head, CONTEXT * SIZES[1]),
        "ANIL moves the head (the last layer) only; you count the body.": (every, every - head, CONTEXT),
    }
    return diagnose(got, (every, head, CONTEXT), mistakes, "Not (all, last layer, context).")


COST = np.array([0.0, 10.0, 40.0, 100.0])  # GFLOPs at which each learner was scored, (points,)
RETURNS = np.array(  # (learners, seeds, points)
    [
        [[-9.0, -6.0, -4.0, -3.0], [-9.0, -7.0, -5.0, -3.2], [-9.0, -6.5, -4.5, -3.1]],
        [[-9.0, -5.0, -4.6, -4.6], [-9.0, -5.2, -4.4, -4.6], [-9.0, -4.8, -4.2, -4.6]],
        [[-9.0, -8.0, -7.0, -2.0], [-9.0, -8.4, -7.2, -2.2], [-9.0, -8.2, -7.4, -2.4]],
    ]
)
BUDGET = 28.0  # between two points


def check_buys(answer):
    got = numbers(answer(COST.copy(), RETURNS.copy(), BUDGET), (3,), "buys(cost, returns, budget)")
    mean = RETURNS.mean(1)  # (learners, points)
    share = (BUDGET - COST[1]) / (COST[2] - COST[1])
    right = mean[:, 1] + share * (mean[:, 2] - mean[:, 1])
    best_seed = (RETURNS[:, :, 1] + share * (RETURNS[:, :, 2] - RETURNS[:, :, 1])).max(1)
    mistakes = {
        "That is each learner at the end of its run: the budget ends before.": mean[:, -1],
        "You took the next point: it costs more than the budget.": mean[:, 2],
        "You took the last point below the budget: draw the line between its two neighbours.": mean[:, 1],
        "That is the best seed of each learner: one lucky seed is not a result. Average over seeds.": best_seed,
    }
    return diagnose(got, right, mistakes, "Not the mean over seeds at the budget, on the line between two points.")


def gradient_source(value, result="np.mean(found, axis=0)"):
    """Source of a first_order_gradient that collects `value` for each gradient g."""
    head = "def first_order_gradient(theta, gradients, alpha):"
    return f"{head}\n    found = [{value} for g in gradients]\n    return {result}"


def reptile_source(result, steps="steps", start="own = theta", before=""):
    """Source of a reptile_step that collects each task's end in `ends`."""
    return (
        f"def reptile_step(theta, gradients, alpha, steps, epsilon):\n    ends = []\n{before}"
        f"    for g in gradients:\n        {start}\n        for _ in range({steps}):\n"
        "            own = own + alpha * g(own)\n        ends.append(own)\n"
        f"    end = np.mean(ends, axis=0)\n    return {result}"
    )


def count_source(result):
    """Source of an own_numbers that returns `result`."""
    return (
        "def own_numbers(sizes, context):\n    w = [a * b for a, b in zip(sizes[:-1], sizes[1:])]\n"
        f"    b = sum(sizes[1:])\n    return {result}"
    )


def buys_source(value):
    return f"def buys(cost, returns, budget):\n    return np.array([{value} for r in returns])"


EXERCISES = (
    Exercise(
        id="07.1",
        name="first_order_gradient",
        task="write first_order_gradient(theta, gradients, alpha): (P,), one function theta -> (P,) a task, size",
        check=check_first_order,
        hints=(
            "Where does each task end after one step up? What is its gradient there?",
            "(1/T) sum_i grad J_i(theta_i'), theta_i' = theta + alpha grad J_i(theta)",
            "return np.mean([g(theta + alpha * g(theta)) for g in gradients], axis=0)",
        ),
        solution=gradient_source("g(theta + alpha * g(theta))"),
        wrong=(
            Wrong(gradient_source("g(theta)"), "before adaptation"),
            Wrong(gradient_source("g(theta - alpha * g(theta))"), "inner step descends"),
            Wrong(gradient_source("g(theta + alpha * g(theta))", "np.sum(found, axis=0)"), "sum over tasks"),
            Wrong(
                gradient_source("(1 + alpha * (g(theta + 1) - g(theta))) * g(theta + alpha * g(theta))"),
                "full meta-gradient",
            ),
        ),
    ),
    Exercise(
        id="07.2",
        name="reptile_step",
        task="write reptile_step(theta, gradients, alpha, steps, epsilon): the new theta, (P,)",
        check=check_reptile,
        hints=(
            "Let every task walk `steps` steps from theta, then look at the middle of where they end.",
            "theta + epsilon (1/T sum_i theta_i^(steps) - theta)",
            "return theta + epsilon * (np.mean(ends, axis=0) - theta)",
        ),
        solution=reptile_source("theta + epsilon * (end - theta)"),
        wrong=(
            Wrong(reptile_source("end"), "all the way"),
            Wrong(reptile_source("theta + epsilon * (end - theta)", steps="1"), "joint training"),
            Wrong(reptile_source("theta - epsilon * (end - theta)"), "walk away"),
            Wrong(reptile_source("epsilon * (end - theta)"), "return the move"),
            Wrong(
                reptile_source("theta + epsilon * (own - theta)", start="pass", before="    own = theta\n"),
                "carry one task's end",
            ),
        ),
    ),
    Exercise(
        id="07.3",
        name="own_numbers",
        task="write own_numbers(sizes, context): how many numbers adapt to a task in (MAML, ANIL, CAVIA)",
        check=check_own_numbers,
        hints=(
            "A layer from a to b units has a matrix, and one more number for each unit of its output.",
            "MAML: sum of a b + b over layers; ANIL: a b + b of the last; CAVIA: the context",
            "return sum(w) + b, w[-1] + sizes[-1], context",
        ),
        solution=count_source("sum(w) + b, w[-1] + sizes[-1], context"),
        wrong=(
            Wrong(count_source("sum(w), w[-1], context"), "biases are missing"),
            Wrong(count_source("sum(w) + b, w[-1], context"), "head has a bias"),
            Wrong(count_source("sum(w) + b, w[-1] + sizes[-1], context * sizes[1]"), "is shared"),
            Wrong(count_source("sum(w) + b, sum(w[:-1]) + sum(sizes[1:-1]), context"), "count the body"),
        ),
    ),
    Exercise(
        id="07.4",
        name="buys",
        task="write buys(cost, returns, budget): (points,), (learners, seeds, points), amount -> (learners,)",
        check=check_buys,
        hints=(
            "Average over seeds first; then read the curve where the budget ends.",
            "between (x0, y0) and (x1, y1): y0 + (budget - x0) / (x1 - x0) (y1 - y0)",
            "return np.array([np.interp(budget, cost, r.mean(0)) for r in returns])",
        ),
        solution=buys_source("np.interp(budget, cost, r.mean(0))"),
        wrong=(
            Wrong(buys_source("r.mean(0)[-1]"), "end of its run"),
            Wrong(buys_source("r.mean(0)[np.searchsorted(cost, budget)]"), "costs more"),
            Wrong(buys_source("r.mean(0)[np.searchsorted(cost, budget) - 1]"), "last point below"),
            Wrong(buys_source("max(np.interp(budget, cost, s) for s in r)"), "best seed"),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "07.a",
        "Your robot's simulator makes 200 steps a second, the policy network is tiny. Which saving helps most?",
        (
            Option(
                "First order: no second derivatives", "It saves arithmetic, and arithmetic is not what you wait for."
            ),
            Option(
                "A learner that needs fewer env steps for the same return",
                "Here every second is an env step. Spend arithmetic freely, second derivatives too.",
                right=True,
            ),
            Option("CAVIA: fewer numbers per task", "That saves memory per task; acting takes as long as before."),
        ),
    ),
    Quiz(
        "07.b",
        "In *Break it*, why does return after adaptation stay flat, above return before, and nothing raises an error?",
        (
            Option(
                "The copies get the gradients; the optimiser holds the originals, whose gradient is None",
                "An optimiser skips a parameter without a gradient, in silence.",
                right=True,
            ),
            Option("First order drops too much", "It would still move the start; here the start never moves."),
            Option("The outer step size is too small", "Then the start would move a little. It moves by exactly zero."),
        ),
    ),
)
