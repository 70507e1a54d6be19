"""Chapter 15, the average policy: a KL's direction, the average over visits, Distral's policies, InfoNCE."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, diagnose, numbers

# (the task's policy, the average policy), each (S, A): two states and three actions, then four states and two actions
POLICY_PAIRS = (
    (
        np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]]),
        np.array([[0.3, 0.5, 0.2], [0.1, 0.7, 0.2]]),
    ),
    (
        np.array([[0.9, 0.1], [0.35, 0.65], [0.5, 0.5], [0.05, 0.95]]),
        np.array([[0.6, 0.4], [0.7, 0.3], [0.45, 0.55], [0.3, 0.7]]),
    ),
)


def check_contrast(answer):
    for task, average in POLICY_PAIRS:
        states, actions = task.shape
        got = numbers(answer(task, average), (states,), "contrast(task, average)")
        forward = (task * np.log(task / average)).sum(1)
        reverse = (average * np.log(average / task)).sum(1)
        mistakes = {
            "Wrong way round: the actions are drawn from the task's policy, so its probabilities are the weights.": (
                reverse
            ),
            "The sign is off: a KL is never below 0, and yours is.": -forward,
            "The weights are missing: you sum log-ratios, not their mean under the task's policy.": np.log(
                task / average
            ).sum(1),
            "The weights are missing: you average log-ratios over actions as if all were equally likely.": np.log(
                task / average
            ).mean(1),
            "You weigh by the average policy: the actions are drawn from the task's.": (
                average * np.log(task / average)
            ).sum(1),
            "Both ways are averaged: that is the symmetric divergence (Jeffreys'), not this contrast.": (
                (forward + reverse) / 2
            ),
            "You average over actions: probabilities are weights already, so add up.": forward / actions,
            "That is in bits: take the natural logarithm, for nats.": forward / np.log(2),
        }
        if message := diagnose(got, forward, mistakes, "Not E_{a ~ task}[log task(a) - log average(a)] in each state."):
            return message
    return None


# (policies (N, S, A), visits (N, S)): three tasks, then two
VISITED_POLICIES = (
    (
        np.array([[[0.8, 0.2], [0.5, 0.5]], [[0.3, 0.7], [0.9, 0.1]], [[0.1, 0.9], [0.2, 0.8]]]),
        np.array([[4.0, 1.0], [1.0, 1.0], [0.0, 3.0]]),
    ),
    (
        np.array(
            [
                [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4]],
                [[0.2, 0.5, 0.3], [0.6, 0.2, 0.2], [0.1, 0.8, 0.1]],
            ]
        ),
        np.array([[1.0, 6.0, 0.5], [3.0, 2.0, 2.0]]),
    ),
)


def arithmetic(policies: np.ndarray, visits: np.ndarray) -> np.ndarray:
    """Mean of the policies, weighted by visits, (S, A)."""
    return (visits[..., None] * policies).sum(0) / visits.sum(0)[:, None]


def geometric(policies: np.ndarray, visits: np.ndarray) -> np.ndarray:
    """Normalised geometric mean of the policies, weighted by visits, (S, A)."""
    mixed = np.exp((visits[..., None] * np.log(policies)).sum(0) / visits.sum(0)[:, None])
    return mixed / mixed.sum(-1, keepdims=True)


def check_average(answer):
    for policies, visits in VISITED_POLICIES:
        n_tasks = len(policies)
        got = numbers(answer(policies, visits), policies.shape[1:], "average(policies, visits)")
        weighted = (visits[..., None] * policies).sum(0)
        over_states = visits / visits.sum(1, keepdims=True)
        mistakes = {
            "Visits are left out: a policy that never comes to a state has no say in it.": policies.mean(0),
            "That is the geometric average: the minimum of the reverse KL.": geometric(policies, visits),
            "Not normalised: divide by all tasks' visits to the state.": weighted,
            "Divided by the number of tasks, not by the visits: the rows do not sum to 1.": weighted / n_tasks,
            "Divided by the visits to all states: divide by those of all tasks to this one.": weighted / visits.sum(),
            "You share out each task's visits over states: divide by the visits of all tasks to one state.": (
                (over_states[..., None] * policies).sum(0)
            ),
            "One weight a task, for all states: weigh state by state.": (
                (visits.sum(1)[:, None, None] * policies).sum(0) / visits.sum()
            ),
            "That is the policy of the task that is there most often: the others have a say too.": (
                policies[visits.argmax(0), np.arange(visits.shape[1])]
            ),
        }
        right = arithmetic(policies, visits)
        if message := diagnose(got, right, mistakes, "Not the mean of the policies, weighted by visits."):
            return message
    return None


def softmax(x: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# (prior (A,), q (A,), c_KL, c_Ent): three actions, then four
SOFT_CHOICES = (
    (np.array([0.7, 0.2, 0.1]), np.array([0.0, 1.0, 1.5]), 0.6, 0.2),
    (np.array([0.1, 0.3, 0.4, 0.2]), np.array([2.0, -0.5, 0.3, 1.0]), 0.5, 1.1),
)


def check_task_policy(answer):
    for prior, q, c_kl, c_ent in SOFT_CHOICES:
        got = numbers(answer(prior, q, c_kl, c_ent), prior.shape, "task_policy(prior, q, c_kl, c_ent)")
        total, log_prior = c_kl + c_ent, np.log(prior)
        weight = prior ** (c_kl / total) * np.exp(q / total)
        mistakes = {
            "The exponent of the prior is missing: alpha = c_kl / (c_kl + c_ent).": softmax(log_prior + q / total),
            "You multiply the values by c_kl + c_ent: dear weights must soften the policy, so divide.": softmax(
                c_kl / total * log_prior + total * q
            ),
            "The entropy's weight is left out of beta.": softmax(c_kl / total * log_prior + q / c_kl),
            "beta is missing: divide the values by c_kl + c_ent.": softmax(c_kl / total * log_prior + q),
            "alpha and 1 - alpha are swapped: the KL's weight is what holds to the prior.": softmax(
                c_ent / total * log_prior + q / total
            ),
            "The prior is left out: that is the policy of entropy alone.": softmax(q / total),
            "The values are left out: a task policy goes where its reward is.": softmax(c_kl / total * log_prior),
            "It does not sum to 1.": weight,
        }
        if message := diagnose(got, weight / weight.sum(), mistakes, "Not prior^alpha exp(beta q), normalised."):
            return message
    return None


# scores (N, N): three pairs, then four
SCORES = (
    np.array([[2.0, 0.5, -1.0], [0.0, 1.0, 1.5], [0.3, -0.5, 0.8]]),
    np.array([[0.2, 1.0, -0.4, 0.6], [2.0, 0.1, 0.7, -1.0], [-0.3, 0.4, 1.8, 0.9], [1.1, -0.8, 0.5, 0.3]]),
)


def log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    """Log-softmax over one axis."""
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def check_info_nce(answer):
    for scores in SCORES:
        got = numbers(answer(scores), (), "info_nce(scores)")
        positive, log_p = np.diag(scores), log_softmax(scores, 1)
        own = np.diag(log_p)
        others = np.exp(scores).sum(1) - np.exp(positive)
        mistakes = {
            "The sign is off: a loss of minus the log-probability is above 0.": own.mean(),
            "That is the sum over rows, not the mean.": -own.sum(),
            "The softmax runs down the columns: each row holds the candidates of one x.": -np.diag(
                log_softmax(scores, 0)
            ).mean(),
            "The positive is missing under the fraction bar: it is one of the N candidates.": (
                np.log(others) - positive
            ).mean(),
            "You average over all pairs: the positive ones lie on the diagonal.": -log_p.mean(),
            "The log is missing: you return a probability.": np.exp(own).mean(),
            "That is log N minus the loss, the bound: return the loss.": np.log(len(scores)) + own.mean(),
            "That is the first row alone: average over all of them.": -own[0],
            "The softmax runs over the whole table: each row is a question of its own.": (
                np.log(np.exp(scores).sum()) - positive
            ).mean(),
        }
        if message := diagnose(got, -own.mean(), mistakes, "Not minus the mean log-softmax of the diagonal, by rows."):
            return message
    return None


# (rewards (N, A), c_KL, c_Ent, rounds): two tasks, then three
BANDITS = (
    (np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.6]]), 0.4, 0.1, 3),
    (np.array([[0.5, -0.2, 0.1, 0.9], [0.3, 0.8, -0.5, 0.0], [-0.1, 0.2, 0.7, 0.4]]), 0.3, 0.3, 2),
)


def distral(rewards: np.ndarray, alpha: float, beta: float, rounds: int) -> np.ndarray:
    """The shared policy after so many rounds from an even one, (A,)."""
    shared = np.full(rewards.shape[1], 1 / rewards.shape[1])
    for _ in range(rounds):
        shared = softmax(alpha * np.log(shared) + beta * rewards).mean(0)
    return shared


def distral_by_geometric(rewards: np.ndarray, alpha: float, beta: float, rounds: int) -> np.ndarray:
    """The same with the geometric average of the task policies."""
    shared = np.full(rewards.shape[1], 1 / rewards.shape[1])
    for _ in range(rounds):
        shared = softmax(np.log(softmax(alpha * np.log(shared) + beta * rewards)).mean(0))
    return shared


def distral_each_for_itself(rewards: np.ndarray, alpha: float, beta: float, rounds: int) -> np.ndarray:
    """The same with each task held to its own last policy, and averaged at the end only."""
    own = np.full(rewards.shape, 1 / rewards.shape[1])
    for _ in range(rounds):
        own = softmax(alpha * np.log(own) + beta * rewards)
    return own.mean(0)


def distral_in_turn(rewards: np.ndarray, alpha: float, beta: float, rounds: int) -> np.ndarray:
    """The same with the shared policy replaced by each task's in turn."""
    shared = np.full(rewards.shape[1], 1 / rewards.shape[1])
    for _ in range(rounds):
        for reward in rewards:
            shared = softmax(alpha * np.log(shared) + beta * reward)
    return shared


def check_distral(answer):
    for rewards, c_kl, c_ent, rounds in BANDITS:
        alpha, beta = c_kl / (c_kl + c_ent), 1 / (c_kl + c_ent)
        got = numbers(answer(rewards, c_kl, c_ent, rounds), rewards.shape[1:], "distral(rewards, c_kl, c_ent, rounds)")
        mistakes = {
            "Every round of yours gives the same: the prior of a round is the shared policy of the one before.": (
                distral(rewards, alpha, beta, 1)
            ),
            "One round is missing.": distral(rewards, alpha, beta, rounds - 1),
            "One round too many.": distral(rewards, alpha, beta, rounds + 1),
            "Those are geometric averages: the contrast's minimum is the arithmetic one.": (
                distral_by_geometric(rewards, alpha, beta, rounds)
            ),
            "Each task is held to its own last policy: all are held to the shared one, which follows every round.": (
                distral_each_for_itself(rewards, alpha, beta, rounds)
            ),
            "The tasks answer one after the other: let all of them answer the same shared policy, then average.": (
                distral_in_turn(rewards, alpha, beta, rounds)
            ),
            "The exponent of the prior is missing: alpha = c_kl / (c_kl + c_ent).": (
                distral(rewards, 1.0, beta, rounds)
            ),
            "beta is missing: divide the rewards by c_kl + c_ent.": distral(rewards, alpha, 1.0, rounds),
        }
        right = distral(rewards, alpha, beta, rounds)
        if message := diagnose(got, right, mistakes, "Not the average of the task policies, round by round."):
            return message
    return None


EXERCISES = (
    Exercise(
        id="15.1",
        name="contrast",
        task="""
            Write contrast(task, average): in each state, the mean of log task(a|s) - log average(a|s) over actions that
            are drawn by the task's policy.

              task     (S, A) probability of each action in each state under the task's policy, all above 0
              average  (S, A) the same under the average policy, all above 0
              returns  (S,) nats
        """,
        check=check_contrast,
        hints=(
            "Who draws the actions? Their probabilities are the weights of the mean.",
            "sum over a of task(a|s) [log task(a|s) - log average(a|s)]",
            "return (task * ...).sum(1)",
        ),
        solution="""
            def contrast(task, average):
                return (task * np.log(task / average)).sum(1)
        """,
    ),
    Exercise(
        id="15.2",
        name="average",
        task="""
            Write average(policies, visits): the one policy for which the contrast of 15.1, summed over the visits
            of all tasks to each state, is smallest.

              policies  (N, S, A) probability of each action in each state, for each of N tasks
              visits    (N, S) how often each task's policy is in each state; every state is visited by some task
              returns   (S, A)
        """,
        check=check_average,
        hints=(
            "Which tasks come to this state, how often, and what do they do there?",
            "sum over i of d_i(s) pi_i(a|s), divided by the sum over i of d_i(s)",
            "weighted = (visits[..., None] * policies).sum(0)",
        ),
        solution="""
            def average(policies, visits):
                weighted = (visits[..., None] * policies).sum(0)  # (S, A)
                return weighted / visits.sum(0)[:, None]
        """,
    ),
    Exercise(
        id="15.3",
        name="task_policy",
        task="""
            Write task_policy(prior, q, c_kl, c_ent): in one state, the policy that is best for a task whose policy is
            held to a prior by c_kl and to chance by c_ent.

              prior    (A,) probability of each action under the shared policy
              q        (A,) soft value of each action, in units of reward
              c_kl     what a nat of the KL to the prior costs, in units of reward, a number above 0
              c_ent    what a nat of log-probability costs, in units of reward, a number above 0
              returns  (A,) probabilities, which sum to 1
        """,
        check=check_task_policy,
        hints=(
            "There are two forces, the prior and the values. What is each raised to, or multiplied by?",
            "prior^alpha exp(beta q), normalised, with alpha = c_kl / (c_kl + c_ent) and beta = 1 / (c_kl + c_ent)",
            "weight = prior ** (c_kl / (c_kl + c_ent)) * ...",
        ),
        solution="""
            def task_policy(prior, q, c_kl, c_ent):
                alpha, beta = c_kl / (c_kl + c_ent), 1 / (c_kl + c_ent)
                weight = prior**alpha * np.exp(beta * q)
                return weight / weight.sum()
        """,
    ),
    Exercise(
        id="15.4",
        name="info_nce",
        task="""
            Write info_nce(scores): the InfoNCE loss of N pairs.

              scores   (N, N) the score f_ij of x_i with candidate y_j: a row for each x, its own y on the diagonal
              returns  a number, nats
        """,
        check=check_info_nce,
        hints=(
            "Each row is a question with N possible answers. Where in the row is the right one?",
            "minus the mean over i of [f_ii - log of the sum over j of exp f_ij]",
            "own = scores.diagonal(); return (... - own).mean()",
        ),
        solution="""
            def info_nce(scores):
                log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))  # (N, N), each row a softmax
                return -log_p.diagonal().mean()
        """,
    ),
    Exercise(
        id="15.5",
        name="distral",
        task="""
            Write distral(rewards, c_kl, c_ent, rounds): the shared policy of N bandits, one state each, all visited
            equally often. It begins even; in each round every task answers it with its best policy (15.3), and their
            average (15.2) is the next shared policy.

              rewards  (N, A) mean reward of each action in each task; with one state and one step it is q
              c_kl     what a nat of the KL to the shared policy costs, in units of reward
              c_ent    what a nat of log-probability costs, in units of reward
              rounds   how many rounds, a whole number
              returns  (A,) the shared policy after the last round
        """,
        check=check_distral,
        hints=(
            "Two steps take turns: the tasks answer the shared policy, and the shared policy answers the tasks.",
            "shared <- mean over tasks of task_policy(shared, rewards of the task, c_kl, c_ent), `rounds` times",
            "for _ in range(rounds): policies = [task_policy(shared, q, c_kl, c_ent) for q in rewards]; shared = ...",
        ),
        solution="""
            def distral(rewards, c_kl, c_ent, rounds):
                alpha, beta = c_kl / (c_kl + c_ent), 1 / (c_kl + c_ent)
                shared = np.full(rewards.shape[1], 1 / rewards.shape[1])  # (A,), even
                for _ in range(rounds):
                    weight = shared**alpha * np.exp(beta * rewards)  # (N, A): each task's answer
                    policies = weight / weight.sum(1, keepdims=True)
                    shared = policies.mean(0)
                return shared
        """,
    ),
)

QUIZZES = (
    Quiz(
        "15.a",
        "Half of the tasks go left, half go right; all find `up` second best, and none likes `down`. What does the "
        "average of the *reverse* KL do?",
        (
            Option(
                "Left or right: it tosses a fair coin",
                "That is what the forward KL's average does: it covers whatever any task does.",
            ),
            Option(
                "All four alike: it takes no side",
                "`down` is unlikely under every task, and either average gives it little.",
            ),
            Option(
                "Up: nearly always, and hardly anything else",
                "It keeps to what no task finds unlikely, though no task does it most.",
                right=True,
            ),
        ),
    ),
    Quiz(
        "15.b",
        "What is wrong with `distil`?",
        (
            Option(
                "The learning rate of Adam is so high that it overshoots",
                "The loss falls smoothly to where it stays. The question is whether that is the right place.",
            ),
            Option(
                "`kl_div` is given probabilities where it needs their logarithms",
                "It computes target (log target - input). With probabilities for input that is no KL: it can be "
                "below 0, and its minimum is elsewhere.",
                right=True,
            ),
            Option(
                "The two policies are swapped: the task's should come first",
                "`kl_div(input, target)` is KL(target || input), so this order is KL(task || average), as wanted.",
            ),
            Option(
                "The average lacks its weights: the visits to the state are left out",
                "Both tasks visit the one state equally often, so the weights are equal.",
            ),
        ),
    ),
)
