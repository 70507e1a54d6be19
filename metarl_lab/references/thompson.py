"""Thompson sampling: draw the task from what is believed of it, act as if the draw were true."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from metarl_lab.exact.bandits import beta_parameters, count_pull, no_pulls
from metarl_lab.ops.sampling import KEY_NOISE, beta
from metarl_lab.references.base import Reference, check_family
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.tasks.bernoulli_bandit import BernoulliBandit
from metarl_lab.types import Memory, Seen


class Thompson(Reference):
    """Each pull: q_i ~ Beta(1 + s_i, 1 + f_i) for every arm, a = argmax_i q_i.

    ``psrl`` is the same idea for MDPs: one draw for a whole episode.
    """

    name: ClassVar[str] = "thompson"
    source: ClassVar[str] = "Thompson 1933; Russo et al. 2018, algorithm 3.2"
    noise_size: int = KEY_NOISE

    def __init__(self, family: TaskFamily) -> None:
        super().__init__(family)
        check_family(self.name, family, BernoulliBandit, hint="for MDPs, use 'psrl'")

    def begin(self, n_tasks: int, copies: int) -> Memory:
        return no_pulls(n_tasks, copies, self.spec.action_size, self.device)

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        counts = count_pull(memory, seen.action, seen.reward)
        return beta(*beta_parameters(counts), noise).argmax(-1), counts
