"""In-context reinforcement learning: a transformer whose memory is the trial itself.

Mode "actor_critic", in the manner of AMAGO (Grigsby et al. 2023, arXiv 2310.09971): whole trials from a replay buffer,
one causal transformer over all their episodes, and on it a policy and an ensemble of critics for each of several
discounts, trained together. Mode "supervised", the decision-pretrained transformer (Lee et al. 2023, arXiv
2306.14892): the policy head learns by cross-entropy which action is optimal in the hidden task, at every step of every
trial. What it can know of that is the posterior given the history, so that sampling it is posterior sampling.

Both modes act, store whole trials and read them in one way; they differ in one loss each (``_actor_critic_loss``,
``_imitation_loss``). Axes beside the usual: L steps of a trial, B trials, G discounts, N critics of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.base import State, encode_seen, encoded_size, sequences
from metarl_lab.nets.discounted_heads import ActorHeads, CriticHeads, Policy, draw, follow, frozen, imitation, judged
from metarl_lab.nets.transformer import TransformerCore
from metarl_lab.ops.descent import descend
from metarl_lab.ops.live import live_mean
from metarl_lab.ops.td import trial_targets
from metarl_lab.replay import Replay
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_choice, check_positive
from metarl_lab.types import Episodes, Memory, Metrics, Seen, Spec


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


class Reading(NamedTuple):
    """What the network makes of whole trials: at each step, of all that was seen up to it and of nothing later."""

    out: Tensor  # (L, B, hidden)
    policy: Policy  # (L, B, G[, A])
    choice: Tensor  # (L, B, G, A), what the policy would do, as the critics read it
    entropy: Tensor  # (L, B, G), of the policy, nats


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
        steps = (config.episodes or spec.episodes) * spec.horizon
        context = config.context or steps
        self.core = TransformerCore(encoded_size(spec), config.hidden, config.layers, config.heads, context)
        self.core.reset_parameters()
        discounts = len(config.discounts)
        self.actor = ActorHeads(spec, config.hidden, config.hidden, discounts)
        self.critic = CriticHeads(spec, config.hidden, config.hidden, discounts, config.critics)
        self.target_core = frozen(self.core)
        self.target_critic = frozen(self.critic)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate, eps=1e-5)
        self.replay = Replay(config.capacity)
        self.register_buffer("discounts", torch.tensor(config.discounts), persistent=False)
        self.register_buffer("value_scale", torch.zeros(discounts))  # the critics' unit: returns' spread; 0, not known

    def begin(self, n_tasks: int, copies: int) -> InContextMemory:
        """An empty history; nobody acts at random."""
        state = tuple(part.unflatten(0, (n_tasks, copies)) for part in self.core.initial(n_tasks * copies))
        return InContextMemory(state, torch.zeros(n_tasks, copies, dtype=torch.bool, device=self.device))

    def act(self, memory: InContextMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, InContextMemory]:
        """One step: what was seen joins the history, and the last discount's policy acts on all of it."""
        lead = seen.reward.shape  # (T, E), which are B = T E trials to the transformer
        inputs = encode_seen(self.spec, seen).flatten(0, 1)
        history = tuple(part.flatten(0, 1) for part in memory.state)
        out, longer_history = self.core.step(inputs, history)
        action = self.actor.act(out.unflatten(0, lead), noise, memory.random)
        state = tuple(part.unflatten(0, lead) for part in longer_history)
        return action, InContextMemory(state, memory.random)

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return memory  # the cache took everything in as it happened

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        """One iteration: act whole trials, store them, and take gradient steps on trials of the buffer."""
        # Act one trial of each task, some of them at random: so the buffer never lacks what the policy gave up.
        trial = begin(self, family, tasks)
        uniform = torch.rand(trial.reward.shape, generator=generator, device=self.device)
        memory = trial.memory._replace(random=uniform < self.config.random_share)
        episodes_per_trial = self.config.episodes or self.spec.episodes
        episodes, _ = collect(self, family, tasks, trial._replace(memory=memory), generator, episodes_per_trial)

        # Store them; in supervised mode with the label of each step, the action that was optimal in the hidden task.
        self.replay.add(self._rows(family, tasks, episodes))

        # Gradient steps, off-policy: on trials that older policies acted.
        reported: list[dict[str, Tensor]] = []
        for _ in range(self.config.gradient_steps):
            rows = self.replay.sample(self.config.batch, generator)
            batch = {key: column.transpose(0, 1) for key, column in rows.items()}  # (L, B, ...): steps first
            loss, terms = self._loss(batch, generator)
            descend(self.optimizer, loss, self.config.max_grad_norm)
            follow(self.target_core, self.core, self.config.follow_share)
            follow(self.target_critic, self.critic, self.config.follow_share)
            reported.append({"loss": loss.detach()} | terms)

        scores = episodes.returns.mean(1)  # (T, K), over E
        acted = {"return": scores.mean().item(), "env_steps": episodes.env_steps}
        return Metrics(acted | _means(reported), scores)

    def _rows(self, family: TaskFamily, tasks: Tasks, episodes: Episodes) -> dict[str, Tensor]:
        """Whole trials as the replay keeps them, each (T, L, ...)."""
        batch = sequences(self.spec, episodes, family.training_reward(tasks, episodes))._asdict()
        if self.config.mode == "supervised":
            labelled = episodes._replace(action=_best_actions(family, tasks, episodes))
            batch["best"] = sequences(self.spec, labelled).action  # laid out as the actions taken are
        return {key: column.transpose(0, 1) for key, column in batch.items()}

    def _loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the mode, and its terms without a gradient; means over live steps. batch: (L, B, ...) each."""
        if self.config.mode == "supervised":
            return self._imitation_loss(batch, generator)
        return self._actor_critic_loss(batch, generator)

    def _imitation_loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """DPT's: - log pi(a* | history) of the action a* that is optimal in the hidden task, at every step."""
        reading = self._read(batch, generator)
        best = self.actor.choice(batch["best"])  # (L, B, A)
        loss = live_mean(imitation(reading.policy, best), batch["live"])
        return loss, {"entropy": live_mean(reading.entropy, batch["live"]).detach()}

    def _actor_critic_loss(
        self, batch: dict[str, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """AMAGO's: (Q(h_t, a_t) - y_t)^2 of the critics, and - Q(h_t, pi) of the policy, for every discount at once.

        h_t is what the transformer makes of the history. Both errors train it; the policy's stops at the critics.
        """
        live = batch["live"]
        reading = self._read(batch, generator)

        # y_t, and the unit in which the critics predict it
        target = self._targets(batch, reading.choice)  # (L, B, G), in units of reward
        self._rescale(target[live])

        # critics: N of them for each discount, fitted to one target
        taken = self.actor.choice(batch["action"]).unsqueeze(-2)  # (L, B, 1, A): the same action for every discount
        q = self.critic(reading.out, taken)  # (N, L, B, G)
        critic_error = (q - target / self.value_scale).square().mean(0)  # (L, B, G)
        critic_loss = live_mean(critic_error, live)

        # actor: what the critics say of the policy's own choice, and its entropy
        value = judged(self.critic, reading.out, reading.choice).mean(0)  # (L, B, G)
        entropy_bonus = self.config.entropy / self.value_scale * reading.entropy
        policy_loss = -live_mean(value + entropy_bonus, live)

        loss = critic_loss + policy_loss
        terms = {
            "critic_loss": critic_loss.detach(),
            "policy_loss": policy_loss.detach(),
            "entropy": live_mean(reading.entropy, live).detach(),
        }
        return loss, terms

    def _read(self, batch: dict[str, Tensor], generator: torch.Generator) -> Reading:
        """Unroll the transformer from each trial's first step, as when acting; the policies stand on what comes out."""
        length, trials = batch["live"].shape
        out, _ = self.core.unroll(batch["x"], self.core.initial(trials))
        policy = self.actor(out)
        noise = torch.rand((length, trials, *self.actor.choices), generator=generator, device=out.device)
        choice, entropy = draw(policy, noise)
        return Reading(out, policy, choice, entropy)

    @torch.no_grad()
    def _targets(self, batch: dict[str, Tensor], choice: Tensor) -> Tensor:
        """y_t = r_t + discount min_n Q'_n(h'_{t+1}, pi), what the critics are fitted to, (L, B, G), in units of reward.

        With ``lam`` above 0 the next y stands in for a share of Q' (``trial_targets``). Slowly following copies of
        transformer and critics value the policy's choice, and the lowest of them counts: a policy seeks out where a
        critic errs upwards.
        """
        trials = choice.shape[1]
        out, _ = self.target_core.unroll(batch["x"], self.target_core.initial(trials))
        lowest = self.target_critic(out, choice).amin(0)  # (L, B, G), in the critics' unit
        value = lowest * self.value_scale
        return trial_targets(batch["reward"], value, batch["live"], self.discounts, self.config.lam)

    @torch.no_grad()
    def _rescale(self, targets: Tensor) -> None:
        """The critics' unit follows the spread of their targets (steps, G), and no value that they predict changes: as
        in PopArt (1602.07714). The first batch sets it."""
        spread = targets.std(0).clamp_min(1e-2)
        old = torch.where(self.value_scale > 0, self.value_scale, spread)
        new = old.lerp(spread, 0.01)
        self.critic.scale_outputs(old / new)
        self.target_critic.scale_outputs(old / new)
        self.value_scale.copy_(new)


def _best_actions(family: TaskFamily, tasks: Tasks, episodes: Episodes) -> Tensor:
    """What was optimal in the hidden task at every step acted, laid out as ``episodes.action``."""
    observation = episodes.observation.flatten(1, 2)  # (T, E K, H, O)
    best = []
    for step in range(observation.shape[2]):
        action = family.best_action(tasks, observation[:, :, step], step)
        if action is None:
            raise ValueError(f"in_context: {family.name} has no best_action to learn from; use mode='actor_critic'")
        best.append(action)
    return torch.stack(best, 2).view_as(episodes.action)


def _means(reported: list[dict[str, Tensor]]) -> dict[str, float]:
    """The mean of each term over the gradient steps, in one read from the device."""
    names = reported[0].keys()
    table = torch.stack([torch.stack(list(step.values())) for step in reported])  # (steps, terms)
    return dict(zip(names, table.mean(0).tolist(), strict=True))


def _check(config: InContextConfig) -> None:
    """ValueError for a config that cannot work; the transformer checks its own sizes."""
    check_choice("in_context", "mode", config.mode, ("actor_critic", "supervised"))
    check_positive(
        "in_context",
        meta_batch=config.meta_batch,
        gradient_steps=config.gradient_steps,
        batch=config.batch,
        critics=config.critics,
        follow_share=config.follow_share,
        learning_rate=config.learning_rate,
        max_grad_norm=config.max_grad_norm,
    )
    _check_shares("random_share", config.random_share)
    _check_shares("lam", config.lam)
    _check_shares("follow_share", config.follow_share)
    if not config.discounts:
        raise ValueError("in_context: discounts () is not allowed; give at least one number from 0 to 1")
    _check_shares("discounts", *config.discounts)


def _check_shares(name: str, *values: float) -> None:
    """ValueError unless all ``values`` of a field lie between 0 and 1."""
    for value in values:
        if not 0 <= value <= 1:
            raise ValueError(f"in_context: {name} has {value}, which is not allowed; give numbers from 0 to 1")
