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
        self.box = UnitBox(spec)
        self.actor: BatchedMLP | None
        if spec.discrete:
            # Two networks that say the value of every action: the greedy one is the policy.
            self.critic = BatchedMLP((inputs, *hidden, spec.action_size), members=2)
            self.actor = None
        else:
            # Two Q-functions of state and action, and a policy.
            self.critic = BatchedMLP((inputs + spec.action_size, *hidden, 1), members=2)
            self.actor = BatchedMLP((inputs, *hidden, spec.action_size), output_gain=0.1)
        for part, weights in self.heads()._asdict().items():
            for name, weight in weights.items():
                self.register_buffer(_target_name(part, name), weight[0].detach().clone())

    def heads(self, which: str = "trained") -> Heads:
        """The shared weights, B = 1: "trained", "held" (the same as constants) or "target"."""
        if which not in ("trained", "held", "target"):
            raise ValueError(f"which={which!r} is not known; choose 'trained', 'held' or 'target'")
        critic = self.critic.weights()
        actor = {} if self.actor is None else self.actor.weights()
        if which == "target":
            critic = {name: self.get_buffer(_target_name("critic", name)) for name in critic}
            actor = {name: self.get_buffer(_target_name("actor", name)) for name in actor}
        if which == "held":
            critic = {name: weight.detach() for name, weight in critic.items()}
            actor = {name: weight.detach() for name, weight in actor.items()}
        return Heads(
            critic={name: weight.unsqueeze(0) for name, weight in critic.items()},
            actor={name: weight.unsqueeze(0) for name, weight in actor.items()},
        )

    def action(self, heads: Heads, state: Tensor) -> Tensor:
        """What the policy does without noise: u (B, N, A) in the unit box, or indices (B, N)."""
        if self.actor is None:
            return self._values(heads, state).amin(0).argmax(-1)  # the best by the smaller of the two
        actor = {name: weight.squeeze(1) for name, weight in heads.actor.items()}
        return self.actor(state, actor).tanh()

    def act(self, heads: Heads | None, state: Tensor, noise: Tensor, greedy: Tensor, amount: float) -> Tensor:
        """Actions of the family, (T, E[, A]): by its own heads (T, E, ...) for each state (T, E, I), or by the shared.

        noise (T, E, A or 1) is used where not greedy (T, E), ``amount`` of it: the share of random indices, or the
        standard deviation on box actions in units of half the box.
        """
        states = state.flatten(0, 1)  # (T E, I)
        if heads is None:  # one policy, T E states
            best = self.action(self.heads(), states.unsqueeze(0)).squeeze(0)
        else:  # T E policies, one state each
            own = map_tensors(lambda weight: weight.flatten(0, 1), heads)
            best = self.action(own, states.unsqueeze(1)).squeeze(1)
        best = best.unflatten(0, state.shape[:2])  # (T, E[, A])

        if self.discrete:
            exploring = epsilon_greedy(best, noise.squeeze(-1), amount, self.actions)
            return torch.where(greedy, best, exploring)
        exploring = explored(best, noise, amount)
        return self.box.from_unit(torch.where(greedy.unsqueeze(-1), best, exploring))

    def q(self, heads: Heads, state: Tensor, action: Tensor) -> Tensor:
        """Both Q-functions of actions taken, u (B, N, A) or indices (B, N) -> (2, B, N)."""
        if self.discrete:
            chosen = action.expand(2, -1, -1).unsqueeze(-1)  # (2, B, N, 1)
            return self._values(heads, state).gather(-1, chosen).squeeze(-1)
        return self._values(heads, torch.cat((state, action), -1)).squeeze(-1)

    def _values(self, heads: Heads, inputs: Tensor) -> Tensor:
        """(2, B, N, outputs) of inputs (B, N, I)."""
        critics = {name: weight.flatten(0, 1) for name, weight in heads.critic.items()}  # (B 2, in, out)
        outputs = self.critic(inputs.repeat_interleave(2, 0), critics)  # (B 2, N, outputs)
        return outputs.unflatten(0, (-1, 2)).transpose(0, 1)

    @torch.no_grad()
    def target(
        self,
        state: Tensor,
        reward: Tensor,
        terminated: Tensor,
        discount: float,
        noise: Tensor | None = None,
        std: float = 0.0,
    ) -> Tensor:
        """What Q is fitted to where ``state`` (1, N, I) follows, (1, N); noise (1, N, A) smooths over actions.

        y = r + discount min_i Q_i(s', a') by the target networks (eq. 10). Box: a' is the target policy's action, with
        clipped noise on it (target policy smoothing, section 5.3). Discrete: a' is chosen by the trained Q-functions.
        """
        target_heads = self.heads("target")
        if self.discrete:
            action = self.action(self.heads(), state)
        else:
            action = self.action(target_heads, state)
            if noise is not None:
                action = explored(action, noise, std, _CLIP)
        return clipped_double_q(reward, self.q(target_heads, state, action), terminated, discount)

    def critic_loss(self, heads: Heads, batch: Batch) -> Tensor:
        """sum_n weight_n sum_i (Q_i(s_n, a_n) - y_n)^2 of each task, (B,)."""
        error = self.q(heads, batch.state, batch.action) - batch.target  # (2, B, N)
        return (error.square().sum(0) * batch.weight).sum(-1)

    def actor_loss(self, heads: Heads, batch: Batch) -> Tensor:
        """-sum_n weight_n Q_1(s_n, mu(s_n)) of each task, (B,); the Q-functions are constants."""
        constant_critics = {name: weight.detach() for name, weight in heads.critic.items()}
        judges = heads._replace(critic=constant_critics)
        first, _ = self.q(judges, batch.state, self.action(heads, batch.state))  # (B, N)
        return -(first * batch.weight).sum(-1)

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
        anchor, n_tasks = self.heads("held"), len(near)
        begin = anchor if start is None else start
        heads = Heads(critic=_own(begin.critic, n_tasks), actor=_own(begin.actor, n_tasks))
        optimizer = torch.optim.Adam([*heads.critic.values(), *heads.actor.values()], lr=rate)
        for step, batch in enumerate(batches):
            critic_loss = self.critic_loss(heads, batch)  # (B,), as all terms
            critic_proximal = near * distance_from(heads.critic, anchor.critic)
            loss = critic_loss + critic_proximal
            if heads.actor and step % delay == 0:
                actor_loss = self.actor_loss(heads, batch)
                actor_proximal = near * distance_from(heads.actor, anchor.actor)
                loss = loss + actor_loss + actor_proximal
            optimizer.zero_grad(set_to_none=True)
            loss.sum().backward()
            optimizer.step()
        return Heads(
            critic={name: weight.detach() for name, weight in heads.critic.items()},
            actor={name: weight.detach() for name, weight in heads.actor.items()},
        )

    def follow(self, rate: float) -> None:
        """The targets move a share ``rate`` of the way to the trained weights."""
        target_heads, trained = self.heads("target"), self.heads("held")
        polyak(
            [*target_heads.critic.values(), *target_heads.actor.values()],
            [*trained.critic.values(), *trained.actor.values()],
            rate,
        )


def _target_name(part: str, name: str) -> str:
    """The buffer in which the target network's weight of this part and name is."""
    return f"target_{part}_{name}"


def _own(weights: Weights, n_tasks: int) -> Weights:
    """A copy for each of the tasks, to be changed by gradient steps: (1 or B, ...) -> (B, ...)."""
    own: Weights = {}
    for name, weight in weights.items():
        own[name] = weight.expand(n_tasks, *weight.shape[1:]).detach().clone().requires_grad_()
    return own
