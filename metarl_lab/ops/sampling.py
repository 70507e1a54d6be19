"""Random draws from uniform noise that is given: ties, many numbers out of few, log-uniform, gamma, beta, Dirichlet.

Noise is an argument everywhere (see ``rollout``): the same noise gives the same draw, whatever else is in the batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metarl_lab.ops.distributions import standard_normal

KEY_NOISE = 2
"""How many uniform numbers ``spread`` wants: together 48 random bits, on a rollout's lattice of 2^-24."""

_ATTEMPTS = 4  # a proposal of ``gamma`` is refused with probability below 0.05: all four, below 1e-5


def random_argmax(value: Tensor, noise: Tensor) -> Tensor:
    """An index of the largest entry along the last axis; among equal ones, each equally likely.

    value (..., A), noise (...) uniform on [0, 1) -> (...) int64. Taking the first of equal arms would make results
    depend on how arms are numbered.
    """
    best = value == value.amax(-1, keepdim=True)  # (..., A)
    rank = best.cumsum(-1)  # 1, 2, ... at the best ones
    wanted = (noise.unsqueeze(-1) * rank[..., -1:]).floor() + 1
    return (best & (rank == wanted.clamp_max(rank[..., -1:]))).int().argmax(-1)


def spread(noise: Tensor, size: int, block: int = 0) -> Tensor:
    """Many uniform numbers on (0, 1) out of ``KEY_NOISE`` given ones: (..., KEY_NOISE) -> (..., size).

    The given numbers form a 48-bit key; word i of the stream is the mix function of SplitMix64 (Steele, Lea and Flood
    2014) at key + i golden, and two numbers are cut from each word. A model of 500 probabilities then costs two numbers
    of a rollout's noise block, not 500. Different blocks of one key (of up to 2^20 words) are different numbers.
    """
    if noise.shape[-1] != KEY_NOISE:
        raise ValueError(f"noise has {noise.shape[-1]} numbers on its last axis; give {KEY_NOISE}")
    whole = (noise.double() * 2**24).long()
    key = _mix((whole[..., 0] << 24) | whole[..., 1]).unsqueeze(-1)  # mixed once: near keys must not overlap
    first = 1 + (block << 20)
    word = _mix(key + _GOLDEN * torch.arange(first, first + (size + 1) // 2, device=noise.device))
    # two times 23 bits, each in the middle of its cell: with 24, float32 would round the last one up to 1
    bits = torch.cat((_shift(word, 41), _shift(word, 18) & (2**23 - 1)), -1)[..., :size]
    return (bits.float() + 0.5) * 2.0**-23


def log_uniform(u: Tensor, widest: float) -> Tensor:
    """widest^(2 u - 1): a factor from 1 / widest to widest, uniform in its logarithm, for u uniform on (0, 1).

    To halve is then as likely as to double: how physical quantities are varied. widest above 1; same shape as u.
    """
    return ((2 * u - 1) * math.log(widest)).exp()


def log_uniform_beyond(u: Tensor, inner: float, widest: float) -> Tensor:
    """A factor from inner to widest or, with equal chance, from 1 / widest to 1 / inner; each uniform in its logarithm.

    What ``log_uniform(u, inner)`` never gives: below 1 for u < 1/2, above it for the others, the further out the
    further u is from 1/2. 1 < inner < widest; same shape as u.
    """
    signed = 2 * u - 1
    size = math.log(inner) + signed.abs() * math.log(widest / inner)
    return torch.where(signed < 0, -size, size).exp()


def gamma(shape: Tensor, noise: Tensor) -> Tensor:
    """Gamma(shape, 1) draws by rejection (Marsaglia and Tsang 2000); shape (..., N) > 0, noise (..., KEY_NOISE).

    For shape < 1, Gamma(shape) = Gamma(shape + 1) U^(1 / shape). The number of attempts is fixed, so that the same
    operations run on every draw; the last attempt is kept even if refused, which happens less than once in 1e5 draws.
    """
    n = shape.shape[-1]
    small = shape < 1
    d = torch.where(small, shape + 1, shape) - 1 / 3
    spread_of_v = (9 * d).rsqrt()
    out, done = torch.zeros_like(d), torch.zeros_like(d, dtype=torch.bool)
    for i in range(_ATTEMPTS):
        u = spread(noise, 2 * n, block=i)
        x = standard_normal(u[..., :n])
        v = (1 + x * spread_of_v).clamp_min(1e-6) ** 3  # at the clamp log v is so low that the proposal is refused
        accepted = u[..., n:].log() < 0.5 * x**2 + d * (1 - v + v.log())
        out = torch.where(done, out, d * v)
        done = done | accepted
    return torch.where(small, out * spread(noise, n, block=_ATTEMPTS) ** (1 / shape), out)


def beta(a: Tensor, b: Tensor, noise: Tensor) -> Tensor:
    """Beta(a, b) draws, Gamma(a) / (Gamma(a) + Gamma(b)); a, b (..., N), noise (..., KEY_NOISE)."""
    g = gamma(torch.cat((a, b), -1), noise)
    n = a.shape[-1]
    return g[..., :n] / (g[..., :n] + g[..., n:])


def dirichlet(concentration: Tensor, noise: Tensor) -> Tensor:
    """Dirichlet draws over the last axis: gammas divided by their sum.

    concentration (B..., *N, S) with noise (B..., KEY_NOISE): every batch entry B has one key for all its *N rows.
    """
    lead = noise.shape[:-1]
    g = gamma(concentration.reshape(*lead, -1), noise).reshape(concentration.shape)
    return g / g.sum(-1, keepdim=True)


_GOLDEN = -0x61C8864680B583EB  # 2^64 / golden ratio, as a signed 64-bit number
_MIX_1 = -0x40A7B892E31B1A47  # 0xBF58476D1CE4E5B9
_MIX_2 = -0x6B2FB644ECCEEE15  # 0x94D049BB133111EB


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finalizer. Products of int64 wrap around, which is what it needs."""
    x = _shift(x, 30).bitwise_xor_(x).mul_(_MIX_1)
    x = _shift(x, 27).bitwise_xor_(x).mul_(_MIX_2)
    return _shift(x, 31).bitwise_xor_(x)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical shift right of the 64 bits: torch shifts the sign in, the mask takes it out."""
    return (x >> bits).bitwise_and_((1 << (64 - bits)) - 1)
