"""Figures of chapter 08: training, what a probe reads, a trial that the reader plays, stay probabilities."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from metarl_lab.teach.figures import ANCHOR_GREY, COLOURS, DPI, display_name, draw_anchors, looks, new_figure

ARMS = (COLOURS[0], COLOURS[1])


def training(returns: Mapping[str, tuple[np.ndarray, np.ndarray]], anchors: Mapping[str, float]) -> Axes:
    """Draw {learner: (env steps, return per trial)} of meta-training between anchors."""
    if not anchors:
        raise ValueError("training got no anchors; give at least one, such as {'Bayes-optimal': 6.02}")
    ax = new_figure(width=7.0)[1]
    styles = looks(returns)
    for name, (steps, value) in returns.items():
        ax.plot(steps, value, label=display_name(name), **(styles[name] | {"marker": ""}))
    draw_anchors(ax, anchors)
    ax.set(xlim=(0, None), xlabel="env steps of meta-training (pulls)", ylabel="return (points per trial)")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def probe_bars(scores: Mapping[str, Sequence[float]], quantities: Sequence[str]) -> Axes:
    """Draw held-out R^2 of several quantities (groups) read off several sources (bars)."""
    ax = new_figure(width=7.2)[1]
    width = 0.8 / len(scores)
    for index, (name, values) in enumerate(scores.items()):
        place = np.arange(len(quantities)) + (index - (len(scores) - 1) / 2) * width
        hatch = ("", "//", "..", "xx")[index % 4]
        ax.bar(place, values, 0.92 * width, label=name, color=COLOURS[index], hatch=hatch, edgecolor="white")
    ax.set_xticks(range(len(quantities)), quantities)
    ax.set(ylabel="held-out R squared", ylim=(0, 1.02))
    ax.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(scores))
    return ax


def stay_bars(stay: Mapping[str, np.ndarray]) -> Figure:
    """Draw the chance of repeating the last choice, one panel an agent: (2, 2), rows unrewarded, rewarded.

    Each bar carries its number: one of height 0 would look forgotten.
    """
    figure, axes = new_figure(1, len(stay), width=8.4, height=3.3)
    for place, (ax, (name, p)) in enumerate(zip(np.ravel(axes), stay.items(), strict=True)):
        for column, label, hatch in ((1, "common", ""), (0, "rare", "//")):
            where = np.arange(2) + (0.2, -0.2)[column]
            height = p[::-1, column]  # rewarded first, as in the papers
            bars = ax.bar(where, height, 0.37, label=label, color=COLOURS[1 - column], hatch=hatch, edgecolor="white")
            ax.bar_label(bars, [f"{chance:.2f}" for chance in height], fontsize=8.5, padding=1)
        ax.set_xticks((0, 1), ("rewarded", "unrewarded"))
        ax.set(ylim=(0, 1.12))
        ax.set_title(name, fontsize=10)
        ax.tick_params(labelleft=place == 0)
    np.ravel(axes)[0].set_ylabel("chance of the same choice")
    handles, labels = np.ravel(axes)[0].get_legend_handles_labels()
    figure.legend(
        handles, [f"after a {x} transition" for x in labels], frameon=False, loc="outside lower center", ncols=2
    )
    return figure


def played_trial(view: Any) -> Figure:
    """Draw one moment of a trial that the reader plays; `view` is a `metarl_lab.chapters.ch08_rl2.widget.View`."""
    # fixed places: a layout engine would take most of the 200 ms of an answer
    figure = Figure(figsize=(9.6, 3.3), dpi=DPI)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.15, 1.0, 1.15))
    figure.subplots_adjust(left=0.03, right=0.985, top=0.86, bottom=0.19, wspace=0.5)
    draw_posteriors(left, view)
    draw_memory(middle, view.hidden)
    draw_choices(right, view.chances)
    return figure


def draw_posteriors(ax: Axes, view: Any) -> None:
    """Exact posterior density of each arm; below it, what the probe reads off the hidden state as its mean."""
    x = np.linspace(0, 1, view.density.shape[1])
    top = max(2.2, 1.25 * view.density.max())
    for arm, (density, style) in enumerate(zip(view.density, ("-", "--"), strict=True)):
        name, colour = "AB"[arm], ARMS[arm]
        ax.plot(x, density, style, color=colour, lw=1.8, label=f"arm {name}, exact")
        ax.plot([view.mean[arm]] * 2, [0, top / 1.25], ":", color=colour, lw=1)
        reading = float(np.clip(view.reading[arm], 0, 1))
        ax.plot(reading, 0.03 * top, "ov"[arm], color=colour, mec="black", ms=9, zorder=3, label=f"{name}, probe")
    ax.set(xlim=(0, 1), ylim=(0, top * 1.22), yticks=[], xlabel="probability of paying")
    ax.set_title("posterior; dotted: its mean", fontsize=9.5)
    ax.legend(frameon=False, fontsize=7.5, loc="upper left", ncols=2, columnspacing=0.8, handletextpad=0.4)
    _plain(ax)


def draw_memory(ax: Axes, hidden: np.ndarray) -> None:
    """The hidden state (units, moments) as a strip with its scale; moments that have not come are grey."""
    ax.set_facecolor("#EFEFEF")
    image = ax.imshow(hidden, aspect="auto", cmap="PuOr", vmin=-1, vmax=1, interpolation="nearest")
    ax.set(xlabel="pulls seen", yticks=[])
    ax.set_ylabel("hidden units; the top rises with A", fontsize=9)
    ax.set_xticks((0, 3, 6, 9))
    ax.set_title("hidden state after each pull", fontsize=9.5)
    ax.tick_params(labelsize=8, colors=ANCHOR_GREY)
    # a place of its own beside the strip, which keeps its width
    scale = ax.inset_axes((1.03, 0.0, 0.045, 1.0))
    bar = ax.figure.colorbar(image, cax=scale, ticks=(-1, 0, 1))
    bar.outline.set_visible(False)
    scale.tick_params(labelsize=7.5, colors=ANCHOR_GREY, length=2)


def draw_choices(ax: Axes, chances: Mapping[str, float]) -> None:
    """The chance that each player pulls arm A next (the rest is arm B), as divided bars."""
    for row, chance in enumerate(chances.values()):
        ax.barh(row, chance, color=ARMS[0], edgecolor="white", height=0.62)
        ax.barh(row, 1 - chance, left=chance, color=ARMS[1], hatch="//", edgecolor="white", height=0.62)
        inside, ha, colour = (0.03, "left", "white") if chance >= 0.5 else (0.97, "right", "black")
        arm, part = ("A", chance) if chance >= 0.5 else ("B", 1 - chance)
        text = f"{arm} {part:.2f}" if part != 0.5 else "either"
        box = {"facecolor": ARMS[0] if arm == "A" else "white", "edgecolor": "none", "pad": 1.5}
        ax.text(inside, row, text, va="center", ha=ha, color=colour, fontsize=8.5, bbox=box)
    ax.axvline(0.5, color="black", lw=0.8, ls=":")
    names = [textwrap.fill(display_name(name), 10) for name in chances]
    ax.set_yticks(range(len(chances)), names)
    ax.set(xlim=(0, 1), ylim=(len(chances) - 0.5, -0.5), xticks=(0, 0.5, 1), xlabel="chance of A (plain), B (hatched)")
    ax.set_title("next pull", fontsize=9.5)
    _plain(ax)


def _plain(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8, colors=ANCHOR_GREY)
