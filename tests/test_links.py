"""Every page leads somewhere: links between files, links to headings, and the files that a page names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "metarl_lab"
FOLDERS = ("docs", "data", "notebooks", "metarl_lab", "tools", "tests")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
# `ops/td.py` and `learners/` are said without the package's name, `agents.csv` without its folder
BASES = ("", "metarl_lab", "data", "data/results")
FILE = re.compile(r"`((?:[\w.*-]+/)*[\w*-]+\.(?:py|csv|md|txt|png|toml|yml|ipynb))`")
# what a run writes, not what is kept here
WRITTEN_BY_RUNS = {"metrics.csv"}


def without_code(text: str) -> str:
    """A page without its blocks of code, in which brackets are no links."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What links to a page's headings look like on GitHub: lower case, no punctuation, a hyphen for each blank."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", without_code(page.read_text(encoding="utf-8")), flags=re.MULTILINE):
        kept = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.append(f"{kept}-{found.count(kept)}" if kept in found else kept)
    return set(found)


def broken(page: Path, text: str) -> list[str]:
    """The targets of a page's relative links that are not there."""
    wrong = []
    for target in LINK.findall(without_code(text)):
        if re.match(r"[a-z]+:", target):  # https:, mailto:
            continue
        name, _, anchor = target.partition("#")
        to = (page.parent / name).resolve() if name else page
        there = to.exists() and not name.startswith("/")
        if there and anchor and to.suffix == ".md":
            there = anchor in anchors(to)
        if not there:
            wrong.append(target)
    return wrong


def unknown_files(page: Path, text: str) -> list[str]:
    """The files named between backticks that are nowhere."""
    bases = [page.parent, *(ROOT / base for base in BASES)]

    def there(name: str) -> bool:
        # a bare `base.py` is any folder's
        return any(any(base.glob(name)) for base in bases) or ("/" not in name and any(PACKAGE.rglob(name)))

    return sorted(name for name in set(FILE.findall(text)) - WRITTEN_BY_RUNS if not there(name))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    assert broken(ROOT / page, (ROOT / page).read_text(encoding="utf-8")) == []


# The others tell of files that once were (the changelog) or that an author is to write (how to add a chapter).
@pytest.mark.parametrize("page", [page for page in PAGES if page == "README.md" or page.startswith(("docs/", "data/"))])
def test_files_that_a_page_names_are_there(page: str) -> None:
    assert unknown_files(ROOT / page, (ROOT / page).read_text(encoding="utf-8")) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title, twice\n\n## B\n\n## B\n")
    (tmp_path / "there.md").write_text("# Other\n")
    good = "[a](there.md) [b](#a-title-twice) [c](#b-1) [d](there.md#other) [e](https://x.org/y) ```[f](code.md)```"
    assert broken(page, good.replace("```", "\n```\n")) == []
    dead = ["gone.md", "#gone", "#b-2", "there.md#b", "gone.png", "/there.md"]
    assert broken(page, " ".join(f"[x]({target})" for target in dead)) == dead
    assert unknown_files(page, "`there.md` `ops/td.py` `ops/gone.py` `metrics.csv`") == ["ops/gone.py"]
