"""Chapter 06, the meta-gradient: DiCE, E-MAML's sampling term and its whole estimator, ProMP's clip, running sums."""

from typing import NamedTuple

import numpy as np
import torch

from metarl_lab.teach.base import Exercise, Option, Quiz, Rejected, diagnose, numbers


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


class Setting(NamedTuple):
    """A small batch whose log pi is a smooth function of two parameters, with known derivatives."""

    logit: torch.Tensor  # (N, H, 2)
    reward: torch.Tensor  # (N, H)
    point: torch.Tensor  # (2,) where derivatives are taken

    def log_pi(self, x):
        """log pi of every step at parameters x (2,): (N, H)."""
        return torch.sin(self.logit @ x.double()) - 1.0


SETTINGS = (
    Setting(
        tensor([[[0.3, 0.1], [-0.2, 0.5], [0.4, 0.2]], [[0.1, -0.3], [0.6, 0.2], [-0.5, 0.4]]]),
        tensor([[1.0, -0.5, 2.0], [0.5, 1.5, -1.0]]),
        tensor([0.2, -0.1]),
    ),
    Setting(
        tensor([[[0.2, 0.7], [0.5, -0.4]], [[-0.3, 0.6], [0.1, 0.9]], [[0.8, 0.3], [-0.6, 0.2]]]),
        tensor([[-1.0, 2.5], [0.5, 1.0], [3.0, -0.5]]),
        tensor([-0.3, 0.4]),
    ),
)


def to_go(reward):
    """Rewards to go along the last axis."""
    return reward.flip(-1).cumsum(-1).flip(-1)


def one_number(out, what):
    """The answer as a tensor of one number that has a derivative, or `Rejected`."""
    if not isinstance(out, torch.Tensor) or out.ndim != 0:
        shape = f" of shape {tuple(out.shape)}" if isinstance(out, torch.Tensor) else ""
        raise Rejected(f"{what} must return a tensor of one number; you return a {type(out).__name__}{shape}.")
    if not out.requires_grad:
        raise Rejected(f"{what} returns a constant: something is detached that should keep its derivative.")
    return out


def derivatives(f, setting, what="this"):
    """First and second derivatives of f(log pi, x) by x in one row, (6,), in the precision of what f returns."""
    x = setting.point.clone().requires_grad_()
    out = one_number(f(setting.log_pi(x), x), what)
    (first,) = torch.autograd.grad(out, x, create_graph=True, materialize_grads=True)
    rows = [first]
    for g in first:
        if g.requires_grad:
            rows.append(torch.autograd.grad(g, x, retain_graph=True, materialize_grads=True)[0])
        else:  # f is linear in x
            rows.append(torch.zeros_like(x))
    return numbers(torch.cat(rows).to(out.dtype), (6,), what)


# --- 06.1 DiCE --------------------------------------------------------------------------------------------------------


def box(total):
    """exp(total - stop(total)): 1, with derivatives."""
    return (total - total.detach()).exp()


def check_dice(answer):
    for setting in SETTINGS:
        reward = setting.reward
        episodes, steps = reward.shape
        ask = derivatives(
            lambda l, x, reward=reward: answer(l, reward.clone()), setting, "dice_surrogate(log_pi, reward)"
        )

        def mean_of(weight, reward, setting=setting):
            return derivatives(lambda l, x: (weight(l) * reward).sum(1).mean(), setting)

        right = mean_of(lambda l: box(l.cumsum(1)), reward)
        mistakes = {
            "That is the naive surrogate: first derivative right, second wrong.": mean_of(lambda l: l, to_go(reward)),
            "That is LVC: no cross terms. Sum log pi over the past with cumsum.": mean_of(box, to_go(reward)),
            "Each reward is credited to its own action only: sum log pi over all up to it.": mean_of(box, reward),
            "You multiply each reward by the whole episode: unbiased, but later actions only add noise.": mean_of(
                lambda l: box(l.sum(1, keepdim=True)), reward
            ),
            "The stop is missing: the box must be 1, exp(sum - sum.detach()).": mean_of(
                lambda l: l.cumsum(1).exp(), reward
            ),
            "With boxes up to t, use the reward: the return to go counts it several times.": mean_of(
                lambda l: box(l.cumsum(1)), to_go(reward)
            ),
            "You sum log pi over the actions before each reward only: its own action is one of them.": mean_of(
                lambda l: box(l.cumsum(1) - l), reward
            ),
            "That is the sum over episodes; the mean is asked for.": episodes * right,
            "That is the mean over steps: sum over the steps of an episode, average over episodes.": right / steps,
        }
        otherwise = "Not sum_t exp(cumsum of log ratios) r_t, averaged over episodes."
        if message := diagnose(ask, right, mistakes, otherwise):
            return message
    return None


# --- 06.2 the sampling term -------------------------------------------------------------------------------------------


def after_adapting(x):
    """A return that depends on the parameters too, a tensor of one number."""
    return 0.7 + (x**2).sum()


def check_sampling_term(answer):
    what = "sampling_term(log_pi, after, baseline)"
    for setting, b in zip(SETTINGS, (0.25, -0.4), strict=True):
        episodes, steps = setting.reward.shape
        got = derivatives(lambda l, x, b=b: answer(l, after_adapting(x), b), setting, what)[:2]
        score = derivatives(lambda l, x: l.sum(), setting)[:2]
        slope = derivatives(lambda l, x: after_adapting(x), setting)[:2]
        level, total = after_adapting(setting.point).item(), setting.log_pi(setting.point).sum().item()
        right = (level - b) * score
        mistakes = {
            "That is a mean over episodes: the batch's log-probability is the sum of all its steps.": right / episodes,
            "That is a mean over steps: the batch's log-probability is their sum.": right / (episodes * steps),
            "J(theta') must be a constant here: its own derivative is the naive term, counted elsewhere.": (
                right + total * slope
            ),
            "That is the naive term: the derivative of J(theta') is counted elsewhere.": slope,
            "The baseline is missing: the term is right on average, and very noisy.": level * score,
            "The sign is wrong: data that led to a better policy should become likelier.": -right,
        }
        otherwise = "Not (J(theta') - b) times the sum of grad log pi."
        if message := diagnose(got, right, mistakes, otherwise):
            return message
    return None


# --- 06.3 ProMP's objective -------------------------------------------------------------------------------------------

ACTED = (
    tensor([[0.5, 0.4, 0.3], [0.6, 0.2, 0.5]]).log(),
    tensor([[0.7, 0.3], [0.2, 0.5], [0.4, 0.6], [0.1, 0.8]]).log(),
)
RATIO = (tensor([[1.5, 0.5, 1.1], [1.6, 0.6, 0.9]]), tensor([[0.7, 1.05], [1.4, 0.95], [0.5, 1.25], [1.02, 0.8]]))
ADVANTAGE = (
    tensor([[1.0, 2.0, -1.0], [-2.0, -1.5, 0.5]]),
    tensor([[-1.0, 0.5], [2.0, -3.0], [1.5, 1.0], [-0.5, 2.5]]),
)
CLIP = (0.2, 0.1)


def with_slope(f, log_pi, what):
    """Value of f(log pi) and its derivative by every log pi in one row, (1 + N H,)."""
    log_pi = log_pi.clone().requires_grad_()
    out = one_number(f(log_pi), what)
    (slope,) = torch.autograd.grad(out, log_pi, materialize_grads=True)
    return numbers(torch.cat([out.detach()[None], slope.flatten().to(out.dtype)]), (-1,), what)


def check_promp(answer):
    what = "promp_gain(log_pi, log_acted, advantage, clip)"
    for acted, ratio, advantage, clip in zip(ACTED, RATIO, ADVANTAGE, CLIP, strict=True):
        now = acted + ratio.log()
        given = acted.clone(), advantage.clone(), clip
        got = with_slope(lambda l, given=given: answer(l, *given), now, what)

        def of(gain, now=now, acted=acted, advantage=advantage):
            """Value and slope of a gain of (ratio, advantage)."""
            return with_slope(lambda l: gain((l - acted).exp(), advantage), now, "this")

        def held(rho, clip=clip):
            return rho.clamp(1 - clip, 1 + clip)

        def clipped(rho, A, held=held):
            return torch.minimum(rho * A, held(rho) * A)

        right = of(lambda rho, A, clipped=clipped: clipped(rho, A).mean())
        mistakes = {
            "There is no clip: one batch would be trusted without bound.": of(lambda rho, A: (rho * A).mean()),
            "The minimum is missing: a clipped ratio alone also hides steps that made things worse.": of(
                lambda rho, A, held=held: (held(rho) * A).mean()
            ),
            "That is the maximum: it trusts the batch where it promises most.": of(
                lambda rho, A, held=held: torch.maximum(rho * A, held(rho) * A).mean()
            ),
            "The ratio is upside down: new policy over the one that acted.": of(
                lambda rho, A, clipped=clipped: clipped(1 / rho, A).mean()
            ),
            "That is the loss, with a minus: the objective is asked for.": -right,
            "That is the sum; the mean over all steps is asked for.": right * advantage.numel(),
            "That sums over the steps of an episode; the mean over all steps is asked for.": (
                right * advantage.shape[1]
            ),
        }
        if message := diagnose(got, right, mistakes, "Not the mean of min(rho A, clip(rho) A), or not its derivative."):
            return message
    return None


# --- 06.4 running sums ------------------------------------------------------------------------------------------------

LOGS = (np.array([-1.0, -0.5, -2.0, -0.3, -0.7]), np.array([-0.4, -1.1, -0.2, -0.9, -1.6, -0.1, -0.8]))
FIRST = (
    np.array([True, False, False, True, False]),
    np.array([True, False, True, False, False, False, True]),
)


def carried(weight, first=0.0):
    """The matrix that takes log pi (M,) to sums: total_i = log pi_i + weight_i total_{i-1}; `first` weighs the last."""
    size = len(weight)
    matrix = np.zeros((size, size))
    for i in range(size):
        matrix[i, i] = 1.0
        if i:
            matrix[i] += weight[i] * matrix[i - 1]
        else:
            matrix[0, -1] += first
    return matrix


def check_sums(answer):
    what = "sums(log_pi, first)"
    for logs, first in zip(LOGS, FIRST, strict=True):
        leaf = torch.tensor(logs, requires_grad=True)
        out = answer(leaf, torch.tensor(first))
        value = numbers(out, logs.shape, what)
        out = torch.stack(list(out)) if isinstance(out, list | tuple) else out
        if not isinstance(out, torch.Tensor) or not out.requires_grad:
            return "The sums have no derivative: DiCE differentiates them, so nothing may be detached or made a number."
        weight = torch.linspace(1.0, 2.0, len(logs), dtype=out.dtype)  # tells the rows apart
        (slope,) = torch.autograd.grad(out @ weight, leaf, materialize_grads=True)
        got = np.concatenate([value, numbers(slope.to(out.dtype), logs.shape, what)])

        def both(matrix, logs=logs, weight=weight):
            """The sums and their slope, as linear functions of log pi."""
            return np.concatenate([matrix @ logs, weight.double().numpy() @ matrix])

        carry = 1.0 - first
        episodes = int(first.sum())
        right = carried(carry)
        mistakes = {
            "Earlier steps still fade by 1/N: DiCE weighs all of the past fully.": both(carried(carry / episodes)),
            "The sum runs across episodes: start anew at each first step.": both(carried(np.ones_like(carry))),
            "The first step still receives the last one's: before the first step there is nothing.": both(
                carried(carry, first=1.0)
            ),
            "That is each step's own log-probability only, which is LVC's curvature.": both(np.eye(len(logs))),
            "The present step is missing: the sum up to t includes t.": both(right - np.eye(len(logs))),
        }
        otherwise = "Not the sum of log pi within each episode, up to each step (or not its derivative)."
        if message := diagnose(got, both(right), mistakes, otherwise):
            return message
    return None


# --- 06.5 the whole estimator -----------------------------------------------------------------------------------------

OPTIMUM = tensor([0.9, -0.6])


def smooth_return(x):
    """J of parameters x (2,): a hill, a tensor of one number."""
    return 1.5 - ((x.double() - OPTIMUM) ** 2 * tensor([1.0, 0.4])).sum().sqrt()


def emaml(setting, alpha, b, *, inner=None, first_order=False, sampling=None):
    """The meta-gradient (2,), and its variants that the check names.

    inner : (log pi, reward) -> surrogate; sampling : (log pi, after, b) -> the term added to J(theta').
    """
    x = setting.point.clone().requires_grad_()
    log_pi = setting.log_pi(x)
    naive = (lambda l, r: (l * to_go(r)).sum(1).mean()) if inner is None else inner
    (step,) = torch.autograd.grad(naive(log_pi, setting.reward), x, create_graph=not first_order, retain_graph=True)
    after = smooth_return(x + alpha * step)
    term = (lambda l, a, b: (a.detach() - b) * l.sum()) if sampling is None else sampling
    (found,) = torch.autograd.grad(after + term(log_pi, after, b), x, materialize_grads=True)
    return found.numpy()


def check_emaml(answer):
    what = "emaml_gradient(theta, log_prob, reward, value, alpha, baseline)"
    for setting, alpha, b in zip(SETTINGS, (0.7, 0.4), (0.3, -0.2), strict=True):

        def log_prob(theta, setting=setting):
            return setting.log_pi(theta)

        def value(theta):
            return smooth_return(theta)

        got = answer(setting.point.clone(), log_prob, setting.reward.clone(), value, alpha, b)
        got = numbers(got, (2,), what)

        def variant(setting=setting, alpha=alpha, b=b, **how):
            return emaml(setting, alpha, b, **how)

        right = variant()
        mistakes = {
            "The sampling term is missing: that is naive MAML.": variant(sampling=lambda l, a, b: 0 * a),
            "The step is a constant of yours: keep its graph (create_graph=True), or that is first order.": variant(
                first_order=True
            ),
            "Your inner step descends: a return is to be maximised.": variant(alpha=-alpha),
            "The inner surrogate pays each action its own step's reward: pay the return to go.": variant(
                inner=lambda l, r: (l * r).sum(1).mean()
            ),
            "The inner surrogate is summed over episodes: it is their mean.": variant(
                inner=lambda l, r: (l * to_go(r)).sum()
            ),
            "The inner surrogate is averaged over steps: sum over the steps of an episode.": variant(
                inner=lambda l, r: (l * to_go(r)).sum(1).mean() / r.shape[1]
            ),
            "The sampling term averages over episodes: the batch's log-probability is a sum.": variant(
                sampling=lambda l, a, b: (a.detach() - b) * l.sum(1).mean()
            ),
            "J(theta') must be a constant in the sampling term: its own derivative is the other term.": variant(
                sampling=lambda l, a, b: (a - b) * l.sum()
            ),
            "The baseline is missing.": variant(b=0.0),
            "The sign of the sampling term is wrong.": variant(sampling=lambda l, a, b: (b - a.detach()) * l.sum()),
        }
        otherwise = "Not the derivative of J(theta') plus (stop(J(theta')) - b) times the sum of log pi."
        if message := diagnose(got, right, mistakes, otherwise):
            return message
    return None


EXERCISES = (
    Exercise(
        id="06.1",
        name="dice_surrogate",
        task="""
            Write dice_surrogate(log_pi, reward): the DiCE surrogate of N episodes of H steps. Its value does not
            matter; its first and second derivatives by the parameters do.

              log_pi   (N, H) log-probabilities of the actions taken, with their derivatives (do not detach them all)
              reward   (N, H) points of each step
              returns  a tensor of one number: the sum over the steps of an episode, averaged over the episodes
        """,
        check=check_dice,
        hints=(
            "Which actions made each reward likelier? All before it, and its own.",
            "mean_n sum_t exp(sum_{k<=t} log pi_k - stop(log pi_k)) r_t",
            "rho = log_pi - log_pi.detach()  # log of the ratio, 0; which sum of it belongs to step t?",
        ),
        solution="""
            def dice_surrogate(log_pi, reward):
                log_rho = log_pi - log_pi.detach()  # 0, with derivatives
                past = log_rho.cumsum(1).exp()  # (N, H), the product over k <= t
                return (past * reward).sum(1).mean()
        """,
    ),
    Exercise(
        id="06.2",
        name="sampling_term",
        task="""
            Write sampling_term(log_pi, after, baseline): a number whose derivative by theta is E-MAML's sampling term,
            and nothing else.

              log_pi    (N, H) log-probabilities of the batch that was drawn before adapting, with their derivatives
              after     a tensor of one number, J(theta') in points; it depends on theta too
              baseline  b, a number, in points
              returns   a tensor of one number
        """,
        check=check_sampling_term,
        hints=(
            "The chance of a batch is a product over all its actions. What is the derivative of its logarithm?",
            "(stop(J(theta')) - b) sum_{n,t} log pi",
            "gain = after.detach() - baseline  # a constant; what does it weigh?",
        ),
        solution="""
            def sampling_term(log_pi, after, baseline):
                gain = after.detach() - baseline
                return gain * log_pi.sum()
        """,
    ),
    Exercise(
        id="06.3",
        name="promp_gain",
        task="""
            Write promp_gain(log_pi, log_acted, advantage, clip): ProMP's clipped outer objective, to be maximised.

              log_pi     (N, H) log-probabilities under the policy now, with their derivatives
              log_acted  (N, H) log-probabilities under the policy that acted
              advantage  (N, H) A after adapting, in points
              clip       epsilon, a number such as 0.2
              returns    a tensor of one number: the mean over all steps of all episodes
        """,
        check=check_promp,
        hints=(
            "How much likelier is the action now than when it was taken? And how far do you trust that?",
            "mean of min(rho A, clip(rho, 1 - c, 1 + c) A), rho = exp(log pi - log pi_acted)",
            "rho = (log_pi - log_acted).exp()  # (N, H); rho.clamp(low, high) holds it in a band",
        ),
        solution="""
            def promp_gain(log_pi, log_acted, advantage, clip):
                rho = (log_pi - log_acted).exp()
                held = rho.clamp(1 - clip, 1 + clip)
                return torch.minimum(rho * advantage, held * advantage).mean()
        """,
    ),
    Exercise(
        id="06.4",
        name="sums",
        task="""
            Write sums(log_pi, first): the sums of log pi that DiCE needs, when all episodes of a batch lie end to end.
            Keep the derivatives.

              log_pi   (M,) log-probabilities of all steps of all episodes, with their derivatives
              first    (M,) true where a step is the first of its episode; first[0] is true
              returns  (M,) for each step, the sum of log pi over its own episode up to and with that step
        """,
        check=check_sums,
        hints=(
            "What should the first step of an episode receive from before? And the second?",
            "total_i = log_pi_i + (0 if first_i else total_{i-1})",
            "carry = 0.0 if first[i] else 1.0",
        ),
        solution="""
            def sums(log_pi, first):
                total = []
                for i in range(len(log_pi)):
                    before = 0.0 if first[i] else total[i - 1]
                    total.append(log_pi[i] + before)
                return torch.stack(total)
        """,
    ),
    Exercise(
        id="06.5",
        name="emaml_gradient",
        task="""
            Write emaml_gradient(theta, log_prob, reward, value, alpha, baseline): E-MAML's meta-gradient from one batch
            of N episodes. Adapt by one step up on the naive surrogate (sum over the steps of log pi times the return to
            go, mean over the episodes); add the sampling term of 06.2 to the return after it; differentiate both.

              theta     (P,) the parameters before adapting
              log_prob  a function: log_prob(theta) is (N, H), log-probabilities of the batch's actions
              reward    (N, H) points of each step
              value     a function: value(theta) is J(theta), a tensor of one number, in points
              alpha     the inner step size, a number
              baseline  b, a number, in points
              returns   (P,) the gradient by theta; both functions can be differentiated by it
        """,
        check=check_emaml,
        hints=(
            "Three things depend on theta: the log-probabilities, the step that they make, and the return after it.",
            "Differentiate J(theta') + (stop(J(theta')) - b) sum log pi, with theta' = theta + alpha grad of the "
            "surrogate, the graph of that gradient kept.",
            "theta = theta.clone().requires_grad_(); step = torch.autograd.grad(..., theta, create_graph=True)[0]",
        ),
        solution="""
            def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                theta = theta.clone().requires_grad_()
                log_pi = log_prob(theta)
                G = reward.flip(1).cumsum(1).flip(1)
                surrogate = (log_pi * G).sum(1).mean()
                step = torch.autograd.grad(surrogate, theta, create_graph=True)[0]
                after = value(theta + alpha * step)
                sampling = (after.detach() - baseline) * log_pi.sum()
                return torch.autograd.grad(after + sampling, theta)[0]
        """,
    ),
)

QUIZZES = (
    Quiz(
        "06.a",
        "Your E-MAML meta-gradient is too noisy. You have 20 tasks of 20 episodes each. What helps?",
        (
            Option(
                "40 tasks of 20 episodes each",
                "The average over tasks halves the variance, whatever each task's is.",
                right=True,
            ),
            Option("20 tasks of 40 episodes each", "The sampling term sums over episodes: its noise stays, or grows."),
            Option(
                "Dividing the sampling term by 20", "Less noise, and another objective: the sum is what is unbiased."
            ),
        ),
    ),
    Quiz(
        "06.b",
        "What is wrong with `running_sums`?",
        (
            Option(
                "Nothing: H00 comes closer to the exact one as N grows",
                "Look at H01: 0.118 is right, and it falls as N grows.",
            ),
            Option(
                "The sums run across the ends of episodes",
                "carry is 0 at every first step, except at the very first.",
            ),
            Option(
                "`carry / episodes`, and `i - 1` where i is 0",
                "The past fades by 1/N a step, so H01 shrinks with N and DiCE becomes LVC, without a word. At "
                "i = 0 the first step receives the last one's log-probability: with one episode, even g is wrong.",
                right=True,
            ),
        ),
    ),
    Quiz(
        "06.c",
        "garage's MAML trained the value loss on a deep copy of the value function, while the optimiser held the "
        "original: the baseline never learned. What did that do to the policy gradient?",
        (
            Option(
                "It became biased, and stayed as noisy as it was",
                "A baseline of the state alone, however bad, leaves its mean alone.",
            ),
            Option(
                "Its variance stayed high; its mean was right",
                "Nothing crashes, learning is only slower. (The naive *curvature* does change: section 3.)",
                right=True,
            ),
            Option(
                "Nothing: a baseline never enters the gradient",
                "It does not enter the mean; a trained one is there to lower the variance, and this one did not.",
            ),
        ),
    ),
)
