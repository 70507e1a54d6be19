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
    trials, length = episodes.reward.shape[:2], episodes.mask[0, 0].numel()
    rows = {k: y.view(*trials, length, *y.shape[2:]) for k, y in transition_rows(episodes, training_reward).items()}
    inside = torch.zeros_like(rows["mask"])
    after = encode_seen(spec, Seen(rows["after"], rows["action"], rows["reward"], inside, 0))
    order = torch.argsort((~rows["mask"]).to(torch.int8), dim=-1, stable=True)  # as ``sequences``

    def live_first(y: Tensor) -> Tensor:
        return y.gather(2, order.reshape(order.shape + (1,) * (y.ndim - 3)).expand_as(y))

    names = {"action": "action", "reward": "training_reward", "terminated": "terminated", "live": "mask"}
    x = sequences(spec, episodes).x.transpose(0, 1).unflatten(0, trials)
    return {"x": x, "after": live_first(after), **{k: live_first(rows[name]) for k, name in names.items()}}


class TrialContext(nn.Module):
    """State of step t: (observation, h_t), h_t the core's output after all that was seen up to and at t."""

    def __init__(self, spec: Spec, core: Core) -> None:
        super().__init__()
        self.observed = spec.observation_size
        self.core = core

    def context(self, state: Tensor) -> Tensor:
        """h of a state."""
        return state[..., self.observed :]

    def forward(self, rows: Rows, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The state at each step of trials (B, L, ...), and the one that followed (no gradient): (B, L, O + units).

        before (B, units): the core's state before the first step, where that is not a trial's beginning.
        """
        x, after = (rows[key].transpose(0, 1) for key in ("x", "after"))  # (L, B, I)
        start = self.core.initial(x.shape[1]) if before is None else (before,)
        hidden, _ = self.core.unroll(x, start)
        with torch.no_grad():  # one step on from each, as if the episode went on: also where it was cut off
            then, _ = self.core.step(after.flatten(0, 1), (hidden.flatten(0, 1),))
        pairs = ((x, hidden), (after, then.view_as(hidden)))
        now, later = (torch.cat((y[..., : self.observed], h), -1).transpose(0, 1) for y, h in pairs)
        return now, later


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
        for mine, x in ((self.state, state), (self.action, action), (self.target, target)):
            mine.copy_(x.flatten(0, 1)[chosen])
        self.filled.fill_(True)

    def batches(self, beta: Tensor, steps: int, size: int) -> list[Batch]:
        """``steps`` times the next ``size`` of them, from the first on and round; weighed by beta (B, n) / size."""
        found = []
        for step in range(steps):
            at = (torch.arange(size, device=beta.device) + step * size) % len(self.target)
            state, action, target = (
                x[at].expand(len(beta), *x[at].shape) for x in (self.state, self.action, self.target)
            )
            found.append(Batch(state, action, target, beta[:, at] / size))
        return found
