"""The reader's own copies of the chapters, in work/.

    python tools/work.py sync           copy what is missing, bring what is unchanged up to date (`make lab` does this)
    python tools/work.py fresh 05 12a   start chapters over (`make fresh ARGS="05 12a"`; --all for every chapter)

A chapter in notebooks/ is an *edition*; the reader works in a copy of it. When the edition changes, a copy that is

- untouched (sources and outputs as in the edition it was made from) follows it;
- run but not edited follows it too, and the run is kept in work/earlier/;
- touched (a source changed, a cell added, removed or moved) stays, and the new edition lies beside it, as
  `05_maml.edition-2.ipynb`.

Contents are compared, never bytes or file times: JupyterLab rewrites metadata whenever it saves. What a copy was made
from is in `work/.editions.json`. Nothing of the reader's is ever deleted, and whatever stops this program, every file
is whole: each is written under another name and renamed, a run is stored in earlier/ before its place is taken, and
the coming edition is noted before it comes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BOOKS = ROOT / "notebooks"
WORK = ROOT / "work"
LEDGER = ".editions.json"
EARLIER = "earlier"

CHAPTER = re.compile(r"(?P<number>\d\d[a-z]?)_[^.]+\.ipynb")
EXERCISE = re.compile(r"""\bcheck\(\s*["'](\d\d[a-z]?\.\d+)["']""")
# What a killed program left: temporary files of `write_whole` and of the progress file's module.
LEFTOVER = re.compile(r"\..+\.(ipynb|json|md)\.\d+\.tmp")


def alone(name: str) -> ModuleType:
    """Load one file of the package that needs only the standard library.

    As a part of `metarl_lab` it would bring PyTorch with it: seconds before every `make lab`, and no copies at all
    where PyTorch is broken.
    """
    path = ROOT / "metarl_lab" / name
    spec = importlib.util.spec_from_file_location(f"alone_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


files, progress = alone("runs/files.py"), alone("teach/progress.py")


# --- What a notebook says ---------------------------------------------------------------------------------------------


class NotANotebook(Exception):
    """The bytes are no notebook; the message completes "this file ..."."""


@dataclass(frozen=True)
class Digest:
    """What is remembered of a notebook."""

    sources: str  # type and source of each cell, in order: equal in two notebooks that say the same
    outputs: str  # outputs and execution counts: differs once a cell was run
    file: str  # all bytes: in an edition also the metadata count (hidden cells, widgets)


@dataclass(frozen=True)
class Notebook:
    """A notebook's bytes and what they say."""

    raw: bytes
    digest: Digest
    exercises: tuple[str, ...]  # ids of the exercises that it checks, in order


def parse(raw: bytes) -> Notebook:
    """Read a notebook (format 4). Raises NotANotebook."""
    try:
        cells = json.loads(raw)["cells"]
        texts = [(str(cell["cell_type"]), text_of(cell["source"])) for cell in cells]
        attached = [cell.get("attachments") or None for cell in cells]  # pictures pasted into Markdown
        outputs = [(cell.get("execution_count"), outputs_of(cell)) for cell in cells]
    except UnicodeDecodeError:
        raise NotANotebook("is not text") from None
    except json.JSONDecodeError:
        raise NotANotebook("is damaged: it is not whole JSON") from None
    except (LookupError, TypeError, AttributeError, RecursionError, ValueError):
        raise NotANotebook("is not a notebook") from None
    written = list(zip(texts, attached))
    # Shift+Enter in the last cell adds an empty one: that is running, not writing.
    while written and not written[-1][0][1].strip():
        written.pop()
    ids = [found for kind, text in texts if kind == "code" for found in EXERCISE.findall(text)]
    digest = Digest(fingerprint(written), fingerprint(outputs), sha256(raw).hexdigest())
    return Notebook(raw, digest, tuple(unique(ids)))


def text_of(value: str | list[str]) -> str:
    """Return a source or text, which a file may hold in one piece or as lines."""
    return value if isinstance(value, str) else "".join(value)


def outputs_of(cell: Mapping[str, Any]) -> list[Any]:
    """Return a cell's outputs in one form, whoever saved them: texts in one piece, pieces of one stream joined."""
    result: list[Any] = []
    for output in cell.get("outputs", []):
        kind = output["output_type"]
        if kind == "stream":
            name, text = output["name"], text_of(output["text"])
            if result and result[-1][:2] == [kind, name]:
                result[-1][2] += text
            else:
                result.append([kind, name, text])
        elif kind == "error":
            result.append([kind, output["ename"], output["evalue"], output["traceback"]])
        else:
            data = {mime: text_of(v) if is_lines(v) else v for mime, v in output["data"].items()}
            result.append([kind, data, output.get("execution_count")])
    return result


def is_lines(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(line, str) for line in value)


def fingerprint(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def unique(items: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(items))


@dataclass(frozen=True)
class Found:
    """What lies at a place in work/: nothing, a notebook, or something in the way."""

    notebook: Notebook | None = None
    trouble: str = ""  # why it is not a notebook that can be replaced; completes "this file ..."

    @property
    def is_missing(self) -> bool:
        return self.notebook is None and not self.trouble


def look(path: Path) -> Found:
    """Look at a place without changing anything."""
    if path.is_symlink():
        return Found(trouble="is a link to another place")
    if path.is_dir():
        return Found(trouble="is a folder")
    try:
        return Found(parse(path.read_bytes()))
    except FileNotFoundError:
        return Found()
    except NotANotebook as error:
        return Found(trouble=str(error))
    except OSError as error:
        return Found(trouble=f"cannot be read ({error.strerror})")


# --- What each copy was made from -------------------------------------------------------------------------------------


@dataclass
class Entry:
    """One copy's entry: the edition it was made from, and the one that is about to take its place."""

    made_from: Digest | None = None
    coming: Digest | None = None


class Ledger:
    """`work/.editions.json`: which edition each file in work/ was made from."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / LEDGER
        self.entries: dict[str, Entry] = {}
        self.stored: dict[str, Any] = {}
        self.damaged = False
        try:
            self.stored = json.loads(self.file.read_bytes())
            if self.stored["version"] != 1:
                raise ValueError("another version's file")
            for name, entry in self.stored["copies"].items():
                self.entries[name] = Entry(**{key: Digest(**value) for key, value in entry.items()})
        except FileNotFoundError:
            pass
        except (ValueError, LookupError, TypeError, AttributeError):
            self.entries, self.stored, self.damaged = {}, {}, True

    def made_from(self, name: str, found: Found) -> Digest | None:
        """Return the edition that the file at this place was made from, None where nobody noted it.

        Where a program was killed between noting a coming edition and placing it, the file itself tells which it is:
        the coming one if it says and shows what that does, or says it and no longer what the old one did.
        """
        entry = self.entries.get(name, Entry())
        if entry.coming is not None and found.notebook is not None:
            now, coming, old = found.notebook.digest, entry.coming, entry.made_from
            same = now.sources == coming.sources
            if same and (now.outputs == coming.outputs or old is None or old.sources != now.sources):
                return coming
        return entry.made_from

    def expect(self, name: str, edition: Digest) -> None:
        """Note that this edition is about to be placed."""
        self.entries.setdefault(name, Entry()).coming = edition

    def settle(self, name: str, edition: Digest) -> None:
        """Note that the file was made from this edition."""
        self.entries[name] = Entry(edition)

    def forget(self, name: str) -> None:
        self.entries.pop(name, None)

    def save(self) -> None:
        """Write the file, if it says anything new. Raises OSError."""
        copies = {
            name: {key: value for key, value in asdict(entry).items() if value is not None}
            for name, entry in sorted(self.entries.items())
        }
        content = {"version": 1, "copies": copies}
        if content == self.stored:
            return
        if self.damaged:
            os.replace(self.file, self.file.with_name(f"{LEDGER}.damaged"))
            self.damaged = False
        files.write_whole(self.file, (json.dumps(content, indent=1) + "\n").encode())
        self.stored = content


# --- What is to be done: nothing is changed here ----------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One file of work/ to place, replace or remove."""

    name: str
    edition: Notebook | None  # what comes there; None removes the file
    seen: Notebook | None  # what the decision was made on; None where nothing was there
    keep: bool = False  # store what is there in earlier/ first


@dataclass
class Plan:
    """What is to be done for one chapter."""

    steps: list[Step] = field(default_factory=list)
    beside: str | None = None  # file that holds the present edition, beside a touched copy
    trouble: str = ""  # what lies in the chapter's place


def is_untouched(notebook: Notebook, made_from: Digest) -> bool:
    """Whether a notebook says what the edition said from which it was made."""
    return notebook.digest.sources == made_from.sources


def was_run(notebook: Notebook, made_from: Digest) -> bool:
    """Whether a notebook shows other results than the edition from which it was made."""
    return notebook.digest.outputs != made_from.outputs


def is_as_made(notebook: Notebook, made_from: Digest) -> bool:
    """Whether nobody touched or ran a notebook: it holds nothing but what was put there."""
    return is_untouched(notebook, made_from) and not was_run(notebook, made_from)


def plan_chapter(name: str, edition: Notebook, folder: Path, ledger: Ledger) -> Plan:
    """Decide what becomes of one chapter in work/; notes in the ledger what is already in place."""
    found = look(folder / name)
    if found.trouble:
        return Plan(trouble=found.trouble)
    if found.notebook is None:
        return Plan([Step(name, edition, None), *unneeded_beside(name, folder, ledger)])
    copy, present, made_from = found.notebook, edition.digest, ledger.made_from(name, found)
    steps: list[Step] = []
    if copy.digest.sources == present.sources:
        # The text is the present one. Only the book's own outputs are replaced by newer ones; the reader's stay.
        if made_from is not None and is_as_made(copy, made_from) and made_from.file != present.file:
            steps.append(Step(name, edition, copy))
        else:
            ledger.settle(name, present)
    elif made_from is not None and is_untouched(copy, made_from):
        steps.append(Step(name, edition, copy, keep=was_run(copy, made_from)))
    elif made_from is None or made_from.sources != present.sources:
        return plan_beside(name, edition, folder, ledger)
    return Plan([*steps, *unneeded_beside(name, folder, ledger)])


def beside_files(name: str, folder: Path, ledger: Ledger) -> dict[int, str]:
    """Return number -> file name of each edition placed beside a copy, in order, those since deleted among them."""
    pattern = re.compile(re.escape(name.removesuffix(".ipynb")) + r"\.edition-(\d+)\.ipynb")
    names = {path.name for path in folder.iterdir()} | set(ledger.entries)
    return dict(sorted((int(match[1]), match[0]) for match in map(pattern.fullmatch, names) if match))


def plan_beside(name: str, edition: Notebook, folder: Path, ledger: Ledger) -> Plan:
    """Decide where the present edition lies beside a touched copy."""
    numbered = beside_files(name, folder, ledger)
    replaceable: list[tuple[str, Notebook, Digest]] = []
    for file in numbered.values():
        found = look(folder / file)
        made_from = ledger.made_from(file, found)
        if found.notebook is not None and found.notebook.digest.sources == edition.digest.sources:
            made_from = made_from or edition.digest
        if made_from is None:
            continue
        if made_from.sources == edition.digest.sources:
            # The present edition is there already, edited perhaps; or the reader deleted it: not wanted, not told.
            ledger.settle(file, made_from)
            return Plan(beside=None if found.is_missing else file)
        if found.notebook is not None and is_untouched(found.notebook, made_from):
            replaceable.append((file, found.notebook, made_from))
    if replaceable:
        file, old, made_from = replaceable[-1]
        return Plan([Step(file, edition, old, keep=was_run(old, made_from))], file)
    taken = [number for number, file in numbered.items() if os.path.lexists(folder / file)]
    file = f"{name.removesuffix('.ipynb')}.edition-{max(taken, default=1) + 1}.ipynb"
    return Plan([Step(file, edition, None)], file)


def unneeded_beside(name: str, folder: Path, ledger: Ledger) -> list[Step]:
    """Return steps that remove editions beside a copy that needs none, as long as nobody ran or changed them."""
    steps = []
    for file in beside_files(name, folder, ledger).values():
        found = look(folder / file)
        made_from = ledger.made_from(file, found)
        if found.is_missing:
            ledger.forget(file)
        elif found.notebook is not None and made_from is not None and is_as_made(found.notebook, made_from):
            steps.append(Step(file, None, found.notebook))
    return steps


# --- Doing it ---------------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """What the reader is told, and whether all could be done."""

    lines: list[str] = field(default_factory=list)
    whole: bool = True

    def fail(self, line: str) -> None:
        self.lines.append(line)
        self.whole = False


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one program at a time change work/; where the system has no such lock, go on without."""
    with open(folder / ".lock", "a") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        except (ImportError, OSError):
            pass
        yield


def place_in_earlier(path: Path, raw: bytes | None) -> Path:
    """Return where in earlier/ something is kept: chapter, date and time of its last change; always a free name.

    A file with these very bytes under that name is the place too: a program was stopped after it had stored them.
    """
    earlier = path.parent / EARLIER
    earlier.mkdir(exist_ok=True)
    changed = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(path.lstat().st_mtime))
    number = 1
    while True:
        again = f"_{number}" if number > 1 else ""
        place = earlier / f"{path.stem}.{changed}{again}{path.suffix}"
        if not os.path.lexists(place) or (raw is not None and place.is_file() and place.read_bytes() == raw):
            return place
        number += 1


def keep_earlier(path: Path, raw: bytes) -> Path:
    """Store a copy of a file in earlier/, with its time. The file itself stays where it is."""
    place = place_in_earlier(path, raw)
    if not place.exists():
        files.write_whole(place, raw)
    times = path.stat()
    os.utime(place, (times.st_atime, times.st_mtime))
    return place


def carry_out(step: Step, folder: Path, ledger: Ledger) -> Path | None:
    """Do one step; return where the reader's run was kept. Raises OSError, and then this file is as it was."""
    path = folder / step.name
    before = step.seen.raw if step.seen is not None else None
    now = path.read_bytes() if path.is_file() else None
    if now != before or (before is None and os.path.lexists(path)):
        raise OSError("it changed at this very moment and is left as it is; `make lab` once more")
    if step.edition is None:
        path.unlink()
        ledger.forget(step.name)
        return None
    kept = keep_earlier(path, before) if step.keep and before is not None else None
    files.write_whole(path, step.edition.raw)
    ledger.settle(step.name, step.edition.digest)
    return kept


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files of programs that were killed."""
    for path in [*folder.iterdir(), *((folder / EARLIER).iterdir() if (folder / EARLIER).is_dir() else ())]:
        if LEFTOVER.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def read_editions(books: Path, report: Report) -> dict[str, Notebook]:
    """Return file name -> present edition of each chapter; one that cannot be read is told and left out."""
    editions = {}
    for path in sorted(books.iterdir()):
        if not CHAPTER.fullmatch(path.name):
            continue
        found = look(path.resolve())
        if found.notebook is not None:
            editions[path.name] = found.notebook
        else:
            report.fail(
                f"notebooks/{path.name} {found.trouble}: your copy stays as it is. `git status` may say more, and\n"
                f"      `git checkout notebooks/{path.name}` brings the chapter back"
            )
    return editions


def sync(books: Path = BOOKS, work: Path = WORK, start_over: Sequence[str] = ()) -> Report:
    """Bring work/ up to date with the book, and first start these chapters over (their file names)."""
    report = Report()
    try:
        work.mkdir(parents=True, exist_ok=True)
        with locked(work):
            remove_leftovers(work)
            editions, ledger = read_editions(books, report), Ledger(work)
            if ledger.damaged:
                report.lines.append(
                    f"work/{LEDGER} was damaged: a copy that differs from the present edition counts as yours"
                )
            begin_again({name: editions[name] for name in start_over}, work, ledger, report)
            plans = {name: plan_chapter(name, edition, work, ledger) for name, edition in editions.items()}
            follow(plans, work, ledger, report)
            write_index(books, work, editions, plans, ledger, report)
    except OSError as error:
        report.fail(f"work/ could not be brought up to date: {said(error)}. Every file of yours is whole")
    return report


def said(error: OSError) -> str:
    """Return an error in words: our own sentence, or the system's with the file that it speaks of."""
    if error.strerror is None:
        return str(error)
    return f"{error.strerror.lower()}: {error.filename}" if error.filename else error.strerror.lower()


def follow(plans: Mapping[str, Plan], work: Path, ledger: Ledger, report: Report) -> None:
    """Carry out the plans of all chapters, and tell what the reader should know."""
    steps = [step for plan in plans.values() for step in plan.steps]
    for step in steps:
        if step.edition is not None:
            ledger.expect(step.name, step.edition.digest)
    ledger.save()
    new: list[str] = []
    followed: list[str] = []
    for step in steps:
        try:
            kept = carry_out(step, work, ledger)
        except OSError as error:
            report.fail(f"work/{step.name} stays as it is: {error.strerror or error}")
            continue
        if kept is not None:
            report.lines.append(
                f"{step.name} follows the new edition; your run of it is kept: work/{EARLIER}/{kept.name}"
            )
        elif step.name in plans:
            (new if step.seen is None else followed).append(step.name)
    ledger.save()
    if new:
        report.lines.append(f"{listed(new)} copied to work/: yours, to change and to run")
    if followed:
        report.lines.append(f"{listed(followed)} brought to the new edition")
    for name, plan in plans.items():
        if plan.trouble:
            report.fail(
                f"work/{name} {plan.trouble}: left as it is. `make fresh ARGS={number_of(name)}` moves it to\n"
                f"      work/{EARLIER}/ and puts the chapter in its place"
            )
        if plan.beside is not None and (work / plan.beside).exists():
            report.lines.append(f"you changed {name}: the new edition lies beside it, work/{plan.beside}")


def listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} chapters"


def number_of(name: str) -> str:
    return name.split("_")[0]


def write_index(
    books: Path,
    work: Path,
    editions: Mapping[str, Notebook],
    plans: Mapping[str, Plan],
    ledger: Ledger,
    report: Report,
) -> None:
    """Write work/index.md: the book's index with the reader's progress and what lies beside. Raises OSError."""
    notes = {}
    for name, plan in plans.items():
        if plan.trouble:
            notes[name] = f"your file {plan.trouble}: `make fresh ARGS={number_of(name)}`"
        elif plan.beside is not None and (work / plan.beside).exists():
            notes[name] = f"[a new edition]({plan.beside}) lies beside your copy"
    gone = [
        name
        for name in sorted(ledger.entries)
        if CHAPTER.fullmatch(name) and not (books / name).exists() and (work / name).exists()
    ]
    base = (books / "index.md").read_text(encoding="utf-8")
    page = progress.index_page(base, {name: book.exercises for name, book in editions.items()}, notes, gone)
    path = work / "index.md"
    if os.path.lexists(path):
        if path.is_symlink() or not path.is_file():
            report.fail("work/index.md is not a plain file: left as it is, and no index is written")
            return
        old = path.read_bytes()
        if old == page.encode():
            return
        if progress.made_body(old.decode(errors="replace")) is None:
            kept = keep_earlier(path, old)
            report.lines.append(f"somebody wrote into work/index.md; that page is kept: work/{EARLIER}/{kept.name}")
    files.write_whole(path, page.encode())


# --- Starting over ----------------------------------------------------------------------------------------------------


def begin_again(editions: Mapping[str, Notebook], work: Path, ledger: Ledger, report: Report) -> None:
    """Start these chapters over, and tell where what was there is kept. Raises OSError."""
    unchanged: list[str] = []
    started: list[str] = []
    for name, edition in editions.items():
        found = look(work / name)
        if found.is_missing:
            continue  # as every missing copy, it is made next
        if found.notebook is not None and is_as_made(found.notebook, edition.digest):
            unchanged.append(name)
            continue
        kept = put_away(name, found, edition, work, ledger)
        started.append(name)
        report.lines.append(f"{name} starts over; yours is kept: work/{EARLIER}/{kept.name}")
    if unchanged:
        report.lines.append(f"{listed(unchanged)}: the present edition already, unchanged")
    if started:
        report.lines.append("what is open in JupyterLab: close its tab and open it again. Passed exercises stay passed")


def put_away(name: str, found: Found, edition: Notebook, work: Path, ledger: Ledger) -> Path:
    """Keep what lies in a chapter's place in earlier/, and place the edition there; return where it is kept."""
    if found.notebook is None:
        # No bytes to copy (a folder, a link, another kind of file): the thing itself moves, and the copy is made next.
        kept = place_in_earlier(work / name, None)
        os.rename(work / name, kept)
        ledger.forget(name)
        return kept
    ledger.expect(name, edition.digest)
    ledger.save()
    place = carry_out(Step(name, edition, found.notebook, keep=True), work, ledger)
    ledger.save()
    assert place is not None, "a step that keeps says where"
    return place


def chosen(words: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the chapters that these words name: "05", "5", "12" (12a and 12b), "12a", "05_maml".

    Raises ValueError naming every word that names no chapter.
    """
    found: list[str] = []
    unknown: list[str] = []
    for word in words:
        stem = word.lower().removesuffix(".ipynb")
        number = stem.zfill(3 if stem[-1:].isalpha() else 2)
        hits = [n for n in names if n == f"{stem}.ipynb" or number_of(n) == number or number_of(n)[:2] == number]
        found += hits
        unknown += [] if hits else [word]
    if unknown:
        there_are = ", ".join(number_of(name) for name in names) or "none"
        raise ValueError(f"no chapter {', '.join(map(repr, unknown))}; there are: {there_are}")
    return unique(found)


def to_start_over(words: Sequence[str], everything: bool, books: Path = BOOKS) -> list[str]:
    """Return the chapters that a reader wants fresh. Raises ValueError when they are not named well."""
    names = sorted(path.name for path in books.iterdir() if CHAPTER.fullmatch(path.name))
    if everything and words:
        raise ValueError("either chapters or --all, not both")
    if not everything and not words:
        raise ValueError('which chapter? make fresh ARGS=05 (ARGS="05 06" for several, ARGS=--all for every one)')
    wanted = names if everything else chosen(words, names)
    for name in wanted:
        if trouble := look((books / name).resolve()).trouble:
            raise ValueError(f"notebooks/{name} {trouble}: nothing was changed")
    return wanted


def show(report: Report) -> None:
    """Print what the reader is told."""
    for line in report.lines:
        print(f"[work] {line}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("sync", help="copy what is missing, bring what is unchanged up to date")
    over = commands.add_parser("fresh", help="start chapters over; yours are kept in work/earlier/")
    over.add_argument("chapters", nargs="*", metavar="NN")
    over.add_argument("--all", action="store_true", help="every chapter")
    given = parser.parse_args(arguments)
    try:
        wanted = to_start_over(given.chapters, given.all) if given.command == "fresh" else []
    except ValueError as error:
        print(f"[work] {error}", file=sys.stderr)
        return 2
    report = sync(start_over=wanted)
    show(report)
    return 0 if report.whole else 1


if __name__ == "__main__":
    sys.exit(main())
