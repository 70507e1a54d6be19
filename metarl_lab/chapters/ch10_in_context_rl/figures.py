"""Figures of chapter 10: attention over a trial, calibration, longer trials, shorter windows. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from metarl_lab.teach.figures import ANCHOR_GREY, COLOURS, DPI, adaptation_curves, draw_anchors, looks, new_figure

SEEN, PAID, GOAL = COLOURS[0], COLOURS[1], COLOURS[5]
ACTIONS = {0: ("s", "none"), 1: ("^", "up"), 2: (">", "right"), 3: ("v", "down"), 4: ("<", "left")}
_ARROWS = {1: (-0.38, 0.0), 2: (0.0, 0.38), 3: (0.38, 0.0), 4: (0.0, -0.38)}  # rows, columns


def attention_step(trial: Any, step: int, weights: np.ndarray, what: str) -> Figure:
    """Draw what one step of a trial reads: by place in the room (left), and by time (right).

    Parameters
    ----------
    trial : one of `metarl_lab.chapters.ch10_in_context_rl.widget.AttentionTrial`.
    step : the present step, from 0.
    weights : (step + 1,) attention of the present step to every step so far, sums to 1.
    what : which layer and head these are, for the title.
    """
    # fixed places: a layout engine would take most of a slider's 200 ms
    figure = Figure(figsize=(9.6, 4.4), dpi=DPI)
    room = figure.add_axes((0.03, 0.1, 0.3, 0.72))
    above = figure.add_axes((0.41, 0.42, 0.57, 0.4))
    below = figure.add_axes((0.41, 0.12, 0.57, 0.22), sharex=above)
    draw_room(room, trial, step, weights)
    draw_row(above, trial, step, weights)
    draw_history(below, trial, step)
    episode, inside = divmod(step, trial.horizon)
    met = "the goal has paid before" if trial.reward[:step].any() else "the goal has never paid"
    figure.text(
        0.03, 0.93, f"Episode {episode + 1}, step {inside + 1}: {met}. {what}.", fontsize=11, weight="bold", color=SEEN
    )
    return figure


def draw_room(ax: Axes, trial: Any, step: int, weights: np.ndarray) -> None:
    """The room, each cell as dark as the attention to the steps spent there; the agent, its next move, the goal."""
    mass = np.bincount(trial.cell[: step + 1], weights, minlength=trial.size**2).reshape(trial.size, trial.size)
    ax.imshow(mass, cmap="Blues", vmin=0, vmax=max(1.2 * float(mass.max()), 1e-9))
    row, column = divmod(int(trial.cell[step]), trial.size)
    ax.plot(*reversed(divmod(int(trial.goal), trial.size)), "*", color=GOAL, markeredgecolor="black", markersize=20)
    ax.plot(column, row, "o", color="black", markersize=9)
    down, right = _ARROWS.get(int(trial.action[step]), (0.0, 0.0))
    if down or right:
        ax.annotate(
            "", (column + 2 * right, row + 2 * down), (column, row), arrowprops={"arrowstyle": "->", "linewidth": 2}
        )
    ax.set_xticks(np.arange(trial.size + 1) - 0.5, [])
    ax.set_yticks(np.arange(trial.size + 1) - 0.5, [])
    ax.tick_params(length=0)
    ax.grid(True, color="#BBBBBB", linewidth=0.7)
    ax.set(xlim=(-0.5, trial.size - 0.5), ylim=(trial.size - 0.5, -0.5))
    ax.set_title("dot: agent, star: hidden goal;\nblue: attention to steps in that cell", fontsize=9)


def draw_row(ax: Axes, trial: Any, step: int, weights: np.ndarray) -> None:
    """The attention row: a bar for every step so far, orange where that step saw a reward."""
    saw = np.concatenate(([0.0], trial.reward[:-1]))[: step + 1] > 0
    steps = np.arange(step + 1)
    for mask, colour in ((~saw, SEEN), (saw, PAID)):
        ax.bar(steps[mask], weights[mask], color=colour, width=0.9)
    # made by hand: a trial that was never paid has no orange bar to take the colour from
    keys = [Patch(color=SEEN, label="saw no reward"), Patch(color=PAID, label="saw a reward")]
    top = max(1.3 * float(weights.max()), 0.02)
    _time_axis(ax, trial, step)
    ax.set(ylim=(0, top), ylabel="attention weight")
    ax.legend(
        handles=keys, fontsize=8, ncols=2, frameon=False, loc="lower left", bbox_to_anchor=(0.0, 0.98), borderpad=0
    )
    ax.tick_params(labelbottom=False)


def draw_history(ax: Axes, trial: Any, step: int) -> None:
    """What each step so far saw of the one before it: its action, at the height of that action."""
    action = np.concatenate(([-1], trial.action[:-1]))[: step + 1]
    saw = np.concatenate(([0.0], trial.reward[:-1]))[: step + 1] > 0
    for number, (marker, _) in ACTIONS.items():
        for paid, colour in ((False, SEEN), (True, PAID)):
            steps = np.flatnonzero((action == number) & (saw == paid))
            ax.plot(steps, np.full(len(steps), number), marker, color=colour, markersize=4, linestyle="none")
    _time_axis(ax, trial, step)
    ax.set(ylim=(4.7, -0.7), xlabel="step of the trial (lines: episode starts; dotted: now)")
    ax.set_yticks(list(ACTIONS), [name for _, name in ACTIONS.values()])
    ax.set_ylabel("last action", fontsize=9)


def _time_axis(ax: Axes, trial: Any, step: int) -> None:
    steps = len(trial.cell)
    for start in range(0, steps, trial.horizon):
        ax.axvline(start - 0.5, color=ANCHOR_GREY, linewidth=0.9)
    ax.axvline(step, color="black", linewidth=1.0, linestyle=":", zorder=0)
    ax.set(xlim=(-1, steps), xticks=range(0, steps, trial.horizon))
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8, colors=ANCHOR_GREY)


def calibration(panels: Mapping[str, tuple[np.ndarray, np.ndarray]], shown: int = 1500) -> Figure:
    """The network's probability of an action against the exact posterior's, a panel each: {name: (exact, network)}."""
    figure, axes = new_figure(1, len(panels), width=4.2 * len(panels), height=3.7)
    for ax, (name, (exact, network)) in zip(np.ravel(axes), panels.items(), strict=True):
        exact, network = np.ravel(exact), np.ravel(network)
        each = max(len(exact) // shown, 1)
        ax.plot(exact[::each], network[::each], ".", color=SEEN, alpha=0.25, markersize=4)
        ax.plot((0, 1), (0, 1), color="black", linewidth=1.2, linestyle="--", label="network = exact posterior")
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="exact posterior: this arm is best")
        ax.set_title(name, fontsize=10)
    first = np.ravel(axes)[0]
    first.set_ylabel("network: probability of pulling it")
    first.legend(frameon=False, fontsize=9, loc="upper left")
    return figure


def longer_trials(curves: Mapping[str, Any], anchors: Mapping[str, float], trained: int) -> Axes:
    """Return by episode, {name: curve with .mean, .low, .high}, in trials longer than the `trained` episodes."""
    ax = adaptation_curves(curves, anchors, x_label="episode of the trial")
    episodes = max(len(np.asarray(curve.mean)) for curve in curves.values())
    ax.axvspan(trained - 0.5, episodes - 0.5, color="#EEEEEE", zorder=0)
    ax.set_xticks(range(0, episodes, 2), [str(k + 1) for k in range(0, episodes, 2)])
    ax.text(trained - 0.4, 0.11, "longer than trained", fontsize=8.5, color=ANCHOR_GREY, transform=_mixed(ax))
    ax.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return ax


def window_returns(table: pd.DataFrame, random: float, horizon: int) -> Axes:
    """Return of the episode after some idle ones against the window of attention, log scale.

    Parameters
    ----------
    table : from `experiments.after_idling`: index (idle, window), columns earned, low, high, known.
    random : return per episode of random play.
    horizon : H, steps of an episode.
    """
    ax = new_figure()[1]
    numbers = list(dict.fromkeys(table.index.get_level_values("idle")))
    names = {n: f"{n} idle episode{'' if n == 1 else 's'}" for n in numbers}
    styles = looks(names.values())
    for n, name in names.items():
        rows = table.xs(n, level="idle")
        style = styles[name]
        ax.fill_between(rows.index, rows["low"], rows["high"], color=style["color"], alpha=0.18, linewidth=0)
        ax.plot(rows.index, rows["earned"], label=name, **style)
    # the tasks that are counted depend on the window, and what knowing their goals earns with them
    known = table["known"].groupby(level="window").mean()
    ax.plot(known.index, known, color=ANCHOR_GREY, linewidth=1.1, linestyle=(0, (8, 3)), label="goal known, same tasks")
    draw_anchors(ax, {"random": random})
    ax.axvline(horizon, color=ANCHOR_GREY, linewidth=0.9)
    ax.text(horizon * 1.04, 0.12, "one episode", fontsize=8.5, color=ANCHOR_GREY, transform=_mixed(ax))
    windows = list(known.index)
    ax.set_xscale("log")
    ax.set_xticks(windows, [str(w) for w in windows])
    ax.minorticks_off()
    ax.set_xlim(0.9 * windows[0], 1.1 * windows[-1])
    ax.set(xlabel="window of attention (steps)", ylabel="return of the next episode", ylim=(0, horizon))
    ax.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return ax


def _mixed(ax: Axes) -> Any:
    """Horizontally in data units, vertically as a share of the axes."""
    return ax.get_xaxis_transform()
