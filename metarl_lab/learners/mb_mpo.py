"""MB-MPO: meta-learning over learned models, so that few steps of the real tasks are enough (Clavera et al. 2018).

Every real task that was acted in lately has a model of its own, fitted to what was seen of it. MAML runs on these
models as its tasks: inner step and outer step both read imagined episodes. A trial on a real task adapts by the same
inner step, on real episodes. What differs from the paper is listed in docs/learners.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.inner_loop import MetaGradientConfig, inner_loop, outer_step, step_sizes, trial_metrics
from metarl_lab.learners.base import GradientLearner
from metarl_lab.nets.batched_mlp import Weights
from metarl_lab.nets.dynamics import DynamicsEnsemble
from metarl_lab.ops.inner_step import Adaptation, Parameters
from metarl_lab.ops.surrogates import surrogate_named
from metarl_lab.ops.transitions import any_live, take, transition_rows
from metarl_lab.replay import Replay
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.tasks.imagined import ImaginedFamily, ImaginedTasks, inside
from metarl_lab.types import Episodes, Metrics, Spec

_ROWS = ("observation", "action", "reward", "after", "terminated", "mask")  # of transitions, (T, M, ...)


@dataclass(frozen=True)
class MBMPOConfig(MetaGradientConfig):
    """What can be chosen. ``episodes`` counts imagined episodes of each model per batch."""

    meta_batch: int = 10
    """New real tasks per iteration."""
    real_episodes: int = 2
    """Real episodes of each new task per batch: one batch before each inner step, and one after the last."""
    capacity: int = 20
    """Real tasks remembered, each with its model: the members of the ensemble. A new task takes over the data and the
    model of the oldest, which is where its own model starts."""
    imagined_updates: int = 10
    """Outer steps on imagined episodes per iteration."""
    model_hidden: tuple[int, ...] = (64, 64)
    """Units of each hidden layer of a model."""
    model_rate: float = 2e-3
    """Adam's step size for the models."""
    gradient_steps: int = 600
    """Most gradient steps of the models per iteration."""
    batch: int = 64
    """Transitions of each task per gradient step of its model."""
    held_out: float = 0.2
    """Share of the transitions that no model is fitted to, but that say when to stop."""
    look_every: int = 50
    """Gradient steps between looks at the error on them."""
    patience: int = 3
    """Looks without a better error of any model after which fitting stops; each model keeps its best weights."""


class MBMPO(GradientLearner):
    """theta <- argmax mean_m E_m[ R(theta + alpha grad R_m(theta)) ]: returns R_m of episodes imagined in model m
    (Clavera et al. 2018, eq. 3 and algorithm 2).

    Memory: each task's own parameters. An iteration acts in new real tasks, before and after an inner step, as in a
    trial at test time; fits the models; then improves the initial parameters on imagined trials alone.
    """

    name: ClassVar[str] = "mb_mpo"
    source: ClassVar[str] = "Clavera, Rothfuss, Schulman, Fujita, Asfour & Abbeel 2018, arXiv 1809.05214, algorithm 2"
    Config = MBMPOConfig

    def __init__(self, spec: Spec, config: MBMPOConfig) -> None:
        super().__init__(spec, config)
        check_positive(
            self.name,
            real_episodes=config.real_episodes,
            capacity=config.capacity,
            imagined_updates=config.imagined_updates,
            gradient_steps=config.gradient_steps,
            batch=config.batch,
            look_every=config.look_every,
            patience=config.patience,
            model_rate=config.model_rate,
            held_out=config.held_out,
        )
        if config.held_out >= 1:
            raise ValueError(f"mb_mpo: held_out={config.held_out} leaves nothing to fit; give a share below 1")
        if config.meta_batch > config.capacity:
            raise ValueError(
                f"mb_mpo: meta_batch={config.meta_batch} is more than capacity={config.capacity}; enlarge it"
            )
        surrogate = surrogate_named(config.surrogate)
        self.how = Adaptation(self.network.per_task, step_sizes(config), surrogate, config.first_order)
        self.model = DynamicsEnsemble(spec, config.model_hidden, config.capacity)
        self.imagined = ImaginedFamily(self.model, spec)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        self.model_optimizer = torch.optim.Adam(self.model.parameters(), lr=config.model_rate)
        self.replay = Replay(config.capacity)

    def meta_parameters(self) -> Parameters:
        """The policy network's alone: models take no part in a trial."""
        return self.network.parameters_by_name()

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        acted = self.act_out(family, tasks, generator)
        self.remember(acted, generator)
        values = self.fit(generator)
        for _ in range(self.config.imagined_updates):
            imagined, batches = inner_loop(self, self.imagined, self.models(), self.config.inner_steps, generator)
            values |= outer_step(self.how, self.meta_parameters(), batches, self.config, self.optimizer)
        before, after = (imagined[k].returns.mean().item() for k in (0, -1))
        return trial_metrics(acted, {**values, "imagined_before": before, "imagined_return": after})

    def act_out(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> list[Episodes]:
        """A trial of each real task: one batch before each inner step, and one after the last."""
        trial = begin(self, family, tasks, self.config.real_episodes)
        acted: list[Episodes] = []
        for step in range(self.config.inner_steps + 1):
            if step:
                trial = trial._replace(memory=self.absorb(trial.memory, acted[-1]))
            episodes, trial = collect(self, family, tasks, trial, generator)
            acted.append(episodes)
        return acted

    def remember(self, acted: list[Episodes], generator: torch.Generator) -> None:
        """Add what was acted to the replay buffer, one row a task, and to the units of the models."""
        batches = [transition_rows(e, e.reward) for e in acted]
        rows = {name: torch.cat([b[name] for b in batches], 1) for name in _ROWS}
        rows["action"] = inside(self.spec.action_space, rows["action"])  # as the family does: what had an effect
        rows["start"] = torch.cat([e.observation[..., 0, :].flatten(1, 2) for e in acted], 1)  # (T, S, O)
        drawn = torch.rand(rows["mask"].shape, generator=generator, device=generator.device)
        rows["held_out"] = drawn < self.config.held_out
        self.model.note(rows, rows["mask"])
        self.replay.add(rows)

    def models(self) -> ImaginedTasks:
        """The tasks of meta-training: the models of all remembered tasks, and where those tasks' episodes began."""
        return ImaginedTasks(self._remembered()["start"], self._weights())

    def held_out_error(self) -> Tensor:
        """Error of each task's model on the transitions that it was not fitted to, (T,), in normalised units."""
        rows = self._remembered()
        with torch.no_grad():
            return self.model.loss(rows, rows["mask"] & rows["held_out"], self._weights())

    def fit(self, generator: torch.Generator) -> dict[str, float]:
        """Fit each task's model to that task's transitions, until the held-out error of none improves any more."""
        config, rows = self.config, self._remembered()
        transitions = {name: rows[name] for name in _ROWS}
        fitted_to = rows["mask"] & ~rows["held_out"]
        n_models = len(fitted_to)
        first_error = best_error = self.held_out_error()  # (T,)
        best_weights = self._weights()
        looks_without_progress = 0
        for step in range(1, config.gradient_steps + 1):
            some = take(transitions, any_live(fitted_to, config.batch, generator))
            loss = self.model.loss(some, some["mask"], {k: w[:n_models] for k, w in self.model.weights().items()})
            self.model_optimizer.zero_grad()
            loss.sum().backward()  # tasks share no weights: the gradient of the sum holds each one's own
            self.model_optimizer.step()

            time_to_look = step % config.look_every == 0 or step == config.gradient_steps
            if not time_to_look:
                continue
            error = self.held_out_error()
            better = error < best_error
            for name, now in self._weights().items():
                best_weights[name] = torch.where(better.view(-1, 1, 1), now, best_weights[name])
            best_error = best_error.minimum(error)
            looks_without_progress = 0 if better.any() else looks_without_progress + 1
            if looks_without_progress == config.patience:
                break
        with torch.no_grad():
            for name, now in self.model.weights().items():
                now[:n_models] = best_weights[name]
        return {
            "model_error_before": first_error.mean().item(),
            "model_error": best_error.mean().item(),
            "model_steps": step,
        }

    def _weights(self) -> Weights:
        """A copy of the weights of the remembered tasks' models, (T, ...)."""
        return {k: w[: self.replay.size].detach().clone() for k, w in self.model.weights().items()}

    def _remembered(self) -> dict[str, Tensor]:
        """All rows of the replay buffer, (T, ...): row t is the task of model t."""
        return {k.removeprefix("row."): x for k, x in self.replay.state().items() if k.startswith("row.")}
