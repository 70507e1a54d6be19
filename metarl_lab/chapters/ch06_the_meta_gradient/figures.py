"""Pictures of meta-gradient estimators: bias, spread, and what a surrogate promises against what comes true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.teach.figures import ANCHOR_GREY, DASHED, DOTTED, SOLID, draw_anchors, looks, new_figure

Lines = Mapping[str, np.ndarray]
Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # mean, low, high
UNIT = "points per unit of preference"
TINY = 1e-12  # below this a bias is rounding, and a logarithmic axis cannot show it

# All estimators of the chapter: each has the same look in every figure, whichever others stand beside it. In this order
# the three whose curves nearly coincide (first order, naive, LVC) have different lines and markers.
ESTIMATORS = ("first-order MAML", "naive", "DiCE", "LVC", "E-MAML", "E-MAML, b = 0", "loaded 0.5")


def estimator_looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return {name: look} of estimators, the same in every figure; names that are none get what is left."""
    names = list(names)
    found = looks([*ESTIMATORS, *names])
    return {name: found[name] for name in names}


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
    styles = estimator_looks(names)
    figure, axes = new_figure(1, len(panels), width=3.9 * len(panels) + 1.8, height=3.5)
    for ax, (label, lines) in zip(np.ravel(axes), panels.items(), strict=True):
        for name, size in lines.items():
            if np.max(np.abs(size)) > TINY:
                ax.plot(x, np.abs(size), label=name, **styles[name])
        inner = np.abs([size[len(x) // 2] for size in lines.values()])
        middle = 0.3 * inner[inner > TINY].min()  # below the data, where it crosses nothing
        for text, power in slopes.items():
            guide = middle * (x / np.sqrt(x[0] * x[-1])) ** power
            ax.plot(x, guide, color=ANCHOR_GREY, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
            ax.annotate(
                text,
                (x[-1], guide[-1]),
                xytext=(6, 0),  # right of the line, where nothing is drawn
                textcoords="offset points",
                fontsize=8,
                color=ANCHOR_GREY,
                ha="left",
                va="center",
                annotation_clip=False,
            )
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xticks(x, [f"{v:g}" for v in x])
        ax.minorticks_off()
        ax.set_xlabel(x_label)
        ax.set_ylabel(label)
    lines_of = {line.get_label(): line for ax in np.ravel(axes) for line in ax.lines if line.get_label() in names}
    drawn = [name for name in names if name in lines_of]
    figure.legend([lines_of[n] for n in drawn], drawn, loc="outside right center", frameon=False, fontsize=9)
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
    figure, (left, right) = new_figure(1, 2, width=8.4, height=3.3)
    place = np.arange(len(names))[::-1]
    colours = [style["color"] for style in estimator_looks(names).values()]
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
        words = f"{s:.3f}  (bias {m - truth:+.3f})"
        right.annotate(words, (s, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8.5)
    right.set_xlim(0, 1.75 * most)
    right.set_yticks(place, [""] * len(names))
    right.set_xlabel("standard deviation of one batch")
    right.set_title("spread", fontsize=10)
    return figure


def variant_look(name: str) -> dict[str, Any]:
    """Look of "LVC, clip 0.3": the colour and marker of its inner surrogate; the line says what is done outside."""
    inner, *outside = name.split(", ")
    line = SOLID if "no clip" in outside else DOTTED if "KL" in outside else DASHED
    return estimator_looks([inner])[inner] | {"linestyle": line}


def promises(promised: Mapping[str, Band], true: Mapping[str, Band]) -> Axes:
    """Draw gain against gradient steps on one batch: what the surrogate says, and the exact objective.

    The first two panels have one scale, so that the promise can be held against the truth; the third magnifies the
    truth.

    promised, true : {variant: mean, low, high of the gain, each (steps + 1,)} in points, the same variants in both.
    """
    figure, (left, middle, right) = new_figure(1, 3, width=9.8, height=3.9)
    panels = (
        (left, "what the surrogate promises", promised),
        (middle, "what is true, on the same scale", true),
        (right, "what is true, magnified", true),
    )
    for ax, title, curves in panels:
        for name, (mean, low, high) in curves.items():
            style = variant_look(name)
            ax.fill_between(np.arange(len(mean)), low, high, color=style["color"], alpha=0.15, linewidth=0)
            ax.plot(mean, label=name, **style | {"markevery": 5})
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("gradient steps")
    middle.sharey(left)
    middle.tick_params(labelleft=False)
    for ax in (left, middle):
        ax.axhline(0, color=ANCHOR_GREY, linewidth=1.1)
    draw_anchors(right, {"no step": 0.0})
    left.set_ylabel("gain in return after adaptation (points)")
    legend = left.get_legend_handles_labels()
    # handles so long that their dashes show
    figure.legend(*legend, loc="outside lower center", ncols=5, handlelength=3.4, frameon=False, fontsize=9)
    axes: Axes = left
    return axes
