"""RL2: the recurrent network is the learning algorithm (Duan et al. 2016, arXiv 1611.02779; Wang et al. 2016).

A GRU, LSTM or transformer reads (observation, last action, last reward, episode start) and keeps its state over all
episodes of a trial; PPO (Schulman et al. 2017) trains it to maximise the discounted return of the *whole trial*. Credit
therefore flows across episodes, which is what makes exploring in the first one pay, and stops at the trial's end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.actor_critic import RecurrentActorCritic
from metarl_lab.nets.base import Core, Sequences, State, chosen_rows, encode_seen, encoded_size, segments, sequences
from metarl_lab.nets.recurrent import GRUCore, LSTMCore
from metarl_lab.nets.transformer import TransformerCore
from metarl_lab.ops.descent import descend
from metarl_lab.ops.ppo import normalised, ppo_terms, trial_advantages
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Memory, Metrics, Seen, Spec, map_tensors


@dataclass(frozen=True)
class RL2Config:
    """What can be chosen."""

    core: str = "gru"
    """What remembers: "gru", "lstm" or "transformer"."""
    hidden: int = 64
    """Units of the core."""
    layers: int = 2
    """Blocks of a transformer; the recurrent cores have one layer."""
    heads: int = 4
    """Attention heads of each block; ``hidden`` is a multiple of twice as many."""
    context: int = 0
    """Steps that a transformer's block looks back over, itself included; 0: a whole trial."""
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
    late_entropy: float | None = None
    """The same for ``entropy``. A large early one keeps every action tried until its use for the rest is learned."""
    learning_rate: float = 3e-3
    """Adam's step size at the start."""
    decay_iterations: int = 0
    """Over this many iterations the learning rate falls linearly to a twentieth, and the ``late_`` values are reached;
    0 keeps all as they are."""
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
    truncate: int = 0
    """Steps that a gradient flows back over; each segment starts from the state that acted there. 0: whole trials."""


class RL2Memory(NamedTuple):
    """The core's state of each copy, (T, E, ...)."""

    hidden: Tensor  # (T, E, hidden); of a transformer, the first block's keys and values
    rest: State = ()  # the LSTM's cell; the other blocks' keys and values, and how many steps were seen


def make_core(spec: Spec, config: RL2Config) -> Core:
    """The core that ``config`` asks for."""
    inputs, trial = encoded_size(spec), spec.horizon * (config.episodes or spec.episodes)
    if config.core in ("gru", "lstm"):
        return (GRUCore if config.core == "gru" else LSTMCore)(inputs, config.hidden)
    if config.core == "transformer":
        return TransformerCore(inputs, config.hidden, config.layers, config.heads, config.context or trial)
    raise ValueError(f"rl2: core={config.core!r} is not known; choose gru, lstm or transformer")


class RL2(MetaLearner):
    """See the module's first lines. Memory: the core's state."""

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
        if config.truncate < 0:
            raise ValueError(f"rl2: truncate={config.truncate} is not allowed; give steps, or 0 for whole trials")
        self.net = RecurrentActorCritic(spec, make_core(spec, config))
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate, eps=1e-5)
        # the critic predicts values in units of the returns' spread, which is not known beforehand
        self.register_buffer("value_scale", torch.ones(()))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.value_scale: Tensor
        self.updates: Tensor

    def begin(self, n_tasks: int, copies: int) -> RL2Memory:
        hidden, *rest = (y.unflatten(0, (n_tasks, copies)) for y in self.net.core.initial(n_tasks * copies))
        return RL2Memory(hidden, tuple(rest))

    def act(self, memory: RL2Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, RL2Memory]:
        x = encode_seen(self.spec, seen).flatten(0, 1)
        state = tuple(y.flatten(0, 1) for y in (memory.hidden, *memory.rest))
        out, state = self.net.core.step(x, state)
        out, hidden, *rest = (y.unflatten(0, seen.reward.shape) for y in (out, *state))
        return self.net.distribution(out).sample(noise), RL2Memory(hidden, tuple(rest))

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return memory  # the state took everything in as it happened

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        config = self.config
        trial = begin(self, family, tasks)
        episodes, _ = collect(self, family, tasks, trial, generator, config.episodes or self.spec.episodes)
        batch = sequences(self.spec, episodes, family.training_reward(tasks, episodes))
        log_prob, value, state = self._score(batch)  # of the network that acted
        steps = config.truncate or len(batch.x)
        cut = map_tensors(lambda y: segments(y, steps), (batch, log_prob, *self._advantages(batch, value)))
        rows = chosen_rows((*cut, state), cut[0].live.any(0))  # whole trials, or their segments, side by side
        sums: list[Tensor] = []
        for _ in range(config.epochs):
            order = torch.randperm(rows[1].shape[1], generator=generator, device=generator.device)
            for chosen in order.chunk(config.minibatches):
                loss, parts = self._loss(chosen_rows(rows, chosen))
                descend(self.optimizer, loss, config.max_grad_norm)
                sums.append(parts)
        self._decay()
        names = ("loss", "policy_loss", "value_loss", "entropy", "kl")
        values = dict(zip(names, torch.stack(sums).mean(0).tolist(), strict=True))
        scores = episodes.returns.mean(1)  # (T, K), over E
        return Metrics({"return": scores.mean().item(), "env_steps": episodes.env_steps, **values}, scores)

    @torch.no_grad()
    def _score(self, batch: Sequences) -> tuple[Tensor, Tensor, State]:
        """Log-probability of each action and value of each step, (L, B); state before each segment, (1, S B, ...)."""
        log_probs, values, states = [], [], []
        parts = self.config.minibatches
        for x, action in zip(batch.x.chunk(parts, 1), batch.action.chunk(parts, 1), strict=True):
            out, before = self.net.core.unroll_segments(x, self.config.truncate or len(x))
            log_probs.append(self.net.distribution(out).log_prob(action))
            values.append(self.net.value(out).squeeze(-1) * self.value_scale)
            states.append(before)
        state = tuple(torch.cat(y, 1).flatten(0, 1).unsqueeze(0) for y in zip(*states, strict=True))
        return torch.cat(log_probs, 1), torch.cat(values, 1), state

    def _advantages(self, batch: Sequences, value: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised advantages over the trial, and the critic's targets, (L, B)."""
        advantage = trial_advantages(batch.reward, value, batch.live, self._now("discount"), self._now("lam"))
        target = advantage + value
        spread = target[batch.live].std().clamp_min(1e-3)
        # the first batch sets the scale, later ones move it slowly
        self.value_scale.lerp_(spread, 1.0 if int(self.updates) == 0 else 0.02)
        return normalised(advantage, batch.live), target

    def _loss(self, rows: tuple[Sequences, Tensor, Tensor, Tensor, State]) -> tuple[Tensor, Tensor]:
        """PPO's clipped loss, means over live steps; the value error in units of the returns' spread."""
        config, (batch, old, advantage, target, state) = self.config, rows
        out, _ = self.net.core.unroll(batch.x, tuple(y[0] for y in state))
        policy, value = self.net.distribution(out), self.net.value(out).squeeze(-1)
        target = target / self.value_scale
        terms = ppo_terms(policy, value, batch.action, old, advantage, target, batch.live, config.clip)
        loss = terms.policy_loss + config.value_weight * terms.value_loss - self._now("entropy") * terms.entropy
        return loss, torch.stack((loss, *terms)).detach()

    def _now(self, name: str) -> float:
        """The discount, lambda or entropy weight of this iteration."""
        early, end = getattr(self.config, name), getattr(self.config, f"late_{name}")
        return float(early if end is None else early + max(2 * self._progress() - 1, 0.0) * (end - early))

    def _progress(self) -> float:
        """How far the schedules have come, 0 to 1."""
        return min(int(self.updates) / self.config.decay_iterations, 1.0) if self.config.decay_iterations else 0.0

    def _decay(self) -> None:
        self.updates += 1
        self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * max(1 - self._progress(), 0.05)
