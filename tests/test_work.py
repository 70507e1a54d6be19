"""The reader's own copies of the chapters: whatever happens to the book, nothing of the reader's is lost.

Each case is played in a folder of its own: a book of two chapters in notebooks/, and the copies in work/.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import lab
import pytest
import work as tool

from metarl_lab.runs.files import find_folder
from metarl_lab.teach.exercises import every

ROOT = Path(__file__).resolve().parent.parent
MAML, RL2 = "05_maml.ipynb", "08_rl2.ipynb"
INDEX = f"""# The chapters

Read them in order.

## Algorithms

| | Chapter |
|---|---|
| 05 | [MAML]({MAML}) |
| 08 | [RL2]({RL2}) |

More in the [README](../README.md).
"""


def code(source: str, printed: str = "", count: int | None = 1) -> dict:
    """A code cell as the book stores it."""
    outputs = [{"name": "stdout", "output_type": "stream", "text": [printed]}] if printed else []
    return {
        "cell_type": "code",
        "execution_count": count,
        "id": "a",
        "metadata": {},
        "outputs": outputs,
        "source": source,
    }


def words(source: str) -> dict:
    return {"cell_type": "markdown", "id": "b", "metadata": {}, "source": source}


def chapter(title: str, printed: str = "3\n", *more: dict) -> dict:
    """A chapter of four cells, one of them a figure, or more."""
    picture = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"text/plain": "<Figure>\n", "text/html": "<img\nalt='a'>"},
    }
    figure = {**code("plot(x)", count=2), "outputs": [picture]}
    answer = code('answer = ...\ncheck("05.1", answer)\ncheck("05.2", 3)', "05.1 not yet answered.\n", 3)
    metadata = {"kernelspec": {"name": "python3"}, "widgets": {"state": {"a": 1}}}
    cells = [words(f"# {title}\n\nText."), code("x = 3\nprint(x)", printed), figure, answer, *more]
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def write(path: Path, notebook: dict) -> bytes:
    path.write_text(json.dumps(notebook, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path.read_bytes()


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def change(path: Path, edit) -> bytes:
    """Let `edit` change a stored notebook; return the new bytes."""
    notebook = read(path)
    edit(notebook)
    return write(path, notebook)


def saved_by_jupyterlab(notebook: dict) -> None:
    """What JupyterLab changes when it opens and saves a notebook that nobody ran or edited."""
    language = {"name": "python", "version": "3.13.1", "nbconvert_exporter": "python"}
    notebook["metadata"] = {"kernelspec": {"display_name": "Python 3", "name": "python3"}, "language_info": language}
    for number, cell in enumerate(notebook["cells"]):
        cell.update(id=f"new-{number}", source=cell["source"].splitlines(keepends=True))
        cell["metadata"] = {"trusted": True, "collapsed": False, "jupyter": {"source_hidden": False}}
        if cell["cell_type"] == "markdown":
            cell["attachments"] = {}
        for output in cell.get("outputs", []):
            if "text" in output:
                whole = "".join(output["text"])
                output["text"] = whole[:1]
                cell["outputs"] = [output, {**output, "text": whole[1:]}]
            for mime, value in output.get("data", {}).items():
                output["data"][mime] = value.splitlines(keepends=True)


def run(notebook: dict) -> None:
    """The reader runs the chapter at full speed, and changes nothing."""
    notebook["cells"][1]["outputs"][0]["text"] = ["3.0001\n"]


def run_with_equal_results(notebook: dict) -> None:
    notebook["cells"][1]["execution_count"] = 7


def run_to_the_end(notebook: dict) -> None:
    """Shift+Enter in the last cell: JupyterLab adds an empty one."""
    notebook["cells"].append(code("", count=None))


def edit_code(notebook: dict) -> None:
    notebook["cells"][3]["source"] = 'answer = 4\ncheck("05.1", answer)'


def edit_text(notebook: dict) -> None:
    notebook["cells"][0]["source"] += " My note."


def add_a_cell(notebook: dict) -> None:
    notebook["cells"].insert(2, code("my_idea = 1"))


def add_a_cell_at_the_end(notebook: dict) -> None:
    notebook["cells"].append(words("My summary."))


def remove_a_cell(notebook: dict) -> None:
    del notebook["cells"][2]


def move_a_cell(notebook: dict) -> None:
    notebook["cells"][1:3] = notebook["cells"][2:0:-1]


def make_code_text(notebook: dict) -> None:
    notebook["cells"][2] = words("plot(x)")


def paste_a_picture(notebook: dict) -> None:
    notebook["cells"][0]["attachments"] = {"image.png": {"image/png": "iVBOR"}}


RUNS = [run, run_with_equal_results, run_to_the_end]
TOUCHES = [edit_code, edit_text, add_a_cell, add_a_cell_at_the_end, remove_a_cell, move_a_cell, make_code_text]
TOUCHES += [paste_a_picture]


class Checkout:
    """A book, the reader's copies, and what the last `make lab` said."""

    def __init__(self, folder: Path) -> None:
        self.books, self.work = folder / "notebooks", folder / "work"
        self.books.mkdir(parents=True)
        (self.books / "index.md").write_text(INDEX, encoding="utf-8")
        self.publish("MAML")
        write(self.books / RL2, chapter("RL2"))
        self.said = ""

    def publish(self, title: str, printed: str = "3\n", name: str = MAML) -> bytes:
        """Put a new edition of a chapter into the book."""
        return write(self.books / name, chapter(title, printed))

    def sync(self, start_over: tuple[str, ...] = (), whole: bool = True) -> str:
        report = tool.sync(self.books, self.work, start_over)
        self.said = "\n".join(report.lines)
        assert report.whole == whole, self.said
        return self.said

    def fresh(self, *names: str, everything: bool = False) -> str:
        return self.sync(tuple(tool.to_start_over(names, everything, self.books)))

    def files(self) -> dict[str, bytes]:
        """Name -> bytes of every file in work/ that a reader sees."""
        found = (path for path in self.work.rglob("*") if path.is_file() and not path.name.startswith("."))
        return {path.relative_to(self.work).as_posix(): path.read_bytes() for path in found}

    def notebooks(self) -> set[str]:
        return {name for name in self.files() if name.endswith(".ipynb")}

    def earlier(self) -> list[Path]:
        return sorted((self.work / "earlier").glob("*")) if (self.work / "earlier").exists() else []

    def row(self, name: str = MAML) -> str:
        """The chapter's row on the index page, without comments."""
        page = (self.work / "index.md").read_text(encoding="utf-8")
        row = next(line for line in page.splitlines() if f"]({name})" in line)
        return re.sub("<!--.*?-->", "", row)


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Checkout:
    """A checkout in which `make lab` was called once."""
    monkeypatch.setenv("METARL_HOME", str(tmp_path / "home"))
    made = Checkout(tmp_path / "checkout")
    made.sync()
    return made


# --- Copies and editions ----------------------------------------------------------------------------------------------


def test_chapters_are_copied_and_a_second_call_changes_and_says_nothing(checkout):
    assert f"{MAML}, {RL2} copied to work/" in checkout.said
    assert (checkout.work / MAML).read_bytes() == (checkout.books / MAML).read_bytes()
    before = {path: path.stat().st_mtime_ns for path in checkout.work.rglob("*") if path.name != ".lock"}
    assert checkout.sync() == ""
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert checkout.notebooks() == {MAML, RL2}


def test_a_copy_that_is_missing_is_made_again(checkout):
    (checkout.work / MAML).unlink()
    assert "copied" in checkout.sync()
    assert (checkout.work / MAML).read_bytes() == (checkout.books / MAML).read_bytes()


@pytest.mark.parametrize("saved", [False, True], ids=["as copied", "saved by JupyterLab"])
def test_an_untouched_copy_follows_every_new_edition(checkout, saved):
    for title in ("MAML, second edition", "MAML, third edition"):
        if saved:
            change(checkout.work / MAML, saved_by_jupyterlab)
            assert checkout.sync() == ""
        new = checkout.publish(title)
        assert f"{MAML} brought to the new edition" in checkout.sync()
        assert (checkout.work / MAML).read_bytes() == new
    assert checkout.notebooks() == {MAML, RL2} and checkout.earlier() == []


@pytest.mark.parametrize("ran", RUNS, ids=lambda f: f.__name__)
def test_a_copy_that_was_run_follows_and_the_run_is_kept(checkout, ran):
    mine = change(checkout.work / MAML, ran)
    os.utime(checkout.work / MAML, (1_700_000_000, 1_700_000_000))
    new = checkout.publish("MAML, second edition")
    said = checkout.sync()
    (kept,) = checkout.earlier()
    assert (checkout.work / MAML).read_bytes() == new
    assert kept.read_bytes() == mine and kept.stat().st_mtime == 1_700_000_000
    assert re.fullmatch(r"05_maml\.2023-11-1\d_\d\d-\d\d-\d\d\.ipynb", kept.name), kept.name
    assert f"your run of it is kept: work/earlier/{kept.name}" in said


def test_a_run_never_overwrites_an_earlier_one_of_the_same_second(checkout):
    runs = []
    for number in range(3):
        runs.append(change(checkout.work / MAML, lambda nb, n=number: nb["cells"][1].update(execution_count=90 + n)))
        os.utime(checkout.work / MAML, (1_700_000_000, 1_700_000_000))
        checkout.publish(f"edition {number}")
        checkout.sync()
    assert {path.read_bytes() for path in checkout.earlier()} == set(runs)


@pytest.mark.parametrize("touch", TOUCHES, ids=lambda f: f.__name__)
def test_a_touched_copy_stays_and_the_new_edition_lies_beside_it(checkout, touch):
    mine = change(checkout.work / MAML, touch)
    assert checkout.sync() == "", "without a new edition there is nothing to tell"
    new = checkout.publish("MAML, second edition")
    for _ in range(3):
        assert f"you changed {MAML}: the new edition lies beside it, work/05_maml.edition-2.ipynb" in checkout.sync()
        assert (checkout.work / MAML).read_bytes() == mine
        assert (checkout.work / "05_maml.edition-2.ipynb").read_bytes() == new
        assert checkout.notebooks() == {MAML, RL2, "05_maml.edition-2.ipynb"} and checkout.earlier() == []
        assert checkout.row().endswith(
            "| 0 of 2 done; [a new edition](05_maml.edition-2.ipynb) lies beside your copy |"
        )
    assert "edition" not in checkout.row(RL2)


def test_a_touched_copy_that_jupyterlab_saves_again_is_still_touched_and_nothing_more(checkout):
    change(checkout.work / MAML, edit_code)
    change(checkout.work / MAML, saved_by_jupyterlab)
    assert checkout.sync() == ""
    checkout.publish("MAML, second edition")
    assert "you changed" in checkout.sync()


def test_a_second_new_edition_replaces_the_untouched_one_beside(checkout):
    mine = change(checkout.work / MAML, edit_code)
    for title in ("second", "third", "fourth"):
        new = checkout.publish(title)
        checkout.sync()
        change(checkout.work / "05_maml.edition-2.ipynb", saved_by_jupyterlab)
        assert tool.parse((checkout.work / "05_maml.edition-2.ipynb").read_bytes()).digest.sources == (
            tool.parse(new).digest.sources
        )
    assert checkout.notebooks() == {MAML, RL2, "05_maml.edition-2.ipynb"} and checkout.earlier() == []
    assert (checkout.work / MAML).read_bytes() == mine


def test_an_edition_beside_that_was_run_is_kept_when_it_gives_way(checkout):
    change(checkout.work / MAML, edit_code)
    checkout.publish("second")
    checkout.sync()
    ran = change(checkout.work / "05_maml.edition-2.ipynb", run)
    new = checkout.publish("third")
    checkout.sync()
    assert [path.read_bytes() for path in checkout.earlier()] == [ran]
    assert (checkout.work / "05_maml.edition-2.ipynb").read_bytes() == new


def test_an_edition_beside_that_was_touched_stays_and_the_next_gets_the_next_number(checkout):
    first = change(checkout.work / MAML, edit_code)
    checkout.publish("second")
    checkout.sync()
    second = change(checkout.work / "05_maml.edition-2.ipynb", add_a_cell)
    assert "05_maml.edition-2.ipynb" in checkout.sync(), "it is still the present edition, in the reader's hands"
    assert checkout.notebooks() == {MAML, RL2, "05_maml.edition-2.ipynb"}
    for title in ("third", "fourth"):
        new = checkout.publish(title)
        assert "work/05_maml.edition-3.ipynb" in checkout.sync()
        assert (checkout.work / "05_maml.edition-3.ipynb").read_bytes() == new
    assert (checkout.work / MAML).read_bytes() == first
    assert (checkout.work / "05_maml.edition-2.ipynb").read_bytes() == second
    assert "(05_maml.edition-3.ipynb)" in checkout.row() and "edition-2" not in checkout.row()


def test_a_file_of_the_readers_that_has_the_next_number_is_left_alone(checkout):
    change(checkout.work / MAML, edit_code)
    (checkout.work / "05_maml.edition-2.ipynb").mkdir()
    (checkout.work / "05_maml.edition-3.ipynb").write_text("notes")
    new = checkout.publish("second")
    checkout.sync()
    assert (checkout.work / "05_maml.edition-4.ipynb").read_bytes() == new
    assert (checkout.work / "05_maml.edition-3.ipynb").read_text() == "notes"


def test_the_tenth_edition_comes_after_the_second(checkout):
    """By number, not by letter: the newest untouched one gives way."""
    change(checkout.work / MAML, edit_code)
    checkout.publish("second")
    checkout.sync()
    second = checkout.work / "05_maml.edition-2.ipynb"
    as_made = second.read_bytes()
    change(second, edit_text)
    write(checkout.work / "05_maml.edition-9.ipynb", chapter("the reader's own"))
    checkout.publish("third")
    assert "edition-10" in checkout.sync()
    second.write_bytes(as_made)  # the reader takes the edit back: now two could give way
    new = checkout.publish("fourth")
    assert "edition-10" in checkout.sync() and second.read_bytes() == as_made
    assert (checkout.work / "05_maml.edition-10.ipynb").read_bytes() == new


def test_an_edition_that_the_reader_deleted_stays_away_until_the_next_one(checkout):
    change(checkout.work / MAML, edit_code)
    checkout.publish("second")
    checkout.sync()
    (checkout.work / "05_maml.edition-2.ipynb").unlink()
    assert checkout.sync() == "" and checkout.notebooks() == {MAML, RL2}
    assert "edition" not in checkout.row()
    new = checkout.publish("third")
    assert "edition-2" in checkout.sync()
    assert (checkout.work / "05_maml.edition-2.ipynb").read_bytes() == new


def test_a_reader_who_takes_the_new_edition_over_has_a_copy_that_follows(checkout):
    change(checkout.work / MAML, edit_code)
    checkout.publish("second")
    checkout.sync()
    (checkout.work / MAML).rename(checkout.work / "my_old_maml.ipynb")
    (checkout.work / "05_maml.edition-2.ipynb").rename(checkout.work / MAML)
    assert checkout.sync() == ""
    new = checkout.publish("third")
    checkout.sync()
    assert (checkout.work / MAML).read_bytes() == new
    assert checkout.notebooks() == {MAML, RL2, "my_old_maml.ipynb"}


@pytest.mark.parametrize("worked", [None, run, edit_text], ids=["as made", "run", "touched"])
def test_an_edition_beside_that_is_not_needed_any_more_goes_unless_the_reader_worked_in_it(checkout, worked):
    first = (checkout.books / MAML).read_bytes()
    mine = change(checkout.work / MAML, edit_code)
    checkout.publish("second")
    checkout.sync()
    if worked:
        change(checkout.work / "05_maml.edition-2.ipynb", worked)
    (checkout.books / MAML).write_bytes(first)  # the edition that the reader's copy was made from is back
    checkout.sync()
    assert (checkout.work / MAML).read_bytes() == mine
    assert ("05_maml.edition-2.ipynb" in checkout.notebooks()) == (worked is not None)
    assert "edition" not in checkout.row()


def test_new_results_of_the_same_text_reach_untouched_copies_only(checkout):
    ran = change(checkout.work / MAML, run)
    touched = change(checkout.work / RL2, edit_code)
    checkout.publish("MAML", "3.5\n")
    checkout.publish("RL2", "3.5\n", RL2)
    assert checkout.sync() == ""
    assert (checkout.work / MAML).read_bytes() == ran and (checkout.work / RL2).read_bytes() == touched
    (checkout.work / MAML).unlink()
    checkout.sync()
    new = checkout.publish("MAML", "3.7\n")
    checkout.sync()
    assert (checkout.work / MAML).read_bytes() == new
    # and when the text changes after all, the run that stayed is kept
    ran = change(checkout.work / MAML, run)
    checkout.publish("MAML", "3.9\n")
    checkout.sync()
    checkout.publish("MAML, second edition")
    checkout.sync()
    assert [path.read_bytes() for path in checkout.earlier()] == [ran]


def test_an_edition_that_hides_a_cell_reaches_untouched_copies(checkout):
    new = change(checkout.books / MAML, lambda nb: nb["cells"][1]["metadata"].update(tags=["hide-input"]))
    checkout.sync()
    assert (checkout.work / MAML).read_bytes() == new


def test_a_chapter_that_left_the_book_stays_with_the_reader(checkout):
    mine = change(checkout.work / MAML, edit_code)
    other = (checkout.work / RL2).read_bytes()
    (checkout.books / MAML).unlink()
    (checkout.books / RL2).unlink()
    write(checkout.books / "12a_discount.ipynb", chapter("A"))
    assert checkout.sync() == "12a_discount.ipynb copied to work/: yours, to change and to run"
    assert (checkout.work / MAML).read_bytes() == mine and (checkout.work / RL2).read_bytes() == other
    page = (checkout.work / "index.md").read_text()
    assert f"## No longer in the book\n\n- [{MAML}]({MAML})" in page


def test_other_files_in_the_folder_are_nobodys_business(checkout):
    for name in ("notes.md", "99 my own.ipynb", "my_data.csv", ".hidden.tmp", "runs/metrics.jsonl"):
        (checkout.work / name).parent.mkdir(exist_ok=True)
        (checkout.work / name).write_text("mine")
    checkout.publish("second")
    checkout.sync()
    assert (checkout.work / "notes.md").read_text() == (checkout.work / ".hidden.tmp").read_text() == "mine"
    assert (checkout.work / "runs/metrics.jsonl").read_text() == "mine"


# --- Things in the way, damage, and full disks ------------------------------------------------------------------------


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "inside.txt").write_text("mine")


def a_link(path: Path) -> None:
    path.symlink_to("nowhere.ipynb")


IN_THE_WAY = {
    "a folder": a_folder,
    "a link": a_link,
    "text": lambda path: path.write_text("my notes"),
    "half a notebook": lambda path: path.write_text(json.dumps(chapter("MAML"))[:-100]),
    "an empty file": lambda path: path.write_text(""),
    "bytes": lambda path: path.write_bytes(b"\x89PNG\xff\x00"),
    "a list": lambda path: path.write_text("[]"),
    "a number": lambda path: path.write_text("3"),
    "cells that are none": lambda path: path.write_text('{"cells": [3]}'),
    "a source that is none": lambda path: path.write_text('{"cells": [{"cell_type": "code", "source": 3}]}'),
    "nests without end": lambda path: path.write_text("[" * 100_000),
}


def state_of(path: Path) -> object:
    if path.is_symlink():
        return os.readlink(path)
    return sorted((p.name, p.read_bytes()) for p in path.iterdir()) if path.is_dir() else path.read_bytes()


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_what_lies_in_a_chapters_place_is_told_and_left_until_fresh_moves_it(checkout, kind):
    path = checkout.work / MAML
    path.unlink()
    IN_THE_WAY[kind](path)
    mine = state_of(path)
    for title in ("MAML", "second"):
        new = checkout.publish(title)
        said = checkout.sync(whole=False)
        assert f"work/{MAML} " in said and "left as it is. `make fresh ARGS=05` moves it" in said
        assert state_of(path) == mine and "make fresh ARGS=05" in checkout.row()
    assert f"{MAML} starts over; yours is kept: work/earlier/05_maml." in checkout.fresh("05")
    (kept,) = checkout.earlier()
    assert state_of(kept) == mine and path.read_bytes() == new
    assert checkout.sync() == ""


def test_a_chapter_that_git_left_in_conflict_touches_no_copy(checkout):
    mine = change(checkout.work / MAML, edit_code)
    (checkout.books / MAML).write_text("<<<<<<< HEAD\n" + (checkout.books / MAML).read_text())
    (checkout.books / RL2).write_text("")
    said = checkout.sync(whole=False)
    assert f"notebooks/{MAML} is damaged" in said and "git checkout notebooks/05_maml.ipynb" in said
    assert (checkout.work / MAML).read_bytes() == mine and "No longer" not in (checkout.work / "index.md").read_text()
    with pytest.raises(ValueError, match="nothing was changed"):
        checkout.fresh("05")


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"version": 2}', '{"version": 1, "copies": {"a": 3}}'])
def test_without_the_record_of_editions_nothing_is_lost(checkout, content):
    mine = change(checkout.work / MAML, edit_code)
    ran = change(checkout.work / RL2, run)
    ledger = checkout.work / ".editions.json"
    ledger.unlink() if content is None else ledger.write_text(content)
    new = checkout.publish("second")
    newer = checkout.publish("RL2, second edition", name=RL2)
    said = checkout.sync()
    assert (".editions.json was damaged" in said) == (content is not None)
    assert (checkout.work / MAML).read_bytes() == mine and (checkout.work / RL2).read_bytes() == ran
    assert (checkout.work / "05_maml.edition-2.ipynb").read_bytes() == new
    assert (checkout.work / "08_rl2.edition-2.ipynb").read_bytes() == newer
    if content is not None:
        assert (checkout.work / ".editions.json.damaged").read_text() == content


def test_without_the_record_a_copy_equal_to_the_book_still_follows(checkout):
    (checkout.work / ".editions.json").unlink()
    assert checkout.sync() == ""
    new = checkout.publish("second")
    checkout.sync()
    assert (checkout.work / MAML).read_bytes() == new


def test_a_copy_from_before_there_was_a_record_is_the_readers(tmp_path):
    made = Checkout(tmp_path)
    made.work.mkdir()
    mine = write(made.work / MAML, chapter("an old edition"))
    made.sync()
    assert (made.work / MAML).read_bytes() == mine and "05_maml.edition-2.ipynb" in made.notebooks()


def no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def no_permission(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def busy_checkout(folder: Path) -> tuple[Checkout, dict[str, bytes]]:
    """One of each kind of work to do: a new chapter, one to follow, a run, a touched copy, an edition beside it.

    Returns it with everything in work/ that is the reader's.
    """
    made = Checkout(folder)
    for name in ("01_a.ipynb", "02_b.ipynb", "03_c.ipynb"):
        write(made.books / name, chapter(name))
    made.sync()
    change(made.work / MAML, edit_code)
    change(made.work / "02_b.ipynb", add_a_cell)
    made.publish("second")
    made.publish("second", name="02_b.ipynb")
    made.sync()
    mine = {
        "touched": (made.work / MAML).read_bytes(),
        "beside, run": change(made.work / "05_maml.edition-2.ipynb", run),
        "run": change(made.work / RL2, run),
        "touched too": (made.work / "02_b.ipynb").read_bytes(),
        "beside, touched": change(made.work / "02_b.edition-2.ipynb", edit_text),
    }
    for name in (MAML, RL2, "01_a.ipynb", "02_b.ipynb", "03_c.ipynb"):
        made.publish(f"{name}, last edition", name=name)
    write(made.books / "04_new.ipynb", chapter("new"))
    return made, mine


def assert_nothing_lost(made: Checkout, mine: dict[str, bytes]) -> None:
    """Each of the reader's notebooks is in work/ with all its bytes, and no visible file is half written."""
    held = made.files()
    for what, content in mine.items():
        assert content in held.values(), f"lost: {what}"
    assert held[MAML] == mine["touched"] and held["02_b.ipynb"] == mine["touched too"]
    for name, content in held.items():
        if name.endswith(".ipynb"):
            tool.parse(content)


def assert_done(made: Checkout, mine: dict[str, bytes]) -> None:
    """All is as after a call that nothing interrupted."""
    assert_nothing_lost(made, mine)
    book = {path.name: path.read_bytes() for path in made.books.glob("*.ipynb")}
    held = made.files()
    for name in (RL2, "01_a.ipynb", "03_c.ipynb", "04_new.ipynb"):
        assert held[name] == book[name], name
    assert held["05_maml.edition-2.ipynb"] == book[MAML] and held["02_b.edition-3.ipynb"] == book["02_b.ipynb"]
    assert sorted(path.read_bytes() for path in made.earlier()) == sorted([mine["run"], mine["beside, run"]])
    assert len(made.notebooks()) == 6 + 3 + 2
    leftovers = [p.name for p in made.work.rglob(".*") if p.name not in (".editions.json", ".lock")]
    assert leftovers == []


CALLS = ("fsync", "replace", "rename", "unlink", "utime")  # every system call by which the program changes a folder


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_any_moment_nothing_is_lost_and_the_next_call_finishes(tmp_path, monkeypatch, moment):
    monkeypatch.setenv("METARL_HOME", str(tmp_path / "home"))
    first, mine = busy_checkout(tmp_path / "0" / "checkout")
    deaths = 0
    for made in killed_at_every_moment(tmp_path, first, moment):
        assert_nothing_lost(made, mine)
        made.sync()
        assert_done(made, mine)
        deaths += 1
    assert deaths > 30, "the program was hardly ever killed: the test no longer sees its system calls"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_starting_over_can_be_killed_at_any_moment(checkout, tmp_path, moment):
    mine = change(checkout.work / MAML, edit_code)
    (checkout.work / RL2).unlink()
    (checkout.work / RL2).write_text("half a note")
    new = checkout.publish("second")
    deaths = 0
    for made in killed_at_every_moment(tmp_path, checkout, moment, start_over=(MAML, RL2)):
        assert {mine, b"half a note"} <= set(made.files().values())
        made.fresh("05", "08")
        assert {mine, b"half a note"} == {path.read_bytes() for path in made.earlier()} and len(made.earlier()) == 2
        assert (made.work / MAML).read_bytes() == new
        assert (made.work / RL2).read_bytes() == (made.books / RL2).read_bytes()
        deaths += 1
    assert deaths > 8


def killed_at_every_moment(
    folder: Path, first: Checkout, moment: str, start_over: tuple[str, ...] = ()
) -> Iterator[Checkout]:
    """Let the program be killed at its first system call, in another checkout at its second, and so on to its end."""
    number, killed = 0, True
    while killed:
        made = another_checkout(folder, first, f"killed {number}")
        child = os.fork()
        if child == 0:  # the program that is killed
            kill_at_call(number, moment)
            tool.sync(made.books, made.work, start_over)
            os._exit(0)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        yield made
        number += 1


def another_checkout(folder: Path, first: Checkout, name: str) -> Checkout:
    """A copy of a checkout, times and all."""
    shutil.copytree(first.books.parent, folder / name)
    made = copy.copy(first)
    made.books, made.work = folder / name / "notebooks", folder / name / "work"
    return made


def kill_at_call(number: int, moment: str) -> None:
    """Let this process die by SIGKILL before or after its system call of this number."""
    count = 0

    def mortal(real):
        def call(*args: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count > number and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **options)
            if count > number:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in CALLS:
        setattr(os, name, mortal(getattr(os, name)))


@pytest.mark.parametrize("call", ["fsync", "replace", "utime"])
def test_a_disk_that_is_full_from_some_moment_on_costs_nothing(tmp_path, monkeypatch, call):
    monkeypatch.setenv("METARL_HOME", str(tmp_path / "home"))
    first, mine = busy_checkout(tmp_path / "0" / "checkout")
    failures, whole = 0, False
    while not whole:
        made = another_checkout(tmp_path, first, f"full after {failures}")
        left, real = iter(range(failures)), getattr(os, call)

        def filling(*args, left=left, real=real, **options):
            return no_space() if next(left, None) is None else real(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, filling)
            report = tool.sync(made.books, made.work)
        whole = report.whole
        assert whole or "disk is full" in "".join(report.lines) or "no space left" in "".join(report.lines).lower()
        assert_nothing_lost(made, mine)
        made.sync()
        assert_done(made, mine)
        failures += not whole
    assert failures >= 2


def test_a_folder_that_cannot_be_written_is_told_and_left(checkout, monkeypatch):
    mine = change(checkout.work / MAML, run)
    checkout.publish("second")
    before = checkout.files()
    monkeypatch.setattr(tool.files, "write_whole", no_permission)
    assert "permission denied" in checkout.sync(whole=False)
    assert checkout.files() == before and (checkout.work / MAML).read_bytes() == mine


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told_and_left(checkout):
    checkout.publish("second")
    before = checkout.files()
    checkout.work.chmod(0o555)
    try:
        assert "permission denied" in checkout.sync(whole=False)
    finally:
        checkout.work.chmod(0o755)
    assert checkout.files() == before


def test_a_file_named_work_is_told_and_left(tmp_path):
    made = Checkout(tmp_path)
    made.work.write_text("mine")
    assert "could not be brought up to date: file exists" in made.sync(whole=False)
    assert made.work.read_text() == "mine"


def test_a_copy_that_is_saved_while_the_program_runs_is_not_overwritten(checkout):
    """Between the decision and the deed JupyterLab may save: what was decided holds no more."""
    new = tool.parse(checkout.publish("second"))
    seen = tool.look(checkout.work / MAML).notebook
    mine = change(checkout.work / MAML, edit_code)
    ledger = tool.Ledger(checkout.work)
    for step in (tool.Step(MAML, new, seen), tool.Step(MAML, new, None), tool.Step(MAML, None, seen)):
        with pytest.raises(OSError, match="at this very moment"):
            tool.carry_out(step, checkout.work, ledger)
        assert (checkout.work / MAML).read_bytes() == mine


def test_two_calls_at_once_wait_for_each_other(checkout):
    pytest.importorskip("fcntl")
    checkout.publish("second")
    other = threading.Thread(target=checkout.sync)
    with tool.locked(checkout.work):
        other.start()
        other.join(0.3)
        assert other.is_alive()
    other.join(10)
    assert "brought to the new edition" in checkout.said


# --- The index page ---------------------------------------------------------------------------------------------------


def test_the_index_page_shows_progress_and_says_what_it_is(checkout, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "progress.json").write_text('{"passed": ["05.2", "05.9", "07.1"]}')
    checkout.sync()
    page = (checkout.work / "index.md").read_text()
    assert checkout.row().endswith(f"[MAML]({MAML}) | 1 of 2 done |")
    assert "made by `make lab`" in page and str(tmp_path / "home" / "progress.json") in page
    assert page.index("your own copies") < page.index("## Algorithms")
    plain = re.sub("<!--.*?-->", "", page).splitlines()
    assert "| | Chapter | Exercises |" in plain and "|---|---| --- |" in plain
    assert "More in the [README](../README.md)." in plain


def test_a_page_of_the_readers_own_is_kept_before_the_index_takes_its_place(checkout):
    for mine in (b"# My plan\n", (checkout.work / "index.md").read_bytes() + b"my note\n"):
        (checkout.work / "index.md").write_bytes(mine)
        assert "somebody wrote into work/index.md" in checkout.sync()
        assert mine in [path.read_bytes() for path in checkout.earlier()]
        assert checkout.row() and checkout.sync() == ""


def test_a_folder_named_index_is_left(checkout):
    (checkout.work / "index.md").unlink()
    (checkout.work / "index.md").mkdir()
    assert "left as it is" in checkout.sync(whole=False)


def test_the_real_book_has_a_count_in_every_row_and_its_links_lead_somewhere(tmp_path, monkeypatch):
    """From work/ as from notebooks/: to other chapters, to the index, to pages of the repository."""
    monkeypatch.setenv("METARL_HOME", str(tmp_path / "home"))
    report = tool.sync(ROOT / "notebooks", tmp_path / "work")
    assert report.whole, report.lines
    page = (tmp_path / "work" / "index.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d\d[a-z]? \| \[.*", page, flags=re.MULTILINE)
    assert len(rows) == len(list((tmp_path / "work").glob("*.ipynb")))
    for row in rows:
        notebook = tool.parse((tmp_path / "work" / re.search(r"\]\((\d[^)]+)\)", row)[1]).read_bytes())
        assert bool(re.search(r"-->0 of \d+ done \|$", row)) == bool(notebook.exercises), row
    texts = [page]
    for path in (tmp_path / "work").glob("*.ipynb"):
        texts += ["".join(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == "markdown"]
    targets = {t for text in texts for t in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text) if "/" in t or "." in t}
    assert len(targets) > 15
    for target in targets:
        there = ROOT / target[3:] if target.startswith("../") else tmp_path / "work" / target
        assert there.exists(), f"{target} does not exist, seen from work/"


def test_every_exercise_of_the_real_book_is_counted():
    books = [tool.parse(p.read_bytes()) for p in (ROOT / "notebooks").glob("*.ipynb") if tool.CHAPTER.fullmatch(p.name)]
    found = [exercise for book in books for exercise in book.exercises]
    assert len(found) == len(set(found)), "an exercise is checked in two chapters"
    assert set(found) == set(every("EXERCISES"))


def test_data_is_found_from_work_as_from_notebooks(tmp_path, monkeypatch):
    for folder in ("notebooks", "work", "data/results"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    for folder in ("notebooks", "work"):
        monkeypatch.chdir(tmp_path / folder)
        assert find_folder("data/results").resolve() == (tmp_path / "data/results").resolve()


# --- Starting over ----------------------------------------------------------------------------------------------------


def test_fresh_keeps_the_readers_copy_and_places_the_present_edition(checkout):
    mine = change(checkout.work / MAML, edit_code)
    new = checkout.publish("second")
    checkout.sync()
    said = checkout.fresh("05")
    (kept,) = checkout.earlier()
    assert kept.read_bytes() == mine and f"yours is kept: work/earlier/{kept.name}" in said
    assert (checkout.work / MAML).read_bytes() == new
    assert checkout.notebooks() == {MAML, RL2, f"earlier/{kept.name}"}, "the edition beside is not needed any more"
    newer = checkout.publish("third")
    checkout.sync()
    assert (checkout.work / MAML).read_bytes() == newer


def test_fresh_keeps_a_run(checkout):
    mine = change(checkout.work / MAML, run)
    checkout.fresh("05")
    assert [path.read_bytes() for path in checkout.earlier()] == [mine]


def test_fresh_of_an_unchanged_copy_says_so(checkout):
    assert checkout.fresh("5") == f"{MAML}: the present edition already, unchanged"
    assert checkout.earlier() == []


def test_fresh_of_several_and_of_all(checkout):
    for name in (MAML, RL2):
        change(checkout.work / name, edit_code)
    checkout.fresh("8", "05", "05_maml")
    assert len(checkout.earlier()) == 2
    for name in (MAML, RL2):
        change(checkout.work / name, edit_text)
    checkout.fresh(everything=True)
    assert len(checkout.earlier()) == 4
    assert all((checkout.work / n).read_bytes() == (checkout.books / n).read_bytes() for n in (MAML, RL2))


def test_fresh_whose_place_in_earlier_cannot_be_written_leaves_the_copy(checkout):
    mine = change(checkout.work / MAML, edit_code)
    (checkout.work / "earlier").write_text("a file, not a folder")
    checkout.sync((MAML,), whole=False)
    assert (checkout.work / MAML).read_bytes() == mine


@pytest.mark.parametrize(
    ("given", "everything", "message"),
    [
        (["99"], False, "no chapter '99'; there are: 05, 08, 12a, 12b"),
        (["05", "maml", "7"], False, "no chapter 'maml', '7'"),
        ([], False, "which chapter"),
        (["05"], True, "not both"),
    ],
)
def test_chapters_that_are_not_named_well_are_told_before_anything_changes(
    checkout, capsys, monkeypatch, given, everything, message
):
    for name in ("12a_x.ipynb", "12b_y.ipynb"):
        write(checkout.books / name, chapter(name))
    mine = change(checkout.work / MAML, edit_code)
    monkeypatch.setattr(tool.to_start_over, "__defaults__", (checkout.books,))
    assert tool.main(["fresh", *given, *(["--all"] if everything else [])]) == 2
    assert message in capsys.readouterr().err
    assert (checkout.work / MAML).read_bytes() == mine and checkout.notebooks() == {MAML, RL2}


def test_a_chapter_in_two_notebooks_is_named_by_number_or_by_letter():
    names = ["02_a.ipynb", "12a_x.ipynb", "12b_y.ipynb"]
    assert tool.chosen(["12"], names) == names[1:]
    assert tool.chosen(["12B", "2"], names) == ["12b_y.ipynb", "02_a.ipynb"]
    with pytest.raises(ValueError, match="'12c'"):
        tool.chosen(["12c"], names)


# --- make lab ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(checkout, monkeypatch):
    """tools/lab.py of a checkout: starts nothing, opens no browser; `desk.started` is the server's command."""
    checkout.started = []
    monkeypatch.setattr(lab, "ROOT", checkout.work.parent)
    monkeypatch.setattr(lab, "claim", lambda: True)
    monkeypatch.setattr(os, "execve", lambda program, command, environment: checkout.started.extend(command))
    monkeypatch.chdir(checkout.work)
    return checkout


@pytest.mark.parametrize(("option", "page"), [([], "work/index.md"), (["--author"], "notebooks/index.md")])
def test_make_lab_opens_the_readers_copies_and_an_authors_the_book(desk, monkeypatch, capsys, option, page):
    monkeypatch.setattr(sys, "argv", ["lab.py", "--no-browser", *option])
    new = desk.publish("second")
    lab.main()
    printed = capsys.readouterr().out
    assert f"--LabApp.default_url=/lab/tree/{page}" in desk.started and f"/lab/tree/{page}?token=" in printed
    followed = (desk.work / MAML).read_bytes() == new
    assert followed == (option == []) == ("brought to the new edition" in printed)


def test_make_lab_brings_the_copies_up_to_date_when_a_server_runs_already(desk, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lab.py", "--no-browser"])
    monkeypatch.setattr(lab, "claim", lambda: False)
    monkeypatch.setattr(lab, "wait_for_server", lambda: {"url": "http://localhost:8888/", "token": "t"})
    new = desk.publish("second")
    lab.main()
    assert "http://localhost:8888/lab/tree/work/index.md?token=t" in capsys.readouterr().out
    assert desk.started == [] and (desk.work / MAML).read_bytes() == new


def test_make_lab_says_when_there_is_nowhere_to_put_the_copies(desk, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lab.py", "--no-browser"])
    monkeypatch.chdir(desk.books)
    shutil.rmtree(desk.work)
    desk.work.write_text("a file")
    with pytest.raises(SystemExit, match="--author"):
        lab.main()
    assert "file exists" in capsys.readouterr().out and desk.started == []


def test_the_copies_are_made_without_pytorch():
    program = "import sys; sys.path.insert(0, 'tools'); import work; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
