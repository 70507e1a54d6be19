"""Advantages of a batch of episodes against a linear value function fitted per task, all tasks in one solve."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarl_lab.ops.returns import discounted_returns, gae
from metarl_lab.types import Episodes, map_tensors

BASELINES = ("leave_one_out", "same_batch", "none")

_RIDGE = 1e-5  # added to the diagonal of X'X, as in rllab's LinearFeatureBaseline
_CLIP = 10.0  # observations are clipped to +-10 before they are squared: idem
_TIME = 100.0  # t enters as t / 100: idem


class Samples(NamedTuple):
    """What a policy gradient needs of a batch of episodes, task by task. N = E K episodes; M = N H steps."""

    observation: Tensor  # (T, M, O)
    action: Tensor  # (T, M) int64 or (T, M, A)
    advantage: Tensor  # (T, N, H), 0 where the mask is
    mask: Tensor  # (T, N, H) of 0. and 1.: the step was live
    score: Tensor  # (T,) mean discounted return of an episode
    scale: Tensor  # (T,) what advantages were multiplied by (1 unless standardized)
    acted: Any = None  # the distributions (T, M) that the actions were drawn from; None: those being differentiated

    @property
    def live(self) -> Tensor:
        """(T,) how many steps were live, at least 1."""
        return self.mask.sum((1, 2)).clamp_min(1)


def linear_features(observation: Tensor) -> Tensor:
    """[s, s^2, t, t^2, t^3, 1] (Duan et al. 2016a, arXiv 1604.06778); (T, N, H, O) -> (T, N, H, 2 O + 4), float64."""
    s = observation.double().clamp(-_CLIP, _CLIP)
    t = torch.arange(s.shape[-2], device=s.device, dtype=s.dtype) / _TIME
    time = torch.stack((t, t**2, t**3, torch.ones_like(t)), -1).expand(*s.shape[:-1], 4)
    return torch.cat((s, s**2, time), -1)


def linear_baseline(observation: Tensor, target: Tensor, mask: Tensor, leave_one_out: bool = True) -> Tensor:
    """V(s_t) = w' phi(s_t, t) with w = argmin sum_live (target - w' phi)^2 + ridge |w|^2, for each task.

    Parameters
    ----------
    observation : Tensor (T, N, H, O)
    target : Tensor (T, N, H)
        What to predict: discounted return to go.
    mask : Tensor (T, N, H)
        Steps that count.
    leave_one_out : bool
        True: episode n is scored by a fit to the *other* episodes of its task, so that the baseline does not depend on
        the actions that it scores and the policy gradient stays unbiased; one episode alone gets the baseline 0. False:
        one fit to the batch, which then scores that same batch. That is common practice and **biased**: the fit leans
        towards each episode's own luck and subtracts part of the signal; the bias falls as 1/N.

    Returns
    -------
    Tensor (T, N, H)
    """
    phi = linear_features(observation) * mask.unsqueeze(-1)  # (T, N, H, F)
    gram = phi.mT @ phi  # (T, N, F, F)
    cross = phi.mT @ (target.double() * mask).unsqueeze(-1)  # (T, N, F, 1)
    whole_gram, whole_cross = gram.sum(1, keepdim=True), cross.sum(1, keepdim=True)
    if leave_one_out:
        whole_gram, whole_cross = whole_gram - gram, whole_cross - cross
    ridge = _RIDGE * torch.eye(phi.shape[-1], device=phi.device, dtype=phi.dtype)
    weight = torch.linalg.solve(whole_gram + ridge, whole_cross)  # (T, N or 1, F, 1)
    return (phi @ weight).squeeze(-1).to(target.dtype)


def advantages(
    episodes: Episodes, discount: float, lam: float, baseline: str = "leave_one_out", standardize: bool = True
) -> Samples:
    """Generalized advantage estimates of a batch of episodes, per task.

    V is the return *until the horizon*, with time among its features, so it is 0 beyond the last step and nothing is
    bootstrapped there: the objective is the H-step return that evaluation reports. Finished steps count nowhere.

    Parameters
    ----------
    episodes : Episodes (T, E, K, H)
    discount, lam : float
        Per step; lam = 1 makes the advantage return-to-go minus V.
    baseline : str
        "leave_one_out", "same_batch" (see ``linear_baseline``) or "none" (V = 0).
    standardize : bool
        Shift and scale each task's advantages to mean 0 and standard deviation 1 over its live steps.
    """
    check_baseline(baseline)
    observation, reward = episodes.observation.flatten(1, 2), episodes.reward.flatten(1, 2)  # (T, N, H, ...)
    terminated, truncated = episodes.terminated.flatten(1, 2), episodes.truncated.flatten(1, 2)
    mask = episodes.mask.flatten(1, 2).to(reward.dtype)
    to_go = _last(discounted_returns(_first(reward), discount))  # (T, N, H); reward is 0 once finished
    value = torch.zeros_like(reward)
    if baseline != "none":
        value = linear_baseline(observation, to_go, mask, baseline == "leave_one_out")
    next_value = torch.cat((value[..., 1:], torch.zeros_like(value[..., :1])), -1)
    ended = terminated | truncated
    estimate = gae(_first(reward), _first(value), _first(next_value), _first(ended), _first(terminated), discount, lam)
    advantage = _last(estimate) * mask
    scale = torch.ones_like(reward[:, 0, 0])
    if standardize:
        advantage, scale = standardized(advantage, mask)
    action = episodes.action.flatten(1, 3)
    return Samples(observation.flatten(1, 2), action, advantage, mask, to_go[..., 0].mean(1), scale)


def standardized(advantage: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Each task's advantages with mean 0 and standard deviation 1 over its live steps, (T, N, H), 0 elsewhere; and what
    they were multiplied by, (T,)."""
    live = mask.sum((1, 2), keepdim=True).clamp_min(1)
    mean = advantage.sum((1, 2), keepdim=True) / live
    variance = ((advantage - mean) * mask).square().sum((1, 2), keepdim=True) / live
    std = variance.sqrt() + 1e-8
    return (advantage - mean) / std * mask, 1 / std.flatten()


def first_episodes(samples: Samples, count: int) -> Samples:
    """The first ``count`` of each task's N episodes, at the policy that acted; views, nothing is copied."""
    steps = count * samples.mask.shape[2]
    return samples._replace(
        observation=samples.observation[:, :steps],
        action=samples.action[:, :steps],
        advantage=samples.advantage[:, :count],
        mask=samples.mask[:, :count],
        acted=None,
    )


def pieces(batches: list[Samples], steps: int | None) -> list[list[Samples]]:
    """Cut batches along the task axis into parts of at most ``steps`` steps each (a task at least); None: one part."""
    if steps is None:
        return [batches]
    tasks, n = max(1, steps // batches[-1].mask[0].numel()), len(batches[-1].mask)
    return [[map_tensors(lambda x, i=i: x[i : i + tasks], batch) for batch in batches] for i in range(0, n, tasks)]


def minus_mean_of_others(x: Tensor) -> Tensor:
    """x_i minus the mean of the others, (T,); x itself when alone."""
    return x if len(x) < 2 else (x - x.mean()) * (len(x) / (len(x) - 1))


def check_baseline(name: str) -> None:
    """Raise ValueError for a baseline that does not exist."""
    if name not in BASELINES:
        raise ValueError(f"baseline {name!r} is not known; choose one of {', '.join(map(repr, BASELINES))}")


def _first(x: Tensor) -> Tensor:
    """(T, N, H) -> (H, T, N): the axis that ``ops.returns`` runs along comes first."""
    return x.movedim(-1, 0)


def _last(x: Tensor) -> Tensor:
    return x.movedim(0, -1)
