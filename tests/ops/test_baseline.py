"""The linear baseline and advantages, against NumPy by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metarl_lab.ops.baseline import advantages, first_episodes, linear_baseline, linear_features, minus_mean_of_others
from metarl_lab.ops.baseline import pieces as cut
from metarl_lab.types import Episodes

T, N, H = 3, 4, 6


def episodes_with_ends(seed: int = 0, n: int = N) -> Episodes:
    """Random episodes (T, E = n, K = 1, H) of which some terminate; steps after that are masked, rewards 0."""
    generator = torch.Generator().manual_seed(seed)
    last = torch.randint(2, H + 3, (T, n, 1), generator=generator)  # the step that terminates; H or more: none does
    step = torch.arange(H)
    mask = step <= last.unsqueeze(-1)
    terminated = step == last.unsqueeze(-1)
    truncated = (step == H - 1) & mask & ~terminated
    observation = torch.randn(T, n, 1, H, 2, generator=generator).double()
    reward = torch.randn(T, n, 1, H, generator=generator).double() * mask
    action = torch.randn(T, n, 1, H, 2, generator=generator).double()
    before = (torch.zeros(T, n, 2), torch.zeros(T, n))
    return Episodes(observation, action, reward, terminated, truncated, mask, observation[..., -1, :], before)


def features(observation: np.ndarray, t: int) -> np.ndarray:
    s, u = np.clip(observation, -10, 10), t / 100
    return np.concatenate((s, s**2, [u, u**2, u**3, 1.0]))


def returns_to_go(reward: np.ndarray, discount: float) -> np.ndarray:
    return np.array([sum(discount**k * r for k, r in enumerate(reward[t:])) for t in range(len(reward))])


def fit_by_hand(e: Episodes, task: int, chosen: list[int], discount: float) -> np.ndarray:
    """Ridge regression as one least-squares problem over the live steps of the chosen episodes, by numpy.lstsq."""
    rows, targets = [], []
    for n in chosen:
        to_go = returns_to_go(e.reward[task, n, 0].numpy(), discount)
        for t in range(H):
            if e.mask[task, n, 0, t]:
                rows.append(features(e.observation[task, n, 0, t].numpy(), t))
                targets.append(to_go[t])
    x, y = np.array(rows), np.array(targets)
    width = x.shape[1]
    return np.linalg.lstsq(np.vstack((x, np.sqrt(1e-5) * np.eye(width))), np.append(y, np.zeros(width)), rcond=None)[0]


@pytest.mark.parametrize("baseline", ["leave_one_out", "same_batch", "none"])
@pytest.mark.parametrize("lam", [1.0, 0.7])
def test_advantages_by_hand(baseline, lam):
    e, discount = episodes_with_ends(), 0.9
    samples = advantages(e, discount, lam, baseline, standardize=False)
    for i in range(T):
        for n in range(N):
            chosen = [m for m in range(N) if m != n or baseline == "same_batch"]
            weight = np.zeros(8) if baseline == "none" else fit_by_hand(e, i, chosen, discount)
            live = int(e.mask[i, n, 0].sum())
            value = [weight @ features(e.observation[i, n, 0, t].numpy(), t) for t in range(live)] + [0.0]
            reward = e.reward[i, n, 0].numpy()
            delta = [reward[t] + discount * value[t + 1] - value[t] for t in range(live)]
            expected = [sum((discount * lam) ** (k - t) * delta[k] for k in range(t, live)) for t in range(live)]
            np.testing.assert_allclose(samples.advantage[i, n, :live], expected, atol=1e-6)
            assert (samples.advantage[i, n, live:] == 0).all()
    scores = [[returns_to_go(e.reward[i, n, 0].numpy(), discount)[0] for n in range(N)] for i in range(T)]
    np.testing.assert_allclose(samples.score, np.mean(scores, 1))
    np.testing.assert_allclose(samples.live, e.mask.sum((1, 2, 3)))


def test_leave_one_out_does_not_see_the_episode_that_it_scores():
    e = episodes_with_ends()
    observation, mask = e.observation.flatten(1, 2), e.mask.flatten(1, 2).double()
    target = torch.randn(T, N, H, dtype=torch.float64)
    moved = target.clone()
    moved[1, 2] += 5.0
    left_out = linear_baseline(observation, moved, mask, True) - linear_baseline(observation, target, mask, True)
    assert left_out[1, 2].abs().max() < 1e-9 < 0.1 < left_out[1, 0].abs().max()
    assert (left_out[0] == 0).all()
    same = linear_baseline(observation, moved, mask, False) - linear_baseline(observation, target, mask, False)
    assert same[1, 2].abs().max() > 0.1  # what makes the common form biased


def test_one_episode_alone_has_baseline_zero():
    e = episodes_with_ends(n=1)
    with_baseline = advantages(e, 0.9, 1.0, "leave_one_out", standardize=False)
    torch.testing.assert_close(with_baseline.advantage, advantages(e, 0.9, 1.0, "none", False).advantage)


def test_standardized_over_live_steps_of_each_task():
    samples = advantages(episodes_with_ends(), 0.9, 1.0)
    for i in range(T):
        live = samples.advantage[i][samples.mask[i].bool()]
        assert live.mean().item() == pytest.approx(0, abs=1e-9)
        assert live.std(correction=0).item() == pytest.approx(1, abs=1e-6)
    raw = advantages(episodes_with_ends(), 0.9, 1.0, standardize=False).advantage[0][samples.mask[0].bool()]
    assert samples.scale[0].item() == pytest.approx(1 / raw.std(correction=0).item(), rel=1e-6)


def test_finished_steps_count_nowhere():
    e = episodes_with_ends()
    spoiled = e._replace(observation=torch.where(e.mask.unsqueeze(-1), e.observation, 1e3))
    assert not e.mask.all()
    torch.testing.assert_close(advantages(spoiled, 0.9, 0.9).advantage, advantages(e, 0.9, 0.9).advantage)


def test_order_of_samples_is_episode_then_step():
    e = episodes_with_ends()
    samples = advantages(e, 0.9, 1.0)
    assert samples.observation.shape == (T, N * H, 2)
    torch.testing.assert_close(samples.observation[1, 2 * H + 3], e.observation[1, 2, 0, 3])
    few = first_episodes(samples, 2)
    torch.testing.assert_close(few.action, samples.action[:, : 2 * H])
    assert few.mask.shape == (T, 2, H)


def test_pieces_hold_every_task_once_and_pair_batches():
    a, b = advantages(episodes_with_ends(0), 0.9, 1.0), advantages(episodes_with_ends(1), 0.9, 1.0)
    parts = cut([a, b], 2 * N * H)  # two tasks a piece
    assert [len(part[0].mask) for part in parts] == [2, 1]
    torch.testing.assert_close(torch.cat([part[1].advantage for part in parts]), b.advantage)
    assert len(cut([a, b], 1)) == T and len(cut([a, b], None)) == 1


def test_features_time_and_clip():
    phi = linear_features(torch.tensor([[[[20.0], [0.5]]]]))
    np.testing.assert_allclose(phi[0, 0], [[10, 100, 0, 0, 0, 1], [0.5, 0.25, 0.01, 1e-4, 1e-6, 1]])


def test_minus_mean_of_others():
    torch.testing.assert_close(minus_mean_of_others(torch.tensor([1.0, 2.0, 6.0])), torch.tensor([-3.0, -1.5, 4.5]))
    torch.testing.assert_close(minus_mean_of_others(torch.tensor([3.0])), torch.tensor([3.0]))


def test_unknown_baseline():
    with pytest.raises(ValueError, match="baseline 'neural' is not known; choose one of 'leave_one_out'"):
        advantages(episodes_with_ends(), 0.9, 1.0, "neural")
