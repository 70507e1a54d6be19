"""Chapter 00: its pictures. A game, as a figure and as a page, and meta-reinforcement learning in one drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from metarl_lab.teach.diagrams import Diagram
from metarl_lab.teach.figures import (
    ANCHOR_GREY,
    BLUE,
    VERMILLION,
    adaptation_curves,
    display_name,
    looks,
    new_figure,
)

INK = "#222222"
PALE = "#D6E8F4"  # paid something, not the most

Played = Mapping[str, tuple[Sequence[int], Sequence[float]]]  # {player: (machines, pay)}, each (H,)


def shade(paid: float, most: float) -> tuple[str, str]:
    """(background, text) of a pull: dark where it paid the most there is, pale where it paid, white where nothing."""
    if paid >= most:
        return BLUE, "white"
    return (PALE, INK) if paid > 0 else ("#FFFFFF", INK)


def paid_word(paid: float) -> str:
    """A pay as it is written in a cell: 5, 1, 0, 0.7."""
    return f"{paid:.1f}".removesuffix(".0")


def board(
    names: Sequence[str], hidden: np.ndarray, label: str, played: Played, ends: Mapping[str, str], most: float
) -> Figure:
    """Draw a finished game: what was hidden at the left, everybody's pulls at the right.

    Parameters
    ----------
    names : (A,) what is written on the machines.
    hidden : (A,) mean pay of each.
    label : what `hidden` is, with its unit.
    played : {player: (machines, pay)}.
    ends : {player: what is written behind the pulls}.
    most : the highest pay there is.
    """
    pulls = len(next(iter(played.values()))[0])
    height = 1.2 + max(0.3 * len(names), 0.5 * len(played))
    figure, (left, right) = new_figure(1, 2, width=9.2, height=height)
    left.get_gridspec().set_width_ratios([1, 2.6])
    _draw_hidden(left, names, hidden, label)
    right.grid(False)
    right.spines[:].set_visible(False)
    right.tick_params(length=0)
    for row, (player, (machines, pay)) in enumerate(played.items()):
        for step, (machine, paid) in enumerate(zip(machines, pay, strict=True)):
            _draw_pull(right, step + 1, row, names[int(machine)], paid, most)
        right.text(pulls + 0.75, row, ends[player], va="center", fontsize=9, color=INK)
    right.set_xlim(0.4, pulls * 1.35 + 1.2)
    right.set_ylim(len(played) - 0.4, -0.6)
    right.set_xticks(range(1, pulls + 1))
    right.set_yticks(range(len(played)), list(played))
    right.set_xlabel("pull: the machine, and what it paid", loc="left")
    right.set_title("who pulled what", fontsize=10, loc="left")
    return figure


def _draw_hidden(ax: Axes, names: Sequence[str], hidden: np.ndarray, label: str) -> None:
    """One bar per machine; the best one has a colour, a hatch and a word of its own."""
    best, top = int(np.argmax(hidden)), float(np.max(hidden))
    for machine, mean in enumerate(hidden):
        is_best = machine == best
        colour, hatch = (VERMILLION, "//") if is_best else ("#BDBDBD", None)
        ax.barh(machine, mean, color=colour, hatch=hatch, edgecolor="white", height=0.7)
        text = f"{mean:.2f}{' best' if is_best else ''}"
        ax.text(mean + 0.02 * top, machine, text, va="center", fontsize=8.5, color=INK)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, 1.45 * top)
    ax.grid(False, axis="y")
    ax.set_xlabel(label)
    ax.set_title("what was hidden", fontsize=10, loc="left")


def _draw_pull(ax: Axes, x: float, y: float, name: str, paid: float, most: float) -> None:
    """One pull: the machine's name over what it paid."""
    ground, ink = shade(paid, most)
    ax.add_patch(Rectangle((x - 0.43, y - 0.42), 0.86, 0.84, facecolor=ground, edgecolor=ANCHOR_GREY))
    ax.text(x, y - 0.14, name, ha="center", va="center", fontsize=10, color=ink, fontweight="bold")
    ax.text(x, y + 0.2, paid_word(paid), ha="center", va="center", fontsize=8, color=ink)


CELL = "min-width:2.1em;height:2.4em;text-align:center;border:1px solid #595959;line-height:1.1;"
CAPTION = '<p style="margin-right:3em">'
TABLE = '<table style="line-height:1.2;margin-right:3em">'
HEAD = "text-align:right;padding-right:0.6em;min-width:8em"


def board_html(names: Sequence[str], pulls: int, played: Played, ends: Mapping[str, str], most: float) -> str:
    """The pulls of a game as an HTML table, a hundred times faster than a figure: what a live game shows.

    `played` may hold fewer than `pulls` of each player; those not shown yet are "?" for a rival.
    """
    rows = []
    for player, (machines, pay) in played.items():
        cells = [_cell(names[int(machine)], paid, most) for machine, paid in zip(machines, pay, strict=True)]
        blank = "" if player == "you" else "?"
        cells += [f'<td style="{CELL}background:white;color:{INK}">{blank}</td>'] * (pulls - len(cells))
        head = f'<th scope="row" style="{HEAD}">{player}</th>'
        rows.append(f'<tr>{head}{"".join(cells)}<td style="padding-left:0.8em">{ends.get(player, "")}</td></tr>')
    return f'<table style="border-collapse:separate;border-spacing:3px">{"".join(rows)}</table>'


def _cell(name: str, paid: float, most: float) -> str:
    """One pull in the table; the colour is also said in words."""
    ground, ink = shade(paid, most)
    word = f"paid {paid_word(paid)}"
    style = f"{CELL}background:{ground};color:{ink}"
    inside = f"<b>{name}</b><br><small>{paid_word(paid)}</small>"
    return f'<td style="{style}" title="{word}" aria-label="{name}, {word}">{inside}</td>'


def hidden_html(names: Sequence[str], hidden: np.ndarray, label: str) -> str:
    """What was hidden, as a table with bars; the best machine has a colour and a word of its own."""
    best, rows = int(np.argmax(hidden)), []
    for machine, mean in enumerate(hidden):
        colour = VERMILLION if machine == best else "#9E9E9E"
        bar = f'<div style="background:{colour};height:0.9em;width:{10 * mean / max(hidden):.1f}em"></div>'
        head = (
            f'<th scope="row" style="text-align:right;padding-right:0.6em;min-width:5em">machine {names[machine]}</th>'
        )
        rows.append(f"<tr>{head}<td>{mean:.2f}{' best' if machine == best else ''}</td><td>{bar}</td></tr>")
    return f"{CAPTION}What was hidden: {label}</p>{TABLE}{''.join(rows)}</table>"


def score_html(history: Mapping[str, list[float]]) -> str:
    """The running score as a table: mean total of each player over all finished games."""
    count = len(next(iter(history.values())))
    rows = [
        f'<tr><th scope="row" style="{HEAD}">{name}</th><td>{np.mean(t):.2f}</td></tr>' for name, t in history.items()
    ]
    mean = f"Running score: mean over {count} game{'s' * (count != 1)}"
    return f"{CAPTION}{mean}</p>{TABLE}{''.join(rows)}</table>"


def two_loops() -> Figure:
    """Draw the two loops: inside a game the memory learns; over many games the weights do."""
    d = Diagram(width=18.0, height=8.2, inches=8.8)
    deal = d.box(0.2, 3.0, 3.3, 2.2, "task distribution\nall games that\ncould be dealt", fill="grey")
    trial = d.frame(5.2, 1.0, 8.0, 6.2, "inner loop: one game, fast")
    task = d.box(5.7, 3.0, 2.7, 2.2, "task\nwhat this game\nhides", fill="orange")
    agent = d.box(10.1, 3.0, 2.7, 2.2, "agent\nits memory of\nthis game", fill="blue")
    weights = d.box(14.9, 3.0, 2.9, 2.2, "weights\nwhat all games\nhave taught", fill="green")
    d.arrow(deal.right, task.left, "deal", shift=(-0.15, 0.35))
    d.arrow(agent.bottom, task.bottom, "pull a machine", bend=-0.3)
    d.arrow(task.top, agent.top, "what it paid", bend=-0.3)
    d.arrow((weights.x, 3.6), (agent.x + agent.width, 3.6), "how to\nremember\nand choose", shift=(0.0, -0.9))
    d.arrow((agent.x + agent.width, 4.6), (weights.x, 4.6), "was it a\ngood game?", shift=(0.0, 0.75), dashed=True)
    d.words(
        trial.x + trial.width / 2, 0.55, "a trial: the memory starts empty, and is thrown away at the end", grey=True
    )
    d.words(weights.x + 1.45, 2.3, "outer loop:\nmany games, slow", grey=True)
    return d.figure


def totals(table: pd.DataFrame, anchors: Mapping[str, float], unit: str) -> Axes:
    """A bar for each player, with its interval, between anchors; table : index player, columns total, low, high."""
    ax = new_figure(width=7.4, height=0.9 + 0.42 * len(table))[1]
    styles = looks(table.index)
    for row, (name, line) in enumerate(table.iterrows()):
        ax.barh(row, line.total, color=styles[str(name)]["color"], height=0.62, alpha=0.85)
        ax.plot([line.low, line.high], [row, row], color="black", lw=2.2)
        ax.text(line.high + 0.01 * table.high.max(), row, f"{line.total:.2f}", va="center", fontsize=9, color=INK)
    ax.set_yticks(range(len(table)), [display_name(str(name)) for name in table.index])
    ax.set_ylim(len(table) - 0.45, -1.0)
    ax.set_xlim(0, max(*anchors.values(), table.high.max()) * 1.12)
    for (name, value), style in zip(anchors.items(), ("--", ":", "-.")):
        ax.axvline(value, color=ANCHOR_GREY, lw=1.2, ls=style, zorder=0)
        ax.text(value, -0.62, name, ha="center", va="center", fontsize=8.5, color=ANCHOR_GREY, backgroundcolor="white")
    ax.grid(False, axis="y")
    ax.set_xlabel(unit)
    return ax


def by_pull(table: pd.DataFrame, anchors: Mapping[str, float], unit: str) -> Axes:
    """Mean pay of the machine pulled, pull by pull."""
    ax = adaptation_curves(table, anchors, x_label="pull within the game", y_label=unit)
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    figure.set_size_inches(7.2, 3.8)
    ax.legend(fontsize=9, frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)
    return ax
