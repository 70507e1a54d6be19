"""Chapter 09, inferring the task: Bayes' rule on a grid, a product of Gaussians, the ELBO's KL, honest context."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Wrong, diagnose, numbers

# cell 1 has been ruled out; the others are not equally likely
BELIEF = np.array([0.1, 0.0, 0.2, 0.4, 0.3])


def missed(cell):
    kept = np.where(np.arange(5) == cell, 0.0, BELIEF)
    return kept / kept.sum()


def check_update(answer):
    asked = ((2, False), (3, True), (1, False))
    got = numbers([answer(BELIEF.copy(), cell, paid) for cell, paid in asked], (3, 5), "update(belief, cell, paid)")
    met, right = np.eye(5)[3], np.stack([missed(2), np.eye(5)[3], BELIEF])
    whole = np.stack([BELIEF * (np.arange(5) != 2), met * BELIEF, BELIEF])
    even = np.stack([(np.arange(5) != 2) / 4, met, (np.arange(5) != 1) / 4])
    mistakes = {
        "The rows do not sum to 1: divide by the sum, or it is no distribution.": whole,
        "Only misses are taken in: a cell that paid is the goal, for certain.": np.stack([missed(2), BELIEF, BELIEF]),
        "Where it paid you rule the goal out: the likelihood there is the other way round.": np.stack(
            [missed(2), missed(3), BELIEF]
        ),
        "You forget what was known before: multiply the old belief, do not start from an even one.": even,
        "Nothing has changed: multiply by the likelihood of what was paid in this cell.": np.stack([BELIEF] * 3),
    }
    return diagnose(got, right, mistakes, "Not belief times likelihood, divided by its sum.")


MEAN = np.array([[1.0, -0.5], [3.0, 0.5], [-1.0, 2.0]])  # of three factors, (N, Z)
STD = np.array([[0.5, 2.0], [1.5, 1.0], [3.0, 0.4]])


def check_product(answer):
    got = numbers(answer(MEAN.copy(), STD.copy()), (2, 2), "product(mean, std)")
    w = STD**-2
    total = 1 + w.sum(0)
    right = np.stack(((w * MEAN).sum(0) / total, total**-0.5))
    mistakes = {
        "The prior N(0, 1) is missing: it is one of the factors, with precision 1 and mean 0.": np.stack(
            ((w * MEAN).sum(0) / w.sum(0), w.sum(0) ** -0.5)
        ),
        "You average the means: a factor that is sure must weigh more, by 1 / std^2.": np.stack(
            (MEAN.sum(0) / 4, total**-0.5)
        ),
        "That is the precision, or the variance, not the standard deviation.": np.stack(
            ((w * MEAN).sum(0) / total, total)
        ),
        "That is the variance: take its root for the standard deviation.": np.stack(
            ((w * MEAN).sum(0) / total, 1 / total)
        ),
        "Factors weigh 1 / std in yours: the exponents add up in 1 / std^2.": np.stack(
            ((MEAN / STD).sum(0) / (1 + (1 / STD).sum(0)), (1 + (1 / STD).sum(0)) ** -0.5)
        ),
        "You average the standard deviations: the product is narrower than every factor.": np.stack(
            ((w * MEAN).sum(0) / total, STD.mean(0))
        ),
    }
    return diagnose(got, right, mistakes, "Not mean and std of N(0, 1) times all the factors.")


Q_MEAN = np.array([[0.5, -1.0], [0.8, -1.2], [0.7, 0.3]])  # posteriors after steps 1, 2, 3, (L, M)
Q_LOG_VAR = np.array([[-0.5, 0.2], [-1.0, 0.1], [-1.5, -0.7]])


def gaussian_kl(mean, log_var, other_mean, other_log_var):
    ratio = log_var - other_log_var
    return 0.5 * (np.exp(ratio) + (mean - other_mean) ** 2 * np.exp(-other_log_var) - 1 - ratio)


def before(x):
    return np.concatenate((np.zeros_like(x[:1]), x[:-1]))


def check_chain(answer):
    got = numbers(answer(Q_MEAN.copy(), Q_LOG_VAR.copy()), (3,), "chain_kl(mean, log_var)")
    mean, log_var, old = Q_MEAN, Q_LOG_VAR, (before(Q_MEAN), before(Q_LOG_VAR))
    each = gaussian_kl(mean, log_var, *old)
    mistakes = {
        "That is the KL to the first prior, N(0, I), at every step: it should be to the posterior one step before.": (
            gaussian_kl(mean, log_var, 0.0, 0.0).sum(1)
        ),
        "Wrong way round: KL(q_t || q_{t-1}) takes the expectation under the new posterior.": (
            gaussian_kl(*old, mean, log_var).sum(1)
        ),
        "You take log_var for the log of the standard deviation: variance is exp(log_var).": (
            gaussian_kl(mean, 2 * log_var, old[0], 2 * old[1]).sum(1)
        ),
        "Dimensions are averaged: independent dimensions add up.": each.mean(1),
        "The half is missing.": 2 * each.sum(1),
        "The means are left out: a belief that moves has learned something, too.": (
            gaussian_kl(0.0, log_var, 0.0, old[1]).sum(1)
        ),
    }
    return diagnose(got, each.sum(1), mistakes, "Not KL(q_t || q_{t-1}), summed over dimensions, with q_0 = N(0, I).")


# rows of a buffer: task, trial, episode; the agent is in task 1, trial 4, about to begin episode 2
TASK, TRIAL = np.array([1, 1, 1, 1, 1, 0, 0, 1]), np.array([4, 4, 4, 4, 3, 4, 2, 3])
EPISODE = np.array([0, 1, 2, 3, 0, 0, 1, 3])


def check_context(answer):
    got = numbers(
        answer(TASK.copy(), TRIAL.copy(), EPISODE.copy(), (1, 4, 2)), (8,), "context(task, trial, episode, now)"
    )
    own, this, past = TASK == 1, TRIAL == 4, EPISODE < 2
    mistakes = {
        "You let in other trials of this task: at test time there has been one trial only, this one.": own & past,
        "You let in other trials of this task, whatever the episode: that is the replay buffer.": own,
        "You let in other tasks.": this & past,
        "You let in what has not happened yet: episodes from `now` on are still to come.": own & this,
        "You let in the episode that is about to begin.": own & this & (EPISODE <= 2),
        "Nothing is left: episodes before `now` are what the agent has lived through.": own & this & (EPISODE > 99),
    }
    wrong = {message: value.astype(float) for message, value in mistakes.items()}
    return diagnose(got, (own & this & past).astype(float), wrong, "Not the past episodes of this trial of this task.")


def update(likelihood="(np.arange(len(b)) == c) == paid", result="after / after.sum()", old="b"):
    return f"def update(b, c, paid):\n    after = {old} * ({likelihood})\n    return {result}"


def product(mean="(w * mean).sum(0) / total", std="total**-0.5", w="std**-2", prior="1 + "):
    return f"def product(mean, std):\n    w = {w}\n    total = {prior}w.sum(0)\n    return np.stack(({mean}, {std}))"


def chain(q="m, v, pm, pv", old="np.concatenate((0 * x[:1], x[:-1]))", half="0.5 * ", end=".sum(1)", log="1"):
    return (
        f"def chain_kl(m, v):\n    v = {log} * v\n    pm, pv = ({old} for x in (m, v))\n    m, v, pm, pv = {q}\n"
        f"    return ({half}(np.exp(v - pv) + (m - pm)**2 * np.exp(-pv) - 1 - v + pv)){end}"
    )


def allowed(expression):
    return f"context = lambda task, trial, episode, now: {expression}"


EXERCISES = (
    Exercise(
        id="09.1",
        name="update",
        task="write update(belief, cell, paid): (S,), index, True or False -> (S,), the posterior over goal cells",
        check=check_update,
        hints=(
            "For each possible goal: how likely was it that this cell pays (or does not)? 0 or 1.",
            "b'(g) = b(g) p(paid | g, cell) / sum over g'",
            "after = belief * ((np.arange(len(belief)) == cell) == paid); return after / after.sum()",
        ),
        solution=update(),
        wrong=(
            Wrong(update(result="after"), "sum to 1"),
            Wrong(update("np.arange(len(b)) != c if not paid else 1"), "Only misses"),
            Wrong(update("np.arange(len(b)) != c"), "other way round"),
            Wrong(update(old="1.0"), "forget what was known"),
            Wrong(update("1"), "Nothing has changed"),
        ),
    ),
    Exercise(
        id="09.2",
        name="product",
        task="write product(mean, std): (N, Z), (N, Z) -> (2, Z), mean and std of N(0, 1) times all N factors",
        check=check_product,
        hints=(
            "Multiply densities, add exponents: what adds up is 1 / std^2, and mean / std^2.",
            "1 / s^2 = 1 + sum 1 / s_n^2; m = s^2 sum m_n / s_n^2",
            "w = std**-2; total = 1 + w.sum(0); return np.stack(((w * mean).sum(0) / total, total**-0.5))",
        ),
        solution=product(),
        wrong=(
            Wrong(product(prior=""), "prior N(0, 1) is missing"),
            Wrong(product(mean="mean.sum(0) / 4"), "average the means"),
            Wrong(product(std="total"), "precision, or the variance"),
            Wrong(product(std="1 / total"), "take its root"),
            Wrong(product(w="1 / std"), "weigh 1 / std"),
            Wrong(product(std="std.mean(0)"), "average the standard deviations"),
        ),
    ),
    Exercise(
        id="09.3",
        name="chain_kl",
        task="write chain_kl(mean, log_var): (L, M), (L, M) -> (L,), KL(q_t || q_{t-1}) in nats; N(0, I) comes first",
        check=check_chain,
        hints=(
            "Shift the sequence by one step; what stands before the first posterior?",
            "1/2 sum_i [v/v' + (m - m')^2 / v' - 1 - log(v/v')], v = exp(log_var)",
            "before = lambda x: np.concatenate((np.zeros_like(x[:1]), x[:-1]))",
        ),
        solution=chain(),
        wrong=(
            Wrong(chain(old="0 * x"), "first prior"),
            Wrong(chain(q="pm, pv, m, v"), "Wrong way round"),
            Wrong(chain(log="2"), "log of the standard deviation"),
            Wrong(chain(end=".mean(1)"), "Dimensions are averaged"),
            Wrong(chain(half=""), "half is missing"),
            Wrong(chain(q="0, v, 0, pv"), "means are left out"),
        ),
    ),
    Exercise(
        id="09.4",
        name="context",
        task="write context(task, trial, episode, now): three (N,) columns and (task, trial, episode) -> (N,) bool",
        check=check_context,
        hints=(
            "What has this agent lived through since this task was dealt to it?",
            "same task, same trial, an earlier episode",
            "return (task == now[0]) & (trial == now[1]) & (episode < now[2])",
        ),
        solution=allowed("(task == now[0]) & (trial == now[1]) & (episode < now[2])"),
        wrong=(
            Wrong(allowed("(task == now[0]) & (episode < now[2])"), "one trial only"),
            Wrong(allowed("task == now[0]"), "replay buffer"),
            Wrong(allowed("(trial == now[1]) & (episode < now[2])"), "other tasks"),
            Wrong(allowed("(task == now[0]) & (trial == now[1])"), "not happened yet"),
            Wrong(allowed("(task == now[0]) & (trial == now[1]) & (episode <= now[2])"), "about to begin"),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "09.a",
        "Posterior sampling has walked to the goal it drew; nothing is paid. What does it do until the episode ends?",
        (
            Option("It waits there", "Optimal in the task that it drew. It draws again next episode.", right=True),
            Option("It walks to the next likely cell", "Bayes-optimal play does; this keeps one draw an episode."),
            Option("It goes back to the start", "No step back is optimal in the task that it drew."),
        ),
    ),
    Quiz(
        "09.b",
        "What is wrong with `adapt`?",
        (
            Option("It explores too little", "Three episodes rule out most cells. Does it go where they point to?"),
            Option(
                "Its context comes from training tasks, not from the exploration",
                "`explored` is never read. The belief is sharp, and about another task.",
                right=True,
            ),
            Option("The posterior is too wide", "It has read whole trials and is narrow, about the wrong task."),
            Option("The policy was not trained enough", "The same policy with its own context does far better."),
        ),
    ),
)
