"""What the gradient-based learners have in common: the fields of their configs, and a trial acted, adapted and scored.

A learner's file says what is its own: which parameters move, along which surrogate, and what the outer step is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from metarl_lab.ops.baseline import Samples, advantages, check_baseline, minus_mean_of_others, pieces
from metarl_lab.ops.inner_step import Adaptation, Parameters
from metarl_lab.ops.outer_step import check_outer, gradient_update, trust_region_update
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Agent, Episodes, Metrics


@dataclass(frozen=True)
class AdaptConfig:
    """The task policy, and how it adapts. The defaults are the MAML authors' point-navigation protocol, with the peers'
    network."""

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
    inner_step: float = 0.5
    """Step size of a trial's first inner step, per unit of the mean over live steps of log pi times advantage."""
    later_inner_step: float = 0.25
    """Step size of every later inner step of a trial (the authors' halve it)."""
    discount: float = 0.99
    """Discount per step."""
    gae_lambda: float = 1.0
    """GAE's lambda: 0 trusts the baseline, 1 the returns."""
    baseline: str = "leave_one_out"
    """Linear baseline per task: "leave_one_out" (unbiased), "same_batch" (common, biased) or "none"."""
    standardize: bool = True
    """Give each task's advantages mean 0 and standard deviation 1 (biased in scale, as in the authors' code)."""


@dataclass(frozen=True)
class LookThroughConfig(AdaptConfig):
    """What meta-training looks through beside: how many inner steps, and with which derivatives."""

    inner_steps: int = 1
    """Inner steps that meta-training looks through."""
    surrogate: str = "naive"
    """What the inner step differentiates: "naive" (the published one), "dice" (unbiased second derivative),
    "loaded_dice" or "lvc" (between the two)."""
    first_order: bool = False
    """Take the inner gradient as a constant: no second derivatives."""


@dataclass(frozen=True)
class OuterConfig(AdaptConfig):
    """The outer step beside."""

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
    piece: int = 20_000
    """Steps differentiated at once on a CPU, so that they stay in its cache; changes rounding only."""


@dataclass(frozen=True)
class MetaGradientConfig(LookThroughConfig, OuterConfig):
    """Both: the fields of the outer step, then those of what meta-training looks through."""


class Adaptive(Agent, Protocol):
    """What ``inner_loop`` needs of a learner: its memory is ``Adapted``."""

    config: Any
    how: Adaptation

    def samples(self, episodes: Episodes) -> Samples: ...


def check_config(learner: str, config: AdaptConfig) -> None:
    """Raise ValueError for a field of a gradient-based learner's config that is out of range."""
    counts = ("meta_batch", "episodes", "inner_steps", "piece", "cg_iterations", "curvature_episodes", "epochs")
    sizes = ("max_kl", "learning_rate", "clip")
    of_this_config = {name: getattr(config, name) for name in (*counts, *sizes) if hasattr(config, name)}
    check_positive(learner, **of_this_config)
    check_baseline(config.baseline)
    if isinstance(config, OuterConfig):
        check_outer(config.outer)


def step_sizes(config: Any) -> list[float]:
    """The step size of each inner step that meta-training looks through."""
    return [config.inner_step] + [config.later_inner_step] * (config.inner_steps - 1)


def samples_of(episodes: Episodes, config: AdaptConfig) -> Samples:
    """What the policy gradient reads of a batch of episodes."""
    return advantages(episodes, config.discount, config.gae_lambda, config.baseline, config.standardize)


def inner_loop(
    learner: Adaptive, family: TaskFamily, tasks: Tasks, steps: int, generator: torch.Generator
) -> tuple[list[Episodes], list[Samples]]:
    """Act ``steps`` + 1 batches of a trial and absorb each but the last, as at test time.

    Returns the batches, and what the policy gradient reads of each, with the distributions that acted. The score of the
    last is taken relative to the other tasks': a baseline that a task's own data cannot touch.
    """
    trial = begin(learner, family, tasks, learner.config.episodes)
    acted: list[Episodes] = []
    batches: list[Samples] = []
    for step in range(steps + 1):
        if step:
            trial = trial._replace(memory=learner.absorb(trial.memory, acted[-1]))
        episodes, trial = collect(learner, family, tasks, trial, generator)
        samples = learner.samples(episodes)
        with torch.no_grad():
            drawn_from = learner.how.policy(trial.memory.parameters, samples.observation)
        acted.append(episodes)
        batches.append(samples._replace(acted=drawn_from))
    batches[-1] = batches[-1]._replace(score=minus_mean_of_others(batches[-1].score))
    return acted, batches


def outer_step(
    how: Adaptation, meta: Parameters, batches: list[Samples], config: OuterConfig, optimizer: torch.optim.Optimizer
) -> dict[str, float]:
    """Improve the meta-parameters in place on the last of ``batches``, by the outer step that ``config`` names."""
    parts = parts_of(batches, config.piece)
    if config.outer == "trpo":
        return trust_region_update(
            how,
            meta,
            parts,
            max_kl=config.max_kl,
            iterations=config.cg_iterations,
            damping=config.damping,
            episodes=config.curvature_episodes,
        )
    if config.outer == "ppo":
        return gradient_update(how, meta, parts, optimizer, config.epochs, config.clip)
    return gradient_update(how, meta, parts, optimizer)


def parts_of(batches: list[Samples], piece: int) -> list[list[Samples]]:
    """The batches cut along tasks into parts that fit a CPU's cache; one part on any other device."""
    return pieces(batches, piece if batches[-1].mask.device.type == "cpu" else None)


def trial_metrics(acted: list[Episodes], values: dict[str, float]) -> Metrics:
    """Return before and after adaptation and env steps, beside the outer step's own values."""
    scores = torch.stack([episodes.returns.mean((1, 2)) for episodes in acted], 1)  # (T, B)
    mean_score = scores.mean(0)
    return Metrics(
        {
            "return": mean_score[-1].item(),
            "return_before": mean_score[0].item(),
            "env_steps": sum(episodes.env_steps for episodes in acted),
            **values,
        },
        scores,
    )
