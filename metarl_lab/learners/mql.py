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
        super().__init__(spec, config)
        positive = ("meta_batch", "capacity", "gradient_steps", "batch_tasks", "units", "policy_delay", "kept", "ridge")
        rates = ("old_batch", "learning_rate", "adapt_rate", "reward_scale", "beta_clip", "max_grad_norm")
        check_positive(self.name, **{key: getattr(config, key) for key in (*positive, *rates)})
        core = GRUCore(encoded_size(spec), config.units)
        core.reset_parameters()
        self.context = TrialContext(spec, core)
        self.net = TwinDelayed(spec, spec.observation_size + config.units, config.hidden)
        fitted = [*core.parameters(), *self.net.critic.parameters()]
        self.critic_optimizer = torch.optim.Adam(fitted, lr=config.learning_rate)
        if self.net.actor is not None:
            self.actor_optimizer = torch.optim.Adam(self.net.actor.parameters(), lr=config.learning_rate)
        self.replay = Replay(config.capacity)
        self.kept = Kept(spec, config.units, config.kept)

    def begin(self, n_tasks: int, copies: int) -> MQLMemory:
        hidden = self.context.core.initial(n_tasks * copies)[0].unflatten(0, (n_tasks, copies))
        return MQLMemory(hidden, hidden, torch.ones(n_tasks, copies, dtype=torch.bool, device=self.device))

    @torch.no_grad()
    def act(self, memory: MQLMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, MQLMemory]:
        x = encode_seen(self.spec, seen).flatten(0, 1)
        hidden, _ = self.context.core.step(x, (memory.hidden.flatten(0, 1),))
        hidden = hidden.unflatten(0, seen.reward.shape)
        state = torch.cat((seen.observation, hidden), -1)
        action = self.net.act(memory.heads, state, noise, memory.greedy, self.config.exploration)
        return action, memory._replace(hidden=hidden)

    def absorb(self, memory: MQLMemory, episodes: Episodes) -> MQLMemory:
        """Adapt each copy's own heads to its batch of episodes, and to kept data that is like it."""
        c, lead, after = self.config, episodes.reward.shape[:2], memory._replace(entry=memory.hidden)
        # a new task's reward says nothing about Q-functions of another reward; and at first nothing is kept
        steps = 0 if bool(self.kept.guided) else c.new_steps, c.old_steps if bool(self.kept.filled) else 0
        if not any(steps):
            return after
        rows = {k: x.flatten(0, 1) for k, x in trial_rows(self.spec, episodes, episodes.reward).items()}
        state, action, target, live = self.solved(rows, memory.entry.flatten(0, 1))
        beta, near = self.likeness(state, live)
        new = Batch(state, action, target, live / live.sum(1, keepdim=True))
        batches = [new] * steps[0] + self.kept.batches(beta, steps[1], c.old_batch)
        start = map_tensors(lambda w: w.flatten(0, 1), memory.heads)
        heads = self.net.adapted(start, batches, near, c.policy_delay, c.adapt_rate)
        return after._replace(heads=map_tensors(lambda w: w.unflatten(0, lead), heads))

    @torch.no_grad()
    def likeness(self, state: Tensor, live: Tensor) -> tuple[Tensor, Tensor]:
        """beta (B, kept) and the weight of the proximal term (B,), given new data: (B, L, O + units) and (B, L)."""
        c, old = self.config, self.context.context(self.kept.state)
        if not (c.propensity and bool(self.kept.filled)):
            return state.new_ones(len(state), c.kept), state.new_full((len(state),), c.proximal)
        beta = density_ratio(logistic_regression(self.context.context(state), live, old, c.ridge), old, c.beta_clip)
        return beta, c.proximal * (1 - effective_sample_size(beta))

    @torch.no_grad()
    def solved(self, rows: Rows, before: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """State, unit action, target (by the target networks, without noise) and live, of trials (B, L, ...)."""
        state, after = self.context(rows, before)
        reward, terminated = (rows[key].flatten().unsqueeze(0) for key in ("reward", "terminated"))
        scaled, after = self.config.reward_scale * reward, after.flatten(0, 1).unsqueeze(0)
        target = self.net.target(after, scaled, terminated, self.config.discount)
        return state, self.net.box.to_unit(rows["action"]), target.view_as(rows["reward"]), rows["live"]

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        c = self.config
        trial = begin(self, family, tasks)
        trial = trial._replace(memory=trial.memory._replace(greedy=torch.zeros_like(trial.memory.greedy)))
        episodes, _ = collect(self, family, tasks, trial, generator, c.episodes or self.spec.episodes)
        wanted = family.training_reward(tasks, episodes)
        self.kept.guided |= (wanted != episodes.reward).any()
        self.replay.add({k: x[:, 0] for k, x in trial_rows(self.spec, episodes, wanted).items()})
        losses = torch.stack([self._step(n, generator) for n in range(c.gradient_steps)])
        # the context has just changed: what is kept is encoded anew
        rows = self.replay.sample(min(self.replay.size, 4 * c.batch_tasks), generator)
        self.kept.fill(*self.solved(rows), generator)
        scores = episodes.returns.mean(1)  # (T, K), over E = 1
        values = {"loss": losses[:, 0].mean().item(), "policy_loss": losses[:: c.policy_delay, 1].mean().item()}
        return Metrics({"return": scores.mean().item(), "env_steps": episodes.env_steps, **values}, scores)

    def _step(self, n: int, generator: torch.Generator) -> Tensor:
        """One update of context and Q-functions, and every ``policy_delay``-th time of policy and targets."""
        c, rows = self.config, self.replay.sample(self.config.batch_tasks, generator)
        parts = (*self.context(rows), *(rows[key] for key in ("action", "reward", "terminated", "live")))
        state, after, action, reward, terminated, live = (y.flatten(0, 1).unsqueeze(0) for y in parts)
        noise = torch.rand(*reward.shape, self.spec.action_size, generator=generator, device=self.device)
        target = self.net.target(after, c.reward_scale * reward, terminated, c.discount, noise, c.smoothing)
        batch = Batch(state, self.net.box.to_unit(action), target, live / live.sum())
        loss = self.net.critic_loss(self.net.heads(), batch).sum()
        descend(self.critic_optimizer, loss, c.max_grad_norm)
        gain = torch.zeros_like(loss)
        if n % c.policy_delay == 0:
            if self.net.actor is not None:
                gain = self.net.actor_loss(self.net.heads(), batch._replace(state=state.detach())).sum()
                descend(self.actor_optimizer, gain, c.max_grad_norm)
            self.net.follow(c.target_rate)
        return torch.stack((loss, gain)).detach()
