"""GainModel: an ensemble that predicts from a task's parameters how a learner will score on it, with uncertainty."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarl_lab.nets.batched_mlp import BatchedMLP


class Prediction(NamedTuple):
    """What a learner is expected to score on T tasks, in units of return per episode."""

    before: Tensor  # (T,) mean return before adaptation
    after: Tensor  # (T,) mean return after it
    doubt: Tensor  # (T,) standard deviation of the members' expected gains: what more data would settle
    std: Tensor  # (T,) standard deviation of a realised gain about after - before: doubt, and the scores' own noise

    @property
    def gain(self) -> Tensor:
        """Expected gain of adaptation, (T,)."""
        return self.after - self.before


class GainModel(nn.Module):
    """M networks, each a Gaussian over (return before, gain) given a task's parameters and the time it was played.

    The members differ in their initial weights; the mixture's mean and variance are the prediction (Lakshminarayanan,
    Pritzel & Blundell 2017, arXiv 1612.01474, section 2.4). Time is an input because the learner moves: an old score
    says what *was*, and asking at time 0 says what is.

    Parameters
    ----------
    features : int
        F, the numbers that describe a task.
    members, hidden
        M, and the units of each of two hidden layers.
    """

    centre: Tensor
    scale: Tensor
    score_centre: Tensor
    score_scale: Tensor

    def __init__(self, features: int, members: int = 5, hidden: int = 32) -> None:
        super().__init__()
        # outputs: before and gain, and the logarithm of the standard deviation of each
        self.network = BatchedMLP((features + 1, hidden, hidden, 4), members, "silu")
        self.members = members
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("score_centre", torch.zeros(2))
        self.register_buffer("score_scale", torch.ones(2))

    @torch.no_grad()
    def standardise_features(self, x: Tensor) -> None:
        """Take mean and standard deviation of the inputs from x (N, F); a feature that never varies counts as 0."""
        spread = x.std(0)
        self.centre.copy_(x.mean(0))
        self.scale.copy_(torch.where(spread > 1e-8, spread, torch.inf))

    @torch.no_grad()
    def standardise_scores(self, y: Tensor) -> None:
        """Take mean and standard deviation of (before, gain) from y (N, 2)."""
        self.score_centre.copy_(y.mean(0))
        self.score_scale.copy_(y.std(0).clamp_min(1e-6))

    def forward(self, x: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log standard deviations (M, N, 2) of standardised (before, gain). x (N, F), age (N,) in -1..0."""
        inputs = torch.cat(((x - self.centre) / self.scale, age.unsqueeze(1)), 1)
        mean, log_std = self.network(inputs.expand(self.members, -1, -1)).chunk(2, -1)
        # bounded, so that neither a constant score nor a wild one makes the likelihood run away
        return mean, 3 * torch.tanh(log_std / 3) - 1

    def loss(self, x: Tensor, age: Tensor, y: Tensor) -> Tensor:
        """Squared error of the means, and Gaussian negative log-likelihood of y (N, 2) about them, summed over members
        and outputs, mean over N.

        The likelihood moves the standard deviations only. Left to move the means too, it calls noise what it has not
        yet learned, and then learns it ever more slowly (Seitzer et al. 2022, arXiv 2203.09168).
        """
        mean, log_std = self(x, age)
        error = (y - self.score_centre) / self.score_scale - mean  # (M, N, 2)
        z = error.detach() * (-log_std).exp()
        return (0.5 * error**2 + 0.5 * z**2 + log_std).mean(1).sum()

    @torch.no_grad()
    def predict(self, x: Tensor, age: float = 0.0) -> Prediction:
        """The mixture's moments. x (N, F); age 0 is now, -1 the oldest time that the data reach back to."""
        mean, log_std = self(x, torch.full_like(x[:, 0], age))
        mean = self.score_centre + self.score_scale * mean  # (M, N, 2)
        noise = self.score_scale[1] * log_std[..., 1].exp()  # (M, N) of the gain
        before, gain = mean.mean(0).unbind(-1)
        doubt = mean[..., 1].std(0, correction=0)
        return Prediction(before, before + gain, doubt, ((noise**2).mean(0) + doubt**2).sqrt())
