"""The outer step of gradient-based meta-learners: the objective after adaptation, its gradient, three ways to use it.

With no inner step it is ordinary policy optimisation of one policy on all tasks at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarl_lab.ops.baseline import Samples, first_episodes
from metarl_lab.ops.inner_step import Parameters, PerTask, expand, inner_steps, sampling_term
from metarl_lab.ops.meta_curvature import mean_kl, meta_curvature
from metarl_lab.ops.surrogates import Surrogate, clipped_ratio
from metarl_lab.ops.trust_region import flatten, line_search, trust_region_step, unflatten

OUTER = ("trpo", "ppo", "plain")
Parts = Sequence[list[Samples]]  # of some of the tasks each: the batches to adapt on, and the one acted after

_SHRINK, _TRIES = 0.8, 15  # line search, as in rllab's ConjugateGradientOptimizer


class Adaptation(NamedTuple):
    """How a task's parameters come from theta: ``len(step_sizes)`` inner steps, and what is differentiated of them."""

    policy: PerTask
    step_sizes: Sequence[float]
    surrogate: Surrogate
    first_order: bool = False  # take d theta' / d theta as 1
    sampling_term: bool = False  # also differentiate which data theta draws to adapt on


class Outcome(NamedTuple):
    """Of each task: the outer objective and the KL from the policy that acted, (T,); parameters at every stage; the
    action distributions that acted."""

    objective: Tensor
    kl: Tensor
    stages: list[Parameters]
    acted: Any


def outer_objective(
    how: Adaptation,
    parameters: Parameters,
    batches: list[Samples],
    acted: Any = None,
    clip: float | None = None,
    differentiate: bool = True,
) -> Outcome:
    """(1/M_i) sum rho A over the M_i live steps of task i's *post-adaptation* batch, rho = pi_{theta_i'} / pi_acted.

    At the parameters that acted, rho = 1 and the derivative is the score-function gradient through the inner steps.

    Parameters
    ----------
    parameters : dict of Tensor
        theta, shared by all tasks.
    batches : list of Samples
        One batch per inner step to adapt on, then the one acted after. Other batches enter nowhere.
    acted : Distribution, optional
        The adapted policies that acted the last batch; those that ``parameters`` lead to when not given.
    clip : float, optional
        PPO's clip of the ratio, 1 -+ clip.
    differentiate : bool
        Whether derivatives with respect to ``parameters`` are wanted.
    """
    post = batches[-1]
    start = expand(parameters, len(post.mask))
    second_order = differentiate and not how.first_order
    stages = inner_steps(how.policy, start, batches[:-1], how.step_sizes, how.surrogate, second_order)
    if not differentiate:
        stages = [{k: p.detach() for k, p in stage.items()} for stage in stages]
    new = how.policy(stages[-1], post.observation)
    old = type(new)(*(x.detach() for x in new)) if acted is None else acted
    ratio = (new.log_prob(post.action) - old.log_prob(post.action)).exp().view_as(post.mask)
    gain = ratio * post.advantage if clip is None else clipped_ratio(ratio, post.advantage, clip)
    objective = (gain * post.mask).sum((1, 2)) / post.live
    if how.sampling_term:
        per_step = post.score * post.scale * post.mask.shape[1] / post.live  # an episode's return, per live step
        objective = objective + sampling_term(how.policy, stages[:-1], batches[:-1], per_step)
    return Outcome(objective, mean_kl(old, new, post.mask), stages, old)


def meta_gradient(
    how: Adaptation, parameters: Parameters, parts: Parts, acted: Sequence[Any] = (), clip: float | None = None
) -> tuple[Tensor, list[Outcome]]:
    """Gradient (P,) at theta of the mean over tasks of the outer objective; what each part of the tasks gave."""
    n_tasks = sum(len(part[-1].mask) for part in parts)
    leaves = list(parameters.values())
    total, outcomes = torch.zeros_like(flatten(leaves)), []
    for i, part in enumerate(parts):
        out = outer_objective(how, parameters, part, acted[i] if acted else None, clip)
        total += flatten(torch.autograd.grad(out.objective.sum() / n_tasks, leaves))
        stages = [{k: p.detach() for k, p in stage.items()} for stage in out.stages]
        outcomes.append(Outcome(out.objective.detach(), out.kl.detach(), stages, out.acted))
    return total, outcomes


def gradient_update(
    how: Adaptation,
    parameters: Parameters,
    parts: Parts,
    optimizer: torch.optim.Optimizer,
    epochs: int = 1,
    clip: float | None = None,
) -> dict[str, float]:
    """Ascend the outer objective ``epochs`` times on the same data, in place: plain for one epoch, PPO with a clip."""
    leaves, first = list(parameters.values()), None
    acted: list[Any] = []
    for _ in range(epochs):
        gradient, outcomes = meta_gradient(how, parameters, parts, acted, clip)
        acted = [out.acted for out in outcomes]
        first = _mean(out.objective for out in outcomes) if first is None else first
        for p, g in zip(leaves, unflatten(-gradient, leaves), strict=True):  # optimisers descend
            p.grad = g
        optimizer.step()
    after = [outer_objective(how, parameters, part, old, clip, False) for part, old in zip(parts, acted, strict=True)]
    assert first is not None
    return {"loss": -first.item(), "kl": _mean(out.kl for out in after).item()}


def trust_region_update(
    how: Adaptation, parameters: Parameters, parts: Parts, max_kl: float, iterations: int, damping: float, episodes: int
) -> dict[str, float]:
    """The longest natural-gradient step that raises the outer objective and keeps the mean KL of the adapted policies,
    on their own states, within ``max_kl`` nats (TRPO, Schulman et al. 2015; MAML's outer step), in place.

    The curvature reads the first ``episodes`` episodes of each batch; objective and KL of the line search read all.
    """
    leaves, n_tasks = list(parameters.values()), sum(len(part[-1].mask) for part in parts)
    gradient, outcomes = meta_gradient(how, parameters, parts)
    curvatures = []
    for part, out in zip(parts, outcomes, strict=True):
        few = [first_episodes(samples, episodes) for samples in part]
        curvatures.append(meta_curvature(how.policy, out.stages, few, how.step_sizes, how.surrogate, how.first_order))

    def product(v: Tensor) -> Tensor:
        return torch.stack([curvature(v) for curvature in curvatures]).sum(0) / n_tasks + damping * v

    step = unflatten(trust_region_step(product, gradient, max_kl, iterations), leaves)

    def evaluate(fraction: float) -> tuple[Tensor, Tensor]:
        moves = zip(parameters.items(), step, strict=True)
        moved = {k: (p + fraction * s).detach().requires_grad_() for (k, p), s in moves}
        tried = [
            outer_objective(how, moved, part, out.acted, differentiate=False)
            for part, out in zip(parts, outcomes, strict=True)
        ]
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
