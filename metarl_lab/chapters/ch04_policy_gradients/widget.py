"""Explorers of chapter 04: the noise of a gradient estimate, and what lambda trades for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from metarl_lab.chapters.ch04_policy_gradients.figures import error_by_lambda, gradient_cloud
from metarl_lab.teach.widgets import Explorer, choice, slider

SHOWN = (2, 3)  # which components of the gradient are drawn: the preferences at tilts 0 and +1


def noise_explorer(table: Mapping[tuple[int, str, float], np.ndarray], exact: np.ndarray) -> Explorer:
    """Show what batch size, baseline and discount do to a policy-gradient estimate.

    Parameters
    ----------
    table : {(episodes per batch, baseline, discount): estimates (batches, P)}, computed before.
    exact : (P,) the gradient that they estimate.
    """
    sizes = sorted({key[0] for key in table})
    baselines = list(dict.fromkeys(key[1] for key in table))
    discounts = sorted({key[2] for key in table})
    length = float(np.linalg.norm(exact))

    def found(discount: float, baseline: str, batch: int) -> np.ndarray:
        return table[batch, baseline, min(discounts, key=lambda known: abs(known - discount))]

    def scores(estimates: np.ndarray) -> tuple[float, float, float, float]:
        """Error of the mean, the error that chance alone would give it, noise of a batch; percent of batches uphill.

        The first three in percent of the gradient's length. So many batches have a mean that is off even where the
        estimator is unbiased: only an error well above that of chance is a bias.
        """
        error = float(np.linalg.norm(estimates.mean(0) - exact)) / length
        noise = float(np.sqrt(estimates.var(0, ddof=1).sum())) / length
        chance = noise / len(estimates) ** 0.5
        return 100 * error, 100 * chance, 100 * noise, 100 * float((estimates @ exact > 0).mean())

    def render(discount: float, baseline: str, batch: int) -> Axes:
        estimates, pair = found(discount, baseline, batch), list(SHOWN)
        error, chance, noise, uphill = scores(estimates)
        title = (
            f"mean of the batches: off by {error:.0f}% of the gradient's length (chance alone: {chance:.0f}%)\n"
            f"noise of one batch: {noise:.0f}%; uphill: {uphill:.0f}% of batches"
        )
        labels = ("dJ/d theta(tilt 0), points", "dJ/d theta(tilt +1), points")
        return gradient_cloud(estimates[:, pair], estimates.mean(0)[pair], exact[pair], title=title, labels=labels)

    def alt(discount: float, baseline: str, batch: int) -> str:
        error, chance, noise, uphill = scores(found(discount, baseline, batch))
        return (
            f"Cloud of gradient estimates around the exact gradient: their mean is off by {error:.0f}% of its length "
            f"(chance alone: {chance:.0f}%), noise {noise:.0f}%, {uphill:.0f}% of batches point uphill"
        )

    gap = round(discounts[1] - discounts[0], 6)
    controls = {
        "discount": slider("discount", discounts[0], discounts[-1], gap, value=discounts[-1]),
        "baseline": choice("weight", baselines, baselines[0]),
        "batch": choice("episodes per batch", sizes, 16 if 16 in sizes else sizes[0]),
    }
    return Explorer("04 noise", render, controls, alt=alt)


def lambda_explorer(lams: Sequence[float], critics: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Explorer:
    """Show bias, noise and error of generalized advantage estimates against lambda.

    Parameters
    ----------
    critics : {critic: (bias, noise of one episode)}, each (lambdas,), in units of the gradient's length.
    """

    def parts(batch: int, critic: str) -> dict[str, np.ndarray]:
        bias, noise = (np.asarray(part, dtype=float) for part in critics[critic])
        noise = noise / np.sqrt(batch)
        error = np.sqrt(bias**2 + noise**2)
        return {"bias": 100 * bias, "noise": 100 * noise, "error (both)": 100 * error}

    def best(batch: int, critic: str) -> tuple[float, float]:
        error = parts(batch, critic)["error (both)"]
        return lams[int(error.argmin())], float(error.min())

    def render(batch: int, critic: str) -> Axes:
        return error_by_lambda(lams, parts(batch, critic), best(batch, critic))

    def alt(batch: int, critic: str) -> str:
        lam, error = best(batch, critic)
        return (
            f"Bias, noise and error of the gradient against lambda, {batch} episodes, critic: {critic}; "
            f"the smallest error, {error:.0f}% of the gradient's length, is at lambda {lam:g}"
        )

    controls = {
        "batch": slider("episodes per batch", 5, 200, 5, value=20),
        "critic": choice("critic", list(critics)),
    }
    return Explorer("04 lambda", render, controls, alt=alt)
