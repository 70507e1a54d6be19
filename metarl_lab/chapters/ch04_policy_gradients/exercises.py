"""Chapter 04, policy gradients: a baseline from the others, the estimator, the target of a critic, the whole loop."""

from itertools import product

import numpy as np
import torch

from metarl_lab.chapters.ch04_policy_gradients.beam import FALLEN, GUST
from metarl_lab.teach.base import Exercise, Feedback, Option, Quiz, as_array, close, diagnose, numbers

# --- 04.1 leave one out -----------------------------------------------------------------------------------------------

REWARDS_TO_GO = (  # (N, H) each
    np.array([[6.0, 5.0, 2.0], [3.0, 1.0, 0.0], [9.0, 4.0, 3.0], [2.0, 2.0, 1.0]]),
    np.array([[1.5, 4.0], [-2.0, 0.5], [3.0, 6.0], [0.5, -1.0], [8.0, 2.5]]),
    np.array([[4.0, 2.0, 1.0, 0.5], [1.0, 5.0, -1.0, 2.5]]),
)


def check_leave_one_out(answer):
    for G in REWARDS_TO_GO:
        got = numbers(answer(G.copy()), G.shape, "leave_one_out(G)")
        n = len(G)
        others = (G.sum(0) - G) / (n - 1)
        before = np.concatenate([G[-1:], G[:-1]])  # the episode before each
        mistakes = {
            "That is the mean of the whole batch, each episode's own return included: biased by 1/N.": G - G.mean(0),
            "You average over time: the baseline of step t is the mean over the *other episodes* at step t.": (
                G - G.mean(1, keepdims=True)
            ),
            "That is one number for all steps: each step has a baseline of its own.": G - G.mean(),
            "That is the baseline: subtract it from the returns.": others,
            "Divide by N - 1: there are N - 1 others.": G - (G.sum(0) - G) / n,
            "Divide the sum over the others by N - 1: it is their mean that is subtracted.": G - (G.sum(0) - G),
            "The sign is wrong: the advantage is return minus baseline.": others - G,
        }
        if n == 2:  # with two episodes the one other is the sum of the others, and the one before
            del mistakes["Divide the sum over the others by N - 1: it is their mean that is subtracted."]
        else:
            mistakes["You take one other episode only: the mean is over all of the others."] = G - before
        otherwise = "Not each return minus the mean of the other episodes at the same step."
        if message := diagnose(got, G - others, mistakes, otherwise):
            return message
    return None


# --- 04.2 the estimator -----------------------------------------------------------------------------------------------


def chance_right(theta):
    """Probability of leaning right in each of the six states, (6,); fallen: of no consequence."""
    return np.append(1 / (1 + np.exp(-theta)), 0.5)


def every_trajectory(theta, start, steps):
    """All ways that `steps` steps on the beam can go: state, action, reward (4 ** steps, steps), and probabilities."""
    right = chance_right(theta)
    states, actions, probabilities = [], [], []
    for leans, gusts in product(product((0, 1), repeat=steps), product((False, True), repeat=steps)):
        state, path, probability = start, [], 1.0
        for lean, gust in zip(leans, gusts, strict=True):
            path.append(state)
            probability *= (right[state] if lean else 1 - right[state]) * (GUST if gust else 1 - GUST)
            then = state + (1 if gust else 2 * lean - 1)
            state = then if state != FALLEN and 0 <= then < FALLEN else FALLEN
        states.append(path)
        actions.append(leans)
        probabilities.append(probability)
    state = np.array(states)
    return state, np.array(actions), (state < FALLEN).astype(float), np.array(probabilities)


def to_go(reward):
    """Rewards to go, (N, H)."""
    return reward[:, ::-1].cumsum(1)[:, ::-1]


def by_tilt(state, per_step):
    """Sum over the steps of each episode with that tilt: (N, H) -> (N, 5)."""
    return np.stack([(per_step * (state == tilt)).sum(1) for tilt in range(5)], 1)


def noise(estimates, probability):
    """Square root of the summed variances of one episode's estimate."""
    mean = probability @ estimates
    return float(np.sqrt(probability @ ((estimates - mean) ** 2).sum(1)))


BEAMS = (  # theta, the state to begin in, steps
    (np.array([0.4, -0.3, 0.8, 0.1, -0.6]), 3, 3),  # from tilt +1, two steps from the fall
    (np.array([-0.7, 0.5, 0.2, -0.4, 0.9]), 0, 2),
)


def check_policy_gradient(answer):
    what = "policy_gradient(state, action, reward, theta)"
    said = ""
    for theta, start, steps in BEAMS:
        state, action, reward, probability = every_trajectory(theta, start, steps)
        parts = [torch.as_tensor(part) for part in (state, action, reward)]

        def ask(rows, parts=parts, theta=theta):
            return numbers(answer(*(part[rows] for part in parts), torch.as_tensor(theta)), (5,), what)

        single = np.stack([ask(slice(n, n + 1)) for n in range(len(state))])  # (trajectories, 5)
        right = chance_right(theta)
        score = action - right[state]
        slope = np.where(action == 1, 1, -1) * (right * (1 - right))[state]  # of the probability, not its logarithm
        whole = by_tilt(state, score * reward.sum(1, keepdims=True))  # of each trajectory
        asked = by_tilt(state, score * to_go(reward))
        exact = probability @ asked
        mistakes = {
            "That descends: the return is to be maximised, so no minus sign.": -exact,
            "That averages over steps: sum over the steps of an episode, average over episodes.": exact / steps,
            "That is zero on average: an action changes only what follows it. Pay it the rewards from t to the end, "
            "not its own step's alone, nor what came before.": probability @ by_tilt(state, score * reward),
            "Your score is that of a fair coin: it is a - p(tilt), with p from theta.": (
                probability @ by_tilt(state, (action - 0.5) * to_go(reward))
            ),
            "That is the gradient of the probability: the estimator needs that of its *logarithm*.": (
                probability @ by_tilt(state, slope * to_go(reward))
            ),
        }
        if close(single, np.zeros_like(single)):
            return (
                "Of one episode alone it is zero: a baseline made from the batch takes the episode from itself. No "
                "baseline here."
            )
        got = (probability @ single).astype(single.dtype)
        if message := diagnose(got, exact, mistakes, "Its expectation is not the exact gradient."):
            return message
        if close(single, whole):
            return (
                "That pays every action the whole return: unbiased too, and noisier, "
                f"{noise(whole, probability):.2f} instead of {noise(asked, probability):.2f} here. Pay what follows."
            )
        if not close(single, asked):
            return "Its expectation is right, but it is not what is asked: pay each action its reward to go, no less."
        if message := judge_batches(ask, single):
            return message
        said = said or (
            f"Averaged over all {len(state)} trajectories of {steps} steps, with their probabilities, it *is* the "
            f"exact gradient. Noise of one episode: yours {noise(single, probability):.2f}, whole return "
            f"{noise(whole, probability):.2f}."
        )
    return Feedback(True, said)


def judge_batches(ask, single):
    """What is wrong with how episodes are put together; single (trajectories, 5) is each of them alone."""
    for rows in (slice(0, 5), slice(3, 9), slice(None)):
        together, mean, n = ask(rows), single[rows].mean(0), len(single[rows])
        mistakes = {
            "That is the sum over episodes: divide by their number.": n * mean,
            "That divides by the number of episodes twice.": mean / n,
            "You read the first episode only: average over all of them.": single[rows][0],
        }
        otherwise = "The gradient of a batch must be the mean of its episodes' own: no episode is a baseline here."
        if message := diagnose(together, mean, mistakes, otherwise):
            return message
    return None


# --- 04.3 the target of a critic --------------------------------------------------------------------------------------

ENDS = (  # reward, next value, terminated, truncated, discount; in each a step is both: it fell as it was cut
    (
        np.array([1.0, 1.0, 1.0, -2.0]),
        np.array([5.0, 4.0, 3.0, 2.0]),
        np.array([False, True, False, True]),
        np.array([False, False, True, True]),
        0.9,
    ),
    (
        np.array([0.5, -1.0, 2.0, 1.0, 0.0, 3.0]),
        np.array([-1.0, 6.0, 2.5, 4.0, 1.5, 7.0]),
        np.array([True, False, False, False, True, False]),
        np.array([False, False, True, False, True, True]),
        0.5,
    ),
)


def check_td_target(answer):
    what = "td_target(reward, next_value, terminated, truncated, discount)"
    for reward, next_value, terminated, truncated, discount in ENDS:
        arguments = reward.copy(), next_value.copy(), terminated.copy(), truncated.copy(), discount
        got = numbers(answer(*arguments), reward.shape, what)
        after = discount * next_value
        mistakes = {
            "You bootstrap through every end: after a fall nothing is to come.": reward + after,
            "You take the cut for an end: the value beyond it is unseen, not zero.": (
                reward + after * ~(terminated | truncated)
            ),
            "The two are swapped: bootstrap through truncation, stop at termination.": reward + after * ~truncated,
            "A step that is both is an end: termination wins.": reward + after * (~terminated | truncated),
            "The discount is missing.": reward + next_value * ~terminated,
            "That drops the reward of the last step: only the value after it is zero.": (reward + after) * ~terminated,
            "That discounts the reward too: it is paid now.": discount * reward + after * ~terminated,
        }
        otherwise = "Not r + discount V(s') with V = 0 after an end."
        if message := diagnose(got, reward + after * ~terminated, mistakes, otherwise):
            return message
    return None


# --- 04.4 the whole algorithm -----------------------------------------------------------------------------------------


class Acting:
    """Acts on the beam, with luck that depends on the call's number alone, and keeps whose parameters acted."""

    def __init__(self, episodes, steps, seed):
        self.shape, self.seed = (episodes, steps), seed
        self.acted = []  # parameters of each call, (5,)

    def act(self, theta):
        """state, action, reward of N episodes, each (N, H)."""
        theta = as_array(theta)
        rng = np.random.default_rng((self.seed, len(self.acted)))
        self.acted.append(theta)
        right = chance_right(theta)
        now = np.full(self.shape[0], 2)
        states, actions = [], []
        for _ in range(self.shape[1]):
            lean = (rng.random(self.shape[0]) < right[now]).astype(int)
            then = now + np.where(rng.random(self.shape[0]) < GUST, 1, 2 * lean - 1)
            states.append(now)
            actions.append(lean)
            now = np.where((now == FALLEN) | (then < 0), FALLEN, then)
        state = np.stack(states, 1)
        return state, np.stack(actions, 1), (state < FALLEN).astype(float)


def without_the_others(G):
    return G - (G.sum(0) - G) / (len(G) - 1)


def run_reinforce(theta, acting, alpha, iterations, weigh=without_the_others):
    """Parameters after the last step, (5,); the check names variants by what they weigh scores with."""
    for _ in range(iterations):
        state, action, reward = acting.act(theta)
        score = action - chance_right(theta)[state]
        theta = theta + alpha * by_tilt(state, score * weigh(to_go(reward))).mean(0)
    return theta


def check_reinforce(answer):
    for theta, episodes, steps, alpha, iterations in (
        (np.array([0.4, -0.3, 0.8, 0.1, -0.6]), 6, 5, 0.5, 3),
        (np.array([-0.2, 0.0, 0.5, -1.0, 0.3]), 4, 8, 0.2, 5),
    ):
        acting = Acting(episodes, steps, seed=iterations)

        def sample(theta, acting=acting):
            return tuple(torch.as_tensor(part) for part in acting.act(theta))

        given = torch.as_tensor(theta), sample, alpha, iterations
        got = numbers(answer(*given), (5,), "reinforce(theta, sample, alpha, iterations)")
        if len(acting.acted) == 1:
            return (
                "You act once for all iterations: from the second step on, those episodes are another policy's. "
                "Sample fresh ones in every iteration."
            )
        if len(acting.acted) != iterations:
            return f"You act {len(acting.acted)} times in {iterations} iterations: once in each."
        if all(np.array_equal(acted, acting.acted[0]) for acted in acting.acted):
            return "Every batch is acted with the parameters of the beginning: give `sample` those of the iteration."

        def variant(theta=theta, shape=(episodes, steps), seed=iterations, alpha=alpha, iterations=iterations, **how):
            acting = Acting(shape[0], shape[1], seed)
            return run_reinforce(theta, acting, alpha, iterations, **how)

        mistakes = {
            "That descends: the return is to be maximised, so step up.": variant(alpha=-alpha),
            "The baseline is missing: subtract the mean of the other episodes at the same step.": variant(
                weigh=lambda G: G
            ),
            "Your baseline is the mean of the whole batch, each episode's own return included.": variant(
                weigh=lambda G: G - G.mean(0)
            ),
            "That sums over episodes: average over them.": variant(alpha=alpha * episodes),
            "You return the parameters before the last step.": variant(iterations=iterations - 1, seed=iterations),
            "You return how far the parameters moved, not where they are.": variant() - theta,
            "You pay each action the reward of its own step alone, not what follows.": variant(
                weigh=lambda G: without_the_others(G - np.append(G[:, 1:], np.zeros((len(G), 1)), 1))
            ),
        }
        otherwise = "Not theta after that many steps along score times (reward to go minus the others' mean)."
        if message := diagnose(got, variant(), mistakes, otherwise):
            return message
    return None


EXERCISES = (
    Exercise(
        id="04.1",
        name="leave_one_out",
        task="""
            Write leave_one_out(G): each reward to go, minus the mean of the other episodes' at the same step.

              G        (N, H) rewards to go, in points, of N episodes (two or more) of H steps
              returns  (N, H) in points
        """,
        check=check_leave_one_out,
        hints=(
            "The sum over the others is the sum over all, less one's own.",
            "A_n = G_n - (sum_m G_m - G_n) / (N - 1), at each step by itself",
            "others = G.sum(0) - G  # (N, H); how many of them are there?",
        ),
        solution="""
            def leave_one_out(G):
                others = G.sum(0) - G  # their sum, at each step
                return G - others / (len(G) - 1)
        """,
    ),
    Exercise(
        id="04.2",
        name="policy_gradient",
        task="""
            Write policy_gradient(state, action, reward, theta): the policy gradient estimated from N episodes, each
            action paid its reward to go, without a baseline.

              state    (N, H) whole numbers: 0 to 4 are the tilts -2 to +2, 5 is the floor (its reward is 0)
              action   (N, H) 1 for right, 0 for left
              reward   (N, H) points of each step
              theta    (5,) preference for leaning right at each tilt; the probability is 1 / (1 + exp(-theta))
              returns  (5,) one number for each tilt, in points for each unit of preference: the sum over the steps
                       of an episode, averaged over the episodes
        """,
        check=check_policy_gradient,
        hints=(
            "Three parts: the score of each action, what it is paid, and a sum by tilt.",
            "g(tilt) = 1/N sum_n sum_t [s_t = tilt] (a_t - p(tilt)) G_t",
            "G = reward.flip(1).cumsum(1).flip(1)  # (N, H), what each action is paid",
        ),
        solution="""
            def policy_gradient(state, action, reward, theta):
                floor = theta.new_tensor([0.5])  # of no consequence
                right = torch.cat([torch.sigmoid(theta), floor])  # (6,)
                score = action - right[state]  # (N, H)
                G = reward.flip(1).cumsum(1).flip(1)  # (N, H)
                by_tilt = [(score * G * (state == k)).sum() for k in range(5)]
                return torch.stack(by_tilt) / len(state)
        """,
    ),
    Exercise(
        id="04.3",
        name="td_target",
        task="""
            Write td_target(reward, next_value, terminated, truncated, discount): what V(s_t) should be, for L steps.

              reward      (L,) points of each step
              next_value  (L,) the critic's V(s_{t+1}), in points
              terminated  (L,) true where the step ended in a fall
              truncated   (L,) true where the watching ended with the step; a step can be both
              discount    gamma, for one step, a number between 0 and 1
              returns     (L,) in points
        """,
        check=check_td_target,
        hints=(
            "After a fall, what is still to come? And after the observer has gone home?",
            "y = r + discount (1 - terminated) V(s'): one of the arguments is not needed.",
            "to_come = discount * next_value  # (L,); which of these must be zero?",
        ),
        solution="""
            def td_target(reward, next_value, terminated, truncated, discount):
                return reward + discount * next_value * ~terminated
        """,
    ),
    Exercise(
        id="04.4",
        name="reinforce",
        task="""
            Write reinforce(theta, sample, alpha, iterations): gradient ascent on the return from sampled episodes. In
            every iteration, act; take rewards to go minus the mean of the other episodes' at the same step (04.1);
            weigh the scores with them, sum by tilt, average over episodes (04.2); and step up. You may call
            leave_one_out.

              theta       (5,) the parameters to begin with, as in 04.2
              sample      a function: sample(theta) acts and gives state, action, reward, each (N, H), as in 04.2
              alpha       the step size, a number
              iterations  how many steps to take, a whole number from 1 on
              returns     (5,) the parameters after the last step
        """,
        check=check_reinforce,
        hints=(
            "The loop has four lines of work: act, weigh, estimate, step. Whose parameters act?",
            "theta <- theta + alpha / N sum_n sum_t [s_t = tilt] (a_t - p(tilt)) (G_t - mean of the others' G_t)",
            "state, action, reward = sample(theta)  # inside the loop",
        ),
        solution="""
            def reinforce(theta, sample, alpha, iterations):
                for _ in range(iterations):
                    # act with the parameters as they are now
                    state, action, reward = sample(theta)
                    G = reward.flip(1).cumsum(1).flip(1)  # (N, H)
                    others = (G.sum(0) - G) / (len(G) - 1)
                    # the estimator of 04.2, with a baseline
                    right = torch.cat([torch.sigmoid(theta), theta.new_tensor([0.5])])
                    paid = (action - right[state]) * (G - others)
                    g = torch.stack([(paid * (state == k)).sum() for k in range(5)])
                    theta = theta + alpha * g / len(state)
                return theta
        """,
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
                "Only the true value V of the state, and nothing else",
                "V is close to the best, but a wrong guess is unbiased too, if it was made without this action.",
            ),
            Option(
                "Anything that does not depend on the action at step t",
                "Then the baseline times the score averages to zero. It need not be a good guess; a bad one costs "
                "noise only.",
                right=True,
            ),
        ),
    ),
    Quiz(
        "04.b",
        "What is wrong with program B of *Break it*?",
        (
            Option(
                "The optimiser steps parameters that the loss does not reach",
                "`backward` fills the copy's gradients; the optimiser holds the original, whose gradients are "
                "None, and `step` skips it in silence. The baseline stays at zero.",
                right=True,
            ),
            Option(
                "The learning rate is too small for a critic that starts at zero",
                "Then the loss would fall slowly. It does not fall in any digit.",
            ),
            Option(
                "The gradients are biased by the copy, so learning stalls",
                "A baseline that never learns is still a baseline: the gradient is unbiased. It is only noisy, which "
                "is why it is easily overlooked.",
            ),
        ),
    ),
)
