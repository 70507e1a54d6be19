"""RL2: the recurrent network is the learning algorithm (Duan et al. 2016, arXiv 1611.02779; Wang et al. 2016).

A GRU, LSTM or transformer reads (observation, last action, last reward, episode start) and keeps its state over all
episodes of a trial; PPO (Schulman et al. 2017, arXiv 1707.06347) trains it to maximise the discounted return of the
*whole trial*. Credit therefore flows across episodes, which is what makes exploring in the first one pay, and stops at
the trial's end.

RL2 has no box of its own: a trial is to it what an episode is to ordinary RL. Comments in ``update`` quote the steps of
PPO's algorithm 1 ("actor-critic style").
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
from metarl_lab.ops.ppo import PPOTerms, follow_spread, normalised, ppo_terms, trial_advantages
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


class Rows(NamedTuple):
    """What PPO draws its minibatches from: R trials side by side, or their segments, each L steps long."""

    batch: Sequences  # (L, R, ...)
    acted_log_prob: Tensor  # (L, R), of each action when it was acted
    advantage: Tensor  # (L, R), normalised
    target: Tensor  # (L, R), what the critic is fitted to, in units of reward
    state: State  # (1, R, ...) each, the state that acted the row's first step


class Schedule(NamedTuple):
    """What may move while training goes on, as it is in this iteration."""

    discount: float
    lam: float
    entropy: float


def make_core(spec: Spec, config: RL2Config) -> Core:
    """The core that ``config`` asks for."""
    inputs = encoded_size(spec)
    if config.core == "gru":
        return GRUCore(inputs, config.hidden)
    if config.core == "lstm":
        return LSTMCore(inputs, config.hidden)
    if config.core == "transformer":
        trial = spec.horizon * (config.episodes or spec.episodes)
        return TransformerCore(inputs, config.hidden, config.layers, config.heads, config.context or trial)
    raise ValueError(f"rl2: core={config.core!r} is not known; choose gru, lstm or transformer")


class RL2(MetaLearner):
    """See the module's first lines. Memory: the core's state."""

    name: ClassVar[str] = "rl2"
    source: ClassVar[str] = "Duan et al. 2016, arXiv 1611.02779; PPO: Schulman et al. 2017, arXiv 1707.06347"
    Config = RL2Config
    shares_memory = False
    value_scale: Tensor
    updates: Tensor

    def __init__(self, spec: Spec, config: RL2Config) -> None:
        super().__init__(spec, config)
        _check(config)
        self.net = RecurrentActorCritic(spec, make_core(spec, config))
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate, eps=1e-5)
        # the critic predicts values in units of the returns' spread, which is not known beforehand
        self.register_buffer("value_scale", torch.ones(()))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def begin(self, n_tasks: int, copies: int) -> RL2Memory:
        """The core's state before anything was seen: the only one that does not come from the trial itself."""
        hidden, *rest = (part.unflatten(0, (n_tasks, copies)) for part in self.net.core.initial(n_tasks * copies))
        return RL2Memory(hidden, tuple(rest))

    def act(self, memory: RL2Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, RL2Memory]:
        """One step of the core: its state takes in what was seen, and the policy acts on what comes out."""
        lead = seen.reward.shape  # (T, E), which are B = T E trials to the core
        inputs = encode_seen(self.spec, seen).flatten(0, 1)
        before = tuple(part.flatten(0, 1) for part in (memory.hidden, *memory.rest))
        out, after = self.net.core.step(inputs, before)
        policy = self.net.distribution(out.unflatten(0, lead))
        hidden, *rest = (part.unflatten(0, lead) for part in after)
        return policy.sample(noise), RL2Memory(hidden, tuple(rest))

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return memory  # the state took everything in as it happened

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        """One iteration of PPO's algorithm 1, with whole trials in the place of episodes."""
        # "Run policy pi_old": one trial of each task, the core's state carried over all of its episodes.
        trial = begin(self, family, tasks)
        episodes_per_trial = self.config.episodes or self.spec.episodes
        episodes, _ = collect(self, family, tasks, trial, generator, episodes_per_trial)
        batch = sequences(self.spec, episodes, family.training_reward(tasks, episodes))  # (L, B, ...), end to end

        # What pi_old gave each action, what its critic expected, and the states it acted from. This comes before any
        # gradient step, so that the probability ratio starts at 1.
        acted_log_prob, value, states = self._score(batch)

        # "Compute advantage estimates": over the whole trial, so that exploring is credited with what it earns later.
        advantage, target = self._advantages(batch, value)
        follow_spread(self.value_scale, target[batch.live], first=int(self.updates) == 0)
        rows = self._rows(batch, acted_log_prob, normalised(advantage, batch.live), target, states)

        # "Optimize surrogate L", in some epochs of minibatches: each of whole rows, because a step cannot be trained
        # without the steps that led to its state.
        entropy_weight = self._schedule().entropy
        steps: list[Tensor] = []
        for _ in range(self.config.epochs):
            order = torch.randperm(rows.target.shape[1], generator=generator, device=generator.device)
            for chosen in order.chunk(self.config.minibatches):
                loss, terms = self._loss(chosen_rows(rows, chosen), entropy_weight)
                descend(self.optimizer, loss, self.config.max_grad_norm)
                steps.append(torch.stack((loss, *terms)).detach())
        self._decay()

        means = torch.stack(steps).mean(0).tolist()  # of each term over the steps, in one read from the device
        reported = dict(zip(("loss", *PPOTerms._fields), means, strict=True))
        scores = episodes.returns.mean(1)  # (T, K), over E
        return Metrics({"return": scores.mean().item(), "env_steps": episodes.env_steps, **reported}, scores)

    @torch.no_grad()
    def _score(self, batch: Sequences) -> tuple[Tensor, Tensor, State]:
        """Log-probability of each action and value of each step, (L, B); state before each segment, (1, S B, ...)."""
        log_probs, values, states = [], [], []
        shares = self.config.minibatches  # as much memory as a gradient step takes, not as the whole batch would
        for inputs, action in zip(batch.x.chunk(shares, 1), batch.action.chunk(shares, 1), strict=True):
            out, before = self.net.core.unroll_segments(inputs, self._segment_steps(batch))
            log_probs.append(self.net.distribution(out).log_prob(action))
            values.append(self._value(out) * self.value_scale)
            states.append(before)  # each (S, B, ...)

        state = []
        for i in range(len(states[0])):  # hidden state, cell, ...: whatever the core's state is made of
            of_all = torch.cat([share[i] for share in states], 1)  # (S, B, ...)
            state.append(of_all.flatten(0, 1).unsqueeze(0))  # (1, S B, ...): row s B + b, as ``segments`` has it
        return torch.cat(log_probs, 1), torch.cat(values, 1), tuple(state)

    def _advantages(self, batch: Sequences, value: Tensor) -> tuple[Tensor, Tensor]:
        """GAE over the trial (1506.02438, eq. 16), and the returns that the critic is fitted to, (L, B) each."""
        schedule = self._schedule()
        advantage = trial_advantages(batch.reward, value, batch.live, schedule.discount, schedule.lam)
        return advantage, advantage + value

    def _rows(self, batch: Sequences, acted_log_prob: Tensor, advantage: Tensor, target: Tensor, states: State) -> Rows:
        """Whole trials, or their segments, side by side; without those in which no step was live."""
        steps = self._segment_steps(batch)
        rows = Rows(
            batch=map_tensors(lambda column: segments(column, steps), batch),
            acted_log_prob=segments(acted_log_prob, steps),
            advantage=segments(advantage, steps),
            target=segments(target, steps),
            state=states,
        )
        some_live: Rows = chosen_rows(rows, rows.batch.live.any(0))
        return some_live

    def _loss(self, rows: Rows, entropy_weight: float) -> tuple[Tensor, PPOTerms]:
        """PPO's loss (its eq. 9 with the sign turned), means over live steps, and its terms."""
        first_states = tuple(part[0] for part in rows.state)
        out, _ = self.net.core.unroll(rows.batch.x, first_states)
        terms = ppo_terms(
            policy=self.net.distribution(out),
            value=self._value(out),
            action=rows.batch.action,
            acted_log_prob=rows.acted_log_prob,
            advantage=rows.advantage,
            target=rows.target / self.value_scale,
            live=rows.batch.live,
            clip=self.config.clip,
        )
        loss = terms.policy_loss + self.config.value_weight * terms.value_loss - entropy_weight * terms.entropy
        return loss, terms

    def _value(self, out: Tensor) -> Tensor:
        """What the critic expects of the rest of the trial, in units of the returns' spread."""
        return self.net.value(out).squeeze(-1)

    def _segment_steps(self, batch: Sequences) -> int:
        """Steps that a gradient flows back over."""
        return self.config.truncate or len(batch.x)

    def _schedule(self) -> Schedule:
        """Discount, lambda and entropy weight: over the second half of training they move to their late values."""
        config = self.config
        moved = max(2 * self._progress() - 1, 0.0)
        return Schedule(
            discount=_between(config.discount, config.late_discount, moved),
            lam=_between(config.lam, config.late_lam, moved),
            entropy=_between(config.entropy, config.late_entropy, moved),
        )

    def _progress(self) -> float:
        """How far the schedules have come, 0 to 1."""
        if not self.config.decay_iterations:
            return 0.0
        return min(int(self.updates) / self.config.decay_iterations, 1.0)

    def _decay(self) -> None:
        """One iteration is over; the learning rate falls linearly, to a twentieth."""
        self.updates += 1
        self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * max(1 - self._progress(), 0.05)


def _between(early: float, late: float | None, share: float) -> float:
    """``share`` of the way from ``early`` to ``late``, where there is one."""
    if late is None:
        return early
    return early + share * (late - early)


def _check(config: RL2Config) -> None:
    """ValueError for a config that cannot work; the core checks its own."""
    check_positive(
        "rl2",
        hidden=config.hidden,
        meta_batch=config.meta_batch,
        minibatches=config.minibatches,
        learning_rate=config.learning_rate,
        epochs=config.epochs,
        clip=config.clip,
    )
    if config.minibatches > config.meta_batch:
        raise ValueError(f"rl2: minibatches={config.minibatches} must be at most meta_batch={config.meta_batch}")
    if config.truncate < 0:
        raise ValueError(f"rl2: truncate={config.truncate} is not allowed; give steps, or 0 for whole trials")
