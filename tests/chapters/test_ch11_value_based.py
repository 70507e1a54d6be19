"""Chapter 11: answers to its exercises, the equalities behind its page, its figures and its widget."""

import numpy as np
import pandas as pd
import pytest
import torch
from answers import Answers, Wrong, answer_tests
from pages import of_page

from metarl_lab.chapters.ch11_value_based import exercises, experiments, figures
from metarl_lab.chapters.ch11_value_based.widget import value_explorer
from metarl_lab.ops.q_learning import bellman_backup, double_q_target, optimal_q

# --- answers to the exercises -----------------------------------------------------------------------------------------


def q_target(expression):
    return f"q_target = lambda reward, after, terminated, gamma: {expression}"


def double_target(expression):
    return f"double_target = lambda reward, online, late, terminated, gamma: {expression}"


def semi_gradient(expression):
    return f"semi_gradient = lambda w, x, reward, x_after, gamma: {expression}"


test_answers = answer_tests(
    "11",
    {
        "11.1": Answers(
            right=(
                q_target("reward + gamma * after.max(axis=1) * ~terminated"),
                """
                def q_target(reward, after, terminated, gamma):
                    return reward + gamma * torch.where(terminated, 0.0, after.max(dim=1).values)
                """,
                """
                def q_target(reward, after, terminated, gamma):
                    best = after.amax(-1, keepdim=True).squeeze(-1)
                    return reward + gamma * best * (1 - terminated.float())
                """,
                """
                def q_target(reward, after, terminated, gamma):
                    targets = []
                    for r, values, over in zip(reward, after, terminated):
                        targets.append(float(r) if over else float(r) + gamma * float(max(values)))
                    return targets
                """,
                """
                def q_target(reward, after, terminated, gamma):
                    y = reward.copy()
                    y[~terminated] += gamma * np.sort(after, axis=1)[~terminated, -1]
                    return y
                """,
            ),
            wrong=(
                Wrong(q_target("reward + gamma * after.max(1)"), "nothing follows a terminal"),
                Wrong(q_target("reward + after.max(1) * ~terminated"), "discount is missing"),
                Wrong(q_target("reward + gamma * after.mean(1) * ~terminated"), "mean over actions"),
                Wrong(q_target("reward + gamma * after.min(1) * ~terminated"), "worst action"),
                Wrong(q_target("reward + gamma * after.max() * ~terminated"), "whole batch"),
                Wrong(q_target("reward + gamma * after[:, 0] * ~terminated"), "first action everywhere"),
                Wrong(q_target("gamma * after.max(1) * ~terminated"), "reward is missing"),
                Wrong(q_target("reward + gamma * after.max(1) * terminated"), "other way round"),
                Wrong(q_target("(reward + gamma * after.max(1)) * ~terminated"), "last step counts"),
                Wrong(q_target("reward[:, None] + gamma * after"), "shape"),
            ),
            looks_right=(
                q_target("reward + 0.5 * after.max(1) * ~terminated"),
                q_target("reward + gamma * after[:, :2].max(1) * ~terminated"),
                q_target("np.array([3.0, 2.0, 2.0])"),
                """
                def q_target(reward, after, terminated, gamma):
                    best = after.max(1)
                    best[-1] = 0.0
                    return reward + gamma * best
                """,
            ),
        ),
        "11.2": Answers(
            right=(
                """
                def double_target(reward, online, late, terminated, gamma):
                    judged = np.take_along_axis(late, online.argmax(1)[:, None], 1)[:, 0]
                    return reward + gamma * judged * ~terminated
                """,
                """
                def double_target(reward, online, late, terminated, gamma):
                    judged = late.gather(1, online.argmax(dim=1, keepdim=True)).squeeze(1)
                    return reward + gamma * judged.masked_fill(terminated, 0.0)
                """,
                """
                def double_target(reward, online, late, terminated, gamma):
                    chosen = torch.nn.functional.one_hot(online.argmax(1), online.shape[1]).to(late.dtype)
                    judged = torch.einsum("na,na->n", chosen, late)
                    return torch.where(terminated, reward, reward + gamma * judged)
                """,
                """
                def double_target(reward, online, late, terminated, gamma):
                    targets = []
                    for n in range(len(reward)):
                        values = list(online[n])
                        judged = late[n][values.index(max(values))]
                        targets.append(reward[n] + (0 if terminated[n] else gamma * judged))
                    return targets
                """,
            ),
            wrong=(
                Wrong(
                    double_target("reward + gamma * late.max(1) * ~terminated"),
                    "with the late one",
                ),
                Wrong(
                    double_target("reward + gamma * online.max(1) * ~terminated"),
                    "online one does it all",
                ),
                Wrong(
                    double_target("reward + gamma * online[np.arange(len(late)), late.argmax(1)] * ~terminated"),
                    "roles are swapped",
                ),
                Wrong(
                    double_target("reward + gamma * late[np.arange(len(late)), online.argmax(1)]"),
                    "through termination",
                ),
                Wrong(
                    double_target("reward + gamma * np.minimum(late.max(1), online.max(1)) * ~terminated"),
                    "smaller of two maxima",
                ),
                Wrong(
                    double_target("reward + late[np.arange(len(late)), online.argmax(1)] * ~terminated"),
                    "discount is missing",
                ),
                Wrong(
                    double_target("reward + gamma * late[:, online.argmax(1)] * ~terminated[:, None]"),
                    "shape",
                ),
            ),
            looks_right=(
                double_target("reward + 0.5 * late[np.arange(len(late)), online.argmax(1)] * ~terminated"),
                double_target("reward + gamma * late[np.arange(3), online.argmax(1)] * ~terminated"),
                double_target("reward + gamma * late[np.arange(len(late)), online[:, :2].argmax(1)] * ~terminated"),
                double_target("reward + gamma * late[:, online[0].argmax()] * ~terminated"),
            ),
        ),
        "11.3": Answers(
            right=(
                """
                def semi_gradient(w, x, reward, x_after, gamma):
                    error = x @ w - (reward + gamma * x_after @ w)
                    return 2 * (error[:, None] * x).mean(0)
                """,
                """
                def semi_gradient(w, x, reward, x_after, gamma):
                    w = w.clone().requires_grad_()
                    y = (reward + gamma * x_after @ w).detach()
                    return torch.autograd.grad(((x @ w - y) ** 2).mean(), w)
                """,
                """
                def semi_gradient(w, x, reward, x_after, gamma):
                    w = w.detach().clone().requires_grad_(True)
                    with torch.no_grad():
                        y = reward + gamma * torch.mv(x_after, w)
                    torch.nn.functional.mse_loss(torch.mv(x, w), y).backward()
                    return w.grad
                """,
                """
                def semi_gradient(w, x, reward, x_after, gamma):
                    def loss(own):
                        return (torch.einsum("nf,f->n", x, own) - reward - gamma * x_after @ w).square().mean(dim=0)
                    return torch.func.grad(loss)(w)
                """,
                """
                def semi_gradient(w, x, reward, x_after, gamma):
                    gradient = [0.0] * len(w)
                    for before, r, after in zip(x, reward, x_after):
                        error = sum(a * b for a, b in zip(w, before)) - r - gamma * sum(a * b for a, b in zip(w, after))
                        gradient = [g + 2 * error * b / len(reward) for g, b in zip(gradient, before)]
                    return gradient
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def semi_gradient(w, x, reward, x_after, gamma):
                        w = w.clone().requires_grad_()
                        y = reward + gamma * x_after @ w
                        return torch.autograd.grad(((x @ w - y) ** 2).mean(), w)[0]
                    """,
                    "residual gradient",
                ),
                Wrong(
                    semi_gradient("-2 * x.T @ (x @ w - reward - gamma * x_after @ w) / len(x)"),
                    "sign is wrong",
                ),
                Wrong(
                    semi_gradient("x.T @ (x @ w - reward - gamma * x_after @ w) / len(x)"),
                    "factor 2",
                ),
                Wrong(
                    semi_gradient("2 * x.T @ (x @ w - reward - gamma * x_after @ w)"),
                    "sum over transitions",
                ),
                Wrong(
                    semi_gradient("2 * x.T @ (x @ w - reward) / len(x)"),
                    "no bootstrapping",
                ),
                Wrong(
                    semi_gradient("2 * x.T @ (x @ w - reward - x_after @ w) / len(x)"),
                    "discount is missing",
                ),
                Wrong(
                    semi_gradient("w - 2 * x.T @ (x @ w - reward - gamma * x_after @ w) / len(x)"),
                    "only the gradient",
                ),
            ),
            looks_right=(
                semi_gradient("2 * x.T @ (x @ w - reward - gamma * x_after @ w) / 3"),
                semi_gradient("2 * x.T @ (x @ w - reward - 0.5 * x_after @ w) / len(x)"),
                semi_gradient("2 * x[:3].T @ (x @ w - reward - gamma * x_after @ w)[:3] / len(x[:3])"),
                semi_gradient("2 * x.T @ (x @ w - reward - gamma * x_after @ w) / len(w)"),
            ),
        ),
        "11.4": Answers(
            right=(
                "ess = lambda beta: beta.mean() ** 2 / (beta**2).mean()",
                "ess = lambda beta: beta.sum(dim=0).square() / (beta.numel() * torch.dot(beta, beta))",
                "ess = lambda b: torch.einsum('n,m->', b, b) / (len(b) * torch.einsum('n,n->', b, b))",
                "ess = lambda beta: 1 / (1 + np.var(beta) / np.mean(beta) ** 2)",
                """
                def ess(beta):
                    total, squares = 0.0, 0.0
                    for weight in beta:
                        total += float(weight)
                        squares += float(weight) ** 2
                    return total**2 / squares / len(beta)
                """,
                """
                def ess(beta):
                    p = beta / beta.sum()
                    return 1 / (p.shape[0] * (p**2).sum())
                """,
            ),
            wrong=(
                Wrong("ess = lambda beta: beta.sum() ** 2 / (beta**2).sum()", "number of samples"),
                Wrong("ess = lambda beta: len(beta) * (beta**2).sum() / beta.sum() ** 2", "Upside down"),
                Wrong("ess = lambda beta: beta.mean()", "mean weight"),
                Wrong("ess = lambda beta: beta.sum() / (len(beta) * (beta**2).sum())", "Square the sum"),
                Wrong("ess = lambda beta: beta.sum() ** 2 / (len(beta) * beta.sum() ** 2)", "you square their sum"),
            ),
            looks_right=(
                "ess = lambda beta: beta.sum() ** 2 / (4 * (beta**2).sum())",
                "ess = lambda beta: beta[:4].sum() ** 2 / (4 * (beta[:4] ** 2).sum())",
                "ess = lambda beta: beta.sum() ** 2 / ((len(beta) - 1) * (beta**2).sum())",
                "ess = lambda beta: beta.sum() ** 2 / ((beta > 0).sum() * (beta**2).sum())",
                # the unbiased variance, on arrays: of tensors it is torch's default
                "ess = lambda beta: 1 / (1 + np.var(beta, ddof=1) / np.mean(beta) ** 2)",
            ),
        ),
        "11.5": Answers(
            right=(
                """
                def meta_train(w, tasks, gamma, alpha, beta, iterations):
                    for _ in range(iterations):
                        w = w.detach().clone().requires_grad_()
                        loss = 0
                        for (x, r, after), (x_later, r_later, after_later) in tasks:
                            value = x @ w
                            factor = 2 * (value - r - gamma * after @ w) / len(r)
                            slope = torch.autograd.grad(value, w, factor, create_graph=True)[0]
                            own = w - alpha * slope
                            y = (r_later + gamma * after_later @ own).detach()
                            loss = loss + (x_later @ own - y).square().mean() / len(tasks)
                        w = w - beta * torch.autograd.grad(loss, w)[0]
                    return w
                """,
                """
                def semi_gradient(w, x, reward, x_after, gamma):
                    return 2 * x.T @ (x @ w - reward - gamma * x_after @ w) / len(x)

                def meta_train(w, tasks, gamma, alpha, beta, iterations):
                    if iterations == 0:
                        return w
                    gradients = []
                    for first, later in tasks:
                        own = w - alpha * semi_gradient(w, *first, gamma)
                        moves = torch.func.jacrev(lambda start: start - alpha * semi_gradient(start, *first, gamma))(w)
                        gradients.append(moves.mT @ semi_gradient(own, *later, gamma))
                    step = torch.stack(gradients).mean(dim=0)
                    return meta_train(w - beta * step, tasks, gamma, alpha, beta, iterations - 1)
                """,
                """
                def meta_train(w, tasks, gamma, alpha, beta, iterations):
                    w = np.array(w)
                    while iterations > 0:
                        gradient = np.zeros_like(w)
                        for first, later in tasks:
                            X, r, Y = map(np.asarray, first)
                            A = np.einsum("nf,ng->fg", X, X - gamma * Y) * 2 / len(r)
                            own = w - alpha * (A @ w - 2 * X.T @ r / len(r))
                            X, r, Y = map(np.asarray, later)
                            pull = 2 * X.T @ ((X - gamma * Y) @ own - r) / len(r)
                            gradient += pull - alpha * A.T @ pull
                        w -= beta * gradient / len(tasks)
                        iterations -= 1
                    return list(w)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def meta_train(w, tasks, gamma, alpha, beta, iterations):
                        def slope(w, x, r, after):
                            return 2 * x.T @ (x @ w - r - gamma * after @ w) / len(r)
                        for _ in range(iterations):
                            w = w - beta * sum(slope(w - alpha * slope(w, *a), *b) for a, b in tasks) / len(tasks)
                        return w
                    """,
                    "first order",
                ),
                Wrong(
                    """
                    def meta_train(w, tasks, gamma, alpha, beta, iterations):
                        for _ in range(iterations):
                            w = w.detach().clone().requires_grad_()
                            loss = 0
                            for (x, r, after), (x_later, r_later, after_later) in tasks:
                                y = (r + gamma * after @ w).detach()
                                error = (x @ w - y).square().mean()
                                own = w - alpha * torch.autograd.grad(error, w, create_graph=True)[0]
                                y = (r_later + gamma * after_later @ own).detach()
                                loss = loss + (x_later @ own - y).square().mean() / len(tasks)
                            w = w - beta * torch.autograd.grad(loss, w)[0]
                        return w
                    """,
                    "target's value",
                ),
                Wrong(
                    """
                    def meta_train(w, tasks, gamma, alpha, beta, iterations):
                        for _ in range(iterations):
                            total = 0
                            for _, (x, r, after) in tasks:
                                total = total + 2 * x.T @ (x @ w - r - gamma * after @ w) / len(r)
                            w = w - beta * total / len(tasks)
                        return w
                    """,
                    "no inner step",
                ),
                Wrong(
                    """
                    def meta_train(w, tasks, gamma, alpha, beta, iterations):
                        for _ in range(iterations):
                            total = 0
                            for (x, r, after), _ in tasks:
                                moves = np.eye(len(w)) - 2 * alpha * x.T @ (x - gamma * after) / len(r)
                                own = w - 2 * alpha * x.T @ (x @ w - r - gamma * after @ w) / len(r)
                                total += moves.T @ x.T @ (x @ own - r - gamma * after @ own) * 2 / len(r)
                            w = w - beta * total / len(tasks)
                        return w
                    """,
                    "first batch",
                ),
            ),
            looks_right=(
                "meta_train = lambda w, tasks, gamma, alpha, beta, iterations: w",
                """
                def meta_train(w, tasks, gamma, alpha, beta, iterations):
                    for _ in range(iterations):
                        w = w.detach().clone().requires_grad_()
                        loss = 0
                        for (x, r, after), (x_later, r_later, after_later) in tasks[:2]:
                            value = x @ w
                            factor = 2 * (value - r - gamma * after @ w) / len(r)
                            own = w - alpha * torch.autograd.grad(value, w, factor, create_graph=True)[0]
                            y = (r_later + gamma * after_later @ own).detach()
                            loss = loss + (x_later @ own - y).square().mean() / 2
                        w = w - beta * torch.autograd.grad(loss, w)[0]
                    return w
                """,
                """
                def meta_train(w, tasks, gamma, alpha, beta, iterations):
                    for _ in range(3):
                        total = 0
                        for (x, r, after), (x_later, r_later, after_later) in tasks:
                            moves = np.eye(len(w)) - 2 * alpha * x.T @ (x - gamma * after) / len(r)
                            own = w - 2 * alpha * x.T @ (x @ w - r - gamma * after @ w) / len(r)
                            error = x_later @ own - r_later - gamma * after_later @ own
                            total += moves.T @ x_later.T @ error * 2 / len(error)
                        w = w - beta * total / len(tasks)
                    return w
                """,
                """
                def meta_train(w, tasks, gamma, alpha, beta, iterations):
                    for _ in range(iterations):
                        total = 0
                        for (x, r, after), (x_later, r_later, after_later) in tasks:
                            moves = np.eye(len(w)) - 2 * alpha * x.T @ (x - gamma * after) / len(r)
                            own = w - 2 * alpha * x.T @ (x @ w - r - gamma * after @ w) / len(r)
                            error = x_later @ own - r_later - gamma * after_later @ own
                            total += moves @ x_later.T @ error * 2 / len(error)
                        w = w - beta * total / len(tasks)
                    return w
                """,
            ),
        ),
    },
)


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ({"outer": -1.0}, "outer step ascends"),
        ({"inner": -1.0}, "inner step ascends"),
        ({"residual": True}, "outer target is differentiated"),
        ({"iterations": 1}, "One iteration only"),
    ],
)
def test_the_loops_other_mistakes_are_named(mistake, words):
    def answer(w, tasks, gamma, alpha, beta, iterations):
        given = {"iterations": iterations} | mistake
        return exercises.meta_trained(w, tasks, gamma, alpha, beta, **given)

    assert words in exercises.check_meta_train(answer)


# --- what the page says without showing it ----------------------------------------------------------------------------


def test_the_pages_inner_step_is_the_packages():
    page = of_page("11", "GAMMA", "net", "q_step")
    rows = experiments.random_batch(0)
    start = {k: w.requires_grad_() for k, w in experiments.meta.begin(12, 1).weights.items()}
    mine = page.q_step(start, rows, 0.5)
    slopes = page.net.semi_gradient(start, start, rows, 1.0, page.GAMMA, True)
    for name, w in start.items():
        torch.testing.assert_close(mine[name], w - 0.5 * slopes[name], atol=1e-5, rtol=1e-4)
    # and so is what follows through it: y is held in the inner derivative, and its value moves
    package = {name: w - 0.5 * slopes[name] for name, w in start.items()}
    through = [
        torch.autograd.grad(sum(w.square().sum() for w in step.values()), list(start.values()), retain_graph=True)
        for step in (mine, package)
    ]
    for mine_of, packages in zip(*through, strict=True):
        torch.testing.assert_close(mine_of, packages, atol=1e-5, rtol=1e-4)


def test_the_mean_of_the_targets_is_the_target_of_the_mean_reward():
    P, R = experiments.grid.model(experiments.tasks)
    some_q = torch.randn(1, 16, 5, generator=torch.Generator().manual_seed(0)).expand_as(R)
    mean_of_targets = bellman_backup(P, R, some_q, 0.9).mean(0, keepdim=True)
    target_of_mean = bellman_backup(P[:1], R.mean(0, keepdim=True), some_q[:1], 0.9)
    torch.testing.assert_close(mean_of_targets, target_of_mean, atol=1e-5, rtol=1e-5)
    # it is none of the tasks, nor the mean of what is best in each
    mean_of_best = optimal_q(P, R, 0.9).mean(0, keepdim=True)
    assert (optimal_q(P[:1], R.mean(0, keepdim=True), 0.9) - mean_of_best).abs().min() > 1


def test_the_two_state_world_of_the_document_ends_where_the_text_says():
    page = of_page("11", "held", "naive", "baird", "descend")
    np.testing.assert_allclose(page.descend(page.held), [0.5, 1.0, 0.0], atol=1e-3)
    np.testing.assert_allclose(page.descend(page.naive), [0.5, 0.75, 0.25], atol=1e-3)
    np.testing.assert_allclose(page.descend(page.baird), [0.5, 1.0, 0.0], atol=1e-3)
    # "what two independent followers give": the two factors of the gradient from one follower each, over all pairs
    v = torch.tensor([0.3, 0.9, -0.2], requires_grad=True)
    want = torch.zeros(3)
    for one in (1, 2):
        for other in (1, 2):
            error, slope = v[0] - v[one], torch.autograd.grad(v[0] - v[other], v)[0]
            want += 2 * error.detach() * slope / 4 * 2 / 4  # four pairs; A is the start of two transitions in four
    for state, pay in ((1, 1.0), (2, 0.0)):
        want[state] += 2 * (v[state].item() - pay) / 4
    torch.testing.assert_close(torch.autograd.grad(page.baird(v), v)[0], want)


def test_the_exercises_targets_are_the_packages():
    for reward, online, late, terminated, gamma in exercises.TRANSITIONS:
        tensors = [torch.tensor(x) for x in (reward, online, late, terminated)]
        want = double_q_target(*tensors, gamma).numpy()
        rows = np.arange(len(reward))
        np.testing.assert_allclose(reward + gamma * late[rows, online.argmax(1)] * ~terminated, want)


def test_the_loop_of_the_exercise_is_differentiated_rightly():
    w, tasks, gamma, alpha, beta, _ = exercises.LESSONS[1]

    def outer_error(start, targets):
        total = 0.0
        for (first, (x, reward, x_after)), own_target in zip(tasks, targets, strict=True):
            features, paid, follow = first
            own = start - alpha * 2 * features.T @ (features @ start - paid - gamma * follow @ start) / len(paid)
            y = reward + gamma * x_after @ own if own_target is None else own_target
            total += ((x @ own - y) ** 2).mean() / len(tasks)
        return total

    targets = []
    for (x, reward, x_after), (_, paid, follow) in tasks:
        own = w - alpha * 2 * x.T @ (x @ w - reward - gamma * x_after @ w) / len(reward)
        targets.append(paid + gamma * follow @ own)  # held
    slope = [(outer_error(w + e, targets) - outer_error(w - e, targets)) / 2e-5 for e in 1e-5 * np.eye(len(w))]
    moved = exercises.meta_trained(w, tasks, gamma, alpha, beta, 1)
    np.testing.assert_allclose(moved, w - beta * np.array(slope), rtol=1e-6)


# --- experiments ------------------------------------------------------------------------------------------------------


def test_greedy_return_walks_to_the_goal_and_stays():
    P, R = experiments.grid.model(experiments.tasks)
    earned = experiments.greedy_return(optimal_q(P, R, 0.9))
    torch.testing.assert_close(earned, experiments.grid.oracle(experiments.tasks))
    assert (experiments.greedy_return(torch.zeros_like(R)) + 1.5).abs().max() < 1e-5  # stays at the start


def test_who_arrives_counts_moves_and_goals():
    P, R = experiments.grid.model(experiments.tasks)
    best, never = optimal_q(P, R, 0.9), torch.zeros_like(R)
    courses = {0: {"best": torch.stack([never, best], 1), "never": torch.stack([never, never], 1)}}
    table = experiments.who_arrives(courses, steps=1)
    assert table.loc[0, "best"].reached.all() and not table.loc[0, "never"].reached.any()
    assert table.loc[(0, "best", 15)].moves == 6 and table.loc[(0, "never", 2)].moves == 2


def test_a_stored_start_is_restored_with_its_rates():
    learner = experiments.ml.make_learner("meta_q", experiments.grid, seed=3)
    learner.log_rates.data.fill_(-1.0)
    own = torch.nn.utils.parameters_to_vector(learner.net.parameters())
    vector = torch.cat([own, learner.log_rates]).detach().numpy()
    found = experiments.restored("maml", vector)
    for a, b in zip(found.net.parameters(), learner.net.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(found.log_rates, learner.log_rates)


def test_half_the_gaussian_counts_where_it_should():
    table = experiments.shares_of_gaussians((0.0, 1.0))
    np.testing.assert_allclose(table.exact, [1.0, np.exp(-1.0)])
    np.testing.assert_allclose(table.estimated, table.exact, atol=0.1)


def test_the_stored_runs_have_every_variant_and_their_anchors():
    by_seed, lines = experiments.off_policy()
    assert list(by_seed.columns) == list(experiments.VARIANTS.values()) and len(by_seed) == 5
    assert by_seed.notna().all().all() and lines["random"] < by_seed.min().min() < lines["oracle"]


# --- figures ----------------------------------------------------------------------------------------------------------


def test_a_value_map_shows_the_best_value_the_best_action_and_the_goal():
    q = np.zeros((9, 5))
    q[:, 0] = np.arange(9.0)  # staying is best, and worth the cell's number
    q[0, 3] = 0.5  # but from the corner one goes down
    figure = figures.value_maps({"here": q, "exact": q + 1}, 5, -1.0, 10.0)
    first, second, bar = figure.axes
    np.testing.assert_allclose(first.images[0].get_array(), [[0.5, 1, 2], [3, 4, 5], [6, 7, 8]])
    assert first.images[0].get_clim() == second.images[0].get_clim() == (-1, 10) and "return" in bar.get_ylabel()
    arrows = [t for t in first.texts if t.arrow_patch is not None]
    assert len(arrows) == 1 and arrows[0].xy[1] > arrows[0].xyann[1] and arrows[0].xy[0] == arrows[0].xyann[0] == 0
    stars = [line for line in first.lines if line.get_marker() == "*"]
    assert len(stars) == 1 and np.round(stars[0].get_xydata()[0]).tolist() == [2, 1]  # row 1, column 2
    assert [t.get_text() for t in first.texts if t.get_text()][:2] == ["0.5", "1.0"]
    with pytest.raises(ValueError, match="no tables"):
        figures.value_maps({}, 1, 0, 1)


def test_after_steps_draws_every_seed_and_names_learners_as_the_book_does():
    returns = pd.DataFrame({"meta_q": [4.0, 5.0], "shared": [1.0, 2.0]})
    ax = figures.after_steps(returns, {"oracle": 12.0}, "five steps")
    points = [line for line in ax.lines if line.get_linestyle() == "None"]
    assert [line.get_ydata().tolist() for line in points] == [[4, 5], [1, 2]]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["meta-Q", "shared Q"]
    assert [t.get_text() for t in ax.texts] == ["oracle"]


def test_exploring_draws_every_seed_thinly_and_their_mean():
    rows = pd.MultiIndex.from_product([[0, 1], [0.0, 1.0]], names=["seed", "share"])
    returns = pd.DataFrame({"first batch": [1.0, 2.0, 3.0, 4.0], "second batch": [0.0, 8.0, 0.0, 4.0]}, index=rows)
    ax = figures.exploring(returns, {"oracle": 12.0})
    labelled = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(labelled["first batch"].get_xydata(), [[0, 2], [1, 3]])
    np.testing.assert_allclose(labelled["second batch"].get_ydata(), [0, 6])
    assert len([line for line in ax.lines if line.get_linewidth() < 1]) == 4
    assert [t.get_text() for t in ax.texts] == ["oracle"] and ax.get_xlabel().startswith("share of random actions")


# --- the widget -------------------------------------------------------------------------------------------------------

GOALS = (2, 7, 15)


def make(name, seed=0):
    rng = np.random.default_rng(seed)
    starts = {start: 10 * rng.random((3, 9, 16, 5)) for start in ("a table", "meta-learned")}
    returns = {start: 10 * rng.random((3, 9)) for start in starts}
    return value_explorer(starts, returns, 10 * rng.random((3, 16, 5)), GOALS, 10.0, name=name)


def test_every_control_changes_the_picture_and_its_alt_text():
    explorer = make("test value maps")
    for name, value in {"start": "meta-learned", "task": 0, "count": 8}.items():
        picture, alt = explorer.picture, explorer.alt_text
        explorer.controls[name].value = value
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""


def test_goals_are_told_by_row_and_column_and_the_alt_text_holds_no_trained_number():
    assert make("test maps a").alt_text == make("test maps b", seed=1).alt_text
    assert "row 3, column 3" in make("test maps c").alt_text
