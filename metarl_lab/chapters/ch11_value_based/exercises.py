"""Chapter 11, value-based meta-RL: targets, double targets, semi-gradients, effective sample sizes, the whole loop."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, diagnose, numbers

# --- 11.1 and 11.2: targets -------------------------------------------------------------------------------------------

# reward (N,), online and late (N, A), terminated (N,), gamma; N and A differ
TRANSITIONS = (
    (
        np.array([1.0, -1.0, 2.0]),
        np.array([[4.0, 1.0], [0.0, 6.0], [2.0, 6.0]]),
        np.array([[2.0, 7.0], [5.0, -1.0], [1.0, 8.0]]),
        np.array([False, False, True]),
        0.5,
    ),
    (
        np.array([0.3, 2.0, -0.7, 1.1]),
        np.array([[1.0, 3.0, -2.0], [0.5, -1.0, 0.2], [5.0, 4.0, 7.0], [-3.0, -1.0, -2.0]]),
        np.array([[2.0, 0.5, 6.0], [1.5, 4.0, 0.1], [9.0, 3.0, -1.0], [-2.5, -4.0, 1.0]]),
        np.array([False, True, False, False]),
        0.8,
    ),
)


def check_q_target(answer):
    for reward, after, _, terminated, gamma in TRANSITIONS:
        got = numbers(answer(reward, after, terminated, gamma), reward.shape, "q_target(...)")
        best, going = after.max(1), ~terminated
        mistakes = {
            "You bootstrap through termination: nothing follows a terminal state.": reward + gamma * best,
            "The discount is missing.": reward + best * going,
            "That is the mean over actions: Q-learning takes the best one.": reward + gamma * after.mean(1) * going,
            "That is the worst action: take the maximum.": reward + gamma * after.min(1) * going,
            "That is the best action of the whole batch: each transition has its own best one.": (
                reward + gamma * after.max() * going
            ),
            "That is the first action everywhere: take the best one of each transition.": (
                reward + gamma * after[:, 0] * going
            ),
            "The reward is missing.": gamma * best * going,
            "The reward of the last step counts too: only what follows it is cut off.": (reward + gamma * best) * going,
            "You bootstrap only where the episode terminated: it is the other way round.": (
                reward + gamma * best * terminated
            ),
        }
        otherwise = "Not r + gamma (1 - terminated) max_a' Q(s', a')."
        if message := diagnose(got, reward + gamma * best * going, mistakes, otherwise):
            return message
    return None


def check_double_target(answer):
    for reward, online, late, terminated, gamma in TRANSITIONS:
        got = numbers(answer(reward, online, late, terminated, gamma), reward.shape, "double_target(...)")
        rows, going = np.arange(len(reward)), ~terminated
        judged = late[rows, online.argmax(1)]
        mistakes = {
            "One network both chooses and judges: that is plain Q-learning with the late one.": (
                reward + gamma * late.max(1) * going
            ),
            "One network both chooses and judges: the online one does it all.": reward + gamma * online.max(1) * going,
            "The roles are swapped: the online network chooses, the late one judges.": (
                reward + gamma * online[rows, late.argmax(1)] * going
            ),
            "You bootstrap through termination: nothing follows a terminal state.": reward + gamma * judged,
            "The reward of the last step counts too: only what follows it is cut off.": (
                (reward + gamma * judged) * going
            ),
            "The discount is missing.": reward + judged * going,
            "That is the smaller of two maxima: TD3's idea, not double Q-learning's.": (
                reward + gamma * np.minimum(late.max(1), online.max(1)) * going
            ),
            "That is the mean of both networks' maxima: one chooses, the other judges.": (
                reward + gamma * (late.max(1) + online.max(1)) / 2 * going
            ),
        }
        otherwise = "Not r + gamma (1 - terminated) Q_late(s', argmax_a' Q_online(s', a'))."
        if message := diagnose(got, reward + gamma * judged * going, mistakes, otherwise):
            return message
    return None


# --- 11.3: the semi-gradient ------------------------------------------------------------------------------------------

# w (F,), x (N, F), reward (N,), x_after (N, F), gamma; N and F differ
STEPS = (
    (
        np.array([1.0, -2.0]),
        np.array([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]]),
        np.array([1.0, -1.0, 2.0]),
        np.array([[0.5, 1.0], [0.0, 2.0], [1.0, 1.0]]),
        0.5,
    ),
    (
        np.array([0.3, 0.8, -0.6]),
        np.array([[1.0, 0.2, 0.0], [0.0, 1.0, 0.4], [0.3, 0.0, 1.0], [1.0, 1.0, 0.5]]),
        np.array([0.5, 1.5, -0.4, 0.9]),
        np.array([[0.0, 1.0, 0.3], [0.6, 0.1, 1.0], [1.0, 0.4, 0.0], [0.2, 0.7, 0.9]]),
        0.9,
    ),
)


def gradient_of(value):
    """What `torch.autograd.grad` gives is a tuple of one: take what it holds."""
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


def check_semi_gradient(answer):
    for w, x, reward, x_after, gamma in STEPS:
        value = gradient_of(answer(w, x, reward, x_after, gamma))
        got = numbers(value, w.shape, "semi_gradient(...)")
        error = x @ w - (reward + gamma * x_after @ w)
        right = 2 * (error[:, None] * x).mean(0)
        mistakes = {
            "That is the residual gradient: it differentiates the target too. Hold it.": (
                2 * (error[:, None] * (x - gamma * x_after)).mean(0)
            ),
            "The sign is wrong: this is the step downhill, not the gradient.": -right,
            "The factor 2 of the square is missing.": right / 2,
            "That is the sum over transitions: the loss is their mean.": right * len(reward),
            "There is no bootstrapping in your target: add gamma times the value of what follows.": (
                2 * ((x @ w - reward)[:, None] * x).mean(0)
            ),
            "The discount is missing.": 2 * ((x @ w - reward - x_after @ w)[:, None] * x).mean(0),
            "That is one semi-gradient step from w: only the gradient is asked.": w - right,
        }
        otherwise = "Not the mean over n of 2 (w.x_n - r_n - gamma w.x'_n) x_n."
        if message := diagnose(got, right, mistakes, otherwise):
            return message
    return None


# --- 11.4: the effective sample size ----------------------------------------------------------------------------------

WEIGHTS = (np.array([2.0, 1.0, 0.5, 0.3]), np.array([0.1, 3.0, 0.0, 1.2, 0.7, 0.4]))


def check_ess(answer):
    for beta in WEIGHTS:
        n, squares = len(beta), (beta**2).sum()
        got = numbers(answer(beta), (), "ess(beta)")
        right = beta.sum() ** 2 / (n * squares)
        mistakes = {
            "That is a number of samples: divide by n for the share.": n * right,
            "Upside down: it must be 1 where all weights are alike, and less elsewhere.": 1 / right,
            "Square the sum: as it stands, twice the weights would change the share.": beta.sum() / (n * squares),
            "Square each weight below the line: you square their sum.": 1 / n,
            "That is the mean weight: it says nothing about how unequal they are.": beta.mean(),
        }
        if message := diagnose(got, right, mistakes, "Not (sum beta)^2 / (n sum beta^2)."):
            return message
    return None


# --- 11.5: the whole algorithm ----------------------------------------------------------------------------------------


def meta_trained(
    w, tasks, gamma, alpha, beta, iterations, *, inner=1.0, outer=1.0, follows="value", judged_on="later",
    residual=False, step=True,
):  # fmt: skip
    """MAML on the Bellman error of linear values, by formula; the keywords make its typical mistakes.

    follows: what the meta-gradient lets move with w in the inner step: "value" (of the target), "held" (not even
    that), "nothing" (first order).
    """
    for _ in range(iterations):
        total = np.zeros_like(w)
        for first, later in tasks:
            x, reward, x_after = first
            size = inner * alpha * 2 / len(reward) if step else 0.0
            own = w - size * x.T @ (x @ w - reward - gamma * x_after @ w)
            along = {"value": x - gamma * x_after, "held": x, "nothing": np.zeros_like(x)}[follows]
            moves = np.eye(len(w)) - size * x.T @ along  # d own / d w
            x, reward, x_after = later if judged_on == "later" else first
            error = x @ own - reward - gamma * x_after @ own
            features = x - gamma * x_after if residual else x
            total += moves.T @ (2 / len(reward) * features.T @ error)
        w = w - outer * beta * total / len(tasks)
    return w


def tasks_of(seed, sizes, features):
    """Tasks of random transitions: a first and a later batch each, of the given sizes."""
    rng = np.random.default_rng(seed)
    return [
        tuple((rng.normal(size=(n, features)), rng.normal(size=n), rng.normal(size=(n, features))) for n in both)
        for both in sizes
    ]


LESSONS = (  # w, tasks, gamma, alpha, beta, iterations
    (np.array([0.4, -0.7]), tasks_of(1, ((4, 3), (5, 2)), 2), 0.9, 0.2, 0.1, 3),
    (np.array([0.1, 0.5, -0.2]), tasks_of(2, ((3, 5), (6, 4), (4, 4)), 3), 0.6, 0.1, 0.3, 4),
)


def check_meta_train(answer):
    for w, tasks, gamma, alpha, beta, iterations in LESSONS:
        got = numbers(answer(w, tasks, gamma, alpha, beta, iterations), w.shape, "meta_train(...)")
        right = meta_trained(w, tasks, gamma, alpha, beta, iterations)

        def mistaken(n=iterations, w=w, tasks=tasks, gamma=gamma, alpha=alpha, beta=beta, **mistake):
            return meta_trained(w, tasks, gamma, alpha, beta, n, **mistake)

        mistakes = {
            "That is first order: the outer gradient must pass through the inner step.": mistaken(follows="nothing"),
            "You hold the target's value in the meta-gradient too: it is held in the inner derivative only, and moves "
            "when w does.": mistaken(follows="held"),
            "You judge on the first batch: the outer error is that of the later one.": mistaken(judged_on="first"),
            "There is no inner step: that is one Q for all tasks, section 2.": mistaken(step=False),
            "The outer step ascends: an error is to be descended.": mistaken(outer=-1.0),
            "The inner step ascends: an error is to be descended.": mistaken(inner=-1.0),
            "The outer target is differentiated: hold it, as the text's outer loss does.": mistaken(residual=True),
            "You add over tasks: take their mean.": mistaken(outer=float(len(tasks))),
            "One iteration only: carry w on.": mistaken(n=1),
            "One iteration is missing.": mistaken(n=iterations - 1),
            "One iteration too many.": mistaken(n=iterations + 1),
        }
        otherwise = "Not the w that the outer steps reach. Compare section 3: inner step, later data, outer step."
        if message := diagnose(got, right, mistakes, otherwise):
            return message
    return None


EXERCISES = (
    Exercise(
        id="11.1",
        name="q_target",
        task="""
            Write q_target(reward, after, terminated, gamma): what Q-learning fits Q(s, a) to, for N transitions.

              reward      (N,), what each step paid
              after       (N, A), Q(s', a') of all A actions in the state that followed
              terminated  (N,) True or False: whether s' is terminal, so that nothing follows it
              gamma       the discount per step, a number
              returns     (N,), the targets
        """,
        check=check_q_target,
        hints=(
            "What is still to come after a terminal state?",
            "y = r + gamma (1 - terminated) max_a' Q(s', a')",
            "best = after.max(1)  # then: reward + gamma * ... * best",
        ),
        solution="""
            def q_target(reward, after, terminated, gamma):
                best = after.max(1)
                return reward + gamma * best * ~terminated
        """,
    ),
    Exercise(
        id="11.2",
        name="double_target",
        task="""
            Write double_target(reward, online, late, terminated, gamma): the target of double Q-learning, for N
            transitions.

              reward      (N,), what each step paid
              online      (N, A), the online network's values of all A actions in s'; it chooses the action
              late        (N, A), the slowly following network's values of them; it judges the action chosen
              terminated  (N,) True or False: whether s' is terminal, so that nothing follows it
              gamma       the discount per step, a number
              returns     (N,), the targets
        """,
        check=check_double_target,
        hints=(
            "One network chooses the action in s', the other says what it is worth.",
            "y = r + gamma (1 - terminated) Q_late(s', argmax_a' Q_online(s', a'))",
            "chosen = online.argmax(1)  # then read `late` at row n and column chosen[n], for every n",
        ),
        solution="""
            def double_target(reward, online, late, terminated, gamma):
                chosen = online.argmax(1)
                judged = late[np.arange(len(late)), chosen]
                return reward + gamma * judged * ~terminated
        """,
    ),
    Exercise(
        id="11.3",
        name="semi_gradient",
        task="""
            Write semi_gradient(w, x, reward, x_after, gamma): the semi-gradient of the mean squared error of N
            transitions, for linear values v(s) = w . x(s). The target r + gamma w . x(s') is held. None of the
            transitions terminates.

              w        (F,), the weights
              x        (N, F), features of the state before each step
              reward   (N,), what each step paid
              x_after  (N, F), features of the state after it
              gamma    the discount per step, a number
              returns  (F,), the gradient, which points uphill
        """,
        check=check_semi_gradient,
        hints=(
            "The target is made of w too, and yet it counts as a number.",
            "The mean over n of 2 (w.x_n - y_n) x_n, with y_n = r_n + gamma w.x'_n.",
            "error = x @ w - (reward + gamma * x_after @ w)  # (N,); then 2 * ...",
        ),
        solution="""
            def semi_gradient(w, x, reward, x_after, gamma):
                error = x @ w - (reward + gamma * x_after @ w)
                return 2 * x.T @ error / len(error)
        """,
    ),
    Exercise(
        id="11.4",
        name="ess",
        task="""
            Write ess(beta): the effective sample size, as a share of the samples.

              beta     (n,), the samples' weights, none below 0
              returns  a number from 1 / n (one has all the weight) to 1 (all weights alike)
        """,
        check=check_ess,
        hints=(
            "It is 1 where all weights are alike, and 1/n where one has everything.",
            "(sum beta)^2 / (n sum beta^2)",
            "above = beta.sum() ** 2  # and below: the number of weights times ...",
        ),
        solution="""
            def ess(beta):
                return beta.sum() ** 2 / (len(beta) * (beta**2).sum())
        """,
    ),
    Exercise(
        id="11.5",
        name="meta_train",
        task="""
            Write meta_train(w, tasks, gamma, alpha, beta, iterations): MAML on the Bellman error of linear values
            v(s) = w . x(s). In each iteration, every task takes one inner step from w along minus alpha times the
            semi-gradient of its first batch. Then w takes one step of minus beta times the mean over tasks of the
            gradient, by w, of the mean squared error on the later batch at the task's own weights w_i. In that outer
            error the target r + gamma w_i . x(s') is held. Nothing terminates.

              w           (F,), the start
              tasks       a list of pairs (first, later); each of the two is a batch (x, reward, x_after) of shapes
                          (N, F), (N,), (N, F), with an N of its own
              gamma       the discount per step, a number
              alpha       the inner rate, a number
              beta        the outer rate, a number
              iterations  how many outer steps
              returns     (F,), the start after them
        """,
        check=check_meta_train,
        hints=(
            "Two batches, two roles: one makes the step, the other judges it. And w_i moves when w does.",
            "d w_i / d w = I - alpha 2/N X^T (X - gamma X'), by which the outer semi-gradient at w_i is multiplied.",
            "own = w - alpha * semi_gradient(w, *first, gamma)  # of every task; what comes next?",
        ),
        solution="""
            def meta_train(w, tasks, gamma, alpha, beta, iterations):
                for _ in range(iterations):
                    total = np.zeros(len(w))
                    for first, later in tasks:
                        x, reward, x_after = first
                        error = x @ w - reward - gamma * x_after @ w
                        own = w - alpha * 2 * x.T @ error / len(error)
                        # how own moves with w: the error's value moves through both of its terms
                        moves = np.eye(len(w)) - alpha * 2 * x.T @ (x - gamma * x_after) / len(error)
                        x, reward, x_after = later
                        error = x @ own - reward - gamma * x_after @ own
                        total += moves.T @ (2 * x.T @ error / len(error))
                    w = w - beta * total / len(tasks)
                return w
        """,
    ),
)

QUIZZES = (
    Quiz(
        "11.a",
        "One table Q is fitted to many tasks of the same moves and different rewards. What does it become?",
        (
            Option(
                "The Q of the task that it was fitted to last",
                "That would be so only if it forgot the others: the sum is over all of them.",
            ),
            Option(
                "The Q of one task whose reward is the mean",
                "The least-squares fit of several targets is their mean, and the target is linear in the reward.",
                right=True,
            ),
            Option(
                "The mean of the tasks' own optimal Q-functions",
                "Each of those plays on as if its goal were known, and a table for all tasks cannot know it.",
            ),
        ),
    ),
    Quiz(
        "11.b",
        "Why is the same cell worth more in longer episodes?",
        (
            Option(
                "Longer episodes hold more data, and the table is fitted better",
                "Too little data would scatter the numbers about 10; they all lie below it.",
            ),
            Option(
                "The discount is too small for episodes of this length",
                "It is 0.9 in all three, and being on the goal for ever is worth 10 under 0.9.",
            ),
            Option(
                "Where time ran out, the program says that nothing follows",
                "One target in so many is the bare reward, 1. The shorter the episodes, the more of them there are.",
                right=True,
            ),
            Option(
                "150 backups are too few for the value to arrive",
                "150 of them leave an error of 10 x 0.9^150, which is about a millionth.",
            ),
        ),
    ),
)
