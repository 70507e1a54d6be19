"""Figures of chapter 07: where methods come to rest, return against three kinds of cost, learners at a budget."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from metarl_lab.teach.figures import ANCHOR_GREY, draw_anchors, look, new_figure

Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # mean, low, high
Interval = tuple[float, float, float]  # mean, low, high


def resting_places(sizes: np.ndarray, places: Mapping[str, np.ndarray], anchors: Mapping[str, float]) -> Axes:
    """Where each method leaves the start, (sizes,), against the inner step size; NaN where it runs away."""
    ax = new_figure(height=3.2)[1]
    for index, (name, place) in enumerate(places.items()):
        ax.plot(sizes, place, label=name, **look(index))
    draw_anchors(ax, anchors)
    ax.set(xlabel="inner step size", ylabel="start (same unit as the optima)", ylim=(-1.6, 1.25))
    ax.legend(frameon=False, fontsize=9, loc="lower left")
    return ax


def cost_curves(
    curves: Mapping[str, Mapping[str, tuple[np.ndarray, Band]]], anchors: Mapping[str, float], y_label: str
) -> Figure:
    """Return against each kind of cost, one panel a kind: {cost and its unit: {learner: (cost, (mean, low, high))}}.

    Costs are on a logarithmic axis, so all of them must be above 0. Intervals are drawn at the last point of each
    curve only: bands of many curves would hide one another.
    """
    figure, axes = new_figure(1, len(curves), width=9.8, height=4.3)
    for place, (ax, (cost, learners)) in enumerate(zip(np.ravel(axes), curves.items(), strict=True)):
        for index, (name, (x, (mean, low, high))) in enumerate(learners.items()):
            style = look(index)
            ax.plot(x, mean, label=name if place == 0 else None, **style)
            ax.plot([x[-1], x[-1]], [low[-1], high[-1]], color=style["color"], linewidth=1.4, alpha=0.8)
        draw_anchors(ax, anchors)
        ax.set(xscale="log", xlabel=cost)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        ax.xaxis.set_major_formatter(FuncFormatter(short))
        ax.xaxis.set_minor_formatter(NullFormatter())
    axes = np.ravel(axes)
    for ax in axes[1:]:
        ax.sharey(axes[0])
        ax.tick_params(labelleft=False)
    axes[0].set_ylabel(y_label)
    figure.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=7)
    return figure


def short(value: float, place: int | None = None) -> str:
    """A number as an axis shows it: 300k, 1M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def ranking(scores: Mapping[str, Interval], anchors: Mapping[str, float], title: str, x_label: str) -> Axes:
    """Learners in order of their mean, best on top, each with its interval, between vertical anchors.

    A learner keeps its colour and marker, those of its place in ``scores``, whatever its rank.
    """
    ax = new_figure(height=3.7)[1]
    order = sorted(scores, key=lambda name: scores[name][0])
    for index, (name, (mean, low, high)) in enumerate(scores.items()):
        style, height = look(index), order.index(name)
        ax.plot([low, high], [height, height], color=style["color"], linewidth=2.2)
        ax.plot(mean, height, marker=style["marker"], color=style["color"], markersize=8)
        ax.annotate(f"{mean:.2f}", (mean, height), (0, 6), textcoords="offset points", ha="center", fontsize=8.5)
    for name, value in anchors.items():
        ax.axvline(value, color=ANCHOR_GREY, linewidth=1.1, linestyle="--", zorder=1)
        place = (value, len(order) - 0.35)
        ax.annotate(name, place, ha="center", va="bottom", fontsize=8.5, color=ANCHOR_GREY, annotation_clip=False)
    ax.set_yticks(range(len(order)), [f"{len(order) - i}. {name}" for i, name in enumerate(order)])
    ax.set(xlabel=x_label, ylim=(-0.6, len(order) - 0.4))
    ax.set_title(title, fontsize=10, pad=18)
    return ax
