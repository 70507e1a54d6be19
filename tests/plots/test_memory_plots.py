"""The two trials side by side: what is drawn is what was recorded."""

from types import SimpleNamespace

import numpy as np

from metarl_lab.plots.memory import side_by_side

MOMENTS = 12


def trials():
    rng = np.random.default_rng(0)
    moved = np.where(np.isin(np.arange(MOMENTS), (3, 6, 9)), 0.5, 0.0)
    captions = [f"moment {m}" for m in range(MOMENTS)]
    gradient = SimpleNamespace(
        goal=np.array([0.3, 0.2]),
        reach=1.0,
        paths=[rng.normal(0, 0.1, (5, 4, 2)) for _ in range(MOMENTS)],
        strip=rng.normal(0, 0.1, (40, MOMENTS)),
        limit=0.3,
        moved=moved,
        captions=captions,
    )
    recurrent = SimpleNamespace(
        truth=np.array([0.1, 0.9, 0.4]),
        probability=rng.dirichlet(np.ones(3), MOMENTS),
        posterior=np.tile([0.5, 0.05, 0.95], (MOMENTS, 3, 1)),
        strip=rng.uniform(-1, 1, (32, MOMENTS)),
        moved=rng.uniform(0.5, 1, MOMENTS),
        captions=captions,
    )
    return gradient, recurrent


def test_each_panel_draws_the_recorded_numbers_of_its_moment():
    gradient, recurrent = trials()
    axes = side_by_side(gradient, recurrent, 4).axes
    np.testing.assert_allclose(axes[0].lines[0].get_xydata(), gradient.paths[4][0])
    heights = [bar.get_height() for bar in axes[2].patches]
    np.testing.assert_allclose(heights, gradient.moved[:5])
    np.testing.assert_allclose([bar.get_height() for bar in axes[3].patches], recurrent.probability[4])
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in axes)


def test_moments_to_come_are_blank():
    gradient, recurrent = trials()
    image = np.ma.filled(side_by_side(gradient, recurrent, 4).axes[4].images[0].get_array(), np.nan)
    assert np.isnan(image[:, 5:]).all()
    np.testing.assert_allclose(image[:, :5], recurrent.strip[:, :5])
