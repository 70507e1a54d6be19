"""The site's builder, its environment and its step in CI: what goes in, and what is said where it cannot be done."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import book
import ci
import pytest
import setup_env
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent


def test_a_widget_goes_and_its_picture_stays() -> None:
    data = {book.WIDGET: {"model_id": "m"}, "text/html": "<img>", "text/plain": "x"}
    cells = [{"cell_type": "markdown", "source": "α"}, {"cell_type": "code", "outputs": [{"data": data}]}]
    page = book.without_widgets(json.dumps({"metadata": {"widgets": {"state": 1}}, "cells": cells}))
    assert "widget" not in page
    assert json.loads(page)["cells"][1]["outputs"] == [{"data": {"text/html": "<img>", "text/plain": "x"}}]


def test_the_contents_name_every_chapter_and_page_once() -> None:
    files = re.findall(r"(?:root|file): (\S+)", book.contents())
    assert len(set(files)) == len(files)
    books = {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert books | {"notebooks/index", "README", "CONTRIBUTING", "CHANGELOG", "docs/learners"} <= set(files)


class Folder:
    """An installed package that lies in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def locate_file(self, name: str) -> Path:
        return self.folder / name


def test_mathjax_that_is_missing_or_changed_is_refused_in_words(monkeypatch, tmp_path: Path) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(book, "distribution", missing)
    with pytest.raises(book.Unready, match=r"not installed .*make site"):
        book.mathjax()
    script = tmp_path / book.MATHJAX_PACKAGE / "static" / "mathjax" / "tex-chtml-full.js"
    script.parent.mkdir(parents=True)
    script.write_text("alert('hello')")
    monkeypatch.setattr(book, "distribution", lambda name: Folder(tmp_path))
    with pytest.raises(book.Unready, match=r"not those that were published.*make site"):
        book.mathjax()
    monkeypatch.setattr(book, "MATHJAX_SHA256", book.digest({"tex-chtml-full.js": b"alert('hello')"}))
    assert book.mathjax() == {"tex-chtml-full.js": b"alert('hello')"}


def test_a_digest_tells_names_from_contents() -> None:
    assert book.digest({"a": b"bc"}) != book.digest({"ab": b"c"})
    assert book.digest({"a": b"1", "b": b"2"}) == book.digest({"b": b"2", "a": b"1"})


def test_every_range_of_the_site_has_an_exact_pin_inside() -> None:
    lines = (ROOT / "constraints-site.txt").read_text(encoding="utf-8").splitlines()
    exact = {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines[1:])}
    assert all(re.fullmatch(r"==[^*,]+", str(specifier)) for specifier in exact.values())
    with (ROOT / "pyproject.toml").open("rb") as handle:
        wanted = tomllib.load(handle)["project"]["optional-dependencies"]["site"]
    for requirement in map(Requirement, wanted):
        version = str(exact[canonicalize_name(requirement.name)]).removeprefix("==")
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement}: pinned to {version}"


def test_new_pins_of_the_site_set_up_its_environment_again_and_no_other(monkeypatch, tmp_path: Path) -> None:
    for name in ("pyproject.toml", "constraints.txt", "constraints-site.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr(setup_env, "ROOT", str(tmp_path))
    before = [setup_env.fingerprint(extras, (3, 12)) for extras in (["site"], ["dev"])]
    (tmp_path / "constraints-site.txt").write_text("sphinx==1.0\n")
    after = [setup_env.fingerprint(extras, (3, 12)) for extras in (["site"], ["dev"])]
    assert before[0] != after[0] and before[1] == after[1]


@pytest.mark.parametrize(
    ("line", "status"), [("Temporary failure in name resolution", setup_env.UNREACHABLE), ("ERROR: no such thing", 1)]
)
def test_no_network_has_an_exit_status_of_its_own(tmp_path: Path, line: str, status: int) -> None:
    with pytest.raises(SystemExit) as stopped:
        setup_env.explain(str(tmp_path), [line], "setup.log", None)
    assert stopped.value.code == status


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ([setup_env.UNREACHABLE], "skipped"),
        ([1], "FAILED"),
        ([0, 1], "FAILED"),
        ([0, 0], "passed"),
    ],
)
def test_the_step_of_ci_is_skipped_only_without_a_network(monkeypatch, statuses: list[int], verdict: str) -> None:
    left = iter(statuses)
    monkeypatch.setattr(
        ci.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, next(left), "", "")
    )
    monkeypatch.setenv("METARL_SITE", "")
    assert ci.take("site").verdict == verdict
    assert bool(ci.os.environ["METARL_SITE"]) == (verdict == "passed")
