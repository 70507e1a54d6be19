"""Figures of chapter 13: errors along imagined paths, a failure, env steps to a return."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.ops.statistics import mean_interval
from metarl_lab.teach.figures import ANCHOR_GREY, display_name, looks, new_figure


def error_growth(curves: Mapping[str, np.ndarray], y_label: str, ax: Axes | None = None) -> Axes:
    """Error of an imagined path against its length; each curve (D,), after 1 to D imagined steps."""
    own = ax is None
    ax = new_figure()[1] if ax is None else ax
    assert ax is not None
    for name, style in looks(curves).items():
        ax.plot(np.arange(1, len(curves[name]) + 1), curves[name], label=display_name(name), **style)
    ax.set(xlabel="imagined steps", ylabel=y_label)
    ax.set_ylim(bottom=0)
    if own:
        ax.legend(frameon=False, fontsize=9, loc="upper left")
    return ax


def around_failure(
    errors: Mapping[str, pd.DataFrame], rewards: Mapping[str, pd.DataFrame], knowing: Mapping[str, pd.DataFrame]
) -> Figure:
    """Two panels against the steps since the leg weakened: the model's error, and the reward per step.

    Each learner has a table, a row a seed, a column a step. Lines are means over seeds; bars show their 95% intervals
    at every fifth step, moved aside by learner, so that none hides another. There is none at step 0: the curves are so
    steep there that a bar beside its step would lie off its curve. `knowing` are the planners that know the true
    dynamics, one row each, in grey.
    """
    figure, (left, right) = new_figure(1, 2, width=8.6, height=4.1)
    for ax, tables in ((left, errors), (right, rewards)):
        for place, (name, style) in enumerate(looks(tables).items()):
            table = tables[name]
            steps = table.columns.to_numpy(dtype=float)
            mean, low, high = mean_interval(table.to_numpy())
            ax.plot(steps, mean, label=display_name(name), **style | {"marker": ""})
            some = np.flatnonzero((steps % 5 == 0) & (steps != 0))
            aside = 0.8 * (place - (len(tables) - 1) / 2)
            ax.errorbar(
                steps[some] + aside,
                mean[some],
                (mean[some] - low[some], high[some] - mean[some]),
                linestyle="none",
                marker=style["marker"],
                markersize=style["markersize"],
                color=style["color"],
                elinewidth=1.1,
                capsize=2,
            )
        ax.axvline(0, color=ANCHOR_GREY, linewidth=1.1, linestyle=":")
        ax.set_xlabel("steps since the leg weakened (dotted line)")
    for line, (name, table) in zip(("-", "--"), knowing.items(), strict=False):
        right.plot(table.columns, table.to_numpy()[0], label=name, color=ANCHOR_GREY, linewidth=1.2, linestyle=line)
    left.set_ylabel("error of the next rate of turn (rad/s)")
    left.set_ylim(bottom=0)
    right.set_ylabel("reward per step")
    handles = {line.get_label(): line for line in right.lines if not str(line.get_label()).startswith("_")}
    figure.legend(handles.values(), handles, frameon=False, fontsize=9, loc="outside lower left", ncols=3)
    return figure


def path_and_error(
    true: np.ndarray, imagined: Mapping[str, np.ndarray], errors: Mapping[str, np.ndarray], ahead: int
) -> Figure:
    """The path that was walked (D + 1, 2) beside imagined ones, metres; and the mean error after 1 to D steps (D,).

    ``imagined`` and ``errors`` have the same names. ``ahead`` of the D steps are drawn of the paths, and marked on the
    curves.
    """
    figure, (left, right) = new_figure(1, 2, width=8.6, height=4.1)
    left.plot(*true[: ahead + 1].T, color="black", linewidth=2.4, marker="o", markersize=4, label="really walked")
    for name, style in looks(imagined).items():
        left.plot(*imagined[name][: ahead + 1].T, label=f"imagined, {name}", **style)
    reach = max(1.0, float(np.abs(true).max()) * 1.15)
    left.set(xlabel="along the road (m)", ylabel="across it (m)", title="one walker")
    left.set(xlim=(-0.1 * reach, reach), ylim=(-0.55 * reach, 0.55 * reach))
    error_growth(errors, "error of the position (m)", right)
    right.axvline(ahead, color=ANCHOR_GREY, linewidth=1.1, linestyle=":")
    right.set(xlabel="imagined steps (dotted line: as many as on the left)", title="mean over all walkers")
    for ax in (left, right):
        ax.title.set_fontsize(10)
    figure.legend(*left.get_legend_handles_labels(), frameon=False, fontsize=9, loc="outside lower left", ncols=3)
    return figure


def steps_needed(needed: pd.DataFrame) -> Figure:
    """Env steps that each learner needed to the goal, one point a seed, a panel a family.

    Columns family, goal, learner, env_steps, ran, as `experiments.steps_to_goals` has them, one goal a family. An
    infinite number (the goal was never reached) is an open mark at the env steps that this seed ran.
    """
    families = list(dict.fromkeys(needed.family))
    styles = looks(dict.fromkeys(needed.learner))
    figure, axes = new_figure(1, len(families), width=4.3 * len(families), height=3.4)
    for ax, family in zip(np.ravel(axes), families, strict=True):
        rows = needed[needed.family == family]
        learners = list(dict.fromkeys(rows.learner))
        for place, learner in enumerate(learners):
            mine = rows[rows.learner == learner]
            steps, ran = mine.env_steps.to_numpy(dtype=float), mine.ran.to_numpy(dtype=float)
            never = ~np.isfinite(steps)
            height = place + (np.linspace(-0.15, 0.15, len(steps)) if len(steps) > 1 else np.zeros(1))
            style = {key: styles[learner][key] for key in ("color", "marker")}
            ax.plot(steps[~never], height[~never], linestyle="none", markersize=5, **style)
            ax.plot(ran[never], height[never], linestyle="none", markersize=5, markerfacecolor="white", **style)
        ax.set_xscale("log")
        ax.set_yticks(range(len(learners)), [display_name(name) for name in learners])
        ax.set_ylim(len(learners) - 0.5, -0.5)
        ax.set(xlabel="env steps (open: not reached by then)", title=f"{family}: return {rows.goal.iloc[0]:.1f}")
        ax.title.set_fontsize(10)
    return figure
