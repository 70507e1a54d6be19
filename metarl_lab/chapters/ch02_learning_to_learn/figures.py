"""Figures of chapter 02: what a constant is worth, how a trial goes on, what a memory does. They compute nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.teach.figures import ANCHOR_GREY, COLOURS, DPI, display_name, draw_anchors, look, new_figure

MAML, RL2 = look("maml")["color"], look("rl2")["color"]
STAR = COLOURS[5]  # what is hidden from the agents: the goal, the true probabilities


def value_of_bonus(
    bonus: np.ndarray, value: np.ndarray, visited: Sequence[tuple[float, float]], anchors: Mapping[str, float]
) -> Axes:
    """Exact return of a trial against the exploration bonus c, and the (c, return) that the outer loop visited."""
    ax = new_figure()[1]
    ax.plot(bonus, value, **{**look(0), "marker": None}, label="exact J(c)")
    ax.plot(*zip(*visited, strict=True), "o", color=COLOURS[1], label="visited by the outer loop")
    draw_anchors(ax, anchors)
    ax.set(xlabel="exploration bonus c (probability)", ylabel="return (points per trial)", xlim=(0, bonus[-1]))
    ax.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 0.9))
    return ax


def within_a_trial(
    walks: Mapping[str, Any],
    walk_anchors: Mapping[str, float],
    pulls: Mapping[str, Any],
    pull_anchors: Mapping[str, float],
) -> Figure:
    """How learners do as a trial goes on: on the left by batch of episodes, on the right by pull.

    walks, pulls : {"maml": curve, "maml, untrained": curve, ...}, each curve with `.mean`, `.low`, `.high`.
    """
    figure, (left, right) = new_figure(1, 2, width=9.6)
    for ax, curves, anchors in ((left, walks, walk_anchors), (right, pulls, pull_anchors)):
        for name, curve in curves.items():
            draw_curve(ax, name, curve)
        draw_anchors(ax, anchors)
        ax.set_xticks(range(len(curve.mean)))
    left.set(xlabel="batches absorbed", ylabel="return per episode")
    left.legend(frameon=False, fontsize=9, loc="center right", bbox_to_anchor=(1.0, 0.42))
    right.set(xlabel="pulls made", ylabel="reward per pull (points)", ylim=(0.36, 0.86))
    right.legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def draw_curve(ax: Axes, name: str, curve: Any) -> None:
    """A learner's curve with its interval; an untrained copy has its learner's colour, dotted, with hollow markers."""
    learner, *untrained = name.split(", ")
    style = look(learner) | ({"linestyle": ":", "markerfacecolor": "white"} if untrained else {})
    x = np.arange(len(curve.mean))
    ax.fill_between(x, curve.low, curve.high, color=style["color"], alpha=0.18, linewidth=0)
    ax.plot(x, curve.mean, label=", ".join([display_name(learner), *untrained]), **style)


def side_by_side(gradient: Any, recurrent: Any, moment: int) -> Figure:
    """Draw MAML's trial above RL2's, each at the same moment: the world, the memory, how far the memory moved.

    gradient, recurrent : one task of `widget.GradientTrial` and `widget.RecurrentTrial`.
    moment : 0 before the first step, 1..10 within the trial, 11 after it, when the next trial begins.
    """
    # fixed places: a layout engine would take most of a slider's 200 ms
    figure = Figure(figsize=(9.6, 5.9), dpi=DPI)
    axes = figure.subplots(2, 3, width_ratios=(1.0, 1.25, 1.0))
    figure.subplots_adjust(left=0.07, right=0.985, top=0.87, bottom=0.09, wspace=0.3, hspace=0.66)
    draw_plane(axes[0, 0], gradient.paths[moment], gradient.goal, gradient.reach)
    draw_strip(axes[0, 1], gradient.strip, moment, gradient.limit, "change of 40 of its parameters")
    draw_moved(axes[0, 2], gradient.moved, moment, MAML)
    draw_arms(axes[1, 0], recurrent, moment)
    draw_strip(axes[1, 1], recurrent.strip, moment, 1.0, "its hidden units")
    draw_moved(axes[1, 2], recurrent.moved, moment, RL2)
    for row, (name, trial, colour) in enumerate((("MAML", gradient, MAML), ("RL2", recurrent, RL2))):
        text = f"{name}, moment {moment}: {trial.captions[moment]}"
        figure.text(0.07, 0.955 - 0.48 * row, text, fontsize=11, weight="bold", color=colour)
    return figure


def draw_plane(ax: Axes, paths: np.ndarray, goal: np.ndarray, reach: float) -> None:
    """Paths (copies, steps, 2) of the current batch so far, in units of length, and the hidden goal."""
    for path in paths:
        ax.plot(path[:, 0], path[:, 1], color=MAML, linewidth=0.9, alpha=0.75)
        ax.plot(*path[-1], "o", color=MAML, markersize=3)
    ax.plot(*goal, "*", color=STAR, markeredgecolor="black", markersize=13, zorder=3)
    ax.plot(0, 0, "k+", markersize=8)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="x (length)", ylabel="y (length)")
    ax.set(xticks=(-0.5, 0.5), yticks=(-0.5, 0.5))
    ax.set_title("5 paths; star: hidden goal", fontsize=9)
    _plain(ax)


def draw_strip(ax: Axes, strip: np.ndarray, moment: int, limit: float, what: str) -> None:
    """Memory as a heat strip (numbers, moments); moments that have not come yet stay blank."""
    shown = np.where(np.arange(strip.shape[1]) <= moment, strip, np.nan)
    ax.set_facecolor("#EFEFEF")
    ax.imshow(shown, aspect="auto", cmap="PuOr", vmin=-limit, vmax=limit, interpolation="nearest")
    ax.axvline(moment, color="black", linewidth=0.8, linestyle=":")
    ax.set(xlabel="moment (violet: above 0, orange: below 0)", yticks=[], xticks=(3, 6, 9))
    ax.set_ylabel("one row a number", fontsize=8.5)
    ax.tick_params(labelsize=8, colors=ANCHOR_GREY)
    ax.set_title(f"memory: {what}", fontsize=9)


def draw_moved(ax: Axes, moved: np.ndarray, moment: int, colour: str) -> None:
    """How far the memory moved at each moment of the trial so far (Euclidean distance)."""
    ax.bar(np.arange(moment + 1), moved[: moment + 1], color=colour, width=0.7)
    ax.axvline(moment, color="black", linewidth=0.8, linestyle=":")
    ax.set(xlim=(-0.6, len(moved) - 0.4), ylim=(0, 1.1 * moved.max()), xlabel="moment", xticks=(3, 6, 9))
    ax.locator_params(axis="y", nbins=2)
    ax.set_ylabel("Euclidean distance", fontsize=8.5)
    ax.set_title("how far the memory moved", fontsize=9)
    _plain(ax)


def draw_arms(ax: Axes, trial: Any, moment: int) -> None:
    """RL2's action probabilities as bars, posterior means with 90% intervals, the truth as stars."""
    arms = np.arange(len(trial.truth))
    ax.bar(arms, trial.probability[moment], color=RL2, alpha=0.45, width=0.75, label="RL2")
    mean, low, high = (trial.posterior[moment][:, i] for i in range(3))
    ax.errorbar(
        arms, mean, (mean - low, high - mean), fmt="s", color="black", markersize=4, linewidth=1, label="posterior"
    )
    ax.plot(arms, trial.truth, "*", color=STAR, markeredgecolor="black", markersize=10, label="truth")
    ax.set(xlim=(-0.6, arms[-1] + 0.6), ylim=(0, 1.3), xlabel="arm", ylabel="probability", yticks=(0, 1))
    ax.set_xticks(arms)
    ax.legend(fontsize=7, ncols=3, frameon=False, loc="upper center", columnspacing=0.8, handletextpad=0.3)
    ax.set_title("chance of pulling it; of its paying", fontsize=9)
    _plain(ax)


def _plain(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8, colors=ANCHOR_GREY)
