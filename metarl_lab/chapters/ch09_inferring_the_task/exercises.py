"""Chapter 09, inferring the task: Bayes' rule, a product of Gaussians, what a step taught, honest context, the ELBO."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, as_array, close, diagnose, numbers

# --- 09.1 Bayes' rule -------------------------------------------------------------------------------------------------

VISITS = (  # a belief that is not even and has a cell ruled out; visits to a cell, each with whether it paid
    (np.array([0.1, 0.0, 0.2, 0.4, 0.3]), ((2, False), (3, True), (1, False))),
    (np.array([0.3, 0.05, 0.15, 0.0, 0.1, 0.15, 0.25]), ((6, False), (4, True), (0, False), (5, True))),
)


def bayes(belief, cell, paid):
    likelihood = (np.arange(len(belief)) == cell) == paid
    return belief * likelihood / (belief * likelihood).sum()


def check_update(answer):
    for belief, visits in VISITS:
        shape = (len(visits), len(belief))
        got = numbers([answer(belief.copy(), *visit) for visit in visits], shape, "update(belief, cell, paid)")

        def after(rule, belief=belief, visits=visits):
            """What a rule makes of each visit, (visits, S)."""
            return np.stack([rule(belief, np.arange(len(belief)) == cell, paid) for cell, paid in visits])

        right = np.stack([bayes(belief, cell, paid) for cell, paid in visits])
        mistakes = {
            "The rows do not sum to 1: divide by the sum, or it is no distribution.": after(
                lambda b, here, paid: b * (here == paid)
            ),
            "Only misses are taken in: a cell that paid is the goal, for certain.": after(
                lambda b, here, paid: b if paid else b * ~here / (b * ~here).sum()
            ),
            "Where it paid you rule the goal out: the likelihood there is the other way round.": after(
                lambda b, here, paid: b * ~here / (b * ~here).sum()
            ),
            "You forget what was known before: multiply the old belief, do not start from an even one.": after(
                lambda b, here, paid: (here == paid) / (here == paid).sum()
            ),
            "What the visited cell loses is not shared out evenly: the others grow in proportion, so that a cell ruled "
            "out before stays out.": after(
                lambda b, here, paid: here * 1.0 if paid else ~here * (b + b[here].sum() / (len(b) - 1))
            ),
            "Nothing has changed: multiply by the likelihood of what was paid in this cell.": after(
                lambda b, here, paid: b
            ),
        }
        if message := diagnose(got, right, mistakes, "Not belief times likelihood, divided by its sum."):
            return message
    return None


# --- 09.2 a product of Gaussians --------------------------------------------------------------------------------------

FACTORS = (  # means and standard deviations of N factors in Z dimensions, (N, Z) each
    (np.array([[1.0, -0.5], [3.0, 0.5], [-1.0, 2.0]]), np.array([[0.5, 2.0], [1.5, 1.0], [3.0, 0.4]])),
    (
        np.array([[0.2, 1.0, -2.0], [0.6, -1.5, 0.5], [-0.9, 0.8, 1.4], [2.0, 0.3, -0.4]]),
        np.array([[0.8, 0.3, 1.2], [2.5, 0.7, 0.9], [0.6, 1.6, 3.0], [1.1, 0.5, 0.2]]),
    ),
    (np.array([[1.5]]), np.array([[0.5]])),
)


def check_product(answer):
    for mean, std in FACTORS:
        n, z = mean.shape
        got = numbers(answer(mean.copy(), std.copy()), (2, z), "product(mean, std)")
        precision = std**-2
        total = 1 + precision.sum(0)
        right = np.stack([(precision * mean).sum(0) / total, total**-0.5])
        by_std = 1 + (1 / std).sum(0)
        of_both = {
            "The prior N(0, 1) is missing: it is one of the factors, with precision 1 and mean 0.": np.stack(
                [(precision * mean).sum(0) / precision.sum(0), precision.sum(0) ** -0.5]
            ),
            "Factors weigh 1 / std in yours: the exponents add up in 1 / std^2.": np.stack(
                [(mean / std).sum(0) / by_std, by_std**-0.5]
            ),
            "That is the sum of the random variables, whose variances add up: here densities are multiplied, and "
            "precisions add up.": np.stack([mean.sum(0), (1 + (std**2).sum(0)) ** 0.5]),
            "The rows are swapped: the mean comes first, the standard deviation second.": right[::-1],
        }
        if (message := diagnose(got, right, of_both, "")) is None:
            continue
        of_mean = {
            "You average the means: a factor that is sure must weigh more, by 1 / std^2.": mean.sum(0) / (n + 1),
            "The mean is divided by the precision of the factors alone: the prior's counts too.": (
                (precision * mean).sum(0) / precision.sum(0)
            ),
            "Divide the weighted sum of the means by the whole precision.": (precision * mean).sum(0),
        }
        of_std = {
            "That is the precision: its inverse is the variance, and the root of that the standard deviation.": total,
            "That is the variance: take its root for the standard deviation.": 1 / total,
            "That is the root of the precision: the standard deviation is its inverse.": total**0.5,
            "You average the standard deviations: the product is narrower than every factor.": std.mean(0),
        }
        if n > 1:
            of_mean["You average the means: a factor that is sure must weigh more, and so must the prior."] = mean.mean(
                0
            )
        return (
            message
            or diagnose(got[0], right[0], of_mean, "The mean is not that of N(0, 1) times all the factors.")
            or diagnose(got[1], right[1], of_std, "The standard deviation is not that of N(0, 1) times all factors.")
        )
    return None


# --- 09.3 what each step taught ---------------------------------------------------------------------------------------

BELIEFS = (  # mean and log variance of the posterior after each step, (L, M) each
    (
        np.array([[0.5, -1.0], [0.8, -1.2], [0.7, 0.3]]),
        np.array([[-0.5, 0.2], [-1.0, 0.1], [-1.5, -0.7]]),
    ),
    (
        np.array([[1.2, 0.4, -0.3], [1.0, 0.9, -0.8], [0.1, 1.1, -0.6], [-0.2, 1.4, 0.5], [-0.3, 1.3, 0.6]]),
        np.array([[0.3, -0.4, -0.2], [-0.6, -0.9, 0.1], [-0.5, -1.4, -0.3], [-1.8, -1.2, 0.4], [-2.1, -1.6, -0.5]]),
    ),
)


def gaussian_kl(mean, log_var, other_mean, other_log_var):
    """KL of each dimension, nats; all of one shape, (L, M)."""
    ratio = log_var - other_log_var
    return 0.5 * (np.exp(ratio) + (mean - other_mean) ** 2 * np.exp(-other_log_var) - 1 - ratio)


def step_before(x):
    """Row t is row t - 1; zeros, the parameters of N(0, I), stand before the first."""
    return np.concatenate([np.zeros_like(x[:1]), x[:-1]])


def chain(mean, log_var):
    """KL(q_t || q_{t-1}) in nats, (L,)."""
    return gaussian_kl(mean, log_var, step_before(mean), step_before(log_var)).sum(1)


def check_chain(answer):
    for mean, log_var in BELIEFS:
        got = numbers(answer(mean.copy(), log_var.copy()), (len(mean),), "chain_kl(mean, log_var)")
        old_mean, old_log_var = step_before(mean), step_before(log_var)
        each = gaussian_kl(mean, log_var, old_mean, old_log_var)
        in_new_units = 0.5 * (
            np.exp(log_var - old_log_var) + (mean - old_mean) ** 2 * np.exp(-log_var) - 1 - log_var + old_log_var
        )
        mistakes = {
            "That is the KL to the first prior, N(0, I), at every step: it should be to the posterior one step "
            "before.": gaussian_kl(mean, log_var, 0 * mean, 0 * mean).sum(1),
            "Wrong way round: KL(q_t || q_{t-1}) takes the expectation under the new posterior.": (
                gaussian_kl(old_mean, old_log_var, mean, log_var).sum(1)
            ),
            "You take log_var for the log of the standard deviation: variance is exp(log_var).": (
                gaussian_kl(mean, 2 * log_var, old_mean, 2 * old_log_var).sum(1)
            ),
            "Dimensions are averaged: independent dimensions add up.": each.mean(1),
            "The half is missing.": 2 * each.sum(1),
            "The means are left out: a belief that moves has learned something, too.": (
                gaussian_kl(0 * mean, log_var, 0 * mean, old_log_var).sum(1)
            ),
            "The distance of the means is divided by the new variance: it counts in units of the *old* one.": (
                in_new_units.sum(1)
            ),
            "The first step is free in yours: it is charged for what it taught beyond N(0, I).": (
                np.concatenate([[0.0], each[1:].sum(1)])
            ),
            "That is the sum over all steps so far: each step pays for its own lesson alone.": each.sum(1).cumsum(),
        }
        otherwise = "Not KL(q_t || q_{t-1}), summed over dimensions, with q_0 = N(0, I)."
        if message := diagnose(got, each.sum(1), mistakes, otherwise):
            return message
    return None


# --- 09.4 honest context ----------------------------------------------------------------------------------------------

BUFFERS = (  # task, trial and episode of each row; where the agent is. Trials are numbered within a task.
    (
        np.array([1, 1, 1, 1, 1, 0, 0, 1]),
        np.array([4, 4, 4, 4, 3, 4, 2, 3]),
        np.array([0, 1, 2, 3, 0, 0, 1, 3]),
        (1, 4, 2),
    ),
    (
        np.array([2, 2, 0, 3, 2, 3, 2, 0, 2, 2, 2]),
        np.array([0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0]),
        np.array([0, 0, 1, 2, 2, 0, 3, 4, 1, 3, 4]),
        (2, 0, 3),
    ),
)


def check_context(answer):
    for task, trial, episode, now in BUFFERS:
        given = answer(task.copy(), trial.copy(), episode.copy(), now)
        own, this, past = task == now[0], trial == now[1], episode < now[2]
        right = own & this & past
        if close_to_rows(given, np.flatnonzero(right)):
            return "Those are the numbers of the rows: give a truth value for every row."
        got = numbers(given, right.shape, "context(task, trial, episode, now)")
        mistakes = {
            "You let in other trials of this task: at test time there has been one trial only, this one.": own & past,
            "You let in other trials of this task, whatever the episode: that is the replay buffer.": own,
            "You let in other tasks.": this & past,
            "You let in what has not happened yet: episodes from `now` on are still to come.": own & this,
            "You let in the episode that is about to begin.": own & this & (episode <= now[2]),
            "You let in the last episode only: the whole trial up to now was lived through.": (
                own & this & (episode == now[2] - 1)
            ),
            "You let in everything that may *not* be read: it is the other way round.": ~right,
            "Nothing is left: episodes before `now` are what the agent has lived through.": np.zeros_like(right),
        }
        found = {message: value.astype(float) for message, value in mistakes.items()}
        otherwise = "Not the past episodes of this trial of this task."
        if message := diagnose(got, right.astype(float), found, otherwise):
            return message
    return None


def close_to_rows(given, rows):
    """Whether an answer gives the numbers of these rows, as a list, or as `np.where` does, in a tuple."""
    try:
        found = as_array(given)
    except (TypeError, ValueError, RuntimeError):
        return False
    return found.size == len(rows) and close(np.sort(found.ravel()), rows)


# --- 09.5 VariBAD's objective -----------------------------------------------------------------------------------------

DECODERS = (  # (M, L): a small decoder's weights, for the beliefs of 09.3
    np.array([[1.5, -0.7, 2.1], [-0.4, 1.8, 0.9]]),
    np.array([[0.6, -1.9, 1.1, 0.3, -0.8], [1.4, 0.5, -1.2, 2.2, 0.7], [-1.0, 0.9, 1.6, -0.5, 1.3]]),
)
NOISES = (
    np.array([[0.3, -1.1], [1.4, 0.6], [-0.8, 0.2]]),
    np.array([[-0.5, 0.9, 0.1], [1.2, -0.3, -1.6], [0.4, 0.7, 1.1], [-1.3, 0.2, -0.6], [0.8, -1.0, 0.5]]),
)
PAID = (np.array([False, True, False]), np.array([False, False, True, True, False]))


def logit_of(weight):
    """A decoder: m (..., M) -> the logit that each of L steps pays, (..., L)."""

    def decode(m):
        return np.tanh(np.asarray(m)) @ weight - 0.4

    return decode


def log_likelihood(logit, paid):
    """log p(paid_l | m_t) of every pair, (L, L)."""
    return paid * logit - np.log1p(np.exp(logit))


def check_elbo(answer):
    for (mean, log_var), noise, weight, paid in zip(BELIEFS, NOISES, DECODERS, PAID, strict=True):
        decode = logit_of(weight)
        given = mean.copy(), log_var.copy(), noise.copy(), decode, paid.copy()
        got = numbers(answer(*given), (), "trial_elbo(mean, log_var, noise, decode, paid)")
        drawn = mean + np.exp(log_var / 2) * noise  # (L, M)
        log_p = log_likelihood(decode(drawn), paid)
        kl = chain(mean, log_var)
        to_first = gaussian_kl(mean, log_var, 0 * mean, 0 * mean).sum(1)
        right = log_p.sum(1).mean() - kl.mean()

        def elbo_of(draws, decode=decode, paid=paid, kl=kl):
            """The ELBO with other draws of m."""
            return log_likelihood(decode(draws), paid).sum(1).mean() - kl.mean()

        mistakes = {
            "That is the loss, minus the ELBO: give the ELBO itself.": -right,
            "The KL is missing: each step pays for what it taught.": log_p.sum(1).mean(),
            "The KL is added: it is a price, so it is taken off.": log_p.sum(1).mean() + kl.mean(),
            "The KL is to N(0, I) at every step: it is to the posterior one step before.": (
                log_p.sum(1).mean() - to_first.mean()
            ),
            "You decode the steps already read only, which makes a record: every m_t must explain *all* L steps.": (
                np.tril(log_p).sum(1).mean() - kl.mean()
            ),
            "You decode the steps before t only, which makes a record: every m_t must explain *all* L steps.": (
                np.tril(log_p, -1).sum(1).mean() - kl.mean()
            ),
            "You decode what comes after t only: m_t must explain what was read, too.": (
                np.triu(log_p, 1).sum(1).mean() - kl.mean()
            ),
            "Each m_t explains its own step only: it must explain all L steps.": np.diag(log_p).mean() - kl.mean(),
            "You average the log-probability over the steps: a trial's steps add up; the mean is over t.": (
                log_p.mean() - kl.mean()
            ),
            "That is the sum over t: the mean over t is asked for.": len(mean) * right,
            "The noise is not used: decode a draw of q_t, not its mean.": elbo_of(mean),
            "exp(log_var) is the variance: the noise is multiplied by the standard deviation, its root.": (
                elbo_of(mean + np.exp(log_var) * noise)
            ),
            "You decode the noise alone: m_t is mean plus standard deviation times noise.": elbo_of(noise),
            "Only steps that paid count in yours: that a step does not pay has a probability, too.": (
                (paid * log_p).sum(1).mean() - kl.mean()
            ),
            "Those are probabilities, not their logarithms.": np.exp(log_p).sum(1).mean() - kl.mean(),
        }
        otherwise = "Not the mean over t of the trial's log-probability under m_t, minus KL(q_t || q_{t-1})."
        if message := diagnose(got, right, mistakes, otherwise):
            return message
    return None


EXERCISES = (
    Exercise(
        id="09.1",
        name="update",
        task="""
            Write update(belief, cell, paid): Bayes' rule for one visit to a cell. The hidden goal pays whenever it is
            visited, and no other cell ever does.

              belief   (S,) the probability of each of S cells to be the goal, before the visit; they sum to 1
              cell     which cell was visited, a whole number from 0 to S - 1
              paid     True if the visit paid, else False
              returns  (S,) the probabilities after the visit; they sum to 1
        """,
        check=check_update,
        hints=(
            "For each possible goal: how likely was it that this cell pays (or does not)? 0 or 1.",
            "b'(g) = b(g) p(paid | g, cell) / sum over g' of b(g') p(paid | g', cell)",
            "here = np.arange(len(belief)) == cell  # (S,): whether the goal, if it is g, is here",
        ),
        solution="""
            def update(belief, cell, paid):
                here = np.arange(len(belief)) == cell  # (S,)
                likelihood = here == paid  # the goal pays, every other cell does not
                after = belief * likelihood
                return after / after.sum()
        """,
    ),
    Exercise(
        id="09.2",
        name="product",
        task="""
            Write product(mean, std): the Gaussian that is the prior N(0, 1) times N Gaussian factors, in each of Z
            dimensions alone.

              mean     (N, Z) the mean of each factor
              std      (N, Z) the standard deviation of each factor, above 0
              returns  (2, Z): in row 0 the mean of the product, in row 1 its standard deviation
        """,
        check=check_product,
        hints=(
            "Multiply densities, add exponents: what adds up is 1 / std^2, and mean / std^2.",
            "1 / s^2 = 1 + sum_n 1 / s_n^2, and m = s^2 sum_n m_n / s_n^2",
            "precision = 1 / std**2  # (N, Z); which precision has the prior?",
        ),
        solution="""
            def product(mean, std):
                precision = 1 / std**2  # (N, Z)
                total = 1 + precision.sum(0)  # the prior's 1, and everyone's
                product_mean = (precision * mean).sum(0) / total
                return np.stack([product_mean, total**-0.5])
        """,
    ),
    Exercise(
        id="09.3",
        name="chain_kl",
        task="""
            Write chain_kl(mean, log_var): what each of L steps taught, KL(q_t || q_{t-1}). Every q_t is a Gaussian of M
            independent dimensions; before the first of them stands q_0 = N(0, I), of mean 0 and variance 1.

              mean     (L, M) the means of q_1 to q_L, one row a step
              log_var  (L, M) the logarithms of their variances
              returns  (L,) the KL of each step, in nats
        """,
        check=check_chain,
        hints=(
            "Shift the sequence by one step; what stands before the first posterior?",
            "1/2 sum_i [v/v' + (m - m')^2 / v' - 1 - log(v/v')], with v = exp(log_var), and v', m' of q_{t-1}",
            "old_mean = np.concatenate([np.zeros_like(mean[:1]), mean[:-1]])  # (L, M), and the same for log_var",
        ),
        solution="""
            def chain_kl(mean, log_var):
                old_mean = np.concatenate([np.zeros_like(mean[:1]), mean[:-1]])
                old_log_var = np.concatenate([np.zeros_like(log_var[:1]), log_var[:-1]])
                ratio = log_var - old_log_var  # log(v / v')
                moved = (mean - old_mean) ** 2 / np.exp(old_log_var)
                return 0.5 * (np.exp(ratio) + moved - 1 - ratio).sum(1)
        """,
    ),
    Exercise(
        id="09.4",
        name="context",
        task="""
            Write context(task, trial, episode, now): which of the N rows of a buffer may an agent read at test time,
            when it is about to begin an episode? What it has lived through itself in this trial of this task, and
            nothing else. Trials are numbered within a task, episodes within a trial, both from 0.

              task     (N,) the task that each row was acted in, a whole number
              trial    (N,) its trial
              episode  (N,) its episode
              now      (task, trial, episode): three whole numbers, the episode that is about to begin
              returns  (N,) for every row, True if it may be read, else False
        """,
        check=check_context,
        hints=(
            "What has this agent lived through since this task was dealt to it?",
            "Same task, same trial, an earlier episode: all three must hold.",
            "this_task, this_trial, next_episode = now  # then one comparison for each column",
        ),
        solution="""
            def context(task, trial, episode, now):
                this_task, this_trial, next_episode = now
                lived_here = (task == this_task) & (trial == this_trial)
                return lived_here & (episode < next_episode)
        """,
    ),
    Exercise(
        id="09.5",
        name="trial_elbo",
        task="""
            Write trial_elbo(mean, log_var, noise, decode, paid): VariBAD's objective for one trial of L steps. From
            each q_t draw one m_t; add up, over all L steps of the trial, the log-probability that m_t gives to what was
            paid; take off KL(q_t || q_{t-1}). The objective is the mean over t. You may call chain_kl.

              mean     (L, M) the means of q_1 to q_L, one row a step
              log_var  (L, M) the logarithms of their variances
              noise    (L, M) standard normal numbers, one row for each draw
              decode   a function: decode(m), with m (L, M), gives (L, L): in row t and column l the logit, by m_t, that
                       step l pays (a logit x is a probability of 1 / (1 + exp(-x)))
              paid     (L,) True where the step paid, else False
              returns  the ELBO, one number, in nats
        """,
        check=check_elbo,
        hints=(
            "Three parts: a draw from every q_t, a likelihood table of L times L, and the price of each step.",
            "log p(paid) = x - log(1 + exp(x)), log p(not paid) = -log(1 + exp(x)); sum over columns, mean over rows",
            "m = mean + np.exp(log_var / 2) * noise  # (L, M), a draw from every q_t",
        ),
        solution="""
            def trial_elbo(mean, log_var, noise, decode, paid):
                m = mean + np.exp(log_var / 2) * noise  # (L, M), a draw from every q_t
                logit = decode(m)  # (L, L): from what is known at t, does step l pay?
                log_p = paid * logit - np.log1p(np.exp(logit))
                # what each step taught, as in 09.3
                old_mean = np.concatenate([np.zeros_like(mean[:1]), mean[:-1]])
                old_log_var = np.concatenate([np.zeros_like(log_var[:1]), log_var[:-1]])
                ratio = log_var - old_log_var
                moved = (mean - old_mean) ** 2 / np.exp(old_log_var)
                kl = 0.5 * (np.exp(ratio) + moved - 1 - ratio).sum(1)
                return (log_p.sum(1) - kl).mean()
        """,
    ),
)

QUIZZES = (
    Quiz(
        "09.a",
        "Posterior sampling has walked to the goal it drew; nothing is paid. What does it do until the episode ends?",
        (
            Option(
                "It walks on to the next likely cell",
                "Bayes-optimal play does that. Posterior sampling keeps one draw for the whole episode.",
            ),
            Option(
                "It draws a new goal from its belief",
                "It will, but only when the next episode begins: within an episode nothing is drawn again.",
            ),
            Option(
                "It stays in the cell and waits there",
                "That is optimal in the task that it drew. It draws again in the next episode.",
                right=True,
            ),
            Option(
                "It goes back to the start by itself",
                "No step back is optimal in the task that it drew. The reset brings it there, at the episode's end.",
            ),
        ),
    ),
    Quiz(
        "09.b",
        "What is wrong with `adapt`?",
        (
            Option(
                "Three episodes of exploration are too few to find the goal",
                "Three episodes rule out most cells. Look whether it then goes where they point to.",
            ),
            Option(
                "The belief that it returns is too wide to act on",
                "That belief has read a whole trial, and is narrow. It is narrow about the wrong task.",
            ),
            Option(
                "The policy was not trained enough for a fourth episode",
                "The same policy does far better with its own context, as the mended program shows.",
            ),
            Option(
                "The context that it hands over is of another task",
                "It takes the memory of a training task, acted long ago. `explored.memory` is never read.",
                right=True,
            ),
        ),
    ),
)
