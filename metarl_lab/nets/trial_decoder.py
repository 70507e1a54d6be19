"""A trial as a latent variable: the encoder that infers it step by step, the decoders that predict from it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarl_lab.nets.base import Core, State, sequences
from metarl_lab.ops.elbo import chain_kl, reward_error, summed_error
from metarl_lab.types import Episodes, Spec

_WIDEST = 8.0  # log variances stay within -+ this: a KL divides by the variance before


class PosteriorEncoder(nn.Module):
    """q(m | tau_:t) = N(mean_t, diag exp(log_var_t)), from a sequence core. Step-major, as the core."""

    def __init__(self, core: Core, latent: int) -> None:
        super().__init__()
        self.core = core
        self.head = nn.Linear(core.out_size, 2 * latent)
        core.reset_parameters()

    def step(self, x: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """One step: x (B, I) -> mean (B, M), log variance (B, M), the core's state after."""
        out, state = self.core.step(x, state)
        return *self._posterior(out), state

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All steps of whole trials: x (L, B, I) -> mean and log variance after each, (L, B, M)."""
        out, _ = self.core.unroll(x, self.core.initial(x.shape[1]))
        return self._posterior(out)

    def _posterior(self, out: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = self.head(out).chunk(2, -1)
        return mean, _WIDEST * (raw / _WIDEST).tanh()


class RewardDecoder(nn.Module):
    """r(m, step) = f(m) . g(step) / sqrt(D): the reward of L steps from each of P latents, in one matrix product.

    The authors' head per state, f(m) . w[s'], for steps of any kind: where the step is a one-hot next state, g is a
    table of such heads. Pairing P latents with L steps costs P L D products, not P L networks.
    """

    def __init__(self, step_size: int, latent: int, units: int) -> None:
        super().__init__()
        self.of_latent = nn.Sequential(nn.Linear(latent, units), nn.ReLU(), nn.Linear(units, units))
        self.of_step = nn.Sequential(nn.Linear(step_size, units), nn.ReLU(), nn.Linear(units, units))
        self.scale = 1 / math.sqrt(units)

    def forward(self, latent: Tensor, step: Tensor) -> Tensor:
        """latent (B, P, M), step (B, L, S) -> (B, P, L)."""
        return self.of_latent(latent) @ self.of_step(step).mT * self.scale


class TransitionDecoder(nn.Module):
    """s'(m, s, a), by a network of one hidden layer: that layer is a part of m plus a part of (s, a).

    So its matrix products are over P latents and over L steps, and only their sum is over pairs.
    """

    def __init__(self, step_size: int, latent: int, units: int, outputs: int) -> None:
        super().__init__()
        self.of_latent = nn.Linear(latent, units)
        self.of_step = nn.Linear(step_size, units, bias=False)
        self.out = nn.Linear(units, outputs)

    def forward(self, latent: Tensor, step: Tensor) -> Tensor:
        """latent (B, P, M), step (B, L, S) -> (B, P, L, O)."""
        hidden = self.of_latent(latent).unsqueeze(2) + self.of_step(step).unsqueeze(1)  # (B, P, L, units)
        return self.out(hidden.relu_())


class Elbo(NamedTuple):
    """The parts of minus the ELBO, per trial and prefix, scalars."""

    reward_error: Tensor  # -log p(rewards | m) up to a constant, summed over the trial
    transition_error: Tensor  # half the squared error of the next observations, summed over the trial; 0 if not decoded
    posterior_kl: Tensor  # KL(q_t || q_{t-1}), nats


class TrialModel(nn.Module):
    """Encoder and decoders of a trial.

    Parameters
    ----------
    spec : Spec
        The family's spaces.
    core : Core
        Reads ``encode_seen(spec, seen)``.
    latent, units : int
        M, dimensions of m; units of the decoders' hidden layers.
    likelihood : "gaussian" or "binary"
        Decode the mean of the reward; or, where it has two values of which one is above 0, which of the two it is.
    reads : "all" or "next"
        A reward depends on (state, action, next state), or on the next state only.
    transitions : bool
        Whether next observations are decoded too.
    """

    def __init__(
        self, spec: Spec, core: Core, latent: int, units: int, likelihood: str, reads: str, transitions: bool
    ) -> None:
        super().__init__()
        if likelihood not in ("gaussian", "binary"):
            raise ValueError(f"the likelihood {likelihood!r} of rewards is not known; choose gaussian or binary")
        if reads not in ("all", "next"):
            raise ValueError(f"the reward reads {reads!r}, which is not known; choose all or next")
        self.observation_size = spec.observation_size
        self.action_size = spec.action_size
        self.discrete = spec.discrete
        self.binary = likelihood == "binary"
        self.reads_all = reads == "all"

        taken_size = self.observation_size + self.action_size  # state and action
        reward_reads = taken_size + self.observation_size if self.reads_all else self.observation_size
        self.encoder = PosteriorEncoder(core, latent)
        self.rewards = RewardDecoder(reward_reads, latent, units)
        self.transitions: TransitionDecoder | None = None
        if transitions:
            self.transitions = TransitionDecoder(taken_size, latent, units, self.observation_size)

    def elbo(self, rows: dict[str, Tensor], terms: int, generator: torch.Generator) -> Elbo:
        """Of the ``trial_rows`` of B trials, at ``terms`` prefixes drawn at random (0: at all), one m drawn at each."""
        # q(m | tau_:t) after each step t: the encoder reads the past only
        mean, log_var = self.encoder(rows["x"].movedim(1, 0))  # (L, B, M)
        steps = len(mean)

        # m ~ q(m | tau_:t), reparametrised, at the ends t of P prefixes
        prefixes = torch.randperm(steps, generator=generator, device=generator.device)[: terms or steps]
        noise = torch.randn(mean[prefixes].shape, generator=generator, device=generator.device)
        latent = mean[prefixes] + (log_var[prefixes] / 2).exp() * noise  # (P, B, M)
        latent = latent.movedim(1, 0)  # (B, P, M)

        # -E log p(trial | m): each m decodes the whole trial, also what came after its prefix
        taken = self._taken(rows)
        predicted = self._decoded(latent, taken, rows["following"])  # (B, P, L)
        errors = reward_error(predicted, rows["reward"].unsqueeze(1), self.binary)
        of_reward = summed_error(errors, rows["live"], prefixes)
        of_transition = torch.zeros_like(of_reward)
        if self.transitions is not None:
            gap = self.transitions(latent, taken) - rows["following"].unsqueeze(1)  # (B, P, L, O)
            of_transition = summed_error(gap.square().sum(-1) / 2, rows["live"], prefixes)

        # KL(q_t || q_{t-1}), a mean over all live steps: it costs no decoding, so none need be left out
        weight = rows["live"].mT.to(mean.dtype)  # (L, B)
        of_posterior = (chain_kl(mean, log_var) * weight).sum() / weight.sum()
        return Elbo(of_reward, of_transition, of_posterior)

    @torch.no_grad()
    def decoded_rewards(self, mean: Tensor, log_var: Tensor, following: Tensor, noise: Tensor) -> Tensor:
        """The reward of each of C next observations (``binary``: the logit that it is above 0), by each of S draws of
        m ~ N(mean, exp(log_var)): mean, log_var (..., M); following (C, O); noise (S, M) normal -> (..., S, C).
        """
        if self.reads_all:
            raise ValueError("this reward depends on state and action too; train with reward_reads='next'")
        latent = mean.unsqueeze(-2) + (log_var / 2).exp().unsqueeze(-2) * noise  # (..., S, M)
        return self.rewards(latent.flatten(0, -3), following.unsqueeze(0)).unflatten(0, mean.shape[:-1])

    def belief(self, mean: Tensor, log_var: Tensor, following: Tensor, noise: Tensor) -> Tensor:
        """Which of C next observations is the one that pays, (..., C), summing to 1. Of a gridworld's cells: the goal.

        Given m, each pays with its own probability p_c; that c alone pays has the odds p_c / (1 - p_c), so the belief
        is their share of the sum, a softmax of the logits, averaged over draws of m. Arguments as ``decoded_rewards``.
        """
        if not self.binary:
            raise ValueError("a belief over what pays needs reward_model='binary' when training")
        return self.decoded_rewards(mean, log_var, following, noise).softmax(-1).mean(-2)

    def _decoded(self, latent: Tensor, taken: Tensor, following: Tensor) -> Tensor:
        """The reward of each of L steps from each of P latents, (B, P, L); ``binary``: the logit that it is above 0."""
        step = torch.cat((taken, following), -1) if self.reads_all else following
        reward: Tensor = self.rewards(latent, step)
        return reward

    def _taken(self, rows: dict[str, Tensor]) -> Tensor:
        """State and action of each step, (B, L, O + A); discrete actions one-hot."""
        action = rows["action"]
        if self.discrete:
            action = (action.unsqueeze(-1) == torch.arange(self.action_size, device=action.device)).float()
        return torch.cat((rows["x"][..., : self.observation_size], action), -1)


def trial_rows(spec: Spec, episodes: Episodes) -> dict[str, Tensor]:
    """What a ``TrialModel`` reads of whole trials, (B, L, ...): ``sequences``; as ``following``, what each step led to.

    The last step of an episode led to its final observation, which no agent is shown; the reward is the true one.
    """
    final = episodes.final_observation.unsqueeze(-2)  # (T, E, K, 1, O)
    beside = episodes._replace(observation=torch.cat((episodes.observation[..., 1:, :], final), -2))
    rows = sequences(spec, episodes)._asdict()
    rows["following"] = sequences(spec, beside).x[..., : spec.observation_size]  # laid out in the same order
    return {key: y.movedim(1, 0) for key, y in rows.items()}
