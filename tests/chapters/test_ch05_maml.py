"""Chapter 05: answers to its exercises, two tasks by hand, the loop against the package, figures and widgets."""

import numpy as np
import pandas as pd
import pytest
import torch
from answers import Answers, Wrong, answer_tests
from torch.func import grad, vmap

import metarl_lab as ml
from metarl_lab.chapters.ch05_maml import exercises, experiments, figures, two_tasks
from metarl_lab.chapters.ch05_maml.widget import Start, step_explorer, two_task_explorer
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.runs.files import find_folder
from metarl_lab.teach import exercises as grading
from metarl_lab.teach.stored import read

ADAPT = """
def adapt(theta, gradient, alpha, steps):
    start = here = theta
    for _ in range({count}):
        {line}
    return {result}
"""
META = """
def meta_gradient(theta, alpha, k, c):
    adapted = theta + alpha * (-k * (theta - c))
    slope = -k * ({where} - c)
    return ({factor} * slope).{reduce}()
"""
INNER = """
def inner_step(theta, objective, batch, alpha):
    gradient = torch.func.grad(objective)(theta, batch)
    return {result}
"""
AFTER = """
def after_adapting(theta, before, after, objective, alpha):
    gradient = torch.func.grad(objective)(theta, {adapts_on})
    adapted = {{name: p + alpha * {gradient} for name, p in theta.items()}}
    return {result}
"""
MAML = """
def maml(theta, tasks, act, objective, alpha, beta, iterations):
    def step(theta, batch):
        gradient = torch.func.grad(objective)(theta, batch)
        return {{name: p {inner} alpha * gradient[name]{cut} for name, p in theta.items()}}

    for _ in range({count}):
        before = [act(theta, task) for task in tasks]
        after = [act({acts_with}, task) for task, batch in zip(tasks, before)]

        def meta(theta):
            values = [objective({judges}, {judged_on}) for b, a in zip(before, after)]
            return sum(values){mean}

        gradient = torch.func.grad(meta)(theta)
        theta = {{name: p {outer} beta * gradient[name] for name, p in theta.items()}}
    return {result}
"""
MAML_PARTS = {
    "inner": "+", "cut": "", "count": "iterations", "acts_with": "step(theta, batch)", "judges": "step(theta, b)",
    "judged_on": "a", "mean": " / len(tasks)", "outer": "+", "result": "theta",
}  # fmt: skip


def adapt(line="theta = theta + alpha * gradient(theta)", count="steps", result="theta"):
    return ADAPT.format(line=line, count=count, result=result)


def meta(where="adapted", factor="(1 - alpha * k)", reduce="mean"):
    return META.format(where=where, factor=factor, reduce=reduce)


def inner(result):
    return INNER.format(result=result)


def after(adapts_on="before", gradient="gradient[name]", result="objective(adapted, after)"):
    return AFTER.format(adapts_on=adapts_on, gradient=gradient, result=result)


def maml(**parts):
    return MAML.format(**(MAML_PARTS | parts))


def without_the_outer_step(way):
    """05.6 by one who learns from the tasks' copies instead of climbing, or climbs after each task."""
    step, end = {
        "reptile": (
            "pass",
            "theta = {n: p + beta * (sum(o[n] for o in own) / len(own) - p) for n, p in theta.items()}",
        ),
        "carried on": ("theta = mine", "pass"),
        "one by one": (
            "theta = {n: p + beta * g(lambda t: objective(step(t, before), after))(theta)[n]"
            " for n, p in theta.items()}",
            "pass",
        ),
    }[way]
    return f"""
def maml(theta, tasks, act, objective, alpha, beta, iterations):
    g = torch.func.grad
    def step(theta, batch):
        slope = g(objective)(theta, batch)
        return {{n: p + alpha * slope[n] for n, p in theta.items()}}
    for _ in range(iterations):
        own = []
        for task in tasks:
            before = act(theta, task)
            mine = step(theta, before)
            after = act(mine, task)
            own.append(mine)
            {step}
        {end}
    return theta
"""


test_answers = answer_tests(
    "05",
    {
        "05.1": Answers(
            right=(
                adapt("theta = np.asarray(theta) + alpha * np.asarray(gradient(theta))"),
                "def adapt(theta, gradient, alpha, steps):\n    theta = torch.as_tensor(theta).clone()\n"
                "    while steps:\n        theta, steps = theta.add(gradient(theta), alpha=alpha), steps - 1\n"
                "    return theta",
                "def adapt(theta, gradient, alpha, steps):\n    if steps == 0:\n        return theta\n"
                "    moved = [x + alpha * g for x, g in zip(theta, gradient(theta))]\n"
                "    return adapt(np.array(moved), gradient, alpha, steps - 1)",
            ),
            wrong=(
                Wrong(adapt("theta = theta - alpha * gradient(theta)"), "descent"),
                Wrong(adapt("theta = theta + alpha * gradient(start)"), "at the start"),
                Wrong(adapt("theta = start + alpha * gradient(start)"), "One step only"),
                Wrong(adapt(count="steps - 1"), "One step is missing"),
                Wrong(adapt(count="steps + 1"), "too many"),
                Wrong(adapt("theta = theta + gradient(theta)"), "rate is missing"),
                Wrong(adapt(result="theta - start"), "way travelled"),
            ),
            looks_right=(
                adapt(count="3"),
                adapt("theta = theta + 0.3 * gradient(theta)"),
                adapt(result="theta[:2]"),
            ),
        ),
        "05.2": Answers(
            right=(
                "def meta_gradient(theta, alpha, k, c):\n    there = theta - alpha * k * (theta - c)\n"
                "    return np.mean(-k * (there - c) * (1 - alpha * k))",
                "def meta_gradient(theta, alpha, k, c):\n    k, c = torch.as_tensor(k), torch.as_tensor(c)\n"
                "    x = torch.tensor(theta, dtype=k.dtype, requires_grad=True)\n"
                "    there = x - alpha * k * (x - c)\n"
                "    (-k / 2 * (there - c) ** 2).mean().backward()\n    return x.grad",
                "def meta_gradient(theta, alpha, k, c):\n    total = 0\n    for ki, ci in zip(k, c):\n"
                "        total += -ki * (1 - alpha * ki) ** 2 * (theta - ci)\n    return total / len(k)",
                "def meta_gradient(theta, alpha, k, c):\n"
                "    slopes = [-ki * (1 - alpha * ki) ** 2 * (theta - ci) for ki, ci in zip(k, c)]\n"
                "    return torch.stack(slopes).mean(dim=0)",
            ),
            wrong=(
                Wrong(meta(factor="1"), "first order"),
                Wrong(meta(where="theta"), "slope at the start"),
                Wrong(meta(where="theta", factor="1"), "before the step"),
                Wrong(meta(factor="(1 + alpha * k)"), "sign of the second derivative"),
                Wrong(meta(reduce="sum"), "sum over tasks"),
                Wrong(meta(factor="-(1 - alpha * k)"), "gradient of a loss"),
            ),
            looks_right=(
                "meta_gradient = lambda theta, alpha, k, c: -0.09375",
                meta(factor="(1 - 0.25 * k)"),
                "def meta_gradient(theta, alpha, k, c):\n    k, c = k[:2], c[:2]\n"
                "    return (-k * (1 - alpha * k) ** 2 * (theta - c)).mean()",
                "def meta_gradient(theta, alpha, k, c):\n"
                "    return (-k * (1 - alpha * k) ** 2 * (theta - c)).sum() / 2",
            ),
        ),
        "05.3": Answers(
            right=(
                "surrogate = lambda log_prob, advantage, live: torch.dot(log_prob, advantage) / live",
                "surrogate = lambda log_prob, advantage, live: torch.einsum('m,m->', log_prob, advantage) / live",
                "def surrogate(log_prob, advantage, live):\n    total = 0.0\n"
                "    for log_p, a in zip(log_prob, advantage):\n"
                "        total = total + log_p * a / live\n    return total",
                "surrogate = lambda log_prob, advantage, live: "
                "(log_prob * advantage).mean(dim=0) * (log_prob.numel() / live)",
            ),
            wrong=(
                Wrong("surrogate = lambda log_prob, advantage, live: -(log_prob * advantage).sum() / live", "sign"),
                Wrong("surrogate = lambda log_prob, advantage, live: (log_prob * advantage).sum()", "sum over steps"),
                Wrong("surrogate = lambda log_prob, advantage, live: (log_prob * advantage).mean()", "all steps"),
                Wrong("surrogate = lambda log_prob, advantage, live: log_prob.sum() / live", "advantages are missing"),
                Wrong(
                    "surrogate = lambda log_prob, advantage, live: (log_prob * advantage)[advantage != 0].mean()",
                    "whose advantage is not 0",
                ),
                Wrong(
                    "surrogate = lambda log_prob, advantage, live: log_prob * advantage / live", "one number is needed"
                ),
                Wrong(
                    "surrogate = lambda log_prob, advantage, live: (log_prob.detach() * advantage).sum() / live",
                    "No gradient passes",
                ),
                Wrong(
                    "surrogate = lambda log_prob, advantage, live: float((log_prob * advantage).sum() / live)",
                    "must stay a tensor",
                ),
                Wrong(
                    "surrogate = lambda log_prob, advantage, live: (log_prob.exp() * advantage).sum() / live",
                    "not the policy gradient",
                ),
            ),
            looks_right=(
                "surrogate = lambda log_prob, advantage, live: (log_prob * advantage)[:3].sum() / live",
                "surrogate = lambda log_prob, advantage, live: (log_prob * advantage).sum() / (advantage != 0).sum()",
                "surrogate = lambda log_prob, advantage, live: (log_prob * advantage).sum() / live + 1.0",
            ),
        ),
        "05.4": Answers(
            right=(
                inner("{name: theta[name] + alpha * gradient[name] for name in theta}"),
                inner("{k: torch.add(p, g, alpha=alpha) for (k, p), g in zip(theta.items(), gradient.values())}"),
                "def inner_step(theta, objective, batch, alpha):\n    names = list(theta)\n"
                "    own = {n: p if p.requires_grad else p.clone().requires_grad_() for n, p in theta.items()}\n"
                "    g = torch.autograd.grad(objective(own, batch), [own[n] for n in names], create_graph=True)\n"
                "    return {n: own[n] + alpha * x for n, x in zip(names, g)}",
                "def inner_step(theta, objective, batch, alpha):\n"
                "    gradient, value = torch.func.grad_and_value(objective)(theta, batch)\n    moved = {}\n"
                "    for name in theta:\n        moved[name] = theta[name] + alpha * gradient[name]\n    return moved",
            ),
            wrong=(
                Wrong(inner("{name: p - alpha * gradient[name] for name, p in theta.items()}"), "descent"),
                Wrong(inner("{name: p + gradient[name] for name, p in theta.items()}"), "rate is missing"),
                Wrong(inner("{name: alpha * gradient[name] for name in theta}"), "not the parameters after it"),
                Wrong(inner("theta"), "Nothing has moved"),
                Wrong(inner("{n: p + alpha * gradient[n].detach() for n, p in theta.items()}"), "was detached"),
                Wrong(inner("[p + alpha * gradient[n] for n, p in theta.items()]"), "must return a dict"),
                Wrong(inner("{n: p.detach() + alpha * gradient[n] for n, p in theta.items()}"), "theta was detached"),
                Wrong(
                    "def inner_step(theta, objective, batch, alpha):\n    objective(theta, batch).backward()\n"
                    "    return {n: p + alpha * p.grad for n, p in theta.items()}",
                    "Take the gradient as a value",
                ),
            ),
            looks_right=(
                inner("{'x': theta['x'] + alpha * gradient['x'], 'y': theta['y']}"),
                inner("{name: p + 0.25 * gradient[name] for name, p in theta.items()}"),
                inner("{n: (p + alpha * gradient[n]).detach() for n, p in theta.items()}"),
            ),
        ),
        "05.5": Answers(
            right=(
                after(),
                "def after_adapting(theta, before, after, objective, alpha):\n"
                "    def adapted(name):\n"
                "        return theta[name] + alpha * torch.func.grad(objective)(theta, before)[name]\n"
                "    return objective({name: adapted(name) for name in theta}, after)",
                "def after_adapting(theta, before, after, objective, alpha):\n    values = list(theta.values())\n"
                "    g = torch.autograd.grad(objective(theta, before), values, create_graph=True)\n"
                "    return objective({n: p + alpha * x for (n, p), x in zip(theta.items(), g)}, after)",
            ),
            wrong=(
                Wrong(after(gradient="gradient[name].detach()"), "first order"),
                Wrong(after(result="objective(adapted, before)"), "batch from before the step"),
                Wrong(after(result="objective(theta, after)"), "pre-training"),
                Wrong(after(result="objective(theta, before)"), "without the step"),
                Wrong(after(adapts_on="after", result="objective(adapted, before)"), "exchanged"),
                Wrong(after(result="-objective(adapted, after)"), "sign is wrong"),
            ),
            looks_right=(
                after(gradient="gradient[name] * 0.25 / alpha"),
                after(result="objective(adapted, after).detach()"),
                after(adapts_on="after"),
            ),
        ),
        "05.6": Answers(
            right=(
                maml(),
                "def maml(theta, tasks, act, objective, alpha, beta, iterations):\n"
                "    g = torch.func.grad\n"
                "    for _ in range(iterations):\n"
                "        total = {n: torch.zeros_like(p) for n, p in theta.items()}\n"
                "        for task in tasks:\n"
                "            before = act(theta, task)\n"
                "            def step(theta):\n"
                "                slope = g(objective)(theta, before)\n"
                "                return {n: p + alpha * slope[n] for n, p in theta.items()}\n"
                "            after = act(step(theta), task)\n"
                "            one = g(lambda theta: objective(step(theta), after))(theta)\n"
                "            total = {n: total[n] + one[n] for n in theta}\n"
                "        theta = {n: p + beta * total[n] / len(tasks) for n, p in theta.items()}\n"
                "    return theta",
                "def maml(theta, tasks, act, objective, alpha, beta, iterations):\n"
                "    theta = {n: p.clone().requires_grad_() for n, p in theta.items()}\n"
                "    optimizer = torch.optim.SGD(theta.values(), lr=beta)\n"
                "    for _ in range(iterations):\n"
                "        loss = 0\n"
                "        for task in tasks:\n"
                "            slope = torch.autograd.grad(objective(theta, act(theta, task)), list(theta.values()),\n"
                "                                        create_graph=True)\n"
                "            own = {n: p + alpha * s for (n, p), s in zip(theta.items(), slope)}\n"
                "            loss = loss - objective(own, act(own, task)) / len(tasks)\n"
                "        optimizer.zero_grad()\n        loss.backward()\n        optimizer.step()\n"
                "    return theta",
            ),
            wrong=(
                Wrong(maml(cut=".detach()"), "first-order"),
                Wrong(maml(acts_with="theta"), "before the step"),
                Wrong(maml(judged_on="b"), "before the step"),
                Wrong(maml(outer="-"), "outer step descends"),
                Wrong(maml(inner="-"), "inner step descends"),
                Wrong(maml(judges="theta", judged_on="b"), "pre-training"),
                Wrong(maml(mean=""), "add over tasks"),
                Wrong(maml(count="1"), "One iteration only"),
                Wrong(maml(count="iterations - 1"), "One iteration is missing"),
                Wrong(maml(count="0"), "Nothing has moved"),
                Wrong(without_the_outer_step("reptile"), "Reptile"),
                Wrong(without_the_outer_step("carried on"), "copy on to the next task"),
                Wrong(without_the_outer_step("one by one"), "after each task"),
                Wrong(maml(result="theta['x']"), "a dict with the names"),
                Wrong(maml(result="step(theta, act(theta, tasks[0]))"), "thrown away"),
            ),
            looks_right=(
                maml(count="4"),
                maml(mean=" / 2"),
                "maml = lambda theta, tasks, act, objective, alpha, beta, iterations: "
                "{n: p + beta * torch.func.grad(objective)(theta, act(theta, tasks[0]))[n] for n, p in theta.items()}",
            ),
        ),
        "05.7": Answers(
            right=(
                "per_task = lambda x, weight, bias: np.einsum('tni,tio->tno', x, weight) + bias[:, None, :]",
                "per_task = lambda x, weight, bias: torch.baddbmm(bias.unsqueeze(1), x, weight)",
                "per_task = lambda x, weight, bias: torch.bmm(x, weight) + bias.unsqueeze(dim=1)",
                "per_task = lambda x, weight, bias: torch.func.vmap(lambda a, w, b: a @ w + b)(x, weight, bias)",
                "per_task = lambda x, weight, bias: [xi @ wi + bi for xi, wi, bi in zip(x, weight, bias)]",
            ),
            wrong=(
                Wrong("per_task = lambda x, weight, bias: x @ weight[0] + bias[0]", "Task 0's weights"),
                Wrong("per_task = lambda x, weight, bias: x @ weight.mean(0) + bias.mean(0)", "average the weights"),
                Wrong("per_task = lambda x, weight, bias: x @ weight", "bias is missing"),
                Wrong("per_task = lambda x, weight, bias: x @ weight + bias[0]", "Task 0's bias"),
                Wrong("per_task = lambda x, weight, bias: x @ weight + bias", "axis of length 1 in the middle"),
                Wrong("per_task = lambda x, weight, bias: x @ weight[::-1] + bias[::-1, None]", "wrong task"),
            ),
            looks_right=(
                "per_task = lambda x, weight, bias: np.stack([x[i] @ weight[i] + bias[i] for i in range(3)])",
                "per_task = lambda x, weight, bias: (x @ weight + bias[:, None])[:, :1].repeat(x.shape[1], 1)",
                "per_task = lambda x, weight, bias: x @ weight + bias[:, None].mean(-1, keepdims=True)",
            ),
        ),
        "05.8": Answers(
            right=(
                "fair_score = lambda on_training, on_test: np.mean(on_test[np.argmax(np.mean(on_training, axis=1))])",
                "fair_score = lambda on_training, on_test: on_test[on_training.mean(dim=1).argmax()].mean()",
                "def fair_score(on_training, on_test):\n"
                "    means = [sum(row) / len(row) for row in on_training.tolist()]\n"
                "    row = on_test.tolist()[means.index(max(means))]\n    return sum(row) / len(row)",
                "def fair_score(on_training, on_test):\n"
                "    best = torch.as_tensor(on_training).mean(1).max(dim=0).indices\n"
                "    return torch.as_tensor(on_test)[best].mean()",
            ),
            wrong=(
                Wrong("fair_score = lambda on_training, on_test: on_test.mean(1).max()", "tasks that score it"),
                Wrong("fair_score = lambda on_training, on_test: on_test.max(0).mean()", "its own best rate"),
                Wrong("fair_score = lambda on_training, on_test: on_training.mean(1).max()", "on the training tasks"),
                Wrong(
                    "fair_score = lambda on_training, on_test: on_test[on_training.mean(1).argmin()].mean()", "worst"
                ),
                Wrong("fair_score = lambda on_training, on_test: on_test[on_training.max(1).argmax()].mean()", "lucky"),
                Wrong(
                    "fair_score = lambda on_training, on_test: on_test[np.median(on_training, axis=1).argmax()].mean()",
                    "median over training",
                ),
                Wrong("fair_score = lambda on_training, on_test: on_test.mean()", "mean over rates"),
                Wrong("fair_score = lambda on_training, on_test: on_training.mean(1).argmax()", "number of the rate"),
            ),
            looks_right=(
                "fair_score = lambda on_training, on_test: on_test[2].mean()",
                "fair_score = lambda on_training, on_test: np.median(on_test[on_training.mean(1).argmax()])",
                "fair_score = lambda on_training, on_test: on_test[on_training.mean(1).argmax()][0]",
                "fair_score = lambda on_training, on_test: on_test[on_training[:, 0].argmax()].mean()",
            ),
        ),
    },
)


# What the text works out by hand.


def test_the_numbers_of_the_worked_examples():
    np.testing.assert_allclose(two_tasks.adapted(np.array(0.5), 0.25), [0.375, 0.875])
    np.testing.assert_allclose(two_tasks.after_step(np.array(0.5), 0.25), [-0.0703125, -0.0234375])
    np.testing.assert_allclose(two_tasks.returns(np.array(0.5)), [-0.125, -0.375])
    assert two_tasks.resting_places(0.25) == pytest.approx(
        {"pre-training": 0.75, "first-order MAML": 0.5, "MAML": 0.25}
    )


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.25, 1 / 3, 0.39, 0.5])
def test_a_resting_place_is_where_the_push_vanishes(alpha):
    """Against autograd: MAML's is the maximum of the return after the step; first order's follows the cut gradient."""
    k, c = torch.tensor(two_tasks.STEEPNESS), torch.tensor(two_tasks.OPTIMUM)

    def after_step(x, cut):
        step = -alpha * k * (x - c)
        return (-k / 2 * (x + (step.detach() if cut else step) - c) ** 2).mean()

    found = two_tasks.resting_places(alpha)
    for name, cut in (("MAML", False), ("first-order MAML", True)):
        if np.isfinite(found[name]):
            x = torch.tensor(found[name], dtype=torch.float64)
            assert abs(grad(lambda x, cut=cut: after_step(x, cut))(x)) < 1e-9
    assert np.isfinite(found["first-order MAML"]) == (alpha < 0.4)


@pytest.mark.parametrize(("inside", "outside", "place"), [(False, False, 0.25), (True, False, 0.75), (True, True, 0.5)])
def test_dividing_by_the_spread_takes_the_favour_from_task_a(inside, outside, place):
    """Section 4: with both surrogates divided by the spread MAML rests at 0.5; with the inner one alone, at 0.75."""
    k, c = torch.tensor(two_tasks.STEEPNESS), torch.tensor(two_tasks.OPTIMUM)
    x = torch.tensor(0.4, dtype=torch.float64)
    for _ in range(2000):

        def judged(x):
            moved = x - 0.25 * (k * (x - c) / (k if inside else 1))
            return (-k / 2 * (moved - c) ** 2 / (k if outside else 1)).mean()

        x = x + 0.1 * grad(judged)(x)
    assert float(x) == pytest.approx(place, abs=1e-6)


# The reader's parts on the page.


def test_a_part_that_is_right_and_that_vmap_cannot_run_gives_way_to_ours(capsys):
    ours = {
        "surrogate": lambda log_prob, advantage, live: (log_prob * advantage).sum() / live,
        "inner_step": lambda theta, objective, batch, alpha: {
            n: p + alpha * grad(objective)(theta, batch)[n] for n, p in theta.items()
        },
    }

    def after_adapting(theta, before, after, objective, alpha):
        return objective(ours["inner_step"](theta, objective, before, alpha), after)

    ours["after_adapting"] = after_adapting

    def by_autograd(theta, objective, batch, alpha):
        slopes = torch.autograd.grad(objective(theta, batch), list(theta.values()), create_graph=True)
        return {n: p + alpha * g for (n, p), g in zip(theta.items(), slopes)}

    runs = lambda log_prob, advantage, live: torch.dot(log_prob, advantage) / live  # noqa: E731
    for name, part, said in (
        ("inner_step", by_autograd, "Your inner_step is right for one task"),
        ("surrogate", lambda log_prob, advantage, live: (log_prob * advantage).sum() / float(live), "Your surrogate"),
        ("surrogate", runs, ""),
    ):
        assert exercises_pass(name, part)
        chosen = dict(zip(ours, experiments.for_all_tasks(ours | {name: part}, ours)))
        printed = capsys.readouterr().out
        assert (chosen[name] is part) == (said == "") and said in printed and bool(printed) == bool(said)
        assert all(chosen[other] is ours[other] for other in ours if other != name)


def exercises_pass(name, part):
    return next(grading.grade(e, part).passed for e in exercises.EXERCISES if e.name == name)


# The page's loop against the package.


def pages_objective(theta, batch):
    return experiments._objective(theta, batch)


def test_the_pages_meta_gradient_is_the_packages_and_the_loops():
    """vmap, task by task, and the package's batched products give one meta-gradient, from the same noise."""
    lab, alpha = experiments, 0.5
    tasks = lab.new_goals(10, 7, 0)
    package = ml.make_learner("maml", lab.nav, seed=0, outer="plain", **lab.SIZES)
    theta = {name: p[0] for name, p in package.begin(1, 1).parameters.items()}
    noise, trial, both = seeded_generator("cpu", 8, 1), begin(package, lab.nav, tasks, 10), []
    for _ in range(2):
        acted, trial = collect(package, lab.nav, tasks, trial, noise)
        s = package.samples(acted)
        both.append(lab.Batch(s.observation, s.action, s.advantage.flatten(1), s.live))
        trial = trial._replace(memory=package.absorb(trial.memory, acted))
    before, after = both

    def one_task(theta, before, after):
        return pages_objective(lab._inner_step(theta, before, alpha), after)

    def everyone(theta):
        return vmap(one_task, (None, 0, 0))(theta, before, after).mean()

    by_vmap = grad(everyone)(theta)
    alone = [
        grad(one_task)(theta, lab.Batch(*(x[i] for x in before)), lab.Batch(*(x[i] for x in after))) for i in range(10)
    ]
    package.update(lab.nav, tasks, seeded_generator("cpu", 8, 1))
    theirs = {name.split(".")[-1]: -p.grad for name, p in package.named_parameters()}  # optimisers descend
    for name in theta:
        torch.testing.assert_close(by_vmap[name], torch.stack([g[name] for g in alone]).mean(0), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(by_vmap[name], theirs[name], rtol=1e-3, atol=1e-5)


def test_adapting_leaves_the_start_as_it_was():
    agent, walk, _ = ml.load("data/checkpoints/maml-point_navigation")
    before = [p.clone() for p in agent.parameters()]
    ml.evaluate(agent, walk, n_tasks=2, episodes=5, batches=2)
    assert all(torch.equal(p, q) for p, q in zip(agent.parameters(), before))


def test_the_rate_on_an_episodes_return_is_what_the_code_does():
    """alpha / (moves x spread) times the gradient of the mean return is the step that the page takes."""
    lab = experiments
    table = lab.step_lengths(lab.fresh(0), lab.tasks_at([(9.0, 0.0), (0.2, 0.1)]), 0.5)
    far, near = table.to_dict("records")
    assert far["steps"] == 20, "a goal that is never reached"
    assert near["steps"] < 20 and near["spread"] < far["spread"]
    for row in (far, near):
        assert row["rate"] == pytest.approx(0.5 / (row["steps"] * row["spread"]))


def test_a_hill_of_the_exercises_is_right_where_it_was_acted_and_only_there():
    at, k, c = exercises.tensors([0.2, -0.4], 1.5, [1.0, 0.3])

    def true(x):
        return -k / 4 * ((x - c) ** 4).sum()

    batch = exercises.hill(at, k, c)
    surrogate = lambda x: exercises.hill_objective({"x": x}, batch)  # noqa: E731
    torch.testing.assert_close(grad(surrogate)(at), grad(true)(at))
    hessian = torch.func.hessian
    torch.testing.assert_close(hessian(surrogate)(at), hessian(true)(at))
    assert not torch.allclose(grad(surrogate)(at + 0.3), grad(true)(at + 0.3), rtol=1e-2)


# Figures.


def labelled(ax):
    return {line.get_label(): line for line in ax.lines}


def test_a_start_is_drawn_with_both_steps_and_who_rests_where():
    left, right = figures.start_and_after(0.5, 0.25).axes
    stars = [line.get_xydata()[0] for line in left.lines if line.get_marker() == "*"]
    np.testing.assert_allclose(stars, [[0.375, -0.0703125], [0.875, -0.0234375]])
    assert {"pre-training: 0.75", "first-order MAML: 0.50", "MAML: 0.25"} <= labelled(right).keys()
    assert "first-order MAML: runs away" in labelled(figures.start_and_after(0.5, 0.45).axes[1])


def test_the_mechanism_names_what_is_kept_and_what_is_thrown_away():
    said = " ".join(t.get_text() for t in figures.mechanism().axes[0].texts)
    assert "kept" in said and "thrown away" in said and "act again" in said and "meta-gradient" in said


def test_training_draws_both_returns_and_the_anchors():
    ax = figures.training(np.array([[-8.0, -7.0], [-8.1, -3.0]]), {"oracle": -0.5})
    np.testing.assert_allclose(labelled(ax)["before the inner step"].get_ydata(), [-8.0, -8.1])
    np.testing.assert_allclose(labelled(ax)["after it"].get_ydata(), [-7.0, -3.0])
    assert [t.get_text() for t in ax.texts] == ["oracle"]


def rows(**columns):
    return pd.DataFrame(columns)


def test_rate_scan_has_every_rate_on_a_log_axis_and_hides_what_lies_below_the_floor():
    table = rows(learner=["maml"] * 4, seed=[0, 1, 0, 1], rate=[0.1, 0.1, 1.0, 1.0], after=[-2.0, -4.0, -49.0, -51.0])
    ax = figures.rate_scan(table, {"oracle": -0.5}, floor=-20)
    close = rows(learner=["maml"] * 6, seed=[0, 1] * 3, rate=[0.12, 0.12, 0.15, 0.15, 0.18, 0.18], after=[-2.0] * 6)
    numbers = [t.get_text() for t in figures.rate_scan(close, {"oracle": -0.5}, floor=-20).get_xticklabels()]
    assert numbers == ["0.12", "", "0.18"], "numbers that would stand on each other"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.1", "1"] and ax.get_xscale() == "log"
    assert ax.get_ylim()[0] == -20 and len(ax.collections) == 1
    np.testing.assert_allclose(labelled(ax)["MAML"].get_ydata(), [-3, -50])


def test_full_size_shows_every_setting_beside_the_others():
    index = pd.MultiIndex.from_product([figures._AT, range(4)], names=["setting", "step"])
    table = pd.DataFrame({"mean": -10.0, "low": -12.0, "high": -9.0}, index=index)
    ax = figures.full_size(table, {"oracle": -0.5, "standing still": -40.0})
    places = [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 3 and line.get_linestyle() != "None"]
    assert len(places) == 4 and len(set(places)) == 4, "no setting covers another"
    assert {t.get_text() for t in ax.get_legend().get_texts()} == {name for name, _ in figures._AT.values()}


def draw(route):
    walks = {"before: -8.0": np.zeros((3, 4, 2)), "after 1 step: -3.0": np.ones((3, 4, 2))}
    values = np.arange(9.0).reshape(3, 3) - 9
    return figures.step_and_landscape(walks, (0.5, 0.2), np.linspace(-1, 1, 3), values, np.array(route), floor=-16)


def test_a_step_is_a_walk_and_a_route_on_the_map():
    left, right, bar = draw([[0.0, 0.0], [0.4, 0.2]]).axes
    assert len(left.lines) == 7, "three walks before, three after, the goal"
    # rows of a picture run upwards: the second axis of the landscape
    np.testing.assert_allclose(right.images[0].get_array(), (np.arange(9.0).reshape(3, 3) - 9).T)
    assert right.images[0].get_clim() == (-16, 0)
    np.testing.assert_allclose(right.lines[0].get_xydata(), [[0, 0], [0.4, 0.2]])
    assert "units" in left.get_xlabel() and "return" in bar.get_ylabel()


def test_a_step_that_leaves_the_map_ends_on_its_edge():
    right = draw([[0.0, 0.0], [7.0, -0.5]]).axes[1]
    np.testing.assert_allclose(right.lines[0].get_xydata()[-1], [1.0, -0.5])


def test_knobs_have_a_panel_each_and_need_an_anchor():
    parts = [
        rows(knob=knob, value=[2, 2, 40, 40], seed=[0, 1, 0, 1], one=[-3.0, -5, -2, -4], three=[-2.0, -2, -1, -1])
        for knob in figures.LABELS
    ]
    figure = figures.knobs(pd.concat(parts), {"oracle": -0.5}, floor=-10)
    first, second, third = figure.axes
    assert [t.get_text() for t in first.get_xticklabels()] == ["2", "40"] and second.get_xlabel() == "inner rate"
    np.testing.assert_allclose(labelled(first)["after one step"].get_ydata(), [-4, -3])
    assert [t.get_text() for t in third.texts] == ["oracle"]
    with pytest.raises(ValueError, match="no anchors"):
        figures.knobs(pd.concat(parts), {}, floor=-10)


# Stored tables.


def stored_starts(*keys):
    learners = experiments.learners_of(read(find_folder("data/results") / "05_agents.csv"))
    return {key: learners[key] for key in keys}


def test_rays_are_the_map_read_along_lines():
    lab = experiments
    theta = lab.start_of(stored_starts("maml 0")["maml 0"])
    plane = lab.plane_at(theta)
    seen = lab.rays(theta, plane, np.array([0.0, 90.0]), np.array([0.3, 0.6]))
    assert seen.shape == (8, 2, 2)
    right, up = 0, 2  # goals at 0 and at 90 degrees
    assert seen[right, 0, 1] > seen[right, 0, 0] > seen[right, 1, 1], "further right helps the goal on the right"
    assert seen[up, 1, 1] > seen[up, 1, 0] > seen[up, 0, 1]


def test_hills_tell_place_and_breadth_and_hold_at_four_times_the_points():
    """Section 8: equally high hills; MAML's straight ahead and at one distance; on any resolution."""
    lab, learners = experiments, stored_starts("maml 0", "finetune 2")
    coarse = lab.over_goals(lab.hills(learners))
    fine = lab.over_goals(lab.hills(learners, np.arange(48) * 7.5, np.geomspace(0.02, 1.5, 60)))
    for seen in (coarse, fine):
        maml, finetune = seen.loc[("maml", 0)], seen.loc[("finetune", 2)]
        assert abs(maml.height - finetune.height) < 0.4
        assert finetune.top < 0.3 < 0.5 < maml.top < 0.8
        assert maml.uneven < 1.4 < finetune.uneven and maml.off < 3
        assert maml.opens < 0.5 < maml.closes and finetune.closes < 0.25
        assert maml.broad == pytest.approx(finetune.broad, rel=0.25)
    assert (fine.height - coarse.height).abs().max() < 0.4


def test_over_goals_takes_the_window_of_all_goals():
    index = pd.MultiIndex.from_product([["maml"], [0], [0, 45]], names=["learner", "seed", "goal"])
    table = pd.DataFrame(
        {"height": [-2.0, -3.0], "off": [1.0, 3.0], "top": [0.2, 0.6], "near": [0.1, 0.4], "far": [0.3, np.nan]}, index
    )
    row = experiments.over_goals(table).loc[("maml", 0)]
    assert row.height == -2.5 and row.off == 2 and row.uneven == pytest.approx(3)
    assert row.opens == 0.4 and np.isnan(row.closes), "a goal that is never lifted leaves no window"
    row = experiments.over_goals(table.assign(far=[0.3, 0.8])).loc[("maml", 0)]
    assert row.opens == 0.4 and row.closes == 0.3 and row.broad == pytest.approx(2.5)


def test_every_rate_steps_from_the_same_start_and_its_own_goals():
    lab = experiments
    theta = lab.start_of(stored_starts("maml 0")["maml 0"])
    rates = (0.12, 0.5, 2.0)
    found = lab.after_one_step(theta, rates, lab.goals)
    assert found[1] > found[0] > found[2]
    again = [lab.after_steps(theta, rate, steps=1)[:, 1].mean() for rate in rates]
    np.testing.assert_allclose(found, again, atol=0.6)  # other episodes, the same steps


def test_the_lead_is_taken_seed_by_seed():
    ahead, (mean, low, high) = experiments.lead(np.array([1.0, 5.0, 9.0]), np.array([0.0, 3.0, 8.0]))
    assert ahead.tolist() == [1, 2, 1] and mean == pytest.approx(4 / 3)
    assert high - mean == pytest.approx(mean - low) == pytest.approx(4.303 * np.sqrt(1 / 3) / np.sqrt(3), rel=1e-3)


def test_knobs_are_compared_with_the_usual_setting():
    swept = experiments.knob_table(read(find_folder("data/results") / "05_knobs.csv"))
    found = experiments.knob_differences(swept)
    assert len(found) == 22 and not any(f": {usual}" in s for s, _ in found.index for usual in ("10", "0.5"))
    forty = swept[(swept.knob == "meta_batch") & (swept.value == 40)].three.mean()
    ten = swept[(swept.knob == "meta_batch") & (swept.value == 10)].three.mean()
    assert found.loc[("tasks in a meta-batch: 40", "three"), "mean"] == pytest.approx(forty - ten)
    assert "-0.91 +- 0.14" in experiments.differences_as_text(found)


def test_the_table_of_the_published_size_keeps_every_published_figure_in_its_place():
    table, lines = experiments.full_size()
    said = experiments.as_text(table).splitlines()
    published = {line.split(",")[0].strip(): line.split()[-4:] for line in said if ", published" in line}
    assert published["MAML"] == ["-40.4", "-11.7", "-3.3", "-3.2"]
    assert published["fine-tuning"] == ["-40.8", "-19.7", "-11.7", "-8.5"]
    assert published["from scratch"] == ["-82.7", "-58.0", "-53.8", "-46.8"]
    assert lines["standing still"] == pytest.approx(-40.08, abs=0.01)


def test_a_learners_rate_is_chosen_on_training_goals_one_for_all_its_seeds():
    scan = rows(
        learner=["maml"] * 4 + ["scratch"] * 4,
        seed=[0, 1, 0, 1] * 2,
        rate=[0.1, 0.1, 0.5, 0.5] * 2,
        training=[-1.0, -9.0, -4.0, -3.0, -8.0, -8.0, -9.0, -9.0],
        after=[-1.0, -2.0, -6.0, -7.0, -5.0, -5.0, -1.0, -1.0],
    )
    chosen = experiments.at_chosen_rates(scan)
    assert experiments.chosen_rates(scan).to_dict() == {"maml": 0.5, "scratch": 0.1}
    assert chosen.maml.tolist() == [-6.0, -7.0] and chosen.scratch.tolist() == [-5.0, -5.0]


# Widgets.

ANGLES, RATES, SIDE = tuple(range(0, 360, 45)), tuple(np.arange(1, 11) / 10), np.linspace(-1.5, 1.5, 21)


def made_start(rng):
    path, returns = rng.normal(size=(10, 8, 4, 4, 20, 2)) / 5, -10 * rng.random((10, 8, 4))
    return Start(path, returns, rng.normal(size=(10, 8, 4, 2)) / 2, -16 * rng.random((8, 21, 21)))


def make(name):
    rng = np.random.default_rng(0)
    starts = {"MAML": made_start(rng), "fine-tuning": made_start(rng)}
    return step_explorer(starts, ANGLES, 0.5, RATES, SIDE, -16, name=name)


def test_every_control_changes_the_picture_and_its_alt_text():
    explorer = make("test one step")
    for name, value in {"start": "fine-tuning", "angle": 180, "rate": 0.9, "steps": 3}.items():
        picture, alt = explorer.picture, explorer.alt_text
        explorer.controls[name].value = value
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""


def test_no_steps_and_a_rate_as_browsers_send_it_are_drawn():
    explorer = make("test no steps")
    explorer.controls["steps"].value = 0
    explorer.controls["rate"].value = 0.30000000000000004
    assert explorer._status.value == ""


def test_the_first_alt_text_holds_no_trained_number():
    assert make("test alt a").alt_text == make("test alt b").alt_text
    assert "return" in make("test alt c").alt_text


def test_the_dial_follows_its_sliders():
    explorer = two_task_explorer()
    first = explorer.picture
    explorer.controls["alpha"].value = 0.33
    assert explorer.picture != first and "rate 0.33" in explorer.alt_text
