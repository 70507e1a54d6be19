"""Figures of chapter 12: discounts set by hand, a discount that learns, outcomes, rules on families, a read-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.teach.figures import (
    ANCHOR_GREY,
    COLOURS,
    STYLES,
    adaptation_curves,
    display_name,
    draw_anchors,
    look,
    looks,
    new_figure,
)

Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # mean, low, high
Anchors = Mapping[str, float]


def hand_set(discounts: Sequence[float], panels: Mapping[str, tuple[Band, Anchors]]) -> Figure:
    """Return against the discount that agents learned with: {title: (band, anchors)}, a panel each."""
    figure, axes = new_figure(1, len(panels), width=8.4, height=3.3)
    for ax, (title, ((mean, low, high), anchors)) in zip(np.ravel(axes), panels.items(), strict=True):
        ax.fill_between(discounts, low, high, color=COLOURS[0], alpha=0.18, linewidth=0)
        ax.plot(discounts, mean, **look(0))
        draw_anchors(ax, anchors)
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("inner discount, set by hand")
    np.ravel(axes)[0].set_ylabel("return per episode\nafter ten inner steps")
    return figure


def course_and_trial(
    course: np.ndarray, threshold: float, iteration: int, trial: np.ndarray, anchors: Anchors
) -> Figure:
    """Draw a discount's course with one moment of it marked (left), and what agents did with that discount (right).

    Parameters
    ----------
    course : (I + 1,) the discount before the first meta-iteration, and after each.
    threshold : the discount above which the better action looks better.
    iteration : 1 to I, the moment shown.
    trial : (B,) return of the agents of that iteration, batch by batch.
    anchors : {name: return per episode} of the right panel.
    """
    figure, (left, right) = new_figure(1, 2, width=8.4, height=3.4)
    left.plot(course, **(look("meta_gradient") | {"marker": ""}))
    left.plot(iteration, course[iteration], "o", color=COLOURS[1], ms=9)
    left.axhline(threshold, color=ANCHOR_GREY, linewidth=1.1, linestyle="--", zorder=1)
    for text, place in (("long-sighted enough", 0.02), ("takes the bait", -0.07)):
        left.annotate(text, (len(course) - 1, threshold + place), ha="right", fontsize=8.5, color=ANCHOR_GREY)
    left.set(xlabel="meta-iteration", ylabel="inner discount", ylim=(0, 1.02))
    right.plot(trial, **(look(1) | {"marker": ""}))
    draw_anchors(right, anchors)
    right.set(xlabel="inner steps taken", ylabel="return per episode", ylim=(-0.75, 1.15))
    right.set_title(f"the agents of iteration {iteration}", fontsize=10)
    return figure


def outcomes(panels: Mapping[str, tuple[Mapping[str, tuple[float, float, float]], Anchors]]) -> Figure:
    """Outcomes with intervals, a line each: {title: ({label: (mean, low, high)}, anchors)}.

    Labels that start with "discount" were set by hand, and are drawn in grey; the others were learned.
    """
    figure, axes = new_figure(1, len(panels), width=8.4, height=3.8)
    for ax, (title, (rows, anchors)) in zip(np.ravel(axes), panels.items(), strict=True):
        for place, (label, (mean, low, high)) in enumerate(rows.items()):
            hand = label.startswith("discount")
            colour, marker = (ANCHOR_GREY, "s") if hand else (look("meta_gradient")["color"], "o")
            ax.errorbar(mean, place, xerr=[[mean - low], [high - mean]], fmt=marker, color=colour, ms=5, capsize=3)
        ax.set_yticks(range(len(rows)), list(rows), fontsize=8.5)
        ax.set_ylim(len(rows) - 0.4, -1.2)
        for (name, value), style in zip(anchors.items(), ("--", ":"), strict=False):
            ax.axvline(value, color=ANCHOR_GREY, linewidth=1.1, linestyle=style, zorder=1)
            # inside the axes, beside the line and not on it
            right_half = value > np.mean(ax.get_xlim())
            ax.annotate(
                display_name(name),
                (value, -0.75),
                xytext=(-3 if right_half else 3, 0),
                textcoords="offset points",
                ha="right" if right_half else "left",
                fontsize=8.5,
                color=ANCHOR_GREY,
            )
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("return per episode", fontsize=9)
    return figure


def rules(panels: Mapping[str, tuple[Mapping[str, Any], Anchors]], columns: int = 2) -> Figure:
    """Return against agent steps under several update rules, a panel each.

    panels : {title: ({rule: curve with mean, low, high}, anchors)}.
    """
    rows = -(-len(panels) // columns)
    figure, axes = new_figure(rows, columns, width=8.4, height=2.9 * rows)
    for ax, (title, (curves, anchors)) in zip(np.ravel(axes), panels.items(), strict=False):
        adaptation_curves(curves, anchors, x_label="agent steps", ax=ax)
        for line, style in zip(ax.lines, STYLES, strict=False):
            line.set(marker="", linestyle=style)  # 21 points a curve; told apart in grey print too
        handles = ax.get_legend_handles_labels()
        ax.get_legend().remove()  # one legend for all panels
        ax.set_title(title, fontsize=10)
    figure.legend(*handles, frameon=False, fontsize=9, loc="outside lower center", ncols=3)
    return figure


def readout(discounts: Sequence[float], shares: Mapping[str, Sequence[float]]) -> Axes:
    """Share of the variance of true values that a linear read-out explains, for each discount: {source: R^2}.

    Points on lines, not bars: a control that reads nothing has to be seen at 0. The sources stand side by side, so that
    two that are alike do not hide each other.
    """
    ax = new_figure(width=6.4, height=3.4)[1]
    spots = np.arange(len(discounts))
    for index, (name, style) in enumerate(looks(shares).items()):
        aside = 0.08 * (index - (len(shares) - 1) / 2)
        ax.plot(spots + aside, shares[name], label=name, **(style | {"markersize": 6}))
    draw_anchors(ax, {"no better than the mean": 0.0})
    ax.set_xticks(spots, [f"{d:g}" for d in discounts])
    lowest = min(0.0, *(min(values) for values in shares.values()))
    ax.set(xlabel="discount of the true value", ylabel="R$^2$ on held-out tasks", ylim=(lowest - 0.1, 1))
    ax.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(shares))
    return ax


def echo(felt: Mapping[str, np.ndarray], discounts: Mapping[str, float]) -> Axes:
    """How strongly a reward is felt n steps before it, as a share of what is felt at it; beside powers of discounts."""
    ax = new_figure(width=6.2, height=3.4)[1]
    for index, (name, values) in enumerate(felt.items()):
        ax.plot(values, label=name, **look(index))
    steps = np.arange(max(len(values) for values in felt.values()))
    for (name, discount), style in zip(discounts.items(), ("--", ":"), strict=False):
        ax.plot(steps, discount**steps, color=ANCHOR_GREY, linewidth=1.1, linestyle=style, label=f"discount {name}")
    ax.set(xlabel="steps before the reward", ylabel="change of $\\hat\\pi$, share of the last step's")
    ax.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return ax
