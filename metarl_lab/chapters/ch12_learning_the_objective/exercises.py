"""Chapter 12, learning the objective: lambda-returns, the meta-gradient of a discount, a step towards given targets."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Wrong, diagnose, numbers

REWARD, NEXT = np.array([1.0, -0.5, 2.0]), np.array([0.4, 3.0, 1.5])
DISCOUNT, LAM = 0.8, 0.3


def returns(discount=DISCOUNT, lam=LAM, first=None, last=True, reward=REWARD, bootstrap=NEXT):
    """G_t backwards; `last`: the last step bootstraps (truncation); `first`: what replaces G after the last step."""
    out = np.zeros(3)
    after = bootstrap[-1] if first is None else first
    for t in (2, 1, 0):
        mixed = (1 - lam) * bootstrap[t] + lam * after
        out[t] = after = reward[t] + discount * (mixed if last or t < 2 else 0.0)
    return out


def check_lambda_return(answer):
    got = numbers(answer(REWARD.copy(), NEXT.copy(), DISCOUNT, LAM), (3,), "lambda_return(...)")
    here = np.concatenate(([0.0], NEXT[:-1]))
    mistakes = {
        "lambda and 1 - lambda are swapped: lambda weighs the rest of the return.": returns(lam=1 - LAM),
        "The last step does not bootstrap: this episode was truncated, not terminated.": returns(last=False),
        "Past the end you count a return of 0, weighed by lambda: there the value counts in full.": returns(first=0.0),
        "The discount is missing.": returns(discount=1.0),
        "That is one step of temporal difference: lambda is not used.": REWARD + DISCOUNT * NEXT,
        "That is the Monte Carlo return: values count only at the end.": returns(lam=1.0),
        "You bootstrap from the value of s_t; it is that of s_{t+1}.": returns(bootstrap=here),
    }
    return diagnose(got, returns(), mistakes, "Not r_t + discount ((1 - lam) v_{t+1} + lam G_{t+1}).")


THETA, ALPHA, GAMMA = -0.3, 2.0, 0.6


def slope(theta=THETA, alpha=ALPHA, gamma=GAMMA, at_old=False, outer=1.5, inner=6.0, factor=True, sign=1.0):
    """dJ/dgamma on the baited chain, with one mistake at choice."""
    p = 1 / (1 + np.exp(-theta))
    after = theta + sign * alpha * p * (1 - p) * (2 * gamma**3 - 0.5)
    q = p if at_old else 1 / (1 + np.exp(-after))
    return sign * outer * q * (1 - q) * (alpha * p * (1 - p) if factor else 1.0) * inner * gamma**2


def check_discount_slope(answer):
    got = numbers(answer(THETA, ALPHA, GAMMA), (), "discount_slope(theta, alpha, gamma)")
    mistakes = {
        "The outer slope is taken at theta: the outer objective judges theta', after the step.": slope(at_old=True),
        "The inner factor alpha p (1 - p) is missing: how far the step carries a change of its target.": slope(
            factor=False
        ),
        "The outer return is J = 1.5 p - 0.5: its slope in p is 1.5, not 1.": slope(outer=1.0),
        "The inner advantage is 2 gamma^3 - 0.5: differentiate both of its terms that hold gamma.": slope(inner=3.0),
        "The sign: the inner step ascends, so theta' = theta + alpha p (1 - p) A.": slope(sign=-1.0),
    }
    return diagnose(got, slope(), mistakes, "Not J'(theta') times dtheta'/dgamma.")


LOGITS = np.array([[0.2, -0.1, 0.4], [0.0, 0.5, -0.5]])
STATES, ACTIONS, PI_HAT = np.array([0, 1, 0, 1]), np.array([2, 0, 1, 2]), np.array([1.0, -0.5, 0.3, 2.0])


def moved(size=0.5, episodes=2, centred=True, sign=1.0, weight=PI_HAT, rows=STATES, last_only=False):
    pi = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    out = LOGITS.copy()
    for s, a, w in zip(rows, ACTIONS, weight, strict=True):
        change = sign * size / episodes * w * (np.eye(3)[a] - (pi[s] if centred else 0.0))
        out[s] = LOGITS[s] + change if last_only else out[s] + change
    return out


def check_table_step(answer):
    given = LOGITS.copy(), STATES.copy(), ACTIONS.copy(), PI_HAT.copy()
    got = numbers(answer(*given, 0.5, 2), (2, 3), "table_step(...)")
    mistakes = {
        "pi is missing: the gradient of log pi(a) is one-hot(a) minus pi.": moved(centred=False),
        "That is descent: a positive pi_hat is to raise log pi(a | s).": moved(sign=-1.0),
        "You divide by the number of steps, not of episodes.": moved(episodes=4),
        "The step size is missing.": moved(size=1.0),
        "A later visit of a state overwrites an earlier one: add up over visits (np.add.at).": moved(last_only=True),
        "pi_hat is missing: every action taken is raised alike.": moved(weight=np.ones(4)),
    }
    return diagnose(got, moved(), mistakes, "Not logits + size / episodes * sum_t pi_hat_t (one-hot(a_t) - pi(s_t)).")


def back(mixed="(1 - lam) * next_value[t] + lam * g", start="next_value[-1]", discount="discount"):
    """Source of a lambda_return with the parts given."""
    return (
        f"def lambda_return(reward, next_value, discount, lam):\n    g, out = {start}, np.zeros(len(reward))\n"
        f"    for t in reversed(range(len(reward))):\n        out[t] = g = reward[t] + {discount} * ({mixed})\n"
        "    return out"
    )


def chain_rule(after="theta + alpha * p * (1 - p) * (2 * gamma**3 - 0.5)", outer="1.5", inner="alpha * p * (1 - p)"):
    """Source of a discount_slope with the parts given."""
    return (
        "def discount_slope(theta, alpha, gamma):\n    p = 1 / (1 + np.exp(-theta))\n"
        f"    q = 1 / (1 + np.exp(-({after})))\n    return {outer} * q * (1 - q) * {inner} * 6 * gamma**2"
    )


def table(by="pi_hat[:, None]", what="np.eye(logits.shape[1])[actions] - pi[states]", scale="size / episodes"):
    """Source of a table_step with the parts given."""
    return (
        "def table_step(logits, states, actions, pi_hat, size, episodes):\n"
        "    pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)\n    out = logits.copy()\n"
        f"    np.add.at(out, states, {scale} * {by} * ({what}))\n    return out"
    )


OVERWRITES = table().replace(
    "np.add.at(out, states, size / episodes", "out[states] = (logits[states] + size / episodes"
)

EXERCISES = (
    Exercise(
        id="12.1",
        name="lambda_return",
        task="write lambda_return(reward, next_value, discount, lam): (H,), (H,), number, number -> (H,); the "
        "episode is truncated after H steps",
        check=check_lambda_return,
        hints=(
            "Go backwards. What stands in for the rest of the return after the last step?",
            "G_t = r_t + discount ((1 - lam) v_{t+1} + lam G_{t+1}), with v_{H} in place of G_{H}",
            "g = next_value[-1]; for t in reversed(range(H)): g = reward[t] + discount * (...)",
        ),
        solution=back(),
        wrong=(
            Wrong(back("lam * next_value[t] + (1 - lam) * g"), "swapped"),
            Wrong(back("((1 - lam) * next_value[t] + lam * g) * (t < len(reward) - 1)"), "truncated, not terminated"),
            Wrong(back(start="0.0"), "Past the end"),
            Wrong(back(discount="1"), "discount is missing"),
            Wrong(back("next_value[t]"), "one step of temporal difference"),
            Wrong(back("g"), "Monte Carlo"),
        ),
    ),
    Exercise(
        id="12.2",
        name="discount_slope",
        task="write discount_slope(theta, alpha, gamma) -> dJ/dgamma, a number, on the baited chain of section 2",
        check=check_discount_slope,
        hints=(
            "Two factors: what would improve the agent after its step, and how that agent moves when gamma does.",
            "J'(theta') = 1.5 q (1 - q), q = sigmoid(theta'); dtheta'/dgamma = alpha p (1 - p) 6 gamma^2",
            "return 1.5 * q * (1 - q) * alpha * p * (1 - p) * 6 * gamma**2",
        ),
        solution=chain_rule(),
        wrong=(
            Wrong(chain_rule(after="theta"), "at theta"),
            Wrong(chain_rule(inner="1"), "inner factor"),
            Wrong(chain_rule(outer="1"), "1.5, not 1"),
            Wrong(chain_rule(outer="0.75"), "both of its terms"),
            Wrong(
                chain_rule("theta - alpha * p * (1 - p) * (2 * gamma**3 - 0.5)", inner="-alpha * p * (1 - p)"),
                "The sign",
            ),
        ),
    ),
    Exercise(
        id="12.3",
        name="table_step",
        task="write table_step(logits, states, actions, pi_hat, size, episodes): (S, A), (M,), (M,), (M,), number, "
        "number -> (S, A)",
        check=check_table_step,
        hints=(
            "What is the gradient of log softmax(logits)_a in the logits? A state may be visited twice.",
            "logits + size / episodes * sum_t pi_hat_t (one-hot(a_t) - pi(s_t)), each added to the row of its state",
            "np.add.at(out, states, size / episodes * pi_hat[:, None] * (one_hot - pi[states]))",
        ),
        solution=table(),
        wrong=(
            Wrong(table(what="np.eye(logits.shape[1])[actions]"), "pi is missing"),
            Wrong(table(scale="-size / episodes"), "descent"),
            Wrong(table(scale="size / len(states)"), "number of steps"),
            Wrong(table(scale="1 / episodes"), "step size is missing"),
            Wrong(table(by="1"), "pi_hat is missing"),
            Wrong(OVERWRITES, "overwrites"),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "12.a",
        "Which discount does the outer objective have?",
        (
            Option("The learned one", "Then the agent would choose its own exam: a change of what is counted, not of "
                   "what is done, could raise the score."),
            Option("A fixed one, close to 1", "The goal stays put; only the way to it is learned.", right=True),
            Option("None: it needs no return", "It judges the next batch, by a return. Which one, is the question."),
        ),
    ),
    Quiz(
        "12.b",
        "Why does the colleague's discount fall?",
        (
            Option("The step size of the meta-gradient is too large", "It is the same in both programs."),
            Option("The discount is clipped", "It is a sigmoid: nothing stops it from rising to 1."),
            Option(
                "The outer returns end in a value function that does not see the end of the chain",
                "They bootstrap from values at the *inner* discount. Those of the states on the way are near 0: "
                "the bait looks like the better bargain to the outer objective too.",
                right=True,
            ),
            Option("Too few episodes", "Twenty agents with twenty episodes each, in both programs."),
        ),
    ),
)  # fmt: skip
