"""Chapter 09: answers to its exercises, the equalities behind its page, its experiments, its figures and its widget."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from answers import Answers, Wrong, answer_tests
from pages import of_page

import metarl_lab as ml
from metarl_lab.chapters.ch09_inferring_the_task import experiments
from metarl_lab.chapters.ch09_inferring_the_task.experiments import total_variation
from metarl_lab.chapters.ch09_inferring_the_task.figures import belief_pair, distances, walks_on_arc, ways
from metarl_lab.chapters.ch09_inferring_the_task.widget import belief_stepper, caption
from metarl_lab.exact import gridworld
from metarl_lab.nets.trial_decoder import trial_rows
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.gridworld import GridTasks

ROOT = Path(__file__).parents[2]
TEXT = ROOT / "notebooks" / "text" / "09_inferring_the_task.py"

# --- answers to the exercises -----------------------------------------------------------------------------------------

test_answers = answer_tests(
    "09",
    {
        "09.1": Answers(
            right=(
                """
                def update(belief, cell, paid):
                    after = belief * ((np.arange(len(belief)) == cell) == paid)
                    return after / after.sum()
                """,
                """
                def update(belief, cell, paid):
                    if paid:
                        return torch.nn.functional.one_hot(torch.tensor(cell), len(belief)).double()
                    left = torch.as_tensor(belief).clone()
                    left[cell] = 0
                    return left / left.sum(dim=0, keepdim=True)
                """,
                """
                def update(belief, cell, paid):
                    left = []
                    for g, b in enumerate(belief):
                        left.append(b if (g == cell) == paid else 0.0)
                    return [x / sum(left) for x in left]
                """,
                """
                def update(belief, cell, paid):
                    likelihood = np.eye(len(belief))[cell]
                    if not paid:
                        likelihood = 1 - likelihood
                    return belief * likelihood / np.einsum("g,g->", belief, likelihood)
                """,
                """
                def update(belief, cell, paid):
                    belief[cell], kept = (belief[cell], 0.0) if paid else (0.0, 1.0)
                    others = belief * kept
                    others[cell] = belief[cell]
                    return others / np.sum(others)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def update(belief, cell, paid):
                        return belief * ((np.arange(len(belief)) == cell) == paid)
                    """,
                    "sum to 1",
                ),
                Wrong(
                    """
                    def update(belief, cell, paid):
                        if paid:
                            return belief
                        after = belief * (np.arange(len(belief)) != cell)
                        return after / after.sum()
                    """,
                    "Only misses",
                ),
                Wrong(
                    """
                    def update(belief, cell, paid):
                        after = belief * (np.arange(len(belief)) != cell)
                        return after / after.sum()
                    """,
                    "other way round",
                ),
                Wrong(
                    """
                    def update(belief, cell, paid):
                        likelihood = (np.arange(len(belief)) == cell) == paid
                        return likelihood / likelihood.sum()
                    """,
                    "forget what was known",
                ),
                Wrong(
                    """
                    def update(belief, cell, paid):
                        if paid:
                            return np.eye(len(belief))[cell]
                        after = belief + belief[cell] / (len(belief) - 1)
                        after[cell] = 0
                        return after
                    """,
                    "not shared out evenly",
                ),
                Wrong("update = lambda belief, cell, paid: belief", "Nothing has changed"),
            ),
            looks_right=(
                "update = lambda belief, cell, paid: np.full(len(belief), 1 / len(belief))",
                # five cells
                """
                def update(belief, cell, paid):
                    after = belief[:5] * ((np.arange(5) == cell) == paid)
                    return after / after.sum()
                """,
                # cell 2, whatever was visited
                """
                def update(belief, cell, paid):
                    after = belief * ((np.arange(len(belief)) == (3 if paid else 2)) == paid)
                    return after / after.sum()
                """,
                # the cell beside
                """
                def update(belief, cell, paid):
                    after = belief * ((np.arange(1, len(belief) + 1) == cell) == paid)
                    return after / after.sum()
                """,
                # a softmax sums to 1, too
                """
                def update(belief, cell, paid):
                    after = np.exp(belief * ((np.arange(len(belief)) == cell) == paid))
                    return after / after.sum()
                """,
            ),
        ),
        "09.2": Answers(
            right=(
                """
                def product(mean, std):
                    weight = std**-2
                    total = 1 + weight.sum(0)
                    return np.stack(((weight * mean).sum(0) / total, total**-0.5))
                """,
                """
                def product(mean, std):
                    precision = std.pow(-2)
                    total = precision.sum(dim=0, keepdim=True) + 1
                    return torch.cat([(precision * mean).sum(dim=0, keepdim=True) / total, total.rsqrt()], dim=0)
                """,
                """
                def product(mean, std):
                    m, v = np.zeros(mean.shape[1]), np.ones(mean.shape[1])
                    for factor_mean, factor_std in zip(mean, std):
                        gain = v / (v + factor_std**2)  # one factor after the other, as a Kalman filter does
                        m, v = m + gain * (factor_mean - m), (1 - gain) * v
                    return m, np.sqrt(v)
                """,
                """
                def product(mean, std):
                    rows, columns = mean.shape
                    out = [[], []]
                    for z in range(columns):
                        total = 1 + sum(1 / float(std[n][z]) ** 2 for n in range(rows))
                        weighted = sum(float(mean[n][z]) / float(std[n][z]) ** 2 for n in range(rows))
                        out[0].append(weighted / total)
                        out[1].append(1 / math.sqrt(total))
                    return out
                """,
                """
                def product(mean, std):
                    mean = np.vstack([np.zeros(mean.shape[1]), mean])  # the prior is a factor
                    std = np.vstack([np.ones(mean.shape[1]), std])
                    variance = 1 / np.einsum("nz->z", 1 / std**2)
                    return np.stack([variance * np.einsum("nz,nz->z", mean, std**-2.0), variance**0.5])
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def product(mean, std):
                        weight = std**-2
                        total = weight.sum(0)
                        return np.stack(((weight * mean).sum(0) / total, total**-0.5))
                    """,
                    "prior N(0, 1) is missing",
                ),
                Wrong(
                    """
                    def product(mean, std):
                        total = 1 + (std**-2).sum(0)
                        return np.stack((mean.sum(0) / (len(mean) + 1), total**-0.5))
                    """,
                    "average the means",
                ),
                Wrong(
                    """
                    def product(mean, std):
                        total = 1 + (std**-2).sum(0)
                        return np.stack((mean.mean(0), total**-0.5))
                    """,
                    "average the means",
                ),
                Wrong(
                    """
                    def product(mean, std):
                        weight = std**-2
                        total = 1 + weight.sum(0)
                        return np.stack(((weight * mean).sum(0) / weight.sum(0), total**-0.5))
                    """,
                    "factors alone",
                ),
                Wrong(
                    """
                    def product(mean, std):
                        weight = std**-2
                        total = 1 + weight.sum(0)
                        return np.stack(((weight * mean).sum(0), total**-0.5))
                    """,
                    "whole precision",
                ),
                Wrong(
                    """
                    def product(mean, std):
                        weight = std**-2
                        total = 1 + weight.sum(0)
                        return np.stack(((weight * mean).sum(0) / total, total))
                    """,
                    "That is the precision",
                ),
                Wrong(
                    """
                    def product(mean, std):
                        weight = std**-2
                        total = 1 + weight.sum(0)
                        return np.stack(((weight * mean).sum(0) / total, 1 / total))
                    """,
                    "take its root",
                ),
                Wrong(
                    """
                    def product(mean, std):
                        weight = std**-2
                        total = 1 + weight.sum(0)
                        return np.stack(((weight * mean).sum(0) / total, total**0.5))
                    """,
                    "root of the precision",
                ),
                Wrong(
                    """
                    def product(mean, std):
                        weight = 1 / std
                        total = 1 + weight.sum(0)
                        return np.stack(((weight * mean).sum(0) / total, total**-0.5))
                    """,
                    "weigh 1 / std",
                ),
                Wrong(
                    """
                    def product(mean, std):
                        weight = std**-2
                        total = 1 + weight.sum(0)
                        return np.stack(((weight * mean).sum(0) / total, std.mean(0)))
                    """,
                    "average the standard deviations",
                ),
                Wrong(
                    "product = lambda mean, std: np.stack((mean.sum(0), np.sqrt(1 + (std**2).sum(0))))",
                    "sum of the random variables",
                ),
                Wrong(
                    """
                    def product(mean, std):
                        weight = std**-2
                        total = 1 + weight.sum(0)
                        return np.stack((total**-0.5, (weight * mean).sum(0) / total))
                    """,
                    "rows are swapped",
                ),
                Wrong(
                    """
                    def product(mean, std):
                        weight = std**-2
                        total = 1 + weight.sum(1)
                        return np.stack(((weight * mean).sum(1) / total, total**-0.5))
                    """,
                    "shape",
                ),
            ),
            looks_right=(
                # three factors
                """
                def product(mean, std):
                    weight = std[:3] ** -2
                    total = 1 + weight.sum(0)
                    return np.stack(((weight * mean[:3]).sum(0) / total, total**-0.5))
                """,
                # the prior once for every factor
                """
                def product(mean, std):
                    weight = 1 + std**-2
                    total = weight.sum(0)
                    return np.stack((((weight - 1) * mean).sum(0) / total, total**-0.5))
                """,
                # the first dimension, for all
                """
                def product(mean, std):
                    weight = std[:, :1] ** -2
                    total = 1 + weight.sum(0)
                    found = np.stack(((weight * mean[:, :1]).sum(0) / total, total**-0.5))
                    return np.repeat(found, mean.shape[1], axis=1)
                """,
                # the surest factor alone
                """
                def product(mean, std):
                    best = std.argmin(0)[None]
                    return np.concatenate((np.take_along_axis(mean, best, 0), np.take_along_axis(std, best, 0)))
                """,
            ),
        ),
        "09.3": Answers(
            right=(
                """
                def chain_kl(mean, log_var):
                    before = lambda x: np.concatenate((np.zeros_like(x[:1]), x[:-1]))
                    ratio = log_var - before(log_var)
                    moved = (mean - before(mean)) ** 2 * np.exp(-before(log_var))
                    return 0.5 * (np.exp(ratio) + moved - 1 - ratio).sum(1)
                """,
                """
                def chain_kl(mean, log_var):
                    std = (log_var / 2).exp()
                    pad = torch.nn.functional.pad
                    old = torch.distributions.Normal(
                        pad(mean[:-1], (0, 0, 1, 0)), pad(std[:-1], (0, 0, 1, 0), value=1.0)
                    )
                    new = torch.distributions.Normal(mean, std)
                    return torch.distributions.kl_divergence(new, old).sum(dim=-1)
                """,
                """
                def chain_kl(mean, log_var):
                    found = []
                    for t in range(len(mean)):
                        total = 0.0
                        for i in range(len(mean[0])):
                            m, v = float(mean[t][i]), math.exp(log_var[t][i])
                            old_m, old_v = (float(mean[t - 1][i]), math.exp(log_var[t - 1][i])) if t else (0.0, 1.0)
                            total += (v / old_v + (m - old_m) ** 2 / old_v - 1 - math.log(v / old_v)) / 2
                        found.append(total)
                    return found
                """,
                """
                def chain_kl(mean, log_var):
                    old_mean, old = np.roll(mean, 1, axis=0), np.roll(log_var, 1, axis=0)
                    old_mean[0], old[0] = 0, 0
                    parts = np.stack([np.exp(log_var - old), (mean - old_mean) ** 2 / np.exp(old), old - log_var])
                    return np.einsum("klm->l", parts) / 2 - mean.shape[1] / 2
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def chain_kl(mean, log_var):
                        return 0.5 * (np.exp(log_var) + mean**2 - 1 - log_var).sum(1)
                    """,
                    "first prior",
                ),
                Wrong(
                    """
                    def chain_kl(mean, log_var):
                        before = lambda x: np.concatenate((np.zeros_like(x[:1]), x[:-1]))
                        ratio = before(log_var) - log_var
                        moved = (mean - before(mean)) ** 2 * np.exp(-log_var)
                        return 0.5 * (np.exp(ratio) + moved - 1 - ratio).sum(1)
                    """,
                    "Wrong way round",
                ),
                Wrong(
                    """
                    def chain_kl(mean, log_std):
                        before = lambda x: np.concatenate((np.zeros_like(x[:1]), x[:-1]))
                        ratio = 2 * (log_std - before(log_std))
                        moved = (mean - before(mean)) ** 2 * np.exp(-2 * before(log_std))
                        return 0.5 * (np.exp(ratio) + moved - 1 - ratio).sum(1)
                    """,
                    "log of the standard deviation",
                ),
                Wrong(
                    """
                    def chain_kl(mean, log_var):
                        before = lambda x: np.concatenate((np.zeros_like(x[:1]), x[:-1]))
                        ratio = log_var - before(log_var)
                        moved = (mean - before(mean)) ** 2 * np.exp(-before(log_var))
                        return 0.5 * (np.exp(ratio) + moved - 1 - ratio).mean(1)
                    """,
                    "Dimensions are averaged",
                ),
                Wrong(
                    """
                    def chain_kl(mean, log_var):
                        before = lambda x: np.concatenate((np.zeros_like(x[:1]), x[:-1]))
                        ratio = log_var - before(log_var)
                        moved = (mean - before(mean)) ** 2 * np.exp(-before(log_var))
                        return (np.exp(ratio) + moved - 1 - ratio).sum(1)
                    """,
                    "half is missing",
                ),
                Wrong(
                    """
                    def chain_kl(mean, log_var):
                        ratio = log_var - np.concatenate((np.zeros_like(log_var[:1]), log_var[:-1]))
                        return 0.5 * (np.exp(ratio) - 1 - ratio).sum(1)
                    """,
                    "means are left out",
                ),
                Wrong(
                    """
                    def chain_kl(mean, log_var):
                        before = lambda x: np.concatenate((np.zeros_like(x[:1]), x[:-1]))
                        ratio = log_var - before(log_var)
                        moved = (mean - before(mean)) ** 2 * np.exp(-log_var)
                        return 0.5 * (np.exp(ratio) + moved - 1 - ratio).sum(1)
                    """,
                    "new variance",
                ),
                Wrong(
                    """
                    def chain_kl(mean, log_var):
                        before = lambda x: np.concatenate((x[:1], x[:-1]))
                        ratio = log_var - before(log_var)
                        moved = (mean - before(mean)) ** 2 * np.exp(-before(log_var))
                        return 0.5 * (np.exp(ratio) + moved - 1 - ratio).sum(1)
                    """,
                    "first step is free",
                ),
                Wrong(
                    """
                    def chain_kl(mean, log_var):
                        before = lambda x: np.concatenate((np.zeros_like(x[:1]), x[:-1]))
                        ratio = log_var - before(log_var)
                        moved = (mean - before(mean)) ** 2 * np.exp(-before(log_var))
                        return 0.5 * (np.exp(ratio) + moved - 1 - ratio).sum(1).cumsum()
                    """,
                    "sum over all steps so far",
                ),
            ),
            looks_right=(
                # two dimensions
                """
                def chain_kl(mean, log_var):
                    mean, log_var = mean[:, :2], log_var[:, :2]
                    before = lambda x: np.concatenate((np.zeros_like(x[:1]), x[:-1]))
                    ratio = log_var - before(log_var)
                    moved = (mean - before(mean)) ** 2 * np.exp(-before(log_var))
                    return 0.5 * (np.exp(ratio) + moved - 1 - ratio).sum(1)
                """,
                # no first step
                """
                def chain_kl(mean, log_var):
                    ratio = log_var[1:] - log_var[:-1]
                    moved = (mean[1:] - mean[:-1]) ** 2 * np.exp(-log_var[:-1])
                    return 0.5 * (np.exp(ratio) + moved - 1 - ratio).sum(1)
                """,
                # the last posterior stands before the first
                """
                def chain_kl(mean, log_var):
                    before = lambda x: np.roll(x, 1, axis=0)
                    ratio = log_var - before(log_var)
                    moved = (mean - before(mean)) ** 2 * np.exp(-before(log_var))
                    return 0.5 * (np.exp(ratio) + moved - 1 - ratio).sum(1)
                """,
                # the distance of the means in no units
                """
                def chain_kl(mean, log_var):
                    before = lambda x: np.concatenate((np.zeros_like(x[:1]), x[:-1]))
                    ratio = log_var - before(log_var)
                    return 0.5 * (np.exp(ratio) + (mean - before(mean)) ** 2 - 1 - ratio).sum(1)
                """,
            ),
        ),
        "09.4": Answers(
            right=(
                """
                def context(task, trial, episode, now):
                    return (task == now[0]) & (trial == now[1]) & (episode < now[2])
                """,
                """
                def context(task, trial, episode, now):
                    t, n, e = now
                    return [a == t and b == n and c < e for a, b, c in zip(task, trial, episode)]
                """,
                """
                def context(task, trial, episode, now):
                    here = torch.stack((task, trial), dim=1).eq(torch.tensor(now[:2])).all(dim=1)
                    return here.logical_and(episode.lt(now[2]))
                """,
                """
                def context(task, trial, episode, now):
                    lived = np.zeros(len(task), dtype=bool)
                    lived[np.where((task == now[0]) * (trial == now[1]) * (now[2] > episode))] = True
                    return lived
                """,
            ),
            wrong=(
                Wrong(
                    "context = lambda task, trial, episode, now: (task == now[0]) & (episode < now[2])",
                    "one trial only",
                ),
                Wrong("context = lambda task, trial, episode, now: task == now[0]", "replay buffer"),
                Wrong(
                    "context = lambda task, trial, episode, now: (trial == now[1]) & (episode < now[2])",
                    "other tasks",
                ),
                Wrong(
                    "context = lambda task, trial, episode, now: (task == now[0]) & (trial == now[1])",
                    "not happened yet",
                ),
                Wrong(
                    "context = lambda task, trial, episode, now: "
                    "(task == now[0]) & (trial == now[1]) & (episode <= now[2])",
                    "about to begin",
                ),
                Wrong(
                    "context = lambda task, trial, episode, now: "
                    "(task == now[0]) & (trial == now[1]) & (episode == now[2] - 1)",
                    "last episode only",
                ),
                Wrong(
                    "context = lambda task, trial, episode, now: "
                    "(task != now[0]) | (trial != now[1]) | (episode >= now[2])",
                    "other way round",
                ),
                Wrong(
                    "context = lambda task, trial, episode, now: "
                    "np.where((task == now[0]) & (trial == now[1]) & (episode < now[2]))",
                    "numbers of the rows",
                ),
                Wrong("context = lambda task, trial, episode, now: episode > 99", "Nothing is left"),
            ),
            looks_right=(
                "context = lambda task, trial, episode, now: (task == 1) & (trial == 4) & (episode < 2)",
                "context = lambda task, trial, episode, now: (task == 1) & (trial == now[1]) & (episode < now[2])",
                "context = lambda task, trial, episode, now: (task == now[0]) & (trial == now[1]) & (episode < 2)",
                "context = lambda task, trial, episode, now: np.arange(len(task)) < 2",
                "context = lambda task, trial, episode, now: "
                "(task == now[0]) & (trial == now[1]) & (episode != now[2]) & (np.arange(len(task)) < 8)",
            ),
        ),
        "09.5": Answers(
            right=(
                """
                def trial_elbo(mean, log_var, noise, decode, paid):
                    logit = decode(mean + np.exp(log_var / 2) * noise)
                    log_p = np.where(paid, -np.log1p(np.exp(-logit)), -np.log1p(np.exp(logit)))
                    before = lambda x: np.vstack([0 * x[:1], x[:-1]])
                    ratio = log_var - before(log_var)
                    moved = (mean - before(mean)) ** 2 / np.exp(before(log_var))
                    kl = 0.5 * (np.exp(ratio) + moved - 1 - ratio).sum(1)
                    return log_p.sum(1).mean() - kl.mean()
                """,
                """
                def trial_elbo(mean, log_var, noise, decode, paid):
                    std = log_var.mul(0.5).exp()
                    logit = decode(mean + std * noise)
                    target = paid.to(logit.dtype).expand_as(logit)
                    loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, target, reduction="none")
                    pad = torch.nn.functional.pad
                    old = torch.distributions.Normal(
                        pad(mean[:-1], (0, 0, 1, 0)), pad(std[:-1], (0, 0, 1, 0), value=1.0)
                    )
                    kl = torch.distributions.kl_divergence(torch.distributions.Normal(mean, std), old)
                    return -loss.sum(dim=1).mean() - kl.sum(dim=1).mean()
                """,
                """
                def trial_elbo(mean, log_var, noise, decode, paid):
                    logit = decode(mean + np.sqrt(np.exp(log_var)) * noise)
                    total, steps = 0.0, len(mean)
                    old_m, old_v = np.zeros(mean.shape[1]), np.ones(mean.shape[1])
                    for t in range(steps):
                        for l in range(steps):
                            p = 1 / (1 + math.exp(-logit[t][l]))
                            total += math.log(p if paid[l] else 1 - p)
                        m, v = mean[t], np.exp(log_var[t])
                        total -= ((v + (m - old_m) ** 2) / old_v - 1 - np.log(v / old_v)).sum() / 2
                        old_m, old_v = m, v
                    return total / steps
                """,
                """
                def trial_elbo(mean, log_var, noise, decode, paid):
                    m = torch.addcmul(mean, torch.exp(log_var / 2), noise)
                    sign = 2 * paid.to(mean.dtype) - 1
                    log_p = torch.nn.functional.logsigmoid(sign * decode(m))
                    old_mean, old = (torch.cat((torch.zeros_like(x[:1]), x[:-1])) for x in (mean, log_var))
                    terms = (log_var - old).exp() + (mean - old_mean) ** 2 * (-old).exp() - 1 - log_var + old
                    return torch.einsum("tl->", log_p) / len(m) - terms.sum() / 2 / len(m)
                """,
            ),
            wrong=(
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(mean + np.exp(log_var / 2) * noise)
                        log_p = paid * logit - np.log1p(np.exp(logit))
                        old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                        kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                        return (kl - log_p.sum(1)).mean()
                    """,
                    "That is the loss",
                ),
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(mean + np.exp(log_var / 2) * noise)
                        log_p = paid * logit - np.log1p(np.exp(logit))
                        return log_p.sum(1).mean()
                    """,
                    "KL is missing",
                ),
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(mean + np.exp(log_var / 2) * noise)
                        log_p = paid * logit - np.log1p(np.exp(logit))
                        old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                        kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                        return (log_p.sum(1) + kl).mean()
                    """,
                    "KL is added",
                ),
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(mean + np.exp(log_var / 2) * noise)
                        log_p = paid * logit - np.log1p(np.exp(logit))
                        kl = (np.exp(log_var) + mean**2 - 1 - log_var).sum(1) / 2
                        return (log_p.sum(1) - kl).mean()
                    """,
                    "KL is to N(0, I)",
                ),
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(mean + np.exp(log_var / 2) * noise)
                        log_p = paid * logit - np.log1p(np.exp(logit))
                        old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                        kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                        return (np.tril(log_p).sum(1) - kl).mean()
                    """,
                    "already read only",
                ),
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(mean + np.exp(log_var / 2) * noise)
                        log_p = paid * logit - np.log1p(np.exp(logit))
                        old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                        kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                        return (np.tril(log_p, -1).sum(1) - kl).mean()
                    """,
                    "before t only",
                ),
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(mean + np.exp(log_var / 2) * noise)
                        log_p = paid * logit - np.log1p(np.exp(logit))
                        old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                        kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                        return (np.triu(log_p, 1).sum(1) - kl).mean()
                    """,
                    "after t only",
                ),
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(mean + np.exp(log_var / 2) * noise)
                        log_p = paid * logit - np.log1p(np.exp(logit))
                        old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                        kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                        return (np.diag(log_p) - kl).mean()
                    """,
                    "own step only",
                ),
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(mean + np.exp(log_var / 2) * noise)
                        log_p = paid * logit - np.log1p(np.exp(logit))
                        old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                        kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                        return log_p.mean() - kl.mean()
                    """,
                    "average the log-probability",
                ),
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(mean + np.exp(log_var / 2) * noise)
                        log_p = paid * logit - np.log1p(np.exp(logit))
                        old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                        kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                        return (log_p.sum(1) - kl).sum()
                    """,
                    "sum over t",
                ),
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(mean)
                        log_p = paid * logit - np.log1p(np.exp(logit))
                        old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                        kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                        return (log_p.sum(1) - kl).mean()
                    """,
                    "noise is not used",
                ),
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(mean + np.exp(log_var) * noise)
                        log_p = paid * logit - np.log1p(np.exp(logit))
                        old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                        kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                        return (log_p.sum(1) - kl).mean()
                    """,
                    "exp(log_var) is the variance",
                ),
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(noise)
                        log_p = paid * logit - np.log1p(np.exp(logit))
                        old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                        kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                        return (log_p.sum(1) - kl).mean()
                    """,
                    "noise alone",
                ),
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(mean + np.exp(log_var / 2) * noise)
                        log_p = paid * (logit - np.log1p(np.exp(logit)))
                        old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                        kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                        return (log_p.sum(1) - kl).mean()
                    """,
                    "does not pay has a probability",
                ),
                Wrong(
                    """
                    def trial_elbo(mean, log_var, noise, decode, paid):
                        logit = decode(mean + np.exp(log_var / 2) * noise)
                        log_p = np.where(paid, 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(logit)))
                        old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                        kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                        return (log_p.sum(1) - kl).mean()
                    """,
                    "not their logarithms",
                ),
            ),
            looks_right=(
                # three steps
                """
                def trial_elbo(mean, log_var, noise, decode, paid):
                    logit = decode(mean + np.exp(log_var / 2) * noise)
                    log_p = paid * logit - np.log1p(np.exp(logit))
                    old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                    kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                    return (log_p.sum(1) - kl)[:3].mean()
                """,
                # the first draw, for every t
                """
                def trial_elbo(mean, log_var, noise, decode, paid):
                    logit = decode(mean[:1] + np.exp(log_var[:1] / 2) * noise[:1])
                    log_p = paid * logit - np.log1p(np.exp(logit))
                    old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                    kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                    return (log_p.sum(1) - kl).mean()
                """,
                # the first step is free
                """
                def trial_elbo(mean, log_var, noise, decode, paid):
                    logit = decode(mean + np.exp(log_var / 2) * noise)
                    log_p = paid * logit - np.log1p(np.exp(logit))
                    old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                    kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                    return log_p.sum(1).mean() - kl[1:].sum() / len(kl)
                """,
                # only the last posterior has to explain the trial
                """
                def trial_elbo(mean, log_var, noise, decode, paid):
                    logit = decode(mean + np.exp(log_var / 2) * noise)
                    log_p = paid * logit - np.log1p(np.exp(logit))
                    old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                    kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                    return log_p[-1].sum() - kl.mean()
                """,
                # the KL weighed by a tenth
                """
                def trial_elbo(mean, log_var, noise, decode, paid):
                    logit = decode(mean + np.exp(log_var / 2) * noise)
                    log_p = paid * logit - np.log1p(np.exp(logit))
                    old_mean, old = (np.vstack([0 * x[:1], x[:-1]]) for x in (mean, log_var))
                    kl = ((np.exp(log_var) + (mean - old_mean) ** 2) / np.exp(old) - 1 - log_var + old).sum(1) / 2
                    return (log_p.sum(1) - 0.1 * kl).mean()
                """,
            ),
        ),
    },
)


# --- the page's own code ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page():
    return of_page(
        "09",
        *("bayes", "product_of_factors", "gaussian_kl", "one_before", "elbo"),
        *("CELLS", "LATENT", "UNITS", "STEPS", "TinyBelief"),
    )


@pytest.fixture(scope="module")
def grid():
    return ml.make_family("gridworld")


@pytest.fixture(scope="module")
def varibad():
    return ml.load(ROOT / "data/checkpoints/varibad-gridworld")[0]


def test_the_pages_bayes_rule_is_the_packages(page, grid):
    task = GridTasks(torch.tensor([16]))
    acted = experiments.play(ml.make_reference("bayes_optimal", grid), grid, task, (1, 2), episodes=2)
    exact = experiments.goal_posteriors(grid.prior, acted)[0, 0]
    belief = grid.prior
    steps = zip(experiments.places(acted)[0, 0, :, 1:].argmax(-1).flatten(), acted.reward[0, 0].flatten(), strict=True)
    for t, (cell, reward) in enumerate(steps):
        belief = page.bayes(belief, cell, reward > 0)
        torch.testing.assert_close(belief, exact[t + 1])
    assert (acted.reward > 0).any(), "the goal was met"


def test_the_pages_product_of_gaussians_is_the_packages_encoder(page):
    pearl, arc, _ = ml.load(ROOT / "data/checkpoints/pearl-semicircle_navigation")
    c = experiments.pearl_walks(pearl, arc, tasks=1, episodes=2).context
    with torch.no_grad():
        mean, std = page.product_of_factors(pearl.encoder, c)
        package = pearl.encoder(c, torch.ones(len(c), dtype=torch.bool))
    torch.testing.assert_close(mean, package.mean, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(std, package.log_std.exp(), atol=1e-3, rtol=1e-3)


def test_the_pages_elbo_is_the_packages(page, grid, varibad):
    tasks = grid.sample_tasks(10, "test", seeded_generator("cpu", 1, 1))
    rows = trial_rows(grid.spec, experiments.play(varibad, grid, tasks, (1, 2), episodes=4))
    with torch.no_grad():
        mean, log_var = varibad.model.encoder(rows["x"].movedim(1, 0))  # (L, B, M)
        package = varibad.model.elbo(rows, 0, seeded_generator("cpu", 2, 1))
        # the draws that the package made: a random order of prefixes, then noise
        same = seeded_generator("cpu", 2, 1)
        order = torch.randperm(60, generator=same)
        noise = torch.randn(mean.shape, generator=same)[order.argsort()]
        by_trial = (x.movedim(0, 1) for x in (mean, log_var, noise))
        likelihood, kl = page.elbo(*by_trial, varibad.model.rewards, rows)
    assert -likelihood.item() == pytest.approx(package.reward_error.item(), abs=5e-3)
    assert kl.item() == pytest.approx(package.posterior_kl.item(), abs=5e-3)


def test_the_variants_of_the_pages_elbo_read_the_past_only_and_pay_to_the_first_prior(page):
    mean, log_var = torch.randn(2, 1, 4, 3, generator=torch.Generator().manual_seed(0)).unbind(0)
    rows = {"following": None, "reward": torch.tensor([[-0.1, 1.0, -0.1, 1.0]])}
    logit = torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(1))
    log_p = torch.distributions.Bernoulli(logits=logit).log_prob((rows["reward"] > 0).float().unsqueeze(1))
    new = torch.distributions.Normal(mean, (log_var / 2).exp())

    def elbo(**variant):
        return page.elbo(mean, log_var, torch.zeros_like(mean), lambda m, following: logit, rows, **variant)

    past = sum(log_p[0, t, step] for t in range(4) for step in range(t)) / 4
    torch.testing.assert_close(elbo(past_only=True)[0], past)
    torch.testing.assert_close(elbo()[0], log_p.sum() / 4)
    to_first = torch.distributions.kl_divergence(new, torch.distributions.Normal(0.0, 1.0)).sum(-1).mean()
    torch.testing.assert_close(elbo(to_first=True)[1], to_first)
    old = torch.distributions.Normal(page.one_before(mean), (page.one_before(log_var) / 2).exp())
    torch.testing.assert_close(elbo()[1], torch.distributions.kl_divergence(new, old).sum(-1).mean())


def test_the_small_model_multiplies_the_factors_of_the_steps_already_done(page):
    torch.manual_seed(0)
    model = page.TinyBelief()
    rows = {
        "following": torch.nn.functional.one_hot(torch.tensor([[0, 4, 8, 4]]), 9).float(),
        "reward": torch.tensor([[-0.1, 1.0, -0.1, -0.1]]),
    }
    with torch.no_grad():
        mean, log_var = model(rows)
        torch.testing.assert_close(mean[0, 0], torch.zeros(4))  # nothing read: the prior
        torch.testing.assert_close(log_var[0, 0], torch.zeros(4))
        steps = torch.cat((rows["following"], rows["reward"].unsqueeze(-1)), -1)[0]
        for t in range(5):
            product_mean, std = page.product_of_factors(SimpleNamespace(net=model.factor), steps[:t])
            torch.testing.assert_close(mean[0, t], product_mean)
            torch.testing.assert_close((log_var[0, t] / 2).exp(), std)
        # a step's logit is that of the cell that it led to
        logit = model.decode(mean, rows["following"])
        torch.testing.assert_close(logit[0, 3, 2], model.cells(mean[0, 3])[8])


def test_a_trial_changes_the_memory_of_varibad_and_none_of_its_weights(grid, varibad):
    weights = {name: value.clone() for name, value in varibad.state_dict().items()}
    task = GridTasks(torch.tensor([16]))
    before = begin(varibad, grid, task)
    _, after = collect(varibad, grid, task, before, seeded_generator("cpu", 3, 1), 4)
    assert not torch.equal(before.memory.mean, after.memory.mean)
    assert all(torch.equal(value, weights[name]) for name, value in varibad.state_dict().items())


# --- what the pages need and do not show ------------------------------------------------------------------------------


def test_exact_returns_are_those_of_the_solvers_and_a_trial_is_their_sum():
    table = experiments.exact_returns(sizes=(3,))
    assert table.loc["3 x 3", "Bayes-optimal"].round(2).tolist() == [5.7, 7.02, 7.02, 7.02, 26.76]
    sampled = table.loc["3 x 3", "posterior sampling"]
    assert sampled.round(2).tolist()[:4] == [1.34, 3.42, 5.25, 6.56]
    assert sampled["trial"] == pytest.approx(sampled[:4].sum())
    assert table.loc[("3 x 3", "goal known"), "trial"] == pytest.approx(4 * 7.02)


def test_posterior_sampling_that_walks_on_over_the_goal_earns_about_eight_points_a_trial(grid):
    """By the definition an agent walks to the cell that it drew, whatever it meets; the package's stays at the goal."""
    rng = np.random.default_rng(0)
    goals, successor = np.array(grid.goals("test")), grid.successor.numpy()
    steps_to = gridworld.distances(successor)
    trials = 1000
    earned = np.zeros(trials)
    for n in range(trials):
        goal, possible = rng.choice(goals), set(goals.tolist())
        for _ in range(grid.episodes):
            drawn, cell = rng.choice(sorted(possible)), 0
            for _ in range(grid.horizon):
                left = steps_to[successor[cell], drawn]
                cell = successor[cell, rng.choice(np.flatnonzero(left == left.min()))]
                earned[n] += 1.0 if cell == goal else -0.1
                possible = {goal} if cell == goal else possible - {cell}
    mean, error = earned.mean(), earned.std(ddof=1) / trials**0.5
    assert abs(mean - 8) < 4 * error < 3
    assert mean < 11.74 - 3 * error


def test_what_context_is_worth_falls_when_it_must_be_earned_and_again_when_it_is_forgotten(grid):
    assert [round(value, 2) for value in experiments.worth_of_context(grid).values()] == [44.29, 37.21, 16.0]


def test_ways_and_walks_begin_at_the_start_and_have_every_episode(grid):
    agents = {name: ml.make_reference(name, grid) for name in ("bayes_optimal", "psrl")}
    found = experiments.ways_to(16, agents, grid)
    assert list(found) == list(agents)
    for cells in found.values():
        assert cells.shape == (4, 16) and (cells[:, 0] == 0).all()
    assert (found["bayes_optimal"][1:, -1] == 16).all(), "once met, the goal is gone to"


def test_the_shares_of_paid_walks_are_counted_within_each_task():
    class Arc:
        def sample_tasks(self, n, split, generator):
            return None

    reward = torch.zeros(4, 1, 3, 2)
    reward[0, 0, :, 1] = 1.0  # paid in every episode
    reward[1, 0, 1:, 0] = 1.0  # from the second on
    reward[2, 0, 1, 0] = 1.0  # in the second only
    acted = SimpleNamespace(reward=reward, returns=reward.sum(-1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "play", lambda *args: acted)
        table = experiments.paid_again(None, Arc(), tasks=4, episodes=3)
    assert table["paid"].tolist() == [0.25, 0.75, 0.5]
    assert table["return"].tolist() == [0.25, 0.75, 0.5]
    np.testing.assert_allclose(table["after a paid walk"], [np.nan, 1, 2 / 3])
    np.testing.assert_allclose(table["after none"], [0.25, 2 / 3, 0])


def test_an_exact_curve_has_no_interval():
    series = experiments.exact_returns(sizes=(3,)).loc["3 x 3", "goal known"].drop("trial")
    curve = experiments.exact_curve(series)
    np.testing.assert_allclose(curve.low, curve.high)
    np.testing.assert_allclose(curve.mean, [7.02] * 4)


# --- figures and the widget -------------------------------------------------------------------------------------------


def test_a_belief_is_drawn_row_by_row_with_agent_and_goal_in_their_cells():
    exact, decoded = np.full(9, 1 / 9), np.eye(9)[5]
    figure = belief_pair(exact, decoded, np.array([0, 1, 4]), 5, np.linspace(0, 1, 60), 20, "a line")
    left, middle, right = figure.axes
    np.testing.assert_allclose(np.square(middle.images[0].get_array()), decoded.reshape(3, 3))
    assert [text.get_text() for text in middle.texts] == ["100"] and len(left.texts) == 9
    path, agent, goal = (line.get_xydata() for line in left.lines[:3])
    np.testing.assert_array_equal(path, [[0, 0], [1, 0], [1, 1]])  # (column, row)
    np.testing.assert_array_equal((agent[0], goal[0]), ([1, 1], [2, 1]))
    assert len(right.lines[0].get_xdata()) == 21  # moments to come are blank


def test_ways_has_a_row_an_agent_and_a_column_an_episode():
    paths = {"psrl": np.array([[0, 1, 2], [0, 3, 6]]), "bayes_optimal": np.array([[0, 0, 0], [0, 1, 4]])}
    axes = ways(paths, 8, 3).axes
    assert len(axes) == 4 and [ax.get_ylabel() for ax in axes] == ["posterior sampling", "", "Bayes-optimal", ""]
    for ax, way in zip(axes, [row for cells in paths.values() for row in cells], strict=True):
        drawn = ax.lines[0].get_xydata()
        np.testing.assert_allclose(drawn, np.stack((way % 3, way // 3), 1), atol=0.2)


def test_walks_end_where_they_end():
    position = np.random.default_rng(0).normal(size=(2, 3, 5, 2))
    axes = walks_on_arc(position, np.array([[1.0, 0.0], [0.0, 1.0]]), 0.2).axes
    assert len(axes) == 6
    np.testing.assert_allclose(axes[4].lines[1].get_xydata(), position[1, 1])


def test_distances_draws_each_curve_from_step_zero_under_the_name_of_the_book():
    ax = distances({"a": [0.1, 0.2], "psrl": [0.3, 0.1], "the prior alone": [0.0, 0.5]}, "steps")
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [[0, 0.3], [1, 0.1]])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "posterior sampling", "the prior alone"]
    assert ax.get_xlabel() == "steps" and ax.get_ylabel() == "total variation"
    assert len({line.get_color() for line in ax.lines}) == 3


@pytest.fixture(scope="module")
def recorded():
    grid = ml.make_family("gridworld", size=3, horizon=5, episodes=3)
    options = {"hidden": 8, "latent": 3, "units": 8, "reward_model": "binary", "reward_reads": "next"}
    torch.manual_seed(0)
    varibad = ml.make_learner("varibad", grid, **options, transition_weight=0.0)
    return {
        name: experiments.record(ml.make_reference(name, grid), varibad.model, grid)
        for name in ("bayes_optimal", "psrl")
    }


def test_every_goal_has_a_trial_and_beliefs_are_distributions(recorded):
    for trials in recorded.values():
        assert trials.goal.tolist() == [2, 5, 6, 7, 8]
        assert trials.exact.shape == trials.decoded.shape == (5, 15, 9)
        for belief in (trials.exact, trials.decoded):
            np.testing.assert_allclose(belief.sum(-1), 1, atol=1e-5)


def test_the_exact_belief_knows_the_steps_before_the_moment_and_no_later_one(recorded):
    for trials in recorded.values():
        np.testing.assert_allclose(trials.exact[:, 0], np.tile(trials.exact[0, 0], (5, 1)))  # the prior
        for exact, reward, goal in zip(trials.exact, trials.reward, trials.goal, strict=True):
            if not (reward[:-1] > 0).any():
                continue
            met = int(np.argmax(reward > 0))  # the step that first pays
            assert exact[met].max() < 1 or np.count_nonzero(exact[met]) == 1
            assert exact[met + 1, goal] == 1


def test_every_episode_begins_at_the_start(recorded):
    for trials in recorded.values():
        assert (trials.cell[:, ::5] == 0).all()


def test_the_table_has_a_row_a_goal_with_its_place_its_distances_and_its_last_episode(recorded):
    trials = recorded["psrl"]
    table = experiments.by_goal(trials, 3, np.arange(5.0))
    assert list(table.index[:2]) == ["row 1, column 3", "row 2, column 3"]
    np.testing.assert_allclose(table["at_last"], trials.distance[:, -1])
    np.testing.assert_allclose(table["mean"], trials.distance.mean(1))
    np.testing.assert_allclose(table["last_return"], trials.reward[:, 10:].sum(1))
    assert table["goal_known"].tolist() == [0, 1, 2, 3, 4]


def test_the_caption_counts_what_is_done(recorded):
    trials = recorded["bayes_optimal"]
    assert caption(trials, 0, 0) == "episode 1, 0 of 5 steps done; goal not met yet; 0.0 points so far"
    line = caption(trials, 0, 7)
    assert line.startswith("episode 2, 2 of 5 steps done") and f"{trials.reward[0, :7].sum():.1f} points" in line


def test_total_variation_is_the_mass_to_be_moved():
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
    assert total_variation(p, q) == pytest.approx(0.5)
    assert total_variation([1.0, 0.0], [0.0, 1.0]) == 1
    assert total_variation(p, p) == 0


def test_the_controls_step_through_the_trial(recorded):
    explorer = belief_stepper(recorded, 3)
    seen = {explorer.picture}
    explorer.controls["moment"].value = 12
    seen.add(explorer.picture)
    explorer.controls["agent"].value = "posterior sampling"
    seen.add(explorer.picture)
    explorer.controls["place"].value = "row 1, column 3"
    assert len(seen | {explorer.picture}) == 4
    assert explorer.controls["moment"].max == 14
    assert explorer._status.value == ""
