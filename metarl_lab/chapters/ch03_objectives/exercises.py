"""Chapter 03, objectives: the exact return, the return after adaptation, the sign of a loss, the right interval."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, close, diagnose, numbers

# (transition (S, A, S), reward (S, A), policy (S, A), steps): as many states as actions, then more states
TABULAR_MDPS = (
    (
        np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.0, 1.0]]]),
        np.array([[1.0, 0.0], [2.0, 5.0]]),
        np.array([[0.3, 0.7], [0.6, 0.4]]),
        4,
    ),
    (
        np.array(
            [
                [[0.1, 0.6, 0.3], [0.5, 0.5, 0.0]],
                [[0.0, 0.2, 0.8], [0.7, 0.1, 0.2]],
                [[0.3, 0.3, 0.4], [0.25, 0.0, 0.75]],
            ]
        ),
        np.array([[0.5, -1.0], [3.0, 0.0], [1.0, 4.0]]),
        np.array([[0.8, 0.2], [0.1, 0.9], [0.35, 0.65]]),
        6,
    ),
)


def backward(transition: np.ndarray, reward: np.ndarray, policy: np.ndarray, steps: int) -> np.ndarray:
    """Value of every state, `steps` steps before the end, (S,)."""
    value = np.zeros(len(reward))
    for _ in range(steps):
        value = (policy * (reward + transition @ value)).sum(1)
    return value


def best_value(transition: np.ndarray, reward: np.ndarray, steps: int) -> np.ndarray:
    """The same for the best policy, (S,)."""
    value = np.zeros(len(reward))
    for _ in range(steps):
        value = (reward + transition @ value).max(1)
    return value


def check_exact_j(answer):
    for transition, reward, policy, steps in TABULAR_MDPS:
        got = numbers(answer(transition, reward, policy, steps), (), "exact_j(transition, reward, policy, horizon)")
        value = backward(transition, reward, policy, steps)
        alike = np.full_like(policy, 1 / policy.shape[1])
        mistakes = {
            "That is the best policy's return: average over actions with pi(a|s), take no maximum.": best_value(
                transition, reward, steps
            )[0],
            "You stay in state 0: the state moves, so the rewards of later states come in through P.": steps
            * (policy[0] * reward[0]).sum(),
            "One step is missing: back up `horizon` times, starting from zeros.": backward(
                transition, reward, policy, steps - 1
            )[0],
            "One step too many: back up `horizon` times, starting from zeros.": backward(
                transition, reward, policy, steps + 1
            )[0],
            "That is the mean over states; the episode starts in state 0.": value.mean(),
            "That is the value of the last state; the episode starts in state 0.": value[-1],
            "The policy is missing: you weigh all actions alike.": backward(transition, reward, alike, steps)[0],
        }
        if message := diagnose(got, value[0], mistakes, "Not the exact return from state 0."):
            return message
    return None


# (optimum of each task (T, P), steepness of each task (T,), theta (P,), alpha)
QUADRATIC_FAMILIES = (
    (np.array([[1.0, 0.0], [-0.5, 2.0], [0.3, -0.7]]), np.array([1.0, 0.5, 2.0]), np.array([0.2, -0.4]), 0.3),
    (np.array([[2.0, 0.5, -1.0], [-1.5, 1.0, 0.0]]), np.array([0.8, 1.6]), np.array([0.5, 0.1, -0.3]), 0.2),
)


def quadratic_tasks(optima, steepness):
    """A (value, gradient) pair of functions of theta for each task."""

    def task(optimum, steep):
        def value(theta):
            return np.asarray(-0.5 * steep * ((np.asarray(theta) - optimum) ** 2).sum())

        def gradient(theta):
            return -steep * (np.asarray(theta) - optimum)

        return value, gradient

    return [task(optimum, steep) for optimum, steep in zip(optima, steepness, strict=True)]


def check_meta_objective(answer):
    for optima, steepness, theta, alpha in QUADRATIC_FAMILIES:
        tasks = quadratic_tasks(optima, steepness)
        got = numbers(answer(theta, tasks, alpha), (), "meta_objective(theta, tasks, alpha)")
        inner = [alpha * gradient(theta) for _, gradient in tasks]
        shared_step = np.mean(inner, axis=0)
        carried, chained = theta, []
        for value, gradient in tasks:
            carried = carried + alpha * gradient(carried)
            chained.append(value(carried))
        after = np.array([value(theta + step) for (value, _), step in zip(tasks, inner, strict=True)])
        mistakes = {
            "That is the multi-task objective, before adaptation: take the inner step first.": np.mean(
                [value(theta) for value, _ in tasks]
            ),
            "Your inner step descends: a return is to be maximised, so add alpha times the gradient.": np.mean(
                [value(theta - step) for (value, _), step in zip(tasks, inner, strict=True)]
            ),
            "You adapt to the mean gradient: each task has its own step.": np.mean(
                [value(theta + shared_step) for value, _ in tasks]
            ),
            "You carry the adapted parameters on to the next task: every task starts from theta.": np.mean(chained),
            "That is the sum over tasks: the expectation is their mean.": after.sum(),
            "That is the first task alone: the expectation is the mean over all of them.": after[0],
            "That is the last task alone: the expectation is the mean over all of them.": after[-1],
            "The step size is missing: the inner step is alpha times the gradient.": np.mean(
                [value(theta + gradient(theta)) for value, gradient in tasks]
            ),
        }
        if message := diagnose(got, after.mean(), mistakes, "Not the mean return after one inner step."):
            return message
    return None


# returns of each task (T,), before and after adaptation
RETURNS = (
    (np.array([0.1, 0.6, -0.3]), np.array([0.9, 0.4, 0.7])),
    (np.array([-1.0, 0.2, 0.5, 1.4, 0.3]), np.array([0.5, 1.2, -0.8, 2.0, 0.1])),
)


def check_outer_loss(answer):
    import torch

    for before_values, after_values in RETURNS:
        before, after = (torch.tensor(x, requires_grad=True) for x in (before_values, after_values))
        loss = answer(before, after)
        got = numbers(loss, (), "outer_loss(before, after)")
        gain = (after_values - before_values).mean()
        mean = after_values.mean()
        mistakes = {
            "The sign is wrong: Adam would minimise this, and so make the return as small as it can.": mean,
            "That reads the returns from before adaptation: nothing would reward adapting well.": (
                -before_values.mean()
            ),
            "That is the improvement: one gets it by starting badly. Score the end, not the climb.": -gain,
            "That is one task's return: the objective is the mean over tasks.": -after_values.max(),
            "That is the worst task's return: the objective is the mean over tasks.": -after_values.min(),
            "That is the sum over tasks: the objective is their mean, which does not grow with their number.": (
                -after_values.sum()
            ),
        }
        if message := diagnose(got, -mean, mistakes, "Not the loss whose minimum is the best return after adaptation."):
            return message
        if not isinstance(loss, torch.Tensor) or not loss.requires_grad:
            return "The number is right, but it carries no gradient: Adam could not move anything by it."
        slope = torch.autograd.grad(loss, after, allow_unused=True)[0]
        if slope is None or not close(slope.numpy(), np.full(len(after_values), -1 / len(after_values))):
            return "The number is right, but its gradient is not that of the mean: no task may be detached."
    return None


# (scores (seeds, tasks), the t quantile of so many seeds)
SCORES = (
    (np.array([[0.5, 0.9, 0.1], [0.2, 0.6, 0.7], [1.0, 0.8, 0.6], [0.4, 0.3, -0.1], [0.7, 0.9, 0.2]]), 2.776),
    (np.array([[1.0, 3.0, 2.0, 0.5], [2.5, 2.0, 4.0, 1.0], [0.0, 1.5, 1.0, 2.0]]), 4.303),
)


def bounds(values: np.ndarray, quantile: float, ddof: int = 1, error: bool = True) -> np.ndarray:
    """Mean -+ quantile s / sqrt(n), (2,); without `error` mean -+ quantile s."""
    half = quantile * values.std(ddof=ddof) / (np.sqrt(len(values)) if error else 1)
    return np.array([values.mean() - half, values.mean() + half])


def divides_by_n(answer, scores: np.ndarray, quantile: float) -> bool:
    """Whether the interval on plain arrays has n where n - 1 belongs.

    `x.std()` does so on an array and not on a tensor, so an answer that is only tried with tensors could hide it.
    """
    try:
        got = numbers(getattr(answer, "__wrapped__", answer)(scores.copy(), quantile), (2,))
    except Exception:  # written for tensors alone
        return False
    return close(got, bounds(scores.mean(1), quantile, ddof=0), 1e-3)


def check_seed_interval(answer):
    for scores, quantile in SCORES:
        if divides_by_n(answer, scores, quantile):
            return "Divide by n - 1 in the standard deviation: np.std needs ddof=1."
        got = numbers(answer(scores, quantile), (2,), "seed_interval(scores, quantile)")
        seeds, pooled, tasks = scores.mean(1), scores.reshape(-1), scores.mean(0)
        right = bounds(seeds, quantile)
        mistakes = {
            "You pool all scores: those of one seed go up and down together. Average over tasks first.": bounds(
                pooled, quantile
            ),
            "You pool all scores, with 1.96: average over tasks first, and take the t quantile.": bounds(pooled, 1.96),
            "That is an interval over tasks: it speaks of these agents. Average over tasks, use the seeds.": bounds(
                tasks, quantile
            ),
            "1.96 is for many values: with few seeds take the t quantile that you are given.": bounds(seeds, 1.96),
            "The standard deviation has n where n - 1 belongs.": bounds(seeds, quantile, ddof=0),
            "That is the spread of seeds, not of their mean: divide by the root of their number.": bounds(
                seeds, quantile, error=False
            ),
            "The bounds are swapped: (low, high).": right[::-1],
        }
        if message := diagnose(got, right, mistakes, "Not mean -+ t s / sqrt(n) over the seeds.", tolerance=1e-3):
            return message
    return None


EXERCISES = (
    Exercise(
        id="03.1",
        name="exact_j",
        task="""
            Write exact_j(transition, reward, policy, horizon): the exact expected return of one policy on one MDP, in
            an episode that starts in state 0, without a discount.

              transition  (S, A, S) probability of each next state, for each state and action
              reward      (S, A) mean reward of each state and action
              policy      (S, A) probability of each action in each state
              horizon     how many steps the episode has, a whole number
              returns     a number
        """,
        check=check_exact_j,
        hints=(
            "Start at the end, where nothing is left to earn, and go back one step at a time.",
            "V(s) = sum over a of pi(a|s) [R(s, a) + sum over s' of P(s'|s, a) V_next(s')], `horizon` times.",
            "value = (policy * (reward + ...)).sum(1)",
        ),
        solution="""
            def exact_j(transition, reward, policy, horizon):
                value = np.zeros(len(reward))  # (S,): nothing is left to earn after the last step
                for _ in range(horizon):
                    value = (policy * (reward + transition @ value)).sum(1)
                return value[0]
        """,
    ),
    Exercise(
        id="03.2",
        name="meta_objective",
        task="""
            Write meta_objective(theta, tasks, alpha): the mean return over tasks after one inner step of gradient
            ascent.

              theta    (P,) shared parameters
              tasks    a list with a pair of functions (value, gradient) for each task: value(theta) is the task's
                       return, a number, and gradient(theta) the gradient of it, (P,)
              alpha    the step size, a number
              returns  a number
        """,
        check=check_meta_objective,
        hints=(
            "Each task gets its own copy of theta, improved on that task alone.",
            "J_meta = mean over tasks of value(theta + alpha gradient(theta))",
            "for value, gradient in tasks: own = theta + ...",
        ),
        solution="""
            def meta_objective(theta, tasks, alpha):
                return np.mean([value(theta + alpha * gradient(theta)) for value, gradient in tasks])
        """,
    ),
    Exercise(
        id="03.3",
        name="outer_loss",
        task="""
            Write outer_loss(before, after): the loss of meta-training, which Adam shall minimise.

              before   (T,) return of each task before adaptation, a tensor that carries a gradient
              after    (T,) return of each task after adaptation, likewise
              returns  a tensor that holds one number and carries the gradient on
        """,
        check=check_outer_loss,
        hints=(
            "What should be large when training went well? And what does Adam do with it?",
            "L = minus the mean over tasks of the return after adaptation",
            "return -(...).mean()",
        ),
        solution="""
            def outer_loss(before, after):
                return -after.mean()
        """,
    ),
    Exercise(
        id="03.4",
        name="seed_interval",
        task="""
            Write seed_interval(scores, quantile): the 95% interval of an algorithm's mean score.

              scores    (seeds, tasks) score of each training seed on each of its tasks; every seed has fresh tasks
              quantile  the t quantile for so many seeds (2.776 for five)
              returns   two numbers: low, high
        """,
        check=check_seed_interval,
        hints=(
            "How many independent training runs are there? That many values make the interval.",
            "mean -+ t s / sqrt(n) over the n seed means, with n - 1 in s.",
            "seed_means = scores.mean(1); half = quantile * seed_means.std(ddof=1) / ...",
        ),
        solution="""
            def seed_interval(scores, quantile):
                seed_means = scores.mean(1)
                half = quantile * seed_means.std(ddof=1) / np.sqrt(len(seed_means))
                return seed_means.mean() - half, seed_means.mean() + half
        """,
    ),
)

QUIZZES = (
    Quiz(
        "03.a",
        "Agent A scores 0.5 before adapting and 0.5 after; agent B scores 0.0 before and 0.8 after. Which is better?",
        (
            Option(
                "A: it is never bad, whatever comes",
                "That holds if no adaptation is coming, or if the first episodes count for much.",
            ),
            Option(
                "Either, by the objective that was asked for",
                "Each is the best of its kind. Weighing every episode would say when B has paid off.",
                right=True,
            ),
            Option(
                "B: what counts is where it ends",
                "That holds if adaptation is coming, and its first episodes cost little.",
            ),
        ),
    ),
    Quiz(
        "03.b",
        "Which line of *Break it* is the shipped bug, and how do the finite differences show it?",
        (
            Option(
                "B: it differentiates through `adapt`, and its row equals neither of them",
                "Look again: B's row equals the finite differences after one step. It is the right one.",
            ),
            Option(
                "C: `.detach()`, and its row equals the gradient before adaptation",
                "C is first-order: it equals neither row, since it drops how the start moves the end. It is an "
                "approximation (chapter 07), not the bug.",
            ),
            Option(
                "A: `history[steps - 1]`, its row equals the gradient before adaptation",
                "`history` has steps + 1 entries, the last is `history[steps]`. A trains the multi-task policy.",
                right=True,
            ),
        ),
    ),
)
