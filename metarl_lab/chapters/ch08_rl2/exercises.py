"""Chapter 08, RL2: what a step sees, what is carried where, credit over a trial, a probe scored fairly."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Wrong, diagnose, numbers

ARMS = 3
STEPS = ((-1, 0.0, True), (2, 1.0, False), (0, 0.5, True))  # (action, reward, start)


def seen_as(action, reward, start):
    one_hot = np.zeros(ARMS)
    if action >= 0:
        one_hot[action] = 1
    return np.array([*one_hot, reward, float(start)])


def check_step_input(answer):
    got = np.stack([numbers(answer(*step, ARMS), (ARMS + 2,), "step_input(...)") for step in STEPS])
    right = np.stack([seen_as(*step) for step in STEPS])
    wrapped, silent, blank, swapped = right.copy(), right.copy(), right.copy(), right.copy()
    wrapped[0, ARMS - 1] = 1
    silent[:, ARMS] = 0
    blank[2] = seen_as(-1, 0.0, True)
    swapped[:, ARMS:] = right[:, [ARMS + 1, ARMS]]
    mistakes = {
        "Action -1 has become the last arm (index -1 wraps): before the first step all zeros.": wrapped,
        "The reward is lost: without it nothing can be learned from a pull.": silent,
        "The reset bug: at the start of a later episode the last action and reward must still arrive.": blank,
        "Reward and start are swapped: the order is action, reward, start.": swapped,
    }
    return diagnose(got, right, mistakes, "Not (one-hot action, reward, start).")


HIDDEN = np.array([[0.5, -0.2], [0.1, 0.9], [-0.7, 0.3], [0.4, 0.4]])  # (B, F)
EPISODE, TRIAL = np.array([False, True, True, False]), np.array([False, False, True, False])


def check_carry(answer):
    got = numbers(answer(HIDDEN.copy(), EPISODE.copy(), TRIAL.copy()), (4, 2), "carry(hidden, new_episode, new_trial)")
    mistakes = {
        "The reset bug: you forget at every episode. The state lasts the whole trial.": np.where(
            EPISODE[:, None], 0, HIDDEN
        ),
        "Nothing is ever forgotten: what was learned in one task crosses into the next trial.": HIDDEN,
        "One new trial wipes all of them: each row has its own.": 0 * HIDDEN,
        "Turned round: you keep where a trial begins, and forget elsewhere.": np.where(TRIAL[:, None], HIDDEN, 0),
    }
    return diagnose(
        got, np.where(TRIAL[:, None], 0, HIDDEN), mistakes, "Not zeros where a trial begins, else `hidden`."
    )


REWARD = np.array([[0.3, 1.0], [5.0, 0.0], [2.0, 4.0]])  # (K, H)
VALUE = np.array([[1.0, 2.0], [3.0, 1.5], [2.5, 3.5]])


def credit(discount=0.9, lam=0.5, shape=(6,), after=0.0, reward=REWARD):
    """Advantages along the last axis of the given shape, (3, 2)."""
    r, v = reward.reshape(shape), VALUE.reshape(shape)
    out, carried, following = np.zeros(shape), np.zeros(shape[:-1]), np.full(shape[:-1], after)
    for t in reversed(range(shape[-1])):
        carried = r[..., t] + discount * following - v[..., t] + discount * lam * carried
        out[..., t], following = carried, v[..., t]
    return out.reshape(3, 2)


def check_trial_credit(answer):
    got = numbers(answer(REWARD.copy(), VALUE.copy(), 0.9, 0.5), (3, 2), "trial_credit(...)")
    mistakes = {
        "Cut at the episodes' ends: what an episode found out earns nothing later. Lay them end to end.": (
            credit(shape=(3, 2))
        ),
        "After the trial's last step comes nothing: you bootstrap from its first value (np.roll wraps).": credit(
            after=VALUE[0, 0]
        ),
        "Those are the deltas only (lambda 0): sum them, each weighted by discount * lam.": credit(lam=0.0),
        "lam is missing: the sum weighs deltas by discount * lam.": credit(lam=1.0),
    }
    return diagnose(got, credit(), mistakes, "Not the sum of (discount lam)^l delta over the steps left in the trial.")


RNG = np.random.default_rng(8)
H, NEW_H = RNG.normal(size=(40, 3)) + 1, RNG.normal(size=(30, 3)) + 1
Y, NEW_Y = (h @ [1.0, -2.0, 0.5] + 3 + RNG.normal(size=len(h)) for h in (H, NEW_H))


def fitted(bias=True, h=H, y=Y, on=NEW_H):
    design, new = (np.c_[x, np.ones(len(x))] if bias else x for x in (h, on))
    return new @ np.linalg.lstsq(design, y, rcond=None)[0]


def score(y, reading):
    return 1 - np.square(y - reading).sum() / np.square(y - y.mean()).sum()


def check_probe_score(answer):
    got = numbers(answer(H.copy(), Y.copy(), NEW_H.copy(), NEW_Y.copy()), (), "probe_score(h, y, new_h, new_y)")
    mistakes = {
        "Scored on the data it was fitted to: with many units that is always good.": score(Y, fitted(on=H)),
        "Fitted on the new data as well: that scores memory, not the hidden state.": score(
            NEW_Y, fitted(h=NEW_H, y=NEW_Y)
        ),
        "The bias is missing: append a column of ones.": score(NEW_Y, fitted(bias=False)),
        "That is the squared correlation: it forgives a wrong scale and offset.": np.corrcoef(NEW_Y, fitted())[0, 1]
        ** 2,
        "That is the share left unexplained: R squared is 1 minus it.": 1 - score(NEW_Y, fitted()),
    }
    return diagnose(got, score(NEW_Y, fitted()), mistakes, "Not the R squared of the fitted map on the new data.")


INPUT = "def step_input(action, reward, start, arms):\n    one = {}\n    return [*one, {}]"
ONE = "[float(i == action) for i in range(arms)]"
CARRY = "carry = lambda hidden, new_episode, new_trial: {}"
CREDIT = """
    def trial_credit(reward, value, discount, lam):
        r, v, out = reward.{flat}, value.{flat}, np.zeros(reward.{flat}.shape)
        after, carried = {after}, 0.0
        for t in reversed(range(r.shape[-1])):
            carried = r[..., t] + discount * after - v[..., t] + {weight} * carried
            out[..., t], after = carried, v[..., t]
        return out.reshape(reward.shape)
"""
USUAL = {"flat": "reshape(-1)", "after": "0.0", "weight": "discount * lam"}
PROBE = """
    def probe_score(h, y, new_h, new_y):
        ones = lambda x: np.column_stack((x, {column}np.ones(len(x))))
        w = np.linalg.lstsq(ones({fit}), {fit_y}, rcond=None)[0]
        x, y = ones({test}) @ w, {test_y}
        return {result}
"""
FAIR = {"column": "", "fit": "h", "fit_y": "y", "test": "new_h", "test_y": "new_y"}
FAIR |= {"result": "1 - ((y - x) ** 2).sum() / ((y - y.mean()) ** 2).sum()"}

EXERCISES = (
    Exercise(
        id="08.1",
        name="step_input",
        task="write step_input(action, reward, start, arms): index or -1, number, bool, count -> (arms + 2,)",
        check=check_step_input,
        hints=(
            "What does the network know before its first pull? And at the start of the second episode?",
            "x = (1[a = 0], ..., 1[a = k - 1], r, start)",
            "one_hot = [float(i == action) for i in range(arms)]",
        ),
        solution=INPUT.format(ONE, "reward, float(start)"),
        wrong=(
            Wrong(INPUT.format("np.eye(arms)[action]", "reward, float(start)"), "index -1 wraps"),
            Wrong(INPUT.format(ONE, "0.0, float(start)"), "reward is lost"),
            Wrong(
                INPUT.format("[float(i == action and not start) for i in range(arms)]", "reward * (not start), start"),
                "reset bug",
            ),
            Wrong(INPUT.format(ONE, "float(start), reward"), "swapped"),
        ),
    ),
    Exercise(
        id="08.2",
        name="carry",
        task="write carry(hidden, new_episode, new_trial): (B, F), (B,) bool, (B,) bool -> (B, F)",
        check=check_carry,
        hints=(
            "What may be known from the episode before? And from the trial before?",
            "h_b = 0 if trial b begins here, else h_b",
            "np.where(new_trial[:, None], 0, hidden)",
        ),
        solution=CARRY.format("np.where(new_trial[:, None], 0, hidden)"),
        wrong=(
            Wrong(CARRY.format("np.where(new_episode[:, None], 0, hidden)"), "reset bug"),
            Wrong(CARRY.format("hidden"), "crosses into the next trial"),
            Wrong(CARRY.format("0 * hidden if new_trial.any() else hidden"), "wipes all"),
            Wrong(CARRY.format("hidden * new_trial[:, None]"), "Turned round"),
        ),
    ),
    Exercise(
        id="08.3",
        name="trial_credit",
        task="write trial_credit(reward, value, discount, lam): (K, H), (K, H), two numbers -> (K, H)",
        check=check_trial_credit,
        hints=(
            "Lay the episodes end to end. What follows the last step of an episode, and of the trial?",
            "A_t = delta_t + discount lam A_(t+1), delta_t = r_t + discount V_(t+1) - V_t; zeros after the trial",
            "r, v = reward.ravel(), value.ravel(), then from the last step to the first; reshape at the end",
        ),
        solution=CREDIT.format(**USUAL),
        wrong=(
            Wrong(CREDIT.format(**USUAL | {"flat": "reshape(reward.shape)"}), "Cut at the episodes' ends"),
            Wrong(CREDIT.format(**USUAL | {"after": "v[0]"}), "np.roll wraps"),
            Wrong(CREDIT.format(**USUAL | {"weight": "0"}), "deltas only"),
            Wrong(CREDIT.format(**USUAL | {"weight": "discount"}), "lam is missing"),
        ),
    ),
    Exercise(
        id="08.4",
        name="probe_score",
        task="write probe_score(h, y, new_h, new_y): (N, F), (N,), (M, F), (M,) -> R squared on the new data",
        check=check_probe_score,
        hints=(
            "Which data may choose w and b? Which data may judge them?",
            "R^2 = 1 - sum (y - y_hat)^2 / sum (y - mean y)^2, over the new data",
            "w = np.linalg.lstsq(np.c_[h, np.ones(len(h))], y, rcond=None)[0]",
        ),
        solution=PROBE.format(**FAIR),
        wrong=(
            Wrong(PROBE.format(**FAIR | {"test": "h", "test_y": "y"}), "fitted to"),
            Wrong(PROBE.format(**FAIR | {"fit": "new_h", "fit_y": "new_y"}), "new data as well"),
            Wrong(PROBE.format(**FAIR | {"column": "0 * "}), "bias is missing"),
            Wrong(PROBE.format(**FAIR | {"result": "np.corrcoef(x, y)[0, 1] ** 2"}), "squared correlation"),
            Wrong(
                PROBE.format(**FAIR | {"result": "((y - x) ** 2).sum() / ((y - y.mean()) ** 2).sum()"}), "unexplained"
            ),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "08.a",
        "A stored RL2 agent is put into a new task and improves from pull to pull. What has changed inside it?",
        (
            Option("Its weights, by PPO", "PPO is over: no gradient is computed in a trial. Section 7 checks it."),
            Option(
                "Its hidden state only",
                "The weights say how results change the state, and how the state chooses: a learning algorithm.",
                right=True,
            ),
            Option("The last layer, which adapts to the task", "That is ANIL (chapter 07). Here no weight moves."),
            Option("Nothing: it remembers which arm is best", "There is no such arm: every trial has other ones."),
        ),
    ),
    Quiz(
        "08.b",
        "Why does the colleague's agent stay at random play?",
        (
            Option("Thirty updates are too few", "The same number takes the right program well beyond 5. And longer?"),
            Option(
                "It trains on hidden states that never acted",
                "From zeros, every pull looks like the second one of a trial: what the update makes likelier "
                "is not what the agent does when it acts with a carried state.",
                right=True,
            ),
            Option("Credit stops at the end of the episode", "Not here: the advantages still span the trial."),
            Option(
                "The last reward does not arrive", "It does: the inputs are untouched. That is the other reset bug."
            ),
        ),
    ),
)
