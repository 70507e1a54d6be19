"""The axis letters and the small tuples that pass between families, learners and rollouts.

Axes, used in every comment and docstring: ``T`` tasks, ``E`` parallel copies of one task, ``K`` episodes of one
trial, ``H`` steps of one episode, ``O`` observation features, ``A`` action (number of discrete actions, or action
dimensions). A *trial* is K episodes with the same hidden task; nothing crosses a trial.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import gymnasium as gym
import torch
from torch import Tensor

Memory = Any  # any nesting of tuples, NamedTuples, lists and dicts of tensors with leading axis T or (T, E)
SPLITS = ("train", "test", "ood")


@dataclass(frozen=True)
class Spec:
    """What a learner may know of a family before it meets a task of it.

    Attributes
    ----------
    observation_space : gymnasium.spaces.Box
        One observation, always a float vector of O features (discrete states come one-hot).
    action_space : gymnasium.spaces.Discrete or gymnasium.spaces.Box
        One action: an int64 in 0..A-1, or a float vector of A dimensions.
    horizon : int
        H, the number of steps after which the rollout truncates an episode.
    episodes : int
        K, the number of episodes of one trial in the family's own protocol.
    reset_noise, step_noise : int
        How many uniform numbers on (0, 1) one reset, and one step, of one copy consumes.
    terminates : bool
        Whether ``step`` ever says terminated; a rollout of a family that never does skips the masking.
    """

    observation_space: gym.spaces.Box
    action_space: gym.spaces.Discrete | gym.spaces.Box
    horizon: int
    episodes: int = 1
    reset_noise: int = 0
    step_noise: int = 0
    terminates: bool = False

    @property
    def observation_size(self) -> int:
        """O, the number of observation features."""
        return int(self.observation_space.shape[0])

    @property
    def discrete(self) -> bool:
        """Whether actions are indices."""
        return isinstance(self.action_space, gym.spaces.Discrete)

    @property
    def action_size(self) -> int:
        """A: the number of discrete actions, or of action dimensions."""
        if isinstance(self.action_space, gym.spaces.Discrete):
            return int(self.action_space.n)
        return int(self.action_space.shape[0])


class Seen(NamedTuple):
    """What an agent sees before it acts.

    ``action`` and ``reward`` are those of the previous step of the *trial*, so that the last transition of an episode
    is seen at the first step of the next one. Before the first step of a trial the action is -1 (discrete) or zeros
    and the reward is 0.
    """

    observation: Tensor  # (T, E, O)
    action: Tensor  # (T, E) int64 or (T, E, A)
    reward: Tensor  # (T, E)
    start: Tensor  # (T, E) bool, first step of an episode
    step: int  # 0..H-1, the same for all copies


class Trial(NamedTuple):
    """Where a trial stands between two rollouts: the agent's memory and the last transition, not yet seen."""

    memory: Memory
    action: Tensor  # (T, E) int64 or (T, E, A)
    reward: Tensor  # (T, E)


class Episodes(NamedTuple):
    """Finished episodes, in the order acted. Steps after a termination are masked: ``mask`` False, reward 0.

    ``final_observation`` is what followed the last live step: values bootstrap from it where ``truncated``.
    """

    observation: Tensor  # (T, E, K, H, O)
    action: Tensor  # (T, E, K, H) int64 or (T, E, K, H, A)
    reward: Tensor  # (T, E, K, H)
    terminated: Tensor  # (T, E, K, H) bool
    truncated: Tensor  # (T, E, K, H) bool
    mask: Tensor  # (T, E, K, H) bool, the step was live
    final_observation: Tensor  # (T, E, K, O)
    before: tuple[Tensor, Tensor]  # the (action, reward) seen at the very first step: (T, E[, A]), (T, E)

    @property
    def returns(self) -> Tensor:
        """Undiscounted return of each episode, (T, E, K)."""
        return self.reward.sum(-1)

    @property
    def env_steps(self) -> int:
        """Live environment steps in total. Reads from the device: not for a hot loop."""
        return int(self.mask.sum())


class Metrics(NamedTuple):
    """What one meta-training iteration reports."""

    values: dict[str, float]
    """Named numbers; ``return`` (mean return per episode, of the last batch or of the whole trial, before the update)
    and ``env_steps`` (live steps of this iteration) always, ``loss`` where there is one."""
    scores: Tensor
    """(T, B) mean return per episode of each task, batch by batch of its trial as it was acted: the first column is
    before the learner has adapted to the task, the last one after. A batch is what ``absorb`` takes in (gradient-based
    learners: before each inner step, and after the last) or one episode (learners whose memory changes as they act).
    It is what the task sampler hears."""


@runtime_checkable
class Agent(Protocol):
    """What ``collect`` and ``evaluate`` need: learners and references both answer to it."""

    shares_memory: bool
    """True: copies of a task share one memory with leading axis T, which acting never changes (MAML).
    False: each copy carries its own, with leading axes (T, E), from step to step (RL2)."""
    noise_size: int
    """How many uniform numbers on (0, 1) one ``act`` consumes, per copy."""

    def begin(self, n_tasks: int, copies: int) -> Memory: ...
    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]: ...
    def absorb(self, memory: Memory, episodes: Episodes) -> Memory: ...


def map_tensors(function: Callable[..., Tensor], tree: Any, *others: Any) -> Any:
    """Apply ``function`` to each tensor of a nesting (and to the matching tensors of ``others``); keep the shape."""
    if isinstance(tree, Tensor):
        return function(tree, *others)
    if isinstance(tree, dict):
        return {k: map_tensors(function, v, *(o[k] for o in others)) for k, v in tree.items()}
    if isinstance(tree, tuple | list):
        items = [map_tensors(function, v, *(o[i] for o in others)) for i, v in enumerate(tree)]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return tree


def leaves(tree: Any) -> list[Tensor]:
    """The tensors of a nesting, in the order in which ``map_tensors`` meets them."""
    found: list[Tensor] = []

    def note(x: Tensor) -> Tensor:
        found.append(x)
        return x

    map_tensors(note, tree)
    return found


def to_device(tree: Any, device: torch.device | str) -> Any:
    """The same nesting with every tensor on ``device``."""
    return map_tensors(lambda x: x.to(device), tree)
