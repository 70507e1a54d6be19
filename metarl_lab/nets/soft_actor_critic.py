"""Networks of soft actor-critic: a stochastic policy and two Q-functions, with slowly following targets."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from metarl_lab.ops.distributions import Categorical
from metarl_lab.ops.soft import SquashedGaussian, action_box, expected_soft_value, polyak, soft_value
from metarl_lab.types import Spec

_LOG_STD = (-5.0, 1.0)  # of a box action before it is squashed, in units of half the box


class SoftActorCritic(nn.Module):
    """pi(a | x) and Q_1, Q_2(x, a), x (..., I) whatever is known of the state and the task.

    Discrete actions: the Q-functions give all A values at once. Box actions (-1, 1)^A are an input to them. The two
    Q-functions are one batched product a layer; the target networks are buffers, not parameters.
    """

    centre: Tensor
    half_width: Tensor

    def __init__(self, spec: Spec, inputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.discrete = spec.discrete
        actions = spec.action_size
        centre, half_width = (torch.zeros(()), torch.ones(())) if spec.discrete else action_box(spec)
        self.register_buffer("centre", centre, persistent=False)
        self.register_buffer("half_width", half_width, persistent=False)
        layers: list[nn.Module] = []
        for i, o in zip((inputs, *hidden), hidden, strict=False):
            layers += [nn.Linear(i, o), nn.ReLU()]
        self.actor = nn.Sequential(*layers, nn.Linear((inputs, *hidden)[-1], actions if spec.discrete else 2 * actions))
        sizes = (inputs, *hidden, actions) if spec.discrete else (inputs + actions, *hidden, 1)
        self.names = []
        for n, (i, o) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            for name, shape in ((f"weight{n}", (2, i, o)), (f"bias{n}", (2, 1, o))):
                value = torch.empty(shape).uniform_(-1 / math.sqrt(i), 1 / math.sqrt(i))  # as nn.Linear's
                self.register_parameter(name, nn.Parameter(value))
                self.register_buffer(f"target_{name}", value.clone())
                self.names.append(name)

    def policy(self, x: Tensor) -> Categorical | SquashedGaussian:
        """The action distribution in each state, x (..., I)."""
        out = self.actor(x)
        if self.discrete:
            return Categorical(out)
        mean, raw = out.chunk(2, -1)
        low, high = _LOG_STD
        return SquashedGaussian(mean, low + 0.5 * (high - low) * (raw.tanh() + 1))  # smooth: a clamp has no gradient

    def q(self, x: Tensor, action: Tensor | None = None, weights: str = "trained") -> Tensor:
        """Both Q-functions: (2, ..., A) of discrete actions, (2, ...) of the given box actions u (..., A).

        weights: "trained"; "frozen", the same but constants, so that a gradient reaches the action alone; "target".
        """
        y = x if action is None else torch.cat((x, action), -1)
        lead = y.shape[:-1]
        y = y.reshape(1, -1, y.shape[-1]).expand(2, -1, -1)
        chosen = self._weights(weights)
        for n in range(0, len(chosen), 2):
            y = torch.baddbmm(chosen[n + 1], y, chosen[n])
            y = y.relu() if n + 2 < len(chosen) else y
        return y.view(2, *lead, -1) if self.discrete else y.view(2, *lead)

    def q_of(self, x: Tensor, action: Tensor) -> Tensor:
        """Both trained Q-functions of actions taken, (2, ...): indices (...) int64, or box actions u (..., A)."""
        if self.discrete:
            return self.q(x).gather(-1, action.expand(2, *action.shape).unsqueeze(-1)).squeeze(-1)
        return self.q(x, action)

    def value(self, x: Tensor, noise: Tensor, temperature: Tensor, weights: str) -> tuple[Tensor, Tensor]:
        """Soft value of the policy in each state by the smaller Q-function, and the policy's entropy, (...) each.

        Exact over discrete actions; of a box, from the one action that noise (..., A) draws.
        """
        policy = self.policy(x)
        if isinstance(policy, Categorical):
            return expected_soft_value(self.q(x, None, weights).amin(0), policy, temperature), policy.entropy()
        action, log_prob = policy.sample_with_log_prob(noise)
        return soft_value(self.q(x, action, weights).amin(0), log_prob, temperature), -log_prob

    def to_unit(self, action: Tensor) -> Tensor:
        """Box actions in units of half the box, u; indices as they are."""
        return action if self.discrete else (action - self.centre) / self.half_width

    def from_unit(self, action: Tensor) -> Tensor:
        """Inverse of ``to_unit``."""
        return action if self.discrete else self.centre + self.half_width * action

    def follow(self, rate: float) -> None:
        """The targets move a share ``rate`` of the way to the trained weights."""
        polyak(self._weights("target"), self._weights("trained"), rate)

    def _weights(self, which: str) -> list[Tensor]:
        if which not in ("trained", "frozen", "target"):
            raise ValueError(f"weights={which!r} is not known; choose 'trained', 'frozen' or 'target'")
        found = [getattr(self, f"target_{name}" if which == "target" else name) for name in self.names]
        return [w.detach() for w in found] if which == "frozen" else found
