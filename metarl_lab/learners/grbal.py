"""GrBAL and ReBAL: dynamics that adapt to the last M steps, and a planner that uses them.

Nagabandi, Clavera et al. 2019, arXiv 1803.11347. A model of the dynamics is meta-trained to be good *after* it has seen
the last M transitions: by one gradient step on them (GrBAL), or by a recurrent state that took them in (ReBAL).
Model-predictive control plans with what came out, at every step anew. What differs from the paper is listed in
docs/learners.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.adaptive_dynamics import AdaptiveDynamics
from metarl_lab.ops.descent import descend
from metarl_lab.ops.mpc import (
    Plan,
    Proposal,
    cross_entropy_method,
    first_proposal,
    follow,
    plan_noise,
    random_shooting,
    uniform_actions,
)
from metarl_lab.ops.sampling import KEY_NOISE, spread
from metarl_lab.ops.transitions import transition_rows
from metarl_lab.ops.windows import Recent, nothing_recent, push
from metarl_lab.replay import Replay
from metarl_lab.rollout import begin, collect, where_copies
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Memory, Metrics, Seen, Spec

_NAMES = ("observation", "action", "reward", "after", "terminated", "mask")  # what is stored of a transition


@dataclass(frozen=True)
class GrBALConfig:
    """What can be chosen."""

    form: str = "gradient"
    """What adapts the model: "gradient" (GrBAL: one step on the window), "recurrent" (ReBAL: a GRU's state), "none"."""
    meta_batch: int = 10
    """New tasks per iteration."""
    copies: int = 1
    """Trials E of each new task."""
    episodes: int = 0
    """Episodes per trial K; 0 takes the family's own protocol."""
    random_iterations: int = 2
    """Iterations at the start in which all actions are random: the first data."""
    window: int = 16
    """M, past transitions that the gradient step reads; a GRU reads all of the episode."""
    future: int = 8
    """Steps after the window on which the adapted model is judged in meta-training."""
    inner_step: float = 0.05
    """Initial size of the gradient step, in normalised units; learned, one for each weight matrix and bias."""
    hidden: tuple[int, ...] = (64, 64)
    """Units of each hidden layer of the model."""
    latent: int = 16
    """Units of the GRU."""
    planner: str = "cem"
    """"cem" or "random_shooting"."""
    plan_horizon: int = 5
    """Steps that a plan looks ahead."""
    candidates: int = 64
    """Action sequences per round."""
    elites: int = 8
    """CEM: sequences that the next round is fitted to."""
    rounds: int = 3
    """CEM: rounds per plan; each plan starts from the last one, a step on."""
    discount: float = 1.0
    """Discount per imagined step."""
    capacity: int = 1000
    """Tasks in the replay buffer; a new one takes the place of the oldest."""
    gradient_steps: int = 100
    """Updates of the model per iteration."""
    batch_tasks: int = 64
    """Windows per update, each of its own task of the replay buffer (whole episodes, for the GRU a quarter as many)."""
    learning_rate: float = 2e-3
    """Adam's step size."""
    max_grad_norm: float = 10.0
    """Gradients longer than this are scaled down to it."""


class GrBALMemory(NamedTuple):
    """What each copy remembers of its episode."""

    recent: Recent  # the last M transitions, (T, E, M, ...)
    latent: Tensor  # (T, E, Z), the GRU's state
    last: Tensor  # (T, E, O), the last observation
    start: Proposal  # (T, E, H, A), where the next plan starts: the last one, a step on
    explore: Tensor  # (T, E) bool, act at random


class GrBAL(MetaLearner):
    """See the module's first lines. Memory: the last M transitions of the episode, from which the model adapts."""

    name: ClassVar[str] = "grbal"
    source: ClassVar[str] = "Nagabandi, Clavera et al. 2019, arXiv 1803.11347"
    Config = GrBALConfig
    shares_memory = False
    updates: Tensor

    def __init__(self, spec: Spec, config: GrBALConfig) -> None:
        super().__init__(spec, config)
        c = config
        if c.planner not in ("cem", "random_shooting"):
            raise ValueError(f"grbal: planner={c.planner!r} is not known; choose 'cem' or 'random_shooting'")
        counts = "meta_batch copies window future latent plan_horizon candidates elites rounds capacity gradient_steps"
        sizes = "batch_tasks inner_step learning_rate max_grad_norm"
        check_positive(self.name, **{key: getattr(c, key) for key in f"{counts} {sizes}".split()})
        self.action_noise = self.noise_size
        self.noise_size += KEY_NOISE
        self.dynamics = AdaptiveDynamics(spec, c.form, c.hidden, c.latent, c.inner_step)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.optimizer = torch.optim.Adam(self.parameters(), lr=c.learning_rate)
        self.replay = Replay(c.capacity)

    def begin(self, n_tasks: int, copies: int) -> GrBALMemory:
        """No transition yet, and no plan."""
        c, lead = self.config, (n_tasks, copies)
        recent = nothing_recent(self.spec, n_tasks, copies, c.window, self.device)
        latent = torch.zeros(*lead, c.latent, device=self.device)
        even = first_proposal(self.spec, latent.new_zeros(n_tasks * copies, 1, plan_noise(self.spec, c.plan_horizon)))
        start = Proposal(*(x.unflatten(0, lead).clone() for x in even))
        return GrBALMemory(recent, latent, recent.observation[:, :, 0], start, recent.valid[:, :, 0])

    @torch.no_grad()
    def act(self, memory: GrBALMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, GrBALMemory]:
        """Take in the last transition, adapt the model to the window, plan with it; at an episode's start, forget."""
        noise, key = noise.split([self.action_noise, KEY_NOISE], -1)
        memory = self.take_in(memory, seen)
        plan = self.plan(memory, key)
        at_random = uniform_actions(self.spec, noise[..., 0] if self.spec.discrete else noise)
        action = where_copies(memory.explore, at_random, plan.action[:, 0].view_as(at_random))
        later = follow(self.spec, plan)
        return action, memory._replace(start=Proposal(*(x.unflatten(0, key.shape[:2]) for x in later)))

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return memory  # every transition was taken in when the next action was chosen

    def take_in(self, memory: GrBALMemory, seen: Seen) -> GrBALMemory:
        """The memory with the last transition; at an episode's start there is none, and all of it begins anew."""
        recent = push(memory.recent, memory.last, seen)
        newest = {name: x[:, :, -1].flatten(0, 1) for name, x in recent._asdict().items()}
        latent = self.dynamics.read(newest, memory.latent.flatten(0, 1)).view_as(memory.latent)
        anew = self.begin(*seen.reward.shape)
        start = where_copies(seen.start, anew.start, memory.start)
        latent = where_copies(seen.start, anew.latent, latent)
        return GrBALMemory(recent, latent, seen.observation, start, memory.explore)

    def plan(self, memory: GrBALMemory, key: Tensor) -> Plan:
        """What the adapted model thinks best from the last observation on, T E problems at once. key (T, E, 2)."""
        c, spec = self.config, self.spec
        rows, latent, last = memory.recent.rows(), memory.latent.flatten(0, 1), memory.last.flatten(0, 1)
        model = self.dynamics.imagine(rows, rows["valid"], latent)
        here = (last.unsqueeze(1), torch.ones_like(last[:, :1]))
        rounds = c.rounds if c.planner == "cem" else 1
        shift = spread(key, rounds * plan_noise(spec, c.plan_horizon)).flatten(0, 1).unflatten(1, (rounds, -1))
        if c.planner == "random_shooting":
            return random_shooting(model, here, shift, spec, c.candidates, c.discount)
        start = Proposal(*(x.flatten(0, 1) for x in memory.start))
        return cross_entropy_method(model, here, shift, spec, c.candidates, c.elites, c.discount, start)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        c = self.config
        trial = begin(self, family, tasks, c.copies)
        explore = torch.ones_like(trial.memory.explore) & (self.updates < c.random_iterations)
        trial = trial._replace(memory=trial.memory._replace(explore=explore))
        episodes, _ = collect(self, family, tasks, trial, generator, c.episodes or self.spec.episodes)
        rows = {k: x for k, x in transition_rows(episodes, episodes.reward).items() if k in _NAMES}
        self.dynamics.model.note(rows, rows["mask"])
        self.replay.add(rows)
        reads = (c.window, c.future, generator)
        with torch.no_grad():  # on tasks that training has not met
            fresh = self.dynamics.windows(rows, *reads)
            before, after = self.dynamics.error(fresh, adapted=False), self.dynamics.error(fresh)
        batch, losses = max(c.batch_tasks // 4, 1) if c.form == "recurrent" else c.batch_tasks, []
        for _ in range(c.gradient_steps):
            loss = self.dynamics.error(self.dynamics.windows(self.replay.sample(batch, generator), *reads))
            descend(self.optimizer, loss, c.max_grad_norm)
            losses.append(loss.detach())
        self.updates += 1
        parts = {"loss": torch.stack(losses).mean(), "error_before": before, "error_after": after}
        scores = episodes.returns.mean(1)  # (T, K)
        values = {"return": scores.mean().item(), "env_steps": episodes.env_steps}
        return Metrics(values | {k: x.item() for k, x in parts.items()}, scores)
