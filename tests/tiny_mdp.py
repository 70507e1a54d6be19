"""A decision problem small enough to list every data set, with its exact meta-objectives.

Two states, two actions, two steps: 8 trajectories. What is exact here is a NumPy program (and one in torch, for the
value of a policy) that shares nothing with the package but the advantages, functions of the data alone.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from metarl_lab.catalog import make_learner
from metarl_lab.learners.base import GradientLearner
from metarl_lab.ops.outer_step import outer_objective
from metarl_lab.ops.trust_region import flatten
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import Episodes, Spec

H = 2
MOVE = np.array([[0.2, 0.7], [0.6, 0.1]])  # [state, action]: probability that the next state is 1
PAY = np.array([[1.0, 0.3], [-0.5, 2.0]])  # [state, action]: reward
TRAJECTORIES = list(itertools.product((0, 1), repeat=3))  # (a0, s1, a1); s0 = 0
THETA = np.array([0.4, -0.2, -0.3, 0.5, 0.1, 0.2])  # weight0 (2, 2), bias0 (2,)


class Tiny(NamedTuple):
    """One task; ``pay`` (T, 2, 2)."""

    pay: Tensor


@dataclass(frozen=True)
class TinyFamily(TaskFamily):
    """The decision problem above, the same for every task."""

    name: ClassVar[str] = "tiny"

    @property
    def spec(self) -> Spec:
        return Spec(gym.spaces.Box(0, 1, (2,), np.float32), gym.spaces.Discrete(2), horizon=H, step_noise=1)

    def sample_tasks(self, n, split, generator):
        return Tiny(torch.tensor(PAY, dtype=torch.float32).expand(n, 2, 2).clone())

    def reset(self, tasks, noise):
        return torch.zeros(noise.shape[:2], dtype=torch.int64)

    def step(self, tasks, state, action, noise):
        reward = tasks.pay.flatten(1).gather(1, 2 * state + action)
        after = (noise[..., 0] < torch.tensor(MOVE, dtype=torch.float32)[state, action]).long()
        return after, reward, torch.zeros_like(action, dtype=torch.bool)

    def observe(self, tasks, state):
        return torch.nn.functional.one_hot(state, 2).float()


# --- the exact objective, in NumPy ------------------------------------------------------------------------------------


def policy(theta: np.ndarray) -> np.ndarray:
    """pi[state, action]."""
    logits = theta[:4].reshape(2, 2) + theta[4:]
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def probability(theta: np.ndarray, trajectory: tuple[int, int, int]) -> float:
    a0, s1, a1 = trajectory
    pi = policy(theta)
    return pi[0, a0] * (MOVE[0, a0] if s1 else 1 - MOVE[0, a0]) * pi[s1, a1]


def value(theta: np.ndarray) -> float:
    return sum(probability(theta, (a, s, b)) * (PAY[0, a] + PAY[s, b]) for a, s, b in TRAJECTORIES)


def step_on(theta: np.ndarray, dataset: list[tuple[int, int, int]], advantage: np.ndarray, alpha: float) -> np.ndarray:
    """theta + alpha mean over steps of A grad log pi. advantage (N, H)."""
    pi, gradient = policy(theta), np.zeros(6)
    for (a0, s1, a1), (first, second) in zip(dataset, advantage, strict=True):
        for s, a, weight in ((0, a0, first), (s1, a1, second)):
            score = np.eye(2)[a] - pi[s]
            gradient[2 * s : 2 * s + 2] += weight * score
            gradient[4:] += weight * score
    return theta + alpha * gradient / (H * len(dataset))


def differences(f, theta: np.ndarray) -> np.ndarray:
    steps = 1e-5 * np.eye(6)
    return np.array([(f(theta + d) - f(theta - d)) / 2e-5 for d in steps])


def learner_with(**options) -> GradientLearner:
    exact = {"discount": 1.0, "standardize": False, "baseline": "none", "inner_step": 1.5, "later_inner_step": 0.8}
    name = "emaml" if options.pop("sampling_term", False) else "maml"
    learner = make_learner(name, TinyFamily(), **{"hidden": (), **exact, **options}).double()
    assert isinstance(learner, GradientLearner)
    with torch.no_grad():
        learner.network.weight0.copy_(torch.as_tensor(THETA[:4].reshape(2, 2)))
        learner.network.bias0.copy_(torch.as_tensor(THETA[4:]))
    return learner


def episodes_of(datasets) -> Episodes:
    """(T datasets of N trajectories) as Episodes with E = N copies."""
    a0, s1, a1 = (torch.tensor(x) for x in np.moveaxis(np.array(datasets), -1, 0))  # (T, N)
    state = torch.stack((torch.zeros_like(s1), s1), -1).unsqueeze(2)  # (T, N, K=1, H)
    action = torch.stack((a0, a1), -1).unsqueeze(2)
    no = torch.zeros_like(state, dtype=torch.bool)
    last = no.clone()
    last[..., -1] = True
    observation = torch.nn.functional.one_hot(state, 2).double()
    reward = torch.as_tensor(PAY)[state, action]
    return Episodes(observation, action, reward, no, last, ~no, observation[..., -1, :], (action[..., 0, 0], a0))


def expected_gradient(learner: GradientLearner, sizes: list[int]) -> np.ndarray:
    """Expectation, over every data set, of H times the gradient of the learner's own outer objective.

    sizes: trajectories per batch, for each inner step and for the batch after the last.
    """
    batches = [list(itertools.product(TRAJECTORIES, repeat=n)) for n in sizes]
    combinations = list(itertools.product(*batches))
    samples = [learner.samples(episodes_of(list(column))) for column in zip(*combinations, strict=True)]
    weights = []
    for i, batches_i in enumerate(combinations):
        theta, weight = THETA, 1.0
        for k, dataset in enumerate(batches_i):
            weight *= np.prod([probability(theta, trajectory) for trajectory in dataset])
            if k < len(batches_i) - 1:
                theta = step_on(theta, dataset, samples[k].advantage[i].numpy(), learner.how.step_sizes[k])
        weights.append(weight)
    assert sum(weights) == pytest.approx(1)
    parameters = learner.network.parameters_by_name()
    objective = outer_objective(learner.how, parameters, samples).objective
    total = (objective * torch.tensor(weights)).sum()
    return H * flatten(torch.autograd.grad(total, [parameters["weight0"], parameters["bias0"]])).numpy()


def exact_objective(learner: GradientLearner, sizes: list[int]):
    """theta -> mean, over the data that theta draws, of the value after adaptation."""
    datasets = [list(itertools.product(TRAJECTORIES, repeat=n)) for n in sizes[:-1]]
    known = [learner.samples(episodes_of(column)).advantage.numpy() for column in datasets]

    def after(theta: np.ndarray, k: int) -> float:
        if k == len(datasets):
            return value(theta)
        total = 0.0
        for dataset, advantage in zip(datasets[k], known[k], strict=True):
            chance = np.prod([probability(theta, trajectory) for trajectory in dataset])
            total += chance * after(step_on(theta, dataset, advantage, learner.how.step_sizes[k]), k + 1)
        return total

    return lambda theta: after(theta, 0)


def expected_return(theta: Tensor, steps: int = H) -> Tensor:
    """Exact value (R,) of the policies theta (R, 6) over the first ``steps`` steps, exact."""
    pi = (theta[:, :4].view(-1, 2, 2) + theta[:, None, 4:]).softmax(-1)  # (R, state, action)
    pay, move = torch.as_tensor(PAY), torch.as_tensor(MOVE)
    to_go = torch.zeros_like(pi[:, :, 0])  # (R, state)
    for _ in range(steps):
        q = pay + (1 - move) * to_go[:, :1, None] + move * to_go[:, 1:, None]
        to_go = (pi * q).sum(-1)
    return to_go[:, 0]
