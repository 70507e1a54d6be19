"""MQL: a context, one off-policy objective over all tasks, and old data weighed by likeness (Fakoor et al. 2020).

Meta-training is ordinary: a GRU reads the trial, and TD3 maximises the mean return of all tasks given its state. What
is particular comes with a new task: a few gradient steps on its data, then on meta-training data weighed by how alike
it is to the new task's, held near the meta-trained weights the more, the less alike it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.base import encode_seen, encoded_size
from metarl_lab.nets.recurrent import GRUCore
from metarl_lab.nets.trial_context import Kept, TrialContext, trial_rows
from metarl_lab.nets.twin_delayed import Batch, Heads, TwinDelayed
from metarl_lab.ops.descent import descend
from metarl_lab.ops.propensity import density_ratio, effective_sample_size, logistic_regression
from metarl_lab.ops.transitions import Rows
from metarl_lab.replay import Replay
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Metrics, Seen, Spec, map_tensors


@dataclass(frozen=True)
class MQLConfig:
    """What can be chosen."""

    meta_batch: int = 16
    """New tasks per iteration, one trial each."""
    episodes: int = 0
    """Episodes per trial K; 0 takes the family's own protocol."""
    capacity: int = 400
    """Tasks in the replay buffer; a new one takes the place of the oldest."""
    gradient_steps: int = 50
    """TD3 updates per iteration."""
    batch_tasks: int = 16
    """Whole trials of the replay buffer per update."""
    units: int = 64
    """Units of the GRU."""
    hidden: tuple[int, ...] = (64, 64)
    """Units of each hidden layer of policy and Q-functions."""
    discount: float = 0.95
    """Discount per step of an episode."""
    reward_scale: float = 1.0
    """Rewards are multiplied by this for the Q-functions; context holds them as they are."""
    learning_rate: float = 1e-3
    """Adam's step size."""
    max_grad_norm: float = 10.0
    """Gradients longer than this are scaled down to it."""
    target_rate: float = 0.01
    """How far the target networks follow, each time that the policy is updated."""
    policy_delay: int = 2
    """Updates of the Q-functions per update of the policy."""
    smoothing: float = 0.2
    """Standard deviation of the noise on the target's actions, in units of half the box; clipped at 0.5."""
    exploration: float = 0.2
    """Meta-training's noise on actions: standard deviation in units of half the box; of discrete ones, the share of
    random ones."""
    new_steps: int = 5
    """Gradient steps on each batch of a new task's data; 0: none."""
    old_steps: int = 10
    """Gradient steps on meta-training data after them; 0: none."""
    adapt_rate: float = 1e-3
    """Adam's step size of both, begun anew with each batch."""
    proximal: float = 1.0
    """Weight of (1 - ESS) / 2 times the squared distance from the meta-trained weights."""
    propensity: bool = True
    """Whether old data is weighed by likeness; False: all the same, as if nothing told the tasks apart."""
    ridge: float = 0.01
    """Of the logistic regression that tells new data from old: how far its weights are held back."""
    beta_clip: float = 2.0
    """Largest weight of an old transition, where 1 is as likely in the new task as in the old ones."""
    kept: int = 1024
    """Meta-training transitions that the agent keeps for this, stored with it."""
    old_batch: int = 256
    """Of these, transitions per gradient step."""


class MQLMemory(NamedTuple):
    """The GRU's state of each copy, and its own heads once it has adapted."""

    hidden: Tensor  # (T, E, units)
    entry: Tensor  # (T, E, units), what it was at the start of the batch that is being acted
    greedy: Tensor  # (T, E) bool
    heads: Heads | None = None  # (T, E, 2 or 1, in, out); None: the meta-trained ones


class MQL(MetaLearner):
    """See the module's first lines. Memory: the context, and each task's own policy and Q-functions."""

    name: ClassVar[str] = "mql"
    source: ClassVar[str] = "Fakoor et al. 2020, arXiv 1910.00125; TD3: Fujimoto et al. 2018, arXiv 1802.09477"
    Config = MQLConfig
    shares_memory = False

    def __init__(self, spec: Spec, config: MQLConfig) -> None:
        _check(config)
        super().__init__(spec, config)
        core = GRUCore(encoded_size(spec), config.units)
        core.reset_parameters()
        self.context = TrialContext(spec, core)
        self.net = TwinDelayed(spec, spec.observation_size + config.units, config.hidden)
        # The Q-functions' error trains the context too; the policy's gradient does not reach it.
        self.critic_optimizer = torch.optim.Adam(
            [*core.parameters(), *self.net.critic.parameters()], lr=config.learning_rate
        )
        if self.net.actor is not None:
            self.actor_optimizer = torch.optim.Adam(self.net.actor.parameters(), lr=config.learning_rate)
        self.replay = Replay(config.capacity)
        self.kept = Kept(spec, config.units, config.kept)

    def begin(self, n_tasks: int, copies: int) -> MQLMemory:
        """Nothing read yet, the meta-trained heads, and no noise on the actions."""
        (hidden,) = self.context.core.initial(n_tasks * copies)
        hidden = hidden.unflatten(0, (n_tasks, copies))
        greedy = torch.ones(n_tasks, copies, dtype=torch.bool, device=self.device)
        return MQLMemory(hidden, entry=hidden, greedy=greedy)

    @torch.no_grad()
    def act(self, memory: MQLMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, MQLMemory]:
        """Read the last transition into the context, and act on (observation, context)."""
        encoded = encode_seen(self.spec, seen).flatten(0, 1)  # (T E, I)
        hidden, _ = self.context.core.step(encoded, (memory.hidden.flatten(0, 1),))
        hidden = hidden.unflatten(0, seen.reward.shape)  # (T, E, units)
        state = torch.cat((seen.observation, hidden), -1)
        action = self.net.act(memory.heads, state, noise, memory.greedy, self.config.exploration)
        return action, memory._replace(hidden=hidden)

    def absorb(self, memory: MQLMemory, episodes: Episodes) -> MQLMemory:
        """Adaptation to a new task (section 3.2): each copy's own heads, to its batch of episodes and to old data."""
        config = self.config
        after = memory._replace(entry=memory.hidden)  # the next batch is acted from here
        # A new task's reward says nothing about Q-functions of another reward.
        new_steps = 0 if bool(self.kept.guided) else config.new_steps
        # Before any meta-training there is no old data.
        old_steps = config.old_steps if bool(self.kept.filled) else 0
        if new_steps == 0 and old_steps == 0:
            return after

        # The new task's data: states from the context that acted, and what their Q-values are fitted to.
        rows = trial_rows(self.spec, episodes, episodes.reward)
        rows = {name: column.flatten(0, 1) for name, column in rows.items()}  # (B, L, ...), B = T E
        state, action, target, live = self.solved(rows, memory.entry.flatten(0, 1))
        new_data = Batch(state, action, target, weight=live / live.sum(1, keepdim=True))

        # How alike the old data is: beta of each old transition, and of all of them how near the heads must stay.
        beta, proximal = self.likeness(state, live)

        # First steps on the new data, then steps on the old, weighed by beta; both with the proximal term.
        batches = [new_data] * new_steps + self.kept.batches(beta, old_steps, config.old_batch)
        start = map_tensors(lambda weight: weight.flatten(0, 1), memory.heads)  # None stays None
        heads = self.net.adapted(start, batches, proximal, config.policy_delay, config.adapt_rate)
        copies = episodes.reward.shape[:2]  # (T, E)
        return after._replace(heads=map_tensors(lambda weight: weight.unflatten(0, copies), heads))

    @torch.no_grad()
    def likeness(self, state: Tensor, live: Tensor) -> tuple[Tensor, Tensor]:
        """beta (B, kept) and the weight of the proximal term (B,), given new data: (B, L, O + units) and (B, L)."""
        config = self.config
        if not config.propensity or not bool(self.kept.filled):
            alike = state.new_ones(len(state), config.kept)
            return alike, state.new_full((len(state),), config.proximal)

        # The classifier that tells the new task's contexts from the old ones (section 2.3).
        new_context = self.context.context(state)
        old_context = self.context.context(self.kept.state)
        classifier = logistic_regression(new_context, live, old_context, config.ridge)

        # beta = p_new(context) / p_old(context): its odds.
        beta = density_ratio(classifier, old_context, config.beta_clip)

        # 1 - ESS: the fewer old transitions count, the nearer to the meta-trained weights.
        proximal = config.proximal * (1 - effective_sample_size(beta))
        return beta, proximal

    @torch.no_grad()
    def solved(self, rows: Rows, before: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """State, unit action, target (by the target networks, without noise) and live, of trials (B, L, ...)."""
        state, next_state = self.context(rows, before)
        reward = self.config.reward_scale * rows["reward"]
        target = self.net.target(
            _as_one(next_state), _as_one(reward), _as_one(rows["terminated"]), self.config.discount
        ).view_as(reward)
        return state, self.net.box.to_unit(rows["action"]), target, rows["live"]

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        """Meta-training: TD3 on the mean over all tasks; nothing is differentiated through adaptation."""
        config = self.config
        # Act a trial of each task, with noise on the actions.
        trial = begin(self, family, tasks)
        exploring = trial.memory._replace(greedy=torch.zeros_like(trial.memory.greedy))
        trial = trial._replace(memory=exploring)
        episodes, _ = collect(self, family, tasks, trial, generator, config.episodes or self.spec.episodes)

        # Into the replay buffer, whole trials, with the reward that is to be maximised.
        wanted = family.training_reward(tasks, episodes)
        self.kept.guided |= (wanted != episodes.reward).any()
        rows = trial_rows(self.spec, episodes, wanted)
        self.replay.add({name: column[:, 0] for name, column in rows.items()})  # E = 1

        # TD3's updates, each on whole trials of some tasks.
        losses = torch.stack([self._td3_step(step, generator) for step in range(config.gradient_steps)])

        # The context has just changed: what is kept for adaptation is encoded anew.
        rows = self.replay.sample(min(self.replay.size, 4 * config.batch_tasks), generator)
        state, action, target, live = self.solved(rows)
        self.kept.fill(state, action, target, live, generator)
        return self._metrics(episodes, losses)

    def _td3_step(self, step: int, generator: torch.Generator) -> Tensor:
        """TD3's algorithm 1: an update of context and Q-functions, and every d-th time of policy and targets.

        d is ``policy_delay``. Returns the two losses, (2,).
        """
        config = self.config
        batch = self._td3_batch(self.replay.sample(config.batch_tasks, generator), generator)
        critic_loss = self.net.critic_loss(self.net.heads(), batch).sum()
        descend(self.critic_optimizer, critic_loss, config.max_grad_norm)

        actor_loss = torch.zeros_like(critic_loss)
        if step % config.policy_delay == 0:
            if self.net.actor is not None:
                constant_context = batch._replace(state=batch.state.detach())
                actor_loss = self.net.actor_loss(self.net.heads(), constant_context).sum()
                descend(self.actor_optimizer, actor_loss, config.max_grad_norm)
            self.net.follow(config.target_rate)
        return torch.stack((critic_loss, actor_loss)).detach()

    def _td3_batch(self, rows: Rows, generator: torch.Generator) -> Batch:
        """All steps of trials (B, L, ...) as one batch (1, B L): states with the context in them, and their targets."""
        config = self.config
        state, next_state = self.context(rows)
        reward = _as_one(rows["reward"])
        noise = torch.rand(*reward.shape, self.spec.action_size, generator=generator, device=self.device)
        target = self.net.target(
            _as_one(next_state),
            config.reward_scale * reward,
            _as_one(rows["terminated"]),
            config.discount,
            noise,
            config.smoothing,
        )
        action = self.net.box.to_unit(_as_one(rows["action"]))
        live = _as_one(rows["live"])
        return Batch(_as_one(state), action, target, weight=live / live.sum())

    def _metrics(self, episodes: Episodes, losses: Tensor) -> Metrics:
        """Returns while exploring, and the means of TD3's losses (steps, 2) over the steps that had them."""
        scores = episodes.returns.mean(1)  # (T, K), over E = 1
        values = {
            "return": scores.mean().item(),
            "env_steps": episodes.env_steps,
            "loss": losses[:, 0].mean().item(),
            "policy_loss": losses[:: self.config.policy_delay, 1].mean().item(),
        }
        return Metrics(values, scores)


def _as_one(column: Tensor) -> Tensor:
    """The steps of all trials as the rows of one task: (B, L, ...) -> (1, B L, ...)."""
    return column.flatten(0, 1).unsqueeze(0)


def _check(config: MQLConfig) -> None:
    """Raise ValueError for a field that is out of range."""
    check_positive(
        "mql",
        meta_batch=config.meta_batch,
        capacity=config.capacity,
        gradient_steps=config.gradient_steps,
        batch_tasks=config.batch_tasks,
        units=config.units,
        policy_delay=config.policy_delay,
        kept=config.kept,
        ridge=config.ridge,
        old_batch=config.old_batch,
        learning_rate=config.learning_rate,
        adapt_rate=config.adapt_rate,
        reward_scale=config.reward_scale,
        beta_clip=config.beta_clip,
        max_grad_norm=config.max_grad_norm,
    )
