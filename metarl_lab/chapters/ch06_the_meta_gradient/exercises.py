"""Chapter 06, the meta-gradient: DiCE, E-MAML's sampling term, ProMP's clip."""

import numpy as np
import torch

from metarl_lab.teach.base import Exercise, Option, Quiz, Rejected, Wrong, diagnose, numbers

# two episodes of three steps; log pi = LOGIT * x summed over two parameters: smooth, with known derivatives
LOGIT = torch.tensor(
    [[[0.3, 0.1], [-0.2, 0.5], [0.4, 0.2]], [[0.1, -0.3], [0.6, 0.2], [-0.5, 0.4]]], dtype=torch.float64
)
REWARD = torch.tensor([[1.0, -0.5, 2.0], [0.5, 1.5, -1.0]], dtype=torch.float64)
POINT = torch.tensor([0.2, -0.1], dtype=torch.float64)


def log_pi_at(x):
    return torch.sin(LOGIT @ x) - 1.0


def both(f, what="this"):
    """First and second derivatives of f(log pi, x) at POINT in one row, (6,)."""
    x = POINT.clone().requires_grad_()
    out = f(log_pi_at(x), x)
    if not isinstance(out, torch.Tensor) or out.ndim != 0:
        shape = f" of shape {tuple(out.shape)}" if isinstance(out, torch.Tensor) else ""
        raise Rejected(f"{what} must return a tensor of one number; you return a {type(out).__name__}{shape}.")
    if not out.requires_grad:
        raise Rejected(f"{what} returns a constant: something is detached that should keep its derivative.")
    (first,) = torch.autograd.grad(out, x, create_graph=True)
    rows = [torch.autograd.grad(g, x, retain_graph=True, materialize_grads=True)[0] for g in first]
    return torch.cat([first, *rows]).detach().numpy()


def check_dice(answer):
    got = both(lambda l, x: answer(l, REWARD.clone()), "dice_surrogate(log_pi, reward)")
    to_go = REWARD.flip(1).cumsum(1).flip(1)

    def mean_of(weight, reward):
        return both(lambda l, x: (weight(l) * reward).sum(1).mean())

    def box(total):
        return lambda l: (total(l) - total(l).detach()).exp()

    past = box(lambda l: l.cumsum(1))
    right = mean_of(past, REWARD)
    mistakes = {
        "That is the naive surrogate: first derivative right, second wrong.": mean_of(lambda l: l, to_go),
        "That is LVC: no cross terms. Sum log pi over the past with cumsum.": mean_of(box(lambda l: l), to_go),
        "Each reward is credited to its own action only: sum log pi over all up to it.": mean_of(
            box(lambda l: l), REWARD
        ),
        "You multiply each reward by the whole episode: unbiased, but later actions only add noise.": mean_of(
            box(lambda l: l.sum(1, keepdim=True)), REWARD
        ),
        "The stop is missing: the box must be 1, exp(sum - sum.detach()).": mean_of(
            lambda l: l.cumsum(1).exp(), REWARD
        ),
        "With boxes up to t, use the reward: the return to go counts it several times.": mean_of(past, to_go),
        "That is the sum over episodes; the mean is asked for.": 2 * right,
        "That is the mean over steps: sum over the steps of an episode, average over episodes.": right / 3,
    }
    return diagnose(got, right, mistakes, "Not sum_t exp(cumsum of log ratios) r_t, averaged over episodes.")


BASELINE = 0.25


def check_sampling_term(answer):
    call = "sampling_term(log_pi, after, baseline)"

    def after(x):
        return 0.7 + (x**2).sum()

    got = both(lambda l, x: answer(l, after(x), BASELINE), call)[:2]
    score, slope = both(lambda l, x: l.sum())[:2], both(lambda l, x: after(x))[:2]
    level, total = after(POINT).item(), log_pi_at(POINT).sum().item()
    mistakes = {
        "That is a mean over episodes: the batch's log-probability is the sum of all its steps.": (
            (level - BASELINE) * score / 2
        ),
        "That is a mean over steps: the batch's log-probability is their sum.": (level - BASELINE) * score / 6,
        "J(theta') must be a constant here: its own derivative is the naive term, counted elsewhere.": (
            (level - BASELINE) * score + total * slope
        ),
        "The baseline is missing: the term is right on average, and very noisy.": level * score,
        "The sign is wrong: data that led to a better policy should become likelier.": (BASELINE - level) * score,
    }
    return diagnose(got, (level - BASELINE) * score, mistakes, "Not (J(theta') - b) times the sum of grad log pi.")


ACTED = torch.log(torch.tensor([[0.5, 0.4, 0.3], [0.6, 0.2, 0.5]], dtype=torch.float64))
NOW = ACTED + torch.log(torch.tensor([[1.5, 0.5, 1.1], [1.6, 0.6, 0.9]], dtype=torch.float64))
ADVANTAGE, CLIP = torch.tensor([[1.0, 2.0, -1.0], [-2.0, -1.5, 0.5]], dtype=torch.float64), 0.2


def check_promp(answer):
    got = numbers(
        answer(NOW.clone(), ACTED.clone(), ADVANTAGE.clone(), CLIP),
        (),
        "promp_gain(log_pi, log_acted, advantage, clip)",
    )
    ratio = (NOW - ACTED).exp()
    held = ratio.clamp(1 - CLIP, 1 + CLIP)
    right = torch.minimum(ratio * ADVANTAGE, held * ADVANTAGE)
    mistakes = {
        "There is no clip: one batch would be trusted without bound.": (ratio * ADVANTAGE).mean(),
        "The minimum is missing: a clipped ratio alone also hides steps that made things worse.": (
            (held * ADVANTAGE).mean()
        ),
        "That is the maximum: it trusts the batch where it promises most.": (
            torch.maximum(ratio * ADVANTAGE, held * ADVANTAGE).mean()
        ),
        "The ratio is upside down: new policy over the one that acted.": torch.minimum(
            ADVANTAGE / ratio, (1 / ratio).clamp(1 - CLIP, 1 + CLIP) * ADVANTAGE
        ).mean(),
        "That is the loss, with a minus: the objective is asked for.": -right.mean(),
        "That is the sum; the mean over all steps is asked for.": right.sum(),
        "That sums over the steps of an episode; the mean over all steps is asked for.": 3 * right.mean(),
    }
    return diagnose(got, right.mean(), mistakes, "Not the mean of min(rho A, clip(rho) A).")


def function(head, line):
    return f"def {head}:\n    return {line}"


DICE, TERM = "dice_surrogate(log_pi, reward)", "sampling_term(log_pi, after, baseline)"
GAIN = "promp_gain(log_pi, log_acted, advantage, clip)"
RATIO = "(log_pi - log_pi.detach())"
TO_GO = "reward.flip(1).cumsum(1).flip(1)"
RHO = "(log_pi - log_acted).exp()"
BOUND = f"{RHO}.clamp(1 - clip, 1 + clip)"


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
        id="06.1",
        name="dice_surrogate",
        task="write dice_surrogate(log_pi, reward): tensors (N, H), (N, H) -> a tensor of one number",
        check=check_dice,
        hints=(
            "Which actions made each reward likelier? All before it, and its own.",
            "mean_n sum_t exp(sum_{k<=t} log pi_k - stop(log pi_k)) r_t",
            "return ((log_pi - log_pi.detach()).cumsum(1).exp() * reward).sum(1).mean()",
        ),
        solution=function(DICE, f"({RATIO}.cumsum(1).exp() * reward).sum(1).mean()"),
        wrong=(
            Wrong(function(DICE, f"(log_pi * {TO_GO}).sum(1).mean()"), "naive surrogate"),
            Wrong(function(DICE, f"({RATIO}.exp() * {TO_GO}).sum(1).mean()"), "That is LVC"),
            Wrong(function(DICE, f"({RATIO}.exp() * reward).sum(1).mean()"), "own action only"),
            Wrong(function(DICE, f"({RATIO}.sum(1, keepdim=True).exp() * reward).sum(1).mean()"), "whole episode"),
            Wrong(function(DICE, "(log_pi.cumsum(1).exp() * reward).sum(1).mean()"), "stop is missing"),
            Wrong(function(DICE, f"({RATIO}.cumsum(1).exp() * {TO_GO}).sum(1).mean()"), "several times"),
            Wrong(function(DICE, f"({RATIO}.cumsum(1).exp() * reward).sum()"), "sum over episodes"),
        ),
    ),
    Exercise(
        id="06.2",
        name="sampling_term",
        task="write sampling_term(log_pi, after, baseline): (N, H), scalar tensor, number -> a tensor of one number",
        check=check_sampling_term,
        hints=(
            "The chance of a batch is a product over all its actions. What is the derivative of its logarithm?",
            "(stop(J(theta')) - b) sum_{n,t} log pi",
            "return (after.detach() - baseline) * log_pi.sum()",
        ),
        solution=function(TERM, "(after.detach() - baseline) * log_pi.sum()"),
        wrong=(
            Wrong(function(TERM, "(after.detach() - baseline) * log_pi.sum(1).mean()"), "mean over episodes"),
            Wrong(function(TERM, "(after.detach() - baseline) * log_pi.mean()"), "mean over steps"),
            Wrong(function(TERM, "(after - baseline) * log_pi.sum()"), "must be a constant"),
            Wrong(function(TERM, "after.detach() * log_pi.sum()"), "baseline is missing"),
            Wrong(function(TERM, "-(after.detach() - baseline) * log_pi.sum()"), "sign is wrong"),
            Wrong(function(TERM, "(after.detach() - baseline) * log_pi.detach().sum()"), "constant"),
        ),
    ),
    Exercise(
        id="06.3",
        name="promp_gain",
        task="write promp_gain(log_pi, log_acted, advantage, clip): tensors (N, H) and a number -> one number",
        check=check_promp,
        hints=(
            "How much likelier is the action now than when it was taken? And how far do you trust that?",
            "mean of min(rho A, clip(rho, 1 - c, 1 + c) A), rho = exp(log pi - log pi_acted)",
            "return torch.minimum(rho * advantage, rho.clamp(1 - clip, 1 + clip) * advantage).mean()",
        ),
        solution=function(GAIN, f"torch.minimum({RHO} * advantage, {BOUND} * advantage).mean()"),
        wrong=(
            Wrong(function(GAIN, f"({RHO} * advantage).mean()"), "no clip"),
            Wrong(function(GAIN, f"({BOUND} * advantage).mean()"), "minimum is missing"),
            Wrong(function(GAIN, f"torch.maximum({RHO} * advantage, {BOUND} * advantage).mean()"), "maximum"),
            Wrong(function(GAIN, f"-torch.minimum({RHO} * advantage, {BOUND} * advantage).mean()"), "the loss"),
            Wrong(function(GAIN, f"torch.minimum({RHO} * advantage, {BOUND} * advantage).sum()"), "the sum"),
        ),
    ),
    Exercise(
        id="06.4",
        name="sums",
        task="write sums(log_pi, first): (M,), (M,) booleans -> (M,), sums of log pi within each episode",
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
        "06.a",
        "Your E-MAML meta-gradient is too noisy. You have 20 tasks of 20 episodes each. What helps?",
        (
            Option("40 episodes per task", "The sampling term sums over episodes: its noise stays, or grows."),
            Option("40 tasks", "The average over tasks halves the variance, whatever each task's is.", right=True),
            Option(
                "Dividing the sampling term by 20", "Less noise, and another objective: the sum is what is unbiased."
            ),
        ),
    ),
    Quiz(
        "06.b",
        "What is wrong with `running_sums`?",
        (
            Option("Nothing: H00 is close", "Look at H01: 0.118 is right, and it falls as N grows."),
            Option(
                "`carry / episodes`, and `i - 1` at i = 0",
                "The past fades by 1/N a step, so H01 shrinks with N and DiCE becomes LVC, without a word. At "
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
                "Nothing crashes, learning is only slower. (The naive *curvature* does change: section 3.)",
                right=True,
            ),
            Option("Nothing", "A trained baseline is there to lower variance; this one did not."),
        ),
    ),
)
