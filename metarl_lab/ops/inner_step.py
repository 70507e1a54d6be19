"""The inner policy-gradient step of MAML and its relatives: every task's own parameters, all tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
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


RATE = "rate_"  # a meta-parameter of this prefix is the learned inner rate of the parameter that the rest names


class Adaptation(NamedTuple):
    """How a task's parameters come from the meta-parameters: where they start, and what each inner step moves.

    MAML: everything starts at the meta-parameters and moves. ANIL: ``moved`` names the head. CAVIA: ``zeros`` adds the
    context vector, which alone moves. Meta-SGD: the meta-parameters hold a ``rate_`` for each parameter.
    """

    network: PerTask  # with a policy network's parameters
    step_sizes: Sequence[float]  # of each inner step that meta-training looks through
    surrogate: Surrogate
    first_order: bool = False  # take the inner gradient as a constant: d theta' / d theta = 1
    sampling_term: bool = False  # also differentiate which data theta draws to adapt on (E-MAML)
    moved: tuple[str, ...] | None = None  # names of the parameters that inner steps move; None: all
    zeros: Mapping[str, tuple[int, ...]] = MappingProxyType({})  # task parameters that start at zero: shapes
    fold: Callable[[Parameters], Parameters] = dict  # a task's parameters as those of a plain policy network

    def policy(self, parameters: Parameters, observation: Tensor) -> Distribution:
        """What each task's own parameters do: observation (T, M, O)."""
        return self.network(self.fold(parameters), observation)

    def start(self, meta: Parameters, n_tasks: int) -> Parameters:
        """Every task's parameters before the first inner step, (T, ...), without a copy of the shared ones."""
        like = next(iter(meta.values()))
        added = {k: like.new_zeros(n_tasks, *shape).requires_grad_() for k, shape in self.zeros.items()}
        return expand({k: p for k, p in meta.items() if not k.startswith(RATE)}, n_tasks) | added

    def rates(self, meta: Parameters, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{name: what multiplies the step size} of every parameter that moves; a learned rate, or 1."""
        one = torch.ones((), device=next(iter(meta.values())).device)
        names = parameters if self.moved is None else self.moved
        return {k: meta.get(RATE + k, one) for k in names}


def fresh(how: Adaptation, meta: Parameters, n_tasks: int) -> Adapted:
    """The memory before the first step of a trial: every task holds a copy of the shared parameters."""
    start = how.start(meta, n_tasks)
    copies = {k: p.detach().clone(memory_format=torch.contiguous_format) for k, p in start.items()}
    return Adapted(copies, torch.zeros(n_tasks, dtype=torch.int64, device=next(iter(copies.values())).device))


def expand(parameters: Parameters, n_tasks: int) -> Parameters:
    """Shared parameters as every task's own starting point: (...) -> (T, ...), without a copy."""
    return {k: p.unsqueeze(0).expand(n_tasks, *p.shape) for k, p in parameters.items()}


def log_probability(policy: PerTask, parameters: Parameters, samples: Samples) -> Tensor:
    """log pi_{theta_i}(a | s) of every step, summed over action dimensions: (T, N, H)."""
    return policy(parameters, samples.observation).log_prob(samples.action).view_as(samples.mask)


def acted_log_probability(samples: Samples, log_prob: Tensor) -> Tensor:
    """Held log-probability of the actions under what drew them: ``log_prob``'s own policy where samples do not say."""
    return log_prob.detach() if samples.acted is None else samples.acted.log_prob(samples.action).view_as(log_prob)


def slope(how: Adaptation, parameters: Parameters, samples: Samples, names: Iterable[str], graph: bool) -> Parameters:
    """grad_{theta_i} (1/M_i) S(log pi_{theta_i}, A_i) of the named parameters, (T, ...) each.

    The mean runs over the task's M_i live steps, as in the authors' code. Tasks share nothing, so the gradient of the
    sum over tasks holds every task's own.
    """
    log_prob = log_probability(how.policy, parameters, samples)
    acted = acted_log_probability(samples, log_prob)
    objective = how.surrogate(log_prob, samples.advantage, samples.mask, acted) / samples.live
    names = list(names)
    found = torch.autograd.grad(
        objective.sum(), [parameters[k] for k in names], create_graph=graph, materialize_grads=True
    )
    return dict(zip(names, found, strict=True))


def inner_step(
    how: Adaptation,
    parameters: Parameters,
    samples: Samples,
    step_size: float | Tensor,
    rates: Mapping[str, Tensor],
    create_graph: bool,
) -> Parameters:
    """theta_i' = theta_i + alpha rate * grad_{theta_i} (1/M_i) S(log pi_{theta_i}, A_i): ascent on each task's return.

    Parameters
    ----------
    parameters : dict of Tensor (T, ...)
        What the samples were drawn with; must require gradients or depend on something that does.
    step_size : float or Tensor (T,)
        alpha.
    rates : dict of Tensor
        As ``Adaptation.rates``: those parameters move, elementwise by their rate, and no others.
    create_graph : bool
        True: the result is a differentiable function of ``parameters``, second derivatives of the surrogate included.
        False: the gradient is a constant, so that d theta' / d theta = 1 (first-order MAML).
    """
    gradients = slope(how, parameters, samples, rates, create_graph)
    size = torch.as_tensor(step_size, dtype=samples.mask.dtype, device=samples.mask.device).expand(len(samples.mask))
    moved = {k: parameters[k] + size.view(-1, *[1] * (g.ndim - 1)) * rates[k] * g for k, g in gradients.items()}
    return parameters | moved


def inner_steps(
    how: Adaptation, meta: Parameters, batches: Sequence[Samples], n_tasks: int, create_graph: bool
) -> list[Parameters]:
    """[theta_0, ..., theta_n]: one inner step after another, on the batch that each one's policy acted."""
    stages = [how.start(meta, n_tasks)]
    rates = how.rates(meta, stages[0])
    for samples, size in zip(batches, how.step_sizes, strict=True):
        stages.append(inner_step(how, stages[-1], samples, size, rates, create_graph))
    return stages


def adapt(
    how: Adaptation, meta: Parameters, memory: Adapted, samples: Samples, step_sizes: tuple[float, float]
) -> Adapted:
    """One inner step of every task, from plain tensors to plain tensors, under no_grad too; ``memory`` stays as it is.

    step_sizes: of a trial's first inner step, and of every later one.
    """
    size = torch.where(memory.absorbed == 0, *step_sizes)
    rates = {k: r.detach() for k, r in how.rates(meta, memory.parameters).items()}
    with torch.enable_grad():
        leaves = {k: p.detach().requires_grad_() for k, p in memory.parameters.items()}
        stepped = inner_step(how, leaves, samples, size, rates, create_graph=False)
    return Adapted({k: p.detach() for k, p in stepped.items()}, memory.absorbed + 1)


def sampling_term(policy: PerTask, stages: Sequence[Parameters], batches: Sequence[Samples], score: Tensor) -> Tensor:
    """R_i sum_k sum_{n,t} (rho_{k,n,t} - 1) over the batches that adaptation read, rho = pi_{theta_k} / pi_acted, (T,).

    Its derivative at the policies that acted, R_i sum grad log pi_{theta_k}, is the part of the meta-gradient through
    *which* data theta draws to adapt on: exploration before adaptation is credited with what came after it
    (Al-Shedivat et al. 2018, arXiv 1710.03641, eq. 4; E-MAML, Stadie et al. 2018, arXiv 1803.01118). ``score`` (T,),
    held constant, is the post-adaptation return R_i, less a baseline that does not depend on task i's batches.
    """
    total = torch.zeros_like(score)
    for parameters, samples in zip(stages, batches, strict=False):
        log_prob = log_probability(policy, parameters, samples)
        ratio = (log_prob - acted_log_probability(samples, log_prob)).exp()
        total = total + ((ratio - 1) * samples.mask).sum((1, 2))
    return score * total
