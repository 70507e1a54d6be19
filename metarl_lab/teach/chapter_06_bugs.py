"""Chapter 06, the bugs that public implementations shipped: running sums to repair, a baseline that never learned."""

import numpy as np
import torch

from .base import Exercise, Option, Quiz, Wrong, diagnose, numbers

LOGS, FIRST = np.array([-1.0, -0.5, -2.0, -0.3, -0.7]), np.array([True, False, False, True, False])


def chained(carry, wrap=0.0):
    total: list[float] = []
    for i, value in enumerate(LOGS):
        total.append(value + carry[i] * (total[-1] if i else wrap))
    return np.array(total)


def check_sums(answer):
    logs, first = torch.tensor(LOGS), torch.tensor(FIRST)
    got = numbers(answer(logs, first), (5,), "sums(log_pi, first)")
    carry = 1.0 - FIRST
    mistakes = {
        "Earlier steps still fade by 1/N: DiCE weighs all of the past fully.": chained(carry / 2),
        "The sum runs across episodes: start anew at each first step.": LOGS.cumsum(),
        "The first step still receives the last one's: before the first step there is nothing.": chained(
            np.array([1.0, *carry[1:]]), LOGS[-1]
        ),
        "That is the change of no step: each has its own log-probability only, which is LVC's curvature.": LOGS,
        "The present step is missing: the sum up to t includes t.": chained(carry) - LOGS,
    }
    return diagnose(got, chained(carry), mistakes, "Not the sum of log pi within each episode, up to each step.")


def loop(carry="0.0 if first[i] else 1.0", before="total[i - 1] if i else 0.0"):
    return (
        "def sums(log_pi, first):\n    total = []\n    for i in range(len(log_pi)):\n"
        f"        carry, before = {carry}, {before}\n"
        "        total.append(log_pi[i] + carry * before)\n    return torch.stack(total)"
    )


EXERCISES = (
    Exercise(
        id="06.4",
        name="sums",
        prompt="write sums(log_pi, first): (M,), (M,) booleans -> (M,), sums of log pi within each episode",
        check=check_sums,
        hints=(
            "What should the first step of an episode receive from before? And the second?",
            "total_i = log_pi_i + (0 if first_i else total_{i-1})",
            "carry = 0.0 if first[i] else 1.0",
        ),
        solution=loop(),
        wrong=(
            Wrong(loop(carry="0.0 if first[i] else 1 / int(first.sum())"), "fade by 1/N"),
            Wrong(loop(carry="1.0"), "across episodes"),
            Wrong(
                loop(carry="1.0 if i == 0 or not first[i] else 0.0", before="total[i - 1] if i else log_pi[-1]"),
                "first step still receives",
            ),
            Wrong(loop(carry="0.0"), "own log-probability only"),
        ),
    ),
)

QUIZZES = (
    Quiz(
        "06.b",
        "What is wrong with `running_sums`?",
        (
            Option("Nothing: H00 is close", "Look at H01: 0.118 is right, and it falls as N grows."),
            Option(
                "`carry / episodes`, and `i - 1` at i = 0",
                "Yes. The past fades by 1/N a step, so H01 shrinks with N and DiCE becomes LVC, without a word. At "
                "i = 0 the first step receives the last one's log-probability: with one episode, even g is wrong.",
                right=True,
            ),
            Option("The sums run across episodes", "carry is 0 at every first step, except at the very first."),
        ),
    ),
    Quiz(
        "06.c",
        "garage's MAML trained the value loss on a deep copy of the value function, while the optimiser held the "
        "original: the baseline never learned. What did that do to the policy gradient?",
        (
            Option("It became biased", "A baseline of the state alone, however bad, leaves its mean alone."),
            Option(
                "Its variance stayed high; its mean was right",
                "Yes: nothing crashes, learning is only slower. (The naive *curvature* does change: section 3.)",
                right=True,
            ),
            Option("Nothing", "A trained baseline is there to lower variance; this one did not."),
        ),
    ),
)
