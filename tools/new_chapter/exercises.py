"""Chapter NN: its exercises and its quizzes."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, diagnose, numbers


def check_step(answer):
    for q, reward, alpha in ((0.2, 1.0, 0.25), (3.0, -1.0, 0.1)):
        got = numbers(answer(q, reward, alpha), (), "step(q, reward, alpha)")
        mistakes = {
            "That is the step alone: add it to q.": alpha * (reward - q),
            "The sign is turned: the belief must move towards the reward.": q - alpha * (reward - q),
            "Alpha is missing: that jumps all the way to the reward.": reward,
        }
        if message := diagnose(got, q + alpha * (reward - q), mistakes, "Not q + alpha (reward - q)."):
            return message
    return None


def check_left(answer):
    for alpha, n in ((0.25, 2), (0.1, 5)):
        got = numbers(answer(alpha, n), (), "left_of_start(alpha, n)")
        mistakes = {
            "That is what has gone, not what is left.": 1 - (1 - alpha) ** n,
            "Each step takes its share of what is left, not of the beginning.": 1 - n * alpha,
            "One step too few.": (1 - alpha) ** (n - 1),
        }
        if message := diagnose(got, (1 - alpha) ** n, mistakes, "Not (1 - alpha) to the power of n."):
            return message
    return None


def beliefs_of(rewards, start, alpha):
    beliefs = [start]
    for reward in rewards:
        beliefs.append(beliefs[-1] + alpha * (reward - beliefs[-1]))
    return np.array(beliefs)


def check_beliefs(answer):
    for rewards, start, alpha in ((np.array([1.0, 0.0, 1.0]), 0.2, 0.25), (np.array([2.0, -1.0, 0.5, 3.0]), 1.0, 0.5)):
        got = numbers(answer(rewards, start, alpha), (len(rewards) + 1,), "beliefs_of(rewards, start, alpha)")
        right = beliefs_of(rewards, start, alpha)
        mistakes = {
            "Every step of yours begins at the start: carry the belief on.": np.array(
                [start, *(start + alpha * (rewards - start))]
            ),
            "Those are plain means: alpha has no effect.": np.array(
                [start, *(rewards.cumsum() / np.arange(1, len(rewards) + 1))]
            ),
        }
        if message := diagnose(got, right, mistakes, "Not the beliefs before and after each reward."):
            return message
    return None


EXERCISES = (
    Exercise(
        id="NN.1",
        name="step",
        task="""
            Write step(q, reward, alpha): one step of the running mean.

              q        the belief so far, a number (pay per pull)
              reward   what was just paid, a number
              alpha    the share of the way, between 0 and 1
              returns  the new belief, a number
        """,
        check=check_step,
        hints=("How large is the surprise?", "q <- q + alpha (r - q)", "surprise = reward - q; return q + ..."),
        solution="""
            def step(q, reward, alpha):
                return q + alpha * (reward - q)
        """,
    ),
    Exercise(
        id="NN.2",
        name="left_of_start",
        task="""
            Write left_of_start(alpha, n): which share of the first belief is left after n steps.

              alpha    the share of the way that each step goes, between 0 and 1
              n        how many steps, a whole number
              returns  a number between 0 and 1
        """,
        check=check_left,
        hints=("What does one step leave of it?", "Each step leaves the share 1 - alpha.", "return (1 - alpha) ** ..."),
        solution="""
            def left_of_start(alpha, n):
                return (1 - alpha) ** n
        """,
    ),
    Exercise(
        id="NN.3",
        name="beliefs_of",
        task="""
            Write beliefs_of(rewards, start, alpha): the belief before the first reward and after each one.

              rewards  (N,) what was paid, one number a step
              start    the first belief, a number
              alpha    the share of the way, between 0 and 1
              returns  (N + 1,)
        """,
        check=check_beliefs,
        hints=("What must be carried from step to step?", "Begin a list with `start`.", "for reward in rewards: ..."),
        solution="""
            def beliefs_of(rewards, start, alpha):
                beliefs = [start]
                for reward in rewards:
                    beliefs.append(beliefs[-1] + alpha * (reward - beliefs[-1]))
                return beliefs
        """,
    ),
)

QUIZZES = (
    Quiz(
        "NN.a",
        "The machine's pay drifts slowly. What does a larger alpha do?",
        (
            Option(
                "It follows the drift faster, and accidents too",
                "Both are surprises, and alpha is their share.",
                right=True,
            ),
            Option("It averages over more rewards", "A larger share of each surprise forgets the old ones sooner."),
            Option(
                "Nothing, once the belief has settled", "Each new reward still moves it by alpha times the surprise."
            ),
        ),
    ),
)
