"""Play what looks best now: the posterior mean, taken for the truth."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from metarl_lab.ops.sampling import random_argmax
from metarl_lab.references.base import BestGuess, Reference
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import Memory, Seen


class Greedy(Reference):
    """Bandit: a = argmax_i E[p_i | seen]. MDP: plan in the posterior-mean MDP at the start of each episode.

    Parameters
    ----------
    family : BernoulliBandit or TabularMDP
    reward_prior_mean : float, optional
        Tabular MDP only: the prior mean of a reward, by default the family's own (1). The published baselines of
        Duan et al. 2016 are matched by 0, which is wrong for that family: untried actions look worse than they are.
    replan : bool
        Tabular MDP only: plan anew at every step, not only at the first one of an episode (H times the work).
    """

    name: ClassVar[str] = "greedy"
    source: ClassVar[str] = "Sutton and Barto 2018, section 2.2 (certainty equivalence: Bertsekas 2017, section 6.1)"

    def __init__(self, family: TaskFamily, reward_prior_mean: float | None = None, replan: bool = False) -> None:
        super().__init__(family)
        self.guess = BestGuess(self.name, family, reward_prior_mean, replan)

    def begin(self, n_tasks: int, copies: int) -> Memory:
        return self.guess.begin(n_tasks, copies, self.device)

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        values, memory = self.guess.values(memory, seen)
        return random_argmax(values, noise[..., 0]), memory
