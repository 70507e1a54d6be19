"""The average policy: task policies held to a shared one by KL, and the shared one distilled from them (Distral)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.inner_loop import AdaptConfig, check_config, trial_metrics
from metarl_lab.learners.base import PerTaskPolicy
from metarl_lab.ops.distral import regularised_reward
from metarl_lab.ops.inner_step import Adaptation, Adapted, Parameters, adapt, fresh
from metarl_lab.ops.meta_curvature import mean_kl
from metarl_lab.ops.surrogates import naive
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_choice, check_positive
from metarl_lab.types import Episodes, Metrics, Spec


@dataclass(frozen=True)
class AveragePolicyConfig(AdaptConfig):
    """What can be chosen."""

    inner_steps: int = 3
    """Inner steps of each task policy per iteration, each on a batch of its own; one more batch is distilled from. With
    1, the KL acts nowhere: at the shared policy its gradient is 0."""
    kl_weight: float = 0.1
    """c_KL: reward per nat that a task policy pays for leaving the shared one. 0 lets it go where its reward leads."""
    entropy_weight: float = 0.01
    """c_Ent: reward per nat of a task policy's entropy."""
    test_kl: bool = False
    """Whether a trial outside of meta-training pays for KL and entropy too; if not, its inner steps are plain policy
    gradient from the shared policy."""
    direction: str = "forward"
    """Which KL distillation descends: "forward", KL(task || shared), whose minimum is the mean of the task policies
    (Distral's), or "reverse", KL(shared || task), whose minimum is their normalised geometric mean."""
    distil_steps: int = 10
    """Gradient steps of the shared policy per iteration, all on the task policies' last batch."""
    learning_rate: float = 3e-3
    """Adam's step size of the shared policy."""


class AveragePolicy(PerTaskPolicy):
    """Task policies: ascend E_{pi_i}[ sum_t discount^t ( r - c_KL log(pi_i / pi_0) - c_Ent log pi_i ) ] from pi_0.
    Shared policy: descend sum_i E_{s ~ pi_i}[ KL(pi_i(.|s) || pi_0(.|s)) ], whose only minimum is the average of the
    task policies, weighted by their visits to the state.

    Distral keeps one policy for each of a fixed set of tasks; here tasks are new at every iteration, so that every task
    policy starts from the shared one again. Memory: each task's own policy parameters.
    """

    name: ClassVar[str] = "average_policy"
    source: ClassVar[str] = "Teh et al. 2017, Distral, arXiv 1707.04175, eq. 1"
    Config = AveragePolicyConfig

    def __init__(self, spec: Spec, config: AveragePolicyConfig) -> None:
        check_config(self.name, config)
        check_positive(self.name, distil_steps=config.distil_steps)
        if config.kl_weight < 0 or config.entropy_weight < 0:
            raise ValueError(
                f"average_policy: kl_weight={config.kl_weight!r}, entropy_weight={config.entropy_weight!r} are not "
                "allowed; give numbers of 0 or more"
            )
        check_choice(self.name, "direction", config.direction, ("forward", "reverse"))
        super().__init__(spec, config)
        self.how = Adaptation(self.network.per_task, [], naive)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)

    def meta_parameters(self) -> Parameters:
        """The shared policy's."""
        return self.network.parameters_by_name()

    def begin(self, n_tasks: int, copies: int) -> Adapted:
        """Every task starts from the shared policy."""
        return fresh(self.how, self.meta_parameters(), n_tasks)

    def absorb(self, memory: Adapted, episodes: Episodes) -> Adapted:
        """One inner step of every task on its own episodes, regularised if ``test_kl`` says so."""
        return self._regularised_step(memory, episodes) if self.config.test_kl else self._step(memory, episodes)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        """Task policies leave the shared one, at a price; then the shared one moves to their average."""
        trial = begin(self, family, tasks, self.config.episodes)
        acted: list[Episodes] = []
        for step in range(self.config.inner_steps + 1):
            if step > 0:
                trial = trial._replace(memory=self._regularised_step(trial.memory, acted[-1]))
            episodes, trial = collect(self, family, tasks, trial, generator)
            acted.append(episodes)
        first_kl, last_kl = self.distil(trial.memory, acted[-1])
        return trial_metrics(acted, {"loss": first_kl, "kl": last_kl})

    @torch.no_grad()
    def regularised(self, memory: Adapted, episodes: Episodes) -> Tensor:
        """r - c_KL log(pi_i / pi_0) - c_Ent log pi_i of every live step, 0 elsewhere: (T, E, K, H)."""
        seen, action = episodes.observation.flatten(1, 3), episodes.action.flatten(1, 3)  # (T, M, ...)
        task, shared = self.how.policy(memory.parameters, seen), self.network(seen)
        log_task, log_shared = (d.log_prob(action).view_as(episodes.reward) for d in (task, shared))
        paid = regularised_reward(
            episodes.reward, log_task, log_shared, self.config.kl_weight, self.config.entropy_weight
        )
        return episodes.mask * paid

    def distil(self, memory: Adapted, episodes: Episodes) -> tuple[float, float]:
        """Move the shared policy towards the task policies, in the states that they visit; both KLs, before the first
        step and the last, nats per live step."""
        seen, mask = episodes.observation.flatten(1, 3), episodes.mask.flatten(1, 2).to(episodes.reward.dtype)
        with torch.no_grad():
            task = self.how.policy(memory.parameters, seen)
        found = []
        for _ in range(self.config.distil_steps):
            ends = (task, self.network(seen))
            start, end = ends if self.config.direction == "forward" else ends[::-1]
            loss = mean_kl(start, end, mask).mean()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            found.append(loss.detach())
        return found[0].item(), found[-1].item()

    def _regularised_step(self, memory: Adapted, episodes: Episodes) -> Adapted:
        """One inner step along the gradient of the reward less what KL and entropy cost."""
        return self._step(memory, episodes._replace(reward=self.regularised(memory, episodes)))

    def _step(self, memory: Adapted, episodes: Episodes) -> Adapted:
        """One inner step of every task along the gradient of the episodes' reward."""
        sizes = (self.config.inner_step, self.config.later_inner_step)
        return adapt(self.how, self.meta_parameters(), memory, self.samples(episodes), sizes)
