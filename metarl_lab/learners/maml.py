"""MAML: initial parameters from which one policy-gradient step on a new task goes far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.mlp import MLPPolicy
from metarl_lab.ops.baseline import Samples, advantages, check_baseline, minus_mean_of_others, pieces
from metarl_lab.ops.inner_step import Adapted, adapt, fresh
from metarl_lab.ops.outer_step import Adaptation, check_outer, gradient_update, trust_region_update
from metarl_lab.ops.surrogates import surrogate_named
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Metrics, Seen, Spec


@dataclass(frozen=True)
class MAMLConfig:
    """What can be chosen. The defaults are the authors' point-navigation protocol, with the peers' network."""

    hidden: tuple[int, ...] = (64, 64)
    """Units of each hidden layer of the policy."""
    activation: str = "tanh"
    """"tanh" or "relu"."""
    output_gain: float = 0.1
    """Scale of the policy's initial output weights, in units of Xavier's. A small one starts near the centre of the
    action box: at 1 the walk of some initial policies feeds on itself, and meta-training never recovers."""
    meta_batch: int = 20
    """Tasks per iteration."""
    episodes: int = 20
    """Episodes of each task per batch: one batch before each inner step, and one after the last."""
    inner_steps: int = 1
    """Inner steps that meta-training looks through."""
    inner_step: float = 0.5
    """Step size of a trial's first inner step, per unit of the mean over live steps of log pi times advantage."""
    later_inner_step: float = 0.25
    """Step size of every later inner step of a trial (the authors' halve it)."""
    surrogate: str = "naive"
    """What the inner step differentiates: "naive" (the published one) or "dice" (unbiased second derivative)."""
    sampling_term: bool = False
    """Also differentiate which data theta draws to adapt on: unbiased whatever the surrogate, and noisy."""
    first_order: bool = False
    """Take d theta' / d theta as 1."""
    outer: str = "trpo"
    """The outer step: "trpo", "ppo" or "plain" (one Adam step on the score-function surrogate)."""
    max_kl: float = 0.01
    """TRPO: largest mean KL of the adapted policies on their own states, nats per step."""
    cg_iterations: int = 10
    """TRPO: conjugate-gradient iterations."""
    curvature_episodes: int = 5
    """TRPO: of each task's batches, how many episodes the curvature reads (the KL bound is checked on all)."""
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


class MAML(MetaLearner):
    """theta <- argmax sum_i E[ R_i(theta + alpha grad R_i(theta)) ] (Finn et al. 2017, eq. 4), by gradient *ascent*.

    Memory: each task's own parameters. The outer objective reads post-adaptation episodes only; pre-adaptation ones
    enter through the inner step (and the sampling term, where it is on).
    """

    name: ClassVar[str] = "maml"
    source: ClassVar[str] = "Finn, Abbeel & Levine 2017, arXiv 1703.03400, algorithm 3; code cbfinn/maml_rl"
    Config = MAMLConfig
    shares_memory = True

    def __init__(self, spec: Spec, config: MAMLConfig) -> None:
        super().__init__(spec, config)
        c = config
        check_positive("maml", meta_batch=c.meta_batch, episodes=c.episodes, inner_steps=c.inner_steps, piece=c.piece)
        check_positive("maml", max_kl=c.max_kl, cg_iterations=c.cg_iterations, curvature_episodes=c.curvature_episodes)
        check_positive("maml", learning_rate=c.learning_rate, epochs=c.epochs, clip=c.clip)
        check_outer(c.outer)
        check_baseline(c.baseline)
        self.policy = MLPPolicy(spec, c.hidden, c.activation, output_gain=c.output_gain)
        step_sizes = [c.inner_step] + [c.later_inner_step] * (c.inner_steps - 1)
        surrogate = surrogate_named(c.surrogate)
        self.how = Adaptation(self.policy.per_task, step_sizes, surrogate, c.first_order, c.sampling_term)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)

    def begin(self, n_tasks: int, copies: int) -> Adapted:
        return fresh(self.policy.parameters_by_name(), n_tasks)

    def act(self, memory: Adapted, seen: Seen, noise: Tensor) -> tuple[Tensor, Adapted]:
        return self.policy.per_task(memory.parameters, seen.observation).sample(noise), memory

    def absorb(self, memory: Adapted, episodes: Episodes) -> Adapted:
        sizes = (self.config.inner_step, self.config.later_inner_step)
        return adapt(self.policy.per_task, memory, self.samples(episodes), sizes, self.how.surrogate)

    def samples(self, episodes: Episodes) -> Samples:
        """What the policy gradient reads of a batch of episodes."""
        c = self.config
        return advantages(episodes, c.discount, c.gae_lambda, c.baseline, c.standardize)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        trial = begin(self, family, tasks, self.config.episodes)
        acted: list[Episodes] = []
        for step in range(self.config.inner_steps + 1):
            if step:
                trial = trial._replace(memory=self.absorb(trial.memory, acted[-1]))
            episodes, trial = collect(self, family, tasks, trial, generator)
            acted.append(episodes)
        batches = [self.samples(episodes) for episodes in acted]
        # other tasks' returns are a baseline that this task's data cannot touch
        batches[-1] = batches[-1]._replace(score=minus_mean_of_others(batches[-1].score))
        values = self._improve(batches)
        scores = acted[-1].returns.mean((1, 2))
        before, steps = acted[0].returns.mean().item(), sum(e.env_steps for e in acted)
        values = {"return": scores.mean().item(), "return_before": before, "env_steps": steps, **values}
        return Metrics(values, scores)

    def _improve(self, batches: list[Samples]) -> dict[str, float]:
        """The outer step."""
        c, theta = self.config, self.policy.parameters_by_name()
        parts = pieces(batches, c.piece if self.device.type == "cpu" else None)
        if c.outer == "trpo":
            return trust_region_update(
                self.how, theta, parts, c.max_kl, c.cg_iterations, c.damping, c.curvature_episodes
            )
        if c.outer == "ppo":
            return gradient_update(self.how, theta, parts, self.optimizer, c.epochs, c.clip)
        return gradient_update(self.how, theta, parts, self.optimizer)
