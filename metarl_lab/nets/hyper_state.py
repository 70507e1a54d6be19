"""An actor-critic on hyper-states: where the agent is, and what it believes of the task.

In the Bayes-adaptive MDP (Duff 2002) the belief is a part of the state. Optimal play there trades off exploration and
exploitation by itself, and an ordinary feed-forward policy can express it.
"""

from __future__ import annotations

import dataclasses

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from metarl_lab.nets.base import Sequences
from metarl_lab.ops.distributions import Distribution
from metarl_lab.types import Spec

_CLOCK = 2  # features


class HyperStateActorCritic(nn.Module):
    """Two networks: a policy on the hyper-state, and a critic of two hidden layers on it and the time.

    The critic alone sees a clock: what is still to come falls towards the end of a trial, and a baseline may depend on
    anything but the action. The policy is the paper's, of (observation, mean, log variance).

    Parameters
    ----------
    policy : nn.Module
        Hyper-states (..., size) -> distribution of actions; of ``hyper_spec``.
    size, units : int
        O + 2 M; units of the critic's layers.
    """

    def __init__(self, policy: nn.Module, size: int, units: int) -> None:
        super().__init__()
        self.policy = policy
        last = nn.Linear(units, 1)
        nn.init.orthogonal_(last.weight, 0.01)  # small: the first value is close to zero
        inner = (nn.Linear(size + _CLOCK, units), nn.Tanh(), nn.Linear(units, units), nn.Tanh())
        self.critic = nn.Sequential(*inner, last)

    def distribution(self, hyper: Tensor) -> Distribution:
        """Of actions; hyper (..., O + 2 M): observation, posterior mean, posterior log variance."""
        policy: Distribution = self.policy(hyper)
        return policy

    def value(self, hyper: Tensor, clock: Tensor) -> Tensor:
        """Of what is still to come in the trial, (...); clock (..., 2)."""
        value: Tensor = self.critic(torch.cat((hyper, clock), -1)).squeeze(-1)
        return value


def hyper_spec(spec: Spec, latent: int) -> Spec:
    """The family's spaces with hyper-states for observations: M means and M log variances beside O features."""
    space = gym.spaces.Box(-np.inf, np.inf, (spec.observation_size + 2 * latent,), np.float32)
    return dataclasses.replace(spec, observation_space=space)


def clock(batch: Sequences, horizon: int) -> Tensor:
    """How far each step is into its trial and into its episode, 0 to 1, (L, B, 2)."""
    steps = len(batch.x)
    step = torch.arange(steps, device=batch.x.device).unsqueeze(1).expand_as(batch.reward)  # (L, B), in its trial
    starts = batch.x[..., -1] > 0  # as ``encode_seen`` has it: the last feature says that an episode starts
    began = torch.where(starts, step, 0).cummax(0).values  # the step at which the present episode started
    return torch.stack((step / steps, (step - began) / horizon), -1)
