"""Chapter 15, the average policy: a KL's direction, the average over visits, Distral's task policy, InfoNCE."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Wrong, diagnose, numbers

P = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]])  # the task's policy in two states
Q = np.array([[0.3, 0.5, 0.2], [0.1, 0.7, 0.2]])  # the average policy


def check_contrast(answer):
    got = numbers(answer(P.copy(), Q.copy()), (2,), "contrast(task, average)")
    forward, reverse = (P * np.log(P / Q)).sum(1), (Q * np.log(Q / P)).sum(1)
    mistakes = {
        "Wrong way round: the actions are drawn from the task's policy, so its probabilities are the weights.": reverse,
        "The sign is off: a KL is never below 0, and yours is.": -forward,
        "The weights are missing: you sum log-ratios, not their mean under the task's policy.": np.log(P / Q).sum(1),
        "You weigh by the average policy: the actions are drawn from the task's.": (Q * np.log(P / Q)).sum(1),
        "Both ways are averaged: that is the symmetric divergence (Jeffreys'), not this contrast.": (
            (forward + reverse) / 2
        ),
        "You average over actions: probabilities are weights already, so add up.": forward / 3,
    }
    return diagnose(got, forward, mistakes, "Not E_{a ~ task}[log task(a) - log average(a)] in each state.")


POLICIES = np.array([[[0.8, 0.2], [0.5, 0.5]], [[0.3, 0.7], [0.9, 0.1]], [[0.1, 0.9], [0.2, 0.8]]])  # (N, S, A)
VISITS = np.array([[4.0, 1.0], [1.0, 1.0], [0.0, 3.0]])  # (N, S)


def geometric(visits):
    mixed = np.exp((visits[..., None] * np.log(POLICIES)).sum(0) / visits.sum(0)[:, None])
    return mixed / mixed.sum(-1, keepdims=True)


def check_average(answer):
    got = numbers(answer(POLICIES.copy(), VISITS.copy()), (2, 2), "average(policies, visits)")
    weighted = (VISITS[..., None] * POLICIES).sum(0)
    over_states = VISITS / VISITS.sum(1, keepdims=True)
    mistakes = {
        "Visits are left out: a policy that never comes to a state has no say in it.": POLICIES.mean(0),
        "That is the geometric average: the minimum of the reverse KL.": geometric(VISITS),
        "Not normalised: divide by all tasks' visits to the state.": weighted,
        "Divided by the number of tasks, not by the visits: the rows do not sum to 1.": weighted / 3,
        "You share out each task's visits over states: divide by the visits of all tasks to one state.": (
            (over_states[..., None] * POLICIES).sum(0)
        ),
        "One weight a task, for all states: weigh state by state.": (
            (VISITS.sum(1)[:, None, None] * POLICIES).sum(0) / VISITS.sum()
        ),
    }
    return diagnose(
        got, weighted / VISITS.sum(0)[:, None], mistakes, "Not the mean of the policies, weighted by visits."
    )


PRIOR, VALUES = np.array([0.7, 0.2, 0.1]), np.array([0.0, 1.0, 1.5])
C_KL, C_ENT = 0.6, 0.2


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def check_task_policy(answer):
    got = numbers(answer(PRIOR.copy(), VALUES.copy(), C_KL, C_ENT), (3,), "task_policy(prior, q, c_kl, c_ent)")
    total, log_prior = C_KL + C_ENT, np.log(PRIOR)
    weight = PRIOR ** (C_KL / total) * np.exp(VALUES / total)
    mistakes = {
        "The exponent of the prior is missing: alpha = c_kl / (c_kl + c_ent).": softmax(log_prior + VALUES / total),
        "You multiply the values by c_kl + c_ent: dear weights must soften the policy, so divide.": softmax(
            C_KL / total * log_prior + total * VALUES
        ),
        "The entropy's weight is left out of beta.": softmax(C_KL / total * log_prior + VALUES / C_KL),
        "alpha and 1 - alpha are swapped: the KL's weight is what holds to the prior.": softmax(
            C_ENT / total * log_prior + VALUES / total
        ),
        "The prior is left out: that is the policy of entropy alone.": softmax(VALUES / total),
        "It does not sum to 1.": weight,
    }
    return diagnose(got, weight / weight.sum(), mistakes, "Not prior^alpha exp(beta q), normalised.")


SCORES = np.array([[2.0, 0.5, -1.0], [0.0, 1.0, 1.5], [0.3, -0.5, 0.8]])


def log_softmax(x, axis):
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def check_info_nce(answer):
    got = numbers(answer(SCORES.copy()), (), "info_nce(scores)")
    own = np.diag(log_softmax(SCORES, 1))
    others = np.exp(SCORES).sum(1) - np.exp(np.diag(SCORES))
    mistakes = {
        "The sign is off: a loss of minus the log-probability is above 0.": own.mean(),
        "That is the sum over rows, not the mean.": -own.sum(),
        "The softmax runs down the columns: each row holds the candidates of one x.": -np.diag(
            log_softmax(SCORES, 0)
        ).mean(),
        "The positive is missing under the fraction bar: it is one of the N candidates.": (
            np.log(others) - np.diag(SCORES)
        ).mean(),
        "You average over all pairs: the positive ones lie on the diagonal.": -log_softmax(SCORES, 1).mean(),
        "The log is missing: you return a probability.": np.exp(own).mean(),
    }
    return diagnose(got, -own.mean(), mistakes, "Not minus the mean log-softmax of the diagonal, row by row.")


def contrast(expression):
    return f"contrast = lambda p, q: {expression}"


def average(end="/ visits.sum(0)[:, None]", mixed="(visits[..., None] * policies).sum(0)", first=""):
    return f"def average(policies, visits):\n    {first}mixed = {mixed}\n    return mixed {end}"


GEOMETRIC = "np.exp((visits[..., None] * np.log(policies)).sum(0) / visits.sum(0)[:, None])"


def task_policy(alpha="k / (k + e)", beta="1 / (k + e)", end="/ w.sum()", prior="prior"):
    return f"def task_policy(prior, q, k, e):\n    w = {prior} ** ({alpha}) * np.exp(({beta}) * q)\n    return w {end}"


def info_nce(value="-own.mean()", axis="1", sums="np.exp(s).sum({axis}, keepdims=True)"):
    log_p = f"s - np.log({sums.format(axis=axis)})"
    return f"def info_nce(s):\n    log_p = {log_p}\n    own = np.diag(log_p)\n    return {value}"


EXERCISES = (
    Exercise(
        id="15.1",
        name="contrast",
        task="write contrast(task, average): (S, A), (S, A) -> (S,), the mean log-ratio in each state, nats",
        check=check_contrast,
        hints=(
            "Who draws the actions?",
            "sum_a task(a) (log task(a) - log average(a))",
            "return (task * np.log(task / average)).sum(1)",
        ),
        solution=contrast("(p * np.log(p / q)).sum(1)"),
        wrong=(
            Wrong(contrast("(q * np.log(q / p)).sum(1)"), "Wrong way round"),
            Wrong(contrast("(p * np.log(q / p)).sum(1)"), "sign is off"),
            Wrong(contrast("np.log(p / q).sum(1)"), "weights are missing"),
            Wrong(contrast("(q * np.log(p / q)).sum(1)"), "weigh by the average policy"),
            Wrong(contrast("((p - q) * np.log(p / q)).sum(1) / 2"), "Both ways"),
            Wrong(contrast("(p * np.log(p / q)).mean(1)"), "average over actions"),
        ),
    ),
    Exercise(
        id="15.2",
        name="average",
        task="write average(policies, visits): (N, S, A), (N, S) -> (S, A), the minimum of the mean forward KL",
        check=check_average,
        hints=(
            "Who comes to this state, and what do they do there?",
            "sum_i d_i(s) pi_i(a|s) / sum_i d_i(s)",
            "return (visits[..., None] * policies).sum(0) / visits.sum(0)[:, None]",
        ),
        solution=average(),
        wrong=(
            Wrong(average("", "policies.mean(0)"), "Visits are left out"),
            Wrong(average("/ mixed.sum(-1, keepdims=True)", GEOMETRIC), "geometric average"),
            Wrong(average(""), "Not normalised"),
            Wrong(average("/ len(policies)"), "number of tasks"),
            Wrong(average("", first="visits = visits / visits.sum(1, keepdims=True); "), "share out"),
            Wrong(average("/ visits.sum()", "(visits.sum(1)[:, None, None] * policies).sum(0)"), "One weight a task"),
        ),
    ),
    Exercise(
        id="15.3",
        name="task_policy",
        task="write task_policy(prior, q, c_kl, c_ent): (A,), (A,), two numbers -> (A,), Distral's task policy",
        check=check_task_policy,
        hints=(
            "Two forces: the prior, and the values. What is each raised to, or multiplied by?",
            "prior^alpha exp(beta q), alpha = c_kl / (c_kl + c_ent), beta = 1 / (c_kl + c_ent)",
            "w = prior ** (c_kl / (c_kl + c_ent)) * np.exp(q / (c_kl + c_ent)); return w / w.sum()",
        ),
        solution=task_policy(),
        wrong=(
            Wrong(task_policy(alpha="1"), "exponent of the prior"),
            Wrong(task_policy(beta="k + e"), "so divide"),
            Wrong(task_policy(beta="1 / k"), "left out of beta"),
            Wrong(task_policy(alpha="e / (k + e)"), "swapped"),
            Wrong(task_policy(prior="1.0"), "prior is left out"),
            Wrong(task_policy(end=""), "sum to 1"),
        ),
    ),
    Exercise(
        id="15.4",
        name="info_nce",
        task="write info_nce(scores): (N, N) -> a number, positive pairs on the diagonal, one row for each x",
        check=check_info_nce,
        hints=(
            "Each row is a multiple-choice question with N answers. Where is the right one?",
            "- mean_i [ f_ii - log sum_j exp f_ij ]",
            "return (np.log(np.exp(scores).sum(1)) - np.diag(scores)).mean()",
        ),
        solution=info_nce(),
        wrong=(
            Wrong(info_nce("own.mean()"), "sign is off"),
            Wrong(info_nce("-own.sum()"), "sum over rows"),
            Wrong(info_nce(axis="0"), "down the columns"),
            Wrong(
                info_nce(sums="(np.exp(s) * (1 - np.eye(len(s)))).sum({axis}, keepdims=True)"), "under the fraction bar"
            ),
            Wrong(info_nce("-log_p.mean()"), "all pairs"),
            Wrong(info_nce("np.exp(own).mean()"), "log is missing"),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "15.a",
        "Half of the tasks go left, half go right, all find `up` second best. What does the *reverse* KL's average do?",
        (
            Option("Left or right, by a coin", "That is the forward KL's: it covers what any task does."),
            Option("Up", "It keeps to what no task finds unlikely. No task plays it most.", right=True),
            Option("All actions alike", "`stay` is unlikely under every task; neither average likes it."),
        ),
    ),
    Quiz(
        "15.b",
        "What is wrong with `distil`?",
        (
            Option("The learning rate is too high", "The loss falls smoothly. But where to?"),
            Option(
                "`kl_div` wants log-probabilities first, and gets probabilities",
                "It computes target (log target - input). With probabilities for input that is no KL: it can be "
                "below 0, and its minimum is elsewhere.",
                right=True,
            ),
            Option(
                "The two policies are swapped", "`kl_div(input, target)` is KL(target || input): the order is right."
            ),
            Option("The average needs visits", "Both tasks visit the one state equally often."),
        ),
    ),
)
