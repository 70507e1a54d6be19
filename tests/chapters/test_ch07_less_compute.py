"""Chapter 07: answers to its exercises, the equalities behind its page, its experiments, figures and widget."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from answers import Answers, Wrong, answer_tests
from pages import of_page

import metarl_lab as ml
from metarl_lab.chapters.ch07_less_compute import experiments, figures
from metarl_lab.chapters.ch07_less_compute.widget import budget_explorer
from metarl_lab.inner_loop import inner_loop
from metarl_lab.ops.outer_step import meta_gradient as package_gradient
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import seeded_generator
from metarl_lab.teach.figures import look

# --- answers to the exercises -----------------------------------------------------------------------------------------

test_answers = answer_tests(
    "07",
    {
        "07.1": Answers(
            right=(
                """
                def first_order_gradient(theta, gradients, alpha):
                    return np.mean([g(theta + alpha * g(theta)) for g in gradients], axis=0)
                """,
                """
                def first_order_gradient(theta, gradients, alpha):
                    adapted = [torch.add(theta, g(theta), alpha=alpha) for g in gradients]
                    return torch.stack([g(own) for g, own in zip(gradients, adapted)]).mean(dim=0)
                """,
                """
                def first_order_gradient(theta, gradients, alpha):
                    total = [0.0] * len(theta)
                    for g in gradients:
                        step = g(theta)
                        own = np.array([float(t) + alpha * float(s) for t, s in zip(theta, step)])
                        total = [x + float(y) / len(gradients) for x, y in zip(total, g(own))]
                    return total
                """,
                """
                def first_order_gradient(theta, gradients, alpha):
                    found = np.vstack([g(theta + alpha * g(theta)) for g in gradients])
                    return np.einsum("tp->p", found) / found.shape[0]
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def first_order_gradient(theta, gradients, alpha):
                        return np.mean([g(theta) for g in gradients], axis=0)
                    """,
                    "before adaptation",
                ),
                Wrong(
                    """
                    def first_order_gradient(theta, gradients, alpha):
                        return np.mean([g(theta - alpha * g(theta)) for g in gradients], axis=0)
                    """,
                    "inner step descends",
                ),
                Wrong(
                    """
                    def first_order_gradient(theta, gradients, alpha):
                        return np.sum([g(theta + alpha * g(theta)) for g in gradients], axis=0)
                    """,
                    "sum over tasks",
                ),
                Wrong(
                    """
                    def first_order_gradient(theta, gradients, alpha):
                        found = []
                        for g in gradients:
                            slope = (g(theta + 1e-6) - g(theta - 1e-6)) / 2e-6  # the Hessian is diagonal here
                            found.append((1 + alpha * slope) * g(theta + alpha * g(theta)))
                        return np.mean(found, axis=0)
                    """,
                    "full meta-gradient",
                ),
                Wrong(
                    """
                    def first_order_gradient(theta, gradients, alpha):
                        found = []
                        for g in gradients:
                            once = theta + alpha * g(theta)
                            found.append(g(once + alpha * g(once)))
                        return np.mean(found, axis=0)
                    """,
                    "two inner steps",
                ),
                Wrong(
                    """
                    def first_order_gradient(theta, gradients, alpha):
                        shared = theta + alpha * np.mean([g(theta) for g in gradients], axis=0)
                        return np.mean([g(shared) for g in gradients], axis=0)
                    """,
                    "each task steps along its own",
                ),
                Wrong(
                    """
                    def first_order_gradient(theta, gradients, alpha):
                        g = gradients[0]
                        return g(theta + alpha * g(theta))
                    """,
                    "one task's gradient",
                ),
            ),
            looks_right=(
                # three tasks, no other number of them
                """
                def first_order_gradient(theta, gradients, alpha):
                    return sum(g(theta + alpha * g(theta)) for g in gradients) / 3
                """,
                # the step size of the first try
                """
                def first_order_gradient(theta, gradients, alpha):
                    return np.mean([g(theta + 0.3 * g(theta)) for g in gradients], axis=0)
                """,
                # the last task is forgotten
                """
                def first_order_gradient(theta, gradients, alpha):
                    return np.mean([g(theta + alpha * g(theta)) for g in gradients[:-1]], axis=0)
                """,
                # the median is the mean of two
                """
                def first_order_gradient(theta, gradients, alpha):
                    return np.median([g(theta + alpha * g(theta)) for g in gradients], axis=0)
                """,
            ),
        ),
        "07.2": Answers(
            right=(
                """
                def reptile_step(theta, gradients, alpha, steps, epsilon):
                    ends = []
                    for g in gradients:
                        own = theta.copy()
                        for _ in range(steps):
                            own += alpha * g(own)
                        ends.append(own)
                    return (1 - epsilon) * theta + epsilon * np.mean(ends, axis=0)
                """,
                """
                def reptile_step(theta, gradients, alpha, steps, epsilon):
                    own = torch.stack([theta] * len(gradients))
                    for _ in range(steps):
                        own = own + alpha * torch.stack([g(row) for g, row in zip(gradients, own)])
                    return torch.lerp(theta, own.mean(dim=0), epsilon)
                """,
                """
                def reptile_step(theta, gradients, alpha, steps, epsilon):
                    def walk(own, g, left):
                        return own if left == 0 else walk(own + alpha * g(own), g, left - 1)

                    moves = [walk(theta, g, steps) - theta for g in gradients]
                    return [float(t) + epsilon * float(sum(m[i] for m in moves)) / len(moves)
                            for i, t in enumerate(theta)]
                """,
                # Nichol et al.'s algorithm 1: the start moves after each task
                """
                def reptile_step(theta, gradients, alpha, steps, epsilon):
                    for g in gradients:
                        own = theta
                        for _ in range(steps):
                            own = own + alpha * g(own)
                        theta = theta + epsilon * (own - theta)
                    return theta
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def reptile_step(theta, gradients, alpha, steps, epsilon):
                        ends = []
                        for g in gradients:
                            own = theta
                            for _ in range(steps):
                                own = own + alpha * g(own)
                            ends.append(own)
                        return np.mean(ends, axis=0)
                    """,
                    "all the way",
                ),
                Wrong(
                    """
                    def reptile_step(theta, gradients, alpha, steps, epsilon):
                        end = np.mean([theta + alpha * g(theta) for g in gradients], axis=0)
                        return theta + epsilon * (end - theta)
                    """,
                    "joint training",
                ),
                Wrong(
                    """
                    def reptile_step(theta, gradients, alpha, steps, epsilon):
                        ends = []
                        for g in gradients:
                            own = theta
                            for _ in range(steps - 1):
                                own = own + alpha * g(own)
                            ends.append(own)
                        return theta + epsilon * (np.mean(ends, axis=0) - theta)
                    """,
                    "too few",
                ),
                Wrong(
                    """
                    def reptile_step(theta, gradients, alpha, steps, epsilon):
                        ends = []
                        for g in gradients:
                            own = theta
                            for _ in range(steps):
                                own = own + alpha * g(own)
                            ends.append(own)
                        return theta - epsilon * (np.mean(ends, axis=0) - theta)
                    """,
                    "walk away",
                ),
                Wrong(
                    """
                    def reptile_step(theta, gradients, alpha, steps, epsilon):
                        ends = []
                        for g in gradients:
                            own = theta
                            for _ in range(steps):
                                own = own + alpha * g(own)
                            ends.append(own)
                        return epsilon * (np.mean(ends, axis=0) - theta)
                    """,
                    "return the move",
                ),
                Wrong(
                    """
                    def reptile_step(theta, gradients, alpha, steps, epsilon):
                        own = theta
                        for g in gradients:
                            for _ in range(steps):
                                own = own + alpha * g(own)
                        return theta + epsilon * (own - theta)
                    """,
                    "carry one task's end",
                ),
                Wrong(
                    """
                    def reptile_step(theta, gradients, alpha, steps, epsilon):
                        new = theta
                        for g in gradients:
                            own = theta
                            for _ in range(steps):
                                own = own + alpha * g(own)
                            new = new + epsilon * (own - theta)
                        return new
                    """,
                    "sums the moves",
                ),
                Wrong(
                    """
                    def reptile_step(theta, gradients, alpha, steps, epsilon):
                        ends = []
                        for g in gradients:
                            own = theta
                            for _ in range(steps):
                                own = own - alpha * g(own)
                            ends.append(own)
                        return theta + epsilon * (np.mean(ends, axis=0) - theta)
                    """,
                    "descend",
                ),
            ),
            looks_right=(
                # three inner steps, whatever is asked
                """
                def reptile_step(theta, gradients, alpha, steps, epsilon):
                    ends = []
                    for g in gradients:
                        own = theta
                        for _ in range(3):
                            own = own + alpha * g(own)
                        ends.append(own)
                    return theta + epsilon * (np.mean(ends, axis=0) - theta)
                """,
                # halfway, whatever is asked
                """
                def reptile_step(theta, gradients, alpha, steps, epsilon):
                    ends = []
                    for g in gradients:
                        own = theta
                        for _ in range(steps):
                            own = own + alpha * g(own)
                        ends.append(own)
                    return (theta + np.mean(ends, axis=0)) / 2
                """,
                # every step along the gradient at the start
                """
                def reptile_step(theta, gradients, alpha, steps, epsilon):
                    ends = [theta + steps * alpha * g(theta) for g in gradients]
                    return theta + epsilon * (np.mean(ends, axis=0) - theta)
                """,
                # the first task only
                """
                def reptile_step(theta, gradients, alpha, steps, epsilon):
                    own = theta
                    for _ in range(steps):
                        own = own + alpha * gradients[0](own)
                    return theta + epsilon * (own - theta)
                """,
            ),
        ),
        "07.3": Answers(
            right=(
                """
                def own_numbers(sizes, context):
                    maml = sum((a + 1) * b for a, b in zip(sizes, sizes[1:]))
                    anil = (sizes[-2] + 1) * sizes[-1]
                    return np.array([maml, anil, context])
                """,
                """
                def own_numbers(sizes, context):
                    layers = [torch.nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:])]
                    counts = [sum(p.numel() for p in layer.parameters()) for layer in layers]
                    return torch.tensor([sum(counts), counts[-1], context])
                """,
                """
                def own_numbers(sizes, context):
                    sizes = np.array(sizes)
                    layers = sizes[:-1] * sizes[1:] + sizes[1:]
                    return [layers.sum(), layers[-1], context]
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def own_numbers(sizes, context):
                        weights = [a * b for a, b in zip(sizes[:-1], sizes[1:])]
                        return sum(weights), weights[-1], context
                    """,
                    "biases are missing",
                ),
                Wrong(
                    """
                    def own_numbers(sizes, context):
                        weights = [a * b for a, b in zip(sizes[:-1], sizes[1:])]
                        return sum(weights) + sum(sizes[1:]), weights[-1], context
                    """,
                    "head has a bias",
                ),
                Wrong(
                    """
                    def own_numbers(sizes, context):
                        weights = [a * b for a, b in zip(sizes[:-1], sizes[1:])]
                        return sum(weights) + sum(sizes), weights[-1] + sizes[-1], context
                    """,
                    "none at the observation",
                ),
                Wrong(
                    """
                    def own_numbers(sizes, context):
                        layers = [a * b + b for a, b in zip(sizes[:-1], sizes[1:])]
                        return sum(layers), layers[-1], context * sizes[1]
                    """,
                    "is shared",
                ),
                Wrong(
                    """
                    def own_numbers(sizes, context):
                        layers = [a * b + b for a, b in zip(sizes[:-1], sizes[1:])]
                        return sum(layers), sum(layers[:-1]), context
                    """,
                    "count the body",
                ),
                Wrong(
                    """
                    def own_numbers(sizes, context):
                        layers = [a * b + b for a, b in zip(sizes[:-1], sizes[1:])]
                        return sum(layers), layers[-1], sum(layers) + context
                    """,
                    "the context alone",
                ),
            ),
            looks_right=(
                # the first network of the check
                "own_numbers = lambda sizes, context: (803, 51, 4)",
                # two hidden layers, no other number of them
                """
                def own_numbers(sizes, context):
                    o, h, k, a = (*sizes, *sizes)[:4]
                    return o * h + h + h * k + k + k * a + a, k * a + a, context
                """,
                # a context of four numbers
                """
                def own_numbers(sizes, context):
                    layers = [a * b + b for a, b in zip(sizes[:-1], sizes[1:])]
                    return sum(layers), layers[-1], 4
                """,
            ),
        ),
        "07.4": Answers(
            right=(
                """
                def buys(cost, scores, budget):
                    return [np.mean([np.interp(budget, cost, run) for run in learner]) for learner in scores]
                """,
                """
                def buys(cost, scores, budget):
                    after = torch.searchsorted(cost, budget)
                    share = (budget - cost[after - 1]) / (cost[after] - cost[after - 1])
                    return torch.lerp(scores[:, :, after - 1], scores[:, :, after], share).mean(dim=1)
                """,
                """
                def buys(cost, scores, budget):
                    point = max(i for i in range(len(cost)) if cost[i] <= budget)
                    share = (budget - cost[point]) / (cost[point + 1] - cost[point])
                    found = []
                    for learner in scores:
                        of_seeds = [run[point] + share * (run[point + 1] - run[point]) for run in learner]
                        found.append(sum(of_seeds) / len(of_seeds))
                    return found
                """,
                """
                def buys(cost, scores, budget):
                    after = int(np.argmax(cost > budget))
                    right = (budget - cost[after - 1]) / (cost[after] - cost[after - 1])
                    between = scores.mean(1)[:, after - 1 : after + 1]
                    return np.einsum("lp,p->l", between, [1 - right, right])
                """,
            ),
            wrong=(
                Wrong("buys = lambda cost, scores, budget: scores.mean(1)[:, -1]", "end of its run"),
                Wrong(
                    "buys = lambda cost, scores, budget: scores.mean(1)[:, np.searchsorted(cost, budget)]",
                    "costs more",
                ),
                Wrong(
                    "buys = lambda cost, scores, budget: scores.mean(1)[:, np.searchsorted(cost, budget) - 1]",
                    "last point below",
                ),
                Wrong(
                    """
                    def buys(cost, scores, budget):
                        return [max(np.interp(budget, cost, run) for run in learner) for learner in scores]
                    """,
                    "best seed",
                ),
                Wrong(
                    """
                    def buys(cost, scores, budget):
                        return [np.interp(budget, cost, learner[0]) for learner in scores]
                    """,
                    "first seed",
                ),
                Wrong(
                    """
                    def buys(cost, scores, budget):
                        found = []
                        for curve in scores.mean(1):
                            now = np.interp(budget, cost, curve)
                            found.append(max(now, *curve[cost <= budget]))
                        return found
                    """,
                    "best that the learner was so far",
                ),
                Wrong(
                    """
                    def buys(cost, scores, budget):
                        after = np.searchsorted(cost, budget)
                        return scores[:, :, after - 1 : after + 1].mean((1, 2))
                    """,
                    "halfway",
                ),
            ),
            looks_right=(
                # the median is the mean of two seeds
                """
                def buys(cost, scores, budget):
                    return [np.interp(budget, cost, curve) for curve in np.median(scores, axis=1)]
                """,
                # the budget of the first try
                "buys = lambda cost, scores, budget: [np.interp(28.0, cost, curve) for curve in scores.mean(1)]",
                # the second and third point, whatever the budget
                """
                def buys(cost, scores, budget):
                    mean = scores.mean(1)
                    return mean[:, 1] + (budget - cost[1]) / (cost[2] - cost[1]) * (mean[:, 2] - mean[:, 1])
                """,
                # three learners
                "buys = lambda cost, scores, budget: [np.interp(budget, cost, scores[i].mean(0)) for i in (0, 1, -1)]",
            ),
        ),
        "07.5": Answers(
            right=(
                """
                def meta_train(theta, gradients, alpha, beta, iterations):
                    for _ in range(iterations):
                        theta = theta + beta * np.mean([g(theta + alpha * g(theta)) for g in gradients], axis=0)
                    return theta
                """,
                """
                def meta_train(theta, gradients, alpha, beta, iterations):
                    start = theta.clone()
                    for _ in range(iterations):
                        own = [start + alpha * g(start) for g in gradients]
                        start += beta * torch.stack([g(x) for g, x in zip(gradients, own)]).mean(dim=0)
                    return start
                """,
                """
                def meta_train(theta, gradients, alpha, beta, iterations):
                    if iterations == 0:
                        return list(map(float, theta))
                    theta = np.asarray(theta, dtype=float)
                    total = 0.0
                    for g in gradients:
                        total = total + np.asarray(g(theta + alpha * np.asarray(g(theta))))
                    return meta_train(theta + beta * total / len(gradients), gradients, alpha, beta, iterations - 1)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def meta_train(theta, gradients, alpha, beta, iterations):
                        own = [theta + alpha * g(theta) for g in gradients]
                        for _ in range(iterations):
                            theta = theta + beta * np.mean([g(x) for g, x in zip(gradients, own)], axis=0)
                        return theta
                    """,
                    "parameters of the beginning",
                ),
                Wrong(
                    """
                    def meta_train(theta, gradients, alpha, beta, iterations):
                        for _ in range(iterations):
                            theta = theta + beta * np.mean([g(theta) for g in gradients], axis=0)
                        return theta
                    """,
                    "joint training",
                ),
                Wrong(
                    """
                    def meta_train(theta, gradients, alpha, beta, iterations):
                        for _ in range(iterations):
                            theta = theta - beta * np.mean([g(theta + alpha * g(theta)) for g in gradients], axis=0)
                        return theta
                    """,
                    "outer step descends",
                ),
                Wrong(
                    """
                    def meta_train(theta, gradients, alpha, beta, iterations):
                        for _ in range(iterations):
                            theta = theta + alpha * np.mean([g(theta + alpha * g(theta)) for g in gradients], axis=0)
                        return theta
                    """,
                    "size alpha",
                ),
                Wrong(
                    """
                    def meta_train(theta, gradients, alpha, beta, iterations):
                        for _ in range(iterations):
                            theta = theta + beta * np.sum([g(theta + alpha * g(theta)) for g in gradients], axis=0)
                        return theta
                    """,
                    "sums over tasks",
                ),
                Wrong(
                    """
                    def meta_train(theta, gradients, alpha, beta, iterations):
                        for _ in range(iterations - 1):
                            theta = theta + beta * np.mean([g(theta + alpha * g(theta)) for g in gradients], axis=0)
                        return theta
                    """,
                    "One outer step too few",
                ),
                Wrong(
                    """
                    def meta_train(theta, gradients, alpha, beta, iterations):
                        return theta + beta * np.mean([g(theta + alpha * g(theta)) for g in gradients], axis=0)
                    """,
                    "One outer step only",
                ),
                Wrong(
                    """
                    def meta_train(theta, gradients, alpha, beta, iterations):
                        start = theta
                        for _ in range(iterations):
                            theta = theta + beta * np.mean([g(theta + alpha * g(theta)) for g in gradients], axis=0)
                        return theta - start
                    """,
                    "how far the start moved",
                ),
                Wrong(
                    """
                    def meta_train(theta, gradients, alpha, beta, iterations):
                        for _ in range(iterations):
                            theta = theta + beta * np.mean([g(theta + alpha * g(theta)) for g in gradients], axis=0)
                        return np.mean([theta + alpha * g(theta) for g in gradients], axis=0)
                    """,
                    "mean of the adapted parameters",
                ),
                Wrong(
                    """
                    def meta_train(theta, gradients, alpha, beta, iterations):
                        for _ in range(iterations):
                            found = []
                            for g in gradients:
                                slope = (g(theta + 1e-6) - g(theta - 1e-6)) / 2e-6  # the Hessian is diagonal here
                                found.append((1 + alpha * slope) * g(theta + alpha * g(theta)))
                            theta = theta + beta * np.mean(found, axis=0)
                        return theta
                    """,
                    "full MAML",
                ),
            ),
            looks_right=(
                # the outer step after each task, one task after the other
                """
                def meta_train(theta, gradients, alpha, beta, iterations):
                    for _ in range(iterations):
                        for g in gradients:
                            theta = theta + beta / len(gradients) * g(theta + alpha * g(theta))
                    return theta
                """,
                # four iterations, whatever is asked
                """
                def meta_train(theta, gradients, alpha, beta, iterations):
                    for _ in range(4):
                        theta = theta + beta * np.mean([g(theta + alpha * g(theta)) for g in gradients], axis=0)
                    return theta
                """,
                # Reptile
                """
                def meta_train(theta, gradients, alpha, beta, iterations):
                    for _ in range(iterations):
                        end = np.mean([theta + alpha * g(theta) for g in gradients], axis=0)
                        theta = theta + beta * (end - theta)
                    return theta
                """,
                # the last task is forgotten
                """
                def meta_train(theta, gradients, alpha, beta, iterations):
                    for _ in range(iterations):
                        theta = theta + beta * np.mean([g(theta + alpha * g(theta)) for g in gradients[:-1]], axis=0)
                    return theta
                """,
            ),
        ),
    },
)


# --- the page's own code ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page():
    """The page's rules."""
    return of_page(
        "07",
        "ALPHA", "CONTEXT", "surrogate", "slope", "maml", "first_order", "meta_gradient", "reptile", "anil", "cavia",
        "meta_sgd", "a", "uphill", "step", "PUSH", "rest",
    )  # fmt: skip


NAVIGATION = ml.make_family("point_navigation", horizon=20)
THREE = NAVIGATION.sample_tasks(3, "train", seeded_generator("cpu", 0, 0))


def both_gradients(page, rule, name, **options):
    """The page's meta-gradient with this rule, and that of the package's learner, on the same batches; (P,) each."""
    learner = ml.make_learner(name, NAVIGATION, hidden=(8, 8), episodes=4, inner_step=page.ALPHA, **options)
    _, (before, after) = inner_loop(learner, NAVIGATION, THREE, 1, seeded_generator("cpu", 0, 1))
    theirs, _ = package_gradient(learner.how, learner.meta_parameters(), [[before, after]])
    ours = page.meta_gradient(rule, learner, before, after)
    return torch.cat([g.flatten() for g in ours.values()]), theirs


@pytest.mark.parametrize(
    ("rule", "name", "options"),
    [
        ("maml", "maml", {}),
        ("first_order", "maml", {"first_order": True}),
        ("anil", "anil", {}),
        ("cavia", "cavia", {}),
        ("meta_sgd", "meta_sgd", {}),
    ],
)
def test_the_pages_rule_gives_the_packages_meta_gradient(page, rule, name, options):
    ours, theirs = both_gradients(page, getattr(page, rule), name, **options)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    assert ours.norm() > 0.01


def test_first_order_is_not_maml(page):
    first, full = both_gradients(page, page.first_order, "maml")
    assert (first - full).norm() > 0.01 * full.norm()


def test_the_pages_reptile_is_the_packages(page):
    learner = ml.make_learner("reptile", NAVIGATION, hidden=(8, 8), episodes=4)
    before = {name: p.clone() for name, p in learner.meta_parameters().items()}
    ours = page.reptile(learner, NAVIGATION, THREE, seeded_generator("cpu", 0, 1))
    for name, p in learner.meta_parameters().items():
        torch.testing.assert_close(p, before[name], msg="the learner itself is left as it was")
    learner.update(NAVIGATION, THREE, seeded_generator("cpu", 0, 1))
    for name, p in learner.meta_parameters().items():
        torch.testing.assert_close(ours[name], p.detach(), atol=1e-6, rtol=1e-5)
    assert any((ours[name] - before[name]).abs().max() > 1e-4 for name in ours)


def test_mamls_push_on_the_two_tasks_is_the_slope_of_the_return_after_a_step(page):
    optimum = np.array([0.0, 1.0])
    for alpha in (0.1, 0.45):

        def after(theta, alpha=alpha):
            return -(page.a / 2 * (page.step(theta, alpha) - optimum) ** 2)

        slope = (after(0.7 + 1e-6) - after(0.7 - 1e-6)) / 2e-6
        np.testing.assert_allclose(page.PUSH["MAML"](0.7, alpha), slope, atol=1e-8)
        first = page.PUSH["first-order MAML"](0.7, alpha)
        np.testing.assert_allclose(first * (1 - alpha * page.a), page.PUSH["MAML"](0.7, alpha))
        twice = page.step(page.step(0.7, alpha), alpha)
        np.testing.assert_allclose(page.PUSH["Reptile"](0.7, alpha), twice - 0.7)
    assert page.rest(page.PUSH["fine-tuning"], 0.3) == pytest.approx(0.75)
    assert np.isnan(page.rest(page.PUSH["first-order MAML"], 0.5))


# --- experiments ------------------------------------------------------------------------------------------------------


def small_table():
    """Two learners of the list, two seeds, three stops; the cost of a GFLOP is a stop."""
    rows = []
    for label, gain in (("MAML", 1.0), ("Reptile", 0.5)):
        for seed in (0, 1):
            for stop in (0, 1, 2):
                rows.append(
                    {
                        "label": label,
                        "family": "walks",
                        "seed": seed,
                        "iteration": 10 * stop,
                        "mean": -4 + gain * stop + seed,
                        "env steps": 100 * stop + 10 * seed,
                        "GFLOPs": float(stop),
                    }
                )
    return pd.DataFrame(rows).sample(frac=1, random_state=0)  # in any order


def test_a_curve_is_the_mean_over_seeds_without_the_free_first_stop():
    x, (mean, low, high) = experiments.cost_curve(small_table(), "walks", "MAML", "env steps")
    np.testing.assert_allclose(x, [105, 205])
    np.testing.assert_allclose(mean, [-2.5, -1.5])
    np.testing.assert_allclose(high - mean, mean - low)
    assert (high > mean).all()


def test_a_budget_buys_what_lies_on_the_line_of_each_seed(monkeypatch):
    monkeypatch.setattr(experiments, "LEARNERS", {"MAML": (), "Reptile": ()})
    found = experiments.at_budget(small_table(), "walks", "GFLOPs", 1.5)
    np.testing.assert_allclose(found["MAML"], [-2.5, -1.5])
    np.testing.assert_allclose(found["Reptile"], [-3.25, -2.25])


def test_a_price_is_where_the_mean_first_reaches_the_target():
    table = small_table()
    assert experiments.price(table, "walks", "MAML", "GFLOPs", -2.0) == pytest.approx(1.5)
    assert experiments.price(table, "walks", "MAML", "GFLOPs", -9.0) == pytest.approx(1.0)
    assert np.isnan(experiments.price(table, "walks", "Reptile", "GFLOPs", -1.0))


def test_curves_whole_runs_and_prices_are_those_of_each_learner(monkeypatch):
    monkeypatch.setattr(experiments, "LEARNERS", {"MAML": (), "Reptile": ()})
    monkeypatch.setattr(experiments, "COSTS", {"env_steps": "env steps", "flops": "GFLOPs"})
    table = small_table()
    curves = experiments.cost_curves(table, "walks")
    assert list(curves) == ["env steps", "GFLOPs"] and list(curves["GFLOPs"]) == ["MAML", "Reptile"]
    np.testing.assert_allclose(curves["GFLOPs"]["Reptile"][1][0], [-3.0, -2.5])
    assert experiments.whole_run(table, "walks", "MAML") == {"env steps": 205.0, "GFLOPs": 2.0}
    found = experiments.prices(table, {"walks": -2.0})
    assert found.loc["MAML", ("walks: -2.0", "GFLOPs")] == pytest.approx(1.5)
    assert found.loc["MAML", ("walks: -2.0", "env steps")] == pytest.approx(155)
    assert np.isnan(found.loc["Reptile"]).all() and found.shape == (2, 2)
    written = [experiments.price_in_words(price) for price in (np.nan, 0.502, 35.21, 424450.4)]
    assert written == ["never", "0.502", "35.2", "424,450"]


def test_a_tasks_own_numbers_are_what_an_inner_step_moves():
    family = experiments.families()["point_navigation"]
    every = (2 * 64 + 64) + (64 * 64 + 64) + (64 * 2 + 2) + 2  # three layers and log_std
    own = {label: experiments.own_numbers(label, family) for label in experiments.LEARNERS}
    assert own == dict.fromkeys(experiments.LEARNERS, every) | {"ANIL": 64 * 2 + 2, "CAVIA": 5}
    flops = {"a": {"MAML": 4e9, "ANIL": 3e9}, "b": {"MAML": 2e9, "ANIL": 1e9}}
    bill = experiments.bill(flops, pd.Series({"MAML": 1.0, "ANIL": 0.75}))
    assert bill.loc["ANIL"].tolist() == [3.0, 1.0, 75, 130] and bill.loc["MAML"].tolist() == [4.0, 2.0, 100, every]


def test_anchors_are_those_of_the_test_tasks():
    family = ml.make_family("tabular_mdp", states=3, actions=2, horizon=4)
    found = experiments.anchors(family)
    tasks = family.sample_tasks(40, "test", seeded_generator("cpu", 1, 0))
    assert found["oracle"] == pytest.approx(family.oracle(tasks).mean().item())
    assert set(found) == {"random", "oracle"} and found["random"] < found["oracle"]


def test_ends_are_read_per_run_in_the_order_of_training():
    table = small_table()
    table.loc[(table["label"] == "MAML") & (table["iteration"] == 20), "mean"] = -9.0  # it falls at the end
    found = experiments.ends(table).set_index(["learner", "seed"])
    assert found.loc[("MAML", 0), ["untrained", "best", "end"]].tolist() == [-4.0, -3.0, -9.0]
    assert found.loc[("Reptile", 1), ["untrained", "best", "end"]].tolist() == [-3.0, -2.0, -2.0]


def test_a_run_is_scored_at_its_stops_and_counts_what_it_cost(monkeypatch):
    monkeypatch.setattr(experiments, "measure", lambda learner, family: (0.5, np.array([-1.0, -0.5])))
    family = ml.make_family("tabular_mdp", states=3, actions=2, horizon=4)
    rows = experiments.budget_run("Reptile", family, flops=7.0, seed=0, iterations=2, stops=(0, 0.5, 1.0))
    assert [(row["iteration"], row["batch"], row["mean"]) for row in rows] == [
        (i, batch, mean) for i in range(3) for batch, mean in enumerate((-1.0, -0.5))
    ]
    assert [row["flops"] for row in rows[::2]] == [0.0, 7.0, 14.0]
    steps = [row["env_steps"] for row in rows[::2]]
    assert steps[0] == 0 and steps[2] == 2 * steps[1] == 2 * 2 * 20 * 20 * 4  # batches, tasks, episodes, steps


def test_the_stored_table_is_read_by_the_names_of_the_book():
    table = experiments.budget_table(None)
    assert set(table["label"]) == set(experiments.LEARNERS) and set(table["batch"]) == {1}
    assert set(experiments.COSTS.values()) < set(table.columns)
    assert 10 < table["GFLOPs"].max() < 1000


def test_a_table_cut_short_is_never_stored(monkeypatch, tmp_path):
    monkeypatch.setattr(experiments, "find_folder", lambda name: tmp_path)
    monkeypatch.setenv("METARL_STORE", "07_budget")
    raw = pd.read_csv(Path(__file__).parents[2] / "data" / "results" / "07_budget.csv").head(20)
    monkeypatch.setenv("METARL_MOST_ITERATIONS", "2")
    with pytest.raises(ValueError, match="METARL_MOST_ITERATIONS"):
        experiments.budget_table(lambda: raw)
    assert not list(tmp_path.iterdir())
    monkeypatch.delenv("METARL_MOST_ITERATIONS")
    experiments.budget_table(lambda: raw)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "07_budget.csv"), raw)


def test_everybody_has_the_names_of_the_book_and_pairs_go_by_seed():
    everyone = experiments.everybody()
    names = set(everyone["learner"])
    assert {"MAML", "first-order MAML", "MAML, DiCE", "MAML, outer PPO", "E-MAML", "Meta-SGD", "oracle"} <= names
    assert not names & {"maml", "emaml", "meta_sgd", "finetune", "maml, dice"}
    pairs = experiments.side_by_side(everyone)
    assert len(pairs) == 4 * 5 and not pairs.drop(columns=["random play", "oracle"], errors="ignore").isna().any().any()
    one = everyone[(everyone["family"] == "cartpole") & (everyone["learner"] == "MAML") & (everyone["seed"] == 3)]
    row = pairs[pairs["family"] == "cartpole"].loc[3]
    assert row["MAML"] == one["return"].item()
    table = experiments.by_family(everyone)
    assert table.loc["oracle", "cartpole"] == "200.0" and table.loc["MAML", "cartpole"].startswith("175.8 [165")


# --- figures and widget -----------------------------------------------------------------------------------------------


def test_resting_places_say_where_a_method_runs_away():
    sizes = np.array([0.1, 0.3, 0.5])
    places = {"MAML": sizes, "first-order MAML": np.array([0.7, 0.3, np.nan])}
    ax = figures.resting_places(sizes, places, {"optimum": 1.0})
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["MAML"].get_ydata(), sizes)
    assert lines["MAML"].get_color() == look("MAML")["color"]
    assert np.isnan(lines["first-order MAML"].get_ydata()[-1])
    said = {text.get_text(): text for text in ax.texts}
    assert set(said) == {"runs away", "optimum"} and said["runs away"].xy == (0.3, 0.3)


def band(*mean):
    mean = np.array(mean)
    return mean, mean - 1, mean + 1


def costs(*kinds):
    """{cost: {learner: curve}} of three learners; each kind of cost is ten times the one before."""
    return {
        cost: {
            "MAML": (10.0**k * np.array([1.0, 10.0]), band(-7.0, -4.0)),
            "Reptile": (10.0**k * np.array([0.5, 40.0]), band(-8.0, -3.0)),
            "CAVIA": (10.0**k * np.array([2.0, 5.0]), band(-9.0, -5.0)),
        }
        for k, cost in enumerate(kinds)
    }


def test_cost_curves_have_a_column_a_cost_and_a_row_a_group():
    groups = {"first": ["MAML", "Reptile"], "second": ["MAML", "CAVIA"]}
    figure = figures.cost_curves(costs("env steps", "GFLOPs"), {"oracle": -1.0, "random": -10.0}, "return", groups)
    grid = np.reshape(figure.axes, (2, 2))
    for row, members in enumerate(groups.values()):
        for column, curves in enumerate(costs("env steps", "GFLOPs").values()):
            drawn = {line.get_label(): line for line in grid[row, column].lines}
            for name in members:
                x, (mean, low, high) = curves[name]
                np.testing.assert_allclose(drawn[name].get_xydata(), np.stack([x, mean], 1))
                assert drawn[name].get_color() == look(name)["color"]
                ends = [line for line in grid[row, column].lines if line.get_xdata()[0] == x[-1] == line.get_xdata()[1]]
                assert any(np.allclose(line.get_ydata(), [low[-1], high[-1]]) for line in ends), "interval at the end"
            assert set(drawn) & {"MAML", "Reptile", "CAVIA"} == set(members)
            assert grid[row, column].get_xscale() == "log"
    assert [ax.get_xlabel() for ax in grid[1]] == ["env steps", "GFLOPs"]
    assert grid[0, 0].get_title(loc="left") == "first" and grid[0, 0].get_ylabel() == "return"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["MAML", "Reptile", "CAVIA"]


def test_no_curve_is_cut_off_and_all_panels_share_their_scales():
    groups = {"first": ["MAML", "CAVIA"], "second": ["MAML", "Reptile"]}
    figure = figures.cost_curves(costs("env steps", "GFLOPs"), {"oracle": -1.0}, "return", groups)
    grid = np.reshape(figure.axes, (2, 2))
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    for column, (low, high) in enumerate(((0.5, 40.0), (5.0, 400.0))):
        assert grid[0, column].get_xlim() == grid[1, column].get_xlim()
        left, right = grid[0, column].get_xlim()
        assert left < low and right > high


@pytest.mark.parametrize("kinds", [("a",), ("a", "b", "c")])
def test_cost_curves_take_any_number_of_costs(kinds):
    figure = figures.cost_curves(costs(*kinds), {"random": 0.0}, "return", {"all": ["MAML", "Reptile", "CAVIA"]})
    assert len(figure.axes) == len(kinds)
    named = [ax for ax in figure.axes if "random play" in [t.get_text() for t in ax.texts]]
    assert named == [figure.axes[-1]], "anchors are named once a row, in the margin"


def test_ranking_puts_the_best_on_top_and_keeps_colours():
    scores = {"maml": (-5.0, -6.0, -4.0), "Reptile": (-3.0, -3.5, -2.5), "another": (-4.0, -4.2, -3.8)}
    ax = figures.ranking(scores, {"oracle": -1.0}, "title", "return")
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["3. MAML", "2. another", "1. Reptile"]
    points = {float(line.get_xdata()[0]): line for line in ax.lines if line.get_marker() not in ("None", None)}
    assert [points[m].get_ydata()[0] for m in (-5.0, -4.0, -3.0)] == [0, 1, 2]
    other = figures.ranking({"MAML": (-1.0, -2.0, 0.0), "Reptile": scores["Reptile"]}, {}, "", "")
    again = [line.get_color() for line in other.lines if float(line.get_xdata()[0]) == -1.0]
    assert again == [points[-5.0].get_color()]


def test_large_costs_are_written_short():
    assert [figures.short(v) for v in (0.3, 30, 3e5, 1e6)] == ["0.3", "30", "300k", "1M"]


MOST = {"navigation": {"env steps": 1000.0, "GFLOPs": 10.0}, "mdp": {"env steps": 500.0, "GFLOPs": 5.0}}
ANCHORS = {"navigation": {"random": -9.0, "oracle": -1.0}, "mdp": {"random": 9.0, "oracle": 18.0}}
asked = []


def at_budget(family, cost, amount):
    asked.append((family, cost, amount))
    return {"MAML": np.array([-4.0, -3.0, -5.0]) + amount / 1000, "Reptile": np.array([-4.2, -3.3, -5.0])}


def test_every_control_changes_the_picture_and_its_alt_text():
    explorer = budget_explorer(at_budget, MOST, ANCHORS, mean_interval, name="test budget")
    for name, value in {"percent": 75, "cost": "GFLOPs", "family": "mdp"}.items():
        picture, alt = explorer.picture, explorer.alt_text
        explorer.controls[name].value = value
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""
    assert asked[-1] == ("mdp", "GFLOPs", 3.75)


def test_the_picture_that_is_stored_is_that_of_the_whole_budget():
    explorer = budget_explorer(at_budget, MOST, ANCHORS, mean_interval, name="test budget end")
    assert explorer._end == {"percent": 100} and explorer.values["percent"] == 25


def test_the_alt_text_holds_no_trained_number():
    explorer = budget_explorer(at_budget, MOST, ANCHORS, mean_interval, name="test budget alt")
    assert "-4" not in explorer.alt_text and "25 percent of the env steps" in explorer.alt_text
