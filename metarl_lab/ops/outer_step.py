"""The outer step of gradient-based meta-learners: the objective after adaptation, its gradient, three ways to use it.

With no inner step it is ordinary policy optimisation of one policy on all tasks at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarl_lab.ops.baseline import Samples, first_episodes
from metarl_lab.ops.distributions import Distribution
from metarl_lab.ops.inner_step import Adaptation, Parameters, inner_steps, sampling_term
from metarl_lab.ops.meta_curvature import mean_kl, meta_curvature
from metarl_lab.ops.surrogates import clipped_ratio
from metarl_lab.ops.trust_region import flatten, line_search, trust_region_step, unflatten
from metarl_lab.types import map_tensors

OUTER = ("trpo", "ppo", "plain")
Parts = Sequence[list[Samples]]  # of some of the tasks each: the batches to adapt on, and the one acted after

_SHRINK, _TRIES = 0.8, 15  # line search, as in rllab's ConjugateGradientOptimizer


class Outcome(NamedTuple):
    """Of each task: the outer objective, the KL from the policy that acted last and the sum of those from the ones that
    acted before, (T,); parameters at every stage; the action distributions of every stage on its own batch."""

    objective: Tensor
    kl: Tensor
    inner_kl: Tensor
    stages: list[Parameters]
    acted: list[Any]


def outer_objective(
    how: Adaptation,
    meta: Parameters,
    batches: list[Samples],
    clip: float | None = None,
    differentiate: bool = True,
) -> Outcome:
    """(1/M_i) sum rho A over the M_i live steps of task i's *post-adaptation* batch, rho = pi_{theta_i'} / pi_acted.

    At the parameters that acted, rho = 1 and the derivative is the score-function gradient through the inner steps.

    Parameters
    ----------
    meta : dict of Tensor
        The meta-parameters, shared by all tasks.
    batches : list of Samples
        One batch per inner step to adapt on, then the one acted after. Other batches enter nowhere.
    clip : float, optional
        PPO's clip of the ratio, 1 -+ clip.
    differentiate : bool
        Whether derivatives with respect to ``meta`` are wanted.
    """
    post = batches[-1]
    stages = inner_steps(how, meta, batches[:-1], len(post.mask), differentiate and not how.first_order)
    if not differentiate:
        stages = [_detached(stage) for stage in stages]
    now = [how.policy(stage, samples.observation) for stage, samples in zip(stages, batches, strict=True)]
    acted = [_acted(policy, samples) for policy, samples in zip(now, batches, strict=True)]

    log_ratio = now[-1].log_prob(post.action) - acted[-1].log_prob(post.action)
    ratio = log_ratio.exp().view_as(post.mask)  # rho (T, N, H)
    if clip is None:
        gain = ratio * post.advantage
    else:
        gain = clipped_ratio(ratio, post.advantage, clip)
    objective = (gain * post.mask).sum((1, 2)) / post.live
    if how.sampling_term:
        per_step = post.score * post.scale * post.mask.shape[1] / post.live  # an episode's return, per live step
        objective = objective + sampling_term(how.policy, stages[:-1], batches[:-1], per_step)

    kls = [mean_kl(old, new, samples.mask) for old, new, samples in zip(acted, now, batches, strict=True)]
    inner_kl = sum(kls[:-1], torch.zeros_like(kls[-1]))
    return Outcome(objective, kls[-1], inner_kl, stages, acted)


def hold(how: Adaptation, meta: Parameters, batches: list[Samples]) -> list[Samples]:
    """The batches, each with the distributions at ``meta`` as those that acted."""
    return _replace_acted(batches, outer_objective(how, meta, batches, differentiate=False).acted)


def meta_gradient(
    how: Adaptation, meta: Parameters, parts: Parts, clip: float | None = None, kl_weight: float = 0.0
) -> tuple[Tensor, list[Outcome]]:
    """Gradient (P,) of the mean over tasks of the outer objective, less ``kl_weight`` times the KL of the policies
    before adaptation from those that acted; what each part of the tasks gave."""
    n_tasks = _count_tasks(parts)
    leaves = list(meta.values())
    gradient = torch.zeros_like(flatten(leaves))
    outcomes = []
    for part in parts:
        out = outer_objective(how, meta, part, clip)
        goal = out.objective - kl_weight * out.inner_kl if kl_weight else out.objective  # (T,) of this part
        gradient += flatten(torch.autograd.grad(goal.sum() / n_tasks, leaves, materialize_grads=True))
        outcomes.append(
            Outcome(
                objective=out.objective.detach(),
                kl=out.kl.detach(),
                inner_kl=out.inner_kl.detach(),
                stages=[_detached(stage) for stage in out.stages],
                acted=out.acted,
            )
        )
    return gradient, outcomes


def gradient_update(
    how: Adaptation,
    meta: Parameters,
    parts: Parts,
    optimizer: torch.optim.Optimizer,
    epochs: int = 1,
    clip: float | None = None,
    kl_weight: float = 0.0,
) -> dict[str, float]:
    """Ascend the outer objective ``epochs`` times on the same data, in place: plain for one epoch, PPO with a clip.

    What acted is taken to be the policies at ``meta`` where the batches do not say.
    """
    leaves = list(meta.values())
    first_objective = None
    for _ in range(epochs):
        gradient, outcomes = meta_gradient(how, meta, parts, clip, kl_weight)
        if first_objective is None:
            first_objective = _mean(out.objective for out in outcomes)
            parts = [_replace_acted(part, out.acted) for part, out in zip(parts, outcomes, strict=True)]
        for p, ascent in zip(leaves, unflatten(gradient, leaves), strict=True):
            p.grad = -ascent  # optimisers descend
        optimizer.step()
    after = [outer_objective(how, meta, part, clip, differentiate=False) for part in parts]
    assert first_objective is not None
    return {
        "loss": -first_objective.item(),
        "kl": _mean(out.kl for out in after).item(),
        "inner_kl": _mean(out.inner_kl for out in after).item(),
    }


def trust_region_update(
    how: Adaptation, meta: Parameters, parts: Parts, max_kl: float, iterations: int, damping: float, episodes: int
) -> dict[str, float]:
    """The longest natural-gradient step that raises the outer objective and keeps the mean KL of the adapted policies,
    on their own states, within ``max_kl`` nats (TRPO, Schulman et al. 2015; MAML's outer step), in place.

    The curvature reads the first ``episodes`` episodes of each batch; objective and KL of the line search read all.
    """
    leaves = list(meta.values())
    n_tasks = _count_tasks(parts)
    gradient, outcomes = meta_gradient(how, meta, parts)
    parts = [_replace_acted(part, out.acted) for part, out in zip(parts, outcomes, strict=True)]

    # the direction: F^-1 g by conjugate gradient, F the damped curvature of the KL, as long as that curvature allows
    curvatures = []
    for part, out in zip(parts, outcomes, strict=True):
        read = [first_episodes(samples, episodes) for samples in part]
        curvatures.append(meta_curvature(how, meta, out.stages, read))

    def curvature_product(vector: Tensor) -> Tensor:
        of_parts = [curvature(vector) for curvature in curvatures]
        return torch.stack(of_parts).sum(0) / n_tasks + damping * vector

    step = unflatten(trust_region_step(curvature_product, gradient, max_kl, iterations), leaves)

    # the length: shortened until the objective rises, and the KL itself is within the bound
    def evaluate(fraction: float) -> tuple[Tensor, Tensor]:
        moved = {}
        for (name, p), move in zip(meta.items(), step, strict=True):
            moved[name] = (p + fraction * move).detach().requires_grad_()
        tried = [outer_objective(how, moved, part, differentiate=False) for part in parts]
        return _mean(out.objective for out in tried), _mean(out.kl for out in tried)

    start = _mean(out.objective for out in outcomes)
    fraction, objective, kl = line_search(evaluate, start, max_kl, _SHRINK, _TRIES)
    with torch.no_grad():
        for p, move in zip(leaves, step, strict=True):
            p += fraction * move
    return {"loss": -start.item(), "gain": objective - start.item(), "kl": kl, "fraction": fraction}


def check_outer(name: str) -> None:
    """Raise ValueError for an outer step that does not exist."""
    if name not in OUTER:
        raise ValueError(f"outer={name!r} is not known; choose one of {', '.join(map(repr, OUTER))}")


def _count_tasks(parts: Parts) -> int:
    """T, over all parts."""
    return sum(len(part[-1].mask) for part in parts)


def _mean(parts: Iterable[Tensor]) -> Tensor:
    """Mean over tasks of numbers (T,) that lie in several parts."""
    return torch.cat(list(parts)).mean()


def _detached(parameters: Parameters) -> Parameters:
    """The same numbers, as constants."""
    return {name: p.detach() for name, p in parameters.items()}


def _acted(policy: Distribution, samples: Samples) -> Distribution:
    """The distributions that drew the samples, held; this policy's where the samples do not say."""
    return map_tensors(torch.Tensor.detach, policy) if samples.acted is None else samples.acted


def _replace_acted(batches: list[Samples], acted: Iterable[Any]) -> list[Samples]:
    """The batches, each with what drew its actions."""
    return [samples._replace(acted=drawn_from) for samples, drawn_from in zip(batches, acted, strict=True)]
