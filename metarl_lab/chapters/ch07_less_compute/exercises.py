"""Chapter 07, less compute: first-order MAML, Reptile's move, what adapts to a task, learners at a budget."""

from typing import NamedTuple

import numpy as np

from metarl_lab.teach.base import Exercise, Feedback, Option, Quiz, close, diagnose, numbers


class Setting(NamedTuple):
    """A start and T tasks with smooth returns that are not quadratic, so that no two mistakes look alike."""

    start: np.ndarray  # (P,)
    optima: np.ndarray  # (T, P)
    steep: np.ndarray  # (T,)
    alpha: float  # inner step size

    def slope(self, task, theta):
        """Gradient of one task's return, (P,)."""
        return -self.steep[task] * np.tanh(np.asarray(theta) - self.optima[task])

    def slopes(self, thetas):
        """Gradient of each task's return at its own parameters, (T, P) -> (T, P)."""
        return np.array([self.slope(task, theta) for task, theta in enumerate(thetas)])

    def factor(self, theta):
        """Derivative of one inner step by the start, for each task and parameter: (T, P)."""
        curved = -self.steep[:, None] / np.cosh(theta - self.optima) ** 2
        return 1 + self.alpha * curved

    def tasks(self):
        """A function for each task, from parameters (P,) to the gradient of its return (P,)."""
        return [lambda theta, task=task: self.slope(task, theta) for task in range(len(self.optima))]

    def together(self, theta):
        """The same parameters for every task, (T, P)."""
        return np.tile(theta, (len(self.optima), 1))

    def after(self, steps, theta=None, sign=1.0):
        """Each task's parameters after so many inner steps of its own, (T, P)."""
        thetas = self.together(self.start if theta is None else theta)
        for _ in range(steps):
            thetas = thetas + sign * self.alpha * self.slopes(thetas)
        return thetas


SETTINGS = (
    Setting(
        np.array([0.2, -0.4]), np.array([[1.0, 0.0], [-0.5, 2.0], [0.3, -0.7]]), np.array([1.0, 0.5, 2.0]), alpha=0.3
    ),
    Setting(
        np.array([-0.6, 0.9, 0.1]),
        np.array([[0.5, 0.2, -1.0], [-1.5, 1.0, 0.8], [0.0, -0.3, 0.4], [1.2, 0.6, -0.2]]),
        np.array([0.8, 1.5, 0.4, 2.0]),
        alpha=0.7,
    ),
)


# --- 07.1 the first-order gradient ------------------------------------------------------------------------------------


def first_order(setting, theta):
    """Mean over tasks of the gradient at each task's adapted parameters, (P,)."""
    return setting.slopes(setting.after(1, theta)).mean(0)


def check_first_order(answer):
    for setting in SETTINGS:
        given = setting.start.copy(), setting.tasks(), setting.alpha
        got = numbers(answer(*given), setting.start.shape, "first_order_gradient(theta, gradients, alpha)")
        here = setting.slopes(setting.together(setting.start))
        there = setting.slopes(setting.after(1))
        shared = setting.together(setting.start + setting.alpha * here.mean(0))
        mistakes = {
            "That is the gradient before adaptation: take it at each task's own parameters.": here.mean(0),
            "Your inner step descends: a return is to be maximised, so add alpha times the gradient.": (
                setting.slopes(setting.after(1, sign=-1.0)).mean(0)
            ),
            "That is the full meta-gradient: first order drops the factor that the Hessian gives.": (
                setting.factor(setting.start) * there
            ).mean(0),
            "You take two inner steps: one is asked for.": setting.slopes(setting.after(2)).mean(0),
            "All tasks step along one gradient, the mean: each task steps along its own.": (
                setting.slopes(shared).mean(0)
            ),
            "That is the sum over tasks: the objective is their mean.": there.sum(0),
            "That is one task's gradient: take the mean over all of them.": there[0],
        }
        otherwise = "Not the mean of the gradients at the adapted parameters."
        if message := diagnose(got, there.mean(0), mistakes, otherwise):
            return message
    return None


# --- 07.2 Reptile -----------------------------------------------------------------------------------------------------


def serial_reptile(setting, steps, epsilon):
    """Nichol et al.'s algorithm 1: the start moves after each task, one task after the other. (P,)."""
    theta = setting.start
    for task in range(len(setting.optima)):
        end = theta
        for _ in range(steps):
            end = end + setting.alpha * setting.slope(task, end)
        theta = theta + epsilon * (end - theta)
    return theta


def check_reptile(answer):
    serial = []
    for setting, steps, epsilon in zip(SETTINGS, (3, 4), (0.5, 0.25), strict=True):
        given = setting.start.copy(), setting.tasks(), setting.alpha, steps, epsilon
        asked = "reptile_step(theta, gradients, alpha, steps, epsilon)"
        got = numbers(answer(*given), setting.start.shape, asked)
        start = setting.start
        chained = start
        for task in range(len(setting.optima)):
            for _ in range(steps):
                chained = chained + setting.alpha * setting.slope(task, chained)

        def part_of_the_way(end, start=start, epsilon=epsilon):
            return start + epsilon * (end - start)

        end = setting.after(steps).mean(0)
        serial.append(close(got, serial_reptile(setting, steps, epsilon)))
        if serial[-1]:
            continue
        mistakes = {
            "That goes all the way: epsilon says which part of it.": end,
            "Only one inner step: that is joint training, not Reptile. Take `steps` of them.": part_of_the_way(
                setting.after(1).mean(0)
            ),
            "One inner step too few: take `steps` of them.": part_of_the_way(setting.after(steps - 1).mean(0)),
            "You walk away from where the tasks end: the move is (mean of the ends) minus theta.": (
                2 * start - part_of_the_way(end)
            ),
            "You return the move, not the new theta.": epsilon * (end - start),
            "You carry one task's end on to the next: every task starts from theta.": part_of_the_way(chained),
            "That sums the moves of the tasks: take their mean.": (
                start + epsilon * (setting.after(steps) - start).sum(0)
            ),
            "Your inner steps descend: a return is to be maximised.": part_of_the_way(
                setting.after(steps, sign=-1.0).mean(0)
            ),
        }
        otherwise = "Not theta + epsilon (mean of the ends - theta)."
        if message := diagnose(got, part_of_the_way(end), mistakes, otherwise):
            return message
    if all(serial):
        return Feedback(True, "right: the serial form, in which the start moves after each task (Nichol, algorithm 1).")
    if any(serial):
        return "Not theta + epsilon (mean of the ends - theta)."
    return None


# --- 07.3 a task's own numbers ----------------------------------------------------------------------------------------

NETWORKS = (((6, 32, 16, 3), 4), ((4, 10, 2), 7), ((3, 8, 8, 8, 5), 2))  # sizes, context


def check_own_numbers(answer):
    for sizes, context in NETWORKS:
        got = numbers(answer(sizes, context), (3,), "own_numbers(sizes, context)")
        weights = [a * b for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
        every, head = sum(weights) + sum(sizes[1:]), weights[-1] + sizes[-1]
        mistakes = {
            "The biases are missing.": (sum(weights), weights[-1], context),
            "The head has a bias too.": (every, weights[-1], context),
            "A bias stands at each unit that a layer gives, none at the observation.": (
                every + sizes[0],
                head,
                context,
            ),
            "The matrix that reads the context is shared, not the task's own.": (every, head, context * sizes[1]),
            "ANIL moves the head (the last layer) only; you count the body.": (every, every - head, context),
            "CAVIA adapts the context alone: the network is shared.": (every, head, every + context),
        }
        if message := diagnose(got, (every, head, context), mistakes, "Not (all, last layer, context)."):
            return message
    return None


# --- 07.4 what a budget buys ------------------------------------------------------------------------------------------


class Budget(NamedTuple):
    """Scores of some learners at some costs; in each setting a learner's mean falls before the budget ends."""

    cost: np.ndarray  # (points,)
    scores: np.ndarray  # (learners, seeds, points), return per episode
    amount: float  # between two points


BUDGETS = (
    Budget(
        np.array([0.0, 10.0, 40.0, 100.0]),
        np.array(
            [
                [[-9.0, -6.0, -4.0, -3.0], [-9.0, -7.0, -5.0, -3.2], [-9.0, -6.5, -4.2, -3.1]],
                [[-9.0, -3.0, -4.6, -4.9], [-9.0, -3.2, -4.4, -4.6], [-9.0, -2.2, -4.2, -4.1]],
                [[-9.0, -8.0, -7.0, -2.0], [-9.0, -8.4, -7.2, -2.2], [-9.0, -8.5, -7.9, -2.4]],
            ]
        ),
        28.0,
    ),
    Budget(
        np.array([0.0, 2.0, 5.0, 9.0, 20.0]),
        np.array(
            [
                [[1.0, 2.0, 6.0, 5.0, 3.0], [1.0, 2.5, 7.0, 5.5, 9.0]],
                [[0.5, 1.0, 2.0, 4.0, 8.0], [0.7, 1.4, 2.6, 5.2, 6.0]],
            ]
        ),
        6.5,
    ),
)


def check_buys(answer):
    for cost, scores, amount in BUDGETS:
        learners = len(scores)
        got = numbers(answer(cost.copy(), scores.copy(), amount), (learners,), "buys(cost, scores, budget)")
        after = int(np.searchsorted(cost, amount))
        share = (amount - cost[after - 1]) / (cost[after] - cost[after - 1])
        of_seeds = scores[:, :, after - 1] + share * (scores[:, :, after] - scores[:, :, after - 1])
        mean = scores.mean(1)  # (learners, points)
        mistakes = {
            "That is each learner at the end of its run: the budget ends before.": mean[:, -1],
            "You took the next point: it costs more than the budget.": mean[:, after],
            "You took the last point below the budget: draw the line between its two neighbours.": mean[:, after - 1],
            "That is the best seed of each learner: one lucky seed is not a result. Average over seeds.": (
                of_seeds.max(1)
            ),
            "That is the first seed of each learner: average over seeds.": of_seeds[:, 0],
            "That is the best that the learner was so far: it has fallen since, and the budget buys what it is then.": (
                np.maximum(of_seeds.mean(1), mean[:, :after].max(1))
            ),
            "That is halfway between the two points: the budget says how far.": mean[:, after - 1 : after + 1].mean(1),
        }
        otherwise = "Not the mean over seeds at the budget, on the line between two points."
        if message := diagnose(got, of_seeds.mean(1), mistakes, otherwise):
            return message
    return None


# --- 07.5 the whole algorithm -----------------------------------------------------------------------------------------


def climb(setting, beta, iterations, gradient=first_order, start=None):
    """The start after so many outer steps, (P,)."""
    theta = setting.start if start is None else start
    for _ in range(iterations):
        theta = theta + beta * gradient(setting, theta)
    return theta


def check_meta_train(answer):
    for setting, beta, iterations in zip(SETTINGS, (0.2, 0.5), (4, 3), strict=True):
        given = setting.start.copy(), setting.tasks(), setting.alpha, beta, iterations
        asked = "meta_train(theta, gradients, alpha, beta, iterations)"
        got = numbers(answer(*given), setting.start.shape, asked)
        once = first_order(setting, setting.start)
        final = climb(setting, beta, iterations)
        mistakes = {
            "Every task adapts from the parameters of the beginning: adapt from the start as it is now.": (
                setting.start + iterations * beta * once
            ),
            "That is joint training: the gradient is taken before the tasks adapt.": climb(
                setting, beta, iterations, lambda s, theta: s.slopes(s.together(theta)).mean(0)
            ),
            "Your outer step descends: the return after adapting is to be maximised.": climb(
                setting, -beta, iterations
            ),
            "Your outer step has the size alpha: it is beta.": climb(setting, setting.alpha, iterations),
            "That sums over tasks: the objective is their mean.": climb(
                setting, beta * len(setting.optima), iterations
            ),
            "One outer step too few.": climb(setting, beta, iterations - 1),
            "One outer step only: there are `iterations` of them.": setting.start + beta * once,
            "You return how far the start moved, not where it is.": final - setting.start,
            "You return the mean of the adapted parameters: the start is asked for.": setting.after(1, final).mean(0),
            "You keep the Hessian's factor: that is full MAML.": climb(
                setting,
                beta,
                iterations,
                lambda s, theta: (s.factor(theta) * s.slopes(s.after(1, theta))).mean(0),
            ),
        }
        if message := diagnose(got, final, mistakes, "Not the start after that many first-order outer steps."):
            return message
    return None


EXERCISES = (
    Exercise(
        id="07.1",
        name="first_order_gradient",
        task="""
            Write first_order_gradient(theta, gradients, alpha): first-order MAML's meta-gradient for T tasks. Each task
            takes one step up from theta, along its own gradient.

              theta      (P,) the start
              gradients  a list of T functions, one a task: parameters (P,) -> gradient of that task's return (P,)
              alpha      the inner step size, a number
              returns    (P,) the mean over tasks
        """,
        check=check_first_order,
        hints=(
            "Where does each task end after one step up? What is its gradient there?",
            "(1/T) sum_i grad J_i(theta_i'), theta_i' = theta + alpha grad J_i(theta)",
            "adapted = theta + alpha * gradient(theta)  # in a loop: for gradient in gradients",
        ),
        solution="""
            def first_order_gradient(theta, gradients, alpha):
                found = []
                for gradient in gradients:
                    adapted = theta + alpha * gradient(theta)
                    found.append(gradient(adapted))
                return sum(found) / len(found)
        """,
    ),
    Exercise(
        id="07.2",
        name="reptile_step",
        task="""
            Write reptile_step(theta, gradients, alpha, steps, epsilon): one update of Reptile. Every task walks from
            theta, a number of steps up along its own gradient; then the start moves towards the mean of their ends.

              theta      (P,) the start
              gradients  a list of T functions, one a task: parameters (P,) -> gradient of that task's return (P,)
              alpha      the inner step size, a number
              steps      how many inner steps each task takes, a whole number
              epsilon    which part of the way the start moves, a number between 0 and 1
              returns    (P,) the new start
        """,
        check=check_reptile,
        hints=(
            "Let every task walk `steps` steps from theta, then look at the middle of where they end.",
            "theta + epsilon (1/T sum_i theta_i^(steps) - theta)",
            "own = theta  # each task begins here; then `steps` times own = own + ...",
        ),
        solution="""
            def reptile_step(theta, gradients, alpha, steps, epsilon):
                ends = []
                for gradient in gradients:
                    own = theta  # every task starts from theta
                    for _ in range(steps):
                        own = own + alpha * gradient(own)
                    ends.append(own)
                end = sum(ends) / len(ends)
                return theta + epsilon * (end - theta)
        """,
    ),
    Exercise(
        id="07.3",
        name="own_numbers",
        task="""
            Write own_numbers(sizes, context): how many numbers a learner keeps for each task, by what adapts to it. The
            network is made of layers with weights and biases; count nothing else (no log_std).

              sizes    a tuple of whole numbers: of the observation, of each hidden layer, of the action
              context  how many numbers CAVIA's context vector holds, a whole number
              returns  three whole numbers: for MAML, for ANIL, for CAVIA
        """,
        check=check_own_numbers,
        hints=(
            "A layer from a to b units has a matrix, and one more number for each unit of its output.",
            "MAML: sum of a b + b over layers; ANIL: a b + b of the last; CAVIA: the context",
            "weights = [a * b for a, b in zip(sizes[:-1], sizes[1:])]  # of each layer",
        ),
        solution="""
            def own_numbers(sizes, context):
                layers = [a * b + b for a, b in zip(sizes[:-1], sizes[1:])]
                return sum(layers), layers[-1], context
        """,
    ),
    Exercise(
        id="07.4",
        name="buys",
        task="""
            Write buys(cost, scores, budget): what a budget buys from each learner, the mean return over its seeds, on
            the straight line between the two points around the budget.

              cost     (points,) what each learner had spent when it was scored, rising from 0, in GFLOPs
              scores   (learners, seeds, points) return per episode at these points
              budget   what you can spend, a number between two entries of cost, in GFLOPs
              returns  (learners,) return per episode
        """,
        check=check_buys,
        hints=(
            "Average over seeds first; then read the curve where the budget ends.",
            "between (x0, y0) and (x1, y1): y0 + (budget - x0) / (x1 - x0) (y1 - y0)",
            "mean = scores.mean(1)  # (learners, points); np.interp(x, xs, ys) reads one curve",
        ),
        solution="""
            def buys(cost, scores, budget):
                mean = scores.mean(1)  # (learners, points)
                return np.array([np.interp(budget, cost, curve) for curve in mean])
        """,
    ),
    Exercise(
        id="07.5",
        name="meta_train",
        task="""
            Write meta_train(theta, gradients, alpha, beta, iterations): the whole of first-order MAML. In every
            iteration each task takes one inner step from the present start; the start then moves along the mean of the
            gradients that the tasks have there. You may call first_order_gradient.

              theta       (P,) the start to begin with
              gradients   a list of T functions, one a task: parameters (P,) -> gradient of that task's return (P,)
              alpha       the inner step size, a number
              beta        the outer step size, a number
              iterations  how many outer steps, a whole number from 1 on
              returns     (P,) the start after the last of them
        """,
        check=check_meta_train,
        hints=(
            "One loop over iterations, and in it the gradient of 07.1. What changes from one iteration to the next?",
            "theta <- theta + beta (1/T) sum_i grad J_i(theta + alpha grad J_i(theta))",
            "adapted = [theta + alpha * gradient(theta) for gradient in gradients]  # from theta as it is now",
        ),
        solution="""
            def meta_train(theta, gradients, alpha, beta, iterations):
                for _ in range(iterations):
                    found = []
                    for gradient in gradients:
                        adapted = theta + alpha * gradient(theta)
                        found.append(gradient(adapted))
                    theta = theta + beta * sum(found) / len(found)
                return theta
        """,
    ),
)

QUIZZES = (
    Quiz(
        "07.a",
        "Your robot's simulator makes 200 steps a second, the policy network is tiny. Which saving helps most?",
        (
            Option(
                "First order: no second derivatives, so less arithmetic in every update",
                "It saves arithmetic, and arithmetic is not what you wait for.",
            ),
            Option(
                "CAVIA: fewer numbers of a task's own to keep and to move",
                "That saves memory per task; acting takes as long as before.",
            ),
            Option(
                "A learner that needs fewer env steps for the same return",
                "Here every second is an env step. Spend arithmetic freely, second derivatives too.",
                right=True,
            ),
        ),
    ),
    Quiz(
        "07.b",
        "In *Break it*, why does return after adaptation stay flat, above return before, and nothing raises an error?",
        (
            Option(
                "First order drops too much of the gradient to move the start",
                "It would still move the start; here the start never moves.",
            ),
            Option(
                "The copies get the gradients; the originals' gradient is None",
                "The optimiser holds the originals, and skips a parameter without a gradient in silence.",
                right=True,
            ),
            Option(
                "The outer step size is too small to be seen in three digits",
                "Then the start would move a little. It moves by exactly zero.",
            ),
        ),
    ),
)
