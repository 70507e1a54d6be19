"""Results kept in `data/results/`, so that a chapter at the speed "peek" shows what a run gave without running."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from metarl_lab.runs.files import find_folder, write_whole

from .speed import MOST, most_iterations

Arrays = dict[str, np.ndarray]

DIGITS = 6


def stored_or_run(chosen: str, name: str, compute: Callable[[], Mapping[str, np.ndarray]]) -> Arrays:
    """Return the arrays of a computation: read from `data/results/NAME.csv` at the speed "peek", else computed.

    Parameters
    ----------
    chosen : the speed in use, from `speed()`
    name : name of the table, starting with the chapter's number
    compute : gives {name: array of numbers}

    The environment variable METARL_STORE is the beginning of the names of tables to write: "01", or "01_price". What
    training cut short by METARL_MOST_ITERATIONS gave is never written.
    """
    file = find_folder("data/results") / f"{name}.csv"
    if chosen == "peek":
        if not file.is_file():
            raise ValueError(f"nothing is stored as {file.name}; choose the speed 'quick' or 'full'")
        return read(file)
    arrays = {key: np.asarray(array, dtype=np.float64) for key, array in compute().items()}
    if name.startswith(os.environ.get("METARL_STORE") or "no table"):
        if most_iterations() is not None:
            raise ValueError(f"{MOST} cuts training short, and METARL_STORE would store that as {name}; unset one")
        write(file, arrays)
    return arrays


def read(file: Path) -> Arrays:
    """Read what `write` wrote."""
    arrays = {}
    # no csv.reader: a field may be longer than it takes
    for line in file.read_text(encoding="utf-8").splitlines()[1:]:
        key, shape, values = line.split(",")
        sizes = tuple(int(size) for size in shape.split("x")) if shape else ()
        arrays[key] = np.array([float(value) for value in values.split()]).reshape(sizes)
    return arrays


def write(file: Path, arrays: Arrays) -> None:
    """Write arrays as lines `name, shape, values`: shape as 3x4, values row by row, to six digits, parted by blanks.

    Raises ValueError, with nothing written, for a name that a line cannot hold.
    """
    if bad := [key for key in arrays if "," in key or "\n" in key]:
        raise ValueError(f"{file.name}: the name {bad[0]!r} has a comma or a line break; name the array without")
    lines = ["name,shape,values"]
    for key, array in arrays.items():
        values = " ".join(f"{value:.{DIGITS}g}" for value in array.ravel())
        lines.append(f"{key},{'x'.join(map(str, array.shape))},{values}")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, ("\n".join(lines) + "\n").encode())
