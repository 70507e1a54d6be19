"""Chapter 11, value-based meta-RL: targets, double targets, semi-gradients, effective sample sizes."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Wrong, diagnose, numbers

GAMMA = 0.5
REWARD, ENDED = np.array([1.0, -1.0, 2.0]), np.array([False, False, True])
ONLINE = np.array([[4.0, 1.0], [0.0, 6.0], [2.0, 6.0]])  # (N, A)
LATE = np.array([[2.0, 7.0], [5.0, -1.0], [1.0, 8.0]])


def check_q_target(answer):
    got = numbers(answer(REWARD.copy(), ONLINE.copy(), ENDED.copy(), GAMMA), (3,), "q_target(...)")
    best, going = ONLINE.max(1), ~ENDED
    mistakes = {
        "You bootstrap through termination: nothing follows a terminal state.": REWARD + GAMMA * best,
        "The discount is missing.": REWARD + best * going,
        "That is the mean over actions: Q-learning takes the best one.": REWARD + GAMMA * ONLINE.mean(1) * going,
        "That is the worst action: take the maximum.": REWARD + GAMMA * ONLINE.min(1) * going,
        "The reward is missing.": GAMMA * best * going,
        "You bootstrap only where the episode terminated: it is the other way round.": REWARD + GAMMA * best * ENDED,
    }
    return diagnose(got, REWARD + GAMMA * best * going, mistakes, "Not r + gamma (1 - terminated) max_a' Q(s', a').")


def check_double_target(answer):
    got = numbers(answer(REWARD.copy(), ONLINE.copy(), LATE.copy(), ENDED.copy(), GAMMA), (3,), "double_target(...)")
    rows, going = np.arange(3), ~ENDED
    right = REWARD + GAMMA * LATE[rows, ONLINE.argmax(1)] * going
    mistakes = {
        "One network both chooses and judges: that is plain Q-learning with the late one.": REWARD
        + GAMMA * LATE.max(1) * going,
        "One network both chooses and judges: the online one does it all.": REWARD + GAMMA * ONLINE.max(1) * going,
        "The roles are swapped: the online network chooses, the late one judges.": REWARD
        + GAMMA * ONLINE[rows, LATE.argmax(1)] * going,
        "You bootstrap through termination: nothing follows a terminal state.": REWARD
        + GAMMA * LATE[rows, ONLINE.argmax(1)],
        "That is the smaller of two maxima: TD3's idea, not double Q-learning's.": REWARD
        + GAMMA * np.minimum(LATE.max(1), ONLINE.max(1)) * going,
    }
    return diagnose(got, right, mistakes, "Not r + gamma (1 - terminated) Q_late(s', argmax_a' Q_online(s', a')).")


W, X = np.array([1.0, -2.0]), np.array([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]])
AFTER = np.array([[0.5, 1.0], [0.0, 2.0], [1.0, 1.0]])


def check_semi_gradient(answer):
    got = numbers(answer(W.copy(), X.copy(), REWARD.copy(), AFTER.copy(), GAMMA), (2,), "semi_gradient(...)")
    error = X @ W - (REWARD + GAMMA * AFTER @ W)
    right = 2 * (error[:, None] * X).mean(0)
    mistakes = {
        "That is the residual gradient: it differentiates the target too. Hold it.": 2
        * (error[:, None] * (X - GAMMA * AFTER)).mean(0),
        "The sign is wrong: this is the step downhill, not the gradient.": -right,
        "The factor 2 of the square is missing.": right / 2,
        "That is the sum over transitions: the loss is their mean.": 3 * right,
        "There is no bootstrapping in your target: add gamma times the value of what follows.": 2
        * ((X @ W - REWARD)[:, None] * X).mean(0),
    }
    return diagnose(got, right, mistakes, "Not 2 mean_n (w.x_n - r_n - gamma w.x'_n) x_n.")


BETA = np.array([2.0, 1.0, 0.5, 0.5])


def check_ess(answer):
    got = numbers(answer(BETA.copy()), (), "ess(beta)")
    right = BETA.sum() ** 2 / (4 * (BETA**2).sum())
    mistakes = {
        "That is a number of samples: divide by n for the share.": 4 * right,
        "Upside down: it must be 1 where all weights are alike, and less elsewhere.": 1 / right,
        "That is the mean weight: it says nothing about how unequal they are.": BETA.mean(),
        "Square the sum: as it stands, twice the weights would change the share.": BETA.sum() / (4 * (BETA**2).sum()),
    }
    return diagnose(got, right, mistakes, "Not (sum beta)^2 / (n sum beta^2).")


def target(following, factor="gamma * ", going=" * ~terminated", reward="reward + "):
    return f"q_target = lambda reward, after, terminated, gamma: {reward}{factor}{following}{going}"


def double(following, going=" * ~terminated"):
    head = "double_target = lambda reward, online, late, terminated, gamma: reward + gamma * "
    return f"{head}{following}{going}"


def slope(moves="x", error="x @ w - (reward + gamma * x_after @ w)", reduce="2 * ({}).mean(0)"):
    body = reduce.format(f"({error})[:, None] * ({moves})")
    return f"semi_gradient = lambda w, x, reward, x_after, gamma: {body}"


def share(expression):
    return f"ess = lambda beta: {expression}"


JUDGED = "late[np.arange(len(late)), online.argmax(1)]"

EXERCISES = (
    Exercise(
        id="11.1",
        name="q_target",
        task="write q_target(reward, after, terminated, gamma): (N,), (N, A), (N,) bool, number -> (N,)",
        check=check_q_target,
        hints=(
            "What is still to come after a terminal state?",
            "y = r + gamma (1 - terminated) max_a' Q(s', a')",
            "return reward + gamma * after.max(1) * ~terminated",
        ),
        solution=target("after.max(1)"),
        wrong=(
            Wrong(target("after.max(1)", going=""), "through termination"),
            Wrong(target("after.max(1)", factor=""), "discount is missing"),
            Wrong(target("after.mean(1)"), "mean over actions"),
            Wrong(target("after.min(1)"), "worst action"),
            Wrong(target("after.max(1)", reward=""), "reward is missing"),
            Wrong(target("after.max(1)", going=" * terminated"), "other way round"),
        ),
    ),
    Exercise(
        id="11.2",
        name="double_target",
        task="write double_target(reward, online, late, terminated, gamma): (N,), (N, A) twice, (N,) bool -> (N,)",
        check=check_double_target,
        hints=(
            "One network chooses the action in s', the other says what it is worth.",
            "y = r + gamma (1 - terminated) Q_late(s', argmax_a' Q_online(s', a'))",
            "late[np.arange(len(late)), online.argmax(1)]",
        ),
        solution=double(JUDGED),
        wrong=(
            Wrong(double("late.max(1)"), "with the late one"),
            Wrong(double("online.max(1)"), "online one does it all"),
            Wrong(double("online[np.arange(len(late)), late.argmax(1)]"), "roles are swapped"),
            Wrong(double(JUDGED, going=""), "through termination"),
            Wrong(double("np.minimum(late.max(1), online.max(1))"), "smaller of two maxima"),
        ),
    ),
    Exercise(
        id="11.3",
        name="semi_gradient",
        task="write semi_gradient(w, x, reward, x_after, gamma): (F,), (N, F), (N,), (N, F), number -> (F,)",
        check=check_semi_gradient,
        hints=(
            "The target is made of w too, and yet it counts as a number.",
            "2 mean_n (w.x_n - y_n) x_n, y_n = r_n + gamma w.x'_n",
            "error = x @ w - (reward + gamma * x_after @ w); return 2 * (error[:, None] * x).mean(0)",
        ),
        solution=slope(),
        wrong=(
            Wrong(slope(moves="x - gamma * x_after"), "residual gradient"),
            Wrong(slope(reduce="-2 * ({}).mean(0)"), "sign is wrong"),
            Wrong(slope(reduce="({}).mean(0)"), "factor 2"),
            Wrong(slope(reduce="2 * ({}).sum(0)"), "sum over transitions"),
            Wrong(slope(error="x @ w - reward"), "no bootstrapping"),
        ),
    ),
    Exercise(
        id="11.4",
        name="ess",
        task="write ess(beta): weights (n,) -> the share of n samples that counts, from 1/n to 1",
        check=check_ess,
        hints=(
            "It is 1 where all weights are alike, and 1/n where one has everything.",
            "(sum beta)^2 / (n sum beta^2)",
            "return beta.sum() ** 2 / (len(beta) * (beta ** 2).sum())",
        ),
        solution=share("beta.sum() ** 2 / (len(beta) * (beta**2).sum())"),
        wrong=(
            Wrong(share("beta.sum() ** 2 / (beta**2).sum()"), "number of samples"),
            Wrong(share("len(beta) * (beta**2).sum() / beta.sum() ** 2"), "Upside down"),
            Wrong(share("beta.mean()"), "mean weight"),
            Wrong(share("beta.sum() / (len(beta) * (beta**2).sum())"), "Square the sum"),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "11.a",
        "One table Q is fitted to many tasks of the same moves and different rewards. What does it become?",
        (
            Option("The Q of the task it saw last", "Only if it forgot the others: the sum is over all of them."),
            Option(
                "The Q of one task whose reward is the mean",
                "The least-squares fit of several targets is their mean, and the target is linear in the reward.",
                right=True,
            ),
            Option("The mean of the tasks' own optimal Q", "Each of those assumes that its goal is known."),
        ),
    ),
    Quiz(
        "11.b",
        "Why is the same cell worth more in longer episodes?",
        (
            Option("Longer episodes hold more data", "Then the numbers would scatter about 10, not lie below it."),
            Option("The discount is wrong", "It is 0.9 in all three, and 10 is right for 0.9."),
            Option(
                "Where time ran out, the program says that nothing follows",
                "One target in so many is the bare reward, 1. The shorter the episodes, the more of them.",
                right=True,
            ),
            Option("Too few backups", "150 of them leave an error of 10 x 0.9^150, about a millionth."),
        ),
    ),
)
