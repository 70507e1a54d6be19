"""A verdict against a stated band: what a chapter prints of a trained result, the same on every machine."""

from __future__ import annotations

import math
from typing import Any


def verdict(what: str, value: Any, *, at_least: float | None = None, at_most: float | None = None) -> None:
    """Print whether `value` lies in the stated band, and not the value itself.

    `verdict("return after one step", -9.3, at_least=-12)` prints `return after one step >= -12: yes`. Training gives a
    slightly different number on each machine; the band is the claim that the chapter makes, and nbval holds it to that.
    NaN is never in a band. Show the raw number in a cell of its own, tagged `nbval-ignore-output` and `raw`.
    """
    if at_least is None and at_most is None:
        raise ValueError(f"verdict {what!r} has no band; give at_least=, at_most= or both")
    if at_least is not None and at_most is not None and at_least > at_most:
        raise ValueError(f"verdict {what!r}: the band from {at_least} to {at_most} is empty; swap the two")
    number = float(value)
    inside = not math.isnan(number)
    inside &= at_least is None or number >= at_least
    inside &= at_most is None or number <= at_most
    if at_least is None:
        band = f"<= {at_most:g}"
    else:
        band = f">= {at_least:g}" if at_most is None else f"in [{at_least:g}, {at_most:g}]"
    print(f"{what} {band}: {'yes' if inside else 'no'}")
