"""A context for off-policy learning: whole trials as rows of a replay buffer, and the states a core makes of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_lab.nets.base import Core, encode_seen, sequences
from metarl_lab.nets.twin_delayed import Batch
from metarl_lab.ops.transitions import Rows, transition_rows
from metarl_lab.types import Episodes, Seen, Spec


def trial_rows(spec: Spec, episodes: Episodes, training_reward: Tensor) -> Rows:
    """Whole trials as rows (T, E, L, ...), L = K H steps, live ones first, as the network saw them while acting.

    ``x``: what was seen, encoded; ``after``: what followed the action, encoded as the next step of the same episode,
    whether or not there was one: the state in which values bootstrap through truncation.
    """
    trials = episodes.reward.shape[:2]  # (T, E)
    length = episodes.mask[0, 0].numel()  # L = K H
    by_task = transition_rows(episodes, training_reward)  # (T, E K H, ...)
    rows = {name: column.view(*trials, length, *column.shape[2:]) for name, column in by_task.items()}
    live = rows["mask"]
    no_start = torch.zeros_like(live)  # what follows a step is never the first of an episode
    after = encode_seen(spec, Seen(rows["after"], rows["action"], rows["reward"], no_start, 0))
    order = torch.argsort((~live).to(torch.int8), dim=-1, stable=True)  # as ``sequences``

    def live_first(column: Tensor) -> Tensor:  # (T, E, L, ...)
        index = order.reshape(order.shape + (1,) * (column.ndim - 3)).expand_as(column)
        return column.gather(2, index)

    return {
        "x": sequences(spec, episodes).x.transpose(0, 1).unflatten(0, trials),  # it puts live steps first itself
        "after": live_first(after),
        "action": live_first(rows["action"]),
        "reward": live_first(rows["training_reward"]),
        "terminated": live_first(rows["terminated"]),
        "live": live_first(live),
    }


class TrialContext(nn.Module):
    """State of step t: (observation, h_t), h_t the core's output after all that was seen up to and at t."""

    def __init__(self, spec: Spec, core: Core) -> None:
        super().__init__()
        self.observed = spec.observation_size
        self.core = core

    def context(self, state: Tensor) -> Tensor:
        """h_t of the state of step t."""
        return state[..., self.observed :]

    def forward(self, rows: Rows, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The state at each step of trials (B, L, ...), and the one that followed (no gradient): (B, L, O + units).

        before (B, units): the core's state before the first step, where that is not a trial's beginning.
        """
        x, after = rows["x"].transpose(0, 1), rows["after"].transpose(0, 1)  # (L, B, I)
        start = self.core.initial(x.shape[1]) if before is None else (before,)
        hidden, _ = self.core.unroll(x, start)  # (L, B, units)
        with torch.no_grad():  # one step on from each, as if the episode went on: also where it was cut off
            next_hidden, _ = self.core.step(after.flatten(0, 1), (hidden.flatten(0, 1),))
        state = torch.cat((x[..., : self.observed], hidden), -1)
        next_state = torch.cat((after[..., : self.observed], next_hidden.view_as(hidden)), -1)
        return state.transpose(0, 1), next_state.transpose(0, 1)


class Kept(nn.Module):
    """Transitions of many tasks, ready to be learned from again, as buffers: they are stored with the agent."""

    state: Tensor
    action: Tensor
    target: Tensor
    filled: Tensor
    guided: Tensor
    """Whether the reward that was maximised is another than the one seen."""

    def __init__(self, spec: Spec, units: int, n: int) -> None:
        super().__init__()
        action = torch.zeros(n, dtype=torch.int64) if spec.discrete else torch.zeros(n, spec.action_size)
        self.register_buffer("state", torch.zeros(n, spec.observation_size + units))
        self.register_buffer("action", action)
        self.register_buffer("target", torch.zeros(n))
        self.register_buffer("filled", torch.zeros((), dtype=torch.bool))
        self.register_buffer("guided", torch.zeros((), dtype=torch.bool))

    def fill(self, state: Tensor, action: Tensor, target: Tensor, live: Tensor, generator: torch.Generator) -> None:
        """Replace all by live steps of trials (B, L, ...), each equally likely, in random order."""
        chosen = torch.multinomial(live.flatten().float(), len(self.target), replacement=True, generator=generator)
        self.state.copy_(state.flatten(0, 1)[chosen])
        self.action.copy_(action.flatten(0, 1)[chosen])
        self.target.copy_(target.flatten(0, 1)[chosen])
        self.filled.fill_(True)

    def batches(self, beta: Tensor, steps: int, size: int) -> list[Batch]:
        """``steps`` times the next ``size`` of them, from the first on and round; weighed by beta (B, n) / size."""
        n_tasks = len(beta)
        found = []
        for step in range(steps):
            place = (torch.arange(size, device=beta.device) + step * size) % len(self.target)
            batch = Batch(
                state=_for_every_task(self.state[place], n_tasks),
                action=_for_every_task(self.action[place], n_tasks),
                target=_for_every_task(self.target[place], n_tasks),
                weight=beta[:, place] / size,
            )
            found.append(batch)
        return found


def _for_every_task(column: Tensor, n_tasks: int) -> Tensor:
    """The same rows for each of B tasks, without a copy: (N, ...) -> (B, N, ...)."""
    return column.expand(n_tasks, *column.shape)
