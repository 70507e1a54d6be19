"""The one switch of a chapter: peek (stored results), quick (small, live) or full (everything, best on a GPU)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TypeVar

SPEEDS = ("peek", "quick", "full")
MOST = "METARL_MOST_ITERATIONS"

Value = TypeVar("Value")


def speed(choice: str | None = None) -> str:
    """Return the speed: `choice` if given, else the environment variable METARL_SPEED, else "quick"."""
    chosen = choice if choice is not None else os.environ.get("METARL_SPEED") or "quick"
    if chosen not in SPEEDS:
        source = "SPEED" if choice is not None else "METARL_SPEED"
        raise ValueError(f"{source} is {chosen!r}; give one of {', '.join(SPEEDS)}")
    return chosen


def at_speed(chosen: str, *, quick: Value, full: Value, peek: Value | None = None) -> Value:
    """Return what belongs to this speed: a number of seeds, of test tasks, a size; `peek` is like `quick` unless given.

    `seeds = at_speed(SPEED, quick=3, full=10)`.
    """
    return {"peek": quick if peek is None else peek, "quick": quick, "full": full}[speed(chosen)]


def iterations(chosen: str, *, quick: int, full: int) -> int:
    """Return how many iterations a training gets at this speed.

    Whatever trains longer at full speed takes its number from here: the environment variable METARL_MOST_ITERATIONS
    then cuts it, so that the branch that a reader with a GPU takes is run in CI, to its end, in seconds.
    """
    wanted = at_speed(chosen, quick=quick, full=full)
    return min(wanted, most_iterations() or wanted) if chosen == "full" else wanted


def most_iterations() -> int | None:
    """Return the limit that METARL_MOST_ITERATIONS sets on full-speed training, or None."""
    given = os.environ.get(MOST)
    if not given:
        return None
    if not given.isdigit() or int(given) < 1:
        raise ValueError(f"{MOST} is {given!r}; give a whole number from 1 on, or leave it unset")
    return int(given)


def announce(chosen: str, seconds: Mapping[str, float]) -> None:
    """Print, before a computation starts, how long it takes at each speed.

    Parameters
    ----------
    chosen : the speed in use, from `speed()`.
    seconds : wall time of this computation for all three speeds, as measured on two CPU cores (full: on one GPU).
    """
    if set(seconds) != set(SPEEDS):
        raise ValueError(f"announce got times for {sorted(seconds)}; give seconds for each of {', '.join(SPEEDS)}")
    others = ", ".join(f"{s} {duration(seconds[s])}" for s in SPEEDS if s != speed(chosen))
    print(f"{chosen}: this takes {duration(seconds[chosen])} ({others}).")


def duration(seconds: float) -> str:
    """Return a time as a reader would say it: "about 20 s", "about 3 min", "about 2 h"."""
    if seconds < 1:
        return "under a second"
    if seconds < 100:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.0f} h"
