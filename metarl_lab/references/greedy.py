"""Play what looks best now: the posterior mean, taken for the truth."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from torch import Tensor

from metarl_lab.ops.bandits import count_pull, no_pulls, posterior_mean
from metarl_lab.ops.beliefs import ModelBelief, mean_model, nothing_known, plan, take_in, values_at
from metarl_lab.ops.sampling import random_argmax
from metarl_lab.references.base import Reference, check_family
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.tasks.bernoulli_bandit import BernoulliBandit
from metarl_lab.tasks.tabular_mdp import TabularMDP
from metarl_lab.types import Memory, Seen


class PlanMemory(NamedTuple):
    """What is believed of the MDP, and the values planned at the start of the episode, (T, E, H, S, A)."""

    belief: ModelBelief
    q: Tensor


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
        check_family(self.name, family, BernoulliBandit, TabularMDP)
        self.replan = replan
        if isinstance(family, TabularMDP):
            mean = family.reward_mean if reward_prior_mean is None else reward_prior_mean
            self.prior = family.prior._replace(reward_mean=mean)
        elif reward_prior_mean is not None:
            raise ValueError(f"greedy: reward_prior_mean={reward_prior_mean} has no meaning in a bandit; leave it out")

    def begin(self, n_tasks: int, copies: int) -> Memory:
        if isinstance(self.family, BernoulliBandit):
            return no_pulls(n_tasks, copies, self.spec.action_size, self.device)
        belief = nothing_known(n_tasks, copies, self.spec.observation_size, self.spec.action_size, self.device)
        return PlanMemory(belief, belief.pulls.new_zeros(n_tasks, copies, self.spec.horizon, *belief.pulls.shape[2:]))

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        if isinstance(self.family, BernoulliBandit):
            counts = count_pull(memory, seen.action, seen.reward)
            return random_argmax(posterior_mean(counts), noise[..., 0]), counts
        belief = take_in(memory.belief, seen.observation.argmax(-1), seen.action, seen.reward, seen.start)
        fresh = seen.step == 0 or self.replan
        q = plan(*mean_model(belief, self.prior), self.spec.horizon) if fresh else memory.q
        return random_argmax(values_at(q, seen.step, belief.state), noise[..., 0]), PlanMemory(belief, q)
