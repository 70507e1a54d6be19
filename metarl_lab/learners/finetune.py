"""Fine-tuning: pre-train one policy on all tasks at once, then plain policy gradient. What meta-RL must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.mlp import MLPPolicy
from metarl_lab.ops.baseline import Samples, advantages, check_baseline, pieces
from metarl_lab.ops.inner_step import Adapted, adapt, fresh
from metarl_lab.ops.outer_step import Adaptation, check_outer, gradient_update, trust_region_update
from metarl_lab.ops.surrogates import naive
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Metrics, Seen, Spec


@dataclass(frozen=True)
class FinetuneConfig:
    """What can be chosen. Fields that ``maml`` has too mean the same and have the same default."""

    hidden: tuple[int, ...] = (64, 64)
    """Units of each hidden layer of the policy."""
    activation: str = "tanh"
    """"tanh" or "relu"."""
    output_gain: float = 0.1
    """Scale of the policy's initial output weights, in units of Xavier's. A small one starts near the centre of the
    action box: at 1 the walk of some initial policies feeds on itself, and meta-training never recovers."""
    meta_batch: int = 20
    """Tasks per iteration."""
    episodes: int = 40
    """Episodes of each task per iteration: as many as ``maml`` acts in its two batches."""
    inner_step: float = 0.5
    """Step size of a trial's first inner step, per unit of the mean over live steps of log pi times advantage."""
    later_inner_step: float = 0.25
    """Step size of every later inner step of a trial (the authors' halve it)."""
    outer: str = "trpo"
    """The pre-training step: "trpo", "ppo" or "plain" (one Adam step on the score-function surrogate)."""
    max_kl: float = 0.01
    """TRPO: largest mean KL from the policy that acted, nats per step."""
    cg_iterations: int = 10
    """TRPO: conjugate-gradient iterations."""
    curvature_episodes: int = 10
    """TRPO: of each task's episodes, how many the curvature reads (the KL bound is checked on all)."""
    damping: float = 1e-3
    """TRPO: added to the diagonal of the curvature, nats per squared unit of a parameter."""
    learning_rate: float = 1e-3
    """PPO and plain: Adam's step size."""
    epochs: int = 5
    """PPO: gradient steps per iteration."""
    clip: float = 0.2
    """PPO: clip of the probability ratio, 1 -+ clip."""
    discount: float = 0.99
    """Discount per step."""
    gae_lambda: float = 1.0
    """GAE's lambda: 0 trusts the baseline, 1 the returns."""
    baseline: str = "leave_one_out"
    """Linear baseline per task: "leave_one_out" (unbiased), "same_batch" (common, biased) or "none"."""
    standardize: bool = True
    """Give each task's advantages mean 0 and standard deviation 1 (biased in scale, as in the authors' code)."""
    piece: int = 20_000
    """Steps differentiated at once on a CPU, so that they stay in its cache; changes rounding only."""


class Finetune(MetaLearner):
    """theta <- argmax sum_i R_i(theta): the mean return of one policy, with no look ahead to what a step would do.

    Adaptation to a task is the same policy-gradient step as ``maml``'s. Memory: each task's own parameters.
    """

    name: ClassVar[str] = "finetune"
    source: ClassVar[str] = "The 'pretrained' baseline of Finn, Abbeel & Levine 2017, arXiv 1703.03400, section 5.3"
    Config = FinetuneConfig
    shares_memory = True

    def __init__(self, spec: Spec, config: FinetuneConfig) -> None:
        super().__init__(spec, config)
        c = config
        check_positive("finetune", meta_batch=c.meta_batch, episodes=c.episodes, piece=c.piece, max_kl=c.max_kl)
        check_positive("finetune", cg_iterations=c.cg_iterations, curvature_episodes=c.curvature_episodes)
        check_positive("finetune", learning_rate=c.learning_rate, epochs=c.epochs, clip=c.clip)
        check_outer(c.outer)
        check_baseline(c.baseline)
        self.policy = MLPPolicy(spec, c.hidden, c.activation, output_gain=c.output_gain)
        self.how = Adaptation(self.policy.per_task, [], naive)  # no inner step: the objective is that of one policy
        self.optimizer = torch.optim.Adam(self.parameters(), lr=c.learning_rate)

    def begin(self, n_tasks: int, copies: int) -> Adapted:
        return fresh(self.policy.parameters_by_name(), n_tasks)

    def act(self, memory: Adapted, seen: Seen, noise: Tensor) -> tuple[Tensor, Adapted]:
        return self.policy.per_task(memory.parameters, seen.observation).sample(noise), memory

    def absorb(self, memory: Adapted, episodes: Episodes) -> Adapted:
        sizes = (self.config.inner_step, self.config.later_inner_step)
        return adapt(self.policy.per_task, memory, self.samples(episodes), sizes, naive)

    def samples(self, episodes: Episodes) -> Samples:
        """What the policy gradient reads of a batch of episodes."""
        c = self.config
        return advantages(episodes, c.discount, c.gae_lambda, c.baseline, c.standardize)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        c, theta = self.config, self.policy.parameters_by_name()
        episodes, _ = collect(self, family, tasks, begin(self, family, tasks, c.episodes), generator)
        parts = pieces([self.samples(episodes)], c.piece if self.device.type == "cpu" else None)
        if c.outer == "trpo":
            values = trust_region_update(
                self.how, theta, parts, c.max_kl, c.cg_iterations, c.damping, c.curvature_episodes
            )
        elif c.outer == "ppo":
            values = gradient_update(self.how, theta, parts, self.optimizer, c.epochs, c.clip)
        else:
            values = gradient_update(self.how, theta, parts, self.optimizer)
        scores = episodes.returns.mean((1, 2))
        return Metrics({"return": scores.mean().item(), "env_steps": episodes.env_steps, **values}, scores)
