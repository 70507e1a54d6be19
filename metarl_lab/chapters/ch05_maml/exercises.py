"""Chapter 05, MAML: its exercises and its quizzes."""

from typing import NamedTuple

import numpy as np
import torch
from torch.func import grad

from metarl_lab.teach.base import Exercise, Option, Quiz, Rejected, close, diagnose, numbers

# 05.1: several inner steps


def bent(theta):
    """A gradient that changes along the way, (2,) -> (2,)."""
    return np.array([1.0 - theta[0] ** 2, theta[0] - 2 * theta[1]])


def falling(theta):
    """Another one, for any number of parameters."""
    return 1.0 - theta**3


def walk(theta, gradient, alpha, steps):
    for _ in range(steps):
        theta = theta + alpha * gradient(theta)
    return theta


def check_adapt(answer):
    for theta, gradient, alpha, steps in (
        (np.array([0.2, -0.4]), bent, 0.3, 3),
        (np.array([0.5, 0.1, -0.3]), falling, 0.1, 5),
    ):
        got = numbers(answer(theta, gradient, alpha, steps), theta.shape, "adapt(theta, gradient, alpha, steps)")
        right = walk(theta, gradient, alpha, steps)
        mistakes = {
            "That is descent: the return is to be maximised, so add alpha times the gradient.": walk(
                theta, gradient, -alpha, steps
            ),
            "Every step of yours takes the gradient at the start: take it where you now are.": theta
            + steps * alpha * gradient(theta),
            "One step only: the loop must carry theta on from step to step.": walk(theta, gradient, alpha, 1),
            "One step is missing: take `steps` of them.": walk(theta, gradient, alpha, steps - 1),
            "One step too many: take `steps` of them.": walk(theta, gradient, alpha, steps + 1),
            "The inner rate is missing.": walk(theta, gradient, 1.0, steps),
            "You return the way travelled, not the parameters reached.": right - theta,
        }
        if message := diagnose(got, right, mistakes, "Not theta after `steps` steps of theta + alpha gradient(theta)."):
            return message
    return None


# 05.2: the meta-gradient of tasks with a known return


def check_meta_gradient(answer):
    for theta, alpha, k, c in (
        (-0.2, 0.4, np.array([0.5, 2.0, 1.5]), np.array([1.0, -0.5, 0.3])),
        (0.6, 0.25, np.array([1.0, 3.0]), np.array([0.0, 1.0])),
    ):
        got = numbers(answer(theta, alpha, k, c), (), "meta_gradient(theta, alpha, k, c)")
        here = -k * (theta - c)  # slope of each task at the start
        there = -k * (theta + alpha * here - c)  # and where its own step ends
        right = ((1 - alpha * k) * there).mean()
        mistakes = {
            "Either that is first order, without the factor 1 - alpha k_i by which each adapted dial follows the "
            "start; or you have the factor, and take the slope at the start, not where the step ends. On parabolas "
            "both give this number. Both are needed: the factor, and the slope there.": there.mean(),
            "Those are slopes before the step: the outer slope is taken where the step ends.": here.mean(),
            "The sign of the second derivative is wrong: that of J_i is minus k_i.": ((1 + alpha * k) * there).mean(),
            "That is the sum over tasks: the objective is their mean.": ((1 - alpha * k) * there).sum(),
            "The sign is wrong: this is the gradient of a loss. J is a return, to be climbed.": -right,
        }
        if message := diagnose(
            got, right, mistakes, "Not the mean over tasks of (1 - alpha k_i) times the slope where its step ends."
        ):
            return message
    return None


# 05.3 to 05.5: the three parts of the sampled loop. They must carry gradients, so they are differentiated.


def with_gradient(value, what):
    """The answer as a tensor that knows where it came from, or Rejected."""
    if not isinstance(value, torch.Tensor):
        raise Rejected(
            f"{what} is a {type(value).__name__}: it must stay a tensor, or no gradient can pass through it."
        )
    if value.ndim != 0:
        raise Rejected(f"{what} has shape {tuple(value.shape)}; one number is needed.")
    if not value.requires_grad:
        raise Rejected(f"No gradient passes through {what}: something was detached, or made anew from plain numbers.")
    return value


def check_surrogate(answer):
    for log_probs, advantages, live in (
        # a live step may have advantage 0 too: live is neither all steps nor those with an advantage
        ([-1.0, -0.5, -2.0, -0.7, -1.2], [0.5, -1.0, 2.0, 0.0, 0.0], 4.0),
        ([-0.2, -1.1, -0.7, -3.0, -0.4, -0.9], [1.0, 0.0, 0.3, 0.0, -0.8, 0.0], 4.0),
    ):
        log_prob, advantage = tensors(log_probs, advantages)
        log_prob.requires_grad_()
        value = with_gradient(answer(log_prob, advantage, live), "surrogate(log_prob, advantage, live)")
        gradient = torch.autograd.grad(value, log_prob)[0]
        weights = np.array(advantages)
        mistakes = {
            "The sign is wrong: a return is climbed, so a good action's log-probability must rise.": -weights / live,
            "That is the sum over steps: divide it by how many were live.": weights,
            "You divide by all steps: those after the end of an episode do not count, so divide by `live`.": (
                weights / len(weights)
            ),
            "You divide by the steps whose advantage is not 0: a live step may have advantage 0 too, so divide by "
            "`live`.": weights / np.count_nonzero(weights),
            "The advantages are missing: bad actions would be made likelier too.": np.ones(len(weights)) / live,
        }
        what = "Its gradient is not the policy gradient: the mean over live steps of advantage times log-probability."
        if message := diagnose(numbers(gradient, weights.shape), weights / live, mistakes, what):
            return message
        if not close(numbers(value), np.dot(log_probs, weights) / live):
            return "Its gradient is right, its value is not: sum of log-probability times advantage, divided by live."
    return None


class Hill(NamedTuple):
    """What acting tells of a task whose return is a hill: its slope and its bend at the place where it was acted."""

    acted_at: torch.Tensor  # (P,)
    slope: torch.Tensor  # (P,)
    bend: torch.Tensor  # (P,), minus the second derivative


def hill_objective(theta, batch):
    """The surrogate of such a batch: right in slope and bend where it was acted, and only there."""
    move = theta["x"] - batch.acted_at
    return (batch.slope * move).sum() - 0.5 * (batch.bend * move**2).sum()


def hill(at, k, c):
    """What acting at `at` tells of the hill -k/4 |x - c|^4: of this place alone, since it bends otherwise elsewhere."""
    at = at.detach()
    return Hill(at, -k * (at - c) ** 3, 3 * k * (at - c) ** 2)


def tensors(*values):
    return [torch.tensor(value, dtype=torch.float64) for value in values]


def check_inner_step(answer):
    for start, k, c, alpha in (([0.2, -0.4], 2.0, [1.0, 0.0], 0.25), ([0.5], 3.0, [1.0], 0.1)):
        start, k, c = tensors(start, k, c)
        batch = hill(start, k, c)

        def reached(x, batch=batch, alpha=alpha):
            try:
                moved = answer({"x": x, "y": 2 * x}, objective_of_both, batch, alpha)
            except Rejected as error:
                if "NoneType" in str(error):
                    raise Rejected(
                        "A `.grad` is None in your step: backward() fills it for an optimiser's own tensors only, and "
                        "changes them in place. Take the gradient as a value: grad(objective)(theta, batch)."
                    ) from None
                raise
            if not isinstance(moved, dict) or set(moved) != {"x", "y"}:
                raise Rejected("inner_step must return a dict with the same names as theta, a tensor for each.")
            return moved

        moved = reached(start.clone().requires_grad_())
        steps = {"x": alpha * batch.slope, "y": torch.full_like(start, alpha)}
        for name, before in (("x", start.numpy()), ("y", 2 * start.numpy())):
            step = steps[name].numpy()
            mistakes = {
                "That is descent: the return is to be maximised, so add alpha times the gradient.": before - step,
                "The inner rate is missing.": before + step / alpha,
                "You return the step, not the parameters after it.": step,
                "Nothing has moved.": before,
            }
            got = numbers(moved[name], before.shape, f"inner_step(...)[{name!r}]")
            if message := diagnose(got, before + step, mistakes, "Not theta + alpha times its gradient."):
                return message
        # the result must still be a function of theta: the meta-gradient passes through it
        try:
            through = grad(lambda x: reached(x)["x"].sum())(start)
        except RuntimeError as error:
            return (
                f"torch cannot differentiate through your step ({error}): keep to tensors, without .item() or .numpy()."
            )
        follows = (1 - alpha * batch.bend).numpy()
        cut = {
            "No second derivative passes through your step: the gradient was detached, or taken without "
            "create_graph.": np.ones_like(follows),
            "No gradient passes through your step: its result was detached.": np.zeros_like(follows),
            "The 1 is missing, which says that the copy begins at the start: theta was detached, and only the gradient "
            "follows it.": -alpha * batch.bend.numpy(),
        }
        what = "The step is right, and its derivative by theta is not 1 + alpha J''."
        if message := diagnose(numbers(through, follows.shape), follows, cut, what):
            return message
    return None


def objective_of_both(theta, batch):
    """Two parameters: x on the hill, y on a slope of 1."""
    return hill_objective(theta, batch) + theta["y"].sum()


def check_after_adapting(answer):
    for start, k, c, alpha in (([0.5], 3.0, [1.0], 0.25), ([0.2, -0.4], 1.5, [1.0, 0.3], 0.4)):
        start, k, c = tensors(start, k, c)
        before = hill(start, k, c)
        adapted = start + alpha * before.slope
        after = hill(adapted, k, c)
        x = start.clone().requires_grad_()
        value = with_gradient(answer({"x": x}, before, after, hill_objective, alpha), "after_adapting(...)")
        got = torch.autograd.grad(value, x)[0]
        factor = 1 - alpha * before.bend
        right = (factor * after.slope).numpy()
        first_order = after.slope.numpy()
        mistakes = {
            "That is first order: the step was cut out of the gradient. Let it pass through inner_step.": first_order,
            "You judge by the batch from before the step: the outer objective reads what was acted after it.": (
                factor * (before.slope - before.bend * (adapted - start))
            ).numpy(),
            "There is no inner step in it: that is pre-training.": (
                after.slope - after.bend * (start - adapted)
            ).numpy(),
            "That is the batch from before the step, without the step.": before.slope.numpy(),
            "The batches are exchanged: adapt on `before`, judge on `after`.": exchanged(start, before, after, alpha),
            "The sign is wrong: this is a loss. The return is to be climbed.": -right,
        }
        what = "Its gradient is not the meta-gradient of one task: the objective on `after`, at the adapted parameters."
        if message := diagnose(numbers(got, right.shape), right, mistakes, what):
            return message
    return None


def exchanged(start, before, after, alpha):
    """The gradient of who adapts on the later batch and judges by the earlier one."""

    def wrong(x):
        step = grad(lambda y: hill_objective({"x": y}, after))(x)
        return hill_objective({"x": x + alpha * step}, before)

    return grad(wrong)(start).numpy()


# 05.6: the whole algorithm


def copies_on_hills(start, tasks, alpha, beta, iterations, way):
    """What is learned on hills without the outer gradient of box 5.2, or with it out of turn.

    way : "reptile", the start moves towards the mean of the adapted copies; "carried on", each task's step goes on
        from the last one's; "one by one", an outer step after each task.
    """
    x = np.array(start, dtype=float)
    for _ in range(iterations):
        copies = []
        for k, c in tasks:
            moved = x - alpha * k * (x - c) ** 3
            copies.append(moved)
            if way == "carried on":
                x = moved
            if way == "one by one":
                x = x - beta * (1 - alpha * 3 * k * (x - c) ** 2) * k * (moved - c) ** 3
        if way == "reptile":
            x = x + beta * (np.mean(copies, axis=0) - x)
    return x


def maml_on_hills(start, tasks, alpha, beta, iterations, outer=1.0, inner=1.0, first_order=False, judged_on="after"):
    """MAML on hills (k, c), by formula; the options make its typical mistakes."""
    x = np.array(start, dtype=float)
    for _ in range(iterations):
        total = np.zeros_like(x)
        for k, c in tasks:
            slope, bend = -k * (x - c) ** 3, 3 * k * (x - c) ** 2
            moved = x + inner * alpha * slope
            judged = -k * (moved - c) ** 3 if judged_on == "after" else slope - bend * (moved - x)
            follows = 1.0 if first_order else 1 - inner * alpha * bend
            total += slope if judged_on == "nothing" else follows * judged
        x = x + outer * beta * total / len(tasks)
    return x


def check_maml(answer):
    for start, tasks, alpha, beta, iterations in (
        ([0.5], [(1.0, [-0.5]), (3.0, [1.2])], 0.25, 0.5, 4),
        ([0.2, -0.3], [(1.0, [1.0, 0.5]), (0.5, [-0.9, 1.0]), (2.0, [0.9, -1.1])], 0.3, 0.4, 3),
    ):
        hills = [tuple(tensors(k, c)) for k, c in tasks]

        def act(theta, task):
            if not isinstance(theta, dict) or "x" not in theta:
                raise Rejected("act(theta, task) takes parameters as a dict, {name: tensor}, as `theta` is.")
            return hill(theta["x"], *task)

        theta = {"x": torch.tensor(start, dtype=torch.float64)}
        result = answer(theta, hills, act, hill_objective, alpha, beta, iterations)
        if not isinstance(result, dict) or "x" not in result:
            raise Rejected("maml(...) must return the trained parameters, a dict with the names of theta.")
        got = numbers(result["x"], (len(start),), "maml(...)['x']")
        known = [(k, np.array(c)) for k, c in tasks]

        def reached(known=known, start=start, alpha=alpha, beta=beta, n=iterations, **mistake):
            return maml_on_hills(start, known, alpha, beta, n, **mistake)

        mistakes = {
            "That is first-order MAML: the outer gradient must pass through the inner step.": reached(first_order=True),
            "You judge by the batch from before the step: act again, with each task's own parameters.": reached(
                judged_on="before"
            ),
            "The outer step descends: the meta-return is to be climbed.": reached(outer=-1.0),
            "The inner step descends: in each task the return is to be climbed.": reached(inner=-1.0),
            "That is pre-training: it climbs the mean return before the step.": reached(judged_on="nothing"),
            "You add over tasks: the meta-return is their mean.": reached(outer=float(len(tasks))),
            "One iteration only: carry theta on.": reached(n=1),
            "One iteration is missing.": reached(n=iterations - 1),
            "Nothing has moved.": np.array(start),
        }
        for way, other in (
            (
                "reptile",
                "You move the start towards what the tasks adapted to: that is Reptile, another algorithm. MAML's "
                "outer step climbs the gradient of the return after the step.",
            ),
            (
                "carried on",
                "You carry a task's copy on to the next task: every task starts from theta, and its copy is thrown "
                "away.",
            ),
            (
                "one by one",
                "You take an outer step after each task: take one for the whole meta-batch, up the mean over tasks.",
            ),
        ):
            mistakes[other] = copies_on_hills(start, known, alpha, beta, iterations, way)
        right = reached()
        for number, (k, c) in enumerate(known):
            thrown_away = (
                f"You return what task {number} adapted to: that is thrown away, the start is what is trained."
            )
            mistakes[thrown_away] = right - alpha * k * (right - c) ** 3
        what = (
            "Not the start that MAML reaches. Compare box 5.2: is one start copied into every task, does each task "
            "act again, does the gradient go back to the start, and is the start what you carry on?"
        )
        if message := diagnose(got, right, mistakes, what):
            return message
    return None


# 05.7: every task its own layer


def check_per_task(answer):
    rng = np.random.default_rng(5)
    for tasks, rows, inputs, outputs in ((3, 4, 2, 5), (2, 3, 3, 1)):
        x, weight = rng.normal(size=(tasks, rows, inputs)), rng.normal(size=(tasks, inputs, outputs))
        bias = rng.normal(size=(tasks, outputs))
        right = x @ weight + bias[:, None]
        try:
            value = answer(x, weight, bias)
        except Rejected as error:
            if "broadcast" in str(error) or "must match the size" in str(error):
                raise Rejected(
                    f"The shapes do not fit: x @ weight is {right.shape}, (T, N, O), and bias is {bias.shape}, (T, O). "
                    "Give bias an axis of length 1 in the middle, for the rows."
                ) from None
            raise
        got = numbers(value, (tasks, rows, outputs), "per_task(x, weight, bias)")
        mistakes = {
            "Task 0's weights serve all tasks: each task's rows of x need its own.": x @ weight[0] + bias[0],
            "You average the weights over tasks: then no task has parameters of its own.": x @ weight.mean(0)
            + bias.mean(0),
            "The bias is missing.": x @ weight,
            "Task 0's bias serves all tasks: give bias an axis for the rows.": x @ weight + bias[0],
            "Weights go to the wrong task: the order of the task axis is not kept.": x @ weight[::-1]
            + bias[::-1, None],
        }
        if message := diagnose(got, right, mistakes, "Not x[i] @ weight[i] + bias[i] for every task i."):
            return message
    return None


# 05.8: which rate may be reported


def check_fair_score(answer):
    for on_training, on_test in (
        (
            np.array(
                [
                    [-19.0, -17.0, -18.0],
                    [-4.0, -4.2, -9.0],
                    [-3.0, -5.0, -4.5],
                    [-20.0, -2.0, -9.0],
                    [-12.0, -11.0, -13.0],
                ]
            ),
            np.array([[-8.0, -9.5], [-3.0, -2.6], [-5.0, -4.5], [-1.0, -30.0], [-2.0, -2.4]]),
        ),
        (
            np.array([[-6.0, -7.5, -7.0], [-2.5, -3.0, -5.0], [-1.0, -9.0, -2.2]]),
            np.array([[-2.0, -3.0, -1.0, -4.0], [-5.0, -2.5, -4.0, -3.0], [-8.0, -6.0, -0.5, -7.0]]),
        ),
    ):
        got = numbers(answer(on_training, on_test), (), "fair_score(on_training, on_test)")
        chosen = on_training.mean(1).argmax()
        right = on_test[chosen].mean()
        mistakes = {
            "You chose the rate on the tasks that score it: the best of several draws is too good.": on_test.mean(
                1
            ).max(),
            "Every test task gets its own best rate: no learner could know it.": on_test.max(0).mean(),
            "That is the score on the training tasks: choose there, report on the test tasks.": on_training.mean(
                1
            ).max(),
            "That is the worst rate: a return is to be maximised.": on_test[on_training.mean(1).argmin()].mean(),
            "One lucky training task chose the rate: average over tasks first.": on_test[
                on_training.max(1).argmax()
            ].mean(),
            "You chose the rate by its median over training tasks; a mean is reported, so choose by the mean.": (
                on_test[np.median(on_training, axis=1).argmax()].mean()
            ),
            "That is the mean over rates: choose one of them.": on_test.mean(),
            "That is the score of one test task: average over all of them.": on_test[chosen][0],
            "That is the number of the rate; report its score on the test tasks.": float(chosen),
            "That is the median over test tasks, and the mean is asked for.": np.median(on_test[chosen])
            if len(on_test[chosen]) > 2
            else on_test[chosen][-1],
        }
        if message := diagnose(got, right, mistakes, "Not the mean test return at the rate that is best in training."):
            return message
    return None


EXERCISES = (
    Exercise(
        id="05.1",
        name="adapt",
        task="""
            Write adapt(theta, gradient, alpha, steps): several inner steps, one after another.

              theta     (P,) the parameters at the start
              gradient  a function: parameters (P,) -> slope of the return there (P,)
              alpha     the inner rate, a number
              steps     how many steps to take, a whole number
              returns   (P,) the parameters after the last step
        """,
        check=check_adapt,
        hints=(
            "Each step starts where the last one ended, and asks for the slope there.",
            "theta <- theta + alpha * gradient(theta), `steps` times.",
            "for _ in range(steps): theta = ...",
        ),
        solution="""
            def adapt(theta, gradient, alpha, steps):
                for _ in range(steps):
                    theta = theta + alpha * gradient(theta)
                return theta
        """,
    ),
    Exercise(
        id="05.2",
        name="meta_gradient",
        task="""
            Write meta_gradient(theta, alpha, k, c): the slope of the mean return after one inner step, by formula,
            for T tasks with J_i(theta) = -k_i/2 (theta - c_i)^2 and one dial.

              theta    the dial, a number
              alpha    the inner rate, a number
              k        (T,) steepness of each task
              c        (T,) optimum of each task
              returns  a number. For theta 0.5, alpha 0.25, k (1, 3), c (0, 1) it is -0.09375.
        """,
        check=check_meta_gradient,
        hints=(
            "Two factors for each task: the slope where its step ends, and how far that place follows the start.",
            "The mean over i of (1 - alpha k_i) times the slope -k_i (x - c_i), taken where the step ends.",
            "adapted = theta - alpha * k * (theta - c), and then np.mean((1 - alpha * k) * ...)",
        ),
        solution="""
            def meta_gradient(theta, alpha, k, c):
                adapted = theta - alpha * k * (theta - c)
                slope = -k * (adapted - c)
                return ((1 - alpha * k) * slope).mean()
        """,
    ),
    Exercise(
        id="05.3",
        name="surrogate",
        task="""
            Write surrogate(log_prob, advantage, live): one number whose gradient is the policy gradient.

              log_prob   (M,) tensor: log-probability of each action taken, carries the gradient
              advantage  (M,) tensor of plain numbers, 0 for steps after an episode's end
              live       how many of the M steps were live, a number (on the page a tensor: no float(live))
              returns    one number (a tensor that carries the gradient)
        """,
        check=check_surrogate,
        hints=(
            "Which product has the policy gradient as its gradient, step by step?",
            "L = (sum over t of advantage_t times log_prob_t) / live",
            "(log_prob * ...).sum() / ...",
        ),
        solution="""
            def surrogate(log_prob, advantage, live):
                return (log_prob * advantage).sum() / live
        """,
    ),
    Exercise(
        id="05.4",
        name="inner_step",
        task="""
            Write inner_step(theta, objective, batch, alpha): the parameters of one task after its inner step.
            The result must still be a function of theta: the meta-gradient will pass through it. The page runs it for
            all tasks at once, by vmap, for which torch.func's grad is made.

              theta      {name: tensor}, the start
              objective  a function: (theta, batch) -> one number, whose gradient is the policy gradient
              batch      what the task acted with theta; hand it on to objective
              alpha      the inner rate, a number
              returns    {name: tensor} with the same names and shapes
        """,
        check=check_inner_step,
        hints=(
            "`grad(f)` is the gradient of f by its first argument, and it can be differentiated again.",
            "theta'[name] = theta[name] + alpha * gradient[name]",
            "gradient = grad(objective)(theta, batch); return {name: ... for name in theta}",
        ),
        solution="""
            def inner_step(theta, objective, batch, alpha):
                gradient = torch.func.grad(objective)(theta, batch)
                return {name: p + alpha * gradient[name] for name, p in theta.items()}
        """,
    ),
    Exercise(
        id="05.5",
        name="after_adapting",
        task="""
            Write after_adapting(theta, before, after, objective, alpha): what one task adds to the meta-objective.

              theta      {name: tensor}, the start
              before     the batch that the task acted with theta
              after      the batch that it acted with its adapted parameters
              objective  a function: (parameters, batch) -> one number
              alpha      the inner rate, a number
              returns    one number (a tensor whose gradient passes through the inner step)
        """,
        check=check_after_adapting,
        hints=(
            "Two lines: adapt, then judge. Which batch belongs to which?",
            "objective(theta', after), where theta' is the inner step on `before`.",
            "adapted = inner_step(theta, objective, before, alpha); return objective(...)",
        ),
        solution="""
            def after_adapting(theta, before, after, objective, alpha):
                gradient = torch.func.grad(objective)(theta, before)
                adapted = {name: p + alpha * gradient[name] for name, p in theta.items()}
                return objective(adapted, after)
        """,
    ),
    Exercise(
        id="05.6",
        name="maml",
        task="""
            Write maml(theta, tasks, act, objective, alpha, beta, iterations): all of box 5.2, from memory.

              theta       {name: tensor}, where training starts
              tasks       a list: the meta-batch, the same in every iteration
              act         a function: (parameters, task) -> the batch acted in that task with these parameters
              objective   a function: (parameters, batch) -> one number, whose gradient is the policy gradient
              alpha       the inner rate
              beta        the outer rate: plain gradient ascent, theta + beta * gradient
              iterations  how many times
              returns     {name: tensor}, the trained start
        """,
        check=check_maml,
        hints=(
            "Say the box aloud: act, step, act again, climb. What does the outer gradient pass through?",
            "theta <- theta + beta * gradient of the mean over tasks of objective(inner step on before, after)",
            "for _ in range(iterations): before = [act(theta, task) for task in tasks]; own = ...; after = ...",
        ),
        solution="""
            def maml(theta, tasks, act, objective, alpha, beta, iterations):
                grad = torch.func.grad

                def step(theta, batch):
                    gradient = grad(objective)(theta, batch)
                    return {name: p + alpha * gradient[name] for name, p in theta.items()}

                for _ in range(iterations):
                    before = [act(theta, task) for task in tasks]
                    own = [step(theta, batch) for batch in before]
                    after = [act(mine, task) for mine, task in zip(own, tasks)]

                    def meta(theta):
                        values = [objective(step(theta, b), a) for b, a in zip(before, after)]
                        return sum(values) / len(values)

                    gradient = grad(meta)(theta)
                    theta = {name: p + beta * gradient[name] for name, p in theta.items()}
                return theta
        """,
    ),
    Exercise(
        id="05.7",
        name="per_task",
        task="""
            Write per_task(x, weight, bias): one linear layer, every task with its own parameters.

              x        (T, N, I) N rows of inputs for each of T tasks
              weight   (T, I, O) each task's weights
              bias     (T, O) each task's bias
              returns  (T, N, O)
        """,
        check=check_per_task,
        hints=(
            "`@` multiplies the last two axes, and pairs off the axes before them.",
            "y_i = x_i W_i + b_i for every task i; the bias needs an axis for the rows.",
            "x @ weight + ...",
        ),
        solution="""
            def per_task(x, weight, bias):
                return x @ weight + bias[:, None]
        """,
    ),
    Exercise(
        id="05.8",
        name="fair_score",
        task="""
            Write fair_score(on_training, on_test): several inner rates were tried; which score may be reported?

              on_training  (R, T) return after one step, for each of R rates and T training tasks
              on_test      (R, S) the same on S test tasks
              returns      a number: the mean test return of the rate that an honest person chooses
        """,
        check=check_fair_score,
        hints=(
            "Which tasks may have a say in the choice?",
            "Choose the rate by its mean over training tasks; report its mean over test tasks.",
            "chosen = on_training.mean(1)..., then on_test[chosen]...",
        ),
        solution="""
            def fair_score(on_training, on_test):
                chosen = on_training.mean(1).argmax()
                return on_test[chosen].mean()
        """,
    ),
)

QUIZZES = (
    Quiz(
        "05.a",
        "What is left of MAML when its inner rate is 0?",
        (
            Option(
                "Training from scratch on each task",
                "The outer step still trains the start, and on the mean of all tasks.",
            ),
            Option(
                "Pre-training on the mean of all tasks",
                "With rate 0 the adapted dial is the start, so the meta-return is the mean return before the step.",
                right=True,
            ),
            Option(
                "First-order MAML",
                "First order takes the inner step and drops the second derivative; here there is no step at all.",
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
                "Its gradient and its optimiser belong to different tensors",
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
