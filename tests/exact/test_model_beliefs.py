"""The posterior over tabular MDPs: by hand, against a recount of the episodes, and in its moments."""

from __future__ import annotations

import pytest
import torch

import metarl_lab as ml
from metarl_lab.exact.model_beliefs import (
    MODEL_NOISE,
    Prior,
    mean_model,
    nothing_known,
    plan,
    reward_posterior,
    sample_model,
    take_in,
    values_at,
)
from metarl_lab.rollout import begin, collect

CPU = torch.device("cpu")
PRIOR = Prior(reward_mean=1.0, reward_std=1.0, reward_noise=1.0, concentration=1.0)


def one(x: int | float | bool) -> torch.Tensor:
    return torch.tensor([[x]])


def test_by_hand() -> None:
    """Two states, one action: 0 -> 1 with reward 4, 1 -> (end of episode) with reward -2, then state 0 again.

    R(0) after one reward of 4: (1 + 4) / 2 = 2.5, variance 1/2. R(1): (1 - 2) / 2 = -0.5.
    P(. | 0) = (1, 1 + 1) / 3. Where the second move led was never shown: P(. | 1) = (1/2, 1/2).
    """
    belief = nothing_known(1, 1, 2, 1, CPU)
    belief = take_in(belief, one(0), one(-1), one(0.0), one(True))
    belief = take_in(belief, one(1), one(0), one(4.0), one(False))
    belief = take_in(belief, one(0), one(0), one(-2.0), one(True))
    p, r = mean_model(belief, PRIOR)
    torch.testing.assert_close(r.flatten(), torch.tensor([2.5, -0.5]))
    torch.testing.assert_close(p.flatten(0, 3), torch.tensor([[1 / 3, 2 / 3], [1 / 2, 1 / 2]]))
    torch.testing.assert_close(reward_posterior(belief, PRIOR)[1].flatten() ** 2, torch.tensor([0.5, 0.5]))


def test_unequal_variances_by_hand() -> None:
    """Prior N(0, 2^2), noise 1/2, one reward of 3: precision 1/4 + 4, mean 4 * 3 / 4.25."""
    belief = take_in(nothing_known(1, 1, 1, 1, CPU), one(0), one(0), one(3.0), one(False))
    mean, std = reward_posterior(belief, Prior(0.0, 2.0, 0.5, 1.0))
    assert mean.item() == pytest.approx(12 / 4.25) and std.item() == pytest.approx(4.25**-0.5)


def test_the_belief_after_episodes_is_a_recount_of_them() -> None:
    family = ml.make_family("tabular_mdp", states=3, actions=2, horizon=4)
    agent = ml.make_reference("greedy", family)
    generator = torch.Generator().manual_seed(0)
    tasks = family.sample_tasks(3, "train", generator)
    acted, trial = collect(agent, family, tasks, begin(agent, family, tasks, 2), generator, episodes=3)
    moves, pulls, total = (torch.zeros(3, 2, 3, 2, *tail) for tail in ((3,), (), ()))
    for t in range(3):
        for e in range(2):
            states = acted.observation[t, e].argmax(-1)
            for k in range(3):
                # the very last step of the trial has been acted, and not been seen yet
                for h in range(4 if k < 2 else 3):
                    s, a = states[k, h], acted.action[t, e, k, h]
                    pulls[t, e, s, a] += 1
                    total[t, e, s, a] += acted.reward[t, e, k, h]
                    if h < 3:
                        moves[t, e, s, a, states[k, h + 1]] += 1
    belief = trial.memory.belief
    torch.testing.assert_close(belief.moves, moves)
    torch.testing.assert_close(belief.pulls, pulls)
    torch.testing.assert_close(belief.total, total)


def test_draws_have_the_posterior_moments() -> None:
    n = 20_000
    belief = nothing_known(n, 1, 2, 1, CPU)
    belief = belief._replace(
        moves=belief.moves + torch.tensor([[[3.0, 0.0]], [[1.0, 1.0]]]),
        pulls=belief.pulls + torch.tensor([[3.0], [0.0]]),
        total=belief.total + torch.tensor([[6.0], [0.0]]),
    )
    noise = torch.rand(n, 1, MODEL_NOISE, generator=torch.Generator().manual_seed(3))
    p, r = (x[:, 0] for x in sample_model(belief, PRIOR, noise))
    # P(0 | 0) ~ Beta(4, 1): mean 4/5, variance 4 / (25 * 6); R(0) ~ N(7/4, 1/4); R(1) ~ N(1, 1)
    assert p[:, 0, 0, 0].mean().item() == pytest.approx(0.8, abs=4 * (4 / 150 / n) ** 0.5)
    assert p[:, 0, 0, 0].var().item() == pytest.approx(4 / 150, rel=0.05)
    torch.testing.assert_close(r.mean(0).flatten(), torch.tensor([1.75, 1.0]), rtol=0, atol=4 / n**0.5)
    torch.testing.assert_close(r.std(0).flatten(), torch.tensor([0.5, 1.0]), rtol=0.03, atol=0)
    assert abs(torch.corrcoef(torch.stack((p[:, 0, 0, 0], r[:, 0, 0])))[0, 1]) < 4 / n**0.5


def test_a_plan_is_read_at_its_own_task_step_and_state() -> None:
    generator = torch.Generator().manual_seed(4)
    reward = torch.randn(2, 3, 4, 2, generator=generator)
    transition = torch.rand(2, 3, 4, 2, 4, generator=generator)
    q = plan(transition / transition.sum(-1, keepdim=True), reward, horizon=3)  # (T, E, H, S, A)
    state = torch.randint(0, 4, (2, 3), generator=generator)
    got = values_at(q, 2, state)  # the last step: nothing but the reward is left
    for t in range(2):
        for e in range(3):
            torch.testing.assert_close(got[t, e], reward[t, e, state[t, e]])
