"""Figures of chapter 15: policies and the place of their averages, a corridor's policies, curves by panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from metarl_lab.teach.figures import ANCHOR_GREY, COLOURS, draw_anchors, look, new_figure

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
    for index, (name, values) in enumerate(divergences.items()):
        style = look(index) | {"marker": ""}
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
    log_x: bool = False,
) -> Figure:
    """Curves with intervals, one panel a title: {title: {name: (x, (mean, low, high))}}; anchors of each title.

    ``y_labels``: one for each panel, or a single one, which stands at the first.
    """
    if not all(anchors.get(title) for title in curves):
        raise ValueError("panels: every title needs anchors; give at least one, such as {'random': -40.0}")
    figure, axes = new_figure(1, len(curves), width=2.2 + 2.6 * len(curves), height=4.0)
    shown = {}
    for place, (ax, (title, lines)) in enumerate(zip(np.ravel(axes), curves.items(), strict=True)):
        for index, (name, (x, (mean, low, high))) in enumerate(lines.items()):
            style = look(index)
            ax.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
            shown[name] = ax.plot(x, mean, label=name, **style)[0]
        draw_anchors(ax, anchors[title])
        ax.set_title(title, fontsize=10)
        ax.set_xlabel(x_label)
        if log_x:
            ax.set_xscale("log", base=2)
        elif all(np.allclose(x, np.round(x)) and len(x) <= 6 and max(x) <= 10 for x, _ in lines.values()):
            ax.set_xticks(next(iter(lines.values()))[0])
        if place < len(y_labels):
            ax.set_ylabel(y_labels[place])
    figure.legend(list(shown.values()), list(shown), frameon=False, fontsize=9, loc="outside lower center", ncols=5)
    return figure
