"""Q-functions, and of box actions a policy beside: one set of weights for all tasks, or each task's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_lab.nets.batched_mlp import BatchedMLP, Weights
from metarl_lab.nets.unit_box import UnitBox
from metarl_lab.ops.q_learning import double_q_target
from metarl_lab.ops.td3 import clipped_double_q, explored
from metarl_lab.ops.transitions import Rows
from metarl_lab.types import Spec

_CLIP = 0.5  # of the target's noise, in units of half the box (1802.09477, appendix C)


def shortened(slopes: Weights, longest: float) -> Weights:
    """Every task's gradient, over all of its weights (T, ...), scaled down to ``longest`` where it is longer."""
    squares = torch.stack([g.flatten(1).square().sum(1) for g in slopes.values()]).sum(0)
    factor = (longest / squares.clamp_min(1e-12).sqrt()).clamp_max(1.0)  # (T,)
    return {k: g * factor.view(-1, *[1] * (g.ndim - 1)) for k, g in slopes.items()}


class QNetworks(nn.Module):
    """Discrete actions: Q(s, .), one network. Box actions: mu(s) in the unit box (-1, 1)^A and Q_1, Q_2(s, u).

    The weights are an argument throughout: {"critic.weight0": (T, C, in, out), ...} of T tasks and C Q-functions, with
    "actor.weight0" (T, 1, in, out) beside for a box. Observations s are (T, N, O). ``hidden`` = () makes Q linear: a
    table, of one-hot states.
    """

    def __init__(self, spec: Spec, hidden: tuple[int, ...], activation: str = "relu") -> None:
        super().__init__()
        self.discrete = spec.discrete
        actions, inputs = spec.action_size, spec.observation_size
        ends = (inputs, *hidden, actions) if spec.discrete else (inputs + actions, *hidden, 1)
        self.critics = 1 if spec.discrete else 2
        self.critic = BatchedMLP(ends, self.critics, activation)
        if not spec.discrete:
            self.actor = BatchedMLP((inputs, *hidden, actions), 1, activation, output_gain=0.1)
        self.box = UnitBox(spec)

    def values(self, weights: Weights, state: Tensor) -> Tensor:
        """Q of all A discrete actions, (T, N, A)."""
        return self._critic(weights, state)[0]

    def q(self, weights: Weights, state: Tensor, action: Tensor) -> Tensor:
        """Q of actions taken, (C, T, N): indices (T, N), or u (T, N, A) in the unit box."""
        if self.discrete:
            return self._critic(weights, state).gather(-1, action[None, ..., None]).squeeze(-1)
        return self._critic(weights, torch.cat((state, action), -1)).squeeze(-1)

    def best(self, weights: Weights, state: Tensor) -> Tensor:
        """The greedy action: index (T, N), or mu(s) (T, N, A) in the unit box."""
        if self.discrete:
            return self.values(weights, state).argmax(-1)
        own = {k.removeprefix("actor."): w.squeeze(1) for k, w in weights.items() if k.startswith("actor.")}
        return self.actor(state, own).tanh()

    def target(
        self, online: Weights, late: Weights, after: Tensor, reward: Tensor, terminated: Tensor, discount: float,
        noise: Tensor | None = None, std: float = 0.0,
    ) -> Tensor:  # fmt: skip
        """What Q(s, a) is fitted to, (T, N); ``after`` (T, N, O) follows, reward and terminated (T, N).

        Discrete: double Q-learning's, chosen by ``online`` and judged by ``late``. Box: r + discount times the smaller
        of the late Q-functions of the late policy's action, which noise (T, N, A) of this standard deviation smooths.
        """
        if self.discrete:
            judged = self.values(late, after)
            choosing = judged if online is late else self.values(online, after)
            return double_q_target(reward, choosing, judged, terminated, discount)
        action = self.best(late, after).detach()  # the Q-functions' error is no guide to the policy
        if noise is not None:
            action = explored(action, noise, std, _CLIP)
        return clipped_double_q(reward, self.q(late, after, action), terminated, discount)

    def gain(self, weights: Weights, state: Tensor) -> Tensor:
        """Q_1(s, mu(s)), (T, N), the Q-functions taken as constants: what a box policy ascends."""
        judge = {k: w.detach() if k.startswith("critic.") else w for k, w in weights.items()}
        return self.q(judge, state, self.best(weights, state))[0]

    def semi_gradient(
        self, weights: Weights, late: Weights, rows: Rows, scale: float, discount: float, graph: bool
    ) -> Weights:
        """grad_theta_i of mean_t sum_C (Q_theta_i(s_t, a_t) - y_t)^2, y held, over live rows (T, M, ...): (T, ...).

        Of a policy, the gradient of minus its mean ``gain``. graph: the result is itself a function of the weights,
        through y's value too: y is held in this one derivative, as Q-learning does, and nowhere else.
        """
        live = rows["mask"] / rows["mask"].sum(1, keepdim=True).clamp_min(1)  # (T, M)
        q = self.q(weights, rows["observation"], self.box.to_unit(rows["action"]))  # (C, T, M)
        y = self.target(weights, late, rows["after"], scale * rows["reward"], rows["terminated"], discount)
        parts = [("critic.", q, 2 * (q - y) * live)]
        if not self.discrete:
            parts.append(("actor.", self.gain(weights, rows["observation"]), -live))
        slopes: Weights = {}
        for part, output, factor in parts:  # a vector times a Jacobian: differentiates the output, never its factor
            own = {k: w for k, w in weights.items() if k.startswith(part)}
            slopes |= dict(
                zip(own, torch.autograd.grad(output, list(own.values()), factor, create_graph=graph), strict=True)
            )
        return slopes

    def _critic(self, weights: Weights, x: Tensor) -> Tensor:
        """(C, T, N, outputs) of x (T, N, inputs)."""
        own = {k.removeprefix("critic."): w.flatten(0, 1) for k, w in weights.items() if k.startswith("critic.")}
        return self.critic(x.repeat_interleave(self.critics, 0), own).unflatten(0, (-1, self.critics)).transpose(0, 1)
