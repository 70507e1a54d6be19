"""Prioritized level replay: go back to the tasks whose last score says that there is something to learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.samplers.base import TaskSampler, check_scores, draw, rebuild
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import leaves

_PRIORITIES = ("gain", "regret")


@dataclass(frozen=True)
class LevelReplayConfig:
    """What can be chosen."""

    priority: str = "gain"
    """What makes a task worth playing again: "gain", mean return after adaptation minus before it; "regret", the best
    mean return ever seen on it minus its last one (Robust PLR's MaxMC, with the last return for the critic's value)."""
    replay: float = 0.5
    """Probability that a place of an iteration goes to a task seen before, 0 to 1; the others are fresh draws."""
    temperature: float = 0.1
    """beta: priorities are rank^(-1 / beta); 0.1 looks at the very best, a large one at all alike."""
    staleness: float = 0.1
    """rho: share of the replay probability that goes by how long a task has not been played, 0 to 1."""
    capacity: int = 256
    """Tasks kept: those of the highest priority."""
    start: int = 32
    """Tasks kept before the first replay."""


class LevelReplay(TaskSampler):
    """P(replay i) = (1 - rho) P_S(i) + rho P_C(i), Jiang et al. 2021, equations 1 to 3.

    P_S(i) is proportional to rank(S_i)^(-1 / beta), rank 1 being the highest score S; P_C(i) to c - C_i, the iterations
    since task i was last played. The paper's own scores are sizes of the critic's errors (mean |GAE|), and Robust PLR's
    positive value loss is one too; a sampler here hears returns only, whatever the learner is, so its scores are made
    of returns (``priority``). Each place of an iteration is a replay with probability ``replay``, drawn without
    replacement, so that no task is in an iteration twice; all chosen tasks are trained on, as in the first paper (the
    robust form trains on replayed ones only).

    A learner that reports one score a task (B = 1) has no gain: all priorities are then equal, or choose "regret".
    """

    name: ClassVar[str] = "level_replay"
    source: ClassVar[str] = "Jiang, Grefenstette & Rocktaeschel 2021, arXiv 2010.03934; Jiang et al. 2021, 2110.02439"
    Config = LevelReplayConfig
    _iteration: Tensor
    _rows: dict[str, Tensor]  # priority, best, played, and the tasks' own tensors: each (N, ...)
    _places: Tensor  # the row that each place of the last sample replays; -1: a fresh task

    def __init__(self, config: LevelReplayConfig) -> None:
        super().__init__(config)
        check_positive(self.name, temperature=config.temperature, capacity=config.capacity, start=config.start)
        for key in ("replay", "staleness"):
            value = getattr(config, key)
            if not 0 <= value <= 1:
                raise ValueError(f"{self.name}: {key}={value!r} is not allowed; give 0 to 1")
        if config.priority not in _PRIORITIES:
            raise ValueError(f"{self.name}: priority {config.priority!r}; choose one of {', '.join(_PRIORITIES)}")
        self._forget()

    def sample(self, family: TaskFamily, n: int, generator: torch.Generator) -> Tasks:
        device = generator.device
        fresh = family.sample_tasks(n, "train", generator)
        self._rows = {key: x.to(device) for key, x in self._rows.items()}
        self._places = torch.full((n,), -1, device=device)
        replays = torch.rand(n, generator=generator, device=device) < self.config.replay
        if self.size < self.config.start:
            return fresh
        places = replays.nonzero()[:, 0][: self.size]
        rows = draw(self.probabilities(), len(places), generator)
        self._places[places] = rows
        tensors = [x.index_copy(0, places, self._rows[f"task.{i}"][rows]) for i, x in enumerate(leaves(fresh))]
        return rebuild(fresh, tensors)

    def observe(self, tasks: Tasks, scores: Tensor) -> None:
        check_scores(self.name, scores)
        self._iteration = self._iteration + 1
        places = self._places
        if len(places) != len(scores):  # not the tasks of the last sample: all are news
            places = torch.full((len(scores),), -1, device=scores.device)
        news = self._rows_of(tasks, scores, places)
        rows = self._with_others(news, places)
        # highest priority first; among equal ones the sort keeps the order, newest first
        order = rows["priority"].argsort(descending=True, stable=True)[: self.config.capacity]
        self._rows = {key: x[order] for key, x in rows.items()}  # indexing copies: no view is handed in or out
        self._places = places[:0]

    def _rows_of(self, tasks: Tasks, scores: Tensor, places: Tensor) -> dict[str, Tensor]:
        """The rows of tasks just played, each (T, ...); places (T,) says which kept row each of them was, or -1."""
        before, last, best = scores[:, 0], scores[:, -1], scores.amax(1)
        if self.size:
            best_before = torch.where(places >= 0, self._rows["best"][places], -torch.inf)
            best = torch.maximum(best, best_before)
        priority = last - before if self.config.priority == "gain" else best - last
        played = self._iteration.to(scores.device).expand(len(scores))
        own = {f"task.{i}": x for i, x in enumerate(leaves(tasks))}
        return {"priority": priority, "best": best, "played": played, **own}

    def _with_others(self, news: dict[str, Tensor], places: Tensor) -> dict[str, Tensor]:
        """The news, then every kept row that was not played again."""
        if not self.size:
            return news
        others = torch.ones(self.size, dtype=torch.bool, device=places.device)
        others[places[places >= 0]] = False
        return {key: torch.cat((x, self._rows[key][others])) for key, x in news.items()}

    @property
    def size(self) -> int:
        """How many tasks are kept."""
        return len(self._rows["priority"]) if self._rows else 0

    def probabilities(self) -> Tensor:
        """Replay probability of every kept task, (N,), highest priority first."""
        played = self._rows["played"]
        waited = self._iteration.to(played.device) - played
        return replay_probabilities(self._rows["priority"], waited, self.config.temperature, self.config.staleness)

    def state(self) -> dict[str, Tensor]:
        return {"iteration": self._iteration, **self._rows}

    def load_state(self, state: dict[str, Tensor]) -> None:
        self._forget()
        self._iteration = state.get("iteration", self._iteration).clone()
        self._rows = {key: x.clone() for key, x in state.items() if key != "iteration"}

    def _forget(self) -> None:
        self._iteration = torch.zeros((), dtype=torch.int64)
        self._rows = {}
        self._places = torch.zeros(0, dtype=torch.int64)


def replay_probabilities(priority: Tensor, waited: Tensor, temperature: float, staleness: float) -> Tensor:
    """(1 - rho) P_S + rho P_C of N tasks, (N,) float64: Jiang et al. 2021, equations 1 to 3.

    P_S is proportional to rank^(-1 / temperature), P_C to ``waited``. Equal priorities have equal ranks, that of the
    first of them; P_C is uniform where none has waited.

    Parameters
    ----------
    priority : Tensor (N,)
        Larger is replayed more.
    waited : Tensor (N,)
        Iterations since each was last played.
    """
    if priority.ndim != 1 or waited.shape != priority.shape:
        raise ValueError(f"priority and waited must both be (N,), not {tuple(priority.shape)}, {tuple(waited.shape)}")
    ascending = priority.sort().values
    rank = 1 + len(priority) - torch.searchsorted(ascending, priority, right=True)
    by_score = torch.softmax(-rank.double().log() / temperature, 0)
    age = waited.double()
    by_age = age / age.sum() if age.any() else torch.full_like(age, 1 / len(age))
    return (1 - staleness) * by_score + staleness * by_age
