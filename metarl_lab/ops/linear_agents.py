"""Agents that are linear in the observation, one per task, and the step that given targets move them by.

With one-hot observations they are tables: a row of logits, and a prediction, for each state. The agents' gradients are
written out, not taken by autograd, so that a meta-gradient through many of their steps is a first derivative.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl_lab.ops.live import live_mean
from metarl_lab.ops.returns import discounted_returns
from metarl_lab.types import Episodes


class LinearAgents(NamedTuple):
    """``policy`` (T, O, A): logits per observation feature; ``prediction`` (T, O, m): logits of m categories."""

    policy: Tensor
    prediction: Tensor


class AgentBatch(NamedTuple):
    """What an agent's step reads of a batch of N = E K episodes of each task; M = N H steps."""

    observation: Tensor  # (T, M, O)
    final: Tensor  # (T, N, O), what followed the last step of an episode that the horizon cut
    action: Tensor  # (T, M) int64
    reward: Tensor  # (T, N, H)
    terminated: Tensor  # (T, N, H) bool
    live: Tensor  # (T, N, H) bool


def agent_batch(episodes: Episodes, dtype: torch.dtype = torch.float32) -> AgentBatch:
    """The episodes, flattened; floating numbers in the agents' own type."""
    return AgentBatch(
        observation=episodes.observation.flatten(1, 3).to(dtype),
        final=episodes.final_observation.flatten(1, 2).to(dtype),
        action=episodes.action.flatten(1, 3),
        reward=episodes.reward.flatten(1, 2).to(dtype),
        terminated=episodes.terminated.flatten(1, 2),
        live=episodes.mask.flatten(1, 2),
    )


class Outputs(NamedTuple):
    """What agents say at every step of a batch, as logarithms of probabilities."""

    log_pi: Tensor  # (T, M, A), of every action in s_t
    log_y: Tensor  # (T, N, H, m), the prediction at s_t
    log_y_next: Tensor  # (T, N, H, m), the prediction at s_{t+1}; after a termination it stands for nothing


def outputs(agents: LinearAgents, batch: AgentBatch) -> Outputs:
    """Policies and predictions of the agents along the batch."""
    logits = batch.observation @ torch.cat(agents, -1)  # one product for both: (T, M, A + m)
    policy_logits, prediction_logits = _split(logits, agents)
    log_y = prediction_logits.log_softmax(-1).unflatten(1, batch.live.shape[1:])  # (T, N, H, m)
    log_y_after_last = (batch.final @ agents.prediction).log_softmax(-1).unsqueeze(2)  # (T, N, 1, m)
    return Outputs(
        log_pi=policy_logits.log_softmax(-1),
        log_y=log_y,
        log_y_next=torch.cat((log_y[:, :, 1:], log_y_after_last), 2),
    )


def agent_step(
    agents: LinearAgents,
    batch: AgentBatch,
    said: Outputs,
    pi_hat: Tensor,
    log_y_hat: Tensor,
    size: float,
    prediction_size: float,
) -> LinearAgents:
    """One gradient step of every agent towards its targets (Oh et al. 2020, arXiv 2007.08794, eq. 2).

    policy     += size            1/N sum_t grad log pi(a_t | s_t) pi_hat_t
    prediction -= prediction_size 1/N sum_t grad KL(y(s_t) || y_hat_t)

    over the live steps of N episodes: with the return to go for pi_hat the first line is REINFORCE. Per logit,
    d log pi(a) / d logit_b = 1[a = b] - pi(b) and d KL(y || y_hat) / d logit_j = y_j (log y_j - log y_hat_j - KL).
    Targets are held: no gradient of theirs enters the step (a meta-gradient passes through them, and through the step).

    Parameters
    ----------
    said : Outputs
        ``outputs(agents, batch)``.
    pi_hat : Tensor (T, N, H)
    log_y_hat : Tensor (T, N, H, m)
        Normalised.
    """
    if pi_hat.shape != batch.live.shape or log_y_hat.shape[:3] != batch.live.shape:
        raise ValueError(
            f"agent_step: pi_hat must be (T, N, H) = {tuple(batch.live.shape)} and log_y_hat (T, N, H, m); given "
            f"{tuple(pi_hat.shape)} and {tuple(log_y_hat.shape)}"
        )
    live = batch.live.to(pi_hat.dtype)  # (T, N, H)
    # sum_t grad log pi(a_t | s_t) pi_hat_t, per logit
    weight = (pi_hat * live).flatten(1).unsqueeze(-1)  # (T, M, 1)
    chosen = torch.zeros_like(said.log_pi).scatter_(-1, batch.action.unsqueeze(-1), 1.0)  # 1[a = b]
    policy_gradient = (chosen - said.log_pi.exp()) * weight  # (T, M, A)
    # sum_t grad KL(y(s_t) || y_hat_t), per logit
    y, log_ratio = said.log_y.exp(), said.log_y - log_y_hat
    kl = (y * log_ratio).sum(-1, keepdim=True)
    kl_gradient = y * (log_ratio - kl) * live.unsqueeze(-1)  # (T, N, H, m)
    # from logits to tables: each step moves the rows of the features that it saw; one product for both tables
    of_logits = torch.cat((size * policy_gradient, -prediction_size * kl_gradient.flatten(1, 2)), -1)  # (T, M, A + m)
    policy_move, prediction_move = _split(batch.observation.mT @ of_logits / live.shape[1], agents)
    return LinearAgents(agents.policy + policy_move, agents.prediction + prediction_move)


def judge(batch: AgentBatch, said: Outputs, reward: Tensor, discount: float) -> tuple[Tensor, Tensor, Tensor]:
    """How agents do on what they have just acted: means over live steps of log pi(a_t | s_t) times advantage (its
    gradient is the policy gradient), of the policies' entropy and of the predictions'. reward (T, E, K, H)."""
    reward = reward.flatten(1, 2).to(batch.reward.dtype)  # (T, N, H)
    to_go = discounted_returns(reward.movedim(-1, 0), discount).movedim(0, -1)
    advantage = minus_mean_of_copies(to_go, batch.live)
    # families pay in units of their own: one scale for all tasks, so that those already solved do not grow
    advantage = advantage / advantage[batch.live].std().clamp_min(1e-3)
    log_pi_taken = said.log_pi.gather(-1, batch.action.unsqueeze(-1)).view_as(advantage)
    policy_entropy = -(said.log_pi.exp() * said.log_pi).sum(-1).view_as(advantage)
    prediction_entropy = -(said.log_y.exp() * said.log_y).sum(-1)
    return (
        live_mean(log_pi_taken * advantage, batch.live),
        live_mean(policy_entropy, batch.live),
        live_mean(prediction_entropy, batch.live),
    )


def minus_mean_of_copies(to_go: Tensor, live: Tensor) -> Tensor:
    """G_t minus the mean of G_t over the *other* episodes of the task that are live at t; (T, N, H), 0 where not live.

    A baseline that an episode's own actions cannot touch, so the policy gradient stays unbiased. Alone: G_t itself.
    """
    alive = live.to(to_go.dtype)
    others = alive.sum(1, keepdim=True) - alive
    sums = (to_go * alive).sum(1, keepdim=True) - to_go * alive
    return torch.where(live, to_go - sums / others.clamp_min(1), 0.0)


def _split(both: Tensor, agents: LinearAgents) -> list[Tensor]:
    """What belongs to the policy (..., A), and to the prediction (..., m), of numbers that lie side by side."""
    return list(both.split([agents.policy.shape[-1], agents.prediction.shape[-1]], -1))
