"""Pictures of objectives: the landscape before and after adaptation, too good training scores, the plan of a trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from metarl_lab.teach.figures import COLOURS, draw_anchors, looks, new_figure

BAND = 0.05  # points: the colours of a landscape change in bands, as on a map, so that heights can be read off
PROBABILITY_TICKS = {-4: "0.02", -2: "0.12", 0: "0.50", 2: "0.88", 4: "0.98"}  # sigmoid of the preference


def landscapes(
    side: np.ndarray,
    panels: Mapping[str, np.ndarray],
    stars: Sequence[tuple[float, float]],
    *,
    top: float,
) -> Figure:
    """Draw the mean return of a two-parameter policy, one panel per objective.

    Parameters
    ----------
    side : (n,) preferences, the same on both axes.
    panels : {title: mean return (n, n)}, first index along the horizontal axis.
    stars : best point (x, y) of each panel. A panel shows its own as a star, the others' as rings.
    top : mean return at the end of the colour scale, which starts at 0; the same for every panel and every setting.
    """
    if len(stars) != len(panels):
        raise ValueError(f"landscapes got {len(stars)} stars for {len(panels)} panels; give one per panel")
    colours = colormaps["viridis"].resampled(round(top / BAND))
    reach = 1.16 * side[-1]  # beyond the landscape, so that a mark at its edge covers no label
    figure, axes = new_figure(1, len(panels), width=7.6, height=3.8)
    for index, (ax, (title, values)) in enumerate(zip(np.ravel(axes), panels.items(), strict=True)):
        ax.grid(False)
        edges = (side[0], side[-1], side[0], side[-1])
        image = ax.imshow(
            values.T,
            vmin=0.0,
            vmax=top,
            cmap=colours,
            interpolation="bilinear",
            origin="lower",
            extent=edges,
            aspect=1,
        )
        for other, (x, y) in enumerate(stars):
            kind, size, fill = ("*", 17, "white") if other == index else ("o", 11, "none")
            for colour, line in (("black", 3.2), ("white", 1.6)):  # white on black shows on every background
                ax.plot(x, y, kind, ms=size, mfc=fill, mec=colour, mew=line, zorder=5, clip_on=False)
        ax.set_xticks(list(PROBABILITY_TICKS), list(PROBABILITY_TICKS.values()))
        ax.set_yticks(list(PROBABILITY_TICKS), list(PROBABILITY_TICKS.values()))
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
        ax.tick_params(labelleft=index == 0)  # said once: text is most of the drawing time
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("probability of the tunnel")
    np.ravel(axes)[0].set_ylabel("probability of the right door")
    figure.colorbar(image, ax=axes, shrink=0.8, label="mean return (points)")
    return figure


def optimism_lines(table: pd.DataFrame, anchors: Mapping[str, float]) -> Axes:
    """Draw score against the number of training tasks, one panel per method.

    Parameters
    ----------
    table : index: number of training tasks; columns: (method, "training tasks" or "held out").
    anchors : {name: score}, at least one.
    """
    if not anchors:
        raise ValueError("optimism_lines got no anchors; give at least one, such as {'oracle': 1.0}")
    methods = list(dict.fromkeys(table.columns.get_level_values(0)))
    figure, axes = new_figure(1, len(methods), width=7.6, height=3.4)
    for ax, method in zip(np.ravel(axes), methods, strict=True):
        for scored_on, style in looks(table[method].columns).items():
            ax.plot(table.index, table[method][scored_on], label=scored_on, **style)
        draw_anchors(ax, anchors)
        ax.set_xscale("log", base=2)
        ax.set_xticks(list(table.index), [str(n) for n in table.index])
        ax.set_ylim(-0.05, 1.12)
        ax.set_title(method, fontsize=10)
        ax.set_xlabel("training tasks")
    np.ravel(axes)[0].set_ylabel("mean return (points)")
    np.ravel(axes)[-1].legend(frameon=False, fontsize=9, loc="lower right")
    return np.ravel(axes)[0]


def trial_bars(plans: Mapping[str, Sequence[float]], *, floor: float) -> Axes:
    """Draw the expected return of each episode of a trial, a bar per episode and a colour and hatch per objective."""
    _, ax = new_figure(width=7.6, height=3.2)
    width, hatches = 0.8 / len(plans), ("", "//", "..", "xx")
    for index, (name, plan) in enumerate(plans.items()):
        place = 1 + np.arange(len(plan)) + (index - (len(plans) - 1) / 2) * width
        colour, hatch = COLOURS[index % len(COLOURS)], hatches[index % len(hatches)]
        label = f"{name}: total {sum(plan):.1f}"
        ax.bar(place, plan, width * 0.92, color=colour, hatch=hatch, edgecolor="white", label=label)
    ax.add_line(Line2D([0, 1], [0, 0], color="black", linewidth=0.8, transform=ax.get_yaxis_transform()))
    ax.set_xticks(range(1, 1 + max(len(plan) for plan in plans.values())))
    ax.set_ylim(floor, 1.15)
    ax.set_xlabel("episode of the trial (of equally good plans: the one that looks first)")
    ax.set_ylabel("expected return (points)")
    ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0.0, -0.18), ncols=len(plans))
    return ax
