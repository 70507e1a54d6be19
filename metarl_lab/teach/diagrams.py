"""Diagrams of a mechanism: boxes, arrows and words, in one form for the whole book.

    d = Diagram(width=12, height=5)                       # the plane of the diagram, in units of your own
    weights = d.box(0, 1, 3, 2, "weights", fill="green")
    task = d.box(6, 1, 3, 2, "task\nits own goal", fill="orange")
    d.arrow(weights.right, task.left, "copy")
    figure_with_alt(d.figure, "The weights are copied into each task")

A diagram shows what flows where, what is kept and what is changed, never a result: it holds no computed number.
"""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from .figures import ANCHOR_GREY, BLACK, new_figure

Point = tuple[float, float]

# Pale, so that black text on them has a contrast of 12:1 or more.
FILLS = {
    "blue": "#D6E8F4",
    "orange": "#FBE3D3",
    "green": "#DDF0E8",
    "pink": "#F6E3EE",
    "yellow": "#FBF3D0",
    "grey": "#F2F2F2",
    "white": "#FFFFFF",
}
TEXT = 9.5  # points


class Box(NamedTuple):
    """A box that was drawn: its lower left corner, its size, and the points where arrows meet it."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        return self.x + self.width, self.y + self.height / 2

    @property
    def top(self) -> Point:
        return self.x + self.width / 2, self.y + self.height

    @property
    def bottom(self) -> Point:
        return self.x + self.width / 2, self.y

    def along_top(self, share: float) -> Point:
        """The point on the upper edge, from 0 (left corner) to 1 (right corner)."""
        return self.x + share * self.width, self.y + self.height

    def along_bottom(self, share: float) -> Point:
        """The same on the lower edge."""
        return self.x + share * self.width, self.y


class Diagram:
    """A plane of `width` by `height` units on which boxes, arrows and words are put; `figure` is what is shown.

    `inches` is the width on the page. Text keeps its size, so a diagram of many units to the inch holds few words.
    """

    def __init__(self, width: float, height: float, inches: float = 7.6) -> None:
        self.figure, self.axes = new_figure(width=inches, height=inches * height / width)
        self.axes.set_axis_off()
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(0, height)
        self.axes.set_aspect("equal")

    def box(
        self, x: float, y: float, width: float, height: float, text: str = "", fill: str = "white", bold: bool = False
    ) -> Box:
        """A box with text in its middle; `fill` is one of `FILLS`."""
        if fill not in FILLS:
            raise ValueError(f"fill is {fill!r}; give one of {', '.join(FILLS)}")
        shape = "round,pad=0,rounding_size=0.18"
        self.axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, fc=FILLS[fill], ec=ANCHOR_GREY))
        if text:
            self.words(x + width / 2, y + height / 2, text, bold=bold)
        return Box(x, y, width, height)

    def frame(self, x: float, y: float, width: float, height: float, title: str) -> Box:
        """A dashed frame around other boxes, its title inside at the upper left."""
        shape = "round,pad=0,rounding_size=0.18"
        patch = FancyBboxPatch((x, y), width, height, boxstyle=shape, fc="none", ec=ANCHOR_GREY, linestyle=(0, (4, 2)))
        self.axes.add_patch(patch)
        self.axes.text(x + 0.2, y + height - 0.15, title, ha="left", va="top", fontsize=TEXT, color=ANCHOR_GREY)
        return Box(x, y, width, height)

    def arrow(
        self,
        start: Point,
        end: Point,
        text: str = "",
        bend: float = 0.0,
        shift: Point = (0.0, 0.0),
        dashed: bool = False,
    ) -> None:
        """An arrow, straight or bent (0.3 is a good bend), with words at its middle, moved from there by `shift`."""
        self.axes.add_patch(
            FancyArrowPatch(
                start,
                end,
                connectionstyle=f"arc3,rad={bend}",
                arrowstyle="-|>",
                mutation_scale=13,
                color=BLACK,
                linewidth=1.3,
                linestyle=(0, (4, 2)) if dashed else "-",
                clip_on=False,
                shrinkA=1,
                shrinkB=1,
            )
        )
        if text:
            # arc3 bends away from the straight line by half of `bend` times its length, to the right of its direction
            across, along = end[0] - start[0], end[1] - start[1]
            x = (start[0] + end[0]) / 2 + bend / 2 * along + shift[0]
            y = (start[1] + end[1]) / 2 - bend / 2 * across + shift[1]
            self.words(x, y, text, size=TEXT - 0.5, ground=True)

    def words(
        self,
        x: float,
        y: float,
        text: str,
        size: float = TEXT,
        bold: bool = False,
        ground: bool = False,
        grey: bool = False,
    ) -> None:
        """Words centred at a point; `ground` puts white behind them."""
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if ground else None
        colour, weight = (ANCHOR_GREY if grey else BLACK), ("bold" if bold else "normal")
        self.axes.text(
            x, y, text, ha="center", va="center", fontsize=size, color=colour, fontweight=weight, bbox=behind, zorder=3
        )
