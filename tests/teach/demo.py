"""A small exercise that stands for all: the average return of a batch of episodes."""

import numpy as np

from metarl_lab.teach.base import Exercise, Option, Quiz, Wrong, diagnose, numbers

REWARD = np.array([[[1.0, 0.0, 2.0], [0.0, 4.0, 1.0]]])  # (T, E, H)


def check_average(answer):
    got = numbers(answer(REWARD), (1,), "average_return(reward)")
    mistakes = {
        "That is the mean reward per step: sum over steps before you average over episodes.": REWARD.mean((1, 2)),
        "That is the total over episodes: divide by their number.": REWARD.sum((1, 2)),
        "That is the return of the first episode only.": REWARD[:, 0].sum(-1),
    }
    return diagnose(got, REWARD.sum(2).mean(1), mistakes, "That is not the average return over episodes, axis E.")


DEMO = Exercise(
    id="99.1",
    name="average_return",
    prompt="write average_return(reward): reward (T, E, H) -> average return per task (T,)",
    check=check_average,
    hints=("Which axis is time?", "J = 1/E sum_e sum_h r_eh", "return reward.sum(2).mean(1)"),
    solution="""
        def average_return(reward):
            return reward.sum(2).mean(1)  # over H, then E
    """,
    wrong=(
        Wrong("def average_return(reward):\n    return reward.mean((1, 2))", "mean reward per step"),
        Wrong("def average_return(reward):\n    return reward.sum((1, 2))", "total over episodes"),
        Wrong("average_return = lambda reward: reward[:, 0].sum(-1)", "first episode only"),
        Wrong("def average_return(reward):\n    return reward.sum(2)", "has shape (1, 2)"),
    ),
)

QUIZ = Quiz(
    "99.a",
    "What does a meta-learner maximise?",
    (
        Option("The return on one task", "That is ordinary RL."),
        Option("The return after adaptation, over tasks", "Yes: *after* adaptation.", right=True),
    ),
)
