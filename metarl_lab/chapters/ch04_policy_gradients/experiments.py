"""What chapter 04 computes around its estimators: the same estimate for every batch size and discount."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor
from tqdm import tqdm

Clouds = dict[tuple[int, str, float], np.ndarray]

SIZES = (2, 4, 8, 16, 32, 64)  # episodes in a batch
DISCOUNTS = tuple(round(0.5 + 0.05 * n, 2) for n in range(11))  # 0.5 to 1, the steps of the slider


def gradient_clouds(
    weigh: Callable[[Tensor, Tensor, float], Mapping[str, Tensor]],
    estimate: Callable[[Tensor, Tensor, Tensor], Tensor],
    episodes: tuple[Tensor, Tensor, Tensor],
    sizes: Sequence[int] = SIZES,
    discounts: Sequence[float] = DISCOUNTS,
) -> Clouds:
    """Estimate the policy gradient from many batches, for each batch size, weight and discount.

    Parameters
    ----------
    weigh : (state, reward, discount) -> {name: weight}, each (B, N, H): what every step is paid.
    estimate : (state, action, weight) -> (B, P), the gradient of each of B batches.
    episodes : state, action, reward, each (M, H). The same M episodes serve every setting, cut into batches of N; M
        is divisible by every size.

    Returns
    -------
    {(N, name, discount): estimates (M / N, P)}
    """
    clouds: Clouds = {}
    for discount in tqdm(discounts, desc="discounts"):
        for size in sizes:
            state, action, reward = (part.reshape(-1, size, part.shape[-1]) for part in episodes)  # (B, N, H)
            for name, weight in weigh(state, reward, discount).items():
                clouds[size, name, discount] = estimate(state, action, weight).numpy()
    return clouds
