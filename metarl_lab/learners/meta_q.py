"""Meta-Q-learning: a Q-function for all tasks that a few Q-learning steps make into any one task's.

MAML on the Bellman error: the inner steps are Q-learning's on what the task has shown; the outer loss is the squared
Bellman error left on other, later transitions of the task. Beside it the baseline: one Q-function fitted to all tasks
as they come, which takes the same steps on a new task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.batched_mlp import Weights
from metarl_lab.nets.q_networks import QNetworks, shortened
from metarl_lab.ops.descent import descend
from metarl_lab.ops.distributions import standard_normal
from metarl_lab.ops.soft import polyak
from metarl_lab.ops.transitions import Rows, any_live, halves, take, transition_rows
from metarl_lab.replay import Replay
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_choice, check_positive
from metarl_lab.types import Episodes, Metrics, Seen, Spec


@dataclass(frozen=True)
class MetaQConfig:
    """What can be chosen."""

    form: str = "maml"
    """"maml": meta-train what the inner steps lead to; "shared": one Q-function for all tasks, no looking ahead."""
    meta_batch: int = 8
    """New tasks per iteration."""
    episodes: int = 10
    """Episodes of each task per batch: one batch before the inner steps, and one after them."""
    capacity: int = 200
    """Tasks in the replay buffer; a new one takes the place of the oldest."""
    gradient_steps: int = 10
    """Outer steps per iteration."""
    batch_tasks: int = 8
    """Tasks of the replay buffer per outer step."""
    batch: int = 128
    """Later transitions of each of them per outer step; the inner steps read all earlier ones."""
    hidden: tuple[int, ...] = (64,)
    """Units of each hidden layer; () makes Q a table of one-hot states."""
    activation: str = "relu"
    """"relu", "tanh" or "silu"."""
    inner_steps: int = 5
    """Q-learning steps ("backups") on a batch of a task's episodes."""
    inner_step: float = 0.5
    """Their step size, per unit of the gradient of the mean squared Bellman error."""
    max_inner_norm: float = 10.0
    """Inner gradients longer than this are scaled down to it, task by task: one that pays much must not diverge."""
    learned_rates: bool = True
    """Meta-learn the step size of each layer's weights and biases, from ``inner_step`` on ("maml" only)."""
    target_every: int = 1
    """Inner steps from one renewal of the inner target network to the next; 1 bootstraps from the current weights."""
    first_order: bool = False
    """Take the inner gradient as a constant: no second derivatives."""
    discount: float = 0.9
    """Discount per step."""
    reward_scale: float = 1.0
    """Rewards are multiplied by this for the Q-functions."""
    later_pace: float = 0.0
    """What multiplies the step sizes on every later batch of a trial: meta-training looks through the first alone."""
    explore_first: float = 1.0
    """In a trial's first batch: the share of random actions; of a box, the noise's standard deviation in half boxes."""
    explore_later: float = 0.0
    """The same after it."""
    explore_training: float = 0.3
    """The same after it, in meta-training."""
    smoothing: float = 0.2
    """Box actions: standard deviation of the noise on the outer target's action, clipped at 0.5, in half boxes."""
    target_rate: float = 0.05
    """How far the target network follows at each outer step."""
    learning_rate: float = 3e-3
    """Adam's step size of the outer steps."""
    max_grad_norm: float = 10.0
    """The same for outer gradients."""


class MetaQMemory(NamedTuple):
    """Each task's own Q-functions (and policy), how much it explores, and how fast it learns."""

    weights: Weights  # (T, C, in, out) each
    explore: Tensor  # (T,)
    pace: Tensor  # (T,), what multiplies the next inner steps' sizes


class MetaQ(MetaLearner):
    """See the module's first lines. Memory: each task's own Q-function."""

    name: ClassVar[str] = "meta_q"
    source: ClassVar[str] = "Finn et al. 2017, arXiv 1703.03400; double DQN: van Hasselt et al. 2016, arXiv 1509.06461"
    Config = MetaQConfig
    shares_memory = True

    def __init__(self, spec: Spec, config: MetaQConfig) -> None:
        _check(config)
        super().__init__(spec, config)
        self.noise_size = 2 if spec.discrete else spec.action_size  # a coin, and an action
        self.net = QNetworks(spec, config.hidden, config.activation)
        for name, parameter in self.net.named_parameters():
            self.register_buffer(_target_name(name), parameter.detach().clone())
        # The logarithm of each weight matrix's and bias's inner step size: a step size that is learned stays positive.
        log_rates = torch.tensor([config.inner_step for _ in self.net.parameters()]).log()
        if config.learned_rates and config.form == "maml":
            self.log_rates = nn.Parameter(log_rates)
        else:
            self.register_buffer("log_rates", log_rates)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)
        self.replay = Replay(config.capacity)

    def weights(self, which: str, n_tasks: int) -> Weights:
        """The shared weights as every task's own, without a copy: "trained" ones, or those of the "target"."""
        shared: Weights = dict(self.net.named_parameters())
        if which == "target":
            shared = {name: self._target(name) for name in shared}
        return {name: weight.unsqueeze(0).expand(n_tasks, *weight.shape) for name, weight in shared.items()}

    def begin(self, n_tasks: int, copies: int) -> MetaQMemory:
        """Every task starts from the shared weights, and explores."""
        weights = {name: weight.detach().clone() for name, weight in self.weights("trained", n_tasks).items()}
        one = torch.ones(n_tasks, dtype=weights["critic.weight0"].dtype, device=self.device)
        return MetaQMemory(weights, explore=self.config.explore_first * one, pace=one)

    @torch.no_grad()
    def act(self, memory: MetaQMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, MetaQMemory]:
        """Every task's own greedy action; a share of them random, or noise on all of them."""
        greedy = self.net.best(memory.weights, seen.observation)
        explore = memory.explore.unsqueeze(1)  # (T, 1)
        if self.spec.discrete:
            coin, pick = noise.unbind(-1)
            any_action = (pick * self.spec.action_size).long()
            return torch.where(coin < explore, any_action, greedy), memory
        noisy = greedy + explore.unsqueeze(-1) * standard_normal(noise)
        return self.net.box.from_unit(noisy.clamp(-1, 1)), memory

    def absorb(self, memory: MetaQMemory, episodes: Episodes) -> MetaQMemory:
        """Some Q-learning steps of every task on its own episodes."""
        rows = transition_rows(episodes, episodes.reward)
        weights = self.adapted(memory.weights, rows, graph=False, pace=memory.pace)
        one = torch.ones_like(memory.pace)
        return MetaQMemory(weights, explore=self.config.explore_later * one, pace=self.config.later_pace * one)

    @torch.enable_grad()
    def adapted(self, weights: Weights, rows: Rows, graph: bool, pace: Tensor | None = None) -> Weights:
        """Every task's weights after some Q-learning steps on rows (T, M, ...), their sizes times ``pace`` (T,).

        theta_i <- theta_i - rate times the semi-gradient of task i's mean squared Bellman error. graph: the result is a
        function of ``weights``, to be differentiated; False: plain tensors from plain tensors.
        """
        config = self.config
        rates = self.log_rates.exp().unsqueeze(1)  # (weights, 1)
        if pace is not None:
            rates = rates * pace  # (weights, T)
        rate_of = dict(zip(weights, rates.unbind(), strict=True))
        second_order = graph and not config.first_order

        target_weights = weights
        for step in range(config.inner_steps):
            if not graph:  # nothing will be differentiated through an earlier step
                weights = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
            if step % config.target_every == 0:
                target_weights = weights
            gradients = self.net.semi_gradient(
                weights, target_weights, rows, config.reward_scale, config.discount, second_order
            )
            gradients = shortened(gradients, config.max_inner_norm)
            stepped: Weights = {}
            for name, weight in weights.items():
                rate = rate_of[name][:, None, None, None]  # (T or 1, 1, 1, 1)
                stepped[name] = weight - rate * gradients[name]
            weights = stepped

        if graph:
            return weights
        return {name: weight.detach() for name, weight in weights.items()}

    def losses(self, rows: Rows, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What an outer step descends, and of it the mean squared Bellman error.

        rows (T, 2 M, ...): of each task both batches, what it was adapted on and what it acted then.
        """
        config, n_tasks = self.config, len(rows["mask"])
        weights = self.weights("trained", n_tasks)
        target_weights = self.weights("target", n_tasks)

        # Inner steps on the first batch; the outer loss is on the other one. Both networks take the
        # steps: the target is to say what the adapted weights are worth.
        scored = rows
        if config.form == "maml":
            first, scored = halves(rows)
            weights = self.adapted(weights, first, graph=True)
            target_weights = self.adapted(target_weights, first, graph=False)
        # Of each task's transitions that the loss is on, some: (T, batch, ...).
        batch = take(scored, any_live(scored["mask"], config.batch, generator))

        # The target of double DQN, or of TD3: a constant.
        noise_shape = (n_tasks, config.batch, self.spec.action_size)
        noise = torch.rand(noise_shape, generator=generator, device=self.device)
        reward = config.reward_scale * batch["training_reward"]
        with torch.no_grad():
            target = self.net.target(
                online=weights,
                late=target_weights,
                after=batch["after"],
                reward=reward,
                terminated=batch["terminated"],
                discount=config.discount,
                noise=noise,
                std=config.smoothing,
            )

        # The Bellman error that is left after the inner steps, of q (C, T, batch): the mean over tasks
        # and transitions, and the sum over Q-functions.
        action = self.net.box.to_unit(batch["action"])
        q = self.net.q(weights, batch["observation"], action)
        bellman_error = (q - target).square().mean((1, 2)).sum()

        # A policy climbs the first Q-function. Of discrete actions there is none: the greedy one is.
        policy_loss = torch.zeros_like(bellman_error)
        if not self.spec.discrete:
            policy_loss = -self.net.gain(weights, batch["observation"]).mean()

        loss = bellman_error + policy_loss
        return loss, bellman_error.detach()

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        """Finn et al. 2017, algorithm 3, with Q-learning inside and outside, and a replay buffer of tasks."""
        config = self.config
        # Each task acts a batch by the shared Q-function, exploring ...
        first, trial = collect(self, family, tasks, begin(self, family, tasks, config.episodes), generator)

        # ... takes the inner steps on it ...
        memory = self.absorb(trial.memory, first)
        memory = memory._replace(explore=torch.full_like(memory.explore, config.explore_training))

        # ... and acts a second batch by its adapted Q-function, which the outer loss will be on.
        later, _ = collect(self, family, tasks, trial._replace(memory=memory), generator)

        # Off-policy: both batches of this task serve many outer steps, of this iteration and of later ones.
        first_rows = transition_rows(first, family.training_reward(tasks, first))
        later_rows = transition_rows(later, family.training_reward(tasks, later))
        self.replay.add({name: torch.cat((first_rows[name], later_rows[name]), 1) for name in first_rows})
        errors = [self._outer_step(generator) for _ in range(config.gradient_steps)]
        return _metrics(first, later, torch.stack(errors).mean())

    def _outer_step(self, generator: torch.Generator) -> Tensor:
        """theta <- theta - beta grad of the loss of the adapted weights, and the target network after it.

        Returns the mean squared Bellman error before the step.
        """
        config = self.config
        rows = self.replay.sample(config.batch_tasks, generator)
        loss, bellman_error = self.losses(rows, generator)
        descend(self.optimizer, loss, config.max_grad_norm)

        names = [name for name, _ in self.net.named_parameters()]
        polyak([self._target(name) for name in names], list(self.net.parameters()), config.target_rate)
        return bellman_error

    def _target(self, name: str) -> Tensor:
        """The target network's weight of this name."""
        return self.get_buffer(_target_name(name))


def _target_name(name: str) -> str:
    """The buffer that follows a parameter: buffers' names hold no dots."""
    return "target_" + name.replace(".", "_")


def _metrics(first: Episodes, later: Episodes, error: Tensor) -> Metrics:
    """Returns before and after the inner steps, and the outer steps' mean squared Bellman error."""
    before = first.returns.mean((1, 2))  # (T,)
    after = later.returns.mean((1, 2))
    scores = torch.stack((before, after), 1)  # (T, 2)
    return_before, return_after = scores.mean(0).tolist()
    values = {
        "return": return_after,
        "return_before": return_before,
        "env_steps": first.env_steps + later.env_steps,
        "loss": error.item(),
    }
    return Metrics(values, scores)


def _check(config: MetaQConfig) -> None:
    """Raise ValueError for a field that is out of range."""
    check_positive(
        "meta_q",
        meta_batch=config.meta_batch,
        episodes=config.episodes,
        capacity=config.capacity,
        gradient_steps=config.gradient_steps,
        batch_tasks=config.batch_tasks,
        batch=config.batch,
        target_every=config.target_every,
        inner_step=config.inner_step,
        max_inner_norm=config.max_inner_norm,
        reward_scale=config.reward_scale,
        learning_rate=config.learning_rate,
        max_grad_norm=config.max_grad_norm,
    )
    check_choice("meta_q", "form", config.form, ("maml", "shared"))
