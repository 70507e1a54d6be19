"""A small exercise that stands for all: the average return of a batch of episodes."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, diagnose, numbers

REWARDS = (
    np.array([[[1.0, 0.0, 2.0], [0.0, 4.0, 1.0]]]),  # (T, E, H)
    np.array([[[1.0, -1.0], [2.0, 0.5]], [[0.5, 3.0], [1.0, 1.5]]]),
)


def check_average(answer):
    for reward in REWARDS:
        got = numbers(answer(reward), (len(reward),), "average_return(reward)")
        mistakes = {
            "That is the mean reward per step: sum over steps before you average over episodes.": reward.mean((1, 2)),
            "That is the total over episodes: divide by their number.": reward.sum((1, 2)),
            "That is the return of the first episode only.": reward[:, 0].sum(-1),
        }
        right = reward.sum(2).mean(1)
        if message := diagnose(got, right, mistakes, "That is not the average return over episodes, axis E."):
            return message
    return None


DEMO = Exercise(
    id="99.1",
    name="average_return",
    task="""
        Write average_return(reward): the average return of each task's episodes.

          reward   (T, E, H) of T tasks, E episodes of each, H steps
          returns  (T,)
    """,
    check=check_average,
    hints=("Which axis is time?", "J = 1/E sum_e sum_h r_eh", "return reward.sum(2)..."),
    solution="""
        def average_return(reward):
            return reward.sum(2).mean(1)  # over H, then E
    """,
)

QUIZ = Quiz(
    "99.a",
    "What does a meta-learner maximise?",
    (
        Option("The return on one task", "That is ordinary RL."),
        Option("The return after adaptation, over tasks", "What counts is what comes *after* adaptation.", right=True),
    ),
)
