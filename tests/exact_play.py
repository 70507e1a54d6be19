"""The exact expected return of an agent's own ``act``, by acting out every sequence of pay-offs of a bandit."""

from __future__ import annotations

import numpy as np
import torch

from metarl_lab.references.base import Reference
from metarl_lab.types import Seen


def exact_play(agent: Reference, pulls: int, copies: int = 1, seed: int = 0) -> tuple[float, float]:
    """Expected total reward of n pulls under p ~ U(0, 1): mean over copies, and its standard error.

    Task number b is the sequence of pay-offs given by the bits of b; the agent acts, whatever it pulls pays what the
    sequence says, and the sequence's probability is the product of the posterior predictive ones,
    (1 + s) / (2 + s + f) of the arm pulled. Summed over all 2^n sequences this is exact for each way that the agent's
    own noise falls: no task is drawn, and only random choices of the agent leave an error. Sequences that are equal so
    far share their noise, as they are one history.
    """
    n, arms = 2**pulls, agent.spec.action_size
    bits = (torch.arange(n).unsqueeze(-1) >> torch.arange(pulls)) & 1  # (T, n)
    memory = agent.begin(n, copies)
    counts = np.zeros((n, copies, arms, 2))
    probability = np.ones((n, copies))
    action, reward = torch.full((n, copies), -1), torch.zeros(n, copies)
    rows = np.indices((n, copies))
    generator = torch.Generator().manual_seed(seed)
    for h in range(pulls):
        seen = Seen(torch.ones(n, copies, 1), action, reward, torch.full((n, copies), h == 0), h)
        noise = torch.rand(2**h, copies, agent.noise_size, generator=generator)
        action, memory = agent.act(memory, seen, noise[torch.arange(n) % 2**h])
        reward = bits[:, h : h + 1].expand(n, copies).float()
        arm = action.numpy()
        successes, failures = np.moveaxis(counts[*rows, arm], -1, 0)
        p = (1 + successes) / (2 + successes + failures)
        paid = reward.numpy()
        probability *= np.where(paid == 1, p, 1 - p)
        counts[*rows, arm, (1 - paid).astype(int)] += 1
    assert np.allclose(probability.sum(0), 1)
    value = (probability * bits.sum(1, keepdim=True).numpy()).sum(0)  # (copies,)
    error = value.std(ddof=1) / copies**0.5 if copies > 1 else 0.0
    return float(value.mean()), float(error)
