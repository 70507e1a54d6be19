"""The outer step of gradient-based meta-learners: the objective after adaptation, its gradient, three ways to use it.

With no inner step it is ordinary policy optimisation of one policy on all tasks at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarl_lab.ops.baseline import Samples, first_episodes
from metarl_lab.ops.inner_step import Adaptation, Parameters, inner_steps, sampling_term
from metarl_lab.ops.meta_curvature import mean_kl, meta_curvature
from metarl_lab.ops.surrogates import clipped_ratio
from metarl_lab.ops.trust_region import flatten, line_search, trust_region_step, unflatten

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
        stages = [{k: p.detach() for k, p in stage.items()} for stage in stages]
    new = [how.policy(stage, samples.observation) for stage, samples in zip(stages, batches, strict=True)]
    held = [_held(n) if s.acted is None else s.acted for n, s in zip(new, batches, strict=True)]
    ratio = (new[-1].log_prob(post.action) - held[-1].log_prob(post.action)).exp().view_as(post.mask)
    gain = ratio * post.advantage if clip is None else clipped_ratio(ratio, post.advantage, clip)
    objective = (gain * post.mask).sum((1, 2)) / post.live
    if how.sampling_term:
        per_step = post.score * post.scale * post.mask.shape[1] / post.live  # an episode's return, per live step
        objective = objective + sampling_term(how.policy, stages[:-1], batches[:-1], per_step)
    kls = [mean_kl(o, n, s.mask) for o, n, s in zip(held, new, batches, strict=True)]
    return Outcome(objective, kls[-1], sum(kls[:-1], torch.zeros_like(kls[-1])), stages, held)


def hold(how: Adaptation, meta: Parameters, batches: list[Samples]) -> list[Samples]:
    """The batches, each with the distributions at ``meta`` as those that acted."""
    return _replace_acted(batches, outer_objective(how, meta, batches, differentiate=False).acted)


def meta_gradient(
    how: Adaptation, meta: Parameters, parts: Parts, clip: float | None = None, kl_weight: float = 0.0
) -> tuple[Tensor, list[Outcome]]:
    """Gradient (P,) of the mean over tasks of the outer objective, less ``kl_weight`` times the KL of the policies
    before adaptation from those that acted; what each part of the tasks gave."""
    n_tasks = sum(len(part[-1].mask) for part in parts)
    leaves = list(meta.values())
    total, outcomes = torch.zeros_like(flatten(leaves)), []
    for part in parts:
        out = outer_objective(how, meta, part, clip)
        goal = (out.objective - kl_weight * out.inner_kl if kl_weight else out.objective).sum() / n_tasks
        total += flatten(torch.autograd.grad(goal, leaves, materialize_grads=True))
        stages = [{k: p.detach() for k, p in stage.items()} for stage in out.stages]
        outcomes.append(Outcome(out.objective.detach(), out.kl.detach(), out.inner_kl.detach(), stages, out.acted))
    return total, outcomes


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
    leaves, first = list(meta.values()), None
    for _ in range(epochs):
        gradient, outcomes = meta_gradient(how, meta, parts, clip, kl_weight)
        if first is None:
            first = _mean(out.objective for out in outcomes)
            parts = [_replace_acted(part, out.acted) for part, out in zip(parts, outcomes, strict=True)]
        for p, g in zip(leaves, unflatten(-gradient, leaves), strict=True):  # optimisers descend
            p.grad = g
        optimizer.step()
    after = [outer_objective(how, meta, part, clip, False) for part in parts]
    assert first is not None
    kl, inner_kl = _mean(out.kl for out in after).item(), _mean(out.inner_kl for out in after).item()
    return {"loss": -first.item(), "kl": kl, "inner_kl": inner_kl}


def trust_region_update(
    how: Adaptation, meta: Parameters, parts: Parts, max_kl: float, iterations: int, damping: float, episodes: int
) -> dict[str, float]:
    """The longest natural-gradient step that raises the outer objective and keeps the mean KL of the adapted policies,
    on their own states, within ``max_kl`` nats (TRPO, Schulman et al. 2015; MAML's outer step), in place.

    The curvature reads the first ``episodes`` episodes of each batch; objective and KL of the line search read all.
    """
    leaves, n_tasks = list(meta.values()), sum(len(part[-1].mask) for part in parts)
    gradient, outcomes = meta_gradient(how, meta, parts)
    parts = [_replace_acted(part, out.acted) for part, out in zip(parts, outcomes, strict=True)]
    curvatures = [
        meta_curvature(how, meta, out.stages, [first_episodes(samples, episodes) for samples in part])
        for part, out in zip(parts, outcomes, strict=True)
    ]

    def product(v: Tensor) -> Tensor:
        return torch.stack([curvature(v) for curvature in curvatures]).sum(0) / n_tasks + damping * v

    step = unflatten(trust_region_step(product, gradient, max_kl, iterations), leaves)

    def evaluate(fraction: float) -> tuple[Tensor, Tensor]:
        moves = zip(meta.items(), step, strict=True)
        moved = {k: (p + fraction * s).detach().requires_grad_() for (k, p), s in moves}
        tried = [outer_objective(how, moved, part, differentiate=False) for part in parts]
        return _mean(out.objective for out in tried), _mean(out.kl for out in tried)

    start = _mean(out.objective for out in outcomes)
    fraction, objective, kl = line_search(evaluate, start, max_kl, _SHRINK, _TRIES)
    with torch.no_grad():
        for p, s in zip(leaves, step, strict=True):
            p += fraction * s
    return {"loss": -start.item(), "gain": objective - start.item(), "kl": kl, "fraction": fraction}


def check_outer(name: str) -> None:
    """Raise ValueError for an outer step that does not exist."""
    if name not in OUTER:
        raise ValueError(f"outer={name!r} is not known; choose one of {', '.join(map(repr, OUTER))}")


def _mean(parts: Any) -> Tensor:
    """Mean over tasks of numbers (T,) that lie in several parts."""
    return torch.cat(list(parts)).mean()


def _held(distribution: Any) -> Any:
    return type(distribution)(*(x.detach() for x in distribution))


def _replace_acted(batches: list[Samples], acted: Iterable[Any]) -> list[Samples]:
    return [samples._replace(acted=a) for samples, a in zip(batches, acted, strict=True)]
