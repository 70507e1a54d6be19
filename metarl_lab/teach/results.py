"""Results: the number and what was claimed of it, in one line of one cell; and claims over all rows of a table.

Training gives a slightly different number on every machine. So a line reads `NAME: NUMBER (expected BAND: yes)`, and
nbval, by tests/notebooks/sanitize.cfg, compares all of it but the number: the claim and its verdict.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from .base import show

HOLDS = ("every", "most", "some", "none")


def result(
    what: str,
    value: Any,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    near: float | None = None,
    within: float | None = None,
    interval: tuple[float, float] | None = None,
    unit: str = "",
) -> None:
    """Print a number beside what was expected of it.

    `result("return after one step", -9.31, at_least=-12)` prints
    `return after one step: -9.31 (expected at least -12: yes)`.

    Parameters
    ----------
    what : what the number is, with what it was measured on.
    value : a number, or an array of numbers, each of which must be in the band. NaN is never in it.
    at_least, at_most : the band; give one of them or both.
    near, within : instead of them, a number and how far from it `value` may be.
    interval : the interval of a single number, shown behind it.
    unit : shown behind the number.
    """
    low, high, band = read_band(what, at_least, at_most, near, within)
    numbers = np.asarray(getattr(value, "tolist", lambda: value)(), dtype=float)
    if numbers.size == 0:
        raise ValueError(f"result {what!r} has no number; give one or more")
    inside = bool(np.all((numbers >= low) & (numbers <= high)))
    shown = ", ".join(map(short, numbers.ravel()))
    if interval is not None:
        shown += f" [{short(interval[0])}, {short(interval[1])}]"
    if unit:
        shown += f" {unit}"
    each = "each " if numbers.size > 1 else ""
    print(f"{what}: {shown} (expected {each}{band}: {'yes' if inside else 'no'})")


def read_band(
    what: str, at_least: float | None, at_most: float | None, near: float | None, within: float | None
) -> tuple[float, float, str]:
    """Lowest and highest value of a band, and the band in words."""
    if (near is None) != (within is None):
        raise ValueError(f"result {what!r}: near= and within= go together; give both or neither")
    if near is not None and within is not None:
        if at_least is not None or at_most is not None:
            raise ValueError(f"result {what!r} has two bands; give near= and within=, or at_least= and at_most=")
        if within <= 0:
            raise ValueError(f"result {what!r}: within={within} leaves no room; give a number above 0")
        return near - within, near + within, f"{near:g} within {within:g}"
    if at_least is not None and at_most is not None:
        if at_least > at_most:
            raise ValueError(f"result {what!r}: the band from {at_least} to {at_most} is empty; swap the two")
        return at_least, at_most, f"from {at_least:g} to {at_most:g}"
    if at_least is not None:
        return at_least, math.inf, f"at least {at_least:g}"
    if at_most is not None:
        return -math.inf, at_most, f"at most {at_most:g}"
    raise ValueError(f"result {what!r} claims nothing; give at_least=, at_most=, or near= and within=")


def short(number: float) -> str:
    """A number in three digits, in four from ten on, whole with commas from a thousand on."""
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.4g}" if abs(number) >= 10 else f"{number:.3g}"


def claim(
    what: str,
    table: pd.DataFrame | Mapping[str, Any],
    condition: str | Callable[[pd.DataFrame], Any],
    holds: str | int | Mapping[Hashable, str | int] = "every",
    *,
    by: str | None = None,
) -> None:
    """Hold a claim against every row of a table, and print in how many it is true.

    `claim("MAML above first order", table, "maml > first_order")` prints
    `MAML above first order: 5 of 5 rows (expected every: yes)`, and names the rows that speak against it, if any do.

    Parameters
    ----------
    what : the claim in words.
    table : the whole table that the prose speaks of, a row a case: rows are counted here, none is picked out before.
    condition : an expression in the names of the columns, as in `DataFrame.eval`, or a function of the table that
        gives a truth value for each row. A row with NaN in what it compares speaks against the claim.
    holds : in how many rows it is said to be true: "every", "most" (more than half), "some" (not none, not every),
        "none", or a number (in that many at least). With `by`, {group: one of these} for *every* group of the table.
    by : column or index level that splits the rows into groups, each counted for itself: "in all five seeds on the
        first family, in none on the second" is one claim.
    """
    rows = table if isinstance(table, pd.DataFrame) else pd.DataFrame(dict(table))
    if len(rows) == 0:
        raise ValueError(f"claim {what!r}: the table has no rows")
    found = rows.eval(condition) if isinstance(condition, str) else condition(rows)
    truth = np.asarray(found)
    if truth.shape != (len(rows),) or truth.dtype != bool:
        raise ValueError(
            f"claim {what!r}: the condition gave {truth.dtype} of shape {truth.shape}; "
            f"a truth value for each of {len(rows)} rows is needed"
        )
    if by is None:
        if isinstance(holds, Mapping):
            raise ValueError(f"claim {what!r}: {{group: ...}} needs by=, the column that names the groups")
        print(f"{what}: {count(truth, rows.index, holds, ' rows')}")
        return
    groups = rows[by].to_numpy() if by in rows.columns else rows.index.get_level_values(by).to_numpy()
    names = list(dict.fromkeys(groups.tolist()))
    said = holds if isinstance(holds, Mapping) else dict.fromkeys(names, holds)
    if set(said) != set(names):
        raise ValueError(
            f"claim {what!r} speaks of {', '.join(map(str, said))}; the table has {', '.join(map(str, names))}: "
            "say of every group how often the claim holds there"
        )
    print(f"{what}, by {by}")
    width = max(len(str(name)) for name in names)
    for name in names:
        mine = groups == name
        print(f"  {name!s:{width}}: {count(truth[mine], rows.index[mine], said[name])}")


def count(truth: np.ndarray, index: pd.Index, holds: str | int, unit: str = "") -> str:
    """`4 of 5 rows, not seed 3 (expected every: no)`."""
    true, all_rows = int(truth.sum()), len(truth)
    if isinstance(holds, int) and not isinstance(holds, bool):
        if not 0 < holds <= all_rows:
            raise ValueError(f"a claim on {all_rows} rows cannot hold in {holds}; give a number from 1 to {all_rows}")
        right, said = true >= holds, f"at least {holds}"
    elif holds in HOLDS:
        right = {
            "every": true == all_rows,
            "most": 2 * true > all_rows,
            "some": 0 < true < all_rows,
            "none": true == 0,
        }[holds]
        said = str(holds)
    else:
        raise ValueError(f"holds is {holds!r}; give one of {', '.join(HOLDS)}, or a number of rows")
    against = [label(i) for i in index[~truth if holds != "none" else truth]]
    listed = f", not {'; '.join(against)}" if against and holds != "none" and len(against) < all_rows else ""
    listed = f", namely {'; '.join(against)}" if against and holds == "none" else listed
    return f"{true} of {all_rows}{unit}{listed} (expected {said}: {'yes' if right else 'no'})"


def label(index: Any) -> str:
    """The name of a row: its index, a tuple of them joined by blanks."""
    return " ".join(map(str, index)) if isinstance(index, tuple) else str(index)


def show_table(table: pd.DataFrame, caption: str, digits: int = 2) -> None:
    """Show a table of trained numbers; nbval compares its caption and the names of its rows and columns, not them.

    What is said of the numbers stands below it, in the same cell, as `result(...)` and `claim(...)`: the build refuses
    a table of which nothing is claimed. A table of exact numbers is printed, and compared whole.
    """
    rounded = table.copy()
    for name in rounded.columns:
        if pd.api.types.is_float_dtype(rounded[name]):
            rounded[name] = [f"{x:.{digits}f}" for x in rounded[name]]
    body = rounded.to_html(border=0, justify="right").replace('class="dataframe"', 'class="dataframe metarl-table"')
    page = f'<div style="overflow-x:auto"><p><b>{html.escape(caption)}</b></p>{body}</div>'
    columns, rows = (", ".join(map(label, names)) for names in (table.columns, table.index))
    show(None, page, f"[table] {caption}\ncolumns: {columns}\nrows: {rows}")
