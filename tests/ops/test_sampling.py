"""Draws from given noise follow their distributions; ties are shared; streams do not overlap."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from metarl_lab.ops.sampling import (
    KEY_NOISE,
    beta,
    dirichlet,
    gamma,
    log_uniform,
    log_uniform_beyond,
    random_argmax,
    spread,
)

N = 20_000


def keys(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, KEY_NOISE, generator=torch.Generator().manual_seed(seed))


def looks_like(x: torch.Tensor, cdf: object) -> bool:
    """Kolmogorov-Smirnov: a right sampler fails once in a thousand seeds, and the seed is fixed."""
    return stats.kstest(x.double().numpy(), cdf).pvalue > 1e-3


@pytest.mark.parametrize("column", [0, 1, 37, 99])
def test_spread_is_uniform_in_every_place(column: int) -> None:
    u = spread(keys(N), 100)
    assert looks_like(u[:, column], "uniform") and u.min() > 0 and u.max() < 1


def test_spread_is_uniform_along_a_stream_and_places_are_uncorrelated() -> None:
    u = spread(keys(3), 50_001)
    assert all(looks_like(row, "uniform") for row in u)
    correlation = torch.corrcoef(spread(keys(N), 40).T) - torch.eye(40)
    assert correlation.abs().max() < 5 / N**0.5


def test_near_keys_and_blocks_give_unrelated_streams() -> None:
    """Keys one lattice step apart, and blocks of one key, share no more numbers than chance: 1e6 pairs / 2^23."""
    near = torch.tensor([[0.5, 0.25], [0.5, 0.25 + 2**-24]])
    first, second = spread(near, 1000)
    assert torch.isin(first, second).sum() <= 3
    assert torch.isin(spread(near, 1000, block=1)[0], first).sum() <= 3
    torch.testing.assert_close(spread(near[:1], 7)[0, :4], spread(near[:1], 8)[0, :4], rtol=0, atol=0)


def test_no_key_continues_the_stream_of_another() -> None:
    """Counters step by the golden ratio modulo 2^64: keys that lie m such steps apart would be m words apart."""
    golden = 0x9E3779B97F4A7C15
    m = next(m for m in range(1, 2**20) if m * golden % 2**64 < 2**48)
    key = m * golden % 2**64
    apart = torch.tensor([[0, 0], [key >> 24, key % 2**24]]) / 2**24
    size = 2 * (m + 50)  # two numbers of each word: the first halves come first
    first, second = spread(apart[:1], size)[0, : size // 2], spread(apart[1:], 100)[0, :50]
    assert torch.isin(first[m:], second).sum() <= 1


@pytest.mark.parametrize("shape", [0.3, 1.0, 1.5, 7.0, 200.0])
def test_gamma(shape: float) -> None:
    draws = gamma(torch.full((N, 2), shape), keys(N))
    assert looks_like(draws[:, 0], stats.gamma(shape).cdf) and looks_like(draws[:, 1], stats.gamma(shape).cdf)
    assert abs(torch.corrcoef(draws.T)[0, 1]) < 4 / N**0.5


def test_beta() -> None:
    a, b = torch.tensor([1.0, 3.0, 60.0]).expand(N, 3), torch.tensor([1.0, 2.0, 41.0]).expand(N, 3)
    draws = beta(a, b, keys(N))
    for i, (p, q) in enumerate([(1, 1), (3, 2), (60, 41)]):
        assert looks_like(draws[:, i], stats.beta(p, q).cdf)


def test_dirichlet() -> None:
    """The marginal of Dirichlet(c) is Beta(c_i, sum c - c_i); rows of one key are independent."""
    c = torch.tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 2.0]]).expand(N, 2, 3)
    draws = dirichlet(c, keys(N))
    torch.testing.assert_close(draws.sum(-1), torch.ones(N, 2))
    assert looks_like(draws[:, 0, 2], stats.beta(1, 2).cdf) and looks_like(draws[:, 1, 1], stats.beta(5, 3).cdf)
    assert abs(torch.corrcoef(torch.stack((draws[:, 0, 0], draws[:, 1, 0])))[0, 1]) < 4 / N**0.5


def test_a_row_does_not_depend_on_the_other_rows() -> None:
    shape = torch.tensor([[1.0, 2.0]]).expand(5, 2)
    torch.testing.assert_close(gamma(shape, keys(5))[3:4], gamma(shape[:1], keys(5)[3:4]), rtol=0, atol=0)


def test_ties_are_shared_and_only_the_best_is_chosen() -> None:
    noise = torch.rand(30_000, generator=torch.Generator().manual_seed(1))
    chosen = random_argmax(torch.tensor([1.0, 3.0, 3.0, -1.0, 3.0]).expand(30_000, 5), noise)
    share = torch.bincount(chosen, minlength=5) / 30_000
    assert share[[0, 3]].tolist() == [0.0, 0.0]
    assert (share[[1, 2, 4]] - 1 / 3).abs().max() < 4 * (2 / 9 / 30_000) ** 0.5


@pytest.mark.parametrize("noise", [0.0, 0.9999999, 1.0])
def test_ties_at_the_ends_of_the_noise(noise: float) -> None:
    value = torch.tensor([[2.0, 2.0, 1.0]])
    assert random_argmax(value, torch.tensor([noise])).item() == int(noise > 0.5)
    infinite = torch.tensor([[float("inf"), 0.0]])
    assert random_argmax(infinite, torch.tensor([noise])).item() == 0


def test_log_uniform_factors_on_numbers_worked_out_by_hand() -> None:
    u = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    torch.testing.assert_close(log_uniform(u, 4.0), torch.tensor([1 / 4, 1 / 2, 1.0, 2.0, 4.0]))
    # beyond a factor of 2, up to 8: the logarithm grows from log 2 by |2 u - 1| log 4, on either side of 1
    torch.testing.assert_close(log_uniform_beyond(u, 2.0, 8.0), torch.tensor([1 / 8, 1 / 4, 2.0, 4.0, 8.0]))


def test_log_uniform_factors_are_uniform_in_their_logarithm_and_the_two_never_meet() -> None:
    u = torch.rand(N, generator=torch.Generator().manual_seed(3))
    inner = log_uniform(u, 1.5).log() / torch.tensor(1.5).log()
    assert looks_like(inner, stats.uniform(-1, 2).cdf)
    beyond = log_uniform_beyond(u, 1.5, 3.0)
    assert ((beyond >= 1.5 * (1 - 1e-6)) | (beyond <= (1 + 1e-6) / 1.5)).all() and beyond.max() <= 3 * (1 + 1e-6)
    above = beyond[beyond > 1]
    assert abs(len(above) / N - 0.5) < 0.02
    assert looks_like((above / 1.5).log() / torch.tensor(2.0).log(), "uniform")
    torch.testing.assert_close(log_uniform_beyond(1 - u[u != 0.5], 1.5, 3.0), 1 / beyond[u != 0.5], rtol=1e-5, atol=0)
