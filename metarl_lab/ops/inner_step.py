"""The inner policy-gradient step of MAML and its relatives: every task's own parameters, all tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metarl_lab.ops.baseline import Samples
from metarl_lab.ops.distributions import Distribution
from metarl_lab.ops.surrogates import Surrogate

Parameters = dict[str, Tensor]  # name -> (T, ...)
PerTask = Callable[[Parameters, Tensor], Distribution]  # a policy with (T, ...) parameters at observations (T, M, O)


class Adapted(NamedTuple):
    """The memory of a learner that adapts by policy gradient."""

    parameters: Parameters  # every task's own
    absorbed: Tensor  # (T,) int64, inner steps taken so far


def fresh(parameters: Parameters, n_tasks: int) -> Adapted:
    """The memory before the first step of a trial: every task holds a copy of the shared parameters."""
    copies = {
        k: p.detach().clone(memory_format=torch.contiguous_format) for k, p in expand(parameters, n_tasks).items()
    }
    return Adapted(copies, torch.zeros(n_tasks, dtype=torch.int64, device=next(iter(copies.values())).device))


def expand(parameters: Parameters, n_tasks: int) -> Parameters:
    """Shared parameters as every task's own starting point: (...) -> (T, ...), without a copy."""
    return {k: p.unsqueeze(0).expand(n_tasks, *p.shape) for k, p in parameters.items()}


def log_probability(policy: PerTask, parameters: Parameters, samples: Samples) -> Tensor:
    """log pi_{theta_i}(a | s) of every step, summed over action dimensions: (T, N, H)."""
    return policy(parameters, samples.observation).log_prob(samples.action).view_as(samples.mask)


def inner_step(
    policy: PerTask,
    parameters: Parameters,
    samples: Samples,
    step_size: float | Tensor,
    surrogate: Surrogate,
    create_graph: bool,
) -> Parameters:
    """theta_i' = theta_i + alpha grad_{theta_i} (1/M_i) S(log pi_{theta_i}, A_i): ascent on each task's return.

    The mean runs over the task's M_i live steps, as in the authors' code. Tasks share nothing, so the gradient of the
    sum over tasks holds every task's own.

    Parameters
    ----------
    parameters : dict of Tensor (T, ...)
        What the samples were drawn with; must require gradients or depend on something that does.
    step_size : float or Tensor (T,)
        alpha.
    create_graph : bool
        True: the result is a differentiable function of ``parameters``, second derivatives of the surrogate included.
        False: the gradient is a constant, so that d theta' / d theta = 1 (first-order MAML).
    """
    objective = surrogate(log_probability(policy, parameters, samples), samples.advantage, samples.mask) / samples.live
    gradients = torch.autograd.grad(objective.sum(), list(parameters.values()), create_graph=create_graph)
    size = torch.as_tensor(step_size, dtype=objective.dtype, device=objective.device).expand(len(objective))
    return {
        k: p + size.view(-1, *[1] * (p.ndim - 1)) * g for (k, p), g in zip(parameters.items(), gradients, strict=True)
    }


def inner_steps(
    policy: PerTask,
    parameters: Parameters,
    batches: Sequence[Samples],
    step_sizes: Sequence[float],
    surrogate: Surrogate,
    create_graph: bool,
) -> list[Parameters]:
    """[theta_0, ..., theta_n]: one inner step after another, on the batch that each one's policy acted."""
    stages = [parameters]
    for samples, size in zip(batches, step_sizes, strict=True):
        stages.append(inner_step(policy, stages[-1], samples, size, surrogate, create_graph))
    return stages


def adapt(
    policy: PerTask, memory: Adapted, samples: Samples, step_sizes: tuple[float, float], surrogate: Surrogate
) -> Adapted:
    """One inner step of every task, from plain tensors to plain tensors, under no_grad too; ``memory`` stays as it is.

    step_sizes: of a trial's first inner step, and of every later one.
    """
    size = torch.where(memory.absorbed == 0, *step_sizes)
    with torch.enable_grad():
        leaves = {k: p.detach().requires_grad_() for k, p in memory.parameters.items()}
        stepped = inner_step(policy, leaves, samples, size, surrogate, create_graph=False)
    return Adapted({k: p.detach() for k, p in stepped.items()}, memory.absorbed + 1)


def sampling_term(policy: PerTask, stages: Sequence[Parameters], batches: Sequence[Samples], score: Tensor) -> Tensor:
    """R_i sum_k sum_{n,t} log pi_{theta_k}(a_t | s_t) over the batches that adaptation read, (T,).

    Its derivative is the part of the meta-gradient through *which* data theta draws to adapt on: exploration before
    adaptation is credited with what came after it (Al-Shedivat et al. 2018, arXiv 1710.03641, eq. 4; E-MAML, Stadie et
    al. 2018, arXiv 1803.01118). ``score`` (T,), held constant, is the post-adaptation return R_i, less a baseline
    that does not depend on task i's batches.
    """
    total = torch.zeros_like(score)
    for parameters, samples in zip(stages, batches, strict=False):
        total = total + (log_probability(policy, parameters, samples) * samples.mask).sum((1, 2))
    return score.detach() * total
