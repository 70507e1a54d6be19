"""Agents that are linear in the observation, one per task, and the step that given targets move them by.

With one-hot observations they are tables: a row of logits, and a prediction, for each state. The agents' gradients are
written out, not taken by autograd, so that a meta-gradient through many of their steps is a first derivative.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

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
    e = episodes
    return AgentBatch(
        e.observation.flatten(1, 3).to(dtype),
        e.final_observation.flatten(1, 2).to(dtype),
        e.action.flatten(1, 3),
        e.reward.flatten(1, 2).to(dtype),
        e.terminated.flatten(1, 2),
        e.mask.flatten(1, 2),
    )


class Outputs(NamedTuple):
    """What agents say at every step of a batch, as logarithms of probabilities."""

    log_pi: Tensor  # (T, M, A), of every action in s_t
    log_y: Tensor  # (T, N, H, m), the prediction at s_t
    log_y_next: Tensor  # (T, N, H, m), the prediction at s_{t+1}; after a termination it stands for nothing


def outputs(agents: LinearAgents, batch: AgentBatch) -> Outputs:
    """Policies and predictions of the agents along the batch."""
    logits = batch.observation @ torch.cat(agents, -1)  # one product for both: (T, M, A + m)
    policy, prediction = logits.split([x.shape[-1] for x in agents], -1)
    here = prediction.log_softmax(-1).unflatten(1, batch.live.shape[1:])
    after_last = (batch.final @ agents.prediction).log_softmax(-1).unsqueeze(2)  # (T, N, 1, m)
    return Outputs(policy.log_softmax(-1), here, torch.cat((here[:, :, 1:], after_last), 2))


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
    live = batch.live.to(pi_hat.dtype)
    raised = (pi_hat * live).flatten(1).unsqueeze(-1)  # (T, M, 1)
    chosen = torch.zeros_like(said.log_pi).scatter_(-1, batch.action.unsqueeze(-1), 1.0)
    uphill = (chosen - said.log_pi.exp()) * raised  # (T, M, A)
    gap, y = said.log_y - log_y_hat, said.log_y.exp()
    downhill = y * (gap - (y * gap).sum(-1, keepdim=True)) * live.unsqueeze(-1)  # (T, N, H, m)
    moves = torch.cat((size * uphill, -prediction_size * downhill.flatten(1, 2)), -1)
    policy, prediction = (batch.observation.mT @ moves / live.shape[1]).split([x.shape[-1] for x in agents], -1)
    return LinearAgents(agents.policy + policy, agents.prediction + prediction)


def judge(batch: AgentBatch, said: Outputs, reward: Tensor, discount: float) -> tuple[Tensor, Tensor, Tensor]:
    """How agents do on what they have just acted: means over live steps of log pi(a_t | s_t) times advantage (its
    gradient is the policy gradient), of the policies' entropy and of the predictions'. reward (T, E, K, H)."""
    flat = reward.flatten(1, 2).to(batch.reward.dtype)
    advantage = minus_mean_of_copies(discounted_returns(flat.movedim(-1, 0), discount).movedim(0, -1), batch.live)
    # families pay in units of their own: one scale for all tasks, so that those already solved do not grow
    advantage = advantage / advantage[batch.live].std().clamp_min(1e-3)
    gain = said.log_pi.gather(-1, batch.action.unsqueeze(-1)).view_as(advantage) * advantage
    policy, prediction = (-(x.exp() * x).sum(-1).view_as(advantage) for x in (said.log_pi, said.log_y))
    return live_mean(gain, batch.live), live_mean(policy, batch.live), live_mean(prediction, batch.live)


def minus_mean_of_copies(to_go: Tensor, live: Tensor) -> Tensor:
    """G_t minus the mean of G_t over the *other* episodes of the task that are live at t; (T, N, H), 0 where not live.

    A baseline that an episode's own actions cannot touch, so the policy gradient stays unbiased. Alone: G_t itself.
    """
    alive = live.to(to_go.dtype)
    others = alive.sum(1, keepdim=True) - alive
    sums = (to_go * alive).sum(1, keepdim=True) - to_go * alive
    return torch.where(live, to_go - sums / others.clamp_min(1), 0.0)


def live_mean(x: Tensor, live: Tensor) -> Tensor:
    """Mean over the live steps of all tasks; x, live (T, N, H)."""
    return torch.where(live, x, 0.0).sum() / live.sum()
