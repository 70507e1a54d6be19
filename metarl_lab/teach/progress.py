"""Which exercises a reader has passed: a small JSON file in the user's own state folder."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path


def home() -> Path:
    """Return the folder for the reader's state: `METARL_HOME`, or the platform's own place for such files."""
    if given := os.environ.get("METARL_HOME"):
        return Path(given).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "metarl-lab"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "metarl-lab"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "metarl-lab"


def passed() -> set[str]:
    """Return the ids passed so far; an absent, unreadable or damaged file counts as none."""
    try:
        content = json.loads((home() / "progress.json").read_text(encoding="utf-8"))
        return {str(i) for i in content["passed"] if isinstance(i, str)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def record(exercise_id: str) -> str | None:
    """Note that an exercise is passed. Returns None, or one sentence when it could not be kept.

    The file is replaced in one step, so a reader who stops the kernel here keeps the old file or has the new one. A
    damaged file is set aside as `progress.json.damaged`. Two kernels that write within the same millisecond may lose
    one of the two entries: passing it again restores it.
    """
    folder, done = home(), passed()
    if exercise_id in done:
        return None
    temporary = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "progress.json"
        if file.exists() and not readable(file):
            os.replace(file, folder / "progress.json.damaged")
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".progress", suffix=".json")
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump({"version": 1, "passed": sorted(done | {exercise_id})}, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, file)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        return f"(Progress not kept in {folder}: {error.strerror}. Set METARL_HOME to a folder you may write to.)"
    return None


def readable(file: Path) -> bool:
    """Whether the file holds what `record` writes."""
    try:
        return isinstance(json.loads(file.read_text(encoding="utf-8"))["passed"], list)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def table(exercise_ids: Iterable[str]) -> str:
    """Return one line per chapter: how many of its exercises are passed, and which are open."""
    done = passed()
    chapters: dict[str, list[str]] = {}
    for exercise_id in exercise_ids:
        chapters.setdefault(exercise_id[:2], []).append(exercise_id)
    lines = ["chapter  passed  open"]
    for chapter, ids in sorted(chapters.items()):
        still = [i for i in ids if i not in done]
        lines.append(f"{chapter:<7}  {len(ids) - len(still)} of {len(ids)}  {', '.join(still) or 'none'}")
    return "\n".join(lines)
