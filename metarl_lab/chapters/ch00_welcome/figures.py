"""Pictures of chapter 00: a bandit game, as a figure and as a page, and meta-reinforcement learning in one drawing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from metarl_lab.teach.figures import ANCHOR_GREY, COLOURS, new_figure

PAID, EMPTY, BEST = COLOURS[0], "#FFFFFF", COLOURS[1]
INK = "#222222"


def arm_name(index: int) -> str:
    """Arm 0 is A, arm 1 is B."""
    return chr(ord("A") + index)


def game_board(means: Any, played: Mapping[str, tuple[Any, Any]], totals: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw a finished game: the hidden probabilities at the left, everybody's pulls at the right.

    Parameters
    ----------
    means : (A,) probability that each arm pays.
    played : {player: (pulls, rewards)}, both (H,): index of the arm, and 1 where it paid.
    totals : {player: (pay-offs, regret)}, written beside the pulls.
    """
    means = np.asarray(means, dtype=float)
    steps = len(next(iter(played.values()))[0])
    figure, (left, right) = new_figure(1, 2, width=9.2, height=1.15 + 0.47 * max(len(means), len(played)))
    left.get_gridspec().set_width_ratios([1, 2.9])
    _draw_probabilities(left, means)
    right.grid(False)
    right.spines[:].set_visible(False)
    right.tick_params(length=0)
    for row, (name, (pulls, rewards)) in enumerate(played.items()):
        for step, (arm, paid) in enumerate(zip(pulls, rewards, strict=True)):
            _draw_pull(right, step + 1, row, arm_name(int(arm)), bool(paid))
        paid_total, regret = totals[name]
        right.text(steps + 0.75, row, f"{paid_total:.0f} paid, regret {regret:.2f}", va="center", fontsize=9, color=INK)
    right.set_xlim(0.4, steps + 4.1)
    right.set_ylim(len(played) - 0.4, -0.6)
    right.set_xticks(range(1, steps + 1))
    right.set_yticks(range(len(played)), list(played))
    right.set_xlabel("pull (dark: paid 1; white: paid 0)", x=(0.5 * steps + 0.1) / (steps + 3.7))
    right.set_title("who pulled what", fontsize=10, loc="left")
    return figure


def _draw_probabilities(ax: Axes, means: np.ndarray) -> None:
    """One bar per arm; the best one has a colour, a hatch and a word of its own."""
    best = int(means.argmax())
    for arm, mean in enumerate(means):
        colour = BEST if arm == best else "#BDBDBD"
        ax.barh(arm, mean, color=colour, hatch="//" if arm == best else None, edgecolor="white", height=0.7)
        ax.text(mean + 0.02, arm, f"{mean:.2f}{' best' if arm == best else ''}", va="center", fontsize=9, color=INK)
    ax.set_yticks(range(len(means)), [f"arm {arm_name(i)}" for i in range(len(means))])
    ax.set_ylim(len(means) - 0.5, -0.5)
    ax.set_xlim(0, 1.32)
    ax.set_xticks([0, 0.5, 1])
    ax.grid(False, axis="y")
    ax.set_xlabel("probability of paying 1")
    ax.set_title("what was hidden", fontsize=10, loc="left")


def _draw_pull(ax: Axes, x: float, y: float, letter: str, paid: bool) -> None:
    """One pull: the arm's letter, in a dark square if it paid and a white one if it did not."""
    ax.add_patch(Rectangle((x - 0.42, y - 0.36), 0.84, 0.72, facecolor=PAID if paid else EMPTY, edgecolor=ANCHOR_GREY))
    weight = "bold" if paid else "normal"
    ax.text(x, y, letter, ha="center", va="center", fontsize=10, color="white" if paid else INK, fontweight=weight)


CELL = "width:1.9em;height:1.9em;text-align:center;border:1px solid #595959;"
PAID_CELL = f"{CELL}background:{PAID};color:white;font-weight:bold"
CAPTION = '<p style="margin-right:3em">'
TABLE = '<table style="line-height:1.2;margin-right:3em">'
EMPTY_CELL = f"{CELL}background:white;color:{INK}"


def board_html(steps: int, played: Mapping[str, tuple[Any, Any]], totals: Mapping[str, tuple[float, float]]) -> str:
    """The pulls of a game as an HTML table, a hundred times faster than a figure: what a live game shows.

    Parameters
    ----------
    steps : H, pulls per game.
    played : {player: (pulls, rewards)}, each of any length up to H; pulls not shown yet are "?" for a rival.
    totals : {player: (pay-offs, regret)}, of those whose game is over.
    """
    rows = []
    for name, (pulls, rewards) in played.items():
        cells = [_cell(arm_name(int(arm)), bool(paid)) for arm, paid in zip(pulls, rewards, strict=True)]
        blank = "" if name == "you" else "?"
        cells += [f'<td style="{EMPTY_CELL}">{blank}</td>'] * (steps - len(cells))
        end = f"{totals[name][0]:.0f} paid, regret {totals[name][1]:.2f}" if name in totals else ""
        head = f'<th scope="row" style="text-align:right;padding-right:0.6em;min-width:8em">{name}</th>'
        rows.append(f'<tr>{head}{"".join(cells)}<td style="padding-left:0.8em">{end}</td></tr>')
    return f'<table style="border-collapse:separate;border-spacing:3px">{"".join(rows)}</table>'


def _cell(letter: str, paid: bool) -> str:
    """One pull in the table; the colour is also said in words."""
    word = "paid 1" if paid else "paid 0"
    return f'<td style="{PAID_CELL if paid else EMPTY_CELL}" title="{word}" aria-label="{letter}, {word}">{letter}</td>'


def probabilities_html(means: Any) -> str:
    """The hidden probabilities as a table with bars; the best arm has a colour and a word of its own."""
    best, rows = int(np.argmax(means)), []
    for arm, mean in enumerate(means):
        colour = BEST if arm == best else "#9E9E9E"
        bar = f'<div style="background:{colour};height:0.9em;width:{10 * mean:.1f}em"></div>'
        head = f'<th scope="row" style="text-align:right;padding-right:0.6em;min-width:5em">arm {arm_name(arm)}</th>'
        rows.append(f"<tr>{head}<td>{mean:.2f}{' best' if arm == best else ''}</td><td>{bar}</td></tr>")
    return f"{CAPTION}What was hidden: how likely each arm is to pay</p>{TABLE}{''.join(rows)}</table>"


def score_html(history: Mapping[str, list[tuple[float, float]]]) -> str:
    """The running score as a table: mean pay-offs and mean regret of each player over all finished games."""
    count, rows = len(next(iter(history.values()))), []
    for name, games in history.items():
        paid, regret = np.mean(games, axis=0)
        head = f'<th scope="row" style="text-align:right;padding-right:0.6em;min-width:8em">{name}</th>'
        rows.append(f"<tr>{head}<td>{paid:.2f}</td><td>{regret:.2f}</td></tr>")
    top = '<tr><td></td><th scope="col">pay-offs</th><th scope="col">regret</th></tr>'
    mean = f"Running score: mean over {count} game{'s' * (count != 1)}"
    return f"{CAPTION}{mean}</p>{TABLE}{top}{''.join(rows)}</table>"


def meta_rl_picture() -> Figure:
    """Draw the two loops: inside a trial the memory learns; over many trials the weights do."""
    figure, ax = new_figure(width=8.6, height=3.5)
    ax.set_axis_off()
    ax.set_xlim(0, 17.2)
    ax.set_ylim(0, 7)
    _box(ax, 0.2, 2.2, 3.6, 2.0, "task distribution\nall bandits that\ncould be dealt", "#F2F2F2")
    _box(ax, 5.1, 0.3, 8.0, 5.4, "", "#FFFFFF")
    ax.text(5.3, 5.3, "one trial: ten pulls, the same hidden arms", fontsize=10, va="center", color=INK)
    _box(ax, 5.5, 2.2, 2.8, 2.0, "task\n5 hidden\nprobabilities", "#FBE3D3")
    _box(ax, 9.9, 2.2, 2.8, 2.0, "agent\nmemory of\nwhat paid", "#D6E8F4")
    _arrow(ax, (3.8, 3.2), (5.5, 3.2), "draw", (4.45, 3.5))
    _arrow(ax, (11.3, 2.2), (6.9, 2.2), "pull an arm", (9.1, 0.75), bend=-0.35)
    _arrow(ax, (6.9, 4.2), (11.3, 4.2), "paid 1 or 0", (9.1, 4.85), bend=-0.12)
    _box(ax, 14.3, 2.2, 2.7, 2.0, "weights\nwhat all trials\nhave taught", "#DDF0E8")
    _arrow(ax, (13.1, 3.7), (14.3, 3.7), "", (0, 0))
    _arrow(ax, (14.3, 2.7), (13.1, 2.7), "", (0, 0))
    ax.text(15.65, 4.75, "outer loop:\nslow, many trials", ha="center", fontsize=9, color=INK, va="center")
    ax.text(9.1, 6.35, "inner loop: fast, within the trial", ha="center", fontsize=9, color=INK, va="center")
    return figure


def _box(ax: Axes, x: float, y: float, width: float, height: float, text: str, colour: str) -> None:
    ax.add_patch(
        FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=0.25", fc=colour, ec=ANCHOR_GREY)
    )
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=9.5, color=INK)


def _arrow(
    ax: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    text: str,
    place: tuple[float, float],
    bend: float = 0.0,
) -> None:
    """An arrow with its label; bend 0 is straight."""
    style = f"arc3,rad={bend}"
    ax.add_patch(
        FancyArrowPatch(
            start, end, connectionstyle=style, arrowstyle="-|>", mutation_scale=13, color=INK, linewidth=1.2
        )
    )
    ax.text(*place, text, ha="center", va="center", fontsize=9, color=INK)
