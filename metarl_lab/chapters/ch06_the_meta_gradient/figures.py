"""Pictures of meta-gradient estimators: bias, spread, and what a surrogate promises against what comes true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.teach.figures import ANCHOR_GREY, COLOURS, look, new_figure

Lines = Mapping[str, np.ndarray]
UNIT = "points per unit of preference"
TINY = 1e-12  # below this a bias is rounding, and a logarithmic axis cannot show it


def log_lines(x: np.ndarray, panels: Mapping[str, Lines], x_label: str, slopes: Mapping[str, float]) -> Figure:
    """Draw sizes against x on logarithmic axes, one panel each, with a thin guide of the slope that is to be compared.

    Parameters
    ----------
    x : (n,) positive.
    panels : {y label: {estimator: size (n,)}}; the same estimator looks the same in every panel. Sizes of zero (to
        rounding) have no place on a logarithmic axis and are left out.
    slopes : {text: power of x}, drawn in every panel, below the data.
    """
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    figure, axes = new_figure(1, len(panels), width=3.6 * len(panels) + 1.6, height=3.5)
    for ax, (label, lines) in zip(np.ravel(axes), panels.items(), strict=True):
        for name, size in lines.items():
            if np.max(np.abs(size)) > TINY:
                ax.plot(x, np.abs(size), label=name, **look(names.index(name)))
        inner = np.abs([size[len(x) // 2] for size in lines.values()])
        middle = 0.3 * inner[inner > TINY].min()  # below the data, where it crosses nothing
        for text, power in slopes.items():
            guide = middle * (x / np.sqrt(x[0] * x[-1])) ** power
            ax.plot(x, guide, color=ANCHOR_GREY, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
            ax.annotate(text, (x[-1], guide[-1]), fontsize=8, color=ANCHOR_GREY, ha="right",
                        va="bottom" if power > 0 else "top")  # fmt: skip
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xticks(x, [f"{v:g}" for v in x])
        ax.minorticks_off()
        ax.set_xlabel(x_label)
        ax.set_ylabel(label)
    lines_of = {line.get_label(): line for ax in np.ravel(axes) for line in ax.lines if line.get_label() in names}
    figure.legend(
        [lines_of[n] for n in names if n in lines_of],
        [n for n in names if n in lines_of],
        loc="outside right center",
        frameon=False,
        fontsize=9,
    )
    return figure


def estimate_bars(
    names: Sequence[str],
    mean: np.ndarray,
    spread: np.ndarray,
    truth: float,
    limits: tuple[float, float, float],
) -> Figure:
    """Draw each estimator's bias as a bar from the exact value to its mean, and beside it its standard deviation.

    Parameters
    ----------
    mean, spread : (estimators,) expectation and standard deviation of one batch's estimate.
    truth : the exact gradient, the anchor of the left panel.
    limits : lowest and highest mean, highest spread: the axes stay still while a slider moves.
    """
    figure, (left, right) = new_figure(1, 2, width=7.8, height=3.3)
    place = np.arange(len(names))[::-1]
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
    low, high, most = limits
    left.barh(place, mean - truth, left=truth, color=colours, height=0.6, alpha=0.75)
    left.plot(mean, place, "k|", markersize=13, markeredgewidth=2.2)
    left.axvline(truth, color="black", linewidth=1.4, linestyle="--")
    left.axvline(0, color=ANCHOR_GREY, linewidth=0.9)
    left.set_xlim(low, high)
    left.set_yticks(place, names)
    left.set_xlabel(f"mean estimate ({UNIT})")
    left.set_title(f"bias, from the exact {truth:+.3f} (dashed)", fontsize=10)
    right.barh(place, spread, color=colours, height=0.6, alpha=0.75)
    for y, m, s in zip(place, mean, spread, strict=True):
        right.annotate(f"{s:.3f}  (bias {m - truth:+.3f})", (s, y), xytext=(4, 0), textcoords="offset points",
                       va="center", fontsize=8.5)  # fmt: skip
    right.set_xlim(0, 1.75 * most)
    right.set_yticks(place, [""] * len(names))
    right.set_xlabel("standard deviation of one batch")
    right.set_title("spread", fontsize=10)
    return figure


def promises(promised: Lines, true: Lines) -> Axes:
    """Draw gain against gradient steps on one batch: what the surrogate says, and the exact objective.

    promised, true : {variant: mean gain (steps + 1,)} in points, the same variants in both.
    """
    figure, axes = new_figure(1, 2, width=7.8, height=3.9)
    for ax, title, curves in zip(axes, ("what the surrogate promises", "what is true"), (promised, true), strict=True):
        for index, (name, gain) in enumerate(curves.items()):
            ax.plot(gain, label=name, **look(index) | {"markevery": 5})
        ax.axhline(0, color=ANCHOR_GREY, linewidth=1.1)
        ax.annotate("no step", (1, 0), xycoords=("axes fraction", "data"), fontsize=8.5, color=ANCHOR_GREY, ha="right")
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("gradient steps on the same batch")
    axes[0].set_ylabel("gain in return after adaptation (points)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return axes[0]
