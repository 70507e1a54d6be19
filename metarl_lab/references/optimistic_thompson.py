"""Optimistic Thompson sampling: posterior draws, but never below what is expected."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.exact.bandits import beta_parameters, count_pull, no_pulls, posterior_mean
from metarl_lab.ops.sampling import KEY_NOISE, beta, random_argmax
from metarl_lab.references.base import Reference, check_family
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.tasks.bernoulli_bandit import BernoulliBandit
from metarl_lab.types import Memory, Seen


class OptimisticThompson(Reference):
    """Each pull: q_i ~ Beta(1 + s_i, 1 + f_i), a = argmax_i max(q_i, E[p_i | seen]).

    Parameters
    ----------
    family : BernoulliBandit
    most_likely_of : int
        0 for the rule above. N > 0 for what Duan et al. 2016 call OTS, which is another rule: draw (q_1, ..., q_k)
        N times from the posterior and act on the draw of the largest posterior density. They tuned N on the test
        tasks and do not print it; 30 comes close to their figures.
    """

    name: ClassVar[str] = "optimistic_thompson"
    source: ClassVar[str] = "May, Korda, Lee and Leslie 2012, Optimistic Bayesian sampling in contextual bandits"
    noise_size: int = KEY_NOISE + 1

    def __init__(self, family: TaskFamily, most_likely_of: int = 0) -> None:
        super().__init__(family)
        check_family(self.name, family, BernoulliBandit)
        if most_likely_of < 0:
            raise ValueError(f"optimistic_thompson: most_likely_of={most_likely_of}; give 0, or a number of draws")
        self.most_likely_of = most_likely_of

    def begin(self, n_tasks: int, copies: int) -> Memory:
        return no_pulls(n_tasks, copies, self.spec.action_size, self.device)

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        counts = count_pull(memory, seen.action, seen.reward)
        a, b = beta_parameters(counts)
        if self.most_likely_of:
            return _most_likely(a, b, self.most_likely_of, noise[..., :KEY_NOISE]).argmax(-1), counts
        drawn = beta(a, b, noise[..., :KEY_NOISE])
        # equal values are common: all arms whose draw fell below one and the same mean
        return random_argmax(torch.maximum(drawn, posterior_mean(counts)), noise[..., KEY_NOISE]), counts


def _most_likely(a: Tensor, b: Tensor, draws: int, noise: Tensor) -> Tensor:
    """Of several draws from prod_i Beta(a_i, b_i) the one of the largest density, (T, E, k)."""
    many = (*a.shape[:-1], draws * a.shape[-1])
    a, b = (x.unsqueeze(-2).expand(*a.shape[:-1], draws, a.shape[-1]) for x in (a, b))  # (T, E, N, k)
    q = beta(a.reshape(many), b.reshape(many), noise).reshape(a.shape).clamp(1e-6, 1 - 1e-6)  # logarithms follow
    density = ((a - 1) * q.log() + (b - 1) * (1 - q).log()).sum(-1, keepdim=True)  # (T, E, N, 1), up to a constant
    return q.gather(2, density.argmax(2, keepdim=True).expand(*q.shape[:2], 1, q.shape[-1])).squeeze(2)
