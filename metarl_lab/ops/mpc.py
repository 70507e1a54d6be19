"""Model-predictive control: choose the actions whose imagined return is best, act the first, and plan again.

Planners of B problems at once. A model is a function (state (B, N, ...), action (B, N[, A])) -> (state, reward (B, N));
a plan is a box action sequence (B, H, A) or a discrete one (B, H), H the plan's horizon.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarl_lab.ops.distributions import standard_normal
from metarl_lab.ops.soft import action_box
from metarl_lab.types import Spec, map_tensors

Model = Callable[[Any, Tensor], tuple[Any, Tensor]]
_INSIDE = 2.0**-24  # keeps a shifted point inside (0, 1), where Phi^-1 is finite
_FLOOR = 0.02  # of half the box, or in probability: a proposal never collapses onto its elites


class Proposal(NamedTuple):
    """What candidates are drawn from, step by step: N(mean, std^2) of a box (B, H, A), or probabilities (B, H, A)."""

    mean: Tensor
    std: Tensor  # empty where actions are discrete


class Plan(NamedTuple):
    """The chosen actions, what they are imagined to return, and the proposal that they came from."""

    action: Tensor  # (B, H) int64 or (B, H, A)
    value: Tensor  # (B,)
    proposal: Proposal


def plan_noise(spec: Spec, horizon: int) -> int:
    """Uniform numbers that one round of candidates of one problem wants: its shift, flattened."""
    return horizon * (1 if spec.discrete else spec.action_size)


def shifted_points(shift: Tensor, n: int) -> Tensor:
    """n points each of B randomised low-discrepancy sets, (B, n, D): frac(x_i + shift), shift (B, D) uniform.

    The x_i are a fixed scrambled Sobol' set; one shift moves them all, so every point by itself is uniform on the cube,
    they cover it more evenly than independent ones, and n of them cost D random numbers (Cranley & Patterson 1976).
    """
    if shift.ndim != 2:
        raise ValueError(f"shifted_points: shift must be (B, D), one per problem; given {tuple(shift.shape)}")
    points = _points(n, shift.shape[1]).to(shift.device)
    return (points + shift.unsqueeze(1)).frac().clamp(_INSIDE, 1 - _INSIDE)


def imagined_return(model: Model, state: Any, action: Tensor, discount: float = 1.0) -> Tensor:
    """sum_h discount^h r_h of N action sequences each, (B, N). state (B, 1, ...), action (B, N, H[, A])."""
    n = action.shape[1]
    state = map_tensors(lambda x: x.expand(-1, n, *x.shape[2:]), state)
    total = torch.zeros(action.shape[:2], device=action.device)
    for h in range(action.shape[2]):
        state, reward = model(state, action[:, :, h])
        total = total + discount**h * reward
    return total


def random_shooting(
    model: Model, state: Any, shift: Tensor, spec: Spec, candidates: int, discount: float = 1.0
) -> Plan:
    """The best of ``candidates`` uniform action sequences (Rao 2009; Nagabandi et al. 2018, arXiv 1708.02596).

    shift (B, 1, D), uniform, D = ``plan_noise``.
    """
    proposal = first_proposal(spec, shift)
    action = uniform_actions(spec, _rounds(spec, shift, 0, candidates))
    value, best = imagined_return(model, state, action, discount).max(1)
    return Plan(_pick(action, best.unsqueeze(1)).squeeze(1), value, proposal)


def cross_entropy_method(
    model: Model,
    state: Any,
    shift: Tensor,
    spec: Spec,
    candidates: int,
    elites: int,
    discount: float = 1.0,
    start: Proposal | None = None,
) -> Plan:
    """Draw candidates, fit the proposal to the best of them, again and again (Rubinstein 1999; Botev et al. 2013).

    mean = mean of the elites, std = their standard deviation (probabilities: their shares), each with a floor; box
    candidates are clipped to the box. The plan is the best candidate of all rounds.

    Parameters
    ----------
    shift : Tensor (B, I, D)
        Uniform; I rounds, D = ``plan_noise``.
    candidates, elites : int
        N per round, and how many of them the next proposal is fitted to.
    start : Proposal, optional
        The first one; by default it spans the box, or all actions alike. ``follow`` makes it out of the last plan.
    """
    if not 1 <= elites <= candidates:
        raise ValueError(f"cem: elites={elites} is not allowed; give 1 to candidates={candidates}")
    proposal = first_proposal(spec, shift) if start is None else start
    action, value = None, None
    for i in range(shift.shape[1]):
        tried = _draw(spec, proposal, _rounds(spec, shift, i, candidates))
        returns, order = imagined_return(model, state, tried, discount).topk(elites, 1)  # (B, elites), best first
        kept = _pick(tried, order)
        best, now = kept[:, 0], returns[:, 0]
        if action is None or value is None:
            action, value = best, now
        else:
            better = now > value
            action = torch.where(better.reshape(-1, *(1,) * (best.ndim - 1)), best, action)
            value = torch.where(better, now, value)
        proposal = fit(spec, kept)
    if action is None or value is None:
        raise ValueError(f"cem: shift {tuple(shift.shape)} holds no round; give (B, I, D) with I of 1 or more")
    return Plan(action, value, proposal)


def first_proposal(spec: Spec, shift: Tensor) -> Proposal:
    """Centre and half the width of the box; or every action alike. shift (B, I, D) says B and H."""
    if spec.discrete:
        even = torch.full((*shift.shape[::2], spec.action_size), 1 / spec.action_size, device=shift.device)
        return Proposal(even, even[..., :0])
    centre, half = (x.to(shift.device) for x in action_box(spec))
    lead = (len(shift), shift.shape[-1] // spec.action_size, spec.action_size)
    return Proposal(centre.expand(lead), half.expand(lead))


def fit(spec: Spec, elites: Tensor) -> Proposal:
    """The proposal of elites (B, K, H[, A]): mean and standard deviation, or share of each action; floored."""
    if spec.discrete:
        share = torch.nn.functional.one_hot(elites, spec.action_size).float().mean(1)
        return Proposal((1 - spec.action_size * _FLOOR) * share + _FLOOR, share[..., :0])
    half = action_box(spec)[1].to(elites.device)
    return Proposal(elites.mean(1), torch.maximum(elites.std(1, correction=0), _FLOOR * half))


def follow(spec: Spec, plan: Plan, widen: float = 0.5) -> Proposal:
    """Where to start planning at the next step: the plan one step on, widened again (a "warm start").

    The mean of a box is the plan itself, its last action once more, with ``widen`` of half the box as std; of
    probabilities a share ``widen`` is spread over all actions.
    """
    if spec.discrete:
        later = torch.cat((plan.proposal.mean[:, 1:], plan.proposal.mean[:, -1:]), 1)
        return Proposal((1 - widen) * later + widen / spec.action_size, plan.proposal.std)
    later = torch.cat((plan.action[:, 1:], plan.action[:, -1:]), 1)
    return Proposal(later, (widen * action_box(spec)[1].to(later.device)).expand_as(later))


def _rounds(spec: Spec, shift: Tensor, i: int, n: int) -> Tensor:
    """Uniform numbers of round i, (B, n, H) or (B, n, H, A)."""
    if shift.ndim != 3:
        raise ValueError(f"planning: shift must be (B, rounds, D); given {tuple(shift.shape)}")
    points = shifted_points(shift[:, i], n)
    return points if spec.discrete else points.unflatten(-1, (-1, spec.action_size))


def uniform_actions(spec: Spec, u: Tensor) -> Tensor:
    """Actions uniform on the box, u (..., A), or over the indices, u (...)."""
    if spec.discrete:
        return (u * spec.action_size).long().clamp_max(spec.action_size - 1)
    centre, half = (x.to(u.device) for x in action_box(spec))
    return centre + half * (2 * u - 1)


def _draw(spec: Spec, proposal: Proposal, u: Tensor) -> Tensor:
    """Actions of the proposal by inversion: clipped normal ones, or indices."""
    if spec.discrete:
        edges = proposal.mean.cumsum(-1).unsqueeze(1)  # (B, 1, H, A)
        return (u.unsqueeze(-1) > edges).sum(-1).clamp_max(spec.action_size - 1)
    centre, half = (x.to(u.device) for x in action_box(spec))
    action = proposal.mean.unsqueeze(1) + proposal.std.unsqueeze(1) * standard_normal(u)
    return torch.minimum(torch.maximum(action, centre - half), centre + half)


def _pick(action: Tensor, index: Tensor) -> Tensor:
    """Sequences ``index`` (B, K) of each problem: (B, N, H[, A]) -> (B, K, H[, A])."""
    return action[torch.arange(len(action), device=action.device).unsqueeze(1), index]


@lru_cache(maxsize=32)
def _points(n: int, size: int) -> Tensor:
    """n points of a Sobol' set in ``size`` dimensions, scrambled once and for all (unscrambled, the first is a corner,
    and few of them in many dimensions lie on a line)."""
    return torch.quasirandom.SobolEngine(size, scramble=True, seed=0).draw(n)
