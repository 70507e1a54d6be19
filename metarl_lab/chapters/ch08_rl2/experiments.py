"""Chapter 08: what its pages run and need not show. Curves, tables of regret, histories with what is true of them.

Shapes: T tasks, N trials of L steps, I features of an encoded step, F units of a hidden state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.exact.bandits import count_pull, posterior_mean
from metarl_lab.learners.rl2 import RL2
from metarl_lab.nets.base import encode_seen, sequences
from metarl_lab.ops.regret import expected_regret
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.bernoulli_bandit import BernoulliBandit
from metarl_lab.teach.figures import display_name
from metarl_lab.types import Seen


def training_curve(run: ml.Run, together: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Env steps and return per trial of a training, the mean of `together` iterations to a point."""
    rows = np.array([(row["env_steps"], row["return"]) for row in run.rows])
    parts = np.array_split(rows, max(len(rows) // together, 1))
    steps, returns = np.array([part.mean(0) for part in parts]).T
    return steps, returns


def beginning_and_end(card: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The same two arrays for a stored agent, of which only where it began (random play) and ended is known."""
    return np.array([0, card["env_steps"]]), np.array([5.0, card["score"]["stored_mean"][0]])


def regrets(players: Mapping[str, Any], family: BernoulliBandit, n_tasks: int, seed: int) -> dict[str, np.ndarray]:
    """Expected regret per trial of every player on the same held-out tasks, {name: (T,)}."""
    tasks = family.sample_tasks(n_tasks, "test", seeded_generator("cpu", seed, 1))
    lost = {}
    for name, player in players.items():
        acted, _ = collect(player, family, tasks, begin(player, family, tasks), seeded_generator("cpu", seed, 2))
        lost[name] = expected_regret(tasks.mean, acted.action).flatten().double().numpy()
    return lost


def regret_table(lost: Mapping[str, np.ndarray], against: str) -> pd.DataFrame:
    """Mean regret of each player, and by how much it exceeds that of `against` on the same tasks, with 95% interval."""
    rows = {}
    for name, regret in lost.items():
        over, low, high = mean_interval(regret - lost[against])
        rows[display_name(name)] = {"regret": regret.mean(), "over Bayes": over, "low": low, "high": high}
    return pd.DataFrame(rows).T


def histories(agent: RL2, family: BernoulliBandit, split: str, seed: int, n: int = 3000) -> tuple[Tensor, Tensor]:
    """Trials of an agent: its inputs (L, N, I), and what is exactly true before each pull (L, N, 2 arms + 2 arms).

    What is true: the posterior mean of each arm, then how often each was pulled.
    """
    tasks = family.sample_tasks(n, split, seeded_generator("cpu", seed, 1))
    acted, _ = collect(agent, family, tasks, begin(agent, family, tasks), seeded_generator("cpu", seed, 2))
    trials, counts, truth = sequences(agent.spec, acted), torch.zeros(n, family.arms, 2), []
    for action, reward in zip(trials.action, trials.reward, strict=True):
        truth.append(torch.cat((posterior_mean(counts), counts.sum(-1)), -1))
        counts = count_pull(counts, action, reward)
    return trials.x, torch.stack(truth)


def hidden_states(agent: RL2) -> Callable[[Tensor], Tensor]:
    """A function: inputs (L, N, I) -> the hidden states (L, N, F) that the agent has after each of them."""

    @torch.no_grad()
    def read(x: Tensor) -> Tensor:
        out, _ = agent.net.core.unroll(x, agent.net.core.initial(x.shape[1]))
        return out

    return read


def units_by_arm(hidden: Tensor, truth: Tensor) -> np.ndarray:
    """The units (F,), first those that rise with the posterior mean of arm A less that of B, last those that fall.

    hidden (L, N, F) and truth (L, N, 4) as `histories` has it; sorted by correlation over all pulls of all trials.
    """
    difference = (truth[..., 0] - truth[..., 1]).reshape(-1, 1)
    together = torch.cat((difference.to(hidden), hidden.flatten(0, 1)), 1)
    correlation = torch.corrcoef(together.T)[0, 1:].nan_to_num()  # a unit that never moves has none
    return correlation.argsort(descending=True).numpy()


def what_is_seen(agent: RL2, action: Tensor, reward: Tensor, pull: int) -> Tensor:
    """The encoded inputs (N, I) of one pull of N trials: last action (N,), last reward (N,); an episode is a trial."""
    n = len(action)
    return encode_seen(agent.spec, Seen(torch.ones(n, 1), action, reward, torch.full((n,), pull == 0), pull))


@torch.no_grad()
def chances(agent: RL2, hidden: Tensor) -> Tensor:
    """Probability of every arm in each hidden state, (..., F) -> (..., arms)."""
    policy: Tensor = agent.net.policy(hidden)
    return policy.softmax(-1)


# Break it: episodes of two pulls, five to a trial, as ten pulls in all.


def train_in_episodes(
    learner: type[RL2], seeds: int, updates: int, options: Mapping[str, Any], pulls: int = 2, episodes: int = 5
) -> list[float]:
    """Points per trial of ten pulls, one number a seed, of learners whose gradients stay within an episode."""
    family = ml.make_family("bernoulli_bandit", arms=2, horizon=pulls)
    config = learner.Config(episodes=episodes, truncate=pulls, **options)
    points = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        agent = learner(family.spec, config)
        ml.train(agent, family, updates, seed=seed, device="cpu")
        points.append(float(ml.evaluate(agent, family, n_tasks=4000, batches=episodes).mean.sum()))
    return points
