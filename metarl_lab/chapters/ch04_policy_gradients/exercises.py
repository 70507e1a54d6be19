"""Chapter 04, policy gradients: a baseline from the others, the estimator, the target of a critic."""

from itertools import product

import numpy as np
import torch

from metarl_lab.teach.base import Exercise, Feedback, Option, Quiz, Wrong, close, diagnose, numbers

RETURNS = np.array([[6.0, 5.0, 2.0], [3.0, 1.0, 0.0], [9.0, 4.0, 3.0], [2.0, 2.0, 1.0]])  # (N, H)


def check_leave_one_out(answer):
    got = numbers(answer(RETURNS.copy()), RETURNS.shape, "leave_one_out(returns)")
    n, mean = len(RETURNS), RETURNS.mean(0)
    right = RETURNS - (RETURNS.sum(0) - RETURNS) / (n - 1)
    mistakes = {
        "That is the mean of the whole batch, each episode's own return included: biased by 1/N.": RETURNS - mean,
        "You average over time: the baseline of step t is the mean over the *other episodes* at step t.": (
            RETURNS - RETURNS.mean(1, keepdims=True)
        ),
        "That is the baseline: subtract it from the returns.": RETURNS - right,
        "Divide by N - 1: there are N - 1 others.": RETURNS - (RETURNS.sum(0) - RETURNS) / n,
        "The sign is wrong: the advantage is return minus baseline.": -right,
    }
    return diagnose(got, right, mistakes, "Not each return minus the mean of the other episodes at the same step.")


GUST, STEPS, FALLEN = 0.2, 3, 5
PREFERENCE = np.array([0.4, -0.3, 0.8, 0.1, -0.6])  # theta, one for each tilt
CHANCE = np.append(1 / (1 + np.exp(-PREFERENCE)), 0.5)  # of leaning right; fallen: of no consequence


def every_trajectory():
    """All 64 ways three steps on the beam can go: state, action, reward (64, 3), probability (64,)."""
    states, actions, weights = [], [], []
    for lean, gust in product(product((0, 1), repeat=STEPS), product((False, True), repeat=STEPS)):
        tilt, path, weight = 3, [], 1.0  # from tilt +1, two steps from the fall
        for a, g in zip(lean, gust, strict=True):
            path.append(tilt)
            weight *= (CHANCE[tilt] if a else 1 - CHANCE[tilt]) * (GUST if g else 1 - GUST)
            after = tilt + (1 if g else 2 * a - 1)
            tilt = after if tilt != FALLEN and 0 <= after < FALLEN else FALLEN
        states.append(path)
        actions.append(lean)
        weights.append(weight)
    state = np.array(states)
    return state, np.array(actions), (state < FALLEN).astype(float), np.array(weights)


STATE, ACTION, ALIVE, WEIGHT = every_trajectory()
TO_GO = ALIVE[:, ::-1].cumsum(1)[:, ::-1]  # (64, 3)


def per_episode(weight, chance=CHANCE):
    """sum_t (a_t - p) weight_t for each trajectory, by tilt, (64, 5)."""
    score = (ACTION - chance[STATE]) * weight
    return np.stack([(score * (k == STATE)).sum(1) for k in range(5)], 1)


def noise(estimates):
    """Square root of the summed variances of one episode's estimate."""
    mean = WEIGHT @ estimates
    return float(np.sqrt(WEIGHT @ ((estimates - mean) ** 2).sum(1)))


def check_policy_gradient(answer):
    what = "policy_gradient(state, action, reward, theta)"
    parts = [torch.as_tensor(part) for part in (STATE, ACTION, ALIVE)]
    theta = torch.as_tensor(PREFERENCE)
    single = [numbers(answer(*(part[i : i + 1] for part in parts), theta), (5,), what) for i in range(len(STATE))]
    together = numbers(answer(*parts, theta), (5,), what)
    got, right = WEIGHT @ np.stack(single), WEIGHT @ per_episode(TO_GO)
    slope = np.where(ACTION == 1, 1, -1) * (CHANCE * (1 - CHANCE))[STATE]  # of the probability, not of its logarithm
    of_chance = np.stack([(slope * TO_GO * (k == STATE)).sum(1) for k in range(5)], 1)
    mistakes = {
        "That descends: the return is to be maximised, so no minus sign.": -right,
        "That averages over steps: sum over the steps of an episode, average over episodes.": right / STEPS,
        "That is zero on average: an action changes only what follows it. Pay it the rewards from t to the end, not "
        "its own step's alone, nor what came before.": WEIGHT @ per_episode(ALIVE),
        "Your score is that of a fair coin: it is a - p(tilt), with p from theta.": (
            WEIGHT @ per_episode(TO_GO, np.full(6, 0.5))
        ),
        "That is the gradient of the probability: the estimator needs that of its *logarithm*.": WEIGHT @ of_chance,
    }
    problem = diagnose(got, right, mistakes, "Its expectation is not the exact gradient.")
    if problem:
        return problem
    if close(together, len(STATE) * np.mean(single, 0)) and not close(together, np.mean(single, 0)):
        return "That is the sum over episodes: divide by their number."
    rows = {"yours": np.stack(single), "whole return": per_episode(ALIVE.sum(1, keepdims=True))}
    said = ", ".join(f"{name} {noise(row):.2f}" for name, row in rows.items())
    found = "Averaged over all 64 three-step trajectories, with their probabilities, it *is* the exact gradient."
    return Feedback(True, f"{found} Noise of one episode: {said}.")


STEP_REWARD = np.array([1.0, 1.0, 1.0, -2.0])
NEXT_VALUE = np.array([5.0, 4.0, 3.0, 2.0])
TERMINATED = np.array([False, True, False, True])
TRUNCATED = np.array([False, False, True, True])  # the last step fell at the very moment of the cut


def check_td_target(answer):
    arguments = STEP_REWARD.copy(), NEXT_VALUE.copy(), TERMINATED.copy(), TRUNCATED.copy(), 0.9
    got = numbers(answer(*arguments), (4,), "td_target(reward, next_value, terminated, truncated, discount)")
    after = 0.9 * NEXT_VALUE
    mistakes = {
        "You bootstrap through every end: after a fall nothing is to come.": STEP_REWARD + after,
        "You take the cut for an end: the value beyond it is unseen, not zero.": (
            STEP_REWARD + after * ~(TERMINATED | TRUNCATED)
        ),
        "The two are swapped: bootstrap through truncation, stop at termination.": STEP_REWARD + after * ~TRUNCATED,
        "A step that is both is an end: termination wins.": STEP_REWARD + after * (~TERMINATED | TRUNCATED),
        "The discount is missing.": STEP_REWARD + NEXT_VALUE * ~TERMINATED,
        "That drops the reward of the last step: only the value after it is zero.": (
            (STEP_REWARD + after) * ~TERMINATED
        ),
    }
    return diagnose(got, STEP_REWARD + after * ~TERMINATED, mistakes, "Not r + discount V(s') with V = 0 after an end.")


def estimator(score="action - right[state]", weight="reward.flip(1).cumsum(1).flip(1)", end=" / len(state)"):
    """Source of a policy_gradient with the parts given."""
    return (
        "def policy_gradient(state, action, reward, theta):\n"
        "    right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])  # fallen: of no consequence\n"
        f"    score = {score}  # (N, H)\n    weight = {weight}  # (N, H)\n"
        f"    return torch.stack([(score * weight * (state == k)).sum() for k in range(5)]){end}"
    )


def target(mask, discount="discount * "):
    """Source of a td_target whose next value is multiplied by `mask`."""
    return (
        "def td_target(reward, next_value, terminated, truncated, discount):\n"
        f"    return reward + {discount}next_value * {mask}"
    )


EXERCISES = (
    Exercise(
        id="04.1",
        name="leave_one_out",
        task="write leave_one_out(returns): (N, H) -> (N, H), each minus the mean of the other episodes' at its step",
        check=check_leave_one_out,
        hints=(
            "The sum over the others is the sum over all, less one's own.",
            "A_n = G_n - (sum_m G_m - G_n) / (N - 1)",
            "return returns - (returns.sum(0) - returns) / (len(returns) - 1)",
        ),
        solution=(
            "def leave_one_out(returns):\n    others = returns.sum(0) - returns\n"
            "    return returns - others / (len(returns) - 1)"
        ),
        wrong=(
            Wrong("leave_one_out = lambda returns: returns - returns.mean(0)", "biased by 1/N"),
            Wrong("leave_one_out = lambda returns: returns - returns.mean(1, keepdims=True)", "average over time"),
            Wrong("leave_one_out = lambda x: (x.sum(0) - x) / (len(x) - 1)", "That is the baseline"),
            Wrong("leave_one_out = lambda x: x - (x.sum(0) - x) / len(x)", "Divide by N - 1"),
            Wrong("leave_one_out = lambda x: (x.sum(0) - x) / (len(x) - 1) - x", "sign is wrong"),
        ),
    ),
    Exercise(
        id="04.2",
        name="policy_gradient",
        task="write policy_gradient(state, action, reward, theta): (N, H) three times, (5,) -> (5,); no baseline",
        check=check_policy_gradient,
        hints=(
            "Three parts: the score of each action, what it is paid, and a sum by tilt.",
            "g(tilt) = 1/N sum_n sum_t [s_t = tilt] (a_t - p(tilt)) G_t",
            "weight = reward.flip(1).cumsum(1).flip(1)",
        ),
        solution=estimator(),
        wrong=(
            Wrong(estimator(score="right[state] - action"), "That descends"),
            Wrong(estimator(end=" / state.numel()"), "averages over steps"),
            Wrong(estimator(weight="reward"), "own step's alone"),
            Wrong(estimator(weight="reward.cumsum(1)"), "nor what came before"),
            Wrong(estimator(score="action - 0.5"), "fair coin"),
            Wrong(estimator(score="(2 * action - 1) * (right * (1 - right))[state]"), "gradient of the probability"),
            Wrong(estimator(end=""), "sum over episodes"),
        ),
    ),
    Exercise(
        id="04.3",
        name="td_target",
        task="write td_target(reward, next_value, terminated, truncated, discount): (L,) each -> target of V(s_t)",
        check=check_td_target,
        hints=(
            "After a fall, what is still to come? And after the observer has gone home?",
            "y = r + discount (1 - terminated) V(s')",
            "return reward + discount * next_value * ~terminated",
        ),
        solution=target("~terminated"),
        wrong=(
            Wrong(target("1"), "through every end"),
            Wrong(target("~(terminated | truncated)"), "take the cut for an end"),
            Wrong(target("~truncated"), "swapped"),
            Wrong(target("(~terminated | truncated)"), "termination wins"),
            Wrong(target("~terminated", discount=""), "discount is missing"),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "04.a",
        "Which baseline may you subtract from the return to go at step t without biasing the gradient?",
        (
            Option(
                "The mean return of the batch that is being scored",
                "Each episode's own return is in it, so it depends on the action: a shrinkage by 1/N.",
            ),
            Option(
                "Anything that does not depend on the action at step t",
                "Then the baseline times the score averages to zero. It need not be a good guess; a bad one costs "
                "noise only.",
                right=True,
            ),
            Option(
                "Only the true value V of the state",
                "It is close to the best, but a wrong guess is unbiased too, if it was made without this action.",
            ),
        ),
    ),
    Quiz(
        "04.b",
        "What is wrong with program B of *Break it*?",
        (
            Option(
                "The learning rate is too small",
                "Then the loss would fall slowly. It does not fall in any digit.",
            ),
            Option(
                "The optimiser steps other parameters than those that the loss reaches",
                "`backward` fills the copy's gradients; the optimiser holds the original, whose gradients are "
                "None, and `step` skips it in silence. The baseline stays at zero.",
                right=True,
            ),
            Option(
                "The gradients are biased, so learning stalls",
                "A baseline that never learns is still a baseline: the gradient is unbiased. It is only noisy, which "
                "is why it is easily overlooked.",
            ),
        ),
    ),
)
