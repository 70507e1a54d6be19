"""Update rules written by hand, the rivals of chapter 12's learned rule: REINFORCE and an actor-critic, on tables.

A rule of this kind says one number for every step that was acted, pi_hat_t, and the agent raises the log-probability of
the action taken in proportion to it. That is what the learned rule does too, so the three differ in pi_hat alone (and
in what else they learn about a state: the actor-critic a value, the learned rule a prediction).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from metarl_lab.ops.distributions import Categorical
from metarl_lab.ops.lambda_returns import episode_returns
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import Episodes, Seen

# Episodes (T, E, 1, H) and the values V(s_0) ... V(s_H) along them (T, E, H + 1) -> pi_hat (T, E, H).
Rule = Callable[[Episodes, Tensor], Tensor]


class Tables(NamedTuple):
    """What an agent knows of each state, one row a state; T agents, one a task."""

    logits: Tensor  # (T, S, A), of the policy
    value: Tensor  # (T, S), return per episode from here on


def reinforce(episodes: Episodes, value: Tensor) -> Tensor:
    """pi_hat_t = G_t minus its mean over the episodes that are still going on at t; undiscounted (Williams 1992).

    The values are not used.
    """
    live = episodes.mask[:, :, 0]  # (T, E, H)
    nothing = torch.zeros_like(episodes.reward)
    to_go = episode_returns(episodes, episodes.reward, nothing, 1.0, 1.0)[:, :, 0]
    mean = (to_go * live).sum(1, keepdim=True) / live.sum(1, keepdim=True).clamp_min(1)  # over E
    return torch.where(live, to_go - mean, 0.0)


def actor_critic(episodes: Episodes, value: Tensor, discount: float = 0.9, lam: float = 0.5) -> Tensor:
    """pi_hat_t = G_t - V(s_t), with the lambda-return G_t; 0 where nothing was acted."""
    live = episodes.mask[:, :, 0]
    returns = episode_returns(episodes, episodes.reward, value[:, :, None, 1:], discount, lam)[:, :, 0]
    return torch.where(live, returns - value[..., :-1], 0.0)


class HandWritten:
    """An agent for each task, moved after every batch of E episodes by a rule written by hand.

    logits[s] += step size        1/E sum_t pi_hat_t (1[a_t] - pi(s_t))
    value[s]  += value step size  1/E sum_t pi_hat_t

    where the sums are over the visits to s. For one-hot observations. Every action is equally likely at first.

    Parameters
    ----------
    family : whose observations and actions the agents have.
    rule : says pi_hat.
    step_size : of the policy, logits per unit of pi_hat.
    value_step_size : of the values; 0 for a rule that needs none.
    """

    shares_memory, noise_size = True, 1

    def __init__(self, family: TaskFamily, rule: Rule, step_size: float, value_step_size: float = 0.0) -> None:
        self.spec, self.rule = family.spec, rule
        self.step_size, self.value_step_size = step_size, value_step_size
        self.name = rule.__name__

    def begin(self, n_tasks: int, copies: int) -> Tables:
        """Tables of zeros."""
        states, actions = self.spec.observation_size, self.spec.action_size
        return Tables(torch.zeros(n_tasks, states, actions), torch.zeros(n_tasks, states))

    def act(self, memory: Tables, seen: Seen, noise: Tensor) -> tuple[Tensor, Tables]:
        """Every agent acts by its own table."""
        return Categorical(seen.observation @ memory.logits).sample(noise), memory

    def absorb(self, memory: Tables, episodes: Episodes) -> Tables:
        """One step of every agent."""
        observation = episodes.observation[:, :, 0]  # (T, E, H, S), one-hot
        visited = torch.cat((observation, episodes.final_observation), 2)  # (T, E, H + 1, S)
        pi_hat = self.rule(episodes, torch.einsum("tehs,ts->teh", visited, memory.value))  # (T, E, H)

        logits = observation @ memory.logits[:, None]  # (T, E, H, A)
        taken = torch.nn.functional.one_hot(episodes.action[:, :, 0], logits.shape[-1])
        score = taken - logits.softmax(-1)  # the gradient of log pi(a_t | s_t) in the logits of s_t

        episodes_each = observation.shape[1]
        policy_step = torch.einsum("tehs,teha,teh->tsa", observation, score, pi_hat) / episodes_each
        value_step = torch.einsum("tehs,teh->ts", observation, pi_hat) / episodes_each
        return Tables(
            logits=memory.logits + self.step_size * policy_step,
            value=memory.value + self.value_step_size * value_step,
        )
