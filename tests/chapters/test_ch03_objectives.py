"""Chapter 03: answers to its exercises, what its page computes, its figures and its widgets."""

import numpy as np
import pandas as pd
import pytest
import torch
from answers import Answers, Wrong, answer_tests
from pages import of_page

from metarl_lab.chapters.ch03_objectives.figures import landscapes, optimism_lines, trial_bars
from metarl_lab.chapters.ch03_objectives.widget import landscape_explorer, trial_explorer

SIDE = np.linspace(-4, 4, 5)

# --- answers to the exercises -----------------------------------------------------------------------------------------

test_answers = answer_tests(
    "03",
    {
        "03.1": Answers(
            right=(
                """
                def exact_j(transition, reward, policy, horizon):
                    value = torch.zeros(reward.shape[0], dtype=reward.dtype)
                    for _ in range(horizon):
                        q = reward + torch.einsum("saz,z->sa", transition, value)
                        value = (policy * q).sum(dim=-1)
                    return value[0]
                """,
                """
                def exact_j(transition, reward, policy, horizon):
                    # forwards: where one is, step by step, and what is paid there
                    here = np.eye(len(reward))[0]
                    total = 0.0
                    for _ in range(horizon):
                        total += np.einsum("s,sa,sa->", here, policy, reward)
                        here = np.einsum("s,sa,saz->z", here, policy, transition)
                    return total
                """,
                """
                def exact_j(transition, reward, policy, horizon):
                    states, actions = range(len(reward)), range(len(reward[0]))

                    def value(s, left):
                        if left == 0:
                            return 0.0
                        total = 0.0
                        for a in actions:
                            later = sum(float(transition[s][a][z]) * value(z, left - 1) for z in states)
                            total += float(policy[s][a]) * (float(reward[s][a]) + later)
                        return total

                    return value(0, horizon)
                """,
                """
                def exact_j(transition, reward, policy, horizon):
                    step = np.einsum("sa,saz->sz", policy, transition)
                    paid = (policy * reward).sum(axis=1)
                    return sum(np.linalg.matrix_power(step, h)[0] @ paid for h in range(horizon))
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def exact_j(transition, reward, policy, horizon):
                        value = np.zeros(len(reward))
                        for _ in range(horizon):
                            value = (reward + transition @ value).max(1)
                        return value[0]
                    """,
                    "best policy's return",
                ),
                Wrong(
                    """
                    def exact_j(transition, reward, policy, horizon):
                        value = np.zeros(len(reward))
                        for _ in range(horizon):
                            value = value + (policy * reward).sum(1)
                        return value[0]
                    """,
                    "stay in state 0",
                ),
                Wrong(
                    """
                    def exact_j(transition, reward, policy, horizon):
                        value = np.zeros(len(reward))
                        for _ in range(horizon - 1):
                            value = (policy * (reward + transition @ value)).sum(1)
                        return value[0]
                    """,
                    "One step is missing",
                ),
                Wrong(
                    """
                    def exact_j(transition, reward, policy, horizon):
                        value = np.zeros(len(reward))
                        for _ in range(horizon + 1):
                            value = (policy * (reward + transition @ value)).sum(1)
                        return value[0]
                    """,
                    "One step too many",
                ),
                Wrong(
                    """
                    def exact_j(transition, reward, policy, horizon):
                        value = np.zeros(len(reward))
                        for _ in range(horizon):
                            value = (policy * (reward + transition @ value)).sum(1)
                        return value.mean()
                    """,
                    "mean over states",
                ),
                Wrong(
                    """
                    def exact_j(transition, reward, policy, horizon):
                        value = np.zeros(len(reward))
                        for _ in range(horizon):
                            value = (policy * (reward + transition @ value)).sum(1)
                        return value[-1]
                    """,
                    "value of the last state",
                ),
                Wrong(
                    """
                    def exact_j(transition, reward, policy, horizon):
                        value = np.zeros(len(reward))
                        for _ in range(horizon):
                            value = (reward + transition @ value).mean(1)
                        return value[0]
                    """,
                    "policy is missing",
                ),
                Wrong(
                    """
                    def exact_j(transition, reward, policy, horizon):
                        value = np.zeros(len(reward))
                        for _ in range(horizon):
                            value = (policy * (reward + transition @ value)).sum(1)
                        return value
                    """,
                    "one number",
                ),
            ),
            looks_right=(
                # two states, hard-coded
                """
                def exact_j(transition, reward, policy, horizon):
                    value = np.zeros(len(reward))
                    for _ in range(horizon):
                        value = (policy * (reward + transition[..., :2] @ value[:2])).sum(1)
                    return value[0]
                """,
                # four steps, hard-coded
                """
                def exact_j(transition, reward, policy, horizon):
                    value = np.zeros(len(reward))
                    for _ in range(4):
                        value = (policy * (reward + transition @ value)).sum(1)
                    return value[0]
                """,
                # a discount that nobody asked for
                """
                def exact_j(transition, reward, policy, horizon):
                    value = np.zeros(len(reward))
                    for _ in range(horizon):
                        value = (policy * (reward + 0.99 * transition @ value)).sum(1)
                    return value[0]
                """,
                # values changed in place while they are still read
                """
                def exact_j(transition, reward, policy, horizon):
                    value = np.zeros(len(reward))
                    for _ in range(horizon):
                        for s in range(len(reward)):
                            value[s] = policy[s] @ (reward[s] + transition[s] @ value)
                    return value[0]
                """,
            ),
        ),
        "03.2": Answers(
            right=(
                """
                def meta_objective(theta, tasks, alpha):
                    total = 0.0
                    for value, gradient in tasks:
                        own = theta + alpha * gradient(theta)
                        total += float(value(own))
                    return total / len(tasks)
                """,
                """
                def meta_objective(theta, tasks, alpha):
                    theta = torch.as_tensor(theta)
                    after = [value(torch.add(theta, gradient(theta), alpha=alpha)) for value, gradient in tasks]
                    return torch.stack(after).mean(dim=0)
                """,
                """
                def meta_objective(theta, tasks, alpha):
                    values, gradients = zip(*tasks)
                    own = [[x + alpha * float(d) for x, d in zip(theta, g(theta))] for g in gradients]
                    return np.average([v(np.array(x, dtype=float)) for v, x in zip(values, own)])
                """,
                """
                def meta_objective(theta, tasks, alpha):
                    steps = np.stack([gradient(theta) for _, gradient in tasks])
                    own = np.einsum("t,p->tp", np.ones(len(tasks)), theta) + alpha * steps
                    return sum(task[0](row) for task, row in zip(tasks, own)) / len(own)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def meta_objective(theta, tasks, alpha):
                        return np.mean([value(theta) for value, gradient in tasks])
                    """,
                    "before adaptation",
                ),
                Wrong(
                    """
                    def meta_objective(theta, tasks, alpha):
                        return np.mean([value(theta - alpha * gradient(theta)) for value, gradient in tasks])
                    """,
                    "inner step descends",
                ),
                Wrong(
                    """
                    def meta_objective(theta, tasks, alpha):
                        step = alpha * np.mean([gradient(theta) for value, gradient in tasks], axis=0)
                        return np.mean([value(theta + step) for value, gradient in tasks])
                    """,
                    "mean gradient",
                ),
                Wrong(
                    """
                    def meta_objective(theta, tasks, alpha):
                        after = []
                        for value, gradient in tasks:
                            theta = theta + alpha * gradient(theta)
                            after.append(value(theta))
                        return np.mean(after)
                    """,
                    "carry the adapted parameters",
                ),
                Wrong(
                    """
                    def meta_objective(theta, tasks, alpha):
                        return sum(value(theta + alpha * gradient(theta)) for value, gradient in tasks)
                    """,
                    "sum over tasks",
                ),
                Wrong(
                    """
                    def meta_objective(theta, tasks, alpha):
                        for value, gradient in tasks:
                            return value(theta + alpha * gradient(theta))
                    """,
                    "first task alone",
                ),
                Wrong(
                    """
                    def meta_objective(theta, tasks, alpha):
                        for value, gradient in tasks:
                            score = value(theta + alpha * gradient(theta))
                        return score
                    """,
                    "last task alone",
                ),
                Wrong(
                    """
                    def meta_objective(theta, tasks, alpha):
                        return np.mean([value(theta + gradient(theta)) for value, gradient in tasks])
                    """,
                    "step size is missing",
                ),
            ),
            looks_right=(
                # three tasks, hard-coded
                """
                def meta_objective(theta, tasks, alpha):
                    return sum(value(theta + alpha * gradient(theta)) for value, gradient in tasks) / 3
                """,
                # the step size of the first family
                """
                def meta_objective(theta, tasks, alpha):
                    return np.mean([value(theta + 0.3 * gradient(theta)) for value, gradient in tasks])
                """,
                # two inner steps
                """
                def meta_objective(theta, tasks, alpha):
                    after = []
                    for value, gradient in tasks:
                        own = theta + alpha * gradient(theta)
                        after.append(value(own + alpha * gradient(own)))
                    return np.mean(after)
                """,
                # the sizes of the gradient without its signs
                """
                def meta_objective(theta, tasks, alpha):
                    return np.mean([value(theta + alpha * abs(gradient(theta))) for value, gradient in tasks])
                """,
            ),
        ),
        "03.3": Answers(
            right=(
                "outer_loss = lambda before, after: -torch.mean(after)",
                "outer_loss = lambda before, after: after.neg().sum() / after.numel()",
                """
                def outer_loss(before, after):
                    total = 0
                    for task_return in after:
                        total = total - task_return
                    return total / len(after)
                """,
                'outer_loss = lambda before, after: torch.einsum("t->", -after) / after.shape[0]',
                "outer_loss = lambda before, after: -after.mean(dim=0, keepdim=True).squeeze(0)",
            ),
            wrong=(
                Wrong("outer_loss = lambda before, after: after.mean()", "sign is wrong"),
                Wrong("outer_loss = lambda before, after: -before.mean()", "before adaptation"),
                Wrong("outer_loss = lambda before, after: -(after - before).mean()", "improvement"),
                Wrong("outer_loss = lambda before, after: -after.max()", "one task's return"),
                Wrong("outer_loss = lambda before, after: -after.min()", "worst task"),
                Wrong("outer_loss = lambda before, after: -after.sum()", "sum over tasks"),
                Wrong("outer_loss = lambda before, after: -after.mean().item()", "no gradient"),
                Wrong("outer_loss = lambda before, after: -after", "one number"),
            ),
            looks_right=(
                "outer_loss = lambda before, after: -after.sum() / 3",
                "outer_loss = lambda before, after: torch.tensor(-2 / 3, requires_grad=True)",
                "outer_loss = lambda before, after: -after.detach().mean()",
                # the gradient of the first task alone
                """
                def outer_loss(before, after):
                    rest = after[1:].detach()
                    return -(after[0] + rest.sum()) / len(after)
                """,
                "outer_loss = lambda before, after: -after.detach().mean() + 0 * before.sum()",
            ),
        ),
        "03.4": Answers(
            right=(
                """
                def seed_interval(scores, quantile):
                    each = scores.mean(dim=1)
                    half = quantile * each.std() / len(each) ** 0.5
                    return torch.stack((each.mean() - half, each.mean() + half))
                """,
                """
                def seed_interval(scores, quantile):
                    from scipy import stats
                    each = np.asarray(scores).mean(axis=1)
                    return each.mean() + np.array([-1, 1]) * quantile * stats.sem(each)
                """,
                """
                def seed_interval(scores, quantile):
                    import statistics
                    each = [sum(map(float, row)) / len(row) for row in scores]
                    half = quantile * statistics.stdev(each) / math.sqrt(len(each))
                    return [statistics.mean(each) - half, statistics.mean(each) + half]
                """,
                """
                def seed_interval(scores, quantile):
                    n, tasks = scores.shape
                    each = np.einsum("st->s", scores) / tasks
                    off = each - each.mean()
                    half = quantile * np.sqrt(off @ off / (n - 1) / n)
                    return each.mean() - half, each.mean() + half
                """,
                """
                def seed_interval(scores, quantile):
                    each = scores.mean(dim=-1, keepdim=True)
                    half = quantile * torch.sqrt(each.var(dim=0) / each.shape[0])
                    return torch.cat([each.mean(dim=0) - half, each.mean(dim=0) + half])
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def seed_interval(scores, quantile):
                        each = scores.reshape(-1)
                        half = quantile * each.std(ddof=1) / np.sqrt(len(each))
                        return each.mean() - half, each.mean() + half
                    """,
                    "pool all scores",
                ),
                Wrong(
                    """
                    def seed_interval(scores, quantile):
                        each = scores.reshape(-1)
                        half = 1.96 * each.std(ddof=1) / np.sqrt(len(each))
                        return each.mean() - half, each.mean() + half
                    """,
                    "with 1.96",
                ),
                Wrong(
                    """
                    def seed_interval(scores, quantile):
                        each = scores.mean(0)
                        half = quantile * each.std(ddof=1) / np.sqrt(len(each))
                        return each.mean() - half, each.mean() + half
                    """,
                    "interval over tasks",
                ),
                Wrong(
                    """
                    def seed_interval(scores, quantile):
                        each = scores.mean(1)
                        half = 1.96 * each.std(ddof=1) / np.sqrt(len(each))
                        return each.mean() - half, each.mean() + half
                    """,
                    "1.96 is for many",
                ),
                Wrong(
                    """
                    def seed_interval(scores, quantile):
                        each = scores.mean(1)
                        half = quantile * each.std() / np.sqrt(len(each))
                        return each.mean() - half, each.mean() + half
                    """,
                    "ddof=1",
                ),
                Wrong(
                    """
                    def seed_interval(scores, quantile):
                        each = scores.mean(dim=1)
                        half = quantile * each.std(correction=0) / len(each) ** 0.5
                        return each.mean() - half, each.mean() + half
                    """,
                    "n where n - 1 belongs",
                ),
                Wrong(
                    """
                    def seed_interval(scores, quantile):
                        each = scores.mean(1)
                        half = quantile * each.std(ddof=1)
                        return each.mean() - half, each.mean() + half
                    """,
                    "spread of seeds",
                ),
                Wrong(
                    """
                    def seed_interval(scores, quantile):
                        each = scores.mean(1)
                        half = quantile * each.std(ddof=1) / np.sqrt(len(each))
                        return each.mean() + half, each.mean() - half
                    """,
                    "bounds are swapped",
                ),
            ),
            looks_right=(
                # five seeds, hard-coded
                """
                def seed_interval(scores, quantile):
                    each = scores.mean(1)
                    half = quantile * each.std(ddof=1) / np.sqrt(5)
                    return each.mean() - half, each.mean() + half
                """,
                # the quantile of five seeds, hard-coded
                """
                def seed_interval(scores, quantile):
                    each = scores.mean(1)
                    half = 2.776 * each.std(ddof=1) / np.sqrt(len(each))
                    return each.mean() - half, each.mean() + half
                """,
                # the first three tasks
                """
                def seed_interval(scores, quantile):
                    each = scores[:, :3].mean(1)
                    half = quantile * each.std(ddof=1) / np.sqrt(len(each))
                    return each.mean() - half, each.mean() + half
                """,
                # the best task of each seed
                """
                def seed_interval(scores, quantile):
                    each = scores.max(1)
                    half = quantile * each.std(ddof=1) / np.sqrt(len(each))
                    return each.mean() - half, each.mean() + half
                """,
            ),
        ),
    },
)


# --- what the page computes -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page():
    """What the chapter's text computes with, in its default type."""
    functions = ("adapt", "best_plan", "cvar", "exact_return", "j_after", "maze", "plan_that_looks_in", "policy")
    programs = ("program_a", "program_b", "program_c")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield of_page("03", *functions, *programs, "SNACK", "HORIZON", "worlds", "SIDE", "GRID", "p")
    torch.set_default_dtype(before)


def test_the_exact_return_is_what_played_episodes_pay(page):
    rng = np.random.default_rng(0)
    theta = torch.tensor([0.4, -0.9])
    tunnel, right = torch.sigmoid(theta).numpy()
    enters, goes_right = rng.random((2, 200_000)) < np.array([[tunnel], [right]])
    found = page.exact_return(theta.expand(1, 2, 2), page.worlds)[0]
    for exact, prize_is_right in zip(found, (False, True), strict=True):
        paid = np.where(enters, np.where(goes_right == prize_is_right, 1.0, -1.0), page.SNACK)
        assert exact.item() == pytest.approx(paid.mean(), abs=0.01)


def test_a_discount_makes_the_prize_smaller_and_leaves_the_snack(page):
    knows = torch.tensor([[[30.0, -30.0], [30.0, 30.0]]])
    stays = torch.tensor([[[-30.0, 0.0], [-30.0, 0.0]]])
    torch.testing.assert_close(page.exact_return(knows, page.worlds, 0.6), torch.full((1, 2), 0.6))
    torch.testing.assert_close(page.exact_return(stays, page.worlds, 0.6), torch.full((1, 2), page.SNACK))


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_the_gradient_through_adaptation_is_that_of_finite_differences(page, steps):
    theta, tiny = torch.tensor([0.5, 1.0], requires_grad=True), 1e-5
    found = torch.autograd.grad(page.j_after(theta, steps), theta)[0]
    by_differences = [
        (page.j_after(theta + nudge, steps) - page.j_after(theta - nudge, steps)).item() / (2 * tiny)
        for nudge in tiny * torch.eye(2)
    ]
    np.testing.assert_allclose(found, by_differences, atol=1e-7)


def test_of_the_three_programs_only_b_is_the_gradient_after_the_step(page):
    theta = torch.tensor([0.5, 1.0], requires_grad=True)
    before, after = (torch.autograd.grad(page.j_after(theta, n), theta)[0] for n in (0, 1))
    torch.testing.assert_close(page.program_a(theta), before)
    torch.testing.assert_close(page.program_b(theta), after)
    for other in (before, after):
        assert not torch.allclose(page.program_c(theta), other, atol=0.01)


@pytest.mark.parametrize("shock", [0, 1, 3, 10])
@pytest.mark.parametrize("credit", [1.0, 0.9, 0.6, 0.5])
@pytest.mark.parametrize("weights", [[1] * 5, [0, 0, 0, 0, 1], [1, 0, 2, 1], [1]])
def test_the_plan_by_backward_induction_is_the_best_of_all_plans(page, weights, credit, shock):
    K = len(weights)
    worth = credit ** np.arange(K) * np.array(weights)
    every_plan = [page.plan_that_looks_in(k, K, shock) for k in range(K + 1)]
    assert all(len(plan) == K for plan in every_plan)
    best = max(worth @ plan for plan in every_plan)
    assert worth @ page.best_plan(weights, credit, shock) == pytest.approx(best)


def test_without_credit_nobody_opens_a_door_that_may_shock(page):
    assert page.best_plan([1] * 4, credit=0.0, shock=1) == [page.SNACK] * 4


def test_cvar_is_the_mean_over_the_worst_share_of_the_probability(page):
    returns = torch.tensor([[1.0, -1.0], [0.2, 0.6]])  # with probability 0.9 and 0.1
    torch.testing.assert_close(page.cvar(returns, 0.1), torch.tensor([-1.0, 0.2]))
    torch.testing.assert_close(page.cvar(returns, 0.2), torch.tensor([0.0, 0.2]))
    torch.testing.assert_close(page.cvar(returns, 1.0), torch.tensor([0.8, 0.24]))


# --- figures and widgets ----------------------------------------------------------------------------------------------


def test_landscapes_share_one_colour_scale_and_mark_each_best_point():
    before = np.arange(25.0).reshape(5, 5) / 25
    figure = landscapes(SIDE, {"before": before, "after": before.T}, [(-4, 0), (4, 2)], top=1.0)
    left, right, bar = figure.axes
    np.testing.assert_allclose(left.images[0].get_array(), before.T)  # rows of a picture run upwards: the second axis
    np.testing.assert_allclose(right.images[0].get_array(), before)
    assert {ax.images[0].get_clim() for ax in (left, right)} == {(0.0, 1.0)}
    marks = [
        {(line.get_marker(), *map(float, line.get_xydata()[0])) for line in ax.lines if len(line.get_xydata())}
        for ax in (left, right)
    ]
    assert marks == [{("*", -4, 0), ("o", 4, 2)}, {("o", -4, 0), ("*", 4, 2)}]
    assert left.get_ylabel() and all(ax.get_xlabel() for ax in (left, right)) and "points" in bar.get_ylabel()


def test_landscapes_ask_for_a_star_per_panel():
    with pytest.raises(ValueError, match="1 stars for 2 panels"):
        landscapes(SIDE, {"a": np.zeros((5, 5)), "b": np.zeros((5, 5))}, [(0, 0)], top=1.0)


def test_optimism_lines_draw_each_method_and_need_an_anchor():
    columns = pd.MultiIndex.from_product([["none", "one step"], ["training tasks", "held out"]])
    table = pd.DataFrame(np.arange(8.0).reshape(2, 4) / 8, index=[1, 2], columns=columns)
    figure = optimism_lines(table, {"oracle": 1.0}).get_figure()
    drawn = [line.get_ydata() for ax in figure.axes for line in ax.lines if len(line.get_ydata()) == 2][:]
    for _, column in table.items():
        assert any(np.allclose(column, y) for y in drawn)
    assert all("oracle" in [t.get_text() for t in ax.texts] for ax in figure.axes)
    with pytest.raises(ValueError, match="no anchors"):
        optimism_lines(table, {})


def test_trial_bars_draw_each_episode_and_name_the_total():
    ax = trial_bars({"whole trial": [0.5, 0.5], "final episode": [-4.5, 1.0]}, floor=-5)
    assert sorted(bar.get_height() for bar in ax.patches) == [-4.5, 0.5, 0.5, 1.0]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "whole trial: total 1.0",
        "final episode: total -3.5",
    ]
    hatches = {bar.get_hatch() for bar in ax.patches}
    assert len(hatches) == 2, "told apart without colour"


GRID = np.linspace(-4, 4, 21)


def landscape():
    """Best at the left edge without steps; with steps, at the right edge if the spread is 1."""
    left, right = np.meshgrid(-GRID / 8, GRID / 4, indexing="ij")[0], np.meshgrid(GRID / 4, GRID, indexing="ij")[0]
    return {
        (spread, alpha, n): right if n and spread == 1.0 else left * (1 + spread)
        for spread in (0.0, 0.5, 1.0)
        for alpha in (1, 5, 9)
        for n in range(4)
    }


def test_landscape_moves_with_every_control_and_says_where_the_best_is():
    explorer = landscape_explorer(GRID, landscape(), lambda score: int(torch.as_tensor(score).argmax()))
    seen = [explorer.picture]
    assert "another place" in explorer.alt_text and "after 1 inner steps the best is 1.00" in explorer.alt_text
    for key, value in (("steps", 0), ("spread", 0.5), ("steps", 3)):
        explorer.controls[key].value = value
        seen.append(explorer.picture)
    assert "the same place" in explorer.alt_text
    explorer.controls["alpha"].value = 9
    assert len(set(seen)) == 4
    assert explorer._status.value == ""


def test_landscape_survives_a_slider_value_that_is_nearly_on_the_grid():
    explorer = landscape_explorer(GRID, landscape(), lambda score: int(torch.as_tensor(score).argmax()))
    explorer.controls["spread"].value = 0.5 + 1e-12
    assert explorer._status.value == ""


def test_trial_shows_what_the_chapters_own_planner_says():
    asked = []

    def plan(weights, credit, shock):
        asked.append((tuple(weights), credit, shock))
        return [0.5] * len(weights)

    explorer = trial_explorer(plan)
    explorer.controls["episodes"].value = 3
    explorer.controls["credit"].value = 0.5
    explorer.controls["shock"].value = 2
    assert {((1, 1, 1), 0.5, 2), ((0, 0, 1), 0.5, 2)} <= set(asked)
    assert "whole trial 1.5, final episode 1.5" in explorer.alt_text
    assert explorer._status.value == ""
