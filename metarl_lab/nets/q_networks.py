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
_TINY = 1e-12  # below the square of any gradient that matters: the root of 0 has no derivative


def shortened(gradients: Weights, longest: float) -> Weights:
    """Every task's gradient, over all of its weights (T, ...), scaled down to ``longest`` where it is longer."""
    squares = [gradient.flatten(1).square().sum(1) for gradient in gradients.values()]  # (T,) of each weight
    norm = torch.stack(squares).sum(0).clamp_min(_TINY).sqrt()  # (T,)
    factor = (longest / norm).clamp_max(1.0)  # (T,)
    return {name: gradient * factor.view(-1, *[1] * (gradient.ndim - 1)) for name, gradient in gradients.items()}


class QNetworks(nn.Module):
    """Discrete actions: Q(s, .), one network. Box actions: mu(s) in the unit box (-1, 1)^A and Q_1, Q_2(s, u).

    The weights are an argument throughout: {"critic.weight0": (T, C, in, out), ...} of T tasks and C Q-functions, with
    "actor.weight0" (T, 1, in, out) beside for a box. Observations s are (T, N, O). ``hidden`` = () makes Q linear: a
    table, of one-hot states.
    """

    def __init__(self, spec: Spec, hidden: tuple[int, ...], activation: str = "relu") -> None:
        super().__init__()
        self.discrete = spec.discrete
        self.box = UnitBox(spec)
        observation, actions = spec.observation_size, spec.action_size
        if spec.discrete:
            # One network that says the value of every action: the greedy one is the policy.
            self.critics = 1
            self.critic = BatchedMLP((observation, *hidden, actions), self.critics, activation)
        else:
            # TD3: two Q-functions of state and action, and a policy.
            self.critics = 2
            self.critic = BatchedMLP((observation + actions, *hidden, 1), self.critics, activation)
            self.actor = BatchedMLP((observation, *hidden, actions), 1, activation, output_gain=0.1)

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
        actor = {name: weight.squeeze(1) for name, weight in _unprefixed(_part(weights, "actor")).items()}
        return self.actor(state, actor).tanh()

    def target(
        self,
        online: Weights,
        late: Weights,
        after: Tensor,
        reward: Tensor,
        terminated: Tensor,
        discount: float,
        noise: Tensor | None = None,
        std: float = 0.0,
    ) -> Tensor:
        """What Q(s, a) is fitted to, (T, N); ``after`` (T, N, O) follows, reward and terminated (T, N).

        Discrete: double Q-learning's, chosen by ``online`` and judged by ``late``, the target network. Box: TD3's,
        r + discount times the smaller of the late Q-functions of the late policy's action, which noise (T, N, A) of
        this standard deviation smooths.
        """
        if self.discrete:
            judging = self.values(late, after)
            choosing = judging if online is late else self.values(online, after)
            return double_q_target(reward, choosing, judging, terminated, discount)
        action = self.best(late, after).detach()  # the Q-functions' error is no guide to the policy
        if noise is not None:
            action = explored(action, noise, std, _CLIP)
        return clipped_double_q(reward, self.q(late, after, action), terminated, discount)

    def gain(self, weights: Weights, state: Tensor) -> Tensor:
        """Q_1(s, mu(s)), (T, N), the Q-functions taken as constants: what a box policy ascends."""
        constant_critics = {name: weight.detach() for name, weight in _part(weights, "critic").items()}
        first, *_ = self.q(constant_critics, state, self.best(weights, state))
        return first

    def semi_gradient(
        self, weights: Weights, late: Weights, rows: Rows, scale: float, discount: float, graph: bool
    ) -> Weights:
        """grad_theta_i of mean_t sum_C (Q_theta_i(s_t, a_t) - y_t)^2, y held, over live rows (T, M, ...): (T, ...).

        Of a policy, the gradient of minus its mean ``gain``. graph: the result is itself a function of the weights,
        through y's value too: y is held in this one derivative, as Q-learning does, and nowhere else.
        """
        live = rows["mask"]
        share = live / live.sum(1, keepdim=True).clamp_min(1)  # (T, M): sums over it are means over live rows
        q = self.q(weights, rows["observation"], self.box.to_unit(rows["action"]))  # (C, T, M)
        target = self.target(weights, late, rows["after"], scale * rows["reward"], rows["terminated"], discount)  # y

        # 2 (Q - y) grad Q: y stands in the factor alone, which is not differentiated here.
        gradients = _times_jacobian(2 * (q - target) * share, q, _part(weights, "critic"), graph)
        if not self.discrete:
            gain = self.gain(weights, rows["observation"])  # (T, M)
            gradients |= _times_jacobian(-share, gain, _part(weights, "actor"), graph)
        return gradients

    def _critic(self, weights: Weights, inputs: Tensor) -> Tensor:
        """(C, T, N, outputs) of inputs (T, N, I)."""
        critics = _unprefixed(_part(weights, "critic"))
        critics = {name: weight.flatten(0, 1) for name, weight in critics.items()}  # (T C, in, out)
        outputs = self.critic(inputs.repeat_interleave(self.critics, 0), critics)  # (T C, N, outputs)
        return outputs.unflatten(0, (-1, self.critics)).transpose(0, 1)


def _part(weights: Weights, part: str) -> Weights:
    """The "critic" weights, or the "actor" ones, by their whole names."""
    return {name: weight for name, weight in weights.items() if name.startswith(f"{part}.")}


def _unprefixed(weights: Weights) -> Weights:
    """The same weights by the names that their network knows: without "critic." or "actor."."""
    return {name.partition(".")[2]: weight for name, weight in weights.items()}


def _times_jacobian(factor: Tensor, output: Tensor, weights: Weights, graph: bool) -> Weights:
    """sum of factor d output / d weight, of each weight: it differentiates the output, never its factor."""
    gradients = torch.autograd.grad(output, list(weights.values()), factor, create_graph=graph)
    return dict(zip(weights, gradients, strict=True))
