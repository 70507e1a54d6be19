"""Terminations: what is masked, what is delivered, what is bootstrapped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from contract.cases import family
from torch import Tensor

import metarl_lab as ml
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import Seen, Spec

H, K = 5, 3
LIVES = torch.tensor([1, 3, 5, 9])  # steps until termination; the last never gets there


class Lives(NamedTuple):
    """``life`` (T,), in steps."""

    life: Tensor


class Clock(NamedTuple):
    """``step`` (T, E)."""

    step: Tensor


@dataclass(frozen=True)
class Countdown(TaskFamily):
    """Reward 1, 2, 3, ... per step; terminates after ``life`` steps. Observation: the step."""

    name: ClassVar[str] = ""

    @property
    def spec(self) -> Spec:
        return Spec(gym.spaces.Box(0, 99, (1,), np.float32), gym.spaces.Discrete(7), horizon=H, terminates=True)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> Lives:
        return Lives(LIVES)

    def reset(self, tasks: Lives, noise: Tensor) -> Clock:
        return Clock(torch.zeros(noise.shape[:2]))

    def step(self, tasks: Lives, state: Clock, action: Tensor, noise: Tensor) -> tuple[Clock, Tensor, Tensor]:
        after = state.step + 1
        return Clock(after), after.clone(), after >= tasks.life.unsqueeze(1)

    def observe(self, tasks: Lives, state: Clock) -> Tensor:
        return state.step.unsqueeze(-1)


class Diary:
    """An agent that notes all it sees, and counts in its memory how often it acted."""

    shares_memory, noise_size = False, 1

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def begin(self, n_tasks: int, copies: int) -> Tensor:
        return torch.zeros(n_tasks, copies)

    def act(self, memory: Tensor, seen: Seen, noise: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append(seen)
        return torch.full(memory.shape, len(self.seen) % 7), memory + 1

    def absorb(self, memory: Tensor, episodes: Any) -> Tensor:
        return memory


def acted() -> tuple[Any, Any, Diary]:
    diary, made = Diary(), Countdown()
    tasks = made.sample_tasks(4, "train", seeded_generator("cpu", 0))
    episodes, trial = collect(diary, made, tasks, begin(diary, made, tasks, 2), seeded_generator("cpu", 1), K)
    return episodes, trial, diary


def test_steps_after_the_end_are_masked_and_pay_nothing() -> None:
    episodes, _, _ = acted()
    live = torch.arange(H) < LIVES.unsqueeze(1)  # (T, H)
    assert torch.equal(episodes.mask, live[:, None, None].expand(4, 2, K, H))
    assert torch.equal(episodes.returns[:, 0, 0], torch.tensor([1.0, 6.0, 15.0, 15.0]))
    assert episodes.env_steps == int(live.sum()) * 2 * K


def test_termination_is_not_truncation() -> None:
    episodes, _, _ = acted()
    ends = torch.zeros(4, H, dtype=torch.bool)
    for t, life in enumerate(LIVES.tolist()):
        if life <= H:
            ends[t, life - 1] = True
    assert torch.equal(episodes.terminated, ends[:, None, None].expand(4, 2, K, H))
    cut = torch.zeros(4, H, dtype=torch.bool)
    cut[3, H - 1] = True
    assert torch.equal(episodes.truncated, cut[:, None, None].expand(4, 2, K, H))
    # what followed the last live step, which truncated values bootstrap from
    assert torch.equal(episodes.final_observation[:, 0, :, 0], torch.tensor([1.0, 3, 5, 5]).unsqueeze(1).expand(4, K))


def test_the_last_transition_of_an_episode_is_seen_at_the_next_ones_first_step() -> None:
    episodes, trial, diary = acted()
    assert (diary.seen[0].action == -1).all() and (diary.seen[0].reward == 0).all()
    last = torch.minimum(LIVES, torch.tensor(H)) - 1  # (T,), index of the last live step
    for k in range(K):
        first = diary.seen[k * H]
        assert first.start.all() and (k == K - 1 or not diary.seen[k * H + 1].start.any())
        if k:
            assert torch.equal(first.reward[:, 0], (last + 1).float())
            assert torch.equal(first.action[:, 0], episodes.action[torch.arange(4), 0, k - 1, last])
    assert torch.equal(trial.reward[:, 0], (last + 1).float()), "and so it is for the batch that comes next"


def test_a_finished_copy_keeps_its_memory() -> None:
    _, trial, _ = acted()
    assert torch.equal(trial.memory[:, 0], torch.minimum(LIVES, torch.tensor(H)).float() * K)


def test_arrivals_in_a_real_family_are_masked_too() -> None:
    made = family("point_navigation")
    assert made.spec.terminates
    tasks = made.sample_tasks(40, "test", seeded_generator("cpu", 2))
    walker = ml.make_reference("random", made)
    episodes, _ = collect(walker, made, tasks, begin(walker, made, tasks), seeded_generator("cpu", 3))
    ended = episodes.terminated.any(-1)
    assert ended.any() and not ended.all()
    assert torch.equal(episodes.mask.sum(-1)[ended], episodes.terminated.int().argmax(-1)[ended] + 1)
    assert (episodes.reward[~episodes.mask] == 0).all()
    assert torch.equal(episodes.truncated[..., -1], ~ended)
