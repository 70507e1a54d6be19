"""Chapter 05: its figures. They take data and return axes or a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.chapters.ch05_maml import two_tasks
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.teach.diagrams import Diagram
from metarl_lab.teach.figures import (
    ANCHOR_GREY,
    BLUE,
    GREEN,
    VERMILLION,
    display_name,
    draw_anchors,
    look,
    looks,
    new_figure,
)

TASK_COLOURS = (GREEN, VERMILLION)  # tasks A and B
STARTS = {"pre-training": look("finetune"), "first-order MAML": look("first_order"), "MAML": look("maml")}


def mechanism() -> Figure:
    """Draw MAML: one start is copied into every task, each copy takes its step, and what counts comes after it."""
    d = Diagram(width=18.6, height=7.6, inches=8.8)
    start = d.box(0.2, 2.9, 2.7, 2.0, "the start $\\theta$\n(this is kept\nand changed)", fill="green")
    frame = d.frame(3.9, 1.0, 10.3, 5.5, "")
    d.words(
        frame.x + frame.width / 2,
        0.55,
        "inside a trial: every task has its own copy, thrown away afterwards",
        grey=True,
    )
    for name, fill, low in (("A", "orange", 4.1), ("B", "blue", 1.4)):
        acted = d.box(4.5, low, 2.5, 2.0, f"act in task {name}\nwith $\\theta$", fill=fill)
        moved = d.box(8.7, low, 2.1, 2.0, f"own copy\n$\\theta_{name}'$", fill=fill)
        judged = d.box(11.8, low, 2.0, 2.0, f"act again:\n$J_{name}(\\theta_{name}')$", fill=fill)
        d.arrow(start.right, acted.left, "copy")
        d.arrow(acted.right, moved.left, f"one step\n$+\\,\\alpha\\nabla J_{name}$")
        d.arrow(moved.right, judged.left)
    mean = d.box(15.3, 2.9, 3.1, 2.0, "mean over tasks:\nthe meta-return\n$J^{meta}(\\theta)$", fill="yellow")
    d.arrow((13.8, 5.1), mean.along_top(0.3))
    d.arrow((13.8, 2.4), mean.along_bottom(0.3))
    d.arrow(mean.top, start.top, "meta-gradient: back through the step of every task", bend=0.24, dashed=True)
    return d.figure


def hills(ax: Axes, starts: Mapping[str, float], alpha: float) -> None:
    """The returns of both tasks, and from each start the step that each task takes."""
    grid = np.linspace(-0.55, 1.55, 211)
    for index, (name, colour) in enumerate(zip(two_tasks.NAMES, TASK_COLOURS)):
        style = "-" if index == 0 else "--"
        ax.plot(grid, two_tasks.returns(grid)[:, index], style, color=colour, lw=1.8, label=name)
        for start in starts.values():
            here, there = two_tasks.returns(np.array(start))[index], two_tasks.after_step(np.array(start), alpha)[index]
            place = two_tasks.adapted(np.array(start), alpha)[index]
            arrow = {"arrowstyle": "-|>", "color": colour, "lw": 1.6, "shrinkA": 0, "shrinkB": 2}
            ax.annotate("", (place, there), (start, here), arrowprops=arrow)
            ax.plot(start, here, "o", color=colour, ms=6)
            ax.plot(place, there, "*", color=colour, ms=11)
    for name, start in starts.items():
        ax.axvline(start, color=ANCHOR_GREY, lw=1, ls=":")
        ax.text(start, 0.06, name, ha="center", va="bottom", fontsize=8.5, color=ANCHOR_GREY)
    ax.set(xlabel="the dial, θ", ylabel="return J", xlim=(-0.55, 1.55), ylim=(-1.6, 0.28))
    ax.legend(fontsize=9, loc="lower right", frameon=False)


def by_hand(start: float, alpha: float) -> Axes:
    """One start, one step in each task: discs before the step, stars after it."""
    ax = new_figure(width=6.8, height=3.6)[1]
    hills(ax, {f"start {start:g}": start}, alpha)
    return ax


def start_and_after(start: float, alpha: float) -> Figure:
    """Left: what the step does from this start. Right: the mean return after it, for every start; who rests where."""
    figure, (left, right) = new_figure(1, 2, width=8.6, height=3.8)
    hills(left, {f"start {start:g}": start}, alpha)
    grid = np.linspace(-0.55, 1.55, 211)
    right.plot(grid, two_tasks.after_step(grid, alpha).mean(1), color=BLUE, lw=1.8, label="after one step")
    right.plot(grid, two_tasks.returns(grid).mean(1), ":", color=ANCHOR_GREY, lw=1.4, label="before it")
    right.axvline(start, color=ANCHOR_GREY, lw=1, ls=":")
    for name, place in two_tasks.resting_places(alpha).items():
        if not -0.55 <= place <= 1.55:
            right.plot([], [], **(STARTS[name] | {"linestyle": "none", "markersize": 8}), label=f"{name}: runs away")
            continue
        height = two_tasks.after_step(np.array(place), alpha).mean()
        style = STARTS[name] | {"linestyle": "none", "markersize": 8}
        right.plot(place, height, **style, label=f"{name}: {place:.2f}")
    right.set(xlabel="the start, θ", ylabel="mean return of A and B", xlim=(-0.55, 1.55), ylim=(-0.5, 0.03))
    figure.legend(*right.get_legend_handles_labels(), fontsize=9, frameon=False, loc="outside lower right", ncols=3)
    return figure


def training(history: np.ndarray, anchors: Mapping[str, float]) -> Axes:
    """Return before and after the inner step, at each meta-iteration; history (iterations, 2)."""
    ax = new_figure(width=7.0)[1]
    for index, name in enumerate(("before the inner step", "after it")):
        ax.plot(history[:, index], label=name, **(look(index) | {"marker": ""}))
    draw_anchors(ax, anchors)
    ax.set(xlabel="meta-iteration", ylabel="return per episode")
    ax.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return ax


def rate_scan(table: pd.DataFrame, anchors: Mapping[str, float], floor: float) -> Axes:
    """Return after one step against the inner rate used at test time; shown from `floor` up.

    table : columns learner, seed, rate, after; the band is Student's 95% interval over seeds.
    """
    ax = new_figure(width=7.0)[1]
    rates = sorted(table.rate.unique())
    for name, style in looks(table.learner.unique()).items():
        runs = table[table.learner == name].pivot(index="seed", columns="rate", values="after")
        mean, low, high = mean_interval(runs.to_numpy())
        ax.fill_between(rates, low, high, color=style["color"], alpha=0.18, linewidth=0)
        ax.plot(rates, mean, label=display_name(name), **style)
    ax.set_xscale("log")
    named: list[float] = []
    for rate in rates:  # a number for each rate that stands far enough from the last number
        if not named or rate >= 1.4 * named[-1]:
            named.append(rate)
    ax.set_xticks(rates, [f"{rate:g}" if rate in named else "" for rate in rates])
    ax.minorticks_off()
    ax.set(xlabel="inner rate at test time", ylabel="return after one step", ylim=(floor, 1))
    draw_anchors(ax, anchors)
    ax.legend(frameon=False, fontsize=9, loc="lower left")
    return ax


def step_and_landscape(
    walks: Mapping[str, np.ndarray],
    goal: Sequence[float],
    side: np.ndarray,
    landscape: np.ndarray,
    route: np.ndarray,
    floor: float,
) -> Figure:
    """Draw what inner steps do: to the walks (left), and in the plane of parameters that goals pull towards (right).

    Parameters
    ----------
    walks : {name: (episodes, points, 2)}, NaN once an episode is over, in units of length; first before, then after.
    goal : where the task wants the point to go.
    side : (n,) coordinates of the plane, in units of the inner rate.
    landscape : (n, n) this task's return; first index along the horizontal axis.
    route : (steps + 1, 2) the parameters after 0, 1, ... steps, projected on the plane.
    floor : return at the dark end of the colour scale, which ends at 0.
    """
    figure, (left, right) = new_figure(1, 2, width=7.8, height=3.9)
    for index, (name, paths) in enumerate(walks.items()):
        colour = ANCHOR_GREY if index == 0 else VERMILLION
        for number, path in enumerate(paths):
            label = name if number == 0 else None
            left.plot(path[:, 0], path[:, 1], ":" if index == 0 else "-", color=colour, lw=1.3, label=label)
    left.plot(*goal, "*", color="black", ms=14, linestyle="none", label="goal")
    left.set(xlim=(-0.9, 0.9), ylim=(-0.9, 0.9), xlabel="x (units of length)", ylabel="y (units of length)")
    left.set_title("walks", fontsize=10)
    figure.legend(*left.get_legend_handles_labels(), frameon=False, fontsize=9, loc="outside lower left", ncols=3)
    edges = (side[0], side[-1], side[0], side[-1])
    image = right.imshow(landscape.T, vmin=floor, vmax=0, cmap="cividis", origin="lower", extent=edges)
    shown = np.clip(route, side[0], side[-1])  # a step that leaves the picture ends on its edge
    for colour, width in (("black", 3.4), ("white", 1.6)):  # white on black shows on every background
        right.plot(shown[:, 0], shown[:, 1], "-o", color=colour, lw=width, ms=4 + width, mec="black", clip_on=False)
    right.plot(*shown[0], "X", color="white", mec="black", ms=11, clip_on=False)
    right.set(xlabel="along the gradient for right", ylabel="along the gradient for up")
    right.set_title("return near the start (X)", fontsize=10)
    for ax in (left, right):
        ax.set_aspect("equal")
    right.grid(False)
    figure.colorbar(image, ax=right, shrink=0.8, label="return per episode")
    return figure


# Settings shown at the published size: name, look. One learner keeps its colour; its rates differ in line and marker.
_AT = {
    "maml 0.5": ("MAML at 0.5", look("maml")),
    "maml 0.3": ("MAML at 0.3", look("maml") | {"linestyle": ":", "marker": "^"}),
    "finetune 0.15": ("fine-tuning at 0.15", look("finetune")),
    "finetune 0.1": ("fine-tuning at 0.1", look("finetune") | {"linestyle": ":", "marker": "^"}),
}


def full_size(table: pd.DataFrame, anchors: Mapping[str, float]) -> Axes:
    """Return after one, two and three inner steps at the published size, of the settings that come near the oracle.

    table : index (setting, step), columns mean, low, high.
    """
    ax = new_figure(width=7.2, height=4.2)[1]
    for place, (setting, (name, style)) in enumerate(_AT.items()):
        rows = table.loc[setting].loc[1:]
        x = rows.index + 0.06 * (place - 1.5)  # side by side, so that no interval covers another
        spread = [rows["mean"] - rows.low, rows.high - rows["mean"]]
        ax.errorbar(x, rows["mean"], spread, label=name, capsize=3, elinewidth=1.2, **style)
    ax.set_xticks((1, 2, 3))
    ax.set(xlabel="inner steps", ylabel="return per episode", ylim=(-24, 1))
    draw_anchors(ax, anchors)
    ax.legend(fontsize=9, frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return ax


LABELS = {
    "meta_batch": "tasks in a meta-batch",
    "inner_step": "inner rate",
    "inner_steps": "inner steps looked through",
}


def knobs(table: pd.DataFrame, anchors: Mapping[str, float], floor: float) -> Figure:
    """Return after one and after three steps against each knob, a panel each; settings are evenly spread.

    table : columns knob, value, seed, one, three; the band is Student's 95% interval over seeds.
    """
    if not anchors:
        raise ValueError("knobs got no anchors; give at least one, such as {'oracle': -0.5}")
    figure, axes = new_figure(1, len(LABELS), width=8.8, height=3.6)
    for place, (ax, (knob, label)) in enumerate(zip(np.ravel(axes), LABELS.items(), strict=True)):
        mine = table[table.knob == knob]
        values = sorted(mine.value.unique())
        spots = np.arange(len(values))
        for index, steps in enumerate(("one", "three")):
            runs = mine.pivot(index="seed", columns="value", values=steps).to_numpy()
            mean, low, high = mean_interval(runs)
            style = look(index)
            ax.fill_between(spots, low, high, color=style["color"], alpha=0.18, linewidth=0)
            ax.plot(spots, mean, label=f"after {steps} step{'s' * (steps != 'one')}", **style)
        ax.set_xticks(spots, [f"{value:g}" for value in values])
        ax.set(xlabel=label, ylim=(floor, 0.5))
        draw_anchors(ax, anchors if place == len(LABELS) - 1 else {})
        if place < len(LABELS) - 1:
            for value in anchors.values():
                ax.axhline(value, color=ANCHOR_GREY, linewidth=1.1, linestyle=":", zorder=1)
        ax.tick_params(labelleft=place == 0)
    np.ravel(axes)[0].set_ylabel("return per episode")
    handles = np.ravel(axes)[0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, fontsize=9, loc="outside lower left", ncols=3)
    return figure
