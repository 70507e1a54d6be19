"""Hypernetwork: a small network reads what a task showed and writes the task's whole policy, theta(phi)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from metarl_lab.inner_loop import AdaptConfig, check_config, inner_loop, parts_of, samples_of, step_sizes, trial_metrics
from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.mlp import MLPPolicy
from metarl_lab.ops.baseline import Samples
from metarl_lab.ops.inner_step import (
    Adaptation,
    Adapted,
    Parameters,
    acted_log_probability,
    adapt,
    fresh,
    inner_step,
    log_probability,
)  # fmt: skip
from metarl_lab.ops.meta_curvature import mean_kl
from metarl_lab.ops.surrogates import clipped_ratio, surrogate_named
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Metrics, Seen, Spec

_FOLLOW = 0.1  # of the moments of the encoder's input, per iteration


@dataclass(frozen=True)
class HypernetworkConfig(AdaptConfig):
    """What can be chosen."""

    inner_steps: int = 1
    """Policy-gradient steps after the generated policy that meta-training looks through; 0 trains the generator."""
    surrogate: str = "naive"
    """What the inner step differentiates: "naive", "dice", "loaded_dice" or "lvc", as ``maml``'s."""
    first_order: bool = False
    """Take the inner gradient as a constant: no second derivatives."""
    context: int = 16
    """Length of the context vector that sums up a task's first batch."""
    units: int = 64
    """Hidden units of the encoder, and of the generator."""
    generator_gain: float = 1.0
    """Scale of the generator's initial output weights, in units of Xavier's (which, with thousands of outputs, is
    small). Every task starts near the shared policy; near 0 this is Bias-HyperInit (Beck et al. 2022)."""
    epochs: int = 5
    """Gradient steps per iteration."""
    clip: float = 0.2
    """PPO: clip of the probability ratio, 1 -+ clip."""
    learning_rate: float = 3e-3
    """Adam's step size."""
    piece: int = 20_000
    """Steps differentiated at once on a CPU, so that they stay in its cache; changes rounding only."""


class Hypernetwork(MetaLearner):
    """max_phi mean_k E[ R_i(theta_k) ]: theta_0 = base + G(0), theta_1 = base + G(c_i), theta_{k+1} = theta_k + alpha
    grad R_i(theta_k).

    The context c_i is the mean over all live steps of the first batch of an encoding of (observation, action, reward,
    next observation), so the order of steps and episodes does not matter. phi = (base, encoder, G) is trained by PPO on
    what every stage acted, the first one too, and through the inner steps. Memory: each task's own parameters.
    """

    name: ClassVar[str] = "hypernetwork"
    moments: Tensor
    source: ClassVar[str] = "Ha, Dai & Le 2017, arXiv 1609.09106; in meta-RL Beck et al. 2022, arXiv 2210.11348"
    Config = HypernetworkConfig
    shares_memory = True

    def __init__(self, spec: Spec, config: HypernetworkConfig) -> None:
        check_config(self.name, replace(config, inner_steps=config.inner_steps or 1))  # none at all is allowed here
        sizes = {"context": config.context, "units": config.units, "generator_gain": config.generator_gain}
        check_positive(self.name, **sizes)
        super().__init__(spec, config)
        self.network = MLPPolicy(spec, config.hidden, config.activation, output_gain=config.output_gain)
        surrogate = surrogate_named(config.surrogate)
        self.how = Adaptation(self.network.per_task, step_sizes(config), surrogate, config.first_order)
        features, units = 2 * spec.observation_size + spec.action_size + 1, config.units
        count = sum(p.numel() for p in self.network.parameters())
        self.encoder = nn.Sequential(nn.Linear(features, units), nn.Tanh(), nn.Linear(units, config.context))
        write = nn.Linear(units, count, bias=False)  # the shared policy is its bias
        nn.init.xavier_uniform_(write.weight, config.generator_gain)
        self.generator = nn.Sequential(nn.Linear(config.context, units), nn.Tanh(), write)
        self.register_buffer("moments", torch.stack((torch.zeros(features), torch.ones(features))))  # mean, mean square
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)

    def begin(self, n_tasks: int, copies: int) -> Adapted:
        """Every task starts from the policy of the empty context."""
        return fresh(self.how, {k: p[0] for k, p in self.generate(self.no_context(1)).items()}, n_tasks)

    def act(self, memory: Adapted, seen: Seen, noise: Tensor) -> tuple[Tensor, Adapted]:
        """Every task acts by its own parameters."""
        return self.how.policy(memory.parameters, seen.observation).sample(noise), memory

    def absorb(self, memory: Adapted, episodes: Episodes) -> Adapted:
        """A trial's first batch generates each task's parameters; every later one moves them by one inner step."""
        c, samples = self.config, self.samples(episodes)
        with torch.no_grad():
            generated = self.generate(self.encode(self.transitions(episodes), samples.mask))
        since = memory._replace(absorbed=memory.absorbed - 1)  # inner steps taken
        stepped = adapt(self.how, memory.parameters, since, samples, (c.inner_step, c.later_inner_step)).parameters
        first = {k: (memory.absorbed == 0).view(-1, *[1] * (p.ndim - 1)) for k, p in stepped.items()}
        new = {k: torch.where(first[k], generated[k], p) for k, p in stepped.items()}
        return Adapted(new, memory.absorbed + 1)

    def samples(self, episodes: Episodes) -> Samples:
        """What the policy gradient reads of a batch of episodes."""
        return samples_of(episodes, self.config)

    def policy(self, memory: Adapted, task: int) -> nn.Module:
        """The policy of one task as a module of its own: observation (..., O) -> distribution of actions.

        IndexError for a task that is not in the memory.
        """
        return self.network.of_task(memory.parameters, task)

    def transitions(self, episodes: Episodes) -> Tensor:
        """(observation, action, reward, next observation) of every step as one row, (T, M, F)."""
        seen, action = episodes.observation, episodes.action
        if self.spec.discrete:
            action = nn.functional.one_hot(action, self.spec.action_size).to(seen.dtype)
        else:
            action = (action - self.network.centre) / self.network.half_width
        final = episodes.final_observation.unsqueeze(-2)  # (T, E, K, 1, O)
        after = torch.cat((seen[..., 1:, :], final), -2)
        after = torch.where(episodes.terminated.unsqueeze(-1), final, after)
        return torch.cat((seen, action, episodes.reward.unsqueeze(-1), after), -1).flatten(1, 3)

    def no_context(self, n_tasks: int) -> Tensor:
        """What is known of a task before its first batch: (T, C) zeros."""
        return next(self.parameters()).new_zeros(n_tasks, self.config.context)

    def encode(self, transitions: Tensor, mask: Tensor) -> Tensor:
        """Context (T, C): the mean encoding of each task's live steps. transitions (T, M, F), mask (T, N, H)."""
        live = mask.flatten(1).unsqueeze(-1)  # (T, M, 1)
        mean, square = self.moments
        scaled = (transitions - mean) / (square - mean**2).clamp_min(1e-6).sqrt()
        return (self.encoder(scaled) * live).sum(1) / live.sum(1).clamp_min(1)

    def generate(self, context: Tensor) -> Parameters:
        """base + G(context): every task's parameters (T, ...) from its context (T, C)."""
        base = self.network.parameters_by_name()
        moves = self.generator(context).split([p.numel() for p in base.values()], dim=-1)
        return {k: p + move.view(-1, *p.shape) for (k, p), move in zip(base.items(), moves, strict=True)}

    def stages(self, transitions: Tensor, batches: list[Samples]) -> list[Parameters]:
        """[theta_0, ..., theta_n] as functions of phi: what acted each of the batches."""
        stages = [self.generate(self.no_context(len(transitions)))]
        stages.append(self.generate(self.encode(transitions, batches[0].mask)))
        for samples, size in zip(batches[1:-1], self.how.step_sizes, strict=False):
            rates = self.how.rates(stages[-1], stages[-1])
            stages.append(inner_step(self.how, stages[-1], samples, size, rates, not self.how.first_order))
        return stages

    def objective(self, transitions: Tensor, batches: list[Samples]) -> tuple[Tensor, Tensor]:
        """Mean over the stages of the clipped-ratio objective, and of the KL from what acted: (T,) each."""
        gains, kls = [], []
        for parameters, s in zip(self.stages(transitions, batches), batches, strict=True):
            log_prob = log_probability(self.how.policy, parameters, s)
            ratio = (log_prob - acted_log_probability(s, log_prob)).exp()
            gains.append((clipped_ratio(ratio, s.advantage, self.config.clip) * s.mask).sum((1, 2)) / s.live)
            with torch.no_grad():
                kls.append(mean_kl(s.acted, self.how.policy(parameters, s.observation), s.mask))
        return torch.stack(gains).mean(0), torch.stack(kls).mean(0)

    def note(self, transitions: Tensor, mask: Tensor) -> None:
        """Let the running moments of the encoder's input follow a batch."""
        rows = transitions[mask]
        self.moments += _FOLLOW * (torch.stack((rows.mean(0), rows.square().mean(0))) - self.moments)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        c, losses = self.config, []
        acted, batches = inner_loop(self, family, tasks, 1 + c.inner_steps, generator)
        parts = parts_of(batches, c.piece)
        transitions = self.transitions(acted[0]).split([len(part[0].mask) for part in parts])
        for _ in range(c.epochs):
            self.optimizer.zero_grad()
            losses.append(torch.zeros(2, device=self.device))
            for rows, part in zip(transitions, parts, strict=True):
                gain, kl = (x.sum() / len(acted[0].reward) for x in self.objective(rows, part))
                (-gain).backward()
                losses[-1] += torch.stack((-gain.detach(), kl))
            self.optimizer.step()
        self.note(torch.cat(transitions), acted[0].mask.flatten(1, 3))
        values = {"loss": losses[0][0].item(), "kl": losses[-1][1].item()}
        return trial_metrics(acted, values | {"return_generated": acted[1].returns.mean().item()})
