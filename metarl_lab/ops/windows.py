"""Windows of an episode: the last M transitions before a step, as they come in, and as they are cut out afterwards."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl_lab.ops.transitions import Rows, take
from metarl_lab.types import Seen, Spec


class Recent(NamedTuple):
    """The last M transitions of each copy in its episode, oldest first."""

    observation: Tensor  # (T, E, M, O)
    action: Tensor  # (T, E, M) int64 or (T, E, M, A)
    reward: Tensor  # (T, E, M)
    after: Tensor  # (T, E, M, O)
    valid: Tensor  # (T, E, M) bool, there is such a transition

    def rows(self) -> Rows:
        """As B = T E problems, (B, M, ...). None of them ended its episode: the next observation was seen."""
        columns = {name: column.flatten(0, 1) for name, column in self._asdict().items()}
        return columns | {"terminated": torch.zeros_like(columns["valid"])}


def nothing_recent(spec: Spec, n_tasks: int, copies: int, size: int, device: torch.device) -> Recent:
    """A window of M = ``size`` transitions, none of which there is."""
    reward = torch.zeros(n_tasks, copies, size, device=device)
    observation = torch.zeros(*reward.shape, spec.observation_size, device=device)
    action = reward.long() if spec.discrete else torch.zeros(*reward.shape, spec.action_size, device=device)
    return Recent(observation, action, reward, observation, reward.bool())


def push(recent: Recent, last: Tensor, seen: Seen) -> Recent:
    """Take in the transition from the last observation (T, E, O) to the one seen; the oldest one leaves.

    What leads from an episode's end to the start of the next is no transition: there the window is emptied.
    """
    inside = ~seen.start

    def push_one(old: Tensor, new: Tensor) -> Tensor:  # (T, E, M, ...), (T, E, ...)
        return torch.cat((old[:, :, 1:], new.unsqueeze(2)), 2)

    return Recent(
        observation=push_one(recent.observation, last),
        action=push_one(recent.action, seen.action),
        reward=push_one(recent.reward, seen.reward),
        after=push_one(recent.after, seen.observation),
        valid=push_one(recent.valid, inside) & inside.unsqueeze(-1),
    )


class Windows(NamedTuple):
    """Of each task the transitions before some step of one of its episodes, and those from that step on."""

    past: Rows  # (T, M, ...), oldest first
    known: Tensor  # (T, M) bool: it lies within the episode, and was live
    future: Rows  # (T, F, ...)
    live: Tensor  # (T, F) bool


def windows(rows: Rows, horizon: int, past: int, future: int, generator: torch.Generator) -> Windows:
    """Cut each task's episodes before a step t: past t - M .. t - 1 where the episode has them, future t .. t + F - 1.

    rows (T, N H, ...): N episodes of H steps laid end to end, as ``transition_rows`` has them. Each episode and each t
    from 0 to H - F is equally likely, so windows are as full, or as empty, as they are while acting. F is cut to H.
    """
    n_tasks, width = rows["mask"].shape
    if width % horizon:
        raise ValueError(f"windows: {width} transitions are no whole number of episodes of {horizon} steps")
    future, device = min(future, horizon), generator.device
    episode = torch.randint(width // horizon, (n_tasks, 1), generator=generator, device=device)
    t = torch.randint(horizon - future + 1, (n_tasks, 1), generator=generator, device=device)
    first = horizon * episode  # where the episode begins in its row
    steps_before = t - past + torch.arange(past, device=device)  # (T, M), below 0 where the episode had not begun
    steps_after = t + torch.arange(future, device=device)  # (T, F)
    earlier = take(rows, first + steps_before.clamp_min(0))
    later = take(rows, first + steps_after)
    return Windows(
        past=earlier,
        known=earlier["mask"] & (steps_before >= 0),
        future=later,
        live=later["mask"],
    )
