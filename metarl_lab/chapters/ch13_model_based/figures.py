"""Figures of chapter 13: errors along imagined paths, a failure, env steps to a return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.teach.figures import ANCHOR_GREY, COLOURS, draw_anchors, look, new_figure

Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # mean, low, high


def error_growth(curves: Mapping[str, np.ndarray], y_label: str, ax: Axes | None = None) -> Axes:
    """Error of an imagined path against its length; each curve (D,), after 1 to D imagined steps."""
    ax = new_figure()[1] if ax is None else ax
    assert ax is not None
    for index, (name, error) in enumerate(curves.items()):
        ax.plot(np.arange(1, len(error) + 1), error, label=name, **look(index))
    ax.set(xlabel="imagined steps", ylabel=y_label)
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    return ax


def around_failure(
    steps: Sequence[int], errors: Mapping[str, Band], rewards: Mapping[str, Band], anchors: Mapping[str, np.ndarray]
) -> Figure:
    """Two panels against the steps since the leg weakened (S,): the model's error, and the reward with its anchors."""
    figure, (left, right) = new_figure(1, 2, width=8.6, height=4.1)
    for ax, curves in ((left, errors), (right, rewards)):
        for index, (name, (mean, low, high)) in enumerate(curves.items()):
            style = look(index) | {"marker": ""}
            ax.fill_between(steps, low, high, color=style["color"], alpha=0.18, linewidth=0)
            ax.plot(steps, mean, label=name, **style)
        ax.axvline(0, color=ANCHOR_GREY, linewidth=1.1, linestyle=":")
        ax.set_xlabel("steps since the leg weakened")
    for line, (name, values) in zip(("-", "--"), anchors.items(), strict=False):
        right.plot(steps, values, label=name, color=ANCHOR_GREY, linewidth=1.2, linestyle=line)
    left.set_ylabel("error of the next rate of turn (rad/s)")
    left.set_ylim(bottom=0)
    right.set_ylabel("reward per step")
    figure.legend(*right.get_legend_handles_labels(), frameon=False, fontsize=9, loc="outside lower left", ncols=3)
    return figure


def path_and_error(
    true: np.ndarray, imagined: Mapping[str, np.ndarray], errors: Mapping[str, np.ndarray], ahead: int
) -> Figure:
    """The path that was walked (D + 1, 2) beside imagined ones, metres; and the mean error after 1 to D steps (D,).

    ``ahead`` of the D steps are drawn of the paths, and marked on the curves.
    """
    figure, (left, right) = new_figure(1, 2, width=8.6, height=3.8)
    left.plot(*true[: ahead + 1].T, color="black", linewidth=2.4, marker="o", markersize=4, label="walked")
    for index, (name, path) in enumerate(imagined.items()):
        left.plot(*path[: ahead + 1].T, label=name, **look(index))
    left.set(xlabel="along the road (m)", ylabel="across it (m)")
    reach = max(1.0, float(np.abs(true).max()) * 1.15)
    left.set(xlim=(-0.1 * reach, reach), ylim=(-0.55 * reach, 0.55 * reach))
    left.legend(frameon=False, fontsize=9, loc="upper left")
    error_growth(errors, "error of the position (m)", right)
    right.axvline(ahead, color=ANCHOR_GREY, linewidth=1.1, linestyle=":")
    return figure


def steps_needed(
    rows: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]], goals: Mapping[str, str]
) -> Figure:
    """Env steps that each learner needed, one point a seed, a panel a family: {family: {learner: (needed, ran)}}.

    An infinite number (the return was never reached) is an open mark at the env steps that this seed ran. goals: each
    panel's title.
    """
    figure, axes = new_figure(1, len(rows), width=4.3 * len(rows), height=3.4)
    for ax, (family, learners) in zip(np.ravel(axes), rows.items(), strict=True):
        for place, (needed, ran) in enumerate(learners.values()):
            x, ends = np.asarray(needed, dtype=float), np.asarray(ran, dtype=float)
            never = ~np.isfinite(x)
            spread = place + np.linspace(-0.15, 0.15, len(x)) if len(x) > 1 else np.array([float(place)])
            colour = COLOURS[place % len(COLOURS)]
            ax.plot(x[~never], spread[~never], "o", color=colour, markersize=5)
            ax.plot(ends[never], spread[never], "o", mfc="white", color=colour, markersize=5)
        ax.set_xscale("log")
        ax.set_yticks(range(len(learners)), list(learners))
        ax.invert_yaxis()
        ax.set(xlabel="env steps (open: not reached by then)", title=goals[family])
        ax.title.set_fontsize(10)
    return figure


def learning(curves: Mapping[str, tuple[np.ndarray, Band]], anchors: Mapping[str, float]) -> Axes:
    """Return per episode against env steps, each curve (env steps (N,), band)."""
    ax = new_figure()[1]
    for index, (name, (x, (mean, low, high))) in enumerate(curves.items()):
        style = look(index) | {"marker": ""}
        ax.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)
        ax.plot(x, mean, label=name, **style)
    draw_anchors(ax, anchors)
    ax.set(xlabel="env steps of meta-training", ylabel="return per episode")
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    return ax
