"""Chapter 15: answers to its exercises, its corridor, what it reads from tables, its figures and its widget."""

import numpy as np
import pandas as pd
import pytest
import torch
from answers import Answers, Wrong, answer_tests
from pages import of_page

from metarl_lab.chapters.ch15_average_policy import corridor, experiments, figures
from metarl_lab.chapters.ch15_average_policy.widget import KINDS, PATH, average_explorer, divergences, path_of
from metarl_lab.exact.distral import soft_value_iteration
from metarl_lab.ops.contrast import arithmetic_average, geometric_average, info_nce
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.teach.figures import looks

# --- answers to the exercises -----------------------------------------------------------------------------------------

test_answers = answer_tests(
    "15",
    {
        "15.1": Answers(
            right=(
                "contrast = lambda task, average: (task * (task.log() - average.log())).sum(dim=-1)",
                "contrast = lambda task, average: np.einsum('sa,sa->s', task, np.log(task) - np.log(average))",
                """
                def contrast(task, average):
                    from scipy.special import rel_entr
                    return rel_entr(np.asarray(task), np.asarray(average)).sum(axis=1)
                """,
                """
                def contrast(task, average):
                    found = []
                    for p, q in zip(task, average):
                        found.append(sum(float(x) * math.log(float(x) / float(y)) for x, y in zip(p, q)))
                    return found
                """,
                """
                def contrast(task, average):
                    p, q = (torch.distributions.Categorical(probs=x) for x in (task, average))
                    return torch.distributions.kl_divergence(p, q)
                """,
                """
                def contrast(task, average):
                    each = torch.nn.functional.kl_div(average.log(), task, reduction="none")
                    return each.sum(dim=1, keepdim=True).squeeze(1)
                """,
            ),
            wrong=(
                Wrong("contrast = lambda task, average: (average * np.log(average / task)).sum(1)", "Wrong way round"),
                Wrong("contrast = lambda task, average: (task * np.log(average / task)).sum(1)", "sign is off"),
                Wrong("contrast = lambda task, average: np.log(task / average).sum(1)", "weights are missing"),
                Wrong("contrast = lambda task, average: np.log(task / average).mean(1)", "equally likely"),
                Wrong(
                    "contrast = lambda task, average: (average * np.log(task / average)).sum(1)",
                    "weigh by the average policy",
                ),
                Wrong(
                    "contrast = lambda task, average: ((task - average) * np.log(task / average)).sum(1) / 2",
                    "Both ways",
                ),
                Wrong("contrast = lambda task, average: (task * np.log(task / average)).mean(1)", "over actions"),
                Wrong("contrast = lambda task, average: (task * np.log2(task / average)).sum(1)", "in bits"),
                Wrong("contrast = lambda task, average: (task * np.log(task / average)).sum(0)", "shape"),
            ),
            looks_right=(
                # two states, hard-coded
                """
                def contrast(task, average):
                    ratio = task * np.log(task / average)
                    return np.array([ratio[0].sum(), ratio[1].sum()])
                """,
                # three actions, the last one by what the others leave
                """
                def contrast(task, average):
                    found = task[:, 0] * np.log(task[:, 0] / average[:, 0])
                    found += task[:, 1] * np.log(task[:, 1] / average[:, 1])
                    left, of_average = 1 - task[:, :2].sum(1), 1 - average[:, :2].sum(1)
                    return found + left * np.log((left + 1e-3) / (of_average + 1e-3))
                """,
                # the mean over states of the right one
                """
                def contrast(task, average):
                    found = (task * np.log(task / average)).sum(1)
                    return np.full(len(found), found.mean())
                """,
                # the entropy of the task in place of its log-ratio
                "contrast = lambda task, average: -(task * np.log(task)).sum(1)",
                # the average's cross-entropy: the same gradient with respect to the average, another number
                "contrast = lambda task, average: -(task * np.log(average)).sum(1)",
            ),
        ),
        "15.2": Answers(
            right=(
                """
                def average(policies, visits):
                    share = visits / visits.sum(dim=0, keepdim=True)
                    return (share.unsqueeze(-1) * policies).sum(dim=0)
                """,
                """
                def average(policies, visits):
                    return np.einsum("nsa,ns->sa", policies, visits / visits.sum(axis=0))
                """,
                """
                def average(policies, visits):
                    mixed = (visits[:, :, None] * policies).sum(0)
                    return mixed / mixed.sum(-1, keepdims=True)  # each policy sums to 1, so this is the visits' sum
                """,
                """
                def average(policies, visits):
                    tasks, states, actions = (range(n) for n in np.shape(policies))
                    table = []
                    for s in states:
                        come = sum(float(visits[i][s]) for i in tasks)
                        table.append(
                            [sum(float(visits[i][s]) * float(policies[i][s][a]) for i in tasks) / come for a in actions]
                        )
                    return table
                """,
                """
                def average(policies, visits):
                    states = range(visits.shape[1])
                    return np.stack([np.average(policies[:, s], axis=0, weights=visits[:, s]) for s in states])
                """,
            ),
            wrong=(
                Wrong("average = lambda policies, visits: policies.mean(0)", "Visits are left out"),
                Wrong(
                    """
                    def average(policies, visits):
                        share = visits / visits.sum(0)
                        mixed = np.exp((share[..., None] * np.log(policies)).sum(0))
                        return mixed / mixed.sum(-1, keepdims=True)
                    """,
                    "geometric average",
                ),
                Wrong("average = lambda policies, visits: (visits[..., None] * policies).sum(0)", "Not normalised"),
                Wrong("average = lambda policies, visits: (visits[..., None] * policies).mean(0)", "number of tasks"),
                Wrong(
                    "average = lambda policies, visits: (visits[..., None] * policies).sum(0) / visits.sum()",
                    "visits to all states",
                ),
                Wrong(
                    """
                    def average(policies, visits):
                        share = visits / visits.sum(1, keepdims=True)
                        return (share[..., None] * policies).sum(0)
                    """,
                    "share out",
                ),
                Wrong(
                    """
                    def average(policies, visits):
                        weight = visits.sum(1) / visits.sum()
                        return (weight[:, None, None] * policies).sum(0)
                    """,
                    "One weight a task",
                ),
                Wrong(
                    """
                    def average(policies, visits):
                        most = visits.argmax(0)
                        return np.stack([policies[i, s] for s, i in enumerate(most)])
                    """,
                    "most often",
                ),
            ),
            looks_right=(
                # the first state's weights in all states
                """
                def average(policies, visits):
                    share = visits[:, 0] / visits[:, 0].sum()
                    return np.einsum("n,nsa->sa", share, policies)
                """,
                # three tasks, hard-coded
                """
                def average(policies, visits):
                    mixed = sum(visits[i][:, None] * policies[i] for i in (0, 1, len(policies) - 1))
                    return mixed / mixed.sum(-1, keepdims=True)
                """,
                # tasks that come, each with one vote
                """
                def average(policies, visits):
                    come = (visits > 0) * 1.0
                    return (come[..., None] * policies).sum(0) / come.sum(0)[:, None]
                """,
                # one visit more for everybody
                """
                def average(policies, visits):
                    visits = visits + 1
                    return (visits[..., None] * policies).sum(0) / visits.sum(0)[:, None]
                """,
            ),
        ),
        "15.3": Answers(
            right=(
                """
                def task_policy(prior, q, c_kl, c_ent):
                    total = c_kl + c_ent
                    return torch.softmax((c_kl * prior.log() + q) / total, dim=-1)
                """,
                """
                def task_policy(prior, q, c_kl, c_ent):
                    from scipy.special import softmax
                    return softmax((c_kl * np.log(np.asarray(prior)) + np.asarray(q)) / (c_kl + c_ent))
                """,
                """
                def task_policy(prior, q, c_kl, c_ent):
                    weights = [
                        float(p) ** (c_kl / (c_kl + c_ent)) * math.exp(float(value) / (c_kl + c_ent))
                        for p, value in zip(prior, q)
                    ]
                    return [w / sum(weights) for w in weights]
                """,
                """
                def task_policy(prior, q, c_kl, c_ent):
                    energy = (c_kl * np.log(prior) + q) / (c_kl + c_ent)
                    return np.exp(energy - np.logaddexp.reduce(energy))
                """,
                """
                def task_policy(prior, q, c_kl, c_ent):
                    alpha, beta = c_kl / (c_kl + c_ent), 1 / (c_kl + c_ent)
                    v = torch.logsumexp(alpha * torch.log(prior) + beta * q, dim=0, keepdim=True) / beta
                    return prior**alpha * torch.exp(beta * (q - v))
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def task_policy(prior, q, c_kl, c_ent):
                        weight = prior * np.exp(q / (c_kl + c_ent))
                        return weight / weight.sum()
                    """,
                    "exponent of the prior",
                ),
                Wrong(
                    """
                    def task_policy(prior, q, c_kl, c_ent):
                        weight = prior ** (c_kl / (c_kl + c_ent)) * np.exp((c_kl + c_ent) * q)
                        return weight / weight.sum()
                    """,
                    "so divide",
                ),
                Wrong(
                    """
                    def task_policy(prior, q, c_kl, c_ent):
                        weight = prior ** (c_kl / (c_kl + c_ent)) * np.exp(q / c_kl)
                        return weight / weight.sum()
                    """,
                    "left out of beta",
                ),
                Wrong(
                    """
                    def task_policy(prior, q, c_kl, c_ent):
                        weight = prior ** (c_kl / (c_kl + c_ent)) * np.exp(q)
                        return weight / weight.sum()
                    """,
                    "beta is missing",
                ),
                Wrong(
                    """
                    def task_policy(prior, q, c_kl, c_ent):
                        weight = prior ** (c_ent / (c_kl + c_ent)) * np.exp(q / (c_kl + c_ent))
                        return weight / weight.sum()
                    """,
                    "swapped",
                ),
                Wrong(
                    """
                    def task_policy(prior, q, c_kl, c_ent):
                        weight = np.exp(q / (c_kl + c_ent))
                        return weight / weight.sum()
                    """,
                    "prior is left out",
                ),
                Wrong(
                    """
                    def task_policy(prior, q, c_kl, c_ent):
                        weight = prior ** (c_kl / (c_kl + c_ent))
                        return weight / weight.sum()
                    """,
                    "values are left out",
                ),
                Wrong(
                    """
                    def task_policy(prior, q, c_kl, c_ent):
                        return prior ** (c_kl / (c_kl + c_ent)) * np.exp(q / (c_kl + c_ent))
                    """,
                    "sum to 1",
                ),
            ),
            looks_right=(
                # the weights of the first input
                """
                def task_policy(prior, q, c_kl, c_ent):
                    weight = prior**0.75 * np.exp(q / 0.8)
                    return weight / weight.sum()
                """,
                # three actions, hard-coded
                """
                def task_policy(prior, q, c_kl, c_ent):
                    weight = prior ** (c_kl / (c_kl + c_ent)) * np.exp(q / (c_kl + c_ent))
                    return weight / weight[:3].sum()
                """,
                # the best action alone
                "task_policy = lambda prior, q, c_kl, c_ent: np.eye(len(q))[np.argmax(q)]",
                # a mixture in place of a product
                """
                def task_policy(prior, q, c_kl, c_ent):
                    alpha = c_kl / (c_kl + c_ent)
                    greedy = np.exp(q / (c_kl + c_ent))
                    return alpha * prior + (1 - alpha) * greedy / greedy.sum()
                """,
            ),
        ),
        "15.4": Answers(
            right=(
                "info_nce = lambda scores: torch.nn.functional.cross_entropy(scores, torch.arange(len(scores)))",
                "info_nce = lambda scores: -scores.log_softmax(dim=1).diagonal().mean()",
                "info_nce = lambda scores: (torch.logsumexp(scores, dim=-1) - scores.diag()).mean()",
                """
                def info_nce(scores):
                    from scipy.special import logsumexp
                    scores = np.asarray(scores)
                    return np.mean(logsumexp(scores, axis=1, keepdims=True)[:, 0] - np.einsum("ii->i", scores))
                """,
                """
                def info_nce(scores):
                    total = 0.0
                    for i, row in enumerate(scores):
                        row = [float(f) for f in row]
                        total -= math.log(math.exp(row[i]) / sum(math.exp(f) for f in row))
                    return total / len(scores)
                """,
            ),
            wrong=(
                Wrong("info_nce = lambda scores: scores.log_softmax(1).diagonal().mean()", "sign is off"),
                Wrong("info_nce = lambda scores: -scores.log_softmax(1).diagonal().sum()", "sum over rows"),
                Wrong("info_nce = lambda scores: -scores.log_softmax(0).diagonal().mean()", "down the columns"),
                Wrong(
                    """
                    def info_nce(scores):
                        others = np.exp(scores) * (1 - np.eye(len(scores)))
                        return (np.log(others.sum(1)) - np.diag(scores)).mean()
                    """,
                    "under the fraction bar",
                ),
                Wrong("info_nce = lambda scores: -scores.log_softmax(1).mean()", "all pairs"),
                Wrong("info_nce = lambda scores: scores.softmax(1).diagonal().mean()", "log is missing"),
                Wrong(
                    "info_nce = lambda scores: math.log(len(scores)) + scores.log_softmax(1).diagonal().mean()",
                    "the bound",
                ),
                Wrong("info_nce = lambda scores: -scores.log_softmax(1)[0, 0]", "first row alone"),
                Wrong(
                    "info_nce = lambda scores: (scores.flatten().logsumexp(0) - scores.diagonal()).mean()",
                    "whole table",
                ),
                Wrong("info_nce = lambda scores: -scores.log_softmax(1).diagonal()", "one number"),
            ),
            looks_right=(
                # three pairs, hard-coded
                """
                def info_nce(scores):
                    own = scores.log_softmax(1)
                    return -(own[0, 0] + own[1, 1] + own[2, 2]) / 3
                """,
                # the best candidate of each row in place of its own
                "info_nce = lambda scores: -scores.log_softmax(1).max(1).values.mean()",
                # rows and columns averaged, as some contrasts do
                """
                def info_nce(scores):
                    rows, columns = (scores.log_softmax(axis).diagonal().mean() for axis in (1, 0))
                    return -(rows + columns) / 2
                """,
                # the mean of the scores, without the candidates
                "info_nce = lambda scores: math.log(len(scores)) - scores.diagonal().mean()",
            ),
        ),
        "15.5": Answers(
            right=(
                """
                def distral(rewards, c_kl, c_ent, rounds):
                    log_shared = torch.zeros_like(rewards[0]) - math.log(rewards.shape[1])
                    for _ in range(rounds):
                        energy = (c_kl * log_shared + rewards) / (c_kl + c_ent)
                        log_shared = torch.softmax(energy, dim=1).mean(dim=0).log()
                    return log_shared.exp()
                """,
                """
                def distral(rewards, c_kl, c_ent, rounds):
                    # any even start will do: what all actions share is divided out
                    shared = np.ones(len(rewards[0]))
                    for _ in range(rounds):
                        weight = shared[None] ** (c_kl / (c_kl + c_ent)) * np.exp(np.asarray(rewards) / (c_kl + c_ent))
                        shared = np.einsum("na,n->a", weight, 1 / weight.sum(axis=1)) / len(rewards)
                    return shared
                """,
                """
                def distral(rewards, c_kl, c_ent, rounds):
                    def task_policy(prior, q):
                        weight = [p ** (c_kl / (c_kl + c_ent)) * math.exp(x / (c_kl + c_ent)) for p, x in zip(prior, q)]
                        return [w / sum(weight) for w in weight]

                    rows = [[float(x) for x in row] for row in rewards]
                    shared = [1 / len(rows[0])] * len(rows[0])
                    while rounds > 0:
                        policies = [task_policy(shared, row) for row in rows]
                        shared = [sum(column) / len(rows) for column in zip(*policies)]
                        rounds -= 1
                    return shared
                """,
                """
                def distral(rewards, c_kl, c_ent, rounds):
                    from scipy.special import softmax
                    actions = rewards.shape[1]
                    if rounds == 0:
                        return np.full(actions, 1 / actions)
                    before = np.log(distral(rewards, c_kl, c_ent, rounds - 1))
                    return softmax((c_kl * before + rewards) / (c_kl + c_ent), axis=1).mean(axis=0)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def distral(rewards, c_kl, c_ent, rounds):
                        even = np.full(rewards.shape[1], 1 / rewards.shape[1])
                        for _ in range(rounds):
                            weight = even ** (c_kl / (c_kl + c_ent)) * np.exp(rewards / (c_kl + c_ent))
                            shared = (weight / weight.sum(1, keepdims=True)).mean(0)
                        return shared
                    """,
                    "gives the same",
                ),
                Wrong(
                    """
                    def distral(rewards, c_kl, c_ent, rounds):
                        shared = np.full(rewards.shape[1], 1 / rewards.shape[1])
                        for _ in range(rounds - 1):
                            weight = shared ** (c_kl / (c_kl + c_ent)) * np.exp(rewards / (c_kl + c_ent))
                            shared = (weight / weight.sum(1, keepdims=True)).mean(0)
                        return shared
                    """,
                    "round is missing",
                ),
                Wrong(
                    """
                    def distral(rewards, c_kl, c_ent, rounds):
                        shared = np.full(rewards.shape[1], 1 / rewards.shape[1])
                        for _ in range(rounds + 1):
                            weight = shared ** (c_kl / (c_kl + c_ent)) * np.exp(rewards / (c_kl + c_ent))
                            shared = (weight / weight.sum(1, keepdims=True)).mean(0)
                        return shared
                    """,
                    "round too many",
                ),
                Wrong(
                    """
                    def distral(rewards, c_kl, c_ent, rounds):
                        log_shared = torch.zeros_like(rewards[0])
                        for _ in range(rounds):
                            log_policies = ((c_kl * log_shared + rewards) / (c_kl + c_ent)).log_softmax(1)
                            log_shared = log_policies.mean(0).log_softmax(0)
                        return log_shared.exp()
                    """,
                    "geometric averages",
                ),
                Wrong(
                    """
                    def distral(rewards, c_kl, c_ent, rounds):
                        own = np.full(rewards.shape, 1 / rewards.shape[1])
                        for _ in range(rounds):
                            weight = own ** (c_kl / (c_kl + c_ent)) * np.exp(rewards / (c_kl + c_ent))
                            own = weight / weight.sum(1, keepdims=True)
                        return own.mean(0)
                    """,
                    "its own last policy",
                ),
                Wrong(
                    """
                    def distral(rewards, c_kl, c_ent, rounds):
                        shared = np.full(rewards.shape[1], 1 / rewards.shape[1])
                        for _ in range(rounds):
                            for q in rewards:
                                weight = shared ** (c_kl / (c_kl + c_ent)) * np.exp(q / (c_kl + c_ent))
                                shared = weight / weight.sum()
                        return shared
                    """,
                    "one after the other",
                ),
                Wrong(
                    """
                    def distral(rewards, c_kl, c_ent, rounds):
                        shared = np.full(rewards.shape[1], 1 / rewards.shape[1])
                        for _ in range(rounds):
                            weight = shared * np.exp(rewards / (c_kl + c_ent))
                            shared = (weight / weight.sum(1, keepdims=True)).mean(0)
                        return shared
                    """,
                    "exponent of the prior",
                ),
                Wrong(
                    """
                    def distral(rewards, c_kl, c_ent, rounds):
                        shared = np.full(rewards.shape[1], 1 / rewards.shape[1])
                        for _ in range(rounds):
                            weight = shared ** (c_kl / (c_kl + c_ent)) * np.exp(rewards)
                            shared = (weight / weight.sum(1, keepdims=True)).mean(0)
                        return shared
                    """,
                    "beta is missing",
                ),
                Wrong(
                    """
                    def distral(rewards, c_kl, c_ent, rounds):
                        shared = np.full(rewards.shape[1], 1 / rewards.shape[1])
                        for _ in range(rounds):
                            weight = shared ** (c_kl / (c_kl + c_ent)) * np.exp(rewards / (c_kl + c_ent))
                            shared = weight / weight.sum(1, keepdims=True)
                        return shared
                    """,
                    "shape",
                ),
            ),
            looks_right=(
                # three rounds, hard-coded
                """
                def distral(rewards, c_kl, c_ent, rounds):
                    shared = np.full(rewards.shape[1], 1 / rewards.shape[1])
                    for _ in range(3):
                        weight = shared ** (c_kl / (c_kl + c_ent)) * np.exp(rewards / (c_kl + c_ent))
                        shared = (weight / weight.sum(1, keepdims=True)).mean(0)
                    return shared
                """,
                # two tasks, hard-coded
                """
                def distral(rewards, c_kl, c_ent, rounds):
                    shared = np.full(rewards.shape[1], 1 / rewards.shape[1])
                    for _ in range(rounds):
                        weight = shared ** (c_kl / (c_kl + c_ent)) * np.exp(rewards / (c_kl + c_ent))
                        shared = (weight / weight.sum(1, keepdims=True))[:2].mean(0)
                    return shared
                """,
                # weights averaged before they are normalised
                """
                def distral(rewards, c_kl, c_ent, rounds):
                    shared = np.full(rewards.shape[1], 1 / rewards.shape[1])
                    for _ in range(rounds):
                        weight = shared ** (c_kl / (c_kl + c_ent)) * np.exp(rewards / (c_kl + c_ent))
                        shared = weight.mean(0) / weight.mean(0).sum()
                    return shared
                """,
                # the first task's alone
                """
                def distral(rewards, c_kl, c_ent, rounds):
                    shared = np.full(rewards.shape[1], 1 / rewards.shape[1])
                    for _ in range(rounds):
                        weight = shared ** (c_kl / (c_kl + c_ent)) * np.exp(rewards[0] / (c_kl + c_ent))
                        shared = weight / weight.sum()
                    return shared
                """,
            ),
        ),
    },
)


# --- what the page computes -------------------------------------------------------------------------------------------


def test_in_the_corridor_every_move_leads_to_one_state_and_the_goals_are_at_the_ends():
    torch.testing.assert_close(corridor.TRANSITION.sum(-1), torch.ones(2, 7, 4, dtype=torch.float64))
    up, down, left, right = range(4)
    leads_to = corridor.TRANSITION[0].argmax(-1)
    assert leads_to[:5, right].tolist() == [1, 2, 3, 4, 4] and leads_to[:5, left].tolist() == [0, 0, 1, 2, 3]
    assert leads_to[corridor.FORK, up] == corridor.UPPER_END and leads_to[corridor.FORK, down] == corridor.LOWER_END
    assert corridor.REWARD.nonzero().tolist() == [[0, corridor.FORK, up], [1, corridor.FORK, down]]


def test_visits_of_a_walk_to_the_right_are_one_cell_a_step():
    visits_of = of_page("15", "visits_of", MOVE=corridor.TRANSITION).visits_of
    to_the_right = torch.nn.functional.one_hot(torch.tensor(3), 4).double().expand(6, 2, 7, 4)
    visits = visits_of(to_the_right)
    assert visits.shape == (7, 2, 7) and visits.argmax(-1)[:, 0].tolist() == [0, 1, 2, 3, 4, 4, 4]
    torch.testing.assert_close(visits.sum(-1), torch.ones(7, 2, dtype=torch.float64))


def test_distillation_ends_in_a_coin_at_the_fork_and_a_walk_to_the_right_before_it():
    visits_of = of_page("15", "visits_of", MOVE=corridor.TRANSITION).visits_of
    shared = torch.full((7, 4), 0.25, dtype=torch.float64)
    for _ in range(9):
        plan = soft_value_iteration(
            corridor.TRANSITION, corridor.REWARD, shared.log(), corridor.HORIZON, 0.1, 0.02, discount=0.9
        )
        policy = plan.log_policy.exp()
        visits = visits_of(policy)[: corridor.HORIZON]
        shared = arithmetic_average(policy.flatten(0, 1), visits.flatten(0, 1))
    fork = shared[corridor.FORK]
    torch.testing.assert_close(fork[0], fork[1])  # the two tasks mirror each other
    assert fork[0] > 0.49 and fork[3] < 0.01 and (shared[:4, 3] > 0.8).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_best_score_is_the_log_ratio_of_the_densities(seed):
    best_scores = of_page("15", "best_scores", RHO=0.6).best_scores
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    given_x = torch.distributions.Normal(0.6 * x.unsqueeze(1), (1 - 0.6**2) ** 0.5)
    wanted = given_x.log_prob(y.unsqueeze(0)).sum(-1) - torch.distributions.Normal(0.0, 1.0).log_prob(y).sum(-1)
    scores = best_scores(x, y)
    differences = scores - wanted  # a constant is free: it cancels in the softmax
    torch.testing.assert_close(differences, differences[:1, :1].expand(5, 5))
    torch.testing.assert_close(info_nce(scores), info_nce(wanted))


def test_each_contrast_of_the_page_has_its_own_average():
    policies = torch.tensor([[0.7, 0.2, 0.05, 0.05], [0.1, 0.2, 0.6, 0.1]], dtype=torch.float64)
    page = of_page("15", "kl", "nearest")
    even = torch.ones(2, dtype=torch.float64)
    forward, _ = page.nearest(lambda pi: page.kl(policies, pi))
    reverse, left = page.nearest(lambda pi: page.kl(pi, policies))
    torch.testing.assert_close(forward, arithmetic_average(policies, even), atol=1e-3, rtol=0)
    torch.testing.assert_close(reverse, geometric_average(policies, even), atol=1e-3, rtol=0)
    assert left == pytest.approx(page.kl(reverse, policies).mean().item(), abs=1e-6)


@pytest.mark.parametrize("mended", [False, True])
def test_the_bug_of_break_it_leaves_the_average_and_its_mending_finds_it(mended, capsys):
    tasks = torch.tensor([[0.90, 0.05, 0.05], [0.30, 0.65, 0.05]])
    distil = of_page("15", "distil", tasks=tasks).distil
    found = distil(lambda logits: logits.log_softmax(-1) if mended else logits.softmax(-1))
    wanted = tasks.mean(0) if mended else torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(found, wanted, atol=0.01, rtol=0)
    last = float(capsys.readouterr().out.split()[-1])
    assert (last > 0) == mended


def test_what_ten_pulls_tell_is_what_bayes_rule_leaves():
    rng = np.random.default_rng(0)
    chance = rng.random(100_000)
    pulls = rng.binomial(10, 0.2, len(chance))
    paid = rng.binomial(pulls, chance)
    left = np.mean((chance - (paid + 1) / (pulls + 2)) ** 2) / chance.var()
    assert experiments.all_that_pulls_tell() == pytest.approx(1 - left, abs=0.01)
    assert experiments.all_that_pulls_tell(pulls=0) == 0


# --- what is read from the stored tables ------------------------------------------------------------------------------


def small_runs():
    """Two families of two seeds; `extra` was measured on the second only."""
    cases = [("one", "scratch"), ("one", "maml"), ("two", "scratch"), ("two", "maml"), ("two", "extra")]
    index = pd.MultiIndex.from_tuples(
        [(family, learner, seed) for family, learner in cases for seed in (0, 1)], names=["family", "learner", "seed"]
    )
    values = np.arange(20.0).reshape(10, 2) + np.tile([[0.0], [3.0]], (5, 1))
    return pd.DataFrame(values, index=index, columns=[0, 1])


def test_seeds_of_takes_one_learner_on_one_family():
    np.testing.assert_array_equal(experiments.seeds_of(small_runs(), "two", "maml"), [[12, 13], [17, 18]])
    assert experiments.seeds_of(small_runs(), "one", "extra").shape == (0, 2)


def test_intervals_are_over_seeds_and_blank_where_nothing_was_measured():
    runs = small_runs()
    table = experiments.with_intervals(runs, steps=(1,))
    mean, low, high = mean_interval(np.array([5.0, 10.0]))
    assert table.loc["MAML", ("one", "1 step")] == f"{mean:.1f} [{low:.1f}, {high:.1f}]"
    assert table.loc["extra", ("one", "1 step")] == "" and table.loc["extra", ("two", "1 step")] != ""
    curve = experiments.adaptation_curves(runs, ["maml"])["one"]["maml"]
    np.testing.assert_allclose(curve[1][0], [6.5, 7.5])


def test_beside_scratch_pairs_family_and_seed():
    rows = experiments.beside_scratch(small_runs())
    assert "scratch" not in rows.index.get_level_values("learner") and len(rows) == 6
    assert rows.loc[("two", "extra", 1)].tolist() == [22.0, 14.0, "two, extra"]
    assert rows.loc[("one", "maml", 0)].tolist() == [5.0, 1.0, "one, MAML"]


def test_differences_are_paired_by_seed():
    table = experiments.differences(small_runs(), "two", "maml", ["extra"])
    assert list(table.index) == ["extra, 0 steps", "extra, 1 steps"]
    np.testing.assert_allclose(table.to_numpy(), 4.0)  # the same in both seeds: no spread


def test_the_stored_tables_have_what_the_page_says():
    runs, anchors = experiments.adaptation_runs(), experiments.adaptation_anchors()
    assert list(anchors) == list(runs.index.get_level_values("family").unique()) == ["cartpole", "tabular_mdp"]
    assert all(set(fixed) == {"random", "oracle"} for fixed in anchors.values())
    seeds = runs.groupby(["family", "learner"]).size()
    assert (
        (seeds == 5).all()
        and len(seeds) == 12
        and list(runs.columns) == [0, 1, 2, 3]
        and not runs.isna().any(axis=None)
    )
    encoders = experiments.encoder_runs()
    last = experiments.at_the_end(encoders)
    assert list(last.index) == [(encoder, seed) for encoder in experiments.ENCODERS for seed in range(3)]
    for (encoder, seed), row in last.iterrows():
        run = encoders.loc[(encoder, seed)]
        assert (row["probe"], row["probe, untrained"]) == (run["probe"].iloc[-1], run.loc[0.0, "probe"])
    assert experiments.encoder_anchors()["oracle"] > experiments.encoder_anchors()["random"]


# --- figures and widget -----------------------------------------------------------------------------------------------


def test_averages_draw_every_bar_and_mark_the_candidate_and_the_minima():
    policies = {"A": np.array([0.7, 0.3]), "B": np.array([0.2, 0.8]), "candidate": np.array([0.45, 0.55])}
    place = np.array([0.0, 0.5, 1.0])
    curves = {"forward": np.array([3.0, 2.0, 1.0]), "reverse": np.array([1.0, 2.0, 3.0])}
    left, right = figures.averages(["left", "right"], policies, place, curves, 1).axes
    assert sorted(bar.get_height() for bar in left.patches) == [0.2, 0.3, 0.45, 0.55, 0.7, 0.8]
    stars = [(*line.get_xdata(), *line.get_ydata()) for line in right.lines if line.get_marker() == "*"]
    assert stars == [(1.0, 1.0), (0.0, 1.0)]
    here = [line.get_xdata()[0] for line in right.lines if line.get_marker() == "o" and line.get_color() == "black"]
    assert here == [0.5, 0.5]
    assert [t.get_text() for t in left.get_legend().get_texts()] == list(policies)


def test_policy_maps_write_each_probability_where_it_belongs():
    policy = np.array([[0.1, 0.9], [0.75, 0.25], [0.5, 0.5]])
    figure = figures.policy_maps({"a": policy, "b": 1 - policy}, ["x", "y", "z"], ["up", "down"])
    shown = {t.get_position(): t.get_text() for t in figure.axes[0].texts}
    assert shown[(1, 0)] == "0.90" and shown[(0, 1)] == "0.75"
    assert [ax.get_title() for ax in figure.axes[:2]] == ["a", "b"]
    np.testing.assert_allclose(figure.axes[1].images[0].get_array(), 1 - policy)


def test_panels_have_their_own_anchors_and_one_legend():
    band = (np.array([1.0, 2.0]), np.array([0.5, 1.5]), np.array([1.5, 2.5]))
    lines = {"maml": (np.arange(2), band), "b": (np.arange(2), band)}
    curves = {"one": {"maml": lines["maml"]}, "two": lines}
    figure = figures.panels(curves, {"one": {"random": 0.0}, "two": {"oracle": 3.0}}, "steps", ["return"])
    left, right = figure.axes
    assert [t.get_text() for t in left.texts] == ["random play"] and [t.get_text() for t in right.texts] == ["oracle"]
    np.testing.assert_allclose(left.lines[0].get_ydata(), band[0])
    assert (left.get_ylabel(), right.get_ylabel()) == ("return", "")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["MAML", "b"]
    assert left.lines[0].get_color() == right.lines[0].get_color() == looks(["maml"])["maml"]["color"]
    assert right.lines[1].get_color() != right.lines[0].get_color()
    with pytest.raises(ValueError, match="anchors"):
        figures.panels(curves, {"one": {"random": 0.0}}, "steps", ["return"])


def test_reported_information_stays_beside_its_ceiling_and_the_truth():
    sizes, ceiling = np.array([2, 4]), np.log([2, 4])
    band = (np.array([0.5, 1.1]), np.array([0.4, 1.0]), np.array([0.6, 1.2]))
    ax = figures.reported_information(sizes, band, ceiling, 2.0)
    drawn = {line.get_label(): line.get_ydata() for line in ax.lines if not line.get_label().startswith("_")}
    np.testing.assert_allclose(drawn["log N"], ceiling)
    np.testing.assert_allclose(drawn["InfoNCE, best score"], band[0])
    assert [t.get_text().replace("\n", " ") for t in ax.texts] == ["true information"] and ax.get_ylabel() == "nats"


LIKES = {"A": [2.0, -2.0, 1.2], "B": [-2.0, 2.0, 1.2], "C": [1.0, 0.0, 0.0]}
POLICIES = torch.tensor(list(LIKES.values()), dtype=torch.float64).softmax(-1)


def test_the_path_passes_both_averages_and_each_kl_is_lowest_at_its_own():
    candidates, even = path_of(POLICIES), torch.ones(3, dtype=torch.float64)
    zero, one = (int(np.abs(PATH - place).argmin()) for place in (0, 1))
    torch.testing.assert_close(candidates[zero], geometric_average(POLICIES, even))
    torch.testing.assert_close(candidates[one], arithmetic_average(POLICIES, even))
    found = divergences(POLICIES, candidates)
    assert found[KINDS[0]].argmin() == one and found[KINDS[1]].argmin() == zero
    by_hand = (POLICIES * (POLICIES / candidates[3]).log()).sum(1).mean()
    np.testing.assert_allclose(found[KINDS[0]][3], by_hand)


def test_every_control_changes_the_picture_and_its_alt_text():
    explorer = average_explorer(LIKES, ["left", "right", "up"], name="test average")
    for name, value in {"tasks": 2, "temperature": 1.4, "place": 1.0}.items():
        picture, alt = explorer.picture, explorer.alt_text
        explorer.controls[name].value = value
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""
