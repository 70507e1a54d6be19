"""Which exercises a reader has passed: kept in the user's own state folder, printed, and shown on the index page.

`make lab` gives the reader copies of the chapters in `work/` and writes `work/index.md` with `index_page`; `record`
brings the counts on that page up to date. This file imports nothing but the standard library: tools/work.py loads it
by itself, without PyTorch.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

# --- kept: progress.json ----------------------------------------------------------------------------------------------


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
    one of the two entries: passing it again restores it. The index page beside the notebook, if there is one, follows.
    """
    folder, done = home(), passed()
    if exercise_id not in done:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / "progress.json"
            if file.exists() and not readable(file):
                os.replace(file, folder / "progress.json.damaged")
            content = json.dumps({"version": 1, "passed": sorted(done | {exercise_id})}, indent=1)
            replace_in_one_step(file, content)
        except OSError as error:
            return f"(Progress not kept in {folder}: {error.strerror}. Set METARL_HOME to a folder you may write to.)"
    refresh_index_page()
    return None


def readable(file: Path) -> bool:
    """Whether the file holds what `record` writes."""
    try:
        return isinstance(json.loads(file.read_text(encoding="utf-8"))["passed"], list)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def replace_in_one_step(file: Path, text: str) -> None:
    """Write a file so that at any moment the old one or the new one is there, whole. Raises OSError."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


# --- printed: progress() ----------------------------------------------------------------------------------------------


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


# --- shown: the index page of the reader's copies ---------------------------------------------------------------------

# First line of a page that was made. The digest of all that follows tells whether somebody has written into it since.
MARK = "<!-- made by make lab, and again when an exercise is passed: "
# Which exercises a count is of; a comment, so that a kernel can bring the count up to date from the page alone.
COUNT = re.compile(r"<!-- exercises ([\w. ]+) -->(?:\d+ of \d+ done)?")
CHAPTER_LINK = re.compile(r"\]\((\d\d[a-z]?_[^)/#]+\.ipynb)\)")


def index_page(
    base: str, exercises: Mapping[str, Sequence[str]], notes: Mapping[str, str], gone: Sequence[str] = ()
) -> str:
    """Return the index page of the reader's copies.

    base: the book's own index, Markdown. exercises: notebook's file name -> ids of its exercises. notes: notebook's
    file name -> what the reader is told about it, Markdown. gone: notebooks that the book no longer has.
    """
    all_ids = [exercise_id for ids in exercises.values() for exercise_id in ids]

    def cell(row: str) -> str:
        files = CHAPTER_LINK.findall(row)
        ids = [exercise_id for file in files for exercise_id in exercises.get(file, ())]
        return "; ".join([*([place_of_count(ids)] if ids else []), *(notes[file] for file in files if file in notes)])

    about = [
        "**These are your own copies**, in `work/`: change them and run them as you like. The book's own files stay as",
        "they are, so `git pull` brings a new edition without conflicts. At the next `make lab` a chapter that you",
        "have not changed follows it; beside one that you have changed, the new edition appears as a file of its own,",
        "and the table says so. `make fresh ARGS=05` starts chapter 05 over. Your own work is never deleted: what",
        "gives way is kept in `work/earlier/`.",
        "",
        *([f"**Exercises: {place_of_count(all_ids)}.**"] if all_ids else []),
        f"Progress is kept in `{home() / 'progress.json'}`. This page is made by `make lab`, and again whenever you",
        "pass an exercise; close and open it to see the present state.",
        "",
    ]
    lines = with_column(base.rstrip("\n").split("\n"), "Exercises", cell)
    first_part = next((number for number, line in enumerate(lines) if line.startswith("## ")), len(lines))
    lines[first_part:first_part] = about
    if gone:
        lines += ["", "## No longer in the book", ""]
        lines += [f"- [{file}]({file}): your copy stays as it is." for file in gone]
    return signed(counted("\n".join(lines) + "\n", passed()))


def with_column(lines: Sequence[str], title: str, cell: Callable[[str], str]) -> list[str]:
    """Return Markdown lines with one more column in every table that links a chapter; `cell` gives it for a row."""
    result: list[str] = []
    start = 0
    while start < len(lines):
        end = start
        while end < len(lines) and lines[end].startswith("|"):
            end += 1
        rows = lines[start:end]
        if any(CHAPTER_LINK.search(row) for row in rows):
            added = [title, "---", *(cell(row) for row in rows[2:])]
            rows = [f"{row.rstrip().removesuffix('|')}| {new} |" for row, new in zip(rows, added)]
        result += rows
        if end < len(lines):
            result.append(lines[end])
        start = end + 1
    return result


def place_of_count(exercise_ids: Sequence[str]) -> str:
    """Return a place on the page that `counted` fills with how many of these are passed."""
    return f"<!-- exercises {' '.join(exercise_ids)} -->"


def counted(text: str, done: Collection[str]) -> str:
    """Return the text with "3 of 4 done" at each place for a count."""

    def count(match: re.Match[str]) -> str:
        ids = match[1].split()
        return f"{place_of_count(ids)}{sum(i in done for i in ids)} of {len(ids)} done"

    return COUNT.sub(count, text)


def signed(body: str) -> str:
    """Return the page with the mark and the digest of its body in front."""
    return f"{MARK}{sha256(body.encode()).hexdigest()[:16]} -->\n{body}"


def made_body(page: str) -> str | None:
    """Return what stands below the mark, or None when the page was not made here or was changed since."""
    body = page.partition("\n")[2]
    return body if page.startswith(MARK) and page == signed(body) else None


def refresh_index_page(folder: Path | None = None) -> None:
    """Bring the counts on the index page in `folder` (default: where the kernel runs) up to date.

    Does nothing where there is no such page, or where the reader wrote into it. Never fails and prints nothing: it is
    called under the reader's right answer, and the next `make lab` writes the page anyway.
    """
    with suppress(Exception):
        file = (folder or Path.cwd()) / "index.md"
        if not file.is_file():
            return
        with open(file, encoding="utf-8", newline="") as opened:
            start = opened.read(len(MARK))
            if start != MARK:
                return  # somebody else's page, of whatever size
            page = start + opened.read()
        body = made_body(page)
        if body is not None and (new := signed(counted(body, passed()))) != page:
            replace_in_one_step(file, new)
