"""Files that are whole or absent, and folders found from the repository root as well as from notebooks/."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that, whenever the process or the machine stops, the old file or the new one is there, whole.

    Raises OSError, with a sentence, when the disk is full; the old file is then untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with full_disk_explained(path):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    if os.name == "posix":  # the rename itself reaches the disk; Windows has no such call
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files that a killed `write_whole` left; only for who owns the folder alone."""
    for path in folder.iterdir():
        if is_leftover(path.name):
            path.unlink(missing_ok=True)


def is_leftover(name: str) -> bool:
    """Whether a file is named as `write_whole` names what it has not finished."""
    return re.fullmatch(r"\..+\.\d+\.tmp", name) is not None


@contextmanager
def full_disk_explained(path: Path) -> Iterator[None]:
    """Turn the operating system's "no space left" into a sentence that says what is safe and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise OSError(f"the disk is full: {path} was not written, older files are whole; free some space") from error


def find_folder(path: str | Path) -> Path:
    """The folder as given, or, where there is none, below the repository root (a notebook works in notebooks/).

    Returns the path as given when it is in neither place.
    """
    path = Path(path).expanduser()
    here = Path.cwd()
    package_root = Path(__file__).resolve().parents[2]
    roots = [here, *(p for p in here.parents if (p / "pyproject.toml").is_file()), package_root]
    return next((root / path for root in roots if (root / path).is_dir()), path)
