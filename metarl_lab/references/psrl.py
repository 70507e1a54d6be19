"""Posterior sampling for reinforcement learning: Thompson sampling with a plan."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from torch import Tensor

from metarl_lab.ops.beliefs import MODEL_NOISE, ModelBelief, nothing_known, plan, sample_model, take_in, values_at
from metarl_lab.references.base import Reference, check_family
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.tasks.tabular_mdp import TabularMDP
from metarl_lab.types import Seen


class PSRLMemory(NamedTuple):
    """What is believed of the MDP, and the values of the MDP drawn for this episode, (T, E, H, S, A)."""

    belief: ModelBelief
    q: Tensor


class PSRL(Reference):
    """At the start of each episode, draw an MDP from the posterior; act optimally in it to the episode's end.

    One draw for a whole episode is what lets it explore in depth. All MDPs of a batch are drawn and planned at once.

    Parameters
    ----------
    family : TabularMDP
    reward_prior_mean : float, optional
        The prior mean of a reward, by default the family's own (1). The published figures of Duan et al. 2016 are
        matched by 0.
    """

    name: ClassVar[str] = "psrl"
    source: ClassVar[str] = "Strens 2000; Osband, Russo and Van Roy 2013, algorithm 1"
    noise_size: int = MODEL_NOISE

    def __init__(self, family: TaskFamily, reward_prior_mean: float | None = None) -> None:
        super().__init__(family)
        check_family(self.name, family, TabularMDP, hint="for bandits, use 'thompson'")
        assert isinstance(family, TabularMDP)
        self.prior = family.prior
        if reward_prior_mean is not None:
            self.prior = self.prior._replace(reward_mean=reward_prior_mean)

    def begin(self, n_tasks: int, copies: int) -> PSRLMemory:
        belief = nothing_known(n_tasks, copies, self.spec.observation_size, self.spec.action_size, self.device)
        return PSRLMemory(belief, belief.pulls.new_zeros(n_tasks, copies, self.spec.horizon, *belief.pulls.shape[2:]))

    def act(self, memory: PSRLMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, PSRLMemory]:
        belief = take_in(memory.belief, seen.observation.argmax(-1), seen.action, seen.reward, seen.start)
        q = plan(*sample_model(belief, self.prior, noise), self.spec.horizon) if seen.step == 0 else memory.q
        return values_at(q, seen.step, belief.state).argmax(-1), PSRLMemory(belief, q)
