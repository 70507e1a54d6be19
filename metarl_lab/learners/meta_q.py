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
        super().__init__(spec, config)
        counts = ("meta_batch", "episodes", "capacity", "gradient_steps", "batch_tasks", "batch", "target_every")
        sizes = ("inner_step", "max_inner_norm", "reward_scale", "learning_rate", "max_grad_norm")
        check_positive(self.name, **{key: getattr(config, key) for key in (*counts, *sizes)})
        check_choice(self.name, "form", config.form, ("maml", "shared"))
        self.noise_size = 2 if spec.discrete else spec.action_size  # a coin, and an action
        self.net = QNetworks(spec, config.hidden, config.activation)
        for key, p in self.net.named_parameters():
            self.register_buffer("target_" + key.replace(".", "_"), p.detach().clone())
        log_rates = torch.tensor([config.inner_step for _ in self.net.parameters()]).log()
        if config.learned_rates and config.form == "maml":
            self.log_rates = nn.Parameter(log_rates)
        else:
            self.register_buffer("log_rates", log_rates)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)
        self.replay = Replay(config.capacity)

    def weights(self, which: str, n_tasks: int) -> Weights:
        """The shared weights as every task's own, without a copy: "trained" ones, or those of the "target"."""
        own = ((k, self._late(k) if which == "target" else w) for k, w in self.net.named_parameters())
        return {k: w.unsqueeze(0).expand(n_tasks, *w.shape) for k, w in own}

    def begin(self, n_tasks: int, copies: int) -> MetaQMemory:
        weights = {k: w.detach().clone() for k, w in self.weights("trained", n_tasks).items()}
        one = torch.ones_like(weights["critic.weight0"][:, 0, 0, 0])
        return MetaQMemory(weights, self.config.explore_first * one, one)

    @torch.no_grad()
    def act(self, memory: MetaQMemory, seen: Seen, noise: Tensor) -> tuple[Tensor, MetaQMemory]:
        best, explore = self.net.best(memory.weights, seen.observation), memory.explore.unsqueeze(1)
        if self.spec.discrete:
            coin, pick = noise.unbind(-1)
            return torch.where(coin < explore, (pick * self.spec.action_size).long(), best), memory
        return self.net.box.from_unit((best + explore.unsqueeze(-1) * standard_normal(noise)).clamp(-1, 1)), memory

    def absorb(self, memory: MetaQMemory, episodes: Episodes) -> MetaQMemory:
        """Some Q-learning steps of every task on its own episodes."""
        c, one = self.config, torch.ones_like(memory.pace)
        weights = self.adapted(memory.weights, transition_rows(episodes, episodes.reward), False, memory.pace)
        return MetaQMemory(weights, c.explore_later * one, c.later_pace * one)

    @torch.enable_grad()
    def adapted(self, weights: Weights, rows: Rows, graph: bool, pace: Tensor | None = None) -> Weights:
        """Every task's weights after some Q-learning steps on rows (T, M, ...), their sizes times ``pace`` (T,).

        theta_i <- theta_i - rate times the semi-gradient of task i's mean squared Bellman error. graph: the result is a
        function of ``weights``, to be differentiated; False: plain tensors from plain tensors.
        """
        c, late, second_order = self.config, weights, graph and not self.config.first_order
        sizes = self.log_rates.exp().unsqueeze(1) * (1.0 if pace is None else pace)  # (parameters, T or 1)
        for n in range(c.inner_steps):
            if not graph:
                weights = {k: w.detach().requires_grad_() for k, w in weights.items()}
            late = weights if n % c.target_every == 0 else late
            slopes = self.net.semi_gradient(weights, late, rows, c.reward_scale, c.discount, second_order)
            each = zip(weights.items(), shortened(slopes, c.max_inner_norm).values(), sizes, strict=True)
            weights = {k: w - size[:, None, None, None] * slope for (k, w), slope, size in each}
        return weights if graph else {k: w.detach() for k, w in weights.items()}

    def losses(self, rows: Rows, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What an outer step descends, and of it the mean squared Bellman error; rows (T, 2 M, ...), both batches."""
        c, n = self.config, len(rows["mask"])
        weights, late, scored = self.weights("trained", n), self.weights("target", n), rows
        if c.form == "maml":
            first, scored = halves(rows)
            weights, late = self.adapted(weights, first, graph=True), self.adapted(late, first, graph=False)
        r = take(scored, any_live(scored["mask"], c.batch, generator))
        with torch.no_grad():
            noise = torch.rand(n, c.batch, self.spec.action_size, generator=generator, device=self.device)
            reward = c.reward_scale * r["training_reward"]
            y = self.net.target(weights, late, r["after"], reward, r["terminated"], c.discount, noise, c.smoothing)
        error = (
            (self.net.q(weights, r["observation"], self.net.box.to_unit(r["action"])) - y).square().mean((1, 2)).sum()
        )
        gain = 0.0 if self.spec.discrete else self.net.gain(weights, r["observation"]).mean()
        return error - gain, error.detach()

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        c = self.config
        first, trial = collect(self, family, tasks, begin(self, family, tasks, c.episodes), generator)
        memory = self.absorb(trial.memory, first)
        memory = memory._replace(explore=torch.full_like(memory.explore, c.explore_training))
        later, _ = collect(self, family, tasks, trial._replace(memory=memory), generator)
        both = [transition_rows(x, family.training_reward(tasks, x)) for x in (first, later)]
        self.replay.add({k: torch.cat((both[0][k], both[1][k]), 1) for k in both[0]})
        error = torch.stack([self._step(generator) for _ in range(c.gradient_steps)]).mean().item()
        scores = torch.stack([x.returns.mean((1, 2)) for x in (first, later)], 1)  # (T, 2)
        (before, after), steps = scores.mean(0).tolist(), first.env_steps + later.env_steps
        return Metrics({"return": after, "return_before": before, "env_steps": steps, "loss": error}, scores)

    def _step(self, generator: torch.Generator) -> Tensor:
        """One outer step, and the target network after it."""
        c, (late, own) = self.config, zip(*((self._late(k), p) for k, p in self.net.named_parameters()), strict=True)
        loss, error = self.losses(self.replay.sample(c.batch_tasks, generator), generator)
        descend(self.optimizer, loss, c.max_grad_norm)
        polyak(late, own, c.target_rate)
        return error

    def _late(self, name: str) -> Tensor:
        return self.get_buffer("target_" + name.replace(".", "_"))
