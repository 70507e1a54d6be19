"""Networks of soft actor-critic: a stochastic policy and two Q-functions, with slowly following targets."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from metarl_lab.nets.unit_box import UnitBox
from metarl_lab.ops.distributions import Categorical
from metarl_lab.ops.soft import SquashedGaussian, expected_soft_value, polyak, soft_value
from metarl_lab.types import Spec

_LOG_STD = (-5.0, 1.0)  # of a box action before it is squashed, in units of half the box


class SoftActorCritic(nn.Module):
    """pi(a | x) and Q_1, Q_2(x, a), x (..., I) whatever is known of the state and the task.

    Discrete actions: the Q-functions give all A values at once. Box actions (-1, 1)^A are an input to them. The two
    Q-functions are one batched product a layer; the target networks are buffers, not parameters.
    """

    def __init__(self, spec: Spec, inputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.discrete = spec.discrete
        actions = spec.action_size
        self.box = UnitBox(spec)

        if spec.discrete:
            actor_outputs = actions  # a logit for each
            q_sizes = (inputs, *hidden, actions)
        else:
            actor_outputs = 2 * actions  # mean and spread of each dimension
            q_sizes = (inputs + actions, *hidden, 1)

        layers: list[nn.Module] = []
        width = inputs
        for units in hidden:
            layers += [nn.Linear(width, units), nn.ReLU()]
            width = units
        self.actor = nn.Sequential(*layers, nn.Linear(width, actor_outputs))

        self.names: list[str] = []  # of the Q-functions' parameters, layer by layer: weight, bias
        for layer, (layer_inputs, layer_outputs) in enumerate(zip(q_sizes[:-1], q_sizes[1:], strict=True)):
            bound = 1 / math.sqrt(layer_inputs)  # as nn.Linear's
            self._add(f"weight{layer}", torch.empty(2, layer_inputs, layer_outputs).uniform_(-bound, bound))
            self._add(f"bias{layer}", torch.empty(2, 1, layer_outputs).uniform_(-bound, bound))

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
        inputs = x if action is None else torch.cat((x, action), -1)
        lead = inputs.shape[:-1]
        features = inputs.reshape(1, -1, inputs.shape[-1]).expand(2, -1, -1)  # both Q-functions read the same
        chosen = self._weights(weights)
        *inner, (last_weight, last_bias) = zip(chosen[::2], chosen[1::2], strict=True)
        for weight, bias in inner:
            features = torch.baddbmm(bias, features, weight).relu()
        values = torch.baddbmm(last_bias, features, last_weight)
        return values.view(2, *lead, -1) if self.discrete else values.view(2, *lead)

    def q_of(self, x: Tensor, action: Tensor) -> Tensor:
        """Both trained Q-functions of actions taken, (2, ...): indices (...) int64, or box actions u (..., A)."""
        if self.discrete:
            index = action.expand(2, *action.shape).unsqueeze(-1)  # (2, ..., 1)
            return self.q(x).gather(-1, index).squeeze(-1)
        return self.q(x, action)

    def value(self, x: Tensor, noise: Tensor, temperature: Tensor, weights: str) -> tuple[Tensor, Tensor]:
        """Soft value of the policy in each state by the smaller Q-function, and the policy's entropy, (...) each.

        Exact over discrete actions; of a box, from the one action that noise (..., A) draws.
        """
        policy = self.policy(x)
        if isinstance(policy, Categorical):
            smaller_q = self.q(x, None, weights).amin(0)  # (..., A)
            return expected_soft_value(smaller_q, policy, temperature), policy.entropy()
        action, log_prob = policy.sample_with_log_prob(noise)
        smaller_q = self.q(x, action, weights).amin(0)  # (...)
        return soft_value(smaller_q, log_prob, temperature), -log_prob

    def follow(self, rate: float) -> None:
        """The targets move a share ``rate`` of the way to the trained weights."""
        polyak(self._weights("target"), self._weights("trained"), rate)

    def _add(self, name: str, value: Tensor) -> None:
        """A parameter of the Q-functions, and the target that follows it, which starts as a copy."""
        self.register_parameter(name, nn.Parameter(value))
        self.register_buffer(f"target_{name}", value.clone())
        self.names.append(name)

    def _weights(self, which: str) -> list[Tensor]:
        """Weight and bias of each layer of the Q-functions, one after the other; which, as in ``q``."""
        if which == "target":
            return [self.get_buffer(f"target_{name}") for name in self.names]
        if which == "trained":
            return [self.get_parameter(name) for name in self.names]
        if which == "frozen":
            return [self.get_parameter(name).detach() for name in self.names]
        raise ValueError(f"weights={which!r} is not known; choose 'trained', 'frozen' or 'target'")
