"""Hypernetwork: a small network reads what a task showed and writes the task's whole policy, theta(phi)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from metarl_lab.inner_loop import LookThroughConfig, check_config, inner_loop, parts_of, step_sizes, trial_metrics
from metarl_lab.learners.base import PerTaskPolicy
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
)
from metarl_lab.ops.meta_curvature import mean_kl
from metarl_lab.ops.surrogates import clipped_ratio, surrogate_named
from metarl_lab.ops.transitions import next_observations
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Metrics, Spec

_FOLLOW = 0.1  # share of the way that the moments of the encoder's input go to those of a batch, per iteration


@dataclass(frozen=True)
class HypernetworkConfig(LookThroughConfig):
    """What can be chosen."""

    inner_steps: int = 1
    """Policy-gradient steps after the generated policy that meta-training looks through; 0 trains the generator."""
    surrogate: str = "naive"
    """What the inner step differentiates: "naive", "dice", "loaded_dice" or "lvc", as ``maml``'s."""
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


class Hypernetwork(PerTaskPolicy):
    """max_phi mean_k E[ R_i(theta_k) ]: theta_0 = base + G(0), theta_1 = base + G(c_i), theta_{k+1} = theta_k + alpha
    grad R_i(theta_k).

    The context c_i is the mean over all live steps of the first batch of an encoding of (observation, action, reward,
    next observation), so the order of steps and episodes does not matter. phi = (base, encoder, G) is trained by PPO on
    what every stage acted, the first one too, and through the inner steps. Memory: each task's own parameters.

    The sources give the parts: a network that writes another's weights, and in meta-RL the shared policy as its bias.
    The trial that they stand in here (generate from the first batch, then inner steps as MAML's) is ours, so there is
    no published algorithm to number the steps of ``update`` by.
    """

    name: ClassVar[str] = "hypernetwork"
    moments: Tensor  # (2, F): running mean and mean square of a transition's features
    source: ClassVar[str] = "Ha, Dai & Le 2017, arXiv 1609.09106; in meta-RL Beck et al. 2022, arXiv 2210.11348"
    Config = HypernetworkConfig

    def __init__(self, spec: Spec, config: HypernetworkConfig) -> None:
        # no inner step at all is allowed here, and nowhere else: the generator alone adapts then
        adapts_once = config if config.inner_steps != 0 else replace(config, inner_steps=1)
        check_config(self.name, adapts_once)
        check_positive(self.name, context=config.context, units=config.units, generator_gain=config.generator_gain)
        super().__init__(spec, config)
        sizes = step_sizes(config)[: config.inner_steps]
        surrogate = surrogate_named(config.surrogate)
        self.how = Adaptation(self.network.per_task, sizes, surrogate, config.first_order)
        # (observation, action, reward, next observation) of one step -> its part of the context
        features = spec.observation_size + spec.action_size + 1 + spec.observation_size
        self.encoder = nn.Sequential(
            nn.Linear(features, config.units), nn.Tanh(), nn.Linear(config.units, config.context)
        )
        # context -> what to add to each parameter of the shared policy, which is the bias of the last layer
        written = sum(p.numel() for p in self.network.parameters())
        last_layer = nn.Linear(config.units, written, bias=False)
        nn.init.xavier_uniform_(last_layer.weight, config.generator_gain)
        self.generator = nn.Sequential(nn.Linear(config.context, config.units), nn.Tanh(), last_layer)
        self.register_buffer("moments", torch.stack((torch.zeros(features), torch.ones(features))))
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)

    def begin(self, n_tasks: int, copies: int) -> Adapted:
        """Every task starts from theta_0, the policy of the empty context."""
        of_one_task = self.generate(self.no_context(1))
        return fresh(self.how, {name: p[0] for name, p in of_one_task.items()}, n_tasks)

    def absorb(self, memory: Adapted, episodes: Episodes) -> Adapted:
        """A trial's first batch generates each task's parameters; every later one moves them by one inner step."""
        samples = self.samples(episodes)
        with torch.no_grad():
            generated = self.generate(self.encode(self.transitions(episodes), samples.mask))
        inner_steps_taken = memory._replace(absorbed=memory.absorbed - 1)  # the first batch was no inner step
        sizes = (self.config.inner_step, self.config.later_inner_step)
        stepped = adapt(self.how, memory.parameters, inner_steps_taken, samples, sizes).parameters
        parameters = {}
        for name, moved in stepped.items():
            is_first = (memory.absorbed == 0).view(-1, *[1] * (moved.ndim - 1))  # (T, 1, ...)
            parameters[name] = torch.where(is_first, generated[name], moved)
        return Adapted(parameters, memory.absorbed + 1)

    def transitions(self, episodes: Episodes) -> Tensor:
        """(observation, action, reward, next observation) of every step as one row, (T, M, F)."""
        observation, action = episodes.observation, episodes.action
        if self.spec.discrete:
            action = nn.functional.one_hot(action, self.spec.action_size).to(observation.dtype)
        else:
            action = self.network.box.to_unit(action)
        following, _ = next_observations(episodes)
        return torch.cat((observation, action, episodes.reward.unsqueeze(-1), following), -1).flatten(1, 3)

    def no_context(self, n_tasks: int) -> Tensor:
        """What is known of a task before its first batch: (T, C) zeros."""
        return next(self.parameters()).new_zeros(n_tasks, self.config.context)

    def encode(self, transitions: Tensor, mask: Tensor) -> Tensor:
        """Context (T, C): the mean encoding of each task's live steps. transitions (T, M, F), mask (T, N, H)."""
        live = mask.flatten(1).unsqueeze(-1)  # (T, M, 1)
        mean, mean_square = self.moments
        std = (mean_square - mean**2).clamp_min(1e-6).sqrt()
        encoding = self.encoder((transitions - mean) / std)  # (T, M, C)
        return (encoding * live).sum(1) / live.sum(1).clamp_min(1)

    def generate(self, context: Tensor) -> Parameters:
        """base + G(context): every task's parameters (T, ...) from its context (T, C)."""
        base = self.network.parameters_by_name()
        written = self.generator(context)  # (T, P), all parameters end to end
        moves = written.split([p.numel() for p in base.values()], dim=-1)
        parameters = {}
        for (name, shared), move in zip(base.items(), moves, strict=True):
            parameters[name] = shared + move.view(-1, *shared.shape)
        return parameters

    def stages(self, transitions: Tensor, batches: list[Samples]) -> list[Parameters]:
        """[theta_0, ..., theta_n] as functions of phi: what acted each of the batches."""
        theta_0 = self.generate(self.no_context(len(transitions)))
        theta_1 = self.generate(self.encode(transitions, batches[0].mask))
        stages = [theta_0, theta_1]
        for samples, size in zip(batches[1:-1], self.how.step_sizes, strict=True):
            theta = stages[-1]
            rates = self.how.rates(theta, theta)
            stages.append(inner_step(self.how, theta, samples, size, rates, create_graph=not self.how.first_order))
        return stages

    def objective(self, transitions: Tensor, batches: list[Samples]) -> tuple[Tensor, Tensor]:
        """Mean over the stages of the clipped-ratio objective, and of the KL from what acted: (T,) each."""
        gains, kls = [], []
        for parameters, samples in zip(self.stages(transitions, batches), batches, strict=True):
            log_prob = log_probability(self.how.policy, parameters, samples)
            ratio = (log_prob - acted_log_probability(samples, log_prob)).exp()
            gain = clipped_ratio(ratio, samples.advantage, self.config.clip)  # (T, N, H)
            gains.append((gain * samples.mask).sum((1, 2)) / samples.live)
            with torch.no_grad():
                now = self.how.policy(parameters, samples.observation)
                kls.append(mean_kl(samples.acted, now, samples.mask))
        return torch.stack(gains).mean(0), torch.stack(kls).mean(0)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        """Act one trial of every task; then PPO on all of its stages, through the networks that made them."""
        config = self.config
        # 1. Act the trial: a batch at theta_0, one at the generated theta_1, and one after each inner step.
        acted, batches = inner_loop(self, family, tasks, 1 + config.inner_steps, generator)
        parts = parts_of(batches, config.piece)
        transitions = self.transitions(acted[0])  # what each task's context is made of
        transitions_of_parts = transitions.split([len(part[0].mask) for part in parts])

        # 2. Several gradient steps on phi, on these same batches; the ratio to what acted is clipped.
        n_tasks = len(transitions)
        losses, kls = [], []  # of each epoch, before its step
        for _ in range(config.epochs):
            self.optimizer.zero_grad()
            loss_of_all, kl_of_all = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
            for rows, part in zip(transitions_of_parts, parts, strict=True):
                gain, kl = self.objective(rows, part)
                loss = -gain.sum() / n_tasks
                loss.backward()  # gradients of the parts add up
                loss_of_all += loss.detach()
                kl_of_all += kl.sum() / n_tasks
            self.optimizer.step()
            losses.append(loss_of_all)
            kls.append(kl_of_all)

        # 3. The scale of the encoder's input follows the data, after the update: what acted must be what was trained.
        self.follow_moments(transitions, acted[0].mask.flatten(1, 3))
        return trial_metrics(
            acted,
            {
                "loss": losses[0].item(),
                "kl": kls[-1].item(),
                "return_generated": acted[1].returns.mean().item(),
            },
        )

    def follow_moments(self, transitions: Tensor, mask: Tensor) -> None:
        """Let the running moments of the encoder's input follow a batch. transitions (T, M, F), mask (T, M) bool."""
        rows = transitions[mask]
        of_batch = torch.stack((rows.mean(0), rows.square().mean(0)))
        self.moments += _FOLLOW * (of_batch - self.moments)
