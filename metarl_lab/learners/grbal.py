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
from metarl_lab.ops.transitions import Rows, transition_rows
from metarl_lab.ops.windows import Recent, nothing_recent, push
from metarl_lab.replay import Replay
from metarl_lab.rollout import begin, collect, where_copies
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Memory, Metrics, Seen, Spec

_STORED = ("observation", "action", "reward", "after", "terminated", "mask")  # what is stored of a transition


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
        _check(config)
        super().__init__(spec, config)
        self.action_noise = self.noise_size  # of a random action; a plan is drawn from a key beside it
        self.noise_size += KEY_NOISE
        self.dynamics = AdaptiveDynamics(spec, config.form, config.hidden, config.latent, config.inner_step)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)
        self.replay = Replay(config.capacity)

    def begin(self, n_tasks: int, copies: int) -> GrBALMemory:
        """No transition yet, and no plan."""
        lead = (n_tasks, copies)
        return GrBALMemory(
            recent=nothing_recent(self.spec, n_tasks, copies, self.config.window, self.device),
            latent=torch.zeros(*lead, self.config.latent, device=self.device),
            last=torch.zeros(*lead, self.spec.observation_size, device=self.device),
            start=self._first_proposal(n_tasks, copies),
            explore=torch.zeros(lead, dtype=torch.bool, device=self.device),
        )

    def _first_proposal(self, n_tasks: int, copies: int) -> Proposal:
        """Where an episode's first plan starts: at the whole box, or at all actions alike; (T, E, H, A)."""
        size = plan_noise(self.spec, self.config.plan_horizon)
        shift = torch.zeros(n_tasks * copies, 1, size, device=self.device)  # only its shape counts
        even = first_proposal(self.spec, shift)
        lead = (n_tasks, copies)
        return Proposal(even.mean.unflatten(0, lead).clone(), even.std.unflatten(0, lead).clone())

    @torch.no_grad()
    def act(self, memory: GrBALMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, GrBALMemory]:
        """The test-time algorithm, "Online Model Adaptation": adapt the model to the last M steps, plan with it."""
        noise, key = noise.split([self.action_noise, KEY_NOISE], -1)
        memory = self.take_in(memory, seen)
        plan = self.plan(memory, key)

        # The first action of the plan; in meta-training's first iterations a random one.
        uniform = noise[..., 0] if self.spec.discrete else noise
        random_action = uniform_actions(self.spec, uniform)
        planned_action = plan.action[:, 0].view_as(random_action)
        action = where_copies(memory.explore, random_action, planned_action)

        # The next plan starts from this one, a step on.
        later = follow(self.spec, plan)
        lead = seen.reward.shape  # (T, E)
        start = Proposal(later.mean.unflatten(0, lead), later.std.unflatten(0, lead))
        return action, memory._replace(start=start)

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return memory  # every transition was taken in when the next action was chosen

    def take_in(self, memory: GrBALMemory, seen: Seen) -> GrBALMemory:
        """The memory with the last transition; at an episode's start there is none, and all of it begins anew."""
        recent = push(memory.recent, memory.last, seen)
        newest = {name: column[:, :, -1].flatten(0, 1) for name, column in recent._asdict().items()}  # (T E, ...)
        latent = self.dynamics.read(newest, memory.latent.flatten(0, 1)).view_as(memory.latent)

        # At an episode's start the GRU and the plan begin anew, as the window has (``push`` empties it).
        latent = where_copies(seen.start, torch.zeros_like(latent), latent)
        start = where_copies(seen.start, self._first_proposal(*seen.reward.shape), memory.start)
        return GrBALMemory(recent, latent, last=seen.observation, start=start, explore=memory.explore)

    def plan(self, memory: GrBALMemory, key: Tensor) -> Plan:
        """What the adapted model thinks best from the last observation on, T E problems at once. key (T, E, 2)."""
        config, spec = self.config, self.spec
        # theta' = u(the last M transitions, theta): the adapted model of each problem.
        window = memory.recent.rows()
        model = self.dynamics.imagine(window, window["valid"], memory.latent.flatten(0, 1))

        # Where each plan begins: the last observation, and an episode that is certainly still on.
        observation = memory.last.flatten(0, 1)  # (T E, O)
        certainly_on = torch.ones_like(observation[:, :1])
        state = (observation.unsqueeze(1), certainly_on)

        # The controller.
        rounds = config.rounds if config.planner == "cem" else 1
        uniform = spread(key, rounds * plan_noise(spec, config.plan_horizon))  # (T, E, rounds D)
        shift = uniform.flatten(0, 1).unflatten(1, (rounds, -1))  # (T E, rounds, D)
        if config.planner == "random_shooting":
            return random_shooting(model, state, shift, spec, config.candidates, config.discount)
        start = Proposal(memory.start.mean.flatten(0, 1), memory.start.std.flatten(0, 1))
        return cross_entropy_method(model, state, shift, spec, config.candidates, config.elites, config.discount, start)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        """The train-time algorithm, "Model-Based Meta-Reinforcement Learning": collect, and train on all data."""
        # Collect trajectories of new environments, acting with online adaptation, and add them to the data.
        episodes = self._collect(family, tasks, generator)
        every_column = transition_rows(episodes, episodes.reward)
        rows = {name: every_column[name] for name in _STORED}
        self.dynamics.model.note(rows, rows["mask"])  # the units in which errors are measured
        self.replay.add(rows)

        # How well the model predicts tasks that training has not met, as it is and adapted: for the record.
        error_before, error_after = self._errors_on_new_tasks(rows, generator)

        # Meta-train theta, and the update rule with it (alpha, or the GRU).
        losses = [self._meta_step(generator) for _ in range(self.config.gradient_steps)]
        self.updates += 1

        scores = episodes.returns.mean(1)  # (T, K)
        values = {
            "return": scores.mean().item(),
            "env_steps": episodes.env_steps,
            "loss": torch.stack(losses).mean().item(),
            "error_before": error_before.item(),
            "error_after": error_after.item(),
        }
        return Metrics(values, scores)

    def _collect(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Episodes:
        """A trial of each task; all actions are random in the first iterations, when no model is worth a plan."""
        config = self.config
        trial = begin(self, family, tasks, config.copies)
        # compared on the device: a Python ``if`` would wait for it
        explore = torch.ones_like(trial.memory.explore) & (self.updates < config.random_iterations)
        trial = trial._replace(memory=trial.memory._replace(explore=explore))
        episodes, _ = collect(self, family, tasks, trial, generator, config.episodes or self.spec.episodes)
        return episodes

    @torch.no_grad()
    def _errors_on_new_tasks(self, rows: Rows, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mean error on what follows a window of each task, of the model as it is, and of the adapted one."""
        windows = self.dynamics.windows(rows, self.config.window, self.config.future, generator)
        return self.dynamics.error(windows, adapted=False), self.dynamics.error(windows)

    def _meta_step(self, generator: torch.Generator) -> Tensor:
        """One step on the meta-objective: the error on what came after a window, of the model that adapted to it.

        theta and alpha (or the GRU) descend it together, through the adaptation.
        """
        config = self.config
        n_windows = config.batch_tasks
        if config.form == "recurrent":  # whole episodes, which are longer
            n_windows = max(config.batch_tasks // 4, 1)
        rows = self.replay.sample(n_windows, generator)
        windows = self.dynamics.windows(rows, config.window, config.future, generator)
        loss = self.dynamics.error(windows)
        descend(self.optimizer, loss, config.max_grad_norm)
        return loss.detach()


def _check(config: GrBALConfig) -> None:
    """Raise ValueError for a field that is out of range."""
    if config.planner not in ("cem", "random_shooting"):
        raise ValueError(f"grbal: planner={config.planner!r} is not known; choose 'cem' or 'random_shooting'")
    check_positive(
        "grbal",
        meta_batch=config.meta_batch,
        copies=config.copies,
        window=config.window,
        future=config.future,
        latent=config.latent,
        plan_horizon=config.plan_horizon,
        candidates=config.candidates,
        elites=config.elites,
        rounds=config.rounds,
        capacity=config.capacity,
        gradient_steps=config.gradient_steps,
        batch_tasks=config.batch_tasks,
        inner_step=config.inner_step,
        learning_rate=config.learning_rate,
        max_grad_norm=config.max_grad_norm,
    )
