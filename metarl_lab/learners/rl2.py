"""RL2: the recurrent network is the learning algorithm (Duan et al. 2016, arXiv 1611.02779; Wang et al. 2016).

A GRU reads (observation, last action, last reward, episode start) and keeps its hidden state over all episodes of a
trial; PPO (Schulman et al. 2017) trains it to maximise the discounted return of the *whole trial*. Credit therefore
flows across episodes, which is what makes exploring in the first one pay, and stops at the end of the trial.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.recurrent import RecurrentActorCritic, Sequences, sequences
from metarl_lab.ops.ppo import normalised, ppo_terms, trial_advantages
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Memory, Metrics, Seen, Spec


@dataclass(frozen=True)
class RL2Config:
    """What can be chosen."""

    hidden: int = 64
    """GRU units."""
    meta_batch: int = 400
    """Tasks per iteration, one trial each."""
    episodes: int = 0
    """Episodes per trial K; 0 takes the family's own protocol."""
    discount: float = 0.99
    """Discount per step, over the whole trial."""
    lam: float = 0.3
    """GAE's lambda: 0 trusts the critic, 1 the returns. A small one gets learning off the ground."""
    late_discount: float | None = None
    """Where the discount has moved by ``decay_iterations``, linearly over their second half; None: it stays."""
    late_lam: float | None = None
    """The same for lambda. Larger late values credit exploration over long trials, once the critic is good."""
    learning_rate: float = 3e-3
    """Adam's step size at the start."""
    decay_iterations: int = 0
    """Over this many iterations the learning rate falls linearly to a twentieth, and ``late_discount`` and
    ``late_lam`` are reached; 0 keeps all as they are."""
    epochs: int = 4
    """Passes over each batch of trials."""
    minibatches: int = 8
    """Gradient steps per pass, each on its own share of the trials."""
    clip: float = 0.2
    """PPO's clip of the probability ratio, 1 -+ clip."""
    entropy: float = 0.003
    """Weight of the entropy bonus, per nat."""
    value_weight: float = 0.5
    """Weight of the squared value error (in units of the returns' variance)."""
    max_grad_norm: float = 1.0
    """Gradients longer than this are scaled down to it."""


class RL2Memory(NamedTuple):
    """The hidden state of each copy, (T, E, hidden)."""

    hidden: Tensor


class RL2(MetaLearner):
    """See the module's first lines. Memory: the GRU's hidden state."""

    name: ClassVar[str] = "rl2"
    source: ClassVar[str] = "Duan et al. 2016, arXiv 1611.02779; PPO: Schulman et al. 2017, arXiv 1707.06347"
    Config = RL2Config
    shares_memory = False

    def __init__(self, spec: Spec, config: RL2Config) -> None:
        super().__init__(spec, config)
        check_positive("rl2", hidden=config.hidden, meta_batch=config.meta_batch, minibatches=config.minibatches)
        check_positive("rl2", learning_rate=config.learning_rate, epochs=config.epochs, clip=config.clip)
        if config.minibatches > config.meta_batch:
            raise ValueError(f"rl2: minibatches={config.minibatches} must be at most meta_batch={config.meta_batch}")
        self.net = RecurrentActorCritic(spec, config.hidden)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate, eps=1e-5)
        # the critic predicts values in units of the returns' spread, which is not known beforehand
        self.register_buffer("value_scale", torch.ones(()))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.value_scale: Tensor
        self.updates: Tensor

    def begin(self, n_tasks: int, copies: int) -> RL2Memory:
        return RL2Memory(torch.zeros(n_tasks, copies, self.config.hidden, device=self.device))

    def act(self, memory: RL2Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, RL2Memory]:
        x = self.net.encode(seen).flatten(0, 1)
        hidden = self.net.step(x, memory.hidden.flatten(0, 1)).view_as(memory.hidden)
        return self.net.distribution(hidden).sample(noise), RL2Memory(hidden)

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return memory  # the hidden state took everything in as it happened

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        config = self.config
        trial = begin(self, family, tasks)
        episodes, _ = collect(self, family, tasks, trial, generator, config.episodes or self.spec.episodes)
        batch = sequences(self.net, episodes)
        log_prob, value = self._score(batch)  # of the network that acted
        advantage, target = self._advantages(batch, value)
        n = batch.reward.shape[1]
        sums: list[Tensor] = []
        for _ in range(config.epochs):
            for chosen in torch.randperm(n, generator=generator, device=generator.device).chunk(config.minibatches):
                piece = Sequences(*(y[:, chosen] for y in batch))
                loss, parts = self._loss(piece, log_prob[:, chosen], advantage[:, chosen], target[:, chosen])
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(self.parameters(), config.max_grad_norm)
                self.optimizer.step()
                sums.append(parts)
        self._decay()
        names = ("loss", "policy_loss", "value_loss", "entropy", "kl")
        values = dict(zip(names, torch.stack(sums).mean(0).tolist(), strict=True))
        scores = episodes.returns.mean((1, 2))
        return Metrics({"return": scores.mean().item(), "env_steps": episodes.env_steps, **values}, scores)

    @torch.no_grad()
    def _score(self, batch: Sequences) -> tuple[Tensor, Tensor]:
        """Log-probability of each action taken, and value of each step, (L, B)."""
        log_probs, values = [], []
        for x, action in zip(
            batch.x.chunk(self.config.minibatches, 1), batch.action.chunk(self.config.minibatches, 1), strict=True
        ):
            hidden = self.net.unroll(x, x.new_zeros(x.shape[1], self.config.hidden))
            log_probs.append(self.net.distribution(hidden).log_prob(action))
            values.append(self.net.value(hidden).squeeze(-1) * self.value_scale)
        return torch.cat(log_probs, 1), torch.cat(values, 1)

    def _advantages(self, batch: Sequences, value: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised advantages over the trial, and the critic's targets, (L, B)."""
        advantage = trial_advantages(batch.reward, value, batch.live, *self._horizon())
        target = advantage + value
        spread = target[batch.live].std().clamp_min(1e-3)
        # the first batch sets the scale, later ones move it slowly
        self.value_scale.lerp_(spread, 1.0 if int(self.updates) == 0 else 0.02)
        return normalised(advantage, batch.live), target

    def _loss(self, piece: Sequences, old: Tensor, advantage: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """PPO's clipped loss, means over live steps; the value error in units of the returns' spread."""
        config = self.config
        hidden = self.net.unroll(piece.x, piece.x.new_zeros(piece.x.shape[1], config.hidden))
        policy, value = self.net.distribution(hidden), self.net.value(hidden).squeeze(-1)
        target = target / self.value_scale
        terms = ppo_terms(policy, value, piece.action, old, advantage, target, piece.live, config.clip)
        loss = terms.policy_loss + config.value_weight * terms.value_loss - config.entropy * terms.entropy
        return loss, torch.stack((loss, *terms)).detach()

    def _horizon(self) -> tuple[float, float]:
        """The discount and lambda of this iteration."""
        c, late = self.config, max(2 * self._progress() - 1, 0.0)
        ends = (c.discount if c.late_discount is None else c.late_discount, c.lam if c.late_lam is None else c.late_lam)
        return c.discount + late * (ends[0] - c.discount), c.lam + late * (ends[1] - c.lam)

    def _progress(self) -> float:
        """How far the schedules have come, 0 to 1."""
        return min(int(self.updates) / self.config.decay_iterations, 1.0) if self.config.decay_iterations else 0.0

    def _decay(self) -> None:
        self.updates += 1
        rate = self.config.learning_rate * max(1 - self._progress(), 0.05)
        self.optimizer.param_groups[0]["lr"] = rate
