"""Chapter 06: answers to its exercises, the equalities behind its page, its figures and its widget."""

from functools import partial

import numpy as np
import pytest
import torch
from answers import Answers, Wrong, answer_tests
from pages import of_page

from metarl_lab.chapters.ch06_the_meta_gradient import figures
from metarl_lab.chapters.ch06_the_meta_gradient.experiments import estimator_grid, per_trajectory
from metarl_lab.chapters.ch06_the_meta_gradient.figures import estimate_bars, log_lines, promises
from metarl_lab.chapters.ch06_the_meta_gradient.maze import batches, log_ways, maze, mirrored
from metarl_lab.chapters.ch06_the_meta_gradient.widget import EXPECTED, FINITE, estimator_explorer
from metarl_lab.ops import surrogates as package

# --- answers to the exercises -----------------------------------------------------------------------------------------

test_answers = answer_tests(
    "06",
    {
        "06.1": Answers(
            right=(
                "dice_surrogate = lambda log_pi, reward: "
                "((log_pi - log_pi.detach()).cumsum(dim=1).exp() * reward).sum(dim=1).mean()",
                # an equivalent: the products of the ratios, and einsum for the sums
                """
                def dice_surrogate(log_pi, reward):
                    rho = log_pi.exp() / log_pi.detach().exp()
                    return torch.einsum("nh,nh->", rho.cumprod(1), reward) / len(reward)
                """,
                # loops over episodes and steps
                """
                def dice_surrogate(log_pi, reward):
                    total = 0.0
                    for l, r in zip(log_pi, reward):
                        past = 0.0
                        for t in range(len(r)):
                            past = past + l[t] - l[t].detach()
                            total = total + torch.exp(past) * r[t]
                    return total / len(log_pi)
                """,
                # the sum over the past as a matrix product; mixes float32 into float64
                """
                def dice_surrogate(log_pi, reward):
                    steps = log_pi.shape[1]
                    past = (log_pi - log_pi.detach()) @ torch.ones(steps, steps, dtype=log_pi.dtype).triu()
                    return (past.exp() * torch.as_tensor(reward)).mean() * steps
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def dice_surrogate(log_pi, reward):
                        return (log_pi * reward.flip(1).cumsum(1).flip(1)).sum(1).mean()
                    """,
                    "naive surrogate",
                ),
                Wrong(
                    """
                    def dice_surrogate(log_pi, reward):
                        rho = (log_pi - log_pi.detach()).exp()
                        return (rho * reward.flip(1).cumsum(1).flip(1)).sum(1).mean()
                    """,
                    "That is LVC",
                ),
                Wrong(
                    """
                    def dice_surrogate(log_pi, reward):
                        rho = (log_pi - log_pi.detach()).exp()
                        return (rho * reward).sum(1).mean()
                    """,
                    "own action only",
                ),
                Wrong(
                    """
                    def dice_surrogate(log_pi, reward):
                        whole = (log_pi - log_pi.detach()).sum(1, keepdim=True).exp()
                        return (whole * reward).sum(1).mean()
                    """,
                    "whole episode",
                ),
                Wrong(
                    """
                    def dice_surrogate(log_pi, reward):
                        return (log_pi.cumsum(1).exp() * reward).sum(1).mean()
                    """,
                    "stop is missing",
                ),
                Wrong(
                    """
                    def dice_surrogate(log_pi, reward):
                        past = (log_pi - log_pi.detach()).cumsum(1).exp()
                        return (past * reward.flip(1).cumsum(1).flip(1)).sum(1).mean()
                    """,
                    "several times",
                ),
                Wrong(
                    """
                    def dice_surrogate(log_pi, reward):
                        log_rho = log_pi - log_pi.detach()
                        return ((log_rho.cumsum(1) - log_rho).exp() * reward).sum(1).mean()
                    """,
                    "its own action is one of them",
                ),
                Wrong(
                    """
                    def dice_surrogate(log_pi, reward):
                        return ((log_pi - log_pi.detach()).cumsum(1).exp() * reward).sum()
                    """,
                    "sum over episodes",
                ),
                Wrong(
                    """
                    def dice_surrogate(log_pi, reward):
                        return ((log_pi - log_pi.detach()).cumsum(1).exp() * reward).mean()
                    """,
                    "mean over steps",
                ),
                Wrong("dice_surrogate = lambda log_pi, reward: reward.sum(1).mean()", "constant"),
            ),
            looks_right=(
                # the value of DiCE, and no derivative
                "dice_surrogate = lambda log_pi, reward: (log_pi.detach().cumsum(1).exp() * reward).sum(1).mean()",
                # right for two episodes only
                """
                def dice_surrogate(log_pi, reward):
                    return ((log_pi - log_pi.detach()).cumsum(1).exp() * reward).sum() / 2
                """,
                # the past is a constant: the right first derivative of the last action alone
                """
                def dice_surrogate(log_pi, reward):
                    log_rho = log_pi - log_pi.detach()
                    past = log_rho + (log_rho.cumsum(1) - log_rho).detach()
                    return (past.exp() * reward).sum(1).mean()
                """,
                # right first derivative, second of naive
                """
                def dice_surrogate(log_pi, reward):
                    return (log_pi.cumsum(1) * reward).sum(1).mean()
                """,
            ),
        ),
        "06.2": Answers(
            right=(
                "sampling_term = lambda log_pi, after, baseline: (after.item() - baseline) * log_pi.sum()",
                """
                def sampling_term(log_pi, after, baseline):
                    with torch.no_grad():
                        gain = after - baseline
                    return torch.einsum("nh,->", log_pi, gain)
                """,
                """
                def sampling_term(log_pi, after, baseline):
                    total = 0.0
                    for episode in log_pi:
                        for step in episode:
                            total = total + step * (float(after) - baseline)
                    return total
                """,
                "sampling_term = lambda log_pi, after, baseline: "
                "log_pi.sum(dim=1, keepdim=True).sum() * (after.detach() - baseline)",
            ),
            wrong=(
                Wrong(
                    """
                    def sampling_term(log_pi, after, baseline):
                        return (after.detach() - baseline) * log_pi.sum(1).mean()
                    """,
                    "mean over episodes",
                ),
                Wrong(
                    "sampling_term = lambda log_pi, after, baseline: (after.detach() - baseline) * log_pi.mean()",
                    "mean over steps",
                ),
                Wrong(
                    "sampling_term = lambda log_pi, after, baseline: (after - baseline) * log_pi.sum()",
                    "must be a constant",
                ),
                Wrong("sampling_term = lambda log_pi, after, baseline: after - baseline", "That is the naive term"),
                Wrong(
                    "sampling_term = lambda log_pi, after, baseline: after.detach() * log_pi.sum()",
                    "baseline is missing",
                ),
                Wrong(
                    "sampling_term = lambda log_pi, after, baseline: (baseline - after.detach()) * log_pi.sum()",
                    "sign is wrong",
                ),
                Wrong(
                    """
                    def sampling_term(log_pi, after, baseline):
                        return (after.detach() - baseline) * log_pi.detach().sum()
                    """,
                    "constant",
                ),
            ),
            looks_right=(
                # both terms of E-MAML together
                "sampling_term = lambda log_pi, after, baseline: after + (after.detach() - baseline) * log_pi.sum()",
                # two episodes, no other number of them
                """
                def sampling_term(log_pi, after, baseline):
                    return 2 * (after.detach() - baseline) * log_pi.sum(1).mean()
                """,
                # the baseline of the first try
                "sampling_term = lambda log_pi, after, baseline: (after.detach() - 0.25) * log_pi.sum()",
                # the first episode only
                "sampling_term = lambda log_pi, after, baseline: (after.detach() - baseline) * log_pi[0].sum()",
            ),
        ),
        "06.3": Answers(
            right=(
                """
                def promp_gain(log_pi, log_acted, advantage, clip):
                    rho = torch.exp(log_pi - log_acted)
                    return torch.min(rho * advantage, torch.clip(rho, 1 - clip, 1 + clip) * advantage).mean()
                """,
                # by cases, as the PPO of Spinning Up: the bound is (1 +- clip) A
                """
                def promp_gain(log_pi, log_acted, advantage, clip):
                    rho = log_pi.exp() / log_acted.exp()
                    bound = torch.where(advantage >= 0, (1 + clip) * advantage, (1 - clip) * advantage)
                    return torch.minimum(rho * advantage, bound).sum() / advantage.numel()
                """,
                """
                def promp_gain(log_pi, log_acted, advantage, clip):
                    gains = []
                    for now, then, A in zip(log_pi.flatten(), log_acted.flatten(), advantage.flatten()):
                        rho = (now - then).exp()
                        if A >= 0 and rho > 1 + clip:
                            rho = 1 + clip
                        elif A < 0 and rho < 1 - clip:
                            rho = 1 - clip
                        gains.append(torch.as_tensor(rho * A))
                    return sum(gains) / len(gains)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def promp_gain(log_pi, log_acted, advantage, clip):
                        return ((log_pi - log_acted).exp() * advantage).mean()
                    """,
                    "no clip",
                ),
                Wrong(
                    """
                    def promp_gain(log_pi, log_acted, advantage, clip):
                        rho = (log_pi - log_acted).exp()
                        return (rho.clamp(1 - clip, 1 + clip) * advantage).mean()
                    """,
                    "minimum is missing",
                ),
                Wrong(
                    """
                    def promp_gain(log_pi, log_acted, advantage, clip):
                        rho = (log_pi - log_acted).exp()
                        return torch.maximum(rho * advantage, rho.clamp(1 - clip, 1 + clip) * advantage).mean()
                    """,
                    "maximum",
                ),
                Wrong(
                    """
                    def promp_gain(log_pi, log_acted, advantage, clip):
                        rho = (log_acted - log_pi).exp()
                        return torch.minimum(rho * advantage, rho.clamp(1 - clip, 1 + clip) * advantage).mean()
                    """,
                    "upside down",
                ),
                Wrong(
                    """
                    def promp_gain(log_pi, log_acted, advantage, clip):
                        rho = (log_pi - log_acted).exp()
                        return -torch.minimum(rho * advantage, rho.clamp(1 - clip, 1 + clip) * advantage).mean()
                    """,
                    "the loss",
                ),
                Wrong(
                    """
                    def promp_gain(log_pi, log_acted, advantage, clip):
                        rho = (log_pi - log_acted).exp()
                        return torch.minimum(rho * advantage, rho.clamp(1 - clip, 1 + clip) * advantage).sum()
                    """,
                    "the sum",
                ),
                Wrong(
                    """
                    def promp_gain(log_pi, log_acted, advantage, clip):
                        rho = (log_pi - log_acted).exp()
                        gain = torch.minimum(rho * advantage, rho.clamp(1 - clip, 1 + clip) * advantage)
                        return gain.sum(1).mean()
                    """,
                    "sums over the steps",
                ),
                Wrong(
                    """
                    def promp_gain(log_pi, log_acted, advantage, clip):
                        rho = (log_pi - log_acted).exp().detach()
                        return torch.minimum(rho * advantage, rho.clamp(1 - clip, 1 + clip) * advantage).mean()
                    """,
                    "constant",
                ),
            ),
            looks_right=(
                # the right value, and the derivative of the unclipped gain
                """
                def promp_gain(log_pi, log_acted, advantage, clip):
                    rho = (log_pi - log_acted).exp()
                    gain = torch.minimum(rho * advantage, rho.clamp(1 - clip, 1 + clip) * advantage)
                    return gain.detach().mean() + (rho * advantage).mean() - (rho * advantage).mean().detach()
                """,
                # a clip of 0.2, whatever is asked
                """
                def promp_gain(log_pi, log_acted, advantage, clip):
                    rho = (log_pi - log_acted).exp()
                    return torch.minimum(rho * advantage, rho.clamp(0.8, 1.2) * advantage).mean()
                """,
                # clips above only
                """
                def promp_gain(log_pi, log_acted, advantage, clip):
                    rho = (log_pi - log_acted).exp()
                    return torch.minimum(rho * advantage, rho.clamp(max=1 + clip) * advantage).mean()
                """,
                # six steps, no other number of them
                """
                def promp_gain(log_pi, log_acted, advantage, clip):
                    rho = (log_pi - log_acted).exp()
                    return torch.minimum(rho * advantage, rho.clamp(1 - clip, 1 + clip) * advantage).sum() / 6
                """,
            ),
        ),
        "06.4": Answers(
            right=(
                # the sum over everything, less what it was before the episode began
                """
                def sums(log_pi, first):
                    running = log_pi.cumsum(0)
                    before = torch.where(first, running - log_pi, torch.zeros_like(running))
                    episode = first.long().cumsum(0) - 1
                    return running - before[first][episode]
                """,
                # a matrix of who counts for whom
                """
                def sums(log_pi, first):
                    episode = torch.cumsum(torch.as_tensor(first).int(), 0)
                    same = episode[:, None] == episode[None, :]
                    return torch.einsum("ij,j->i", torch.tril(same.to(log_pi.dtype)), log_pi)
                """,
                # a list of tensors
                """
                def sums(log_pi, first):
                    total = []
                    for value, begins in zip(log_pi, first):
                        total.append(value if begins else total[-1] + value)
                    return total
                """,
                # episode by episode
                """
                def sums(log_pi, first):
                    starts = torch.nonzero(first).flatten().tolist() + [len(log_pi)]
                    parts = [log_pi[a:b].cumsum(dim=0) for a, b in zip(starts[:-1], starts[1:])]
                    return torch.cat(parts)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def sums(log_pi, first):
                        total = []
                        for i in range(len(log_pi)):
                            carry = 0.0 if first[i] else 1 / int(first.sum())
                            total.append(log_pi[i] + carry * (total[i - 1] if i else 0.0))
                        return torch.stack(total)
                    """,
                    "fade by 1/N",
                ),
                Wrong("sums = lambda log_pi, first: log_pi.cumsum(0)", "across episodes"),
                Wrong(
                    """
                    def sums(log_pi, first):
                        total = []
                        for i in range(len(log_pi)):
                            carry = 1.0 if i == 0 or not first[i] else 0.0
                            total.append(log_pi[i] + carry * (total[i - 1] if i else log_pi[-1]))
                        return torch.stack(total)
                    """,
                    "first step still receives",
                ),
                Wrong("sums = lambda log_pi, first: log_pi.clone()", "own log-probability only"),
                Wrong(
                    """
                    def sums(log_pi, first):
                        total = []
                        for i in range(len(log_pi)):
                            total.append(log_pi[i] + (0.0 if first[i] else total[i - 1]))
                        return torch.stack(total) - log_pi
                    """,
                    "present step is missing",
                ),
                Wrong(
                    """
                    def sums(log_pi, first):
                        total = []
                        for value, begins in zip(log_pi.tolist(), first):
                            total.append(value if begins else total[-1] + value)
                        return torch.tensor(total)
                    """,
                    "no derivative",
                ),
            ),
            looks_right=(
                # the past is a constant
                """
                def sums(log_pi, first):
                    total = []
                    for i in range(len(log_pi)):
                        before = 0.0 if first[i] else total[i - 1].detach()
                        total.append(log_pi[i] + before)
                    return torch.stack(total)
                """,
                # two episodes of three steps or fewer, no others
                "sums = lambda log_pi, first: torch.cat([log_pi[:3].cumsum(0), log_pi[3:].cumsum(0)])",
                # off by one: the first step of an episode still carries
                """
                def sums(log_pi, first):
                    total = [log_pi[0]]
                    for i in range(1, len(log_pi)):
                        total.append(log_pi[i] + (0.0 if first[i - 1] else total[-1]))
                    return torch.stack(total)
                """,
                # the episode after the first is never begun anew again
                """
                def sums(log_pi, first):
                    begin = int(torch.as_tensor(first)[1:].int().argmax()) + 1
                    return torch.cat([log_pi[:begin].cumsum(0), log_pi[begin:].cumsum(0)])
                """,
            ),
        ),
        "06.5": Answers(
            right=(
                # the two terms apart, each differentiated
                """
                def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                    theta = theta.clone().detach().requires_grad_(True)
                    to_go = torch.flip(torch.cumsum(torch.flip(reward, dims=(1,)), dim=1), dims=(1,))
                    surrogate = (log_prob(theta) * to_go).sum(dim=1).mean(dim=0)
                    step, = torch.autograd.grad(surrogate, theta, create_graph=True)
                    after = value(theta + alpha * step)
                    naive, = torch.autograd.grad(after, theta)
                    score, = torch.autograd.grad(log_prob(theta).sum(), theta)
                    return naive + (after.detach() - baseline) * score
                """,
                # by backward
                """
                def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                    own = theta.clone().requires_grad_()
                    log_pi = log_prob(own)
                    steps = reward.shape[1]
                    G = reward @ torch.ones(steps, steps, dtype=reward.dtype).tril()
                    inner = torch.autograd.grad((log_pi * G).sum() / len(G), own, create_graph=True)[0]
                    after = value(own + alpha * inner)
                    (after + (after.item() - baseline) * log_pi.sum()).backward()
                    return own.grad
                """,
                # by torch.func, and lists
                """
                def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                    def surrogate(x):
                        rows = log_prob(x)
                        total = 0.0
                        for n in range(len(reward)):
                            for t in range(len(reward[n])):
                                total = total + rows[n, t] * float(sum(reward[n][t:]))
                        return total / len(reward)

                    def after(x):
                        return value(x + alpha * torch.func.grad(surrogate)(x))

                    gain = float(after(theta)) - baseline
                    score = torch.func.grad(lambda x: log_prob(x).sum())(theta)
                    return torch.func.grad(after)(theta) + gain * score
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                        theta = theta.clone().requires_grad_()
                        log_pi = log_prob(theta)
                        G = reward.flip(1).cumsum(1).flip(1)
                        surrogate = (log_pi * G).sum(1).mean()
                        step = torch.autograd.grad(surrogate, theta, create_graph=True)[0]
                        after = value(theta + alpha * step)
                        # no sampling term
                        return torch.autograd.grad(after, theta)[0]
                    """,
                    "sampling term is missing",
                ),
                Wrong(
                    """
                    def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                        theta = theta.clone().requires_grad_()
                        log_pi = log_prob(theta)
                        G = reward.flip(1).cumsum(1).flip(1)
                        surrogate = (log_pi * G).sum(1).mean()
                        step = torch.autograd.grad(surrogate, theta, retain_graph=True)[0]
                        after = value(theta + alpha * step)
                        term = (after.detach() - baseline) * log_pi.sum()
                        return torch.autograd.grad(after + term, theta)[0]
                    """,
                    "that is first order",
                ),
                Wrong(
                    """
                    def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                        theta = theta.clone().requires_grad_()
                        log_pi = log_prob(theta)
                        G = reward.flip(1).cumsum(1).flip(1)
                        surrogate = (log_pi * G).sum(1).mean()
                        step = torch.autograd.grad(surrogate, theta, create_graph=True)[0]
                        after = value(theta - alpha * step)
                        term = (after.detach() - baseline) * log_pi.sum()
                        return torch.autograd.grad(after + term, theta)[0]
                    """,
                    "inner step descends",
                ),
                Wrong(
                    """
                    def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                        theta = theta.clone().requires_grad_()
                        log_pi = log_prob(theta)
                        G = reward
                        surrogate = (log_pi * G).sum(1).mean()
                        step = torch.autograd.grad(surrogate, theta, create_graph=True)[0]
                        after = value(theta + alpha * step)
                        term = (after.detach() - baseline) * log_pi.sum()
                        return torch.autograd.grad(after + term, theta)[0]
                    """,
                    "its own step's reward",
                ),
                Wrong(
                    """
                    def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                        theta = theta.clone().requires_grad_()
                        log_pi = log_prob(theta)
                        G = reward.flip(1).cumsum(1).flip(1)
                        surrogate = (log_pi * G).sum()
                        step = torch.autograd.grad(surrogate, theta, create_graph=True)[0]
                        after = value(theta + alpha * step)
                        term = (after.detach() - baseline) * log_pi.sum()
                        return torch.autograd.grad(after + term, theta)[0]
                    """,
                    "summed over episodes",
                ),
                Wrong(
                    """
                    def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                        theta = theta.clone().requires_grad_()
                        log_pi = log_prob(theta)
                        G = reward.flip(1).cumsum(1).flip(1)
                        surrogate = (log_pi * G).mean()
                        step = torch.autograd.grad(surrogate, theta, create_graph=True)[0]
                        after = value(theta + alpha * step)
                        term = (after.detach() - baseline) * log_pi.sum()
                        return torch.autograd.grad(after + term, theta)[0]
                    """,
                    "averaged over steps",
                ),
                Wrong(
                    """
                    def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                        theta = theta.clone().requires_grad_()
                        log_pi = log_prob(theta)
                        G = reward.flip(1).cumsum(1).flip(1)
                        surrogate = (log_pi * G).sum(1).mean()
                        step = torch.autograd.grad(surrogate, theta, create_graph=True)[0]
                        after = value(theta + alpha * step)
                        term = (after.detach() - baseline) * log_pi.sum(1).mean()
                        return torch.autograd.grad(after + term, theta)[0]
                    """,
                    "averages over episodes",
                ),
                Wrong(
                    """
                    def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                        theta = theta.clone().requires_grad_()
                        log_pi = log_prob(theta)
                        G = reward.flip(1).cumsum(1).flip(1)
                        surrogate = (log_pi * G).sum(1).mean()
                        step = torch.autograd.grad(surrogate, theta, create_graph=True)[0]
                        after = value(theta + alpha * step)
                        term = (after - baseline) * log_pi.sum()
                        return torch.autograd.grad(after + term, theta)[0]
                    """,
                    "must be a constant",
                ),
                Wrong(
                    """
                    def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                        theta = theta.clone().requires_grad_()
                        log_pi = log_prob(theta)
                        G = reward.flip(1).cumsum(1).flip(1)
                        surrogate = (log_pi * G).sum(1).mean()
                        step = torch.autograd.grad(surrogate, theta, create_graph=True)[0]
                        after = value(theta + alpha * step)
                        term = after.detach() * log_pi.sum()
                        return torch.autograd.grad(after + term, theta)[0]
                    """,
                    "baseline is missing",
                ),
                Wrong(
                    """
                    def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                        theta = theta.clone().requires_grad_()
                        log_pi = log_prob(theta)
                        G = reward.flip(1).cumsum(1).flip(1)
                        surrogate = (log_pi * G).sum(1).mean()
                        step = torch.autograd.grad(surrogate, theta, create_graph=True)[0]
                        after = value(theta + alpha * step)
                        term = (baseline - after.detach()) * log_pi.sum()
                        return torch.autograd.grad(after + term, theta)[0]
                    """,
                    "sign of the sampling term",
                ),
            ),
            looks_right=(
                # two episodes, no other number of them
                """
                def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                    theta = theta.clone().requires_grad_()
                    log_pi = log_prob(theta)
                    surrogate = (log_pi * reward.flip(1).cumsum(1).flip(1)).sum() / 2
                    step = torch.autograd.grad(surrogate, theta, create_graph=True)[0]
                    after = value(theta + alpha * step)
                    term = (after.detach() - baseline) * log_pi.sum()
                    return torch.autograd.grad(after + term, theta)[0]
                """,
                # the log-probabilities of the sampling term are those after adapting
                """
                def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                    theta = theta.clone().requires_grad_()
                    surrogate = (log_prob(theta) * reward.flip(1).cumsum(1).flip(1)).sum(1).mean()
                    step = torch.autograd.grad(surrogate, theta, create_graph=True)[0]
                    after = value(theta + alpha * step)
                    term = (after.detach() - baseline) * log_prob(theta + alpha * step).sum()
                    return torch.autograd.grad(after + term, theta)[0]
                """,
                # the step size of the first try
                """
                def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                    theta = theta.clone().requires_grad_()
                    log_pi = log_prob(theta)
                    surrogate = (log_pi * reward.flip(1).cumsum(1).flip(1)).sum(1).mean()
                    step = torch.autograd.grad(surrogate, theta, create_graph=True)[0]
                    after = value(theta + 0.7 * step)
                    term = (after.detach() - baseline) * log_pi.sum()
                    return torch.autograd.grad(after + term, theta)[0]
                """,
                # the sampling term alone
                """
                def emaml_gradient(theta, log_prob, reward, value, alpha, baseline):
                    theta = theta.clone().requires_grad_()
                    log_pi = log_prob(theta)
                    surrogate = (log_pi * reward.flip(1).cumsum(1).flip(1)).sum(1).mean()
                    step = torch.autograd.grad(surrogate, theta, retain_graph=True)[0]
                    after = value(theta + alpha * step).detach()
                    return torch.autograd.grad((after - baseline) * log_pi.sum(), theta)[0]
                """,
            ),
        ),
    },
)


# --- the page's own code ----------------------------------------------------------------------------------------------


@pytest.fixture
def page():
    """The page's estimators, in the chapter's default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield of_page(
        "06",
        "log_prob", "value", "SHORT", "START", "ALPHA", "grad", "exact_expected", "to_go", "naive", "log_ratio", "lvc",
        "dice", "INNER", "adapt", "through", "log_chance", "exact_finite", "emaml", "estimates", "moments", "BOTH",
        "Batch", "draw", "inner_step", "act", "clipped_objective", "divergence", "truth", "promp",
    )  # fmt: skip
    torch.set_default_dtype(before)


def test_the_pages_surrogates_give_the_packages_meta_gradients(page):
    share = batches(4, kinds=3) / 4
    for ours, shipped in ((page.naive, package.naive), (page.lvc, package.lvc), (page.dice, package.dice)):
        theirs = page.through(share, per_trajectory(shipped), page.ALPHA)
        torch.testing.assert_close(page.through(share, ours, page.ALPHA), theirs)
    assert not torch.allclose(
        page.through(share, page.dice, page.ALPHA), page.through(share, page.lvc, page.ALPHA), atol=1e-3
    )


def test_the_pages_surrogates_have_the_packages_derivatives_where_every_step_is_paid(page):
    """The maze pays at the end only; there a whole episode in place of the past would go unseen."""
    draw = np.random.default_rng(0).normal
    weight, reward, vector = (torch.tensor(draw(size=(2, 3, 4))) for _ in range(3))
    for ours, shipped in ((page.naive, package.naive), (page.lvc, package.lvc), (page.dice, package.dice)):
        found = []
        for surrogate in (ours, per_trajectory(shipped)):
            x = torch.zeros(2, 3, 4, requires_grad=True)
            first = page.grad(surrogate(torch.sin(weight * x + 0.3), reward), x, create_graph=True)
            found.append((first.detach(), page.grad(first * vector, x)))
        torch.testing.assert_close(*found)


def test_on_infinite_data_a_step_of_each_surrogate_is_the_exact_one(page):
    x = page.START.clone().requires_grad_()
    share = page.log_prob(page.START, page.SHORT).sum(-1).exp()
    exact = page.START + page.ALPHA * page.grad(page.value(x, page.SHORT), x)
    for surrogate in page.INNER.values():
        torch.testing.assert_close(page.adapt(x, share, surrogate, page.ALPHA, page.SHORT), exact)


def test_loaded_dice_is_dice_at_one_and_has_the_curvature_of_lvc_at_zero(page):
    share = batches(3, kinds=4) / 3
    m = maze(3)
    for decay, ours in ((1.0, page.dice), (0.0, page.lvc)):
        loaded = per_trajectory(partial(package.dice, decay=decay))
        torch.testing.assert_close(page.through(share, loaded, 2.0, m), page.through(share, ours, 2.0, m))


def test_at_the_start_the_two_worlds_have_one_meta_gradient_by_the_first_parameter(page):
    here, there = (page.exact_expected(page.START, page.ALPHA, m) for m in (page.SHORT, mirrored(page.SHORT)))
    torch.testing.assert_close(here[0], there[0])
    torch.testing.assert_close(here[1], -there[1])


def test_the_exact_gradients_are_finite_differences(page):
    def objective(theta):
        x = theta[None].clone().requires_grad_()
        step = torch.autograd.grad(page.value(x, page.SHORT).sum(), x)[0]
        return page.value(x.detach() + page.ALPHA * step, page.SHORT).item()

    exact = page.exact_expected(page.START, page.ALPHA)
    for k in range(2):
        away = torch.zeros(2)
        away[k] = 1e-5
        slope = (objective(page.START[0] + away) - objective(page.START[0] - away)) / 2e-5
        assert slope == pytest.approx(exact[k].item(), abs=1e-7)


def test_emaml_is_unbiased_for_a_step_on_a_finite_batch_with_any_baseline(page):
    for n, steps in ((2, 2), (3, 3)):
        m = maze(steps)
        counts = batches(n, len(m.reward))
        target, p, _ = page.exact_finite(counts, page.ALPHA, m)
        assert p.sum().item() == pytest.approx(1)
        for b in (0.0, 0.7):
            torch.testing.assert_close(p @ page.emaml(counts, page.ALPHA, b, m), target)
        naive = p @ page.through(counts / n, page.naive, page.ALPHA, m)
        assert (naive - target).abs().max() > 0.01


def test_promps_first_step_is_that_of_lvc_and_the_clip_holds_later_ones(page):
    start = page.START.expand(20, 2).clone().requires_grad_()
    batch = page.act(start, page.lvc, 5, np.random.default_rng(0))
    open_, held = (
        page.grad(page.clipped_objective(start, batch, page.lvc, clip), start) for clip in (float("inf"), 0.3)
    )
    torch.testing.assert_close(open_, held)
    assert page.divergence(start, batch).abs().max() < 1e-12
    # by the log-probability trick: with every ratio 1, the gradient of a mean of log pi times the advantage
    after = page.inner_step(start, batch.pre, page.lvc, batch.acted)
    paid = (page.log_prob(after, page.BOTH) * batch.advantage * page.BOTH.live).sum(-1)
    torch.testing.assert_close(open_, page.grad((batch.post * paid).sum((1, 2)) / 2, start))
    moved = (start + 2 * open_).detach().requires_grad_()
    then, now = (page.log_prob(theta, page.SHORT).sum(-1) for theta in (start, moved))
    kl = torch.distributions.kl_divergence(*(torch.distributions.Categorical(logits=l) for l in (then, now)))
    torch.testing.assert_close(page.divergence(moved, batch), kl)
    promise = {c: page.clipped_objective(moved, batch, page.lvc, c) for c in (float("inf"), 0.05)}
    assert (promise[0.05] <= promise[float("inf")] + 1e-12).all() and (promise[0.05] < promise[float("inf")]).any()


def test_the_truth_is_the_exact_objective_of_both_worlds(page):
    theta = torch.tensor([[0.5, 0.0], [-0.3, 0.8]])
    mean = 0.0
    for m in (mirrored(page.SHORT), page.SHORT):
        x = theta.clone().requires_grad_()
        step = torch.autograd.grad(page.value(x, m).sum(), x)[0]
        mean = mean + page.value(x.detach() + page.ALPHA * step, m) / 2
    torch.testing.assert_close(page.truth(theta), mean)


# --- what the pages need and do not show ------------------------------------------------------------------------------


def test_the_maze_lists_its_trajectories():
    short, long = maze(), maze(3)
    assert short.reward.sum(-1).tolist() == [0.5, -1.0, 1.0]
    assert short.live.tolist() == [[1, 0], [1, 1], [1, 1]] and short.which.tolist() == [[0, 1]] * 3
    assert long.reward.sum(-1).tolist() == [0.5, 0.5, -1.0, 1.0]
    assert long.live.tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]]
    assert long.sign[:, 0].tolist() == [-1, 1, 1, 1] and long.sign[2:, 2].tolist() == [-1, 1]
    assert mirrored(long).reward.sum(-1).tolist() == [0.5, 0.5, 1.0, -1.0]
    assert long.reward.sum(-1).tolist() == [0.5, 0.5, -1.0, 1.0], "the maze given is left as it was"


def test_batches_are_all_of_them_with_the_right_number_of_orders():
    found = batches(3, kinds=3)
    assert sorted(map(tuple, found.tolist())) == sorted((a, b, 3 - a - b) for a in range(4) for b in range(4 - a))
    assert log_ways(torch.tensor([[2.0, 1.0, 0.0], [1.0, 1.0, 1.0]])).exp().tolist() == pytest.approx([3, 6])
    assert log_ways(found).exp().sum().item() == pytest.approx(27), "3 to the power of 3 orders"


def test_the_grid_asks_for_every_setting():
    def moments(n, alpha, m):
        value = n + 10 * alpha + 100 * m.reward.shape[1]
        one = np.array([value, -1.0])
        return 0 * one + alpha, 0 * one + n, {"a": one, "b": 2 * one}, {"a": 3 * one, "b": 4 * one}

    grid = estimator_grid(moments, ("b", "a"), horizons=(2, 4), sizes=(1, 3, 5), alphas=(0.5, 1.5))
    assert grid["mean"].shape == grid["spread"].shape == (2, 3, 2, 2)
    assert grid["mean"][1, 2, 0].tolist() == [2 * 410, 410] and grid["spread"][0, 0, 1].tolist() == [4 * 216, 3 * 216]
    assert grid["expected"].tolist() == [[0.5, 1.5]] * 2
    assert grid["finite"].tolist() == [[[1, 1], [3, 3], [5, 5]]] * 2


# --- figures and widget -----------------------------------------------------------------------------------------------


X = np.array([1.0, 2.0, 4.0])


def test_log_lines_draw_sizes_on_logarithmic_axes_and_one_look_per_name():
    panels = {"bias": {"a": -0.1 / X, "none": 0 * X, "b": 0.2 / X}, "spread": {"b": 0.3 / X, "none": 0.4 / X}}
    figure = log_lines(X, panels, "episodes", {"slope -1": -1.0})
    left, right = figure.axes
    assert {(ax.get_xscale(), ax.get_yscale()) for ax in (left, right)} == {("log", "log")}
    drawn = [{line.get_label(): line for line in ax.lines} for ax in (left, right)]
    np.testing.assert_allclose(drawn[0]["a"].get_ydata(), 0.1 / X)
    assert "none" not in drawn[0] and "none" in drawn[1], "zero has no place on a logarithmic axis"
    assert drawn[0]["b"].get_color() == drawn[1]["b"].get_color()
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["a", "none", "b"]
    guide = next(line for line in left.lines if line.get_label() not in panels["bias"]).get_ydata()
    np.testing.assert_allclose(guide[1:] / guide[:-1], 0.5)
    assert all(ax.get_xlabel() == "episodes" and ax.get_ylabel() for ax in (left, right))


def test_estimate_bars_run_from_the_truth_to_each_mean():
    mean, spread = np.array([0.1, -0.2]), np.array([0.05, 0.3])
    left, right = estimate_bars(["one", "two"], mean, spread, 0.06, (-0.3, 0.2, 0.4)).axes
    for bar, m in zip(left.patches, mean, strict=True):
        ends = {round(bar.get_x(), 9), round(bar.get_x() + bar.get_width(), 9)}
        assert ends == {0.06, round(m, 9)}
    np.testing.assert_allclose([bar.get_width() for bar in right.patches], spread)
    assert [t.get_text() for t in right.texts] == ["0.050  (bias +0.040)", "0.300  (bias -0.260)"]
    assert [t.get_text() for t in left.get_yticklabels()] == ["one", "two"]
    assert left.get_xlim() == (-0.3, 0.2) and "+0.060" in left.get_title()


def band(*mean):
    """A curve with an interval of +-0.01."""
    mean = np.array(mean)
    return mean, mean - 0.01, mean + 0.01


def test_promises_stand_beside_the_truth_on_one_scale_and_the_truth_is_magnified():
    said = {"LVC, no clip": band(0, 0.1, 0.2), "DiCE, clip 0.3": band(0, 0.05, 0.1)}
    true = {"LVC, no clip": band(0, 0.02, -0.01), "DiCE, clip 0.3": band(0, 0.01, 0.02)}
    figure = promises(said, true).get_figure()
    left, middle, right = figure.axes
    for ax, curves in ((left, said), (middle, true), (right, true)):
        drawn = {line.get_label(): line for line in ax.lines if len(line.get_ydata()) == 3}
        for name, (mean, _, _) in curves.items():
            np.testing.assert_allclose(drawn[name].get_ydata(), mean)
        assert len(ax.collections) == 2, "an interval for each curve"
        assert "steps" in ax.get_xlabel()
    assert left.get_ylim() == middle.get_ylim() != right.get_ylim()
    assert "points" in left.get_ylabel() and "no step" in [text.get_text() for text in right.texts]


def test_a_variant_has_the_colour_of_its_estimator_and_a_line_for_what_is_done_outside():
    names = ("LVC, no clip", "LVC, clip 0.3", "DiCE, clip 0.3", "DiCE, clip 0.3, KL")
    open_, lvc, dice, with_kl = (figures.variant_look(name) for name in names)
    assert open_["color"] == lvc["color"] == figures.estimator_looks(["LVC"])["LVC"]["color"] != dice["color"]
    assert len({str(look["linestyle"]) for look in (open_, lvc, with_kl)}) == 3


def test_an_estimator_looks_the_same_whichever_others_stand_beside_it():
    alone, among = figures.estimator_looks(["DiCE"]), figures.estimator_looks(["naive", "E-MAML", "DiCE", "another"])
    assert alone["DiCE"] == among["DiCE"] and set(among) == {"naive", "E-MAML", "DiCE", "another"}
    every = figures.estimator_looks(figures.ESTIMATORS)
    assert len({look["color"] for look in every.values()}) == len(figures.ESTIMATORS)


NAMES, HORIZONS, SIZES, ALPHAS = ["one", "two"], [2, 3], [1, 2, 4], [0.5, 1.0, 1.5]


def explorer():
    rng = np.random.default_rng(0)
    shape = (2, 3, 3)
    grid = {
        "mean": rng.normal(size=(*shape, 2)).round(1),
        "spread": rng.random((*shape, 2)).round(1),
        "expected": np.full((2, 3), 0.5),
        "finite": np.full(shape, -0.5),
    }
    return estimator_explorer(NAMES, HORIZONS, SIZES, ALPHAS, grid, "06 test"), grid


def test_every_control_changes_the_picture_and_the_words():
    made, grid = explorer()
    seen, said = [made.picture], [made.alt_text]
    for key, value in (("size", 4), ("alpha", 0.5), ("horizon", 3), ("target", FINITE)):
        made.controls[key].value = value
        seen.append(made.picture)
        said.append(made.alt_text)
    assert len(set(seen)) == len(set(said)) == 5
    assert made._status.value == ""
    bias, spread = grid["mean"][1, 2, 0] + 0.5, grid["spread"][1, 2, 0]
    assert f"one {bias[0] + 0.0:+.2f}, {spread[0]:.2f}" in made.alt_text and "exact -0.50" in made.alt_text


def test_a_browsers_nearly_equal_step_size_is_found_and_the_start_is_in_the_middle():
    made, _ = explorer()
    assert made.values == {"size": 2, "alpha": 1.0, "horizon": 2, "target": EXPECTED}
    made.controls["alpha"].value = 1.0 + 1e-12
    assert made._status.value == ""
