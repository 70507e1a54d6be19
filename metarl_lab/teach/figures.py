"""The look of every figure, and how a figure is shown with alt text. Nothing is computed here.

Curves are told apart by colour (Okabe & Ito, safe for colour-blind readers) and by line style, so that a grey print
reads as well. A learner has one name, colour, line style and marker in all figures of the book (`LEARNERS`). Figures
are made without pyplot: no global state, no figure shown twice.
"""

from __future__ import annotations

import base64
import html
import io
import textwrap
from collections.abc import Iterable, Mapping
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe & Ito (2008), "Color Universal Design"; the yellow is left out: it is too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
ANCHOR_GREY = "#595959"  # 7:1 contrast on white
DPI = 110  # dots per inch of stored pictures: sharp at 640 pixels, some 15 kB a figure


def new_figure(rows: int = 1, columns: int = 1, width: float = 6.4, height: float = 3.6) -> tuple[Figure, Any]:
    """Return an empty figure and its Axes (an array of Axes if there are several); sizes in inches."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    axes = figure.subplots(rows, columns)
    for ax in np.ravel(axes):
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(True, color="#D9D9D9", linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes


BLUE, VERMILLION, GREEN, PINK, SKY, ORANGE, BLACK = COLOURS
SOLID, DASHED, DASH_DOT, DOTTED, DENSE, FINE, LONG = STYLES

# Name in the catalog -> (name in the book, colour, line style, marker). Learners that meet in one figure differ in
# colour; each pair of colour and marker occurs once.
LEARNERS: dict[str, tuple[str, str, Any, str]] = {
    "maml": ("MAML", BLUE, SOLID, "o"),
    "first_order": ("first-order MAML", SKY, DASHED, "s"),
    "finetune": ("fine-tuning", VERMILLION, DASHED, "s"),
    "scratch": ("from scratch", BLACK, DOTTED, "X"),
    "reptile": ("Reptile", GREEN, DASH_DOT, "s"),
    "anil": ("ANIL", ORANGE, DASHED, "D"),
    "meta_sgd": ("Meta-SGD", PINK, SOLID, "P"),
    "cavia": ("CAVIA", BLACK, DASH_DOT, "D"),
    "emaml": ("E-MAML", ORANGE, LONG, "^"),
    "promp": ("ProMP", PINK, DASH_DOT, "v"),
    "hypernetwork": ("hypernetwork", BLACK, FINE, "v"),
    "rl2": ("RL2", GREEN, SOLID, "^"),
    "pearl": ("PEARL", SKY, DASHED, "v"),
    "varibad": ("VariBAD", PINK, DASH_DOT, "D"),
    "in_context": ("in-context transformer", ORANGE, SOLID, "P"),
    "meta_q": ("meta-Q", BLUE, SOLID, "v"),
    "shared": ("shared Q", VERMILLION, DASHED, "v"),
    "mql": ("MQL", ORANGE, SOLID, "s"),
    "meta_gradient": ("meta-gradient", BLUE, SOLID, "D"),
    "learned_rule": ("learned rule", GREEN, SOLID, "P"),
    "mb_mpo": ("MB-MPO", ORANGE, DASH_DOT, "o"),
    "grbal": ("GrBAL", PINK, SOLID, "o"),
    "rebal": ("ReBAL", SKY, DASH_DOT, "o"),
    "average_policy": ("average policy", PINK, LONG, "s"),
    "random": ("random play", ANCHOR_GREY, FINE, "x"),
    "oracle": ("oracle", ANCHOR_GREY, LONG, "+"),
    "bayes_optimal": ("Bayes-optimal", BLACK, SOLID, "o"),
    "thompson": ("Thompson sampling", SKY, DASH_DOT, "^"),
    "psrl": ("posterior sampling", SKY, DASH_DOT, "X"),
    "greedy": ("greedy", ORANGE, DASHED, "v"),
    "ucb1": ("UCB1", VERMILLION, DASH_DOT, "^"),
    "gittins": ("Gittins index", BLACK, LONG, "P"),
    "epsilon_greedy": ("epsilon-greedy", PINK, DOTTED, "^"),
}
_BY_NAME = {name.lower(): key for key, (name, *_) in LEARNERS.items()} | {key: key for key in LEARNERS}


def display_name(name: str) -> str:
    """Return what the book calls a learner or a reference: "MB-MPO" for "mb_mpo"; any other name as it is."""
    key = _BY_NAME.get(str(name).lower())
    return LEARNERS[key][0] if key else str(name)


def look(which: int | str) -> dict[str, Any]:
    """Return colour, line style and marker of a curve, as keywords for `Axes.plot`.

    `which` is the name of a learner or a reference, as the catalog or as the book has it, which looks the same in all
    figures; or the number of a curve that is neither. Several curves of both kinds: `looks`.
    """
    if isinstance(which, int):
        colour: Any = COLOURS[which % len(COLOURS)]
        style: Any = STYLES[which % len(STYLES)]
        marker: str = MARKERS[which % len(MARKERS)]
    else:
        key = _BY_NAME.get(which.lower())
        if key is None:
            raise ValueError(f"{which!r} has no look of its own; give a number, or use looks([...]) for a whole figure")
        _, colour, style, marker = LEARNERS[key]
    return {"color": colour, "linestyle": style, "marker": marker, "markersize": 4, "linewidth": 1.8}


def looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return {name: look} for the curves of one figure: learners as everywhere, others in colours that are left."""
    names = list(dict.fromkeys(names))
    found = {name: look(name) for name in names if name.lower() in _BY_NAME}
    taken = {style["color"] for style in found.values()}
    others = [name for name in names if name not in found]
    free = [n for n, colour in enumerate(COLOURS) if colour not in taken] + list(range(len(COLOURS)))
    return {name: found.get(name) or look(free[others.index(name) % len(free)]) for name in names}


def curve_table(curves: Mapping[str, Any], x: Any = None) -> pd.DataFrame:
    """Put curves with `.mean`, `.low`, `.high` (each (batches,)) into one table: learner, x, mean, low, high.

    `x` holds the position of each batch, in env steps per task; without it, batches are counted from 0.
    """
    frames = []
    for name, curve in curves.items():
        columns = {key: np.asarray(getattr(curve, key), dtype=float) for key in ("mean", "low", "high")}
        place = np.arange(len(columns["mean"])) if x is None else np.asarray(x)
        frames.append(pd.DataFrame({"learner": name, "x": place, **columns}))
    if not frames:
        raise ValueError("curve_table got no curves; give {name: curve}")
    return pd.concat(frames, ignore_index=True)


def adaptation_curves(
    table: pd.DataFrame | Mapping[str, Any],
    anchors: Mapping[str, float],
    *,
    x_label: str = "batch of episodes within a trial",
    y_label: str = "return per episode",
    ax: Axes | None = None,
) -> Axes:
    """Plot return against experience for each learner, with its interval, between labelled anchors.

    Parameters
    ----------
    table : columns learner, x, mean, low, high; or {name: curve} with `.mean`, `.low`, `.high` (see `curve_table`).
    anchors : {name: return per episode}, at least one, such as random play and the oracle; horizontal lines.
    x_label, y_label : axis labels, with units.

    Raises ValueError without an anchor (a curve alone says nothing), or when a column is missing.
    """
    if not anchors:
        raise ValueError("adaptation_curves got no anchors; give at least one, such as {'oracle': ..., 'random': ...}")
    table = table if isinstance(table, pd.DataFrame) else curve_table(table)
    missing = {"learner", "x", "mean", "low", "high"} - set(table.columns)
    if missing:
        raise ValueError(f"the table lacks columns {sorted(missing)}; it has {list(table.columns)}")
    ax = new_figure()[1] if ax is None else ax
    assert ax is not None
    styles = looks(map(str, table["learner"]))
    for name, rows in table.groupby("learner", sort=False):
        style = styles[str(name)]
        ax.fill_between(rows["x"], rows["low"], rows["high"], color=style["color"], alpha=0.18, linewidth=0)
        ax.plot(rows["x"], rows["mean"], label=display_name(str(name)), **style)
    draw_anchors(ax, anchors)
    if len(set(table["x"])) <= 12 and np.allclose(table["x"], np.round(table["x"])):
        ax.set_xticks(sorted(set(table["x"])))
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.legend(fontsize=9, facecolor="white", edgecolor="none", framealpha=0.85)
    return ax


def draw_anchors(ax: Axes, anchors: Mapping[str, float]) -> None:
    """Draw each anchor as a horizontal line, its name in the margin right of it, where no curve runs.

    Line styles tell the lines apart. Names of lines that are close together are moved apart, also when the limits of
    the axis change later.
    """
    styles = cycle(("--", ":", "-.", (0, (8, 3))))
    labels = []
    for (name, value), style in zip(sorted(anchors.items(), key=lambda item: item[1]), styles, strict=False):
        ax.axhline(value, color=ANCHOR_GREY, linewidth=1.1, linestyle=style, zorder=1)
        text = textwrap.fill(display_name(name), 16)
        where = ax.get_yaxis_transform()  # x in widths of the axes, y in data
        label = ax.text(1.015, value, text, transform=where, va="center", fontsize=8.5, color=ANCHOR_GREY)
        labels.append((value, label))

    def place(ax: Axes) -> None:
        """Move names apart, in points up the axis, from the lowest line to the highest; the lines stay."""
        height = ax.get_window_extent().height * 72 / ax.figure.dpi
        low, high = sorted(ax.get_ylim())
        top = -np.inf
        for value, label in labels:
            label.set_visible(low <= value <= high)
            if not label.get_visible():
                continue
            half = 0.62 * 8.5 * (label.get_text().count("\n") + 1)
            middle = max(height * (value - low) / (high - low), top + half)
            top = middle + half
            label.set_y(low + middle / height * (high - low))

    place(ax)
    ax.callbacks.connect("ylim_changed", place)


def encode_png(figure: Figure, colours: int = 128) -> bytes:
    """Return the figure as a PNG of at most `colours` colours: a third of the size, no visible loss in line plots."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set(dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # straight to pixels: saving a PNG only to read it again takes a quarter of a slider's 200 ms
    picture = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba(), "raw", "RGBA", 0, 1)
    small = io.BytesIO()
    picture.convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(small, "PNG")
    return small.getvalue()


def image_tag(png: bytes, alt: str, width: int | None = None) -> str:
    """Return an HTML <img> that holds the picture itself and its alt text; `width` in CSS pixels."""
    if len(alt.split()) < 4:
        raise ValueError(f"alt text {alt!r} is too short; say what is plotted against what, and what one sees")
    size = f' width="{width}"' if width else ""
    data = base64.b64encode(png).decode()
    fit = 'style="max-width:100%;height:auto"'  # a narrow window shrinks the picture, and cuts nothing off
    return f'<img alt="{html.escape(alt, quote=True)}"{size} {fit} src="data:image/png;base64,{data}">'


def figure_with_alt(figure: Figure | Axes, alt: str) -> None:
    """Show a figure in the notebook with alt text.

    JupyterLab ignores the alt metadata of image/png, so the picture goes out as an HTML image, which it honours; the
    image/png beside it serves the readers that take no HTML. The plain text, which nbval compares, is `alt`: put no
    number in it that differs between machines.
    """
    from IPython.display import display

    if isinstance(figure, Axes):
        figure = figure.get_figure(root=True)  # type: ignore[assignment]
    assert isinstance(figure, Figure)
    png = encode_png(figure)
    width = round(figure.get_size_inches()[0] * 100)
    data = {"text/html": image_tag(png, alt, width), "image/png": png, "text/plain": f"[figure] {alt}"}
    display(data, metadata={"image/png": {"alt": alt, "width": width}}, raw=True)
    if figure.canvas.manager is not None:  # a pyplot figure: keep the inline backend from showing it again
        import matplotlib.pyplot as plt

        plt.close(figure)
