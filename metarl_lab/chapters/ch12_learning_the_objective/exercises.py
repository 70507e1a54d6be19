"""Chapter 12, learning the objective: lambda-returns, a step towards given targets, the meta-gradient of a discount."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, as_array, close, diagnose, numbers

# --- 12.1 the lambda-return -------------------------------------------------------------------------------------------

EPISODES = (  # reward, value after each step, discount, lambda
    (np.array([1.0, -0.5, 2.0]), np.array([0.4, 3.0, 1.5]), 0.8, 0.3),
    (np.array([0.5, 2.0, -1.0, 0.0, 3.0]), np.array([1.0, -2.0, 0.5, 4.0, 2.5]), 0.9, 0.85),
)


def lambda_returns(reward, next_value, discount, lam, *, after_end=None, cut_counts_as_end=False):
    """G_t of a truncated episode, (H,); the keywords make a mistake each.

    after_end : what stands in the place of G after the last step, if not the value there.
    cut_counts_as_end : nothing follows the last step.
    """
    returns = np.zeros(len(reward))
    next_return = next_value[-1] if after_end is None else after_end
    for t in reversed(range(len(reward))):
        following = (1 - lam) * next_value[t] + lam * next_return
        if cut_counts_as_end and t == len(reward) - 1:
            following = 0.0
        returns[t] = next_return = reward[t] + discount * following
    return returns


def check_lambda_return(answer):
    for reward, next_value, discount, lam in EPISODES:
        got = numbers(answer(reward.copy(), next_value.copy(), discount, lam), reward.shape, "lambda_return(...)")

        def variant(reward=reward, next_value=next_value, discount=discount, lam=lam, **mistake):
            return lambda_returns(reward, next_value, discount, lam, **mistake)

        right = variant()
        value_here = np.concatenate(([0.0], next_value[:-1]))  # of s_t; that of s_0 is not given
        mistakes = {
            "lambda and 1 - lambda are swapped: lambda weighs the rest of the return.": variant(lam=1 - lam),
            "The last step does not bootstrap: this episode was truncated, not terminated.": variant(
                cut_counts_as_end=True
            ),
            "Past the end you count a return of 0, weighed by lambda: there the value counts in full.": variant(
                after_end=0.0
            ),
            "The discount is missing.": variant(discount=1.0),
            "That is one step of temporal difference: lambda is not used.": reward + discount * next_value,
            "That is the Monte Carlo return: values count only at the end.": variant(lam=1.0),
            "You bootstrap from the value of s_t; it is that of s_{t+1}.": variant(next_value=value_here),
            "The order is turned round: the return of the first step stands first.": right[::-1],
            "That discounts the reward too: it is paid now.": variant(reward=discount * reward),
            "That is the reward alone: what follows is missing.": reward,
        }
        otherwise = "Not r_t + discount ((1 - lam) v_{t+1} + lam G_{t+1}), from the last step to the first."
        if message := diagnose(got, right, mistakes, otherwise):
            return message
    return None


# --- 12.2 the slope of a discount, by hand ----------------------------------------------------------------------------

LURES = (  # theta, alpha, gamma
    (-0.3, 1.7, 0.6),
    (0.7, 1.3, 0.9),
    (0.0, 3.5, 0.3),
)
SINGLE = 1e-5  # a reader may work out a single number in float32


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def after_step(theta, alpha, gamma):
    """The agent of section 2 after one exact inner step at the discount gamma."""
    p = sigmoid(theta)
    return theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)


def slope(theta, alpha, gamma):
    """dJ/dgamma on the baited chain: J'(theta') times dtheta'/dgamma."""
    p, q = sigmoid(theta), sigmoid(after_step(theta, alpha, gamma))
    return 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2


def check_discount_slope(answer):
    for theta, alpha, gamma in LURES:
        given = (np.array(number) for number in (theta, alpha, gamma))  # a reader may want tensors of them
        got = numbers(answer(*given), (), "discount_slope(theta, alpha, gamma)")
        right = slope(theta, alpha, gamma)
        p, q = sigmoid(theta), sigmoid(after_step(theta, alpha, gamma))
        after_descent = sigmoid(2 * theta - after_step(theta, alpha, gamma))
        mistakes = {
            "The outer slope is taken at theta: the outer objective judges theta', after the step.": (
                right / (q * (1 - q)) * p * (1 - p)
            ),
            "The inner factor alpha p (1 - p) is missing: how far the step carries a change of its target.": (
                right / (alpha * p * (1 - p))
            ),
            "alpha is missing: the longer the inner step, the more gamma moves the agent.": right / alpha,
            "The outer return is J = 1.5 p - 0.5: its slope in p is 1.5, not 1.": right / 1.5,
            "The inner advantage is 2 gamma^3 - 0.5: differentiate both of its terms that hold gamma.": right / 2,
            "The outer slope lacks q (1 - q): J depends on theta' through the sigmoid.": right / (q * (1 - q)),
            "The derivative of gamma^3 is 3 gamma^2: you kept the cube.": right * gamma,
            "The sign: the inner step ascends, so theta' = theta + alpha p (1 - p) A.": (
                -1.5 * after_descent * (1 - after_descent) * alpha * p * (1 - p) * 6 * gamma**2
            ),
            "That is the return after the step, not its slope in gamma.": 1.5 * q - 0.5,
        }
        if message := diagnose(got, right, mistakes, "Not J'(theta') times dtheta'/dgamma.", SINGLE):
            return message
    return None


# --- 12.3 an agent's step ---------------------------------------------------------------------------------------------

BATCHES = (  # logits (S, A), states (M,), actions (M,), pi_hat (M,), size, episodes; each with states visited twice
    (
        np.array([[0.2, -0.1, 0.4], [0.0, 0.5, -0.5]]),
        np.array([0, 1, 0, 1]),
        np.array([2, 0, 1, 2]),
        np.array([1.0, -0.5, 0.3, 2.0]),
        0.6,
        2,
    ),
    (
        np.array([[1.0, -1.0], [0.3, 0.6], [-0.4, 0.2], [0.0, 0.8]]),
        np.array([3, 0, 3, 1, 3, 0, 2]),
        np.array([0, 1, 1, 0, 0, 0, 1]),
        np.array([0.7, 1.5, -1.0, 2.0, -0.4, 0.9, -1.2]),
        1.4,
        3,
    ),
)


def softmax(logits, axis=-1):
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis, keepdims=True)


def moved(logits, states, actions, pi_hat, size, episodes, *, centred=True, overwrites=False, in_turn=False, axis=-1):
    """The logits after the step, (S, A); the keywords make a mistake each.

    centred : subtract pi, as the gradient of log pi does.
    overwrites : of a state's visits only the last counts.
    in_turn : every step is scored by the policy that the steps before it have left, not by the one that acted.
    axis : of the softmax.
    """
    out = logits.copy()
    for state, action, weight in zip(states, actions, pi_hat, strict=True):
        pi = softmax(out if in_turn else logits, axis)[state]
        score = np.eye(logits.shape[1])[action] - (pi if centred else 0.0)
        start = logits[state] if overwrites else out[state]
        out[state] = start + size / episodes * weight * score
    return out


def check_table_step(answer):
    for batch in BATCHES:
        logits, states, actions, pi_hat, size, episodes = batch
        got = numbers(answer(*(x.copy() for x in batch[:4]), size, episodes), logits.shape, "table_step(...)")
        right = moved(*batch)
        mistakes = {
            "pi is missing: the gradient of log pi(a) is one-hot(a) minus pi.": moved(*batch, centred=False),
            "That is descent: a positive pi_hat is to raise log pi(a | s).": 2 * logits - right,
            "You divide by the number of steps, not of episodes.": logits + (right - logits) * episodes / len(states),
            "The number of episodes is missing: divide by it.": logits + (right - logits) * episodes,
            "The step size is missing.": logits + (right - logits) / size,
            "A later visit of a state overwrites an earlier one: add up over visits (np.add.at).": moved(
                *batch, overwrites=True
            ),
            "You score each step by logits that the steps before it have moved already: all of them were acted by "
            "the logits that are given.": moved(*batch, in_turn=True),
            "Your softmax runs over the states: it is over the actions of a state.": moved(*batch, axis=0),
            "pi_hat is missing: every action taken is raised alike.": moved(
                logits, states, actions, np.ones(len(states)), size, episodes
            ),
            "That is the change: give the logits after it.": right - logits,
            "That gives the probabilities: the table holds logits.": softmax(right),
        }
        otherwise = "Not logits + size / episodes * sum_t pi_hat_t (one-hot(a_t) - pi(s_t))."
        if message := diagnose(got, right, mistakes, otherwise):
            return message
    return None


# --- 12.4 the whole algorithm -----------------------------------------------------------------------------------------

COURSES = (  # theta, logit, alpha, beta, iterations
    (0.0, 0.2, 2.0, 3.0, 4),
    (-0.5, -0.6, 3.0, 5.0, 7),
)


def courses(
    theta,
    logit,
    alpha,
    beta,
    iterations,
    *,
    old_agents=False,
    on_logit=True,
    squash=True,
    late_step=False,
    still=False,
):
    """The discount before the first iteration and after each, (iterations + 1,); the keywords make a mistake each.

    old_agents : the outer slope is that of theta, not of theta'.
    on_logit : the meta-step is taken on the logit; otherwise on the discount itself.
    squash : the gradient has the slope of the sigmoid in it.
    late_step : the agent takes its step with the discount after the meta-step.
    still : every iteration begins with the agent of the beginning.
    """
    found = [sigmoid(logit)]
    for _ in range(iterations):
        gamma = found[-1]
        gradient = slope(theta, alpha, gamma)
        p, q = sigmoid(theta), sigmoid(after_step(theta, alpha, gamma))
        if old_agents:
            gradient = gradient / (q * (1 - q)) * p * (1 - p)
        if on_logit:
            logit = logit + beta * gradient * (gamma * (1 - gamma) if squash else 1.0)
            found.append(sigmoid(logit))
        else:
            found.append(gamma + beta * gradient)
        if not still:
            theta = after_step(theta, alpha, found[-1] if late_step else gamma)
    return np.array(found)


def check_learn_discount(answer):
    for theta, logit, alpha, beta, iterations in COURSES:
        given = (np.array(number) for number in (theta, logit, alpha, beta))
        got = answer(*given, iterations)
        what = "learn_discount(theta, logit, alpha, beta, iterations)"

        def variant(theta=theta, logit=logit, alpha=alpha, beta=beta, iterations=iterations, **mistake):
            return courses(theta, logit, alpha, beta, iterations, **mistake)

        right = variant()
        if missing := first_missing(got, right):
            return missing
        got = numbers(got, right.shape, what)
        mistakes = {
            "Every iteration begins with the agent of the beginning: the next one is to begin at theta'.": variant(
                still=True
            ),
            "The outer slope is taken at theta: the outer objective judges theta', after the step.": variant(
                old_agents=True
            ),
            "That descends: the return after the step is to be maximised.": variant(beta=-beta),
            "The slope of the sigmoid is missing: the step is on the logit, and dgamma/dlogit = gamma (1 - gamma).": (
                variant(squash=False)
            ),
            "You move the discount itself, which then leaves 0 to 1: move its logit.": variant(on_logit=False),
            "Your agent steps with the discount that the meta-step has just made: theta', which was judged, goes on.": (
                variant(late_step=True)
            ),
            "beta is missing.": variant(beta=1.0),
            "These are logits: give discounts, from 0 to 1.": np.log(right / (1 - right)),
        }
        otherwise = "Not the discounts of section 2's loop: a step of the agent, its judgement, a step of the logit."
        if message := diagnose(got, right, mistakes, otherwise, SINGLE):
            return message
    return None


def first_missing(got, right):
    """What is wrong with an answer that leaves out the discount before the first iteration; "" otherwise."""
    try:
        array = as_array(got)
    except (TypeError, ValueError, RuntimeError):
        return ""
    if array.shape == (len(right) - 1,) and close(array, right[1:], SINGLE):
        return "The discount before the first iteration is missing: it comes first."
    if array.shape == () and close(array, right[-1], SINGLE):
        return "That is the last discount: give the whole course, the discount before the first iteration included."
    return ""


EXERCISES = (
    Exercise(
        id="12.1",
        name="lambda_return",
        task="""
            Write lambda_return(reward, next_value, discount, lam): the lambda-return of every step of one episode,
            which was truncated after its last step: it was cut there, and would have gone on.

              reward      (H,) r_t, reward of each step
              next_value  (H,) v(s_{t+1}), value of the state that followed each step, in units of reward; the last one
                          stands for all that would have come after the cut
              discount    a number from 0 to 1
              lam         a number from 0 to 1: the weight of the rest of the return against the value
              returns     (H,) G_t, in units of reward, the first step's first
        """,
        check=check_lambda_return,
        hints=(
            "Go backwards. What stands in for the rest of the return after the last step?",
            "G_t = r_t + discount ((1 - lam) v_{t+1} + lam G_{t+1}), with the last value in the place of G_{t+1} where "
            "there is no next step",
            "after = next_value[-1]; then, from the last t to the first: after = reward[t] + discount * (...)",
        ),
        solution="""
            def lambda_return(reward, next_value, discount, lam):
                returns = np.zeros(len(reward))
                next_return = next_value[-1]  # nothing was acted after the cut
                for t in reversed(range(len(reward))):
                    following = (1 - lam) * next_value[t] + lam * next_return
                    returns[t] = next_return = reward[t] + discount * following
                return returns
        """,
    ),
    Exercise(
        id="12.2",
        name="discount_slope",
        task="""
            Write discount_slope(theta, alpha, gamma): how fast the true return J(theta') of section 2's agent, after
            its step, changes with the discount gamma of that step. By hand, or by a program that differentiates.

              theta    a number: the agent's logit before the step; it goes right with probability sigmoid(theta)
              alpha    a number above 0: the size of the inner step
              gamma    a number from 0 to 1: the inner discount
              returns  a number: dJ/dgamma, in units of return per unit of discount
        """,
        check=check_discount_slope,
        hints=(
            "Two factors: what would improve the agent after its step, and how that agent moves when gamma does.",
            "J'(theta') = 1.5 q (1 - q) with q = sigmoid(theta'), times dtheta'/dgamma: in section 2's `step` only the "
            "advantage depends on gamma",
            "q = 1 / (1 + np.exp(-after)); the first factor is 1.5 * q * (1 - q), the second is alpha * p * (1 - p) "
            "* ...",
        ),
        solution="""
            def discount_slope(theta, alpha, gamma):
                p = 1 / (1 + np.exp(-theta))
                after = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
                q = 1 / (1 + np.exp(-after))
                outer = 1.5 * q * (1 - q)  # dJ/dtheta', at theta'
                inner = alpha * p * (1 - p) * 6 * gamma**2  # dtheta'/dgamma
                return outer * inner
        """,
    ),
    Exercise(
        id="12.3",
        name="table_step",
        task="""
            Write table_step(logits, states, actions, pi_hat, size, episodes): one step of an agent whose policy is a
            softmax over a row of logits for each state. Every action taken is made more likely in proportion to its
            pi_hat (less likely where that is negative).

              logits    (S, A) the table, one row a state
              states    (M,) whole numbers from 0 to S - 1: the state of each step acted; some occur more than once
              actions   (M,) whole numbers from 0 to A - 1: the action taken there
              pi_hat    (M,) what the update rule says of each step
              size      a number: the step size
              episodes  a number: the M steps belong to that many episodes; the sum over steps is divided by it
              returns   (S, A) the table after the step; the rows of states that were not visited stay as they are
        """,
        check=check_table_step,
        hints=(
            "What is the gradient of log softmax(logits)_a in the logits? A state may be visited more than once.",
            "logits + size / episodes * sum_t pi_hat_t (one-hot(a_t) - pi(s_t)), each term added to the row of its "
            "state",
            "score = np.eye(logits.shape[1])[actions] - ...; and np.add.at(table, states, ...) adds up over visits",
        ),
        solution="""
            def table_step(logits, states, actions, pi_hat, size, episodes):
                pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                score = np.eye(logits.shape[1])[actions] - pi[states]  # (M, A), grad log pi(a_t | s_t)
                table = logits.copy()
                np.add.at(table, states, size / episodes * pi_hat[:, None] * score)
                return table
        """,
    ),
    Exercise(
        id="12.4",
        name="learn_discount",
        task="""
            Write learn_discount(theta, logit, alpha, beta, iterations): the meta policy gradient of section 2, online,
            on its exact chain. In each iteration the agent takes one inner step from theta, at the discount
            sigmoid(logit), to theta'; the logit takes one step up the gradient of the true return J(theta') in the
            logit; and the next iteration begins at theta'.

              theta       a number: the agent's logit at the beginning
              logit       a number: the logit of the discount at the beginning
              alpha       a number above 0: the size of the inner step
              beta        a number above 0: the size of the meta-step, on the logit
              iterations  a whole number, 1 or more
              returns     (iterations + 1,) the discount before the first iteration, and after each
        """,
        check=check_learn_discount,
        hints=(
            "Exercise 12.2 is the gradient in the discount. How does the discount change with its logit?",
            "dJ/dlogit = discount_slope(theta, alpha, gamma) gamma (1 - gamma); theta' is section 2's `step`, at the "
            "discount from before the meta-step",
            "for _ in range(iterations): gamma = 1 / (1 + np.exp(-logit)); slope = discount_slope(theta, alpha, gamma) "
            "* ...; logit = ...; theta = ...",
        ),
        solution="""
            def learn_discount(theta, logit, alpha, beta, iterations):
                discounts = [1 / (1 + np.exp(-logit))]
                for _ in range(iterations):
                    gamma = discounts[-1]
                    p = 1 / (1 + np.exp(-theta))
                    theta = theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)  # theta', by the inner step
                    q = 1 / (1 + np.exp(-theta))
                    slope = 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2  # dJ(theta')/dgamma
                    logit = logit + beta * slope * gamma * (1 - gamma)
                    discounts.append(1 / (1 + np.exp(-logit)))
                return np.array(discounts)
        """,
    ),
)

QUIZZES = (
    Quiz(
        "12.a",
        "Which discount does the outer objective have?",
        (
            Option(
                "The learned one, as it stands after the step",
                "Then the agent would choose its own exam: a change of what is counted, not of what is done, could "
                "raise the score.",
            ),
            Option(
                "A fixed one, close to 1",
                "The goal stays where it is, and only the way to it is learned.",
                right=True,
            ),
            Option(
                "None, because it needs no return",
                "The outer objective judges the next batch by a return, and every return has a discount.",
            ),
        ),
    ),
    Quiz(
        "12.b",
        "Why does the colleague's discount fall?",
        (
            Option(
                "The step size of the meta-gradient is too large for a discount as small as 0.2",
                "The step size is the same in both programs, and ours climbs from 0.2 with it.",
            ),
            Option(
                "The outer returns end in values that do not see the end of the chain",
                "They bootstrap from values at the *inner* discount. Those of the states on the way are near 0, so "
                "the bait looks like the better bargain to the outer objective too.",
                right=True,
            ),
            Option(
                "The discount is clipped, and cannot rise as fast as the agents learn",
                "It is a sigmoid of a logit, and nothing stops it from rising to 1.",
            ),
            Option(
                "Twenty episodes are too few to see a reward that comes at the end",
                "Twenty agents act twenty episodes each in both programs, and the last reward comes in every one.",
            ),
        ),
    ),
)
