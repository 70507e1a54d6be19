"""An ensemble of learned dynamics: what follows an action, what it pays, and whether the episode goes on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from metarl_lab.nets.batched_mlp import BatchedMLP, Weights
from metarl_lab.ops.mpc import Model
from metarl_lab.types import Spec

_WIDEST = 10.0  # standard deviations: an imagined path leaves what was ever seen, but stays finite


class Imagined(NamedTuple):
    """One imagined step of B models, N each."""

    observation: Tensor  # (B, N, O) what follows
    reward: Tensor  # (B, N)
    live: Tensor  # (B, N) probability that the step did not end the episode; 1 in families that never do


class DynamicsEnsemble(nn.Module):
    """M members that each predict (s' - s, r) from (s, a), and the termination in families that know one.

    s' = s + mean + std f_m((s, a) normalised): inputs and targets are in units of the standard deviations that ``note``
    has seen, so that one error weighs all features alike (Nagabandi et al. 2018, arXiv 1708.02596, section IV-A). Box
    actions enter as they are, discrete ones one-hot. Members differ by their initial weights and by the rows that each
    is fitted to. A predicted change is held within 10 standard deviations of the mean one.

    Parameters
    ----------
    spec : Spec
        The family's spaces.
    hidden : tuple of int
        Units of each hidden layer.
    members : int
        M. With ``weights`` given, any number of networks of this shape predicts (one for each task and copy, say).
    activation : str
        "silu", "tanh" or "relu". A gradient through imagined steps, or through an inner step, wants a smooth one.
    context : int
        Features of what else is known, of the task say: rows then hold ``context`` (..., context), taken as it is.
    """

    input_moments: Tensor
    target_moments: Tensor
    noted: Tensor

    def __init__(
        self,
        spec: Spec,
        hidden: tuple[int, ...] = (64, 64),
        members: int = 5,
        activation: str = "silu",
        context: int = 0,
    ) -> None:
        super().__init__()
        self.spec, self.members = spec, members
        inputs, targets = spec.observation_size + spec.action_size, spec.observation_size + 1
        self.net = BatchedMLP((inputs + context, *hidden, targets + spec.terminates), members, activation)
        self.register_buffer("input_moments", torch.stack((torch.zeros(inputs), torch.ones(inputs))))  # mean, variance
        self.register_buffer("target_moments", torch.stack((torch.zeros(targets), torch.ones(targets))))
        self.register_buffer("noted", torch.zeros(()))

    def weights(self) -> Weights:
        """The members' own weights by name, each (M, ...)."""
        return self.net.weights()

    @torch.no_grad()
    def note(self, rows: dict[str, Tensor], mask: Tensor) -> None:
        """Take more transitions into the means and variances: exactly those of all that were ever noted.

        rows: ``observation`` (..., O), ``action``, ``reward`` (...), ``after`` (..., O); mask (...) says which count.
        """
        count = mask.sum()
        share = count / (self.noted + count).clamp_min(1)
        self.input_moments.copy_(_merged(self.input_moments, self._inputs(rows), mask, share))
        self.target_moments.copy_(_merged(self.target_moments, self._targets(rows), mask, share))
        self.noted += count

    def predict(
        self, observation: Tensor, action: Tensor, weights: Weights | None = None, context: Tensor | None = None
    ) -> Imagined:
        """One imagined step; row b by member b, or by row b of ``weights``.

        observation (B, N, O), action (B, N) int64 or (B, N, A), context (B, N, C) -> ``Imagined``, (B, N, ...).
        """
        rows = {"observation": observation, "action": action}
        out = self.outputs(rows if context is None else rows | {"context": context}, weights)
        size = self.spec.observation_size + 1
        mean, std = _mean_and_std(self.target_moments)
        change = mean + std * out[..., :size].clamp(-_WIDEST, _WIDEST)
        live = torch.sigmoid(-out[..., -1]) if self.spec.terminates else torch.ones_like(out[..., 0])
        return Imagined(observation + change[..., :-1], change[..., -1], live)

    def imagine(self, weights: Weights | None = None, context: Tensor | None = None) -> Model:
        """A model to plan with (``ops.mpc``): its state is (observation (B, N, O), live (B, N)), a step pays live r.

        context (B, 1, C) stays what it is on the way.
        """

        def model(now: tuple[Tensor, Tensor], action: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
            told = None if context is None else context.expand(-1, action.shape[1], -1)
            step = self.predict(now[0], action, weights, told)
            return (step.observation, now[1] * step.live), now[1] * step.reward

        return model

    def outputs(self, rows: dict[str, Tensor], weights: Weights | None = None) -> Tensor:
        """What the networks say in normalised units, (B, N, O + 1), and with them the logit of a termination."""
        x = _standardised(self._inputs(rows), self.input_moments)
        if "context" in rows:
            x = torch.cat((x, rows["context"]), -1)
        return self.net(x, weights)

    def normalised(self, rows: dict[str, Tensor]) -> Tensor:
        """Whole transitions (s, a, s' - s, r) in normalised units, (..., 2 O + A + 1): what a memory of them reads."""
        inputs = _standardised(self._inputs(rows), self.input_moments)
        targets = _standardised(self._targets(rows), self.target_moments)
        return torch.cat((inputs, targets), -1)

    def errors(self, rows: dict[str, Tensor], weights: Weights | None = None) -> Tensor:
        """Error of each row, (B, N): the mean over the O + 1 targets of the squared error in normalised units, and,
        where episodes terminate, the cross-entropy of the termination (nats) over O + 1.

        rows as in ``note``, (B, N, ...), with ``terminated`` (B, N) beside.
        """
        out = self.outputs(rows, weights)
        target = _standardised(self._targets(rows), self.target_moments)
        size = target.shape[-1]
        error = (out[..., :size] - target).square().mean(-1)
        if self.spec.terminates:
            ended = rows["terminated"].to(out.dtype)
            error = error + binary_cross_entropy_with_logits(out[..., -1], ended, reduction="none") / size
        return error

    def loss(self, rows: dict[str, Tensor], mask: Tensor, weights: Weights | None = None) -> Tensor:
        """Mean error of each network over the rows that count, (B,); 0 where none does. mask (B, N)."""
        error = self.errors(rows, weights)
        if mask.shape != error.shape:
            raise ValueError(f"dynamics: mask is {tuple(mask.shape)}; give one number per row, {tuple(error.shape)}")
        weight = mask.to(error.dtype)
        return (error * weight).sum(1) / weight.sum(1).clamp_min(1)

    def _inputs(self, rows: dict[str, Tensor]) -> Tensor:
        """(s, a) as one vector, (..., O + A)."""
        action = rows["action"]
        if self.spec.discrete:
            action = one_hot(action.clamp_min(0), self.spec.action_size)
        return torch.cat((rows["observation"], action.to(rows["observation"].dtype)), -1)

    def _targets(self, rows: dict[str, Tensor]) -> Tensor:
        """(s' - s, r) as one vector, (..., O + 1)."""
        return torch.cat((rows["after"] - rows["observation"], rows["reward"].unsqueeze(-1)), -1)


def _merged(moments: Tensor, x: Tensor, mask: Tensor, share: Tensor) -> Tensor:
    """Mean and variance (2, F) of old rows and new ones together; share, the new ones' part of all rows.

    The variance of the whole is the mean of both variances, plus what lies between both means. x (..., F), mask (...).
    """
    weight = mask.to(x.dtype).unsqueeze(-1)
    count = mask.sum().clamp_min(1)
    mean = (x * weight).flatten(0, -2).sum(0) / count
    variance = ((x - mean).square() * weight).flatten(0, -2).sum(0) / count
    old_mean, old_variance = moments
    between = share * (1 - share) * (mean - old_mean).square()
    return torch.stack((old_mean.lerp(mean, share), old_variance.lerp(variance, share) + between))


def _standardised(x: Tensor, moments: Tensor) -> Tensor:
    """x (..., F) in units of the standard deviations, about the means, that ``moments`` (2, F) say."""
    mean, std = _mean_and_std(moments)
    return (x - mean) / std


def _mean_and_std(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation; 1 for a feature that never varied, which tells nothing."""
    mean, variance = moments
    return mean, torch.where(variance > 1e-10, variance, torch.ones_like(variance)).sqrt()
