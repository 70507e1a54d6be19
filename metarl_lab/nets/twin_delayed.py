"""TD3's heads on a state and its context: policy and two Q-functions, the same for all tasks or each task's own.

Fujimoto, van Hoof & Meger 2018, arXiv 1802.09477. Of discrete actions there is no policy: the greedy action is, and the
target is double Q-learning's (van Hasselt, Guez & Silver 2016, arXiv 1509.06461) by the smaller of two Q-functions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarl_lab.nets.batched_mlp import BatchedMLP, Weights
from metarl_lab.nets.unit_box import UnitBox
from metarl_lab.ops.soft import polyak
from metarl_lab.ops.td3 import clipped_double_q, distance_from, epsilon_greedy, explored
from metarl_lab.types import Spec, map_tensors

_CLIP = 0.5  # of the target's noise, in units of half the box (1802.09477, appendix C)


class Heads(NamedTuple):
    """Weights of B tasks, or of all as one (B = 1)."""

    critic: Weights  # (B, 2, in, out)
    actor: Weights  # (B, 1, in, out); none of discrete actions


class Batch(NamedTuple):
    """What heads are fitted to: N transitions of B tasks, or of all as one (B = 1)."""

    state: Tensor  # (B, N, I)
    action: Tensor  # (B, N, A) in the unit box, or (B, N) indices
    target: Tensor  # (B, N)
    weight: Tensor  # (B, N)


class TwinDelayed(nn.Module):
    """mu(s) in the unit box, Q_1 and Q_2(s, u), and targets that follow slowly (buffers); s (B, N, I)."""

    def __init__(self, spec: Spec, inputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.discrete, self.actions = spec.discrete, spec.action_size
        actions = self.actions
        self.box = UnitBox(spec)
        ends = (inputs, *hidden, actions) if spec.discrete else (inputs + actions, *hidden, 1)
        self.critic = BatchedMLP(ends, members=2)
        self.actor = None if spec.discrete else BatchedMLP((inputs, *hidden, actions), output_gain=0.1)
        for part, weights in self.heads()._asdict().items():
            for name, w in weights.items():
                self.register_buffer(f"target_{part}_{name}", w[0].detach().clone())

    def heads(self, which: str = "trained") -> Heads:
        """The shared weights, B = 1: "trained", "held" (the same as constants) or "target"."""
        own = Heads(self.critic.weights(), {} if self.actor is None else self.actor.weights())
        if which == "target":
            parts = zip(Heads._fields, own, strict=True)
            return Heads(*({k: self.get_buffer(f"target_{p}_{k}").unsqueeze(0) for k in w} for p, w in parts))
        if which not in ("trained", "held"):
            raise ValueError(f"which={which!r} is not known; choose 'trained', 'held' or 'target'")
        return Heads(*({k: (x if which == "trained" else x.detach()).unsqueeze(0) for k, x in w.items()} for w in own))

    def action(self, heads: Heads, state: Tensor) -> Tensor:
        """What the policy does without noise: u (B, N, A) in the unit box, or indices (B, N)."""
        if self.actor is None:
            return self._values(heads, state).amin(0).argmax(-1)
        return self.actor(state, {k: w.squeeze(1) for k, w in heads.actor.items()}).tanh()

    def act(self, heads: Heads | None, state: Tensor, noise: Tensor, greedy: Tensor, amount: float) -> Tensor:
        """Actions of the family, (T, E[, A]): by its own heads (T, E, ...) for each state (T, E, I), or by the shared.

        noise (T, E, A or 1) is used where not greedy (T, E), ``amount`` of it: the share of random indices, or the
        standard deviation on box actions in units of half the box.
        """
        lead, flat = state.shape[:2], state.flatten(0, 1)
        if heads is None:
            best = self.action(self.heads(), flat.unsqueeze(0)).squeeze(0)
        else:
            best = self.action(map_tensors(lambda w: w.flatten(0, 1), heads), flat.unsqueeze(1)).squeeze(1)
        best = best.unflatten(0, lead)
        if self.discrete:
            return torch.where(greedy, best, epsilon_greedy(best, noise.squeeze(-1), amount, self.actions))
        return self.box.from_unit(torch.where(greedy.unsqueeze(-1), best, explored(best, noise, amount)))

    def q(self, heads: Heads, state: Tensor, action: Tensor) -> Tensor:
        """Both Q-functions of actions taken, u (B, N, A) or indices (B, N) -> (2, B, N)."""
        if self.discrete:
            return self._values(heads, state).gather(-1, action.expand(2, -1, -1).unsqueeze(-1)).squeeze(-1)
        return self._values(heads, torch.cat((state, action), -1)).squeeze(-1)

    def _values(self, heads: Heads, x: Tensor) -> Tensor:
        """(2, B, N, outputs)."""
        out = self.critic(x.repeat_interleave(2, 0), {k: w.flatten(0, 1) for k, w in heads.critic.items()})
        return out.unflatten(0, (-1, 2)).transpose(0, 1)

    @torch.no_grad()
    def target(
        self, state: Tensor, reward: Tensor, terminated: Tensor, discount: float, noise: Tensor | None = None,
        std: float = 0.0,
    ) -> Tensor:  # fmt: skip
        """What Q is fitted to where ``state`` (1, N, I) follows, (1, N); noise (1, N, A) smooths over actions."""
        late = self.heads("target")
        action = self.action(self.heads() if self.discrete else late, state)
        if noise is not None and not self.discrete:
            action = explored(action, noise, std, _CLIP)
        return clipped_double_q(reward, self.q(late, state, action), terminated, discount)

    def critic_loss(self, heads: Heads, batch: Batch) -> Tensor:
        """sum_n weight_n sum_i (Q_i(s_n, a_n) - y_n)^2 of each task, (B,)."""
        error = self.q(heads, batch.state, batch.action) - batch.target
        return (error.square().sum(0) * batch.weight).sum(-1)

    def actor_loss(self, heads: Heads, batch: Batch) -> Tensor:
        """-sum_n weight_n Q_1(s_n, mu(s_n)) of each task, (B,); the Q-functions are constants."""
        judge = heads._replace(critic={k: w.detach() for k, w in heads.critic.items()})
        return -(self.q(judge, batch.state, self.action(heads, batch.state))[0] * batch.weight).sum(-1)

    @torch.enable_grad()
    def adapted(self, start: Heads | None, batches: Iterable[Batch], near: Tensor, delay: int, rate: float) -> Heads:
        """Every task's own heads after one gradient step on each of the batches (B, N), by Adam begun anew.

        Descends each task's loss plus near_b / 2 times the squared distance from the shared weights. Adam is
        elementwise, so no task's step depends on another's.

        Parameters
        ----------
        start : Heads (B, ...), optional
            Where the tasks begin; None: at the shared weights. It is not changed.
        near : Tensor (B,)
            Weight of the proximal term.
        delay : int
            Steps of the Q-functions per step of the policy.
        """
        anchor, n = self.heads("held"), len(near)
        begin = [{k: w.expand(n, *w.shape[1:]) for k, w in x.items()} for x in (anchor if start is None else start)]
        heads = Heads(*({k: w.detach().clone().requires_grad_() for k, w in x.items()} for x in begin))
        optimizer = torch.optim.Adam([w for x in heads for w in x.values()], lr=rate)
        for step, batch in enumerate(batches):
            loss = self.critic_loss(heads, batch) + near * distance_from(heads.critic, anchor.critic)
            if heads.actor and step % delay == 0:
                loss = loss + self.actor_loss(heads, batch) + near * distance_from(heads.actor, anchor.actor)
            optimizer.zero_grad(set_to_none=True)
            loss.sum().backward()
            optimizer.step()
        return Heads(*({k: w.detach() for k, w in x.items()} for x in heads))

    def follow(self, rate: float) -> None:
        """The targets move a share ``rate`` of the way to the trained weights."""
        late, own = ([w for x in self.heads(which) for w in x.values()] for which in ("target", "held"))
        polyak(late, own, rate)
