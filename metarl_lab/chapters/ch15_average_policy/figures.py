"""Figures of chapter 15: policies and the place of their averages, a corridor's policies, curves by panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.teach.figures import ANCHOR_GREY, COLOURS, display_name, draw_anchors, looks, new_figure

Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # mean, low, high
_HATCHES = ("", "//", "..", "xx")


def averages(
    actions: Sequence[str],
    policies: Mapping[str, np.ndarray],
    place: np.ndarray,
    divergences: Mapping[str, np.ndarray],
    here: int,
) -> Figure:
    """Task policies and one candidate for their average (left); both divergences along a path of candidates (right).

    Parameters
    ----------
    actions : names of the A actions.
    policies : {name: (A,)}; the candidate comes last.
    place : (n,) where on the path each candidate is: 0 the geometric average, 1 the arithmetic one.
    divergences : {name: (n,)}, nats, mean over tasks, of each candidate.
    here : which candidate is shown on the left.
    """
    figure, (left, right) = new_figure(1, 2, width=8.4, height=3.7)
    spots, width = np.arange(len(actions)), 0.84 / len(policies)
    for index, (name, probability) in enumerate(policies.items()):
        last = index == len(policies) - 1
        colour = "black" if last else COLOURS[index]
        shift = (index - (len(policies) - 1) / 2) * width
        bars = {"color": colour, "hatch": "" if last else _HATCHES[index % 4], "edgecolor": "white", "linewidth": 0.5}
        left.bar(spots + shift, probability, 0.92 * width, label=name, **bars)
    left.set_xticks(spots, list(actions))
    left.set(ylim=(0, 1.0), ylabel="probability of the action", xlabel="action")
    left.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(policies))
    styles = looks(divergences)
    for name, values in divergences.items():
        style = styles[name] | {"marker": ""}
        right.plot(place, values, label=name, **style)
        low = int(np.argmin(values))
        right.plot(place[low], values[low], "*", color=style["color"], markersize=13, zorder=4)
        right.plot(place[here], values[here], "o", color="black", markersize=7, zorder=5)
    right.axvline(place[here], color=ANCHOR_GREY, linewidth=1.0, linestyle=":")
    right.set(xlabel="candidate (0 geometric, 1 arithmetic average)", ylabel="mean over tasks (nats)", ylim=(0, None))
    right.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return figure


def policy_maps(panels: Mapping[str, np.ndarray], states: Sequence[str], actions: Sequence[str]) -> Figure:
    """Probability of each action (columns) in each state (rows), one panel a policy: {title: (S, A)}."""
    figure, axes = new_figure(1, len(panels), width=2.0 + 1.75 * len(panels), height=3.4)
    image = None
    for place, (ax, (title, policy)) in enumerate(zip(np.ravel(axes), panels.items(), strict=True)):
        image = ax.imshow(policy, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        for (row, column), value in np.ndenumerate(policy):
            colour = "white" if value > 0.6 else "black"
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour)
        ax.set_xticks(range(len(actions)), list(actions))
        ax.set_yticks(range(len(states)), list(states))
        ax.tick_params(labelleft=place == 0)
        ax.set_title(title, fontsize=10)
        ax.grid(False)
    np.ravel(axes)[0].set_ylabel("state")
    figure.supxlabel("action", fontsize=10)
    assert image is not None
    figure.colorbar(image, ax=list(np.ravel(axes)), shrink=0.8, label="probability")
    return figure


def panels(
    curves: Mapping[str, Mapping[str, tuple[np.ndarray, Band]]],
    anchors: Mapping[str, Mapping[str, float]],
    x_label: str,
    y_labels: Sequence[str],
) -> Figure:
    """Curves with intervals, a panel for each title; a learner looks as in every figure of the book.

    Parameters
    ----------
    curves : {title: {name: (x, (mean, low, high))}}, each (points,).
    anchors : {title: {name: value}}, one at least for each title; named in the margin right of the panel.
    y_labels : one for each panel, or a single one, which stands at the first.

    Raises ValueError when a panel has no anchor.
    """
    if not all(anchors.get(title) for title in curves):
        raise ValueError("panels: every title needs anchors; give at least one, such as {'random': -40.0}")
    figure, axes = new_figure(1, len(curves), width=1.6 + 3.1 * len(curves), height=4.0)
    styles = looks(name for lines in curves.values() for name in lines)
    shown = {}
    for place, (ax, (title, lines)) in enumerate(zip(np.ravel(axes), curves.items(), strict=True)):
        for name, (x, (mean, low, high)) in lines.items():
            style = styles[name]
            ax.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
            shown[display_name(name)] = ax.plot(x, mean, label=display_name(name), **style)[0]
        draw_anchors(ax, anchors[title])
        ax.set_title(title, fontsize=10)
        ax.set_xlabel(x_label)
        if all(np.allclose(x, np.round(x)) and len(x) <= 6 and max(x) <= 10 for x, _ in lines.values()):
            ax.set_xticks(next(iter(lines.values()))[0])
        if place < len(y_labels):
            ax.set_ylabel(y_labels[place])
    figure.legend(list(shown.values()), list(shown), frameon=False, fontsize=9, loc="outside lower center", ncols=5)
    return figure


def reported_information(sizes: np.ndarray, reported: Band, ceiling: np.ndarray, information: float) -> Axes:
    """What InfoNCE reports (mean, low, high over draws, nats) and its ceiling log N, each (sizes,), against N."""
    _, ax = new_figure(width=6.8, height=3.8)
    styles = looks(("InfoNCE, best score", "log N"))
    mean, low, high = reported
    for name, values in (("log N", ceiling), ("InfoNCE, best score", mean)):
        ax.plot(sizes, values, label=name, **styles[name])
    ax.fill_between(sizes, low, high, color=styles["InfoNCE, best score"]["color"], alpha=0.15, linewidth=0)
    draw_anchors(ax, {"true information": information})
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [str(n) for n in sizes])
    ax.set(xlabel="N: the positive and N - 1 negatives", ylabel="nats")
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    return ax
