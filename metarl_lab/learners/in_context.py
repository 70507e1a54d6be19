"""In-context reinforcement learning: a transformer whose memory is the trial itself.

Mode "actor_critic", in the manner of AMAGO (Grigsby et al. 2023, arXiv 2310.09971): whole trials from a replay buffer,
one causal transformer over all their episodes, and on it a policy and an ensemble of critics for each of several
discounts, trained together. Mode "supervised", the decision-pretrained transformer (Lee et al. 2023, arXiv
2306.14892): the policy head learns by cross-entropy which action is optimal in the hidden task, at every step of every
trial. What it can know of that is the posterior given the history, so that sampling it is posterior sampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.base import State, encode_seen, encoded_size, sequences
from metarl_lab.nets.discounted_heads import ActorHeads, CriticHeads, draw, follow, frozen, imitation, judged
from metarl_lab.nets.transformer import TransformerCore
from metarl_lab.ops.descent import descend
from metarl_lab.ops.live import live_mean
from metarl_lab.ops.td import trial_targets
from metarl_lab.replay import Replay
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Memory, Metrics, Seen, Spec

_MODES = ("actor_critic", "supervised")


@dataclass(frozen=True)
class InContextConfig:
    """What can be chosen."""

    mode: str = "actor_critic"
    """"actor_critic": learns from reward; "supervised": from optimal actions, of families that know them."""
    hidden: int = 64
    """Features of the transformer, and units of the heads."""
    layers: int = 2
    """Transformer layers."""
    heads: int = 4
    """Attention heads of each layer."""
    context: int = 0
    """Steps that attention looks back over, its own among them; 0: the whole trial."""
    meta_batch: int = 32
    """Tasks per iteration, one trial each."""
    episodes: int = 0
    """Episodes per trial K; 0 takes the family's own protocol."""
    random_share: float = 0.0
    """Share of the trials that are acted by uniformly random actions, so that the buffer never lacks them."""
    capacity: int = 1000
    """Trials that the replay buffer keeps."""
    gradient_steps: int = 8
    """Gradient steps per iteration."""
    batch: int = 16
    """Trials per gradient step."""
    discounts: tuple[float, ...] = (0.9, 0.99)
    """Discounts per step, over the whole trial: a policy and critics for each. The last one's policy acts."""
    lam: float = 0.0
    """0: targets look one step ahead, as AMAGO's do; above it, Peng's Q(lambda): faster, and biased by old data."""
    critics: int = 2
    """Critics of each discount; targets are the lowest of their values."""
    follow_share: float = 0.01
    """How far the target networks, transformer and critics, move after each gradient step."""
    entropy: float = 0.05
    """Weight of the policy's entropy bonus, in units of reward per nat; the critics do not count it."""
    learning_rate: float = 1e-3
    """Adam's step size."""
    max_grad_norm: float = 1.0
    """Gradients longer than this are scaled down to it."""


class InContextMemory(NamedTuple):
    """The trial so far, as the transformer's cache of keys and values; who acts at random (training only)."""

    state: State  # each (T, E, ...)
    random: Tensor  # (T, E) bool


class InContext(MetaLearner):
    """See the module's first lines. Memory: the history of the trial, as cached keys and values."""

    name: ClassVar[str] = "in_context"
    source: ClassVar[str] = "AMAGO: Grigsby et al. 2023, arXiv 2310.09971; DPT: Lee et al. 2023, arXiv 2306.14892"
    Config = InContextConfig
    shares_memory = False
    discounts: Tensor
    value_scale: Tensor

    def __init__(self, spec: Spec, config: InContextConfig) -> None:
        super().__init__(spec, config)
        _check(config)
        g, steps = len(config.discounts), (config.episodes or spec.episodes) * spec.horizon
        sizes = (config.hidden, config.layers, config.heads, config.context or steps)
        self.core = TransformerCore(encoded_size(spec), *sizes)
        self.core.reset_parameters()
        self.actor = ActorHeads(spec, config.hidden, config.hidden, g)
        self.critic = CriticHeads(spec, config.hidden, config.hidden, g, config.critics)
        self.target_core, self.target_critic = frozen(self.core), frozen(self.critic)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate, eps=1e-5)
        self.replay = Replay(config.capacity)
        self.register_buffer("discounts", torch.tensor(config.discounts), persistent=False)
        self.register_buffer("value_scale", torch.zeros(g))  # the critics' unit: spread of returns; 0, not known

    def begin(self, n_tasks: int, copies: int) -> InContextMemory:
        state = tuple(x.unflatten(0, (n_tasks, copies)) for x in self.core.initial(n_tasks * copies))
        return InContextMemory(state, torch.zeros(n_tasks, copies, dtype=torch.bool, device=self.device))

    def act(self, memory: InContextMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, InContextMemory]:
        lead = seen.reward.shape  # (T, E)
        x = encode_seen(self.spec, seen).flatten(0, 1)
        out, state = self.core.step(x, tuple(y.flatten(0, 1) for y in memory.state))
        action = self.actor.act(out.unflatten(0, lead), noise, memory.random)
        return action, InContextMemory(tuple(y.unflatten(0, lead) for y in state), memory.random)

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return memory  # the cache took everything in as it happened

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        config, sums = self.config, []
        trial = begin(self, family, tasks)
        uniform = torch.rand(trial.reward.shape, generator=generator, device=self.device)
        trial.memory.random.copy_(uniform < config.random_share)
        episodes, _ = collect(self, family, tasks, trial, generator, config.episodes or self.spec.episodes)
        self.replay.add(self._rows(family, tasks, episodes))
        for _ in range(config.gradient_steps):
            rows = self.replay.sample(config.batch, generator)
            loss, parts = self._loss({key: x.transpose(0, 1) for key, x in rows.items()}, generator)
            descend(self.optimizer, loss, config.max_grad_norm)
            follow(self.target_core, self.core, config.follow_share)
            follow(self.target_critic, self.critic, config.follow_share)
            sums.append(torch.stack((loss, *parts.values())).detach())
        values, scores = torch.stack(sums).mean(0).tolist(), episodes.returns.mean(1)
        named = dict(zip(("loss", *parts), values, strict=True))
        return Metrics({"return": scores.mean().item(), "env_steps": episodes.env_steps, **named}, scores)

    def _rows(self, family: TaskFamily, tasks: Tasks, episodes: Episodes) -> dict[str, Tensor]:
        """Whole trials as the replay keeps them, each (T, L, ...)."""
        batch = sequences(self.spec, episodes, family.training_reward(tasks, episodes))._asdict()
        if self.config.mode == "supervised":
            labelled = episodes._replace(action=_best_actions(family, tasks, episodes))
            batch["best"] = sequences(self.spec, labelled).action  # laid out as the actions taken are
        return {key: x.transpose(0, 1) for key, x in batch.items()}

    def _loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and its parts, means over live steps. batch: (L, B, ...) each."""
        live = batch["live"]
        out, _ = self.core.unroll(batch["x"], self.core.initial(live.shape[1]))
        policy = self.actor(out)
        noise = torch.rand((*live.shape, *self.actor.choices), generator=generator, device=live.device)
        choice, entropy = draw(policy, noise)  # (L, B, G, A), (L, B, G)
        if self.config.mode == "supervised":
            loss = live_mean(imitation(policy, self.actor.choice(batch["best"])), live)
            return loss, {"entropy": live_mean(entropy, live)}
        goal = self._targets(batch, choice) / self.value_scale  # which the targets just moved
        taken = self.critic(out, self.actor.choice(batch["action"]).unsqueeze(-2))  # (N, L, B, G)
        critic_loss = live_mean((taken - goal).square().mean(0), live)
        gain = judged(self.critic, out, choice).mean(0) + self.config.entropy / self.value_scale * entropy
        policy_loss = -live_mean(gain, live)
        parts = {"critic_loss": critic_loss, "policy_loss": policy_loss, "entropy": live_mean(entropy, live)}
        return critic_loss + policy_loss, parts

    @torch.no_grad()
    def _targets(self, batch: dict[str, Tensor], choice: Tensor) -> Tensor:
        """What the critics are fitted to, (L, B, G); their scale follows its spread, as in PopArt (1602.07714)."""
        out, _ = self.target_core.unroll(batch["x"], self.target_core.initial(choice.shape[1]))
        value = self.target_critic(out, choice).amin(0) * self.value_scale
        goal = trial_targets(batch["reward"], value, batch["live"], self.discounts, self.config.lam)
        spread = goal[batch["live"]].std(0).clamp_min(1e-2)
        old = torch.where(self.value_scale > 0, self.value_scale, spread)
        new = old.lerp(spread, 0.01)
        for critic in (self.critic, self.target_critic):
            critic.scale_outputs(old / new)  # so that no value predicted changes
        self.value_scale.copy_(new)
        return goal


def _best_actions(family: TaskFamily, tasks: Tasks, episodes: Episodes) -> Tensor:
    """What was optimal in the hidden task at every step acted, laid out as ``episodes.action``."""
    observation = episodes.observation.flatten(1, 2)  # (T, E K, H, O)
    steps = [family.best_action(tasks, observation[:, :, h], h) for h in range(observation.shape[2])]
    known = [step for step in steps if step is not None]
    if len(known) < len(steps):
        raise ValueError(f"in_context: {family.name} has no best_action to learn from; use mode='actor_critic'")
    return torch.stack(known, 2).view_as(episodes.action)


def _check(config: InContextConfig) -> None:
    if config.mode not in _MODES:
        raise ValueError(f"in_context: mode={config.mode!r} is not known; choose one of {', '.join(map(repr, _MODES))}")
    names = ("meta_batch", "gradient_steps", "batch", "critics", "follow_share", "learning_rate", "max_grad_norm")
    check_positive("in_context", **{name: getattr(config, name) for name in names})
    shares = [("random_share", config.random_share), ("lam", config.lam), ("follow_share", config.follow_share)]
    for name, x in shares + [("discounts", x) for x in config.discounts or (-1,)]:
        if not 0 <= x <= 1:
            raise ValueError(f"in_context: {name} {getattr(config, name)!r} is not allowed; give numbers from 0 to 1")
