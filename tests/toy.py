"""The smallest learner with everything a resume can lose: Adam, a decaying step size, a buffer, noise, a score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from metarl_lab.catalog import make_family
from metarl_lab.learners.base import MetaLearner
from metarl_lab.ops.distributions import Categorical
from metarl_lab.rollout import begin, collect
from metarl_lab.samplers.base import TaskSampler
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.types import Episodes, Memory, Metrics, Seen, Spec


@dataclass(frozen=True)
class ToyConfig:
    """What can be chosen."""

    meta_batch: int = 6
    """Tasks per iteration."""
    learning_rate: float = 0.05
    """Adam's step size at the start."""
    sizes: tuple[int, ...] = (3, 2)
    """A field that JSON turns into a list."""


class Toy(MetaLearner):
    """One vector of logits for all tasks, REINFORCE. ``during`` is called in the middle of each update."""

    name: ClassVar[str] = "toy"
    source: ClassVar[str] = "none"
    Config = ToyConfig
    shares_memory = True

    def __init__(self, spec: Spec, config: ToyConfig) -> None:
        super().__init__(spec, config)
        self.logits = nn.Parameter(torch.randn(spec.action_size))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)
        self.during: Callable[[int, dict[str, float]], Any] = lambda iteration, values: None

    def begin(self, n_tasks: int, copies: int) -> Memory:
        return self.logits.detach().expand(n_tasks, -1)

    def act(self, memory: Tensor, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        return Categorical(memory.unsqueeze(1).expand(*noise.shape[:2], -1)).sample(noise), memory

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        return memory

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        episodes, _ = collect(self, family, tasks, begin(self, family, tasks, 2), generator)
        gain = episodes.reward - episodes.reward.mean()
        jitter = torch.rand((), generator=generator)
        loss = -(Categorical(self.logits.expand(*gain.shape, -1)).log_prob(episodes.action) * gain).mean() * (
            1 + jitter
        )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.updates += 1
        self.optimizer.param_groups[0]["lr"] *= 0.97
        scores = episodes.returns.mean(1)
        values = {"return": scores.mean().item(), "env_steps": episodes.env_steps, "loss": loss.item()}
        self.during(int(self.updates), values)  # half done: the weights have moved, the iteration is not counted
        return Metrics(values, scores)


@dataclass(frozen=True)
class RememberingConfig:
    """What can be chosen."""

    weight: float = 0.001
    """How much the scores count."""


class Remembering(TaskSampler):
    """A sampler with a state that decides what comes next: the mean of all scores shifts its draws."""

    name: ClassVar[str] = "remembering"
    Config = RememberingConfig

    def __init__(self, config: RememberingConfig = RememberingConfig()) -> None:
        super().__init__(config)
        self.total = torch.zeros(())

    def sample(self, family: TaskFamily, n: int, generator: torch.Generator) -> Tasks:
        drawn = family.sample_tasks(n, "train", generator)
        return drawn._replace(mean=(drawn.mean + self.config.weight * self.total).frac())

    def observe(self, tasks: Tasks, scores: Tensor) -> None:
        self.total = self.total + scores.mean()

    def state(self) -> dict[str, Tensor]:
        return {"total": self.total}

    def load_state(self, state: dict[str, Tensor]) -> None:
        self.total = state["total"].clone()


def bandit() -> TaskFamily:
    """Three arms, four pulls."""
    return make_family("bernoulli_bandit", arms=3, horizon=4)


def toy(seed: int = 0, **options: Any) -> Toy:
    """A toy with the weights of a seed."""
    torch.manual_seed(seed)
    return Toy(bandit().spec, ToyConfig(**options))


def state_of(learner: MetaLearner) -> dict[str, Tensor]:
    """Everything that a learner is, copied."""
    parts = {**learner.state_dict(), **{f"optimizer/{k}": v for k, v in learner.training_state().items()}}
    return {k: v.detach().clone() for k, v in parts.items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def without_time(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """Rows of metrics without wall seconds."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
