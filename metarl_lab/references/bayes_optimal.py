"""The best play there is: exact dynamic programming over what is believed, where that is small enough."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from metarl_lab.exact import bernoulli_bandit, correlated_bandit, gridworld, informative_bandit, two_step
from metarl_lab.exact.bandits import count_pull, no_pulls, posterior_mean
from metarl_lab.exact.bernoulli_bandit import code_weights, pair_code, solve_bandit
from metarl_lab.exact.goal_beliefs import GoalBelief, known_goal, nothing_visited, take_in, towards
from metarl_lab.exact.gridworld import Plan, Search, distances, search_plan
from metarl_lab.ops.sampling import random_argmax
from metarl_lab.references.base import Reference, check_family
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.tasks.bernoulli_bandit import BernoulliBandit
from metarl_lab.tasks.correlated_bandit import CorrelatedBandit
from metarl_lab.tasks.gridworld import GridWorld
from metarl_lab.tasks.informative_bandit import OTHER_PAY, TARGET_PAY, InformativeBandit
from metarl_lab.tasks.two_step import TwoStep
from metarl_lab.types import Memory, Seen


class SearchMemory(NamedTuple):
    """What is believed of the goal, and the number of this episode in its trial, -1 before the first, (T, E)."""

    belief: GoalBelief
    episode: Tensor


class BayesOptimal(Reference):
    """Maximises the expected total reward of the trial under the family's prior; ``value`` is that expectation.

    No agent that does not know its task does better on average: one that seems to by more than its interval has a bug.
    A bandit's policy is a table over what was seen of each arm (``exact.bernoulli_bandit``); a gridworld's is a fixed
    search until the goal is met and the shortest way to it from then on (``exact.gridworld``). In the two-step task and
    the correlated bandit no action tells more than another, and it is greedy on the exact belief (``exact.two_step``,
    ``exact.correlated_bandit``); in the informative bandit it asks where that pays (``exact.informative_bandit``). In
    these three a trial is one episode.

    Parameters
    ----------
    family : BernoulliBandit, GridWorld, TwoStep, CorrelatedBandit or InformativeBandit
    pulls : int, optional
        Bernoulli bandit only: pulls in the whole trial, by default one episode's. Later ones are played greedily: the
        agent was not told of them.
    episodes : int, optional
        Gridworld only: episodes in the whole trial, by default the family's. Later ones repeat the search.
    max_states : int, optional
        ValueError above this many states. Bandits (3 million unless given, ``exact.bernoulli_bandit.count_states``): 2
        arms and 100 pulls have 2.2 million, 5 arms and 10 pulls 1,951, 10 and 10 2,296; 5 arms and 100 pulls 4e11.
        Gridworlds (100,000 unless given): 99 in the published protocol.
    """

    name: ClassVar[str] = "bayes_optimal"
    source: ClassVar[str] = "Bellman 1956; Duff 2002, section 1.3"

    def __init__(
        self,
        family: TaskFamily,
        pulls: int | None = None,
        episodes: int | None = None,
        max_states: int | None = None,
    ) -> None:
        super().__init__(family)
        check_family(self.name, family, BernoulliBandit, GridWorld, *_ONE_EPISODE)
        self._play: _Bandit | _Grid | _TwoStep | _Correlated | _Informative
        if isinstance(family, GridWorld):
            if pulls is not None:
                raise ValueError(f"{self.name}: pulls={pulls} has no meaning in a gridworld; give episodes")
            self._play = _Grid(family, episodes, max_states)
        elif isinstance(family, BernoulliBandit):
            if episodes is not None:
                raise ValueError(f"{self.name}: episodes={episodes} has no meaning in a bandit; give pulls")
            self._play = _Bandit(family, pulls, max_states)
        else:
            for key, given in (("pulls", pulls), ("episodes", episodes), ("max_states", max_states)):
                if given is not None:
                    raise ValueError(f"{self.name}: {key}={given} has no meaning in {family.name!r}; leave it out")
            self._play = _ONE_EPISODE[type(family)](family)
        self.value = self._play.value

    def begin(self, n_tasks: int, copies: int) -> Memory:
        return self._play.begin(n_tasks, copies, self.device)

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        return self._play.act(memory, seen, noise[..., 0])


class _Bandit:
    """Its memory: the counts of every arm, (T, E, k, 2)."""

    def __init__(self, family: TaskFamily, pulls: int | None, max_states: int | None) -> None:
        self.arms = family.spec.action_size
        self.pulls = family.spec.horizon if pulls is None else pulls
        solution = solve_bandit(self.arms, self.pulls, max_states or bernoulli_bandit.MAX_STATES)
        self.value = solution.value
        self._weight = torch.from_numpy(code_weights(self.pulls))
        # states after different numbers of pulls are different multisets, so one sorted list holds all of them
        key, order = torch.cat([torch.from_numpy(key) for key in solution.key]).sort()
        self._key, self._best = key, torch.cat([torch.from_numpy(best) for best in solution.best])[order].long()

    def begin(self, n_tasks: int, copies: int, device: torch.device) -> Tensor:
        self._weight, self._key, self._best = (x.to(device) for x in (self._weight, self._key, self._best))
        return no_pulls(n_tasks, copies, self.arms, device)

    def act(self, memory: Tensor, seen: Seen, noise: Tensor) -> tuple[Tensor, Tensor]:
        counts = count_pull(memory, seen.action, seen.reward)
        code = pair_code(counts[..., 0].long(), counts[..., 1].long())  # (T, E, k)
        key = self._weight[code.clamp_max(len(self._weight) - 1)].sum(-1)  # wraps modulo 2^64, as the keys did
        place = torch.searchsorted(self._key, key).clamp_max(len(self._key) - 1)
        # any arm with the code of the best one: they are alike in all that was seen
        best = (code == self._best[place].unsqueeze(-1)).float()
        told = (counts.sum((-1, -2)) < self.pulls).unsqueeze(-1)
        return random_argmax(torch.where(told, best, posterior_mean(counts)), noise), counts


class _Grid:
    """Its memory: ``SearchMemory``."""

    def __init__(self, family: GridWorld, episodes: int | None, max_states: int | None) -> None:
        episodes = family.episodes if episodes is None else episodes
        solution = _search(family, episodes, max_states or gridworld.MAX_STATES)
        self.value = solution.value
        self._plan = torch.from_numpy(solution.actions)  # (K, H)
        self._prior, self._successor = family.prior, family.successor
        self._distance = torch.from_numpy(distances(self._successor.numpy()))

    def begin(self, n_tasks: int, copies: int, device: torch.device) -> SearchMemory:
        self._plan, self._prior = self._plan.to(device), self._prior.to(device)
        self._successor, self._distance = self._successor.to(device), self._distance.to(device)
        belief = nothing_visited(self._prior, n_tasks, copies)
        return SearchMemory(belief, torch.full_like(belief.cell, -1))

    def act(self, memory: SearchMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, SearchMemory]:
        cell = seen.observation.argmax(-1)
        belief = take_in(memory.belief, cell, seen.action, seen.reward, self._successor)
        episode = memory.episode + seen.start
        search = self._plan[episode % len(self._plan), seen.step]
        goal, known = known_goal(belief)
        straight = random_argmax(towards(goal, cell, self._successor, self._distance), noise)
        return torch.where(known, straight, search), SearchMemory(belief, episode)


@cache
def _search(family: GridWorld, episodes: int, max_states: int) -> Plan:
    """Solved once for each configuration."""
    goals = family.goals("train")
    return search_plan(Search(family.successor.numpy(), goals, 0, family.horizon, episodes), max_states)


class _TwoStep:
    """Its memory: the belief in each state, (T, E, 2)."""

    def __init__(self, family: TwoStep) -> None:
        self.pays, self.reversal = family.pays, family.reversal
        self.value = two_step.bayes_value(family.horizon, family.common, family.pays, family.reversal).value

    def begin(self, n_tasks: int, copies: int, device: torch.device) -> Tensor:
        return two_step.no_belief(n_tasks, copies, device)

    def act(self, memory: Tensor, seen: Seen, noise: Tensor) -> tuple[Tensor, Tensor]:
        after = two_step.filter_step(memory, seen.observation.argmax(-1), seen.reward, self.pays, self.reversal)
        belief = torch.where(seen.start.unsqueeze(-1), 0.5, after)
        # rounded, so that what is equal but for the last bits counts as equal
        return random_argmax((belief * _EVEN).round(), noise), belief


class _Correlated:
    """Its memory: the evidence for each arm, (T, E, 2)."""

    def __init__(self, family: CorrelatedBandit) -> None:
        self.value = correlated_bandit.bayes_value(family.horizon, family.low)

    def begin(self, n_tasks: int, copies: int, device: torch.device) -> Tensor:
        return correlated_bandit.no_evidence(n_tasks, copies, device)

    def act(self, memory: Tensor, seen: Seen, noise: Tensor) -> tuple[Tensor, Tensor]:
        evidence = correlated_bandit.count_evidence(memory, seen.action, seen.reward)
        return random_argmax(evidence, noise), evidence  # the posterior means have the order of the evidence


class _Informative:
    """Its memory: which arms may be the target, (T, E, k - 1)."""

    def __init__(self, family: InformativeBandit) -> None:
        self.arms, self.horizon = family.arms, family.horizon
        solution = informative_bandit.solve_informative(family.arms, family.horizon, TARGET_PAY, OTHER_PAY)
        self.value = solution.value
        self._ask = torch.from_numpy(solution.ask)

    def begin(self, n_tasks: int, copies: int, device: torch.device) -> Tensor:
        self._ask = self._ask.to(device)
        return informative_bandit.all_possible(n_tasks, copies, self.arms, device)

    def act(self, memory: Tensor, seen: Seen, noise: Tensor) -> tuple[Tensor, Tensor]:
        possible = informative_bandit.rule_out(memory, seen.action, seen.reward, OTHER_PAY)
        ask = self._ask[self.horizon - seen.step, possible.sum(-1)]
        lowest = possible.long().argmax(-1)  # the first that may be the target
        return torch.where(ask, self.arms - 1, lowest), possible


_EVEN = 2**16
_ONE_EPISODE: dict[type[TaskFamily], Any] = {
    TwoStep: _TwoStep, CorrelatedBandit: _Correlated, InformativeBandit: _Informative
}  # fmt: skip
